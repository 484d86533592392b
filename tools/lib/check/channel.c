// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checks of the channel that need no kernel module: what it says and believes.
 * "ok - …" lines for check/run.sh. The kernel is asked for its features alone,
 * which is replaced; devices that are not transferred need nothing else of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

static int failures;

#define CHECK(cond, ...) check(!!(cond), #cond, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5)))
static void check(bool good, const char *cond, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%s - channel: ", good ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		printf("# line %d: %s\n", line, cond);
		failures++;
	}
	fflush(stdout);
}

int __wrap_tapxfer_caps(struct tapxfer *tx, struct tapxfer_info **caps);

int __wrap_tapxfer_caps(struct tapxfer *tx, struct tapxfer_info **caps)
{
	char buf[256] = { 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	(void)tx;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct genlmsghdr));
	mnl_attr_put_u64(nlh, TAPXFER_A_CAP_FEATURES, ~0ULL);
	*caps = NULL;
	return txl_info_new(nlh, TXL_SET_CAP, NULL, caps);
}

static struct tapxfer *handle(void)
{
	struct tapxfer *tx = calloc(1, sizeof(*tx));

	tx->rx = malloc(TXL_RX_SIZE);
	txl_error_reset(tx);
	return tx;
}

static struct tapxfer_channel *channel(struct tapxfer *tx, int sock,
				       uint32_t flags)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.sock = sock,
		.flags = flags,
		.timeout = 5000,
	};
	struct tapxfer_channel *ch;

	return tapxfer_channel_new(tx, &opts, &ch) ? NULL : ch;
}

/* -- both sides ---------------------------------------------------------- */

struct target {
	int sock;
	int err;
	size_t count;
	char name[TXL_NAME_LEN];
};

static void *target_main(void *data)
{
	struct tapxfer *tx = handle();
	struct target *t = data;
	struct tapxfer_channel *ch = channel(tx, t->sock, 0);

	t->err = tapxfer_recv(ch);
	if (!t->err)
		t->err = tapxfer_recv_state(ch, -1);
	if (!t->err)
		t->err = tapxfer_recv_accept(ch);
	if (!t->err)
		t->err = tapxfer_recv_thaw(ch);
	t->count = tapxfer_channel_count(ch);
	if (t->count)
		snprintf(t->name, sizeof(t->name), "%s",
			 tapxfer_channel_name(ch, t->count - 1));
	tapxfer_channel_free(ch);
	close(t->sock);
	tapxfer_close(tx);
	return NULL;
}

static int source_main(struct tapxfer *tx, int sock, int devs)
{
	struct tapxfer_channel *ch = channel(tx, sock, 0);
	char name[TXL_NAME_LEN];
	int i, err = 0;

	for (i = 0; !err && i < devs; i++) {
		snprintf(name, sizeof(name), "%063d", i);
		err = tapxfer_channel_add(ch, name, 0, NULL, 0, 0);
	}
	if (!err)
		err = tapxfer_send(ch);
	if (!err)
		err = tapxfer_send_hold(ch);
	if (!err)
		err = tapxfer_send_state(ch, -1);
	if (!err)
		err = tapxfer_send_release(ch);
	tapxfer_channel_free(ch);
	return err;
}

static void both_sides(int devs)
{
	struct tapxfer *tx = handle();
	struct target t = { 0 };
	pthread_t thread;
	int socks[2], err;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks);
	t.sock = socks[1];
	pthread_create(&thread, NULL, target_main, &t);
	err = source_main(tx, socks[0], devs);
	pthread_join(thread, NULL);
	CHECK(!err && !t.err && (int)t.count == devs &&
	      atoi(t.name) == devs - 1,
	      "%d devices that stay: %d %d %s", devs, err, t.err,
	      tapxfer_error(tx));
	close(socks[0]);
	tapxfer_close(tx);
}

/* -- one gives up before the other has the second socket ------------------ */

struct early {
	struct tapxfer *tx;
	struct tapxfer_channel *ch;
	bool source;
	int err;
};

static void *early_main(void *data)
{
	struct early *e = data;

	if (e->source)
		tapxfer_channel_add(e->ch, "net0", 0, NULL, 0, 0);
	e->err = e->source ? tapxfer_send(e->ch) : tapxfer_recv(e->ch);
	return NULL;
}

/* The second one tells nothing but that it was closed. */
static void early_reason(bool source)
{
	struct early side[2] = { 0 }, *other = &side[source ? 1 : 0];
	struct early *quitter = &side[source ? 0 : 1];
	int first[2], second[2], i, err;
	pthread_t thread;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, first);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, second);
	for (i = 0; i < 2; i++) {
		side[i].tx = handle();
		side[i].ch = channel(side[i].tx, first[i],
				     TAPXFER_CHANNEL_EARLY);
		side[i].source = !i;
	}
	pthread_create(&thread, NULL, early_main, &side[1]);
	early_main(&side[0]);
	pthread_join(thread, NULL);
	tapxfer_channel_refuse(quitter->ch, -EDOM, "no second one");
	close(second[1]);
	err = other->source ? tapxfer_send_state(other->ch, second[0]) :
			      tapxfer_recv_state(other->ch, second[0]);
	CHECK(!side[0].err && !side[1].err && err == -ECONNREFUSED &&
	      strstr(tapxfer_error(other->tx), "no second one"),
	      "the %s gives up before the second socket: %s",
	      source ? "source" : "target", tapxfer_error(other->tx));
	close(second[0]);
	for (i = 0; i < 2; i++) {
		tapxfer_channel_free(side[i].ch);
		tapxfer_close(side[i].tx);
		close(first[i]);
	}
}

/* -- descriptors --------------------------------------------------------- */

static int lowest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* One is the channel's own for the socket, and no other is needed before. */
static void descriptors(void)
{
	struct tapxfer_channel *ch[2];
	struct tapxfer *tx = handle();
	struct rlimit old, lim;
	char text[256];
	int socks[2], i;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks);
	getrlimit(RLIMIT_NOFILE, &old);
	lim = old;
	for (i = 0; i < 2; i++) {
		lim.rlim_cur = (rlim_t)lowest() + (rlim_t)i;
		setrlimit(RLIMIT_NOFILE, &lim);
		ch[i] = channel(tx, socks[0], 0);
		setrlimit(RLIMIT_NOFILE, &old);
		if (!i)
			snprintf(text, sizeof(text), "%s", tapxfer_error(tx));
	}
	CHECK(!ch[0] && strstr(text, "RLIMIT_NOFILE"), "no descriptor: %s",
	      text);
	CHECK(ch[1], "one descriptor: %s", tapxfer_error(tx));
	for (i = 0; i < 2; i++) {
		tapxfer_channel_free(ch[i]);
		close(socks[i]);
	}
	tapxfer_close(tx);
}

/* -- what a call refuses ------------------------------------------------- */

static void misuse(void)
{
	struct tapxfer_channel_opts opts = { .size = sizeof(opts) };
	struct tapxfer *tx = handle();
	struct tapxfer_channel *ch;
	int socks[2], dgram[2], i;
	char name[16];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, dgram);
	opts.sock = dgram[0];
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -EPROTOTYPE && !ch,
	      "no stream: %s", tapxfer_error(tx));
	opts.sock = 0xffff;
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -EBADF,
	      "no descriptor: %s", tapxfer_error(tx));
	opts.sock = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -ENOTSOCK,
	      "no socket: %s", tapxfer_error(tx));
	close(opts.sock);
	opts.sock = socks[0];
	opts.size = 8;
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -EINVAL, "no size: %s",
	      tapxfer_error(tx));
	opts.size = sizeof(opts);
	opts.flags = 1U << 31;
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -EINVAL,
	      "an unknown flag: %s", tapxfer_error(tx));
	opts.flags = 0;
	opts.set = TAPXFER_CHANNEL_OPT_PEER_PID;
	opts.peer_pid = getpid() + 1;
	CHECK(tapxfer_channel_new(tx, &opts, &ch) == -EPERM,
	      "another process: %s", tapxfer_error(tx));
	opts.peer_pid = getpid();
	CHECK(!tapxfer_channel_new(tx, &opts, &ch), "this process: %s",
	      tapxfer_error(tx));

	CHECK(tapxfer_send(ch) == -EINVAL, "no device: %s", tapxfer_error(tx));
	tapxfer_channel_free(ch);
	tapxfer_channel_new(tx, &opts, &ch);
	CHECK(tapxfer_channel_add(ch, "", 0, NULL, 0, 0) == -EINVAL &&
	      tapxfer_channel_add(ch, "a b", 0, NULL, 0, 0) == -EINVAL &&
	      tapxfer_channel_add(ch, NULL, 0, NULL, 0, 0) == -EINVAL,
	      "names that are none: %s", tapxfer_error(tx));
	CHECK(!tapxfer_channel_add(ch, "a", 0, NULL, 0, 0) &&
	      tapxfer_channel_add(ch, "a", 0, NULL, 0, 0) == -EEXIST,
	      "a name twice: %s", tapxfer_error(tx));
	for (i = 1; i < TXL_DEVS_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		tapxfer_channel_add(ch, name, 0, NULL, 0, 0);
	}
	CHECK(tapxfer_channel_count(ch) == TXL_DEVS_MAX &&
	      tapxfer_channel_add(ch, "b", 0, NULL, 0, 0) == -E2BIG,
	      "more than any: %s", tapxfer_error(tx));
	CHECK(tapxfer_recv_state(ch, -1) == -EINVAL &&
	      tapxfer_send_release(ch) == -EINVAL, "out of order: %s",
	      tapxfer_error(tx));
	tapxfer_channel_free(ch);
	CHECK(!tapxfer_outcome_name(99) &&
	      !strcmp(tapxfer_outcome_name(TAPXFER_OUTCOME_LOST), "lost"),
	      "names of outcomes");
	tapxfer_channel_free(NULL);
	for (i = 0; i < 2; i++) {
		close(socks[i]);
		close(dgram[i]);
	}
	tapxfer_close(tx);
}

/* -- messages that were damaged on their way ----------------------------- */

static uint32_t rnd(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33);
}

/* What a source says up to its offer, as bytes */
static size_t record(char *buf, size_t size)
{
	struct tapxfer *tx = handle();
	struct tapxfer_channel *ch;
	struct txl_out out;
	struct nlattr *nest;
	int socks[2];
	ssize_t len;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks);
	ch = channel(tx, socks[0], 0);
	ch->side = TXL_SIDE_SOURCE;
	txl_send_hello(ch, TXL_KIND_ONLY);
	txl_out_init(ch, &out);
	mnl_attr_put_u32(out.nlh, TXL_A_TRANSPORT, TAPXFER_TRANSPORT_FDS);
	mnl_attr_put_u32(out.nlh, TXL_A_DRAIN, 0);
	nest = mnl_attr_nest_start(out.nlh, TXL_A_DEV);
	mnl_attr_put_strz(out.nlh, TXL_A_NAME, "net0");
	mnl_attr_put_u32(out.nlh, TXL_A_MODE, TXL_MODE_OFF);
	mnl_attr_put_u32(out.nlh, TXL_A_QUEUES, 4);
	mnl_attr_nest_end(out.nlh, nest);
	txl_conn_send(ch, TXL_MSG_OFFER, &out);
	txl_out_free(&out);
	txl_send_empty(ch, TXL_MSG_GIVEN);
	txl_send_empty(ch, TXL_MSG_FROZEN);
	len = recv(socks[1], buf, size, 0);
	ch->phase = TXL_PHASE_FAILED;
	tapxfer_channel_free(ch);
	close(socks[0]);
	close(socks[1]);
	tapxfer_close(tx);
	return len > 0 ? (size_t)len : 0;
}

/* One target, whom @buf is said to, some of it with files */
static int take(struct tapxfer *tx, const char *buf, size_t len, bool files)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct tapxfer_channel *ch;
	int socks[2], err;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks);
	ch = channel(tx, socks[1], 0);
	if (files) {
		int fd = 0;

		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	if (len)
		sendmsg(socks[0], &msg, MSG_NOSIGNAL);
	shutdown(socks[0], SHUT_WR);
	err = tapxfer_recv(ch);
	if (!err)
		err = tapxfer_recv_state(ch, -1);
	tapxfer_channel_free(ch);
	close(socks[0]);
	close(socks[1]);
	return err;
}

static void damaged(void)
{
	struct tapxfer *tx = handle();
	char good[4096], bad[4096];
	size_t len, at, i, n;
	int before, wrong = 0;

	len = record(good, sizeof(good));
	before = lowest();
	CHECK(len && !take(tx, good, len, false), "as it was said: %s",
	      tapxfer_error(tx));
	for (at = 0; at < len; at++)
		wrong += !take(tx, good, at, false);
	CHECK(!wrong, "cut off after each of %zu bytes", len);
	CHECK(take(tx, good, len, true) == -EPROTO, "with a file: %s",
	      tapxfer_error(tx));

	for (i = 0; i < 20000; i++) {
		memcpy(bad, good, len);
		for (n = 1 + rnd() % 4; n; n--)
			bad[rnd() % len] = (char)rnd();
		take(tx, bad, len, !(rnd() % 8));
		/* a text for each is all that can be said in general */
	}
	CHECK(lowest() == before, "20000 that were damaged: no descriptor is left");
	tapxfer_close(tx);
}

/* Runs, gaps, and what lies in between and is somebody else's */
static void closing(void)
{
	static const int ours[] = { 60, 61, 62, 64, 70, 69, 80, 81 };
	static const int others[] = { 59, 63, 65, 68, 71, 79, 82 };
	size_t i, open = 0, left = 0;
	int fd = dup(0);

	for (i = 0; i < ARRAY_SIZE(ours); i++)
		dup2(fd, ours[i]);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		dup2(fd, others[i]);
	txl_close_all(ours, ARRAY_SIZE(ours));
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		left += fcntl(ours[i], F_GETFD) >= 0;
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		open += fcntl(others[i], F_GETFD) >= 0;
		close(others[i]);
	}
	close(fd);
	CHECK(!left && open == ARRAY_SIZE(others),
	      "close: these descriptors, and none beside");
}

int main(void)
{
	misuse();
	closing();
	both_sides(1);
	both_sides(TXL_DEVS_MAX);
	early_reason(true);
	early_reason(false);
	descriptors();
	damaged();
	return !!failures;
}
