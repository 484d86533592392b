// SPDX-License-Identifier: GPL-2.0
/*
 * A source or a target that says what is not so. It is refused by name, what it
 * has sent is closed, and the devices stay where they are.
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
#define FDS	TAPXFER_TRANSPORT_FDS
#define TOKEN	TAPXFER_TRANSPORT_TOKEN

FIXTURE(hostile) {
	struct chan *c;
};

FIXTURE_SETUP(hostile)
{
	ASSERT_EQ(0, net_isolate());
	self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, self->c);
	ASSERT_EQ(0, chan_send(self->c, 50));
}

FIXTURE_TEARDOWN(hostile)
{
	chan_destroy(self->c);
}

#define EXPECT_TEXT(want, text) \
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("the text is '%s'", text)

typedef int (*say_fn)(struct raw *r, struct agent_self *self);

/* Say it, hear the refusal, and leave no handover of our own. */
static long hear(struct agent_self *self, say_fn say)
{
	static struct raw r;
	int type;

	raw_open(&r, chan_sock(false));
	type = say(&r, self);
	while (type >= 0 && type != RAW_REFUSE)
		type = raw_recv(&r);
	strcpy(chan_shared()->said, r.text);
	if (self->x.id)
		xfer_abort(&self->x);
	self->x.id = 0;
	return type == RAW_REFUSE ? -EDOM : type;
}

/* A case: what is said instead of tapxfer_send(); how the target refuses */
#define SAY(name, transport_, err_, text_)				\
static int name##_say(struct raw *r, struct agent_self *self);		\
static long name##_hook(struct tapxfer_channel *ch,			\
			struct agent_self *self)			\
{									\
	return hear(self, name##_say);					\
}									\
TEST_F(hostile, name)							\
{									\
	struct chan *c = self->c;					\
									\
	chan_plan(c, transport_);					\
	c->src.hook_at = CHAN_AGREE;					\
	c->src.hook = name##_hook;					\
	chan_run(c);							\
	EXPECT_EQ(-EDOM, c->src.err);					\
	EXPECT_EQ(err_, c->dst.err) TH_LOG("%s", c->dst.text);		\
	EXPECT_TEXT(text_, c->dst.text);				\
	EXPECT_TEXT(text_, c->said);					\
	EXPECT_EQ(0, c->dst.fds);					\
	EXPECT_TRUE(chan_is_idle());					\
	EXPECT_EQ(0, chan_send(c, 50));					\
	EXPECT_EQ(0, chan_owns(c, &c->source));				\
}									\
static int name##_say(struct raw *r, struct agent_self *self)

/* -- messages ------------------------------------------------------------ */

static int head(struct raw *r, struct raw_head h)
{
	return raw_send_bytes(r, &h, sizeof(h));
}

SAY(noise, TOKEN, -EPROTO, "does not speak tapxfer's protocol")
{
	return raw_send_bytes(r, "GET / HTTP/1.0\r\n\r\n", 18);
}

SAY(the_other_byte_order, TOKEN, -EPROTO, "another byte order")
{
	return head(r, (struct raw_head){ .magic = 0x54584631, .type = 256 });
}

SAY(a_length_of_4_gib, TOKEN, -EPROTO,
    "a message of 4294967295 bytes is longer than any")
{
	return head(r, (struct raw_head){ .magic = RAW_MAGIC,
					  .type = RAW_HELLO, .len = ~0U });
}

SAY(a_number_that_is_not_due, TOKEN, -EPROTO, "message 1 came where 0 was due")
{
	return head(r, (struct raw_head){ .magic = RAW_MAGIC,
					  .type = RAW_HELLO, .seq = 1 });
}

SAY(no_hello, TOKEN, -EPROTO, "'offer' came where 'hello' was due")
{
	return raw_send_empty(r, RAW_OFFER);
}

SAY(an_unknown_message, TOKEN, -EPROTO, "'?' came where 'hello' was due")
{
	return raw_send_empty(r, 77);
}

SAY(an_empty_hello, TOKEN, -EPROTO, "the other side's 'version' is missing")
{
	return raw_send_empty(r, RAW_HELLO);
}

SAY(a_short_number, TOKEN, -EPROTO, "the other side's 'version' is malformed")
{
	raw_new(r);
	mnl_attr_put_u16(r->nlh, RAW_A_VERSION, 1);
	return raw_send(r, RAW_HELLO);
}

SAY(a_string_without_an_end, TOKEN, -EPROTO,
    "the other side's 'library' is malformed")
{
	raw_new(r);
	mnl_attr_put(r->nlh, RAW_A_LIBRARY, 4, "0.30");
	return raw_send(r, RAW_HELLO);
}

SAY(another_version, TOKEN, -EPROTO, "speaks version 2 of the protocol")
{
	r->version = 2;
	return raw_hello(r, RAW_ONLY);
}

SAY(an_unknown_extension, TOKEN, -EOPNOTSUPP, "requires extensions 0x8")
{
	r->required = 8;
	return raw_hello(r, RAW_ONLY);
}

SAY(neither_source_nor_target, TOKEN, -EPROTO, "is neither source nor target")
{
	r->side = 7;
	return raw_hello(r, RAW_ONLY);
}

/* A UNIX socket that something prolongs to another host carries no files. */
SAY(another_host, TOKEN, -EPROTO,
    "'net0' is to be transferred, over a channel that carries no files")
{
	r->boot_id = "01234567-89ab-cdef-0123-456789abcdef";
	return raw_hello(r, RAW_ONLY) ?:
	       raw_offer(r, TOKEN, RAW_TRANSFER, QUEUES);
}

/* -- devices ------------------------------------------------------------- */

SAY(an_unknown_transport, TOKEN, -EPROTO, "transport is unknown")
{
	return raw_hello(r, RAW_ONLY) ?: raw_offer(r, 3, RAW_TRANSFER, QUEUES);
}

SAY(an_unknown_mode, TOKEN, -EPROTO, "without a proper name or mode")
{
	return raw_hello(r, RAW_ONLY) ?: raw_offer(r, TOKEN, 4, QUEUES);
}

SAY(more_queues_than_any, TOKEN, -EPROTO, "'net0' has 4294967295 queues?")
{
	return raw_hello(r, RAW_ONLY) ?: raw_offer(r, TOKEN, RAW_TRANSFER, ~0U);
}

/* Up to where the device is told, with a handover of tap0 */
static int up_to_device(struct raw *r, struct agent_self *self,
			uint32_t transport)
{
	return xfer_begin(&self->x, chan_tap(0), TAPXFER_STATE_PREPARED, 0,
			  0) ?:
	       raw_hello(r, RAW_ONLY) ?:
	       raw_offer(r, transport, RAW_TRANSFER, QUEUES) ?:
	       raw_device(r, &self->x, chan_tap(0));
}

SAY(a_device_that_was_not_offered, TOKEN, -EPROTO,
    "'device' is of a device that was not offered")
{
	int err = up_to_device(r, self, TOKEN);

	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_INDEX, 1);
	mnl_attr_put_u32(r->nlh, RAW_A_IFINDEX, 1);
	mnl_attr_put_u32(r->nlh, RAW_A_ID, 1);
	mnl_attr_put(r->nlh, RAW_A_TOKEN, 16, "0123456789abcdef");
	return err ?: raw_send(r, RAW_DEVICE);
}

SAY(a_device_twice, TOKEN, -EPROTO, "'net0' came twice")
{
	return up_to_device(r, self, TOKEN) ?:
	       raw_device(r, &self->x, chan_tap(0));
}

SAY(no_device, TOKEN, -EPROTO, "nothing came of 'net0'")
{
	return raw_hello(r, RAW_ONLY) ?:
	       raw_offer(r, TOKEN, RAW_TRANSFER, QUEUES) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

SAY(no_such_handover, TOKEN, -ENOENT, "'net0': no such handover")
{
	struct xfer none = { .id = 4000000000U };

	return raw_hello(r, RAW_ONLY) ?:
	       raw_offer(r, TOKEN, RAW_TRANSFER, QUEUES) ?:
	       raw_device(r, &none, chan_tap(0)) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

SAY(the_handover_of_another_device, TOKEN, -EXDEV, "is not the one of 'net0'")
{
	return xfer_begin(&self->x, chan_tap(0), TAPXFER_STATE_PREPARED, 0,
			  0) ?:
	       raw_hello(r, RAW_ONLY) ?:
	       raw_offer(r, TOKEN, RAW_TRANSFER, QUEUES) ?:
	       raw_device(r, &self->x, chan_tap(1)) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

/* -- files --------------------------------------------------------------- */

SAY(fewer_files_than_announced, FDS, -EPROTO, "2 files were announced and 1 came")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 1, 2);
}

SAY(more_files_than_announced, FDS, -EPROTO, "1 files were announced and 2 came")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 2, 1);
}

SAY(fewer_files_than_queues, FDS, -EPROTO, "'net0' has 2 queues, and 1 files came")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 1, -1) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

SAY(more_files_than_queues, FDS, -EPROTO, "has 2 queues, and more files came")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 2, -1) ?:
	       raw_files(r, 2, chan_tap(0)->fds, 1, -1);
}

SAY(files_that_are_none, FDS, -EPROTO, "a message of files of 'net0' has none")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 0, -1);
}

SAY(files_out_of_turn, FDS, -EPROTO, "files of 'net0' are missing")
{
	return up_to_device(r, self, FDS) ?:
	       raw_files(r, 1, chan_tap(0)->fds, 1, -1);
}

SAY(files_that_were_not_agreed_to, TOKEN, -EPROTO,
    "files of 'net0' came where none belong")
{
	return up_to_device(r, self, TOKEN) ?:
	       raw_files(r, 0, chan_tap(0)->fds, 2, -1);
}

SAY(files_with_another_message, FDS, -EPROTO, "files came with 'given'")
{
	int err = up_to_device(r, self, FDS);

	raw_new(r);
	return err ?: raw_send_fds(r, RAW_GIVEN, chan_tap(0)->fds, 2, -1);
}

SAY(files_in_the_middle_of_a_message, FDS, -EPROTO,
    "files came where none belong")
{
	int err = up_to_device(r, self, FDS);
	struct raw_head h = { .magic = RAW_MAGIC, .type = RAW_FILES, .len = 16,
			      .seq = r->seq };

	/* the second message's head is the first one's payload */
	raw_new(r);
	return err ?: head(r, h) ?:
	       raw_send_fds(r, RAW_FILES, chan_tap(0)->fds, 2, -1);
}

SAY(files_of_another_device, FDS, -EXDEV,
    "a file that came for 'net0' is a queue of tap1, and not of tap0")
{
	int fds[2] = { chan_tap(0)->fds[0], chan_tap(1)->fds[1] };

	return up_to_device(r, self, FDS) ?: raw_files(r, 0, fds, 2, -1) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

SAY(files_that_are_no_queues, FDS, -EXDEV,
    "a file that came for 'net0' is no queue")
{
	int fds[2] = { chan_tap(0)->fds[0], 0 };

	return up_to_device(r, self, FDS) ?: raw_files(r, 0, fds, 2, -1) ?:
	       raw_send_empty(r, RAW_GIVEN);
}

/* -- states -------------------------------------------------------------- */

/* A piece of a state for net0, said to be of handover @id. */
static int state(struct raw *r, uint32_t id, uint32_t offset, const void *data,
		 size_t len)
{
	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_INDEX, 0);
	mnl_attr_put_u32(r->nlh, RAW_A_ID, id);
	mnl_attr_put_u32(r->nlh, RAW_A_OFFSET, offset);
	mnl_attr_put(r->nlh, RAW_A_DATA, len, data);
	return raw_send(r, RAW_STATE);
}

/* The state of a handover that is frozen; its length, or -errno */
static ssize_t save(struct xfer *x, char *buf, size_t size)
{
	struct tapxfer_stream *stream;
	ssize_t len;
	int err;

	err = tapxfer_state_open(x->tx, x->id, TAPXFER_DIRECTION_SAVE,
				 TAPXFER_PHASE_STOPPED, NULL, &stream);
	if (err)
		return err;
	len = tapxfer_state_pull(stream, buf, size);
	tapxfer_state_close(stream);
	return len;
}

static char bytes[16384];

/* Up to where the state is due, tap0 frozen; its state is in @bytes. */
static int up_to_state(struct raw *r, struct agent_self *self,
		       uint32_t transport, const int *fds)
{
	int err, type;

	err = up_to_device(r, self, transport);
	if (!err && fds)
		err = raw_files(r, 0, fds, QUEUES, -1);
	if (err)
		return err;
	raw_send_empty(r, RAW_GIVEN);
	type = raw_recv(r);
	if (type != RAW_TAKEN)
		return type;
	err = xfer_freeze(&self->x);
	return err ?: save(&self->x, bytes, sizeof(bytes)) > 0 ? 0 : -EIO;
}

SAY(a_state_of_another_handover, TOKEN, -ESTALE,
    "the state of 'net0' is of other files")
{
	return up_to_state(r, self, TOKEN, NULL) ?:
	       state(r, self->x.id + 1, 0, bytes, 4);
}

SAY(a_state_with_a_gap, TOKEN, -EPROTO,
    "a piece of the state of 'net0' is missing")
{
	return up_to_state(r, self, TOKEN, NULL) ?:
	       state(r, self->x.id, 0, bytes, 4) ?:
	       state(r, self->x.id, 5, bytes + 5, 4);
}

SAY(a_state_that_is_none, TOKEN, -EBADMSG, "'net0': ")
{
	int err = up_to_state(r, self, TOKEN, NULL);

	memset(bytes, 'x', 64);
	return err ?: state(r, self->x.id, 0, bytes, 64);
}

SAY(no_state, TOKEN, -ENODATA, "no state came for 'net0'")
{
	return up_to_state(r, self, TOKEN, NULL) ?:
	       raw_send_empty(r, RAW_FROZEN);
}

SAY(half_a_state, TOKEN, -ENODATA, "the state of 'net0' is incomplete")
{
	return up_to_state(r, self, TOKEN, NULL) ?:
	       state(r, self->x.id, 0, bytes, 40) ?:
	       raw_send_empty(r, RAW_FROZEN);
}

/* Well made, and of tap1 */
SAY(the_state_of_another_device, TOKEN, -ESTALE, "'net0': ")
{
	struct xfer other;
	ssize_t len = 0;
	int err;

	err = up_to_state(r, self, TOKEN, NULL) ?: xfer_open(&other);
	if (err)
		return err;
	err = xfer_begin(&other, chan_tap(1), TAPXFER_STATE_FROZEN, 0, 0);
	if (!err)
		len = save(&other, bytes, sizeof(bytes));
	xfer_close(&other);
	return err ?: state(r, self->x.id, 0, bytes, len) ?:
	       raw_send_empty(r, RAW_FROZEN);
}

static int whole_state(struct raw *r, struct agent_self *self)
{
	ssize_t len = save(&self->x, bytes, sizeof(bytes));

	return len < 0 ? len : state(r, self->x.id, 0, bytes, len) ?:
	       raw_send_empty(r, RAW_FROZEN);
}

/* As many as there are queues, and not all of them */
SAY(a_file_twice, FDS, -EPROTO, "the file of queue 1 of 'net0' was not sent")
{
	int fds[2] = { chan_tap(0)->fds[0], chan_tap(0)->fds[0] };

	return up_to_state(r, self, FDS, fds) ?: whole_state(r, self);
}

SAY(a_wrong_token, TOKEN, -EPERM, "'net0': the token is not this handover's")
{
	struct tapxfer_token good;
	int err;

	err = xfer_begin(&self->x, chan_tap(0), TAPXFER_STATE_PREPARED, 0, 0) ?:
	      raw_hello(r, RAW_ONLY) ?:
	      raw_offer(r, TOKEN, RAW_TRANSFER, QUEUES);
	if (err)
		return err;
	good = self->x.token;
	self->x.token.bytes[3] ^= 1;
	raw_device(r, &self->x, chan_tap(0));
	self->x.token = good;
	raw_send_empty(r, RAW_GIVEN);
	err = raw_recv(r);
	if (err != RAW_TAKEN)
		return err;
	return xfer_freeze(&self->x) ?: whole_state(r, self);
}

SAY(an_end_instead_of_a_state, TOKEN, -EPROTO,
    "'released' came where a state was due")
{
	return up_to_state(r, self, TOKEN, NULL) ?:
	       raw_send_empty(r, RAW_RELEASED);
}

/* -- a target ------------------------------------------------------------ */

/* It has sent so many messages, and now says one more than it should. */
static long say_early(unsigned int seq, unsigned int type,
		      struct agent_self *self, struct tapxfer_channel *ch)
{
	static struct raw r;

	raw_open(&r, chan_sock(false));
	r.seq = seq;
	raw_send_empty(&r, type);
	self->x.id = tapxfer_info_u64(tapxfer_channel_handover(ch, 0),
				      TAPXFER_A_HANDOVER_ID);
	return wait_until(!xfer_is_live(&self->x), SOON_MS) ? -EDOM : -ETIME;
}

static long verdict_without_a_claim(struct tapxfer_channel *ch,
				    struct agent_self *self)
{
	return say_early(3, RAW_VERDICT, self, ch);
}

static long done_without_a_thaw(struct tapxfer_channel *ch,
				struct agent_self *self)
{
	return say_early(4, RAW_DONE, self, ch);
}

FIXTURE(liar) {
	struct chan *c;
};

FIXTURE_VARIANT(liar) {
	enum chan_step at;
	long (*hook)(struct tapxfer_channel *ch, struct agent_self *self);
	int err;
	const char *text;
};

FIXTURE_VARIANT_ADD(liar, verdict_without_a_claim) {
	.at = CHAN_STATE, .hook = verdict_without_a_claim, .err = -ECANCELED,
	.text = "the target has no claim on 'net0'",
};

FIXTURE_VARIANT_ADD(liar, done_without_a_thaw) {
	.at = CHAN_END, .hook = done_without_a_thaw, .err = -EPROTO,
	.text = "the target says that it has thawed 'net0', and it has not",
};

FIXTURE_SETUP(liar)
{
	ASSERT_EQ(0, net_isolate());
	self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, self->c);
	ASSERT_EQ(0, chan_send(self->c, 50));
}

FIXTURE_TEARDOWN(liar)
{
	chan_destroy(self->c);
}

TEST_F(liar, is_found_out_and_the_source_has_all)
{
	struct chan *c = self->c;

	c->dst.hook_at = variant->at;
	c->dst.hook = variant->hook;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->dst.err);
	EXPECT_EQ(variant->err, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(CHAN_END, c->src.step);
	EXPECT_TEXT(variant->text, c->src.text);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[1]);
	EXPECT_EQ(0, c->src.fds);
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

TEST_HARNESS_MAIN
