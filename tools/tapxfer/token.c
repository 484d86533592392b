// SPDX-License-Identifier: GPL-2.0-or-later
/* Where tokens come from and go to: a file or a descriptor, and nowhere else. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static ssize_t read_byte(int fd, char *c)
{
	ssize_t n;

	do {
		n = read(fd, c, 1);
	} while (n < 0 && errno == EINTR);
	return n;
}

/*
 * One line, byte by byte: what follows on a pipe is not ours, and its writer
 * may keep it open.
 */
static int token_take(int fd, struct tapxfer_token *token)
{
	char text[TAPXFER_TOKEN_TEXT_LEN + 1];
	size_t len = 0;
	ssize_t n;
	int err;

	while ((n = read_byte(fd, &text[len])) == 1 && text[len] != '\n')
		if (++len == sizeof(text))
			break;
	err = n < 0 ? -errno : tapxfer_token_parse(token, text, len);
	explicit_bzero(text, sizeof(text));
	return err;
}

/* A command that is run later must not find the token in what it inherits. */
static void token_fd_done(int fd)
{
	struct stat st;
	int null;

	if (fd > STDERR_FILENO) {
		close(fd);
		return;
	}
	if (fd != STDIN_FILENO || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, fd);
		close(null);
	}
}

int token_read(const struct cli *cli, const struct args *args,
	       struct tapxfer_token *token)
{
	int fd = args->token_fd;
	int err;

	if (!(args->given & KEYS_TOKEN))
		return fail_usage(cli,
				  "the token is needed: give --token-file PATH or --token-fd N (- for standard input)");

	if (args->given & KEY_TOKEN_FILE) {
		fd = open(args->token_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return fail(cli, "cannot read the token from '%s': %m",
				    args->token_file);
	}
	err = token_take(fd, token);
	if (args->given & KEY_TOKEN_FILE)
		close(fd);
	else if (err != -EBADF)
		token_fd_done(fd);

	if (err == -EINVAL)
		return fail(cli,
			    "what was read is no token: it is one line of %d hexadecimal digits, as --token-out wrote it",
			    TAPXFER_TOKEN_TEXT_LEN);
	if (err) {
		errno = -err;
		return fail(cli, "cannot read the token: %m");
	}
	return 0;
}

/* Before anything begins, so that it need not be undone. */
int token_out_open(const struct cli *cli, const struct args *args, int *fd)
{
	if (args->given & KEY_TOKEN_OUT) {
		*fd = open(args->token_out,
			   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
			   0600);
		if (*fd >= 0)
			return 0;
		if (errno == EEXIST)
			return fail(cli,
				    "'%s' exists: name a file that does not, the token is written to a new one",
				    args->token_out);
		return fail(cli, "cannot write the token to '%s': %m",
			    args->token_out);
	}
	if (args->given & KEY_TOKEN_OUT_FD) {
		int flags = fcntl(args->token_out_fd, F_GETFL);

		*fd = args->token_out_fd;
		if (*fd == STDOUT_FILENO)
			return fail_usage(cli,
					  "standard output has the answer: write the token elsewhere, as in --token-out-fd 3 3>FILE");
		if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
			return fail(cli,
				    "descriptor %d of --token-out-fd is not open for writing",
				    *fd);
		return 0;
	}
	return fail_usage(cli,
			  "the token needs a place, or nobody could go on: give --token-out PATH (a new file) or --token-out-fd N");
}

int token_out_write(int fd, const struct tapxfer_token *token)
{
	char text[TAPXFER_TOKEN_TEXT_LEN + 2];
	const char *p = text;
	size_t left = sizeof(text) - 1;
	int err = 0;

	tapxfer_token_format(token, text, sizeof(text));
	text[TAPXFER_TOKEN_TEXT_LEN] = '\n';
	while (left && !err) {
		ssize_t n = write(fd, p, left);

		if (n >= 0) {
			p += n;
			left -= (size_t)n;
		} else if (errno != EINTR) {
			err = -errno;
		}
	}
	explicit_bzero(text, sizeof(text));
	return err;
}
