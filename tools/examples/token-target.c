// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMM that takes over what token-source has frozen.
 *
 *	token-target ID FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"

static void token_read(const char *path, struct tapxfer_token *token)
{
	char text[TAPXFER_TOKEN_TEXT_LEN];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text)) != (ssize_t)sizeof(text) ||
	    tapxfer_token_parse(token, text, sizeof(text)))
		die(fd < 0 ? errno : 0, "%s: no token", path);
	explicit_bzero(text, sizeof(text));
	close(fd);
}

int main(int argc, char **argv)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	struct tapxfer *tx;
	const char *why;
	int fds[QUEUES], err;
	uint32_t id;

	if (argc != 3)
		die(0, "usage: %s ID FILE", argv[0]);
	signals_init();
	id = (uint32_t)strtoul(argv[1], NULL, 10);
	token_read(argv[2], &token);
	tx = tx_open();

	err = tapxfer_claim(tx, id, &token, &ho);
	if (err)
		die(0, "cannot claim: %s", tapxfer_error(tx));
	/* whatever fails from here on, our end makes it frozen again */
	why = unfit(ho);
	if (why)
		die(0, "%s", why);
	tapxfer_info_fds(ho, fds, QUEUES);
	tapxfer_info_free(ho);

	/* a guest would be loaded, and the files be set up, here */

	/* the source closes its files when it sees the claim */
	err = thaw_alone(tx, id, &token, &ho);
	tapxfer_token_wipe(&token);
	if (err)
		die(0, "cannot thaw: %s", tapxfer_error(tx));
	say_running(ho);
	tapxfer_info_free(ho);
	tapxfer_close(tx);

	guest_until_end(fds);
	return 0;
}
