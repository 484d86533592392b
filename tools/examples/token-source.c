// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that hands its tap over by the token alone: source and target have no
 * channel, the kernel keeps the queue files for whoever shows the token.
 *
 *	token-source DEV FILE
 *
 * It runs a guest on DEV. At SIGUSR1 it freezes the queues, writes the token into
 * FILE, prints the handover's id, and waits for how it ends. If the target fails
 * the guest goes on here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"

static int fds[QUEUES];

/* Nobody else may read it, nor find half of it. */
static int token_write(const char *path, const struct tapxfer_token *token)
{
	char text[TAPXFER_TOKEN_TEXT_LEN + 1], tmp[4096];
	int fd, err = 0;

	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	tapxfer_token_format(token, text, sizeof(text));
	text[TAPXFER_TOKEN_TEXT_LEN] = '\n';
	if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text))
		err = -EIO;
	explicit_bzero(text, sizeof(text));
	close(fd);
	return !err && rename(tmp, path) ? -errno : err;
}

/* How the handover ends: 1 when the guest runs in the target now. */
static int wait_for_end(struct tapxfer *tx, struct tapxfer *events, uint32_t id,
			const struct tapxfer_token *token)
{
	struct tapxfer_info *ev;
	unsigned int event;
	int err;

	for (;;) {
		err = tapxfer_event_next(events, -1, &ev);
		if (err == -EINTR)
			continue;
		if (err)
			die(err, "cannot wait for events");
		event = tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_ID) == id ?
			(unsigned int)tapxfer_info_u64(ev,
						       TAPXFER_A_HANDOVER_EVENT) :
			0;
		tapxfer_info_free(ev);

		switch (event) {
		case TAPXFER_EVENT_CLAIMED:
			/* a thaw wants the claimant to have them for itself */
			if (may_let_go(tx, id))
				tap_close(fds);
			break;
		case TAPXFER_EVENT_FROZEN:
			/* frozen again: the claimant has ended */
			if (fds[0] < 0)
				take_back(tx, id, token, fds);
			else
				tapxfer_abort(tx, id, token, NULL);
			return 0;
		case TAPXFER_EVENT_THAWED:
			return 1;
		case TAPXFER_EVENT_ABORTED:
		case TAPXFER_EVENT_EXPIRED:
			if (fds[0] < 0)
				die(0, "aborted when the files were the target's");
			return 0;
		case TAPXFER_EVENT_GONE:
			die(0, "the device is gone");
		}
	}
}

/* 1 when the guest runs in the target now, 0 when it goes on here. */
static int hand_over(const char *path)
{
	struct tapxfer *tx = NULL, *events = NULL;
	struct tapxfer_info *ho = NULL;
	struct tapxfer_token token;
	uint32_t id = 0;
	int err, moved = 0;

	err = tapxfer_open(&tx);
	if (!err)
		err = tapxfer_open(&events);
	if (err) {
		fprintf(stderr, "%s\n", tapxfer_open_error(err));
		goto out;
	}

	/* what arrives from here on waits in the kernel */
	err = tapxfer_hold(tx, 0, fds, QUEUES, &limits, &token, &ho);
	if (err)
		goto out_error;
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	/*
	 * What was read before, the guest has had: its processors would be
	 * stopped here, and what they have sent has left.
	 */
	err = tapxfer_freeze_id(tx, id, &token, NULL, NULL);
	if (!err)
		err = tapxfer_subscribe(events);
	if (err)
		goto out_abort;
	/* the guest's own state would go to the target here */
	err = token_write(path, &token);
	if (err) {
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
		goto out_abort;
	}
	printf("frozen %u\n", id);
	moved = wait_for_end(tx, events, id, &token);
	unlink(path);
	goto out;

out_abort:
	if (*tapxfer_error(tx))
		fprintf(stderr, "cannot hand over: %s\n", tapxfer_error(tx));
	tapxfer_abort(tx, id, &token, NULL);
	goto out;
out_error:
	fprintf(stderr, "cannot hand over: %s\n", tapxfer_error(tx));
out:
	tapxfer_token_wipe(&token);
	tapxfer_info_free(ho);
	tapxfer_close(events);
	tapxfer_close(tx);
	return moved;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die(0, "usage: %s DEV FILE", argv[0]);
	signals_init();
	tap_open(argv[1], 0, fds);
	do {
		if (!guest_until_move(fds))
			return 0;
	} while (!hand_over(argv[2]));
	printf("moved\n");
	return 0;
}
