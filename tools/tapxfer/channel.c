// SPDX-License-Identifier: GPL-2.0-or-later
/* What send and recv have in common: sockets, the options, the outcome. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

/* Of a target that is to start yet, and of a source that is to come */
#define WAIT_MS		10000

static int address(const struct cli *cli, const char *path,
		   struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(un->sun_path))
		return fail_usage(cli, "'%.64s...' is too long for a socket",
				  path);
	strcpy(un->sun_path, path);
	return 0;
}

static uint32_t timeout(const struct args *args)
{
	return args->given & KEY_TIMEOUT ? args->timeout : WAIT_MS;
}

/* The target may be about to listen. */
int channel_connect(const struct cli *cli, const struct args *args,
		    const char *path, int *sock)
{
	uint32_t left = timeout(args);
	struct sockaddr_un un;
	int ret;

	ret = address(cli, path, &un);
	if (ret)
		return ret;
	*sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*sock < 0)
		return fail(cli, "cannot make a socket: %m");
	while (connect(*sock, (struct sockaddr *)&un, sizeof(un))) {
		if ((errno != ENOENT && errno != ECONNREFUSED) || left < 10)
			return fail(cli, "cannot connect to '%s': %m; 'tapxfer recv' makes it",
				    path);
		usleep(10000);
		left -= 10;
	}
	return 0;
}

/* For the owner alone; nobody else could send something there. */
int channel_listen(const struct cli *cli, const char *path, int *sock)
{
	struct sockaddr_un un;
	mode_t old;
	int ret;

	ret = address(cli, path, &un);
	if (ret)
		return ret;
	*sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*sock < 0)
		return fail(cli, "cannot make a socket: %m");
	old = umask(0177);
	ret = bind(*sock, (struct sockaddr *)&un, sizeof(un));
	umask(old);
	if (ret)
		return fail(cli, "cannot listen at '%s': %m%s", path,
			    errno == EADDRINUSE ? "; remove it, if nobody does" :
			    "");
	if (listen(*sock, 1)) {
		unlink(path);
		return fail(cli, "cannot listen at '%s': %m", path);
	}
	return 0;
}

/* @wait: for so long at the most, in ms, or -1 */
int channel_accept(const struct cli *cli, const char *path, int listening,
		   int wait, int *sock)
{
	struct pollfd pfd = { .fd = listening, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, wait);
	} while (n < 0 && errno == EINTR);
	if (!n)
		return fail(cli, "nobody has connected to '%s' in time", path);
	*sock = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (*sock < 0)
		return fail(cli, "cannot accept at '%s': %m", path);
	return 0;
}

void channel_opts(const struct args *args, int sock,
		  struct tapxfer_channel_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->size = sizeof(*opts);
	opts->sock = sock;
	opts->transport = args->transport;
	opts->local = args->local;
	opts->timeout = args->timeout;
	opts->peer_uid = args->peer_uid;
	opts->peer_pid = args->peer_pid;
	opts->takes = args->takes;
	/* what a hook leaves behind must not keep the connection open */
	if (args->given & KEY_SOCKET_FD)
		fcntl(args->socket_fd, F_SETFD, FD_CLOEXEC);
	if (args->given & KEY_LATE_FD)
		fcntl(args->late_fd, F_SETFD, FD_CLOEXEC);
	if (args->given & KEY_TIMEOUT)
		opts->set |= TAPXFER_CHANNEL_OPT_TIMEOUT;
	if (args->given & KEY_PEER_UID)
		opts->set |= TAPXFER_CHANNEL_OPT_PEER_UID;
	if (args->given & KEY_PEER_PID)
		opts->set |= TAPXFER_CHANNEL_OPT_PEER_PID;
	if (args->given & KEY_TAKES)
		opts->set |= TAPXFER_CHANNEL_OPT_TAKES;
	if (args->given & (KEY_LATE | KEY_LATE_FD))
		opts->flags |= TAPXFER_CHANNEL_EARLY;
	if (args->given & KEY_DRAIN)
		opts->flags |= TAPXFER_CHANNEL_DRAIN;
	if (args->given & KEY_SHARED)
		opts->flags |= TAPXFER_CHANNEL_SHARED;
}

/* A VMM's or an administrator's own part; what it says is no answer of ours. */
int channel_hook(const struct cli *cli, const char *name, const char *command)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, cli->own_sigpipe);
		/* it is the caller's, and so is where it runs */
		if (cli->own_netns >= 0 && setns(cli->own_netns, CLONE_NEWNET))
			_exit(EXIT_NOT_FOUND);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(EXIT_NOT_FOUND);
	}
	if (pid < 0)
		return fail(cli, "cannot run the command of --%s: %m", name);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail(cli, "cannot wait for the command of --%s: %m",
				    name);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail(cli, "the command of --%s failed (%s %d)", name,
			    WIFEXITED(status) ? "exit status" : "signal",
			    WIFEXITED(status) ? WEXITSTATUS(status) :
						WTERMSIG(status));
	return 0;
}

/* -- the outcome --------------------------------------------------------- */

static struct json_object *dev_object(const struct tapxfer_channel *ch,
				      size_t n)
{
	const struct tapxfer_info *ho = tapxfer_channel_handover(ch, n);
	const char *outcome =
		tapxfer_outcome_name(tapxfer_channel_outcome(ch, n));
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(
			       tapxfer_channel_name(ch, n)));
	json_object_object_add(o, "outcome", json_object_new_string(
			       outcome ? outcome : "?"));
	if (ho)
		json_object_object_add(o, "handover",
				       out_object(ho, handover_attrs));
	return o;
}

static void dev_line(const struct tapxfer_channel *ch, size_t n)
{
	const struct tapxfer_info *ho = tapxfer_channel_handover(ch, n);
	const char *outcome =
		tapxfer_outcome_name(tapxfer_channel_outcome(ch, n));
	char blackout[32];

	printf("%s: %s", tapxfer_channel_name(ch, n), outcome ? outcome : "?");
	if (ho && tapxfer_info_has(ho, TAPXFER_A_HANDOVER_BLACKOUT)) {
		out_ns(tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_BLACKOUT),
		       blackout, sizeof(blackout));
		printf(", %llu packets held, %llu dropped, blackout %s",
		       (unsigned long long)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HELD),
		       (unsigned long long)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_DROPPED),
		       blackout);
	}
	putchar('\n');
}

/* What became of each device, whether all went well or not */
int channel_out(const struct cli *cli, const struct tapxfer_channel *ch)
{
	struct json_object *o, *devs;
	size_t i;

	if (!cli->json) {
		for (i = 0; i < tapxfer_channel_count(ch); i++)
			dev_line(ch, i);
		return out_end(cli);
	}
	o = json_object_new_object();
	devs = json_object_new_array();
	for (i = 0; i < tapxfer_channel_count(ch); i++)
		json_object_array_add(devs, dev_object(ch, i));
	json_object_object_add(o, "local", json_object_new_boolean(
			       tapxfer_channel_is_local(ch)));
	json_object_object_add(o, "devices", devs);
	return out_json(cli, o);
}
