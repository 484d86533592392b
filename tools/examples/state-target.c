// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMM that reads what state-source writes. At its end it says how many frames
 * the guest has sent back, in both VMMs.
 *
 *	state-target SOCKET
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"
#include "peer.h"
#include "state-stream.h"

/* What has come, and of that, what nobody has looked at yet */
static struct {
	int sock;
	char buf[200];
	size_t begin, end;
} in;

static void fill(void)
{
	ssize_t n;

	if (in.begin < in.end)
		return;
	n = recv(in.sock, in.buf, sizeof(in.buf), 0);
	if (n <= 0)
		die(n < 0 ? errno : 0, "the stream ends too early");
	in.begin = 0;
	in.end = (size_t)n;
}

static void get(void *data, size_t len)
{
	char *p = data;
	size_t n;

	for (; len; p += n, len -= n) {
		fill();
		n = in.end - in.begin < len ? in.end - in.begin : len;
		memcpy(p, in.buf + in.begin, n);
		in.begin += n;
	}
}

/* The state takes what is its own: what comes after it stays in the buffer. */
static void get_state(struct tapxfer *tx, uint32_t id)
{
	struct tapxfer_stream *stream;
	ssize_t used;
	int err;

	err = tapxfer_state_open(tx, id, TAPXFER_DIRECTION_LOAD,
				 TAPXFER_PHASE_STOPPED, NULL, &stream);
	if (err)
		die(0, "cannot load a state: %s", tapxfer_error(tx));
	while (!tapxfer_state_complete(stream)) {
		fill();
		used = tapxfer_state_push(stream, in.buf + in.begin,
					  in.end - in.begin);
		if (used < 0)
			die(0, "a bad state: %s", tapxfer_error(tx));
		in.begin += (size_t)used;
	}
	/* it came whole, and it is what the frozen device is */
	err = tapxfer_state_check(stream);
	if (err)
		die(0, "another state: %s", tapxfer_error(tx));
	printf("state of %s\n",
	       tapxfer_info_str(tapxfer_state_info(stream),
				TAPXFER_A_HANDOVER_IFNAME));
	tapxfer_state_close(stream);
}

/* From here to the thaw: whatever fails, our end makes it frozen again. */
static void take_over(struct tapxfer *tx, int fds[QUEUES])
{
	uint64_t takes = tapxfer_state_features();
	struct tapxfer_info *ho;
	struct head head;
	struct tail tail;
	const char *why;
	int err;

	if (send(in.sock, &takes, sizeof(takes), MSG_NOSIGNAL) < 0)
		die(errno, "the source is gone");
	get(&head, sizeof(head));
	get_state(tx, head.id);
	get(&tail, sizeof(tail));
	guest_turned = tail.guest_turned;

	err = tapxfer_claim(tx, head.id, &head.token, &ho);
	if (err)
		die(0, "cannot claim: %s", tapxfer_error(tx));
	why = unfit(ho);
	if (why)
		die(0, "%s", why);
	tapxfer_info_fds(ho, fds, QUEUES);
	tapxfer_info_free(ho);
	if (!peer_tell(in.sock, CLAIMED))
		die(errno, "the source is gone");
	err = thaw_alone(tx, head.id, &head.token, &ho);
	if (err)
		die(0, "cannot thaw: %s", tapxfer_error(tx));
	tapxfer_token_wipe(&head.token);
	if (!peer_tell(in.sock, THAWED))
		fprintf(stderr, "the source is gone\n");
	say_running(ho);
	tapxfer_info_free(ho);
}

int main(int argc, char **argv)
{
	struct tapxfer *tx;
	int fds[QUEUES], sock;

	if (argc != 2)
		die(0, "usage: %s SOCKET", argv[0]);
	signals_init();
	tx = tx_open();
	sock = peer_listen(argv[1], SOCK_STREAM);
	printf("listening\n");
	in.sock = peer_accept(sock, argv[1]);
	take_over(tx, fds);
	close(in.sock);
	tapxfer_close(tx);
	guest_until_end(fds);
	printf("sent back %" PRIu64 "\n", guest_turned);
	return 0;
}
