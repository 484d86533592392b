// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fdstore: the queues of a service, kept by its manager while it restarts.
 *
 * The manager keeps descriptors under names and gives them to the service's
 * next process, in no certain order. Here "tapxfer.state" is the sealed memfd
 * of tapxfer_exec_prepare(), and "tapxfer.0", "tapxfer.1"... are the queue
 * files in the order that it tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define STATE_NAME	"tapxfer.state"
#define QUEUE_NAME	"tapxfer."

/* The first that sd_listen_fds(3) gives */
#define LISTEN_START	3

static int store_one(int sock, const char *name, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	return notify_send(sock, text, fd);
}

static int remove_one(int sock, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify_send(sock, text, -1);
}

/* From the store, whatever of them is there */
static int remove_all(int sock, size_t nfds)
{
	char name[32];
	size_t i;
	int err;

	err = remove_one(sock, STATE_NAME);
	for (i = 0; !err && i < nfds; i++) {
		snprintf(name, sizeof(name), QUEUE_NAME "%zu", i);
		err = remove_one(sock, name);
	}
	return err ? err : notify_barrier(sock);
}

/* ---- into the store ---- */

/*
 * Whether each queue's file has one reference more than in @before. A manager that
 * may not keep descriptors, or has no room for more, closes them without a word.
 */
static bool are_kept(struct cli *cli, uint32_t id,
		     const struct tapxfer_info *before)
{
	const struct tapxfer_info *was, *is;
	struct tapxfer_info *ho;
	bool kept = true;
	size_t i;

	if (tapxfer_handover_get(cli->tx, id, &ho))
		return false;
	for (i = 0; kept; i++) {
		was = tapxfer_info_nest(before, TAPXFER_A_HANDOVER_QUEUE, i);
		is = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i);
		if (!was || !is)
			break;
		kept = tapxfer_info_u64(is, TAPXFER_A_QUEUE_HOLDERS) >
		       tapxfer_info_u64(was, TAPXFER_A_QUEUE_HOLDERS);
	}
	tapxfer_info_free(ho);
	return kept;
}

static int fail_store(const struct cli *cli, int err)
{
	errno = -err;
	return fail(cli, err == -ENOSPC ?
		    "the service manager did not keep the descriptors: NotifyAccess= has to be all, and FileDescriptorStoreMax= above the number of queues; the handover was aborted" :
		    "the service manager did not take the descriptors: %m; the handover was aborted");
}

static int store(struct cli *cli, int sock, uint32_t id,
		 const struct tapxfer_token *token, const int *fds, size_t nfds)
{
	struct tapxfer_info *before = NULL;
	struct tapxfer_exec *ex;
	char name[32];
	size_t i;
	int err;

	err = tapxfer_exec_open(cli->tx, &ex);
	if (err)
		return fail_call(cli, err);
	err = tapxfer_exec_add(ex, id, token, fds, nfds);
	if (!err)
		err = tapxfer_handover_get(cli->tx, id, &before);
	if (!err)
		err = tapxfer_exec_prepare(ex);
	if (err) {
		tapxfer_exec_close(ex);
		tapxfer_info_free(before);
		return fail_call(cli, err);
	}
	err = store_one(sock, STATE_NAME, tapxfer_exec_fd(ex));
	for (i = 0; !err && i < nfds; i++) {
		snprintf(name, sizeof(name), QUEUE_NAME "%zu", i);
		err = store_one(sock, name, fds[i]);
	}
	if (!err)
		err = notify_barrier(sock);
	tapxfer_exec_close(ex);
	if (!err && !are_kept(cli, id, before))
		err = -ENOSPC;
	tapxfer_info_free(before);
	if (!err)
		return 0;
	/* not half of them: what is there would hold the queues */
	remove_all(sock, nfds);
	return fail_store(cli, err);
}

static int freeze_and_store(struct cli *cli, const struct args *args)
{
	struct tapxfer_info *ho = NULL;
	struct tapxfer_token token;
	struct tapxfer_opts opts;
	struct source source;
	sigset_t all, old;
	int sock, ret, err;
	uint32_t id;

	sock = notify_open(cli);
	if (sock < 0)
		return EXIT_KERNEL;
	ret = source_get(cli, args, &source);
	if (ret)
		goto close_sock;
	opts_get(args, &opts);
	/* a signal waits until somebody has the token, or nobody needs it */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	err = tapxfer_freeze(cli->tx, source.ifindex, source.fds, source.nfds,
			     &opts, &token, &ho);
	if (err) {
		ret = fail_call_fds(cli, err, source.pid, source.queues);
	} else {
		id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
		ret = store(cli, sock, id, &token, source.fds, source.nfds);
		if (ret)
			tapxfer_abort(cli->tx, id, &token, NULL);
	}
	tapxfer_token_wipe(&token);
	sigprocmask(SIG_SETMASK, &old, NULL);
	source_free(&source);
	if (!ret)
		ret = out_begun(cli, ho);
	tapxfer_info_free(ho);
close_sock:
	close(sock);
	return ret;
}

/* ---- out of it ---- */

static bool listen_number(const char *name, uint32_t *n)
{
	const char *text = getenv(name);

	return text && parse_u32(text, n);
}

/*
 * Where the queue @name is of: its place, or -1. *state is set when it is the
 * memfd instead.
 */
static long place_of(const char *name, size_t len, bool *state)
{
	char digits[11];
	uint32_t place;

	*state = len == strlen(STATE_NAME) && !strncmp(name, STATE_NAME, len);
	if (*state || len <= strlen(QUEUE_NAME) ||
	    strncmp(name, QUEUE_NAME, strlen(QUEUE_NAME)))
		return -1;
	len -= strlen(QUEUE_NAME);
	if (len >= sizeof(digits))
		return -1;
	memcpy(digits, name + strlen(QUEUE_NAME), len);
	digits[len] = '\0';
	return parse_u32(digits, &place) ? (long)place : -1;
}

/* What the manager gave us: of ours the state and the queues, by their places */
struct given {
	int memfd;		/* -1: none, the service starts for the first time */
	int *fds;
	size_t nfds;
	uint32_t n;		/* all, from LISTEN_START on */
};

static int listen_fds(const struct cli *cli, struct given *given)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint32_t pid, n, i;
	bool state;
	size_t len, j;
	long place;

	*given = (struct given){ .memfd = -1 };
	if (!listen_number("LISTEN_PID", &pid) || pid != (uint32_t)getpid() ||
	    !listen_number("LISTEN_FDS", &n) || !names || n > 65536)
		return 0;
	given->n = n;
	given->fds = xrealloc(NULL, n + 1, sizeof(*given->fds));
	for (j = 0; j < n; j++)
		given->fds[j] = -1;
	for (i = 0; i < n; i++, names += len + (names[len] == ':')) {
		len = strcspn(names, ":");
		place = place_of(names, len, &state);
		if (state)
			given->memfd = LISTEN_START + (int)i;
		if (place < 0 || (uint32_t)place >= n)
			continue;
		given->fds[place] = LISTEN_START + (int)i;
		++given->nfds;
	}
	/* the places are 0 to nfds, or one of them did not come */
	for (j = 0; j < given->nfds; j++)
		if (given->fds[j] < 0)
			break;
	if (given->memfd < 0 ? !given->nfds : given->nfds && j == given->nfds)
		return 0;
	return fail(cli,
		    "the service manager did not give all of a state and its queues: %s; FileDescriptorStoreMax= has to be above the number of queues",
		    given->memfd < 0 ? "no " STATE_NAME : "a queue is missing");
}

/*
 * Out of the numbers that LISTEN_FDS counts, which stay in use until they are
 * counted anew.
 */
static int move_up(const struct cli *cli, struct given *given)
{
	int min = LISTEN_START + (int)given->n, fd;
	size_t i;

	for (i = 0; i < given->nfds; i++) {
		fd = fcntl(given->fds[i], F_DUPFD_CLOEXEC, min);
		if (fd < 0)
			return fail(cli, "cannot duplicate a descriptor: %m");
		given->fds[i] = fd;
	}
	return 0;
}

/*
 * What else the manager gave, such as the sockets that it listens at for the
 * service, is CMD's, and counted from LISTEN_START on again.
 */
static int leave_others(const struct cli *cli, uint32_t n)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int fd, to = LISTEN_START;
	char *left, *end, count[11];
	bool state;
	uint32_t i;
	size_t len;

	left = end = xrealloc(NULL, strlen(names) + 1, 1);
	for (i = 0; i < n; i++, names += len + (names[len] == ':')) {
		len = strcspn(names, ":");
		fd = LISTEN_START + (int)i;
		if (place_of(names, len, &state) >= 0 || state) {
			close(fd);
			continue;
		}
		if (fd != to && dup2(fd, to) < 0) {
			free(left);
			return fail(cli, "cannot duplicate a descriptor: %m");
		}
		if (fd != to)
			close(fd);
		to++;
		end += sprintf(end, "%s%.*s", end == left ? "" : ":", (int)len,
			       names);
	}
	snprintf(count, sizeof(count), "%d", to - LISTEN_START);
	if (to == LISTEN_START || setenv("LISTEN_FDS", count, true) ||
	    setenv("LISTEN_FDNAMES", left, true)) {
		unsetenv("LISTEN_FDS");
		unsetenv("LISTEN_PID");
		unsetenv("LISTEN_FDNAMES");
	}
	free(left);
	return 0;
}

/*
 * The service took longer than the deadline: the kernel has ended the handover.
 * The queues are here all the same, and nobody reads them: begin another one.
 */
static int add_anew(struct cli *cli, struct tapxfer_exec *ex, const int *fds,
		    size_t n)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	uint32_t id;
	int err;

	err = tapxfer_freeze(cli->tx, 0, fds, n, NULL, &token, &ho);
	if (err)
		return err;
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	err = tapxfer_exec_add(ex, id, &token, fds, n);
	if (err)
		tapxfer_abort(cli->tx, id, &token, NULL);
	else
		fprintf(stderr,
			"tapxfer fdstore: warning: the deadline has passed, and %s may have dropped packets since: it goes on with handover %u.\n",
			tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME), id);
	tapxfer_info_free(ho);
	tapxfer_token_wipe(&token);
	return err;
}

/* What the store gave, to what passes exec: with the numbers it has here */
static int repack(struct cli *cli, const struct given *given,
		  struct tapxfer_exec **ex)
{
	struct tapxfer_exec *came;
	size_t i, n, at = 0;
	int err;

	err = tapxfer_exec_take(cli->tx, given->memfd, given->fds, given->nfds,
				&came);
	if (err)
		return err;
	err = tapxfer_exec_open(cli->tx, ex);
	for (i = 0; !err && i < tapxfer_exec_count(came); i++) {
		const struct tapxfer_info *state = tapxfer_exec_state(came, i);
		uint32_t id = (uint32_t)
			tapxfer_info_u64(state, TAPXFER_A_HANDOVER_ID);

		n = tapxfer_info_fds(state, NULL, 0);
		err = tapxfer_exec_add(*ex, id, tapxfer_exec_token(came, i),
				       given->fds + at, n);
		if (err == -ENOENT)
			err = add_anew(cli, *ex, given->fds + at, n);
		at += n;
	}
	tapxfer_exec_close(came);
	return err ? err : tapxfer_exec_prepare(*ex);
}

static int take_out(struct cli *cli, struct given *given,
		    struct tapxfer_exec **ex)
{
	int sock, err, ret;

	ret = move_up(cli, given);
	if (ret)
		return ret;
	sock = notify_open(cli);
	if (sock < 0)
		return EXIT_KERNEL;
	err = repack(cli, given, ex);
	if (err) {
		close(sock);
		return fail_call(cli, err);
	}
	/* what the store has it holds, and nobody could thaw */
	err = remove_all(sock, given->nfds);
	close(sock);
	if (err) {
		errno = -err;
		return fail(cli,
			    "the service manager did not take its descriptors out of the store: %m");
	}
	return leave_others(cli, given->n);
}

static int restore(struct cli *cli, const struct args *args)
{
	struct tapxfer_exec *ex = NULL;
	struct given given;
	int ret;

	ret = listen_fds(cli, &given);
	if (!ret && given.memfd >= 0)
		ret = take_out(cli, &given, &ex);
	free(given.fds);
	if (!ret)
		ret = become(cli, args->exec, "");
	tapxfer_exec_close(ex);
	return ret;
}

int cmd_fdstore(struct cli *cli, struct args *args)
{
	const unsigned int begins = KEY_DEV | KEY_PID | KEY_FDS | KEY_HOLD |
				    KEY_HOLD_BYTES | KEY_DEADLINE | KEY_TIMEOUT;
	int ret;

	if (args->given & KEY_RESTORE && args->given & begins)
		return fail_usage(cli,
				  "--restore takes what the store has: it goes with no device");
	if (args->given & KEY_RESTORE &&
	    (!(args->given & KEY_EXEC) || !args->exec[0]))
		return fail_usage(cli,
				  "what shall get the queues? Give -- CMD ARGS");
	if (!(args->given & KEY_RESTORE) && args->given & KEY_EXEC)
		return fail_usage(cli, "-- CMD ARGS goes with --restore");
	if (!(args->given & (KEY_RESTORE | KEY_PID | KEY_FDS)))
		return fail_usage(cli,
				  "whose queues shall be stored? Give --pid PID or --fds N,N,..., or --restore");
	ret = cli_open(cli);
	if (ret)
		return ret;
	return args->given & KEY_RESTORE ? restore(cli, args) :
					   freeze_and_store(cli, args);
}
