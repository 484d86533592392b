// SPDX-License-Identifier: GPL-2.0
/*
 * G6: the token is in the reply to the call that began the handover, and
 * nowhere else: in no other reply, dump, event, error, log or trace.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include <linux/genetlink.h>

#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		2
#define TRACING		"/sys/kernel/tracing/"
#define ROOM		(4 << 20)

FIXTURE(token) {
	struct tap tap;
	struct genl g;
	struct genl listener;
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
	char *text;		/* of logs */
	unsigned int replies;	/* that were searched */
	unsigned int events;
};

FIXTURE_SETUP(token)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, genl_open(&self->listener));
	self->text = malloc(ROOM);
	ASSERT_NE(NULL, self->text);
}

FIXTURE_TEARDOWN(token)
{
	genl_close(&self->listener);
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->tap);
	free(self->text);
}

/* A part of it would be half of the secret: any eight bytes in a row. */
#define PART	8

static bool has_token(const void *where, size_t len, const uint8_t *token)
{
	static const char digits[][17] = {
		"0123456789abcdef", "0123456789ABCDEF",
	};
	char hex[2 * PART];
	int at, i, k;

	for (at = 0; at <= TAPXFER_TOKEN_LEN - PART; at++) {
		if (memmem(where, len, token + at, PART))
			return true;
		for (k = 0; k < 2; k++) {
			for (i = 0; i < PART; i++) {
				hex[2 * i] = digits[k][token[at + i] >> 4];
				hex[2 * i + 1] = digits[k][token[at + i] & 15];
			}
			if (memmem(where, len, hex, sizeof(hex)))
				return true;
		}
	}
	return false;
}

/*
 * Send what was made and search all that comes back, as it comes. The ack's echo
 * of a request is what the caller sent, and not told by the kernel.
 */
static int talk(FIXTURE_DATA(token) *self)
{
	static uint8_t buf[64 << 10];
	struct nlmsghdr *nlh;
	bool more = true;
	int n, err = -EPROTO;

	if (mnl_socket_sendto(self->g.nl, self->g.req,
			      self->g.req->nlmsg_len) < 0)
		return -errno;
	while (more) {
		n = mnl_socket_recvfrom(self->g.nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		self->replies++;
		for (nlh = (void *)buf; mnl_nlmsg_ok(nlh, n);
		     nlh = mnl_nlmsg_next(nlh, &n)) {
			struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type == NLMSG_ERROR) {
				err = e->error;
				if (err && e->msg.nlmsg_len >= NLMSG_HDRLEN &&
				    !(nlh->nlmsg_flags & NLM_F_CAPPED))
					memset(&e->msg, 0, e->msg.nlmsg_len);
				more = false;
			} else if (nlh->nlmsg_type == NLMSG_DONE) {
				err = 0;
				more = false;
			}
			if (has_token(nlh, nlh->nlmsg_len, self->token))
				return -EKEYREJECTED;
		}
	}
	return err;
}

/* The events that have come: -EKEYREJECTED when one has it. */
static int listen_to_all(FIXTURE_DATA(token) *self)
{
	static uint8_t buf[64 << 10];
	ssize_t n;

	while ((n = recv(mnl_socket_get_fd(self->listener.nl), buf, sizeof(buf),
			 MSG_DONTWAIT)) > 0) {
		self->events++;
		if (has_token(buf, n, self->token))
			return -EKEYREJECTED;
	}
	return errno == EAGAIN ? 0 : -errno;
}

/* Of a file, or of the kernel's log, what is there; bytes or -errno. */
static ssize_t slurp(const char *path, char *to)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < ROOM - 8192) {
		n = read(fd, to + len, 8192);
		/* of the log, what was overwritten meanwhile */
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	return len;
}

static int find_group(const struct nlattr *groups)
{
	const struct nlattr *g, *a;

	mnl_attr_for_each_nested(g, groups)
		mnl_attr_for_each_nested(a, g)
			if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
				return mnl_attr_get_u32(a);
	return -ENOENT;
}

/* The family has one group: join it. */
static int join(struct genl *g)
{
	struct genlmsghdr *genl;
	const struct nlattr *a;
	int group, err;

	genl_new(g, CTRL_CMD_GETFAMILY);
	g->req->nlmsg_type = GENL_ID_CTRL;
	genl = mnl_nlmsg_get_payload(g->req);
	genl->version = 1;
	mnl_attr_put_strz(g->req, CTRL_ATTR_FAMILY_NAME, TAPXFER_FAMILY_NAME);
	err = genl_talk(g);
	a = err ? NULL : genl_attr(g, CTRL_ATTR_MCAST_GROUPS);
	if (!a)
		return err ?: -ENOENT;
	group = find_group(a);
	if (group < 0)
		return group;
	return mnl_socket_setsockopt(g->nl, NETLINK_ADD_MEMBERSHIP, &group,
				     sizeof(group)) ? -errno : 0;
}

#define GO_ON(expected, cmd, token_, ...) do { \
	genl_go_on(&self->g, TAPXFER_CMD_##cmd, self->id, token_); \
	__VA_ARGS__; \
	EXPECT_EQ(expected, talk(self)) \
		TH_LOG("%s", #cmd); \
	EXPECT_EQ(0, listen_to_all(self)) \
		TH_LOG("the event of %s", #cmd); \
} while (0)

#define SHARED mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL)

/* What changes nothing, in each state; and what fails in it. */
#define LOOK_AROUND() do { \
	GO_ON(0, HANDOVER_GET, NULL); \
	GO_ON(0, HANDOVER_GET, NULL, \
	      self->g.req->nlmsg_flags |= NLM_F_DUMP, \
	      self->g.req->nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN); \
	genl_new(&self->g, TAPXFER_CMD_DEV_GET); \
	mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX, \
			 self->tap.ifindex); \
	EXPECT_EQ(0, talk(self)); \
	genl_new(&self->g, TAPXFER_CMD_DEV_GET); \
	self->g.req->nlmsg_flags |= NLM_F_DUMP; \
	EXPECT_EQ(0, talk(self)); \
	GO_ON(-EINVAL, CLAIM, NULL); \
	GO_ON(-EPERM, CLAIM, other); \
	GO_ON(-EPERM, ABORT, other); \
	GO_ON(-EPERM, THAW, other, SHARED); \
	/* another one that begins */ \
	genl_begin(&self->g, TAPXFER_CMD_FREEZE, self->tap.ifindex, \
		   self->tap.fds, QUEUES); \
	EXPECT_EQ(-EBUSY, talk(self)); \
} while (0)

#define BEGIN(cmd) do { \
	const struct nlattr *a_; \
	\
	genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds, QUEUES); \
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_DEADLINE, \
			 XFER_PATIENCE_MS); \
	ASSERT_EQ(0, genl_talk(&self->g)); \
	a_ = genl_attr(&self->g, TAPXFER_A_HANDOVER_TOKEN); \
	ASSERT_NE(NULL, a_); \
	memcpy(self->token, mnl_attr_get_payload(a_), TAPXFER_TOKEN_LEN); \
	self->id = genl_u32(&self->g, TAPXFER_A_HANDOVER_ID); \
	EXPECT_EQ(0, listen_to_all(self)); \
} while (0)

TEST_F(token, is_told_once)
{
	uint8_t other[TAPXFER_TOKEN_LEN] = {};
	static const uint8_t none[TAPXFER_TOKEN_LEN];
	uint8_t first[TAPXFER_TOKEN_LEN];
	ssize_t len;

	ASSERT_EQ(0, join(&self->listener));
	ASSERT_EQ(0, write_string(TRACING "trace", ""));
	ASSERT_EQ(0, write_string(TRACING "events/tapxfer/enable", "1"));
	/* error texts, since Linux 5.11 */
	if (!kernel_before(5, 11)) {
		ASSERT_EQ(0, write_string(TRACING "events/netlink/enable",
					  "1"));
	}

	BEGIN(TAPXFER_CMD_PREPARE);
	EXPECT_NE(0, memcmp(none, self->token, sizeof(none)));
	/* what looks for it finds it where it is, and where half of it is */
	EXPECT_TRUE(has_token(self->g.reply, 64 << 10, self->token));
	memcpy(self->text, "..5a.", 5);
	memcpy(self->text + 5, self->token + 3, PART);
	EXPECT_TRUE(has_token(self->text, 5 + PART, self->token));
	EXPECT_FALSE(has_token(self->text, 4 + PART, self->token));

	LOOK_AROUND();
	GO_ON(0, HOLD, self->token);
	LOOK_AROUND();
	GO_ON(0, FREEZE, self->token);
	LOOK_AROUND();
	GO_ON(0, DRAIN, self->token);
	GO_ON(-EPROTO, THAW, self->token);
	GO_ON(0, CLAIM, self->token);
	LOOK_AROUND();
	GO_ON(0, PASS, self->token,
	      mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_PID, getpid()));
	GO_ON(0, READY, self->token, SHARED);
	LOOK_AROUND();
	GO_ON(0, THAW, self->token, SHARED);
	memcpy(first, self->token, sizeof(first));
	GO_ON(-ENOENT, THAW, self->token);

	ASSERT_TRUE(wait_until(module_users() == 0, SOON_MS));
	BEGIN(TAPXFER_CMD_FREEZE);
	/* it is another one each time, and the old one is worth nothing */
	EXPECT_FALSE(has_token(first, sizeof(first), self->token));
	GO_ON(-EPERM, ABORT, first);
	GO_ON(0, ABORT, self->token);

	EXPECT_EQ(0, write_string(TRACING "events/tapxfer/enable", "0"));
	if (!kernel_before(5, 11)) {
		EXPECT_EQ(0, write_string(TRACING "events/netlink/enable",
					  "0"));
	}
	len = slurp(TRACING "trace", self->text);
	ASSERT_LT(0, len);
	/* or nothing was traced */
	EXPECT_NE(NULL, memmem(self->text, len, "tapxfer_state", 13));
	if (!kernel_before(5, 11)) {
		EXPECT_NE(NULL, memmem(self->text, len, "netlink_extack", 14));
	}
	EXPECT_FALSE(has_token(self->text, len, self->token));
	EXPECT_FALSE(has_token(self->text, len, first));
	len = slurp("/dev/kmsg", self->text);
	ASSERT_LT(0, len);
	EXPECT_FALSE(has_token(self->text, len, self->token));
	EXPECT_FALSE(has_token(self->text, len, first));
	TH_LOG("%u replies, %u events", self->replies, self->events);
	EXPECT_LT(50, self->replies);
	/* each of the steps, twice the beginning and an end */
	EXPECT_LE(11, self->events);
}

TEST_HARNESS_MAIN
