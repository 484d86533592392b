// SPDX-License-Identifier: GPL-2.0
/*
 * Bad input: a documented errno, a text of its own, and nothing happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include <linux/capability.h>
#include <linux/genetlink.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		4
#define FLOWS		64
#define NOBODY		65534

FIXTURE(input) {
	struct tap tap;
	struct genl g;
	struct sender s;
	struct capture c;
	struct tally t;
	uint32_t written;
	/* a handover, once there is one */
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
};

FIXTURE_SETUP(input)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(input)
{
	if (self->id) {
		genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, self->token);
		genl_talk(&self->g);
	}
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	capture_close(&self->c);
	tally_free(&self->t);
}

/* The request that was made is refused: with that errno, for that reason. */
#define EXPECT_REFUSED(err, why) do { \
	EXPECT_EQ(-(err), genl_talk(&self->g)); \
	EXPECT_STREQ(why, self->g.msg); \
} while (0)

/* The same, and it points at the @nth attribute of that number. */
#define EXPECT_BLAMED(err, why, attr, nth) do { \
	EXPECT_REFUSED(err, why); \
	EXPECT_EQ(attr, self->g.bad_attr); \
	EXPECT_EQ(nth, self->g.bad_nth); \
} while (0)

/* The device is in no handover, and works in both directions. */
#define EXPECT_UNHARMED() do { \
	int q_; \
	genl_new(&self->g, TAPXFER_CMD_DEV_GET); \
	mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX, \
			 self->tap.ifindex); \
	EXPECT_EQ(0, genl_talk(&self->g)); \
	EXPECT_EQ(NULL, genl_attr(&self->g, TAPXFER_A_DEV_HANDOVER)); \
	ASSERT_EQ(0, sender_send(&self->s, FLOWS)); \
	EXPECT_EQ(FLOWS, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	for (q_ = 0; q_ < QUEUES; q_++) \
		EXPECT_EQ(0, tap_write_one(&self->tap, q_, self->written++)); \
	EXPECT_EQ(QUEUES, capture_read(&self->c)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->c.t.dup); \
} while (0)

/* The request that was made, through @g, begins a handover. */
#define EXPECT_BEGUN(g) do { \
	const struct nlattr *tok_; \
	ASSERT_EQ(0, genl_talk(g)); \
	self->id = genl_u32(g, TAPXFER_A_HANDOVER_ID); \
	tok_ = genl_attr(g, TAPXFER_A_HANDOVER_TOKEN); \
	ASSERT_NE(NULL, tok_); \
	memcpy(self->token, mnl_attr_get_payload(tok_), TAPXFER_TOKEN_LEN); \
} while (0)

/* A handover that works, for what needs one */
#define BEGIN(cmd) do { \
	genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds, QUEUES); \
	EXPECT_BEGUN(&self->g); \
} while (0)

#define GO_ON(cmd) genl_go_on(&self->g, cmd, self->id, self->token)

#define END() do { \
	GO_ON(TAPXFER_CMD_ABORT); \
	ASSERT_EQ(0, genl_talk(&self->g)); \
	self->id = 0; \
} while (0)

/* -- files ------------------------------------------------------------------ */

/* Each of the commands that begin a handover takes the files. */
static const uint8_t beginners[] = {
	TAPXFER_CMD_PREPARE, TAPXFER_CMD_HOLD, TAPXFER_CMD_FREEZE,
};

#define FOR_EACH_BEGINNER(cmd) \
	for (size_t i_ = 0; i_ < ARRAY_SIZE(beginners) && \
	     ((cmd) = beginners[i_], true); i_++)

/* File number @at is @fd instead. */
#define EXPECT_FILE_REFUSED(err, why, at, fd) do { \
	struct tap bad_ = self->tap; \
	uint8_t cmd_; \
	bad_.fds[at] = fd; \
	FOR_EACH_BEGINNER(cmd_) { \
		genl_begin(&self->g, cmd_, bad_.ifindex, bad_.fds, QUEUES); \
		EXPECT_BLAMED(err, why, TAPXFER_A_HANDOVER_FD, at); \
	} \
	EXPECT_UNHARMED(); \
} while (0)

TEST_F(input, a_file_that_is_not_tuns)
{
	int fd = open("/dev/null", O_RDWR);
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	EXPECT_FILE_REFUSED(EOPNOTSUPP, "the file is no tun file", 0, fd);
	EXPECT_FILE_REFUSED(EOPNOTSUPP, "the file is no tun file", 3, sock);
}

TEST_F(input, a_file_of_a_tap_but_not_tuns)
{
	char path[64];
	int fd;

	/* macvtap's queue files look the same to a VMM */
	ASSERT_EQ(0, shell("modprobe macvtap"));
	ASSERT_EQ(0, shell("ip link add dum0 type dummy && ip link set dum0 up && "
			   "ip link add link dum0 name mvt0 type macvtap && "
			   "ip link set mvt0 up"));
	snprintf(path, sizeof(path), "/dev/tap%u", if_nametoindex("mvt0"));
	/* devtmpfs takes a moment */
	ASSERT_TRUE(wait_until(!access(path, F_OK), SOON_MS));
	fd = open(path, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_FILE_REFUSED(EOPNOTSUPP, "the file is no tun file", 1, fd);
	close(fd);

	genl_begin(&self->g, TAPXFER_CMD_PREPARE, if_nametoindex("mvt0"),
		   self->tap.fds, QUEUES);
	EXPECT_BLAMED(EOPNOTSUPP, "the device is not a tun or tap",
		      TAPXFER_A_HANDOVER_IFINDEX, 0);
}

TEST_F(input, a_descriptor_that_is_closed)
{
	EXPECT_FILE_REFUSED(EBADF,
			    "no such file descriptor in the calling process",
			    0, -1);
	EXPECT_FILE_REFUSED(EBADF,
			    "no such file descriptor in the calling process",
			    2, 999);
	EXPECT_FILE_REFUSED(EBADF,
			    "no such file descriptor in the calling process",
			    3, 0x7fffffff);
}

TEST_F(input, a_descriptor_of_an_o_path_file)
{
	int fd = open("/dev/net/tun", O_PATH);

	EXPECT_FILE_REFUSED(EBADF,
			    "no such file descriptor in the calling process",
			    0, fd);
}

TEST_F(input, a_file_given_twice)
{
	static const char why[] =
		"the same file is given twice, under this descriptor or a duplicate";

	EXPECT_FILE_REFUSED(EINVAL, why, 1, self->tap.fds[0]);
	EXPECT_FILE_REFUSED(EINVAL, why, 3, dup(self->tap.fds[0]));
}

TEST_F(input, a_file_of_another_device)
{
	static const char why[] = "the file is a queue of another device";
	struct tap other;

	ASSERT_EQ(0, tap_open(&other, "tap1", 2, TAP_VM));
	EXPECT_FILE_REFUSED(EXDEV, why, 0, other.fds[0]);
	EXPECT_FILE_REFUSED(EXDEV, why, 3, other.fds[1]);
	/* all of them right, but another's */
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex, other.fds,
		   2);
	EXPECT_BLAMED(EXDEV, why, TAPXFER_A_HANDOVER_FD, 0);
	tap_close(&other);
}

/* A name proves nothing: two network namespaces can have the same. */
TEST_F(input, a_file_of_a_namesake_in_another_netns)
{
	struct tap other;
	int home = net_leave();

	ASSERT_LE(0, home);
	/* as it happens, with the same index too */
	ASSERT_EQ(0, tap_open(&other, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(self->tap.ifindex, other.ifindex);
	ASSERT_EQ(0, net_enter(home));
	EXPECT_FILE_REFUSED(EXDEV, "the file is a queue of another device", 0,
			    other.fds[0]);
	tap_close(&other);
}

TEST_F(input, a_file_that_is_attached_to_no_device)
{
	EXPECT_FILE_REFUSED(EBADFD,
			    "the file is attached to no device, TUNSETIFF comes first",
			    2, open("/dev/net/tun", O_RDWR));
}

TEST_F(input, a_missing_queue)
{
	static const char why[] =
		"queue files are missing: give all of the device's, detached ones too";
	uint8_t cmd;
	int n;

	FOR_EACH_BEGINNER(cmd) {
		for (n = 1; n < QUEUES; n++) {
			genl_begin(&self->g, cmd, self->tap.ifindex,
				   self->tap.fds + QUEUES - n, n);
			EXPECT_REFUSED(EINVAL, why);
		}
	}
	EXPECT_UNHARMED();
}

TEST_F(input, no_files)
{
	uint8_t cmd;

	FOR_EACH_BEGINNER(cmd) {
		genl_begin(&self->g, cmd, self->tap.ifindex, NULL, 0);
		EXPECT_REFUSED(EINVAL,
			       "no queue files given, give all of the device's");
	}
	EXPECT_UNHARMED();
}

TEST_F(input, more_files_than_a_device_can_have_queues)
{
	int fds[TAP_MAX + 1], i;

	for (i = 0; i <= TAP_MAX; i++)
		fds[i] = self->tap.fds[i % QUEUES];
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex, fds,
		   TAP_MAX + 1);
	EXPECT_BLAMED(EINVAL, "more files than a device can have queues",
		      TAPXFER_A_HANDOVER_FD, TAP_MAX);
	/* as many as it can, of which some are the same */
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex, fds,
		   TAP_MAX);
	EXPECT_BLAMED(EINVAL,
		      "the same file is given twice, under this descriptor or a duplicate",
		      TAPXFER_A_HANDOVER_FD, QUEUES);
	EXPECT_UNHARMED();
}

TEST_F(input, a_napi_frags_device)
{
	struct tap frags;

	ASSERT_EQ(0, tap_open(&frags, "frags0", 1,
			      IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS));
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, frags.ifindex, frags.fds, 1);
	EXPECT_BLAMED(EOPNOTSUPP,
		      "IFF_NAPI_FRAGS is not supported: such a device is for tests",
		      TAPXFER_A_HANDOVER_FD, 0);
	tap_close(&frags);

	/* IFF_NAPI alone is */
	ASSERT_EQ(0, tap_open(&frags, "napi0", 1,
			      IFF_TAP | IFF_NO_PI | IFF_NAPI));
	genl_begin(&self->g, TAPXFER_CMD_FREEZE, frags.ifindex, frags.fds, 1);
	EXPECT_BEGUN(&self->g);
	tap_close(&frags);
}

/* -- devices ---------------------------------------------------------------- */

TEST_F(input, a_device_that_is_not_tuns)
{
	ASSERT_EQ(0, shell("ip link add v0 type veth peer name v1"));
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, if_nametoindex("v0"),
		   self->tap.fds, QUEUES);
	EXPECT_BLAMED(EOPNOTSUPP, "the device is not a tun or tap",
		      TAPXFER_A_HANDOVER_IFINDEX, 0);
	genl_new(&self->g, TAPXFER_CMD_DEV_GET);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX,
			 if_nametoindex("v0"));
	EXPECT_BLAMED(EOPNOTSUPP, "the device is not a tun or tap",
		      TAPXFER_A_DEV_IFINDEX, 0);
	EXPECT_UNHARMED();
}

TEST_F(input, a_device_that_does_not_exist)
{
	static const uint32_t no[] = { 4711, 0x7fffffff, 0x80000000, ~0U };
	static const char why[] =
		"no such device in the caller's network namespace";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no); i++) {
		genl_begin(&self->g, TAPXFER_CMD_PREPARE, no[i],
			   self->tap.fds, QUEUES);
		EXPECT_BLAMED(ENODEV, why, TAPXFER_A_HANDOVER_IFINDEX, 0);
		genl_new(&self->g, TAPXFER_CMD_DEV_GET);
		mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX, no[i]);
		EXPECT_BLAMED(ENODEV, why, TAPXFER_A_DEV_IFINDEX, 0);
	}
	EXPECT_UNHARMED();
}

TEST_F(input, no_device)
{
	int q;

	genl_new(&self->g, TAPXFER_CMD_PREPARE);
	for (q = 0; q < QUEUES; q++)
		mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_FD,
				 self->tap.fds[q]);
	EXPECT_REFUSED(EINVAL, "no device given, its ifindex is needed");
	genl_new(&self->g, TAPXFER_CMD_DEV_GET);
	EXPECT_REFUSED(EINVAL, "no device given, its ifindex is needed");
	EXPECT_UNHARMED();
}

TEST_F(input, a_device_of_another_netns)
{
	int home = net_leave();
	struct genl there;

	ASSERT_LE(0, home);
	ASSERT_EQ(0, genl_open(&there));
	ASSERT_EQ(0, net_enter(home));
	genl_begin(&there, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_EQ(-ENODEV, genl_talk(&there));
	EXPECT_STREQ("no such device in the caller's network namespace",
		     there.msg);
	genl_close(&there);
	EXPECT_UNHARMED();
}

TEST_F(input, a_device_that_is_in_a_handover_already)
{
	uint8_t cmd;

	BEGIN(TAPXFER_CMD_PREPARE);
	FOR_EACH_BEGINNER(cmd) {
		genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds,
			   QUEUES);
		EXPECT_BLAMED(EBUSY,
			      "the file is in a handover already, end that one first",
			      TAPXFER_A_HANDOVER_FD, 0);
	}
	/* not by the file either: no device can be asked through it */
	genl_new(&self->g, TAPXFER_CMD_DEV_GET);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX, self->tap.ifindex);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_FD, self->tap.fds[0]);
	EXPECT_BLAMED(EBUSY,
		      "the file is in a handover, ask for that one's state",
		      TAPXFER_A_DEV_FD, 0);
	GO_ON(TAPXFER_CMD_HOLD);
	EXPECT_EQ(0, genl_talk(&self->g));
	END();
	EXPECT_UNHARMED();
}

TEST_F(input, a_file_of_another_device_that_is_in_a_handover)
{
	struct tap other;

	BEGIN(TAPXFER_CMD_FREEZE);
	ASSERT_EQ(0, tap_open(&other, "tap1", 2, TAP_VM));
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, other.ifindex,
		   (int []){ other.fds[0], self->tap.fds[0] }, 2);
	EXPECT_BLAMED(EBUSY,
		      "the file is in a handover already, end that one first",
		      TAPXFER_A_HANDOVER_FD, 1);
	tap_close(&other);
	END();
	EXPECT_UNHARMED();
}

TEST_F(input, a_question_with_the_wrong_file)
{
	struct tap other;
	int i;
	static const struct {
		int err;
		const char *why;
	} bad[] = {
		{ EXDEV, "the file is not a queue of the device" },
		{ EBADF, "no such file descriptor in the calling process" },
		{ EOPNOTSUPP, "the file is no tun file" },
		{ EBADFD, "the file is not a queue of the device" },
	};
	int fds[] = { 0, 998, open("/dev/null", O_RDWR),
		      open("/dev/net/tun", O_RDWR) };

	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM));
	fds[0] = other.fds[0];
	for (i = 0; i < 4; i++) {
		genl_new(&self->g, TAPXFER_CMD_DEV_GET);
		mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_IFINDEX,
				 self->tap.ifindex);
		mnl_attr_put_u32(self->g.req, TAPXFER_A_DEV_FD, fds[i]);
		EXPECT_BLAMED(bad[i].err, bad[i].why, TAPXFER_A_DEV_FD, 0);
	}
	tap_close(&other);
	EXPECT_UNHARMED();
}

/* -- numbers ---------------------------------------------------------------- */

#define EXPECT_NUMBER_REFUSED(err, why, cmd, attr, val) do { \
	genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds, QUEUES); \
	mnl_attr_put_u32(self->g.req, attr, val); \
	EXPECT_BLAMED(err, why, attr, 0); \
} while (0)

/* One above the limit, which the family tells. */
static uint32_t above(struct genl *g, unsigned int cap)
{
	genl_new(g, TAPXFER_CMD_CAP_GET);
	return genl_talk(g) ? 0 : genl_u32(g, cap) + 1;
}

TEST_F(input, hold_out_of_range)
{
	uint32_t max = above(&self->g, TAPXFER_A_CAP_HOLD_MAX);
	uint8_t cmd;

	ASSERT_LT(16384, max);
	FOR_EACH_BEGINNER(cmd) {
		EXPECT_NUMBER_REFUSED(EINVAL,
				      "a hold of 0 packets would lose them all",
				      cmd, TAPXFER_A_HANDOVER_HOLD, 0);
		EXPECT_NUMBER_REFUSED(ERANGE,
				      "hold is above hold-max, see cap-get",
				      cmd, TAPXFER_A_HANDOVER_HOLD, max);
		EXPECT_NUMBER_REFUSED(ERANGE,
				      "hold is above hold-max, see cap-get",
				      cmd, TAPXFER_A_HANDOVER_HOLD, ~0U);
	}
	EXPECT_UNHARMED();
	/* the limit itself is not above it */
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_HOLD, max - 1);
	EXPECT_BEGUN(&self->g);
}

TEST_F(input, hold_below_what_is_queued)
{
	int queued;

	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	genl_begin(&self->g, TAPXFER_CMD_FREEZE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_HOLD, 1);
	EXPECT_REFUSED(EINVAL,
		       "a queue has more packets than it shall hold, ask for a larger hold");
	queued = tap_read_all(&self->tap, &self->t);
	EXPECT_EQ(10 * FLOWS, queued);
	EXPECT_UNHARMED();
}

TEST_F(input, deadline_out_of_range)
{
	uint32_t max = above(&self->g, TAPXFER_A_CAP_DEADLINE_MAX);
	uint8_t cmd;

	ASSERT_LT(10000, max);
	FOR_EACH_BEGINNER(cmd) {
		EXPECT_NUMBER_REFUSED(EINVAL,
				      "a deadline of 0 ms would abort at once",
				      cmd, TAPXFER_A_HANDOVER_DEADLINE, 0);
		EXPECT_NUMBER_REFUSED(ERANGE,
				      "deadline is above deadline-max, see cap-get",
				      cmd, TAPXFER_A_HANDOVER_DEADLINE, max);
		EXPECT_NUMBER_REFUSED(ERANGE,
				      "deadline is above deadline-max, see cap-get",
				      cmd, TAPXFER_A_HANDOVER_DEADLINE, ~0U);
	}
	EXPECT_UNHARMED();
}

TEST_F(input, timeout_out_of_range)
{
	static const char why[] =
		"timeout is above timeout-max, see cap-get: freeze again instead";
	uint32_t max = above(&self->g, TAPXFER_A_CAP_TIMEOUT_MAX);

	ASSERT_LT(1, max);
	EXPECT_NUMBER_REFUSED(ERANGE, why, TAPXFER_CMD_FREEZE,
			      TAPXFER_A_HANDOVER_TIMEOUT, max);
	EXPECT_NUMBER_REFUSED(ERANGE, why, TAPXFER_CMD_FREEZE,
			      TAPXFER_A_HANDOVER_TIMEOUT, ~0U);
	EXPECT_UNHARMED();

	BEGIN(TAPXFER_CMD_PREPARE);
	GO_ON(TAPXFER_CMD_FREEZE);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_TIMEOUT, max);
	EXPECT_BLAMED(ERANGE, why, TAPXFER_A_HANDOVER_TIMEOUT, 0);
	END();
	EXPECT_UNHARMED();
}

/* -- id, token and state ---------------------------------------------------- */

static const uint8_t goers_on[] = {
	TAPXFER_CMD_HOLD, TAPXFER_CMD_FREEZE, TAPXFER_CMD_CLAIM,
	TAPXFER_CMD_THAW, TAPXFER_CMD_ABORT,
};

TEST_F(input, an_unknown_id)
{
	static const uint32_t no[] = { 0, 0x7fffffff, ~0U };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(no); i++) {
		for (j = 0; j < ARRAY_SIZE(goers_on); j++) {
			genl_go_on(&self->g, goers_on[j], no[i], self->token);
			EXPECT_BLAMED(ENOENT,
				      "no such handover: it never was, or it has ended",
				      TAPXFER_A_HANDOVER_ID, 0);
		}
		genl_go_on(&self->g, TAPXFER_CMD_HANDOVER_GET, no[i], NULL);
		EXPECT_BLAMED(ENOENT,
			      "no such handover: it never was, or it has ended",
			      TAPXFER_A_HANDOVER_ID, 0);
	}
}

TEST_F(input, a_token_of_a_handover_that_has_ended)
{
	uint8_t stale[TAPXFER_TOKEN_LEN];
	uint32_t ended;
	size_t i;

	BEGIN(TAPXFER_CMD_FREEZE);
	memcpy(stale, self->token, sizeof(stale));
	ended = self->id;
	END();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	for (i = 0; i < ARRAY_SIZE(goers_on); i++) {
		genl_go_on(&self->g, goers_on[i], ended, stale);
		EXPECT_BLAMED(ENOENT,
			      "no such handover: it never was, or it has ended",
			      TAPXFER_A_HANDOVER_ID, 0);
	}
	/* nor is it good for the device's next one */
	BEGIN(TAPXFER_CMD_FREEZE);
	EXPECT_NE(ended, self->id);
	EXPECT_NE(0, memcmp(stale, self->token, sizeof(stale)));
	for (i = 0; i < ARRAY_SIZE(goers_on); i++) {
		genl_go_on(&self->g, goers_on[i], self->id, stale);
		EXPECT_BLAMED(EPERM, "the token is not this handover's",
			      TAPXFER_A_HANDOVER_TOKEN, 0);
	}
	END();
	EXPECT_UNHARMED();
}

TEST_F(input, no_id)
{
	size_t i;

	/* hold and freeze could begin one */
	for (i = 2; i < ARRAY_SIZE(goers_on); i++) {
		genl_new(&self->g, goers_on[i]);
		mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_TOKEN,
			     TAPXFER_TOKEN_LEN, self->token);
		EXPECT_REFUSED(EINVAL, "no handover given, its id is needed");
	}
	for (i = 0; i < 2; i++) {
		genl_begin(&self->g, goers_on[i], self->tap.ifindex,
			   self->tap.fds, QUEUES);
		mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_TOKEN,
			     TAPXFER_TOKEN_LEN, self->token);
		EXPECT_BLAMED(EINVAL, "a token without its handover's id",
			      TAPXFER_A_HANDOVER_TOKEN, 0);
	}
	genl_new(&self->g, TAPXFER_CMD_HANDOVER_GET);
	EXPECT_REFUSED(EINVAL, "no handover given, its id is needed");
	EXPECT_UNHARMED();
}

TEST_F(input, no_token)
{
	size_t i;

	BEGIN(TAPXFER_CMD_FREEZE);
	for (i = 0; i < 4; i++) {
		genl_go_on(&self->g, goers_on[i], self->id, NULL);
		EXPECT_REFUSED(EINVAL,
			       "no token given, the call that began the handover returned it");
	}
	END();
	EXPECT_UNHARMED();
}

TEST_F(input, an_id_and_what_a_new_handover_needs)
{
	static const unsigned int extra[] = {
		TAPXFER_A_HANDOVER_IFINDEX, TAPXFER_A_HANDOVER_FD,
		TAPXFER_A_HANDOVER_HOLD, TAPXFER_A_HANDOVER_DEADLINE,
	};
	size_t i, j;

	BEGIN(TAPXFER_CMD_PREPARE);
	for (i = 0; i < 2; i++) {
		for (j = 0; j < ARRAY_SIZE(extra); j++) {
			GO_ON(goers_on[i]);
			mnl_attr_put_u32(self->g.req, extra[j], 3);
			EXPECT_REFUSED(EINVAL,
				       "give a handover's id and token, or what a new one needs, not both");
		}
	}
	END();
	EXPECT_UNHARMED();
}

TEST_F(input, a_command_in_the_wrong_state)
{
	static const struct {
		uint8_t begin;
		uint8_t cmd;
		const char *why;
	} wrong[] = {
#define PREPARED_	"the handover is only prepared, hold or freeze it first"
#define HOLDING_	"the handover is holding: freeze it, or abort it"
#define FROZEN_		"the handover is frozen: claim it, or abort it"
#define CLAIMED_	"the handover is claimed: thaw it, or abort it"
		{ TAPXFER_CMD_PREPARE, TAPXFER_CMD_CLAIM, PREPARED_ },
		{ TAPXFER_CMD_PREPARE, TAPXFER_CMD_THAW, PREPARED_ },
		{ TAPXFER_CMD_HOLD, TAPXFER_CMD_HOLD, HOLDING_ },
		{ TAPXFER_CMD_HOLD, TAPXFER_CMD_CLAIM, HOLDING_ },
		{ TAPXFER_CMD_HOLD, TAPXFER_CMD_THAW, HOLDING_ },
		{ TAPXFER_CMD_FREEZE, TAPXFER_CMD_HOLD, FROZEN_ },
		{ TAPXFER_CMD_FREEZE, TAPXFER_CMD_FREEZE, FROZEN_ },
		{ TAPXFER_CMD_FREEZE, TAPXFER_CMD_THAW, FROZEN_ },
		{ TAPXFER_CMD_CLAIM, TAPXFER_CMD_HOLD, CLAIMED_ },
		{ TAPXFER_CMD_CLAIM, TAPXFER_CMD_FREEZE, CLAIMED_ },
		{ TAPXFER_CMD_CLAIM, TAPXFER_CMD_CLAIM, CLAIMED_ },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (wrong[i].begin == TAPXFER_CMD_CLAIM) {
			BEGIN(TAPXFER_CMD_FREEZE);
			GO_ON(TAPXFER_CMD_CLAIM);
			ASSERT_EQ(0, genl_talk(&self->g));
		} else {
			BEGIN(wrong[i].begin);
		}
		GO_ON(wrong[i].cmd);
		EXPECT_REFUSED(EPROTO, wrong[i].why);
		END();
	}
	EXPECT_UNHARMED();
}

/* -- messages --------------------------------------------------------------- */

/* What each command takes, and of what size */
static const struct {
	uint8_t cmd;
	uint64_t attrs;		/* bits */
} takes[] = {
#define A(name)		(1ULL << TAPXFER_A_HANDOVER_##name)
	{ TAPXFER_CMD_HANDOVER_GET, A(ID) },
	{ TAPXFER_CMD_PREPARE, A(IFINDEX) | A(FD) | A(HOLD) | A(HOLD_BYTES) |
			       A(DEADLINE) | A(SCRATCH) },
	{ TAPXFER_CMD_HOLD, A(ID) | A(TOKEN) | A(IFINDEX) | A(FD) | A(HOLD) |
			    A(HOLD_BYTES) | A(DEADLINE) | A(SCRATCH) },
	{ TAPXFER_CMD_FREEZE, A(ID) | A(TOKEN) | A(IFINDEX) | A(FD) | A(HOLD) |
			      A(HOLD_BYTES) | A(DEADLINE) | A(TIMEOUT) |
			      A(SCRATCH) | A(BRIEF) },
	{ TAPXFER_CMD_CLAIM, A(ID) | A(TOKEN) | A(NO_FDS) |
			     A(ATTACH_ALL) | A(SCRATCH) | A(BRIEF) |
			     A(NUM_QUEUES) | A(THAW) | A(SHARED) },
	{ TAPXFER_CMD_READY, A(ID) | A(TOKEN) | A(SHARED) | A(SCRATCH) },
	{ TAPXFER_CMD_PASS, A(ID) | A(TOKEN) | A(PID) },
	{ TAPXFER_CMD_DRAIN, A(ID) | A(TOKEN) | A(TIMEOUT) },
	{ TAPXFER_CMD_THAW, A(ID) | A(TOKEN) | A(SHARED) | A(SCRATCH) },
	{ TAPXFER_CMD_ABORT, A(ID) | A(TOKEN) },
	/* of another set, but numbers are numbers */
	{ TAPXFER_CMD_DEV_GET, 1U << TAPXFER_A_DEV_IFINDEX |
			       1U << TAPXFER_A_DEV_FD },
	{ TAPXFER_CMD_CAP_GET, 0 },
#undef A
};

static bool is_token(uint8_t cmd, unsigned int attr)
{
	return cmd != TAPXFER_CMD_DEV_GET && attr == TAPXFER_A_HANDOVER_TOKEN;
}

static size_t size_of(uint8_t cmd, unsigned int attr)
{
	if (is_token(cmd, attr))
		return TAPXFER_TOKEN_LEN;
	if (cmd == TAPXFER_CMD_DEV_GET)
		return 4;
	if (attr == TAPXFER_A_HANDOVER_NO_FDS ||
	    attr == TAPXFER_A_HANDOVER_ATTACH_ALL ||
	    attr == TAPXFER_A_HANDOVER_BRIEF ||
	    attr == TAPXFER_A_HANDOVER_THAW ||
	    attr == TAPXFER_A_HANDOVER_SHARED)
		return 0;
	return attr == TAPXFER_A_HANDOVER_HOLD_BYTES ||
	       attr == TAPXFER_A_HANDOVER_SCRATCH ? 8 : 4;
}

/* Beyond the command's highest; below it; where it takes none at all */
static bool is_unknown(const char *msg)
{
	return !strcmp(msg, "Unknown attribute type") ||
	       !strcmp(msg, "Unsupported attribute") ||
	       !strcmp(msg, "Attribute failed policy validation");
}

/* Attributes of other commands, of answers, and of no command at all */
TEST_F(input, attributes_that_a_command_does_not_take)
{
	static const unsigned int beyond[] = { 63, 255, 0x3fff };
	unsigned int attr;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(takes); i++) {
		for (attr = 1; attr <= TAPXFER_A_HANDOVER_MAX; attr++) {
			if (takes[i].attrs & 1ULL << attr)
				continue;
			genl_new(&self->g, takes[i].cmd);
			mnl_attr_put_u32(self->g.req, attr, 1);
			EXPECT_EQ(-EINVAL, genl_talk(&self->g))
				TH_LOG("command %d, attribute %d", takes[i].cmd,
				       attr);
			EXPECT_TRUE(is_unknown(self->g.msg))
				TH_LOG("command %d, attribute %d: %s",
				       takes[i].cmd, attr, self->g.msg);
		}
		for (j = 0; j < ARRAY_SIZE(beyond); j++) {
			genl_new(&self->g, takes[i].cmd);
			mnl_attr_put_u32(self->g.req, beyond[j], 1);
			EXPECT_EQ(-EINVAL, genl_talk(&self->g));
			EXPECT_STREQ("Unknown attribute type", self->g.msg);
		}
	}
	EXPECT_UNHARMED();
}

TEST_F(input, attributes_of_a_wrong_size)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 100 };
	static const uint8_t zeroes[100];
	unsigned int attr;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(takes); i++) {
		for (attr = 1; attr < 64; attr++) {
			bool token = is_token(takes[i].cmd, attr);
			bool flag = !size_of(takes[i].cmd, attr);

			for (j = 0; j < ARRAY_SIZE(sizes); j++) {
				if (!(takes[i].attrs & 1ULL << attr) ||
				    sizes[j] == size_of(takes[i].cmd, attr))
					continue;
				genl_new(&self->g, takes[i].cmd);
				mnl_attr_put(self->g.req, attr, sizes[j],
					     zeroes);
				EXPECT_EQ(token || flag ? -ERANGE : -EINVAL,
					  genl_talk(&self->g));
				EXPECT_STREQ(token ?
					     "binary attribute size out of range" :
					     flag ?
					     "Attribute failed policy validation" :
					     "invalid attribute length",
					     self->g.msg);
				EXPECT_EQ(attr, self->g.bad_attr);
			}
		}
	}
	EXPECT_UNHARMED();
}

/* Cut off anywhere: never more than an error, and never a handover. */
TEST_F(input, messages_that_are_cut_off)
{
	uint32_t len, full;
	uint8_t cmd;
	int err;

	FOR_EACH_BEGINNER(cmd) {
		genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds,
			   QUEUES);
		full = self->g.req->nlmsg_len;
		for (len = NLMSG_HDRLEN; len < full; len++) {
			genl_begin(&self->g, cmd, self->tap.ifindex,
				   self->tap.fds, QUEUES);
			self->g.req->nlmsg_len = len;
			err = genl_talk(&self->g);
			EXPECT_TRUE(err == -EINVAL || err == -EBADMSG)
				TH_LOG("%u bytes: %d %s", len, err,
				       self->g.msg);
		}
	}
	EXPECT_UNHARMED();
}

TEST_F(input, attributes_whose_length_is_a_lie)
{
	static const uint16_t lies[] = { 0, 1, 3, 9, 200, 0xffff };
	struct nlattr *a;
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		genl_begin(&self->g, TAPXFER_CMD_FREEZE, self->tap.ifindex,
			   self->tap.fds, QUEUES);
		a = mnl_nlmsg_get_payload_offset(self->g.req,
						 sizeof(struct genlmsghdr));
		a->nla_len = lies[i];
		err = genl_talk(&self->g);
		EXPECT_TRUE(err == -EINVAL || err == -EBADMSG)
			TH_LOG("length %u: %d %s", lies[i], err, self->g.msg);
	}
	EXPECT_UNHARMED();
}

/* A prepare waits, with genetlink's lock: not many of them in one datagram. */
TEST_F(input, what_begins_a_handover_with_a_message_behind_it)
{
	static const char why[] =
		"what begins a handover has to be the last message of its datagram";
	const struct nlmsghdr nop = {
		.nlmsg_len = NLMSG_HDRLEN,
		.nlmsg_type = NLMSG_NOOP,
	};
	struct genl_answer a;
	char buf[4096];
	uint8_t cmd;
	size_t len;

	FOR_EACH_BEGINNER(cmd) {
		genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds,
			   QUEUES);
		len = NLMSG_ALIGN(self->g.req->nlmsg_len);
		memset(buf, 0, sizeof(buf));
		memcpy(buf, self->g.req, self->g.req->nlmsg_len);
		memcpy(buf + len, &nop, sizeof(nop));
		ASSERT_LT(0, mnl_socket_sendto(self->g.nl, buf,
					       len + sizeof(nop)));
		memset(&a, 0, sizeof(a));
		genl_take(&self->g, &a);
		EXPECT_TRUE(a.acked && !a.replied);
		EXPECT_EQ(-EINVAL, a.err);
		EXPECT_STREQ(why, self->g.msg);
	}
	EXPECT_UNHARMED();
}

TEST_F(input, an_unknown_command)
{
	genl_new(&self->g, TAPXFER_CMD_EVENT);
	EXPECT_EQ(-EOPNOTSUPP, genl_talk(&self->g));
	genl_new(&self->g, TAPXFER_CMD_MAX + 1);
	EXPECT_EQ(-EOPNOTSUPP, genl_talk(&self->g));
	genl_new(&self->g, 255);
	EXPECT_EQ(-EOPNOTSUPP, genl_talk(&self->g));
	EXPECT_UNHARMED();
}

TEST_F(input, a_dump_with_attributes)
{
	static const uint8_t dumps[] = {
		TAPXFER_CMD_DEV_GET, TAPXFER_CMD_HANDOVER_GET,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dumps); i++) {
		genl_new(&self->g, dumps[i]);
		self->g.req->nlmsg_flags |= NLM_F_DUMP;
		mnl_attr_put_u32(self->g.req, 1, self->tap.ifindex);
		EXPECT_REFUSED(EINVAL, "a dump takes no attributes");
	}
	/* nor is there a dump of the others */
	genl_new(&self->g, TAPXFER_CMD_PREPARE);
	self->g.req->nlmsg_flags |= NLM_F_DUMP;
	EXPECT_EQ(-EOPNOTSUPP, genl_talk(&self->g));
}

/* -- rights ----------------------------------------------------------------- */

/* For good, in this process: what the fixture has open stays open. */
static int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	/* /proc/self is the dumpable's */
	return prctl(PR_SET_DUMPABLE, 1) ? -errno : 0;
}

FIXTURE(rights) {
	struct tap tap;
	struct genl g;		/* opened by nobody */
	struct genl root;
	struct sender s;
	struct tally t;
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
};

FIXTURE_SETUP(rights)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	ASSERT_EQ(0, genl_open(&self->root));
}

FIXTURE_TEARDOWN(rights)
{
	if (self->id) {
		genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, self->token);
		genl_talk(&self->g);
	}
	genl_close(&self->g);
	genl_close(&self->root);
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* To have the files is enough, and to have the token. */
TEST_F(rights, nobody_with_the_files_can_do_all_of_a_handover)
{
	struct tap claimed = {};
	struct xfer x;

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, xfer_open(&x));
	/* no longer than anybody may ask for */
	ASSERT_EQ(0, xfer_begin(&x, &self->tap, TAPXFER_STATE_FROZEN, 0, 9000));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, xfer_claim(&x, &claimed));
	ASSERT_EQ(0, xfer_thaw(&x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	tap_close(&claimed);
}

TEST_F(rights, nobody_does_not_get_more_than_the_defaults)
{
	uint32_t hold, deadline;

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, genl_open(&self->g));
	hold = above(&self->g, TAPXFER_A_CAP_HOLD_DEFAULT);
	deadline = above(&self->g, TAPXFER_A_CAP_DEADLINE_DEFAULT);
	EXPECT_NUMBER_REFUSED(EPERM,
			      "a hold above hold-default needs CAP_NET_ADMIN, see cap-get",
			      TAPXFER_CMD_FREEZE, TAPXFER_A_HANDOVER_HOLD,
			      hold);
	EXPECT_NUMBER_REFUSED(EPERM,
			      "a deadline above deadline-default needs CAP_NET_ADMIN, see cap-get",
			      TAPXFER_CMD_FREEZE, TAPXFER_A_HANDOVER_DEADLINE,
			      deadline);
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	/* but the defaults themselves */
	genl_begin(&self->g, TAPXFER_CMD_FREEZE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_HOLD, hold - 1);
	mnl_attr_put_u32(self->g.req, TAPXFER_A_HANDOVER_DEADLINE,
			 deadline - 1);
	EXPECT_BEGUN(&self->g);
}

/* Power over a network namespace of one's own is none over another. */
TEST_F(rights, a_user_namespaces_root_does_not_get_more_either)
{
	uint32_t hold;

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	ASSERT_EQ(0, genl_open(&self->g));
	hold = above(&self->g, TAPXFER_A_CAP_HOLD_DEFAULT);
	EXPECT_NUMBER_REFUSED(EPERM,
			      "a hold above hold-default needs CAP_NET_ADMIN, see cap-get",
			      TAPXFER_CMD_FREEZE, TAPXFER_A_HANDOVER_HOLD,
			      hold);
}

TEST_F(rights, nobody_does_not_abort_anothers_handover)
{
	genl_begin(&self->root, TAPXFER_CMD_FREEZE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_BEGUN(&self->root);

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, genl_open(&self->g));
	genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, NULL);
	EXPECT_REFUSED(EPERM,
		       "abort needs the token, or CAP_NET_ADMIN in the device's netns");
	/* but may look, and may with the token */
	genl_go_on(&self->g, TAPXFER_CMD_HANDOVER_GET, self->id, NULL);
	EXPECT_EQ(0, genl_talk(&self->g));
	EXPECT_EQ(TAPXFER_STATE_FROZEN,
		  genl_u32(&self->g, TAPXFER_A_HANDOVER_STATE));
	EXPECT_EQ(NULL, genl_attr(&self->g, TAPXFER_A_HANDOVER_TOKEN));
	genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, self->token);
	EXPECT_EQ(0, genl_talk(&self->g));
	self->id = 0;
}

/*
 * A privileged process that is given a socket to write to must not act on its
 * own files for whoever opened it.
 */
TEST_F(rights, a_socket_that_another_user_opened_is_refused)
{
	static const char why[] =
		"the netlink socket was opened by another user or with fewer rights, open one of your own";

	genl_begin(&self->root, TAPXFER_CMD_FREEZE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_BEGUN(&self->root);

	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, genl_open(&self->g));
	genl_go_on(&self->root, TAPXFER_CMD_CLAIM, self->id, self->token);
	EXPECT_EQ(-EPERM, genl_talk(&self->root));
	EXPECT_STREQ(why, self->root.msg);
	genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, self->token);
	EXPECT_EQ(0, genl_talk(&self->g));
	self->id = 0;

	genl_begin(&self->root, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_EQ(-EPERM, genl_talk(&self->root));
	EXPECT_STREQ(why, self->root.msg);
}

/* Of one thread, as the kernel has it, whatever the C library does to all */
static void *open_without_capabilities(void *arg)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = {};

	if (syscall(SYS_capset, &head, none))
		return "capset";
	return genl_open(arg) ? "open" : NULL;
}

static void *open_as_nobody(void *arg)
{
	if (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) ||
	    syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY))
		return "setres";
	return genl_open(arg) ? "open" : NULL;
}

/* As one that another user's set-user-ID bit runs, and that is its user for now */
static int prepare_with_a_saved_id(void *arg)
{
	FIXTURE_DATA(rights) *self = arg;

	if (setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY - 1))
		return 1;
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	return genl_talk(&self->g) == -EPERM ? 0 : 2;
}

/* A program that has more than its user, by its file, is not that user. */
TEST_F(rights, a_socket_that_was_opened_with_fewer_rights_is_refused)
{
	static const char why[] =
		"the netlink socket was opened by another user or with fewer rights, open one of your own";
	pthread_t thread;
	void *failed;

	ASSERT_EQ(0, pthread_create(&thread, NULL, open_without_capabilities,
				    &self->g));
	ASSERT_EQ(0, pthread_join(thread, &failed));
	ASSERT_EQ(NULL, failed);
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_EQ(-EPERM, genl_talk(&self->g));
	EXPECT_STREQ(why, self->g.msg);
	genl_close(&self->g);

	/* not even while it does not use it */
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_as_nobody, &self->g));
	ASSERT_EQ(0, pthread_join(thread, &failed));
	ASSERT_EQ(NULL, failed);
	ASSERT_EQ(0, setegid(NOBODY));
	ASSERT_EQ(0, seteuid(NOBODY));
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_EQ(-EPERM, genl_talk(&self->g));
	EXPECT_STREQ(why, self->g.msg);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, setegid(0));
	EXPECT_EQ(0, child_wait(child_start(prepare_with_a_saved_id, self),
				SOON_MS));

	/* who has given some up since is */
	genl_close(&self->g);
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex,
		   self->tap.fds, QUEUES);
	EXPECT_BEGUN(&self->g);
}

/* -- layer 3 ----------------------------------------------------------------- */

/* A tun has no address to probe: a name that is unique is its proof. */
TEST_F(rights, a_tun_is_told_by_its_name)
{
	struct tap tun, other;
	int home;

	ASSERT_EQ(0, tap_open(&tun, "tun0", 2,
			      IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE));
	ASSERT_EQ(0, tap_open(&other, "tun1", 1, IFF_TUN | IFF_NO_PI));
	genl_begin(&self->root, TAPXFER_CMD_PREPARE, tun.ifindex,
		   (int []){ tun.fds[0], other.fds[0] }, 2);
	EXPECT_EQ(-EXDEV, genl_talk(&self->root));
	EXPECT_STREQ("the file is a queue of another device", self->root.msg);
	tap_close(&other);

	/* a namesake, somewhere on this host */
	home = net_leave();
	ASSERT_LE(0, home);
	ASSERT_EQ(0, tap_open(&other, "tun0", 1, IFF_TUN | IFF_NO_PI));
	ASSERT_EQ(0, net_enter(home));
	genl_begin(&self->root, TAPXFER_CMD_PREPARE, tun.ifindex, tun.fds, 2);
	EXPECT_EQ(-ENOTUNIQ, genl_talk(&self->root));
	EXPECT_STREQ("another tun or tap of this host has the tun's name, rename one",
		     self->root.msg);

	/* without it nobody needs a privilege */
	tap_close(&other);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, genl_open(&self->g));
	genl_begin(&self->g, TAPXFER_CMD_FREEZE, tun.ifindex, tun.fds, 2);
	EXPECT_BEGUN(&self->g);
	tap_close(&tun);
}

TEST_HARNESS_MAIN
