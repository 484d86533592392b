// SPDX-License-Identifier: GPL-2.0
/*
 * Two channels: files and tokens on an early one, which the target reads before
 * it makes its devices, the state and the verdict on a later one. What comes in
 * another order, for other files, or not at all is refused by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "chan.h"
#include "net.h"
#include "raw.h"
#include "util.h"

#define QUEUES	2

FIXTURE(channels) {
	struct chan *c;
};

FIXTURE_VARIANT(channels) {
	uint32_t transport;
};

FIXTURE_VARIANT_ADD(channels, token) {
	.transport = TAPXFER_TRANSPORT_TOKEN,
};

FIXTURE_VARIANT_ADD(channels, fds) {
	.transport = TAPXFER_TRANSPORT_FDS,
};

FIXTURE_SETUP(channels)
{
	ASSERT_EQ(0, net_isolate());
	self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, self->c);
	chan_plan(self->c, variant->transport);
	self->c->src.flags = TAPXFER_CHANNEL_EARLY;
	self->c->dst.flags = TAPXFER_CHANNEL_EARLY;
	ASSERT_EQ(0, chan_send(self->c, 50));
}

FIXTURE_TEARDOWN(channels)
{
	chan_destroy(self->c);
}

#define EXPECT_TEXT(want, side) \
	EXPECT_NE(NULL, strstr((side).text, want)) \
		TH_LOG("the text is '%s'", (side).text)

#define EXPECT_BACK(c) do {						\
	EXPECT_NE(0, (c)->src.err);					\
	EXPECT_NE(0, (c)->dst.err);					\
	EXPECT_TRUE(chan_is_idle());					\
	EXPECT_EQ(0, (c)->src.fds);					\
	EXPECT_EQ(0, (c)->dst.fds);					\
	EXPECT_EQ(0, chan_send(c, 50));					\
	EXPECT_EQ(0, chan_owns(c, &(c)->source));			\
} while (0)

/* What the target has between the two channels */
static long look(struct tapxfer_channel *ch, struct agent_self *self)
{
	const struct tapxfer_info *ho = tapxfer_channel_handover(ch, 1);
	bool sent = chan_shared()->src.transport == TAPXFER_TRANSPORT_FDS;

	if (tapxfer_channel_fds(ch, 1, NULL, 0) != (sent ? QUEUES : 0))
		return -EBADF;
	if (!ho || !tapxfer_channel_token(ch, 1))
		return -ENOKEY;
	return 0;
}

TEST_F(channels, files_first_and_the_state_later)
{
	struct chan *c = self->c;

	c->dst.hook_at = CHAN_STATE;
	c->dst.hook = look;
	chan_run(c);
	EXPECT_EQ(0, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(0, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(-2 * QUEUES, c->src.fds);
	EXPECT_EQ(2 * QUEUES, c->dst.fds);
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->target));
}

/* The early socket may be closed when what it brings has come. */
static long close_early(struct tapxfer_channel *ch, struct agent_self *self)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, chan_sock(false));
	close(null);
	return 0;
}

TEST_F(channels, the_early_one_may_be_closed_when_it_has_done_its_part)
{
	struct chan *c = self->c;

	c->src.hook_at = c->dst.hook_at = CHAN_STATE;
	c->src.hook = c->dst.hook = close_early;
	chan_run(c);
	EXPECT_EQ(0, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(0, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->target));
}

static int kept = -1;

/* It is closed, and its number another socket's, when the source gives up. */
static long reuse_number(struct tapxfer_channel *ch, struct agent_self *self)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -errno;
	dup2(sv[0], chan_sock(false));
	close(sv[0]);
	/* past those that are closed in the end */
	kept = fcntl(sv[1], F_DUPFD_CLOEXEC, 500);
	close(sv[1]);
	return -EDOM;
}

static long heard(struct agent_self *self, long unused, long unused2)
{
	char c;
	long n = recv(kept, &c, 1, MSG_DONTWAIT);

	close(kept);
	return n;
}

TEST_F(channels, what_has_its_number_is_not_written_to)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_HOLD;
	c->src.hook = reuse_number;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->src.err);
	/* the target has heard of it all the same */
	EXPECT_EQ(-ECONNREFUSED, c->dst.err);
	EXPECT_EQ(0, agent_call(&c->source, NULL, heard, 0, 0));
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

/* One side says two, and the other one. */
TEST_F(channels, both_sides_have_to_use_two)
{
	struct chan *c = self->c;

	c->dst.flags = 0;
	chan_run(c);
	EXPECT_EQ(-EPROTO, c->dst.err);
	EXPECT_TEXT("the other side uses two sockets, and this one one", c->dst);
	EXPECT_TEXT("uses two sockets", c->src);
	EXPECT_BACK(c);
	EXPECT_EQ(0, c->src.id[0]);

	c->dst.flags = TAPXFER_CHANNEL_EARLY;
	c->src.flags = 0;
	chan_run(c);
	EXPECT_EQ(-EPROTO, c->dst.err);
	EXPECT_TEXT("the other side uses one socket, and this one two", c->dst);
	EXPECT_BACK(c);
}

/* -- state before fds, for other fds, or never ---------------------------- */

/* The source's second socket comes where the target expects its first. */
static long late_hello_first(struct tapxfer_channel *ch,
			     struct agent_self *self)
{
	static struct raw r;

	raw_open(&r, chan_sock(false));
	return raw_hello(&r, RAW_LATE) == RAW_REFUSE &&
	       strstr(r.text, "the state came before the files") ?
	       -EDOM : -EBADE;
}

TEST_F(channels, the_state_before_the_files_is_refused)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_AGREE;
	c->src.hook = late_hello_first;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->src.err);
	EXPECT_EQ(-EPROTO, c->dst.err);
	EXPECT_TEXT("the state came before the files", c->dst);
	EXPECT_BACK(c);
}

/* The same on the right socket: a state where a device is due */
static long state_first(struct tapxfer_channel *ch, struct agent_self *self)
{
	struct chan *c = chan_shared();
	static struct raw r;
	int err;

	raw_open(&r, chan_sock(false));
	err = xfer_begin(&self->x, chan_tap(0), TAPXFER_STATE_FROZEN, 0, 0) ?:
	      raw_hello(&r, RAW_EARLY) ?:
	      raw_offer(&r, c->src.transport, RAW_TRANSFER, QUEUES);
	if (err)
		return err;
	raw_new(&r);
	mnl_attr_put_u32(r.nlh, RAW_A_INDEX, 0);
	mnl_attr_put_u32(r.nlh, RAW_A_ID, self->x.id);
	mnl_attr_put_u32(r.nlh, RAW_A_OFFSET, 0);
	mnl_attr_put(r.nlh, RAW_A_DATA, 4, "stat");
	raw_send(&r, RAW_STATE);
	err = raw_recv(&r);
	xfer_abort(&self->x);
	return err == RAW_REFUSE &&
	       strstr(r.text, "the state came before the files") ?
	       -EDOM : -EBADE;
}

TEST_F(channels, the_state_before_the_files_is_refused_on_one_socket)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_AGREE;
	c->src.hook = state_first;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->src.err);
	EXPECT_EQ(-EPROTO, c->dst.err);
	EXPECT_TEXT("the state came before the files", c->dst);
	EXPECT_BACK(c);
}

/* The second socket is of another handover. */
static long late_hello_other(struct tapxfer_channel *ch,
			     struct agent_self *self)
{
	static struct raw r;

	raw_open(&r, chan_sock(true));
	memset(r.session, 0x5a, sizeof(r.session));
	return raw_hello(&r, RAW_LATE) == RAW_REFUSE &&
	       strstr(r.text, "the state is for the files of another handover") ?
	       0 : -EBADE;
}

TEST_F(channels, the_state_of_other_files_is_refused)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_STATE;
	c->src.hook = late_hello_other;
	chan_run(c);
	EXPECT_EQ(-ESTALE, c->dst.err);
	EXPECT_TEXT("the state is for the files of another handover", c->dst);
	/* our source goes on, and finds nobody there any more */
	EXPECT_EQ(-ECONNRESET, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(CHAN_STATE, c->src.step);
	EXPECT_BACK(c);
}

/* Never: nothing comes on the second socket, until the target gives up. */
static long never(struct tapxfer_channel *ch, struct agent_self *self)
{
	self->x.id = tapxfer_info_u64(tapxfer_channel_handover(ch, 0),
				      TAPXFER_A_HANDOVER_ID);
	return wait_until(!xfer_is_live(&self->x), SOON_MS) ? 0 : -ETIME;
}

TEST_F(channels, a_state_that_never_comes_is_given_up)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_STATE;
	c->src.hook = never;
	c->dst.timeout = scaled_ms(1500);
	chan_run(c);
	EXPECT_EQ(-ETIMEDOUT, c->dst.err);
	EXPECT_TEXT("the other side said nothing in time", c->dst);
	/* the reason reaches the source, late as it is */
	EXPECT_EQ(-ECONNREFUSED, c->src.err);
	EXPECT_TEXT("the other side: the other side said nothing in time", c->src);
	EXPECT_BACK(c);
}

/* And what ends after it has begun */
static long end_early(struct tapxfer_channel *ch, struct agent_self *self)
{
	return shutdown(chan_sock(true), SHUT_WR) ? -errno : 0;
}

TEST_F(channels, a_state_that_ends_before_it_begins_is_given_up)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_STATE;
	c->src.hook = end_early;
	chan_run(c);
	EXPECT_EQ(-ECONNRESET, c->dst.err);
	EXPECT_TEXT("the other side has gone", c->dst);
	EXPECT_BACK(c);
}

TEST_HARNESS_MAIN
