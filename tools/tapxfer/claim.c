// SPDX-License-Identifier: GPL-2.0-or-later
/* claim: take the queue files and become the command that gets them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Longest of a descriptor in a list: ten digits and a colon */
#define FD_TEXT		11

struct files {
	int *fds;
	size_t n;
	char *list;		/* 3:4:5 */
};

/*
 * What a brace at @text stands for: 0 for {fds}, 1 for {fdN} with its number,
 * -1 for nothing of ours. @len is the length of it.
 */
static int brace(const char *text, uint32_t *number, size_t *len)
{
	char digits[11];
	size_t n;

	if (!strncmp(text, "{fds}", 5)) {
		*len = 5;
		return 0;
	}
	if (strncmp(text, "{fd", 3))
		return -1;
	n = strspn(text + 3, "0123456789");
	if (!n || n >= sizeof(digits) || text[3 + n] != '}')
		return -1;
	memcpy(digits, text + 3, n);
	digits[n] = '\0';
	*len = n + 4;
	return parse_u32(digits, number) ? 1 : -1;
}

/* Before the claim: a queue that there is not is the caller's mistake. */
static int words_check(const struct cli *cli, char **words, size_t nqueues,
		       bool fds)
{
	uint32_t number;
	const char *p;
	size_t len;
	int kind;

	for (; *words; words++)
		for (p = strchr(*words, '{'); p; p = strchr(p + 1, '{')) {
			kind = brace(p, &number, &len);
			if (kind >= 0 && !fds)
				return fail_usage(cli,
						  "'%.*s' has no meaning with --no-fds",
						  (int)len, p);
			if (kind == 1 && number >= nqueues)
				return fail_usage(cli,
						  "'%.*s' is past the handover's %zu queues, which count from 0",
						  (int)len, p, nqueues);
		}
	return 0;
}

static char *word_fill(const char *word, const struct files *files)
{
	size_t size = strlen(word) + 1, len = 0, step;
	uint32_t number;
	const char *p;
	char *out;

	for (p = strchr(word, '{'); p; p = strchr(p + 1, '{'))
		size += strlen(files->list) + FD_TEXT;
	out = xrealloc(NULL, size, 1);

	for (p = word; *p;) {
		switch (*p == '{' ? brace(p, &number, &step) : -1) {
		case 0:
			len += (size_t)sprintf(out + len, "%s", files->list);
			p += step;
			break;
		case 1:
			/* checked, but by a number that came from elsewhere */
			len += (size_t)sprintf(out + len, "%d",
					       number < files->n ?
					       files->fds[number] : -1);
			p += step;
			break;
		default:
			out[len++] = *p++;
		}
	}
	out[len] = '\0';
	return out;
}

static void env(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void env(const char *name, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	setenv(name, text, 1);
	free(text);
}

static void env_fill(const struct tapxfer_info *ho, const struct files *files)
{
	const char *ifname = tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME);
	const struct tapxfer_info *dev =
		tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0);

	/* of a claim within a claim's command */
	unsetenv("TAPXFER_FDS");
	if (files->n)
		env("TAPXFER_FDS", "%s", files->list);
	env("TAPXFER_NUM_QUEUES", "%llu", (unsigned long long)
	    tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_NUM_QUEUES));
	env("TAPXFER_ID", "%llu", (unsigned long long)
	    tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID));
	env("TAPXFER_IFNAME", "%s", ifname ? ifname : "");
	env("TAPXFER_IFINDEX", "%llu", (unsigned long long)
	    tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_IFINDEX));
	if (dev && tapxfer_info_has(dev, TAPXFER_A_DEV_VNET_HDR_SZ))
		env("TAPXFER_VNET_HDR_SZ", "%llu", (unsigned long long)
		    tapxfer_info_u64(dev, TAPXFER_A_DEV_VNET_HDR_SZ));
}

static void files_get(const struct tapxfer_info *ho, struct files *files)
{
	size_t i, len = 0;

	files->n = tapxfer_info_fds(ho, NULL, 0);
	files->fds = xrealloc(NULL, files->n + 1, sizeof(*files->fds));
	tapxfer_info_fds(ho, files->fds, files->n);

	files->list = xrealloc(NULL, files->n + 1, FD_TEXT);
	files->list[0] = '\0';
	for (i = 0; i < files->n; i++) {
		len += (size_t)sprintf(files->list + len, "%s%d",
				       i ? ":" : "", files->fds[i]);
		fcntl(files->fds[i], F_SETFD, 0);
	}
}

/* Back to how we were started, but for the files. */
static void inherit(const struct cli *cli)
{
	signal(SIGPIPE, cli->own_sigpipe);
	if (cli->own_netns >= 0 && setns(cli->own_netns, CLONE_NEWNET)) {
		fail(cli, "cannot return to the network namespace: %m");
		exit(EXIT_KERNEL);
	}
}

/*
 * Be another command, with what it shall inherit. Returns when that did not
 * work, with the status that tells of it; @more is told too.
 */
int become(const struct cli *cli, char **argv, const char *more)
{
	int ret;

	fflush(stdout);
	inherit(cli);
	execvp(argv[0], argv);
	ret = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
	fail(cli, "cannot run '%.256s': %m%s", argv[0], more);
	return ret;
}

static int run(const struct cli *cli, const struct args *args,
	       const struct tapxfer_info *ho)
{
	struct files files;
	char more[128];
	size_t i, n = 0;
	char **argv;

	files_get(ho, &files);
	while (args->exec[n])
		n++;
	argv = xrealloc(NULL, n + 1, sizeof(*argv));
	for (i = 0; i < n; i++)
		argv[i] = word_fill(args->exec[i], &files);
	argv[n] = NULL;
	env_fill(ho, &files);

	if (cli->json)
		out_json(cli, out_object(ho, handover_attrs));
	warn_violated(cli, ho);
	snprintf(more, sizeof(more),
		 "; handover %llu is frozen again, claim it anew or abort it",
		 (unsigned long long)
		 tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID));
	/* the files are closed, and the claim ends, as we exit */
	exit(become(cli, argv, more));
}

int cmd_claim(struct cli *cli, struct args *args)
{
	bool fds = !(args->given & KEY_NO_FDS);
	uint32_t flags = fds ? 0 : TAPXFER_CLAIM_NO_FDS;
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	int ret;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	if (!(args->given & KEY_EXEC) || !args->exec[0])
		return fail_usage(cli,
				  fds ? "what shall get the queues? Give -- CMD ARGS" :
					"whose shall the claim be? Give -- CMD ARGS");
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;

	ret = cli_open(cli);
	if (ret)
		goto out;
	ret = tapxfer_handover_get(cli->tx, args->id, &ho);
	if (ret) {
		ret = fail_call(cli, ret);
		goto out;
	}
	ret = words_check(cli, args->exec, (size_t)
			  tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_NUM_QUEUES),
			  fds);
	tapxfer_info_free(ho);
	if (ret)
		goto out;

	if (args->given & KEY_ATTACH_ALL)
		flags |= TAPXFER_CLAIM_ATTACH_ALL;
	ret = tapxfer_claim_flags(cli->tx, args->id, &token, flags, &ho);
	tapxfer_token_wipe(&token);
	if (ret)
		return fail_call(cli, ret);
	return run(cli, args, ho);

out:
	tapxfer_token_wipe(&token);
	return ret;
}
