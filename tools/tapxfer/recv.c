// SPDX-License-Identifier: GPL-2.0-or-later
/* recv: take the devices that a socket brings, and become what gets them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Longest of a descriptor in a list: ten digits and a colon */
#define FD_TEXT		11

/*
 * What CMD is called with is looked up before anything is accepted: once the
 * source has let go there is no way back from a word that is wrong.
 */
static bool is_program(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char file[4096];

	if (strchr(name, '/'))
		return !access(name, X_OK);
	for (; path && *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path,
			 name);
		if (!access(file, X_OK))
			return true;
	}
	return false;
}

static bool transferred(const struct tapxfer_channel *ch, size_t n)
{
	unsigned int outcome = tapxfer_channel_outcome(ch, n);

	return outcome == TAPXFER_OUTCOME_PENDING ||
	       outcome == TAPXFER_OUTCOME_MOVED;
}

/* The one device of {fds}, or that of {fds:NAME}; its number, or -1 */
static int brace(const struct tapxfer_channel *ch, const char *text,
		 size_t *len)
{
	size_t i, n = tapxfer_channel_count(ch), many = 0;
	int found = -1;

	if (strncmp(text, "{fds", 4))
		return -1;
	*len = strcspn(text, "}") + 1;
	if (!text[*len - 1] || (text[4] != '}' && text[4] != ':'))
		return -1;
	for (i = 0; i < n; i++) {
		const char *name = tapxfer_channel_name(ch, i);

		if (!transferred(ch, i))
			continue;
		if (text[4] == '}' ||
		    (strlen(name) == *len - 6 &&
		     !strncmp(name, text + 5, *len - 6))) {
			found = (int)i;
			many++;
		}
	}
	return many == 1 ? found : -1;
}

static char *fds_text(const struct tapxfer_channel *ch, size_t dev)
{
	size_t i, n = tapxfer_channel_fds(ch, dev, NULL, 0), len = 0;
	int *fds = xrealloc(NULL, n + 1, sizeof(*fds));
	char *text = xrealloc(NULL, n + 1, FD_TEXT);

	tapxfer_channel_fds(ch, dev, fds, n);
	text[0] = '\0';
	for (i = 0; i < n; i++) {
		len += (size_t)sprintf(text + len, "%s%d", i ? ":" : "", fds[i]);
		fcntl(fds[i], F_SETFD, 0);
	}
	free(fds);
	return text;
}

/*
 * The other side chose the names, and they go into CMD's words and environment:
 * none may look like more than a name there.
 */
static int names_check(const struct cli *cli, const struct tapxfer_channel *ch)
{
	size_t i;

	for (i = 0; i < tapxfer_channel_count(ch); i++)
		if (strpbrk(tapxfer_channel_name(ch, i), "=:,{}"))
			return fail(cli,
				    "a device's name cannot have one of '=:,{}': '%s'",
				    tapxfer_channel_name(ch, i));
	return 0;
}

/* A word that says {fds and names no device that comes */
static int words_check(const struct cli *cli, const struct tapxfer_channel *ch,
		       char **words)
{
	const char *p;
	size_t len;

	for (; *words; words++)
		for (p = strstr(*words, "{fds"); p; p = strstr(p + 1, "{fds"))
			if (brace(ch, p, &len) < 0)
				return fail_usage(cli,
						  "'%.64s' names no device that comes: write {fds:NAME}, or {fds} of a single one",
						  p);
	return 0;
}

static char *word_fill(const struct tapxfer_channel *ch, const char *word)
{
	char *out = NULL, *text;
	size_t size, len;
	FILE *f;
	int dev;

	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	while (*word) {
		dev = brace(ch, word, &len);
		if (dev < 0) {
			fputc(*word++, f);
			continue;
		}
		text = fds_text(ch, (size_t)dev);
		fputs(text, f);
		free(text);
		word += len;
	}
	fclose(f);
	return out;
}

/* "net0=3:4 net1=", the latter for one that CMD has to initialise by itself */
static void env_fill(const struct tapxfer_channel *ch)
{
	char *list = NULL, *text;
	size_t i, size;
	FILE *f;

	f = open_memstream(&list, &size);
	if (!f)
		return;
	for (i = 0; i < tapxfer_channel_count(ch); i++) {
		text = transferred(ch, i) ? fds_text(ch, i) : NULL;
		fprintf(f, "%s%s=%s", i ? " " : "", tapxfer_channel_name(ch, i),
			text ? text : "");
		free(text);
	}
	fclose(f);
	setenv("TAPXFER_DEVICES", list, 1);
	free(list);
}

static int run(struct cli *cli, struct args *args, struct tapxfer_channel *ch)
{
	size_t i, n = 0;
	char **argv;

	while (args->exec[n])
		n++;
	argv = xrealloc(NULL, n + 1, sizeof(*argv));
	for (i = 0; i < n; i++) {
		argv[i] = word_fill(ch, args->exec[i]);
		if (!argv[i])
			return fail(cli, "out of memory");
	}
	argv[n] = NULL;
	env_fill(ch);
	tapxfer_channel_free(ch);
	return become(cli, argv, "; the devices were thawed already");
}

static int late_socket(const struct cli *cli, const struct args *args,
		       int listening, int *late)
{
	uint32_t wait = args->given & KEY_TIMEOUT ? args->timeout : 10000;
	int ret;

	*late = -1;
	if (args->given & KEY_LATE_FD)
		*late = args->late_fd;
	if (!(args->given & KEY_LATE))
		return 0;
	ret = channel_accept(cli, args->late, listening, (int)wait, late);
	/* CMD will not know of it */
	unlink(args->late);
	return ret;
}

static int steps(struct cli *cli, const struct args *args,
		 struct tapxfer_channel *ch, int listening)
{
	int err, ret, late;

	err = tapxfer_recv(ch);
	if (err)
		return fail_call(cli, err);
	ret = names_check(cli, ch);
	if (!ret)
		ret = words_check(cli, ch, args->exec);
	if (!ret)
		ret = late_socket(cli, args, listening, &late);
	if (ret)
		return ret;
	err = tapxfer_recv_state(ch, late);
	if (!err)
		err = tapxfer_recv_accept(ch);
	if (!err)
		err = tapxfer_recv_thaw(ch);
	return err ? fail_call(cli, err) : 0;
}

static int take(struct cli *cli, struct args *args, int sock, int listening)
{
	struct tapxfer_channel_opts opts;
	struct tapxfer_channel *ch;
	int ret, err;

	ret = cli_open(cli);
	if (ret)
		return ret;
	channel_opts(args, sock, &opts);
	err = tapxfer_channel_new(cli->tx, &opts, &ch);
	if (err)
		return fail_call(cli, err);
	ret = steps(cli, args, ch, listening);
	if (ret)
		tapxfer_channel_refuse(ch, -ECANCELED,
				       "the target has given up");
	err = channel_out(cli, ch);
	/* the devices are here: CMD gets them, whatever became of the answer */
	if (!ret)
		return run(cli, args, ch);
	tapxfer_channel_free(ch);
	return ret ? ret : err;
}

int cmd_recv(struct cli *cli, struct args *args)
{
	int ret, sock = args->socket_fd, first = -1, second = -1;

	if (!(args->given & (KEY_SOCKET | KEY_SOCKET_FD)))
		return fail_usage(cli, "where from? Give --socket PATH or --socket-fd N");
	if (!(args->given & KEY_EXEC) || !args->exec[0])
		return fail_usage(cli, "what shall get the queues? Give -- CMD ARGS");
	if (!is_program(args->exec[0]))
		return fail(cli, "cannot run '%.256s': there is no such program",
			    args->exec[0]);

	/* both before anybody comes, so that the source need not wait */
	if (args->given & KEY_LATE) {
		ret = channel_listen(cli, args->late, &second);
		if (ret)
			return ret;
	}
	ret = 0;
	if (args->given & KEY_SOCKET) {
		ret = channel_listen(cli, args->socket, &first);
		if (!ret) {
			ret = channel_accept(cli, args->socket, first,
					     args->given & KEY_TIMEOUT ?
					     (int)args->timeout : -1, &sock);
			unlink(args->socket);
			close(first);
		}
	}
	if (!ret)
		ret = take(cli, args, sock, second);
	if (second >= 0)
		unlink(args->late);
	return ret;
}
