// SPDX-License-Identifier: GPL-2.0
/*
 * G6: the token is in the reply to the call that began the handover, and
 * nowhere else: in no other reply, dump, event, error, log or trace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <kselftest_harness.h>

#include <linux/genetlink.h>

#include "agent.h"
#include "genl.h"
#include "net.h"
#include "secret.h"
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
	struct agent other;	/* who has been told the token, and no file */
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
	struct secret_search s;
	char *text;		/* of logs */
	unsigned int replies;	/* that were searched */
	unsigned int events;
};

FIXTURE_SETUP(token)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, agent_start(&self->other));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, genl_open(&self->listener));
	self->text = malloc(ROOM);
	ASSERT_NE(NULL, self->text);
}

FIXTURE_TEARDOWN(token)
{
	agent_kill(&self->other);
	genl_close(&self->listener);
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->tap);
	free(self->text);
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
			if (secret_is_in(nlh, nlh->nlmsg_len, self->token))
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
		if (secret_is_in(buf, n, self->token))
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

/* Takes part, and keeps the token where a command would: in a memfd. */
static long take_part(struct agent_self *self, long unused, long unused2)
{
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("token", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, &self->x.token, sizeof(self->x.token)) !=
	    sizeof(self->x.token))
		return -EIO;
	return tapxfer_drain(self->x.tx, self->x.id, &self->x.token, 0, NULL);
}

/*
 * What the kernel tells of the descriptors of both, of its sockets, and of the
 * module: how many files have it, or -errno.
 */
static int search_files(FIXTURE_DATA(token) *self)
{
	char other[64];
	const char *paths[] = {
		"/proc/self/fdinfo", other, "/proc/self/net",
		"/sys/module/tapxfer",
	};
	unsigned int files;
	size_t i;
	int err;

	snprintf(other, sizeof(other), "/proc/%d/fdinfo", self->other.pid);
	self->s.token = self->token;
	self->s.found = 0;
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		files = self->s.files;
		err = secret_search(&self->s, paths[i]);
		if (err)
			return err;
		/* three streams and some more; as many as a module has */
		if (self->s.files < files + 5)
			return -ENODATA;
	}
	return self->s.found;
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
	EXPECT_EQ(0, search_files(self)) \
		TH_LOG("%s", self->s.last); \
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
	struct xfer shown = {};
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
	EXPECT_TRUE(secret_is_in(self->g.reply, 64 << 10, self->token));
	memcpy(self->text, "..5a.", 5);
	memcpy(self->text + 5, self->token + 3, SECRET_PART);
	EXPECT_TRUE(secret_is_in(self->text, 5 + SECRET_PART, self->token));
	EXPECT_FALSE(secret_is_in(self->text, 4 + SECRET_PART, self->token));

	LOOK_AROUND();
	GO_ON(0, HOLD, self->token);
	LOOK_AROUND();
	GO_ON(0, FREEZE, self->token);
	LOOK_AROUND();
	GO_ON(0, DRAIN, self->token);
	shown.id = self->id;
	memcpy(&shown.token, self->token, sizeof(shown.token));
	EXPECT_EQ(0, agent_call(&self->other, &shown, take_part, 0, 0));
	LOOK_AROUND();
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
	EXPECT_FALSE(secret_is_in(first, sizeof(first), self->token));
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
	EXPECT_FALSE(secret_is_in(self->text, len, self->token));
	EXPECT_FALSE(secret_is_in(self->text, len, first));
	len = slurp("/dev/kmsg", self->text);
	ASSERT_LT(0, len);
	EXPECT_FALSE(secret_is_in(self->text, len, self->token));
	EXPECT_FALSE(secret_is_in(self->text, len, first));
	TH_LOG("%u replies, %u events", self->replies, self->events);
	EXPECT_LT(50, self->replies);
	/* each of the steps, twice the beginning and an end */
	EXPECT_LE(11, self->events);
}

/* What is looked through is where it would be seen: such as of an epoll's data. */
TEST_F(token, would_be_found_in_files)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN };
	int i, epoll, sock;

	for (i = 0; i < TAPXFER_TOKEN_LEN; i++)
		self->token[i] = 0xf1 - 7 * i;
	EXPECT_EQ(0, search_files(self));
	EXPECT_STREQ("", self->s.last);

	epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, epoll);
	for (i = 0; i < SECRET_PART; i++)
		event.data.u64 = event.data.u64 << 8 | self->token[i + 3];
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->tap.fds[0], &event));
	EXPECT_EQ(1, search_files(self));
	EXPECT_NE(NULL, strstr(self->s.last, "/fdinfo/"));
	close(epoll);

	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, sock);
	for (i = 0; i < SECRET_PART; i++)
		sprintf(addr.sun_path + 1 + 3 * i, "%02X:", self->token[i + 8]);
	ASSERT_EQ(0, bind(sock, (void *)&addr, sizeof(addr)));
	EXPECT_EQ(1, search_files(self));
	EXPECT_NE(NULL, strstr(self->s.last, "/net/unix"));
	close(sock);
	EXPECT_EQ(0, search_files(self));
}

TEST(a_token_is_found_in_whatever_writing)
{
	static const char * const forms[] = {
		"%02x", "%02X", "%02x:", "%02X:", "%02x ", "%02X ", "%02x-",
		"%02x,", "0x%02x, ", "0x%02X,", "\\x%02x", "\\x%02X", "\\%03o",
		"\\u00%02x",
	};
	/* some that are printed as they are, and some that have names */
	static const uint8_t token[TAPXFER_TOKEN_LEN] =
		"\x01\xfez~\n\\\x7f\xc3" "AB\x80\t\x1b\x99\xa0";
	static const char mixed[] = "..\\x01\\376z~\\n\\\\\\u007F\\xC3";
	char text[256];
	uint8_t b;
	size_t f;
	int at, i, len, other;

	for (f = 0; f < ARRAY_SIZE(forms); f++) {
		for (at = 0; at <= TAPXFER_TOKEN_LEN - SECRET_PART; at++) {
			/* one byte is another one, or none is */
			for (other = -1; other < SECRET_PART; other++) {
				len = sprintf(text, "0 f\\");
				for (i = 0; i < SECRET_PART; i++) {
					b = token[at + i] ^ (i == other);
					len += sprintf(text + len, forms[f], b);
				}
				EXPECT_EQ(other < 0,
					  secret_is_in(text, len, token))
					TH_LOG("%s, %d", text, other);
			}
		}
	}
	EXPECT_TRUE(secret_is_in(mixed, sizeof(mixed) - 1, token));
	EXPECT_FALSE(secret_is_in(mixed, sizeof(mixed) - 2, token));
	EXPECT_TRUE(secret_is_in(token + 5, SECRET_PART, token));
	EXPECT_FALSE(secret_is_in(token + 5, SECRET_PART - 1, token));
}

TEST_HARNESS_MAIN
