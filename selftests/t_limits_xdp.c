// SPDX-License-Identifier: GPL-2.0
/*
 * G6: what XDP redirects to a tap is bounded in bytes as well. Such packets are
 * no skbs, and pass by the driver's transmit function.
 */
#include <errno.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include <linux/bpf.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define MAX_SEQ		(1 << 16)
#define BYTES		(200 << 10)

static int bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

/* All that enters the host from @from goes to @to; descriptor of the link. */
static int redirect(int from, int to)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1,
		  .imm = to },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr prog = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)insns,
		.insn_cnt = sizeof(insns) / sizeof(insns[0]),
		.license = (uintptr_t)"GPL",
	};
	union bpf_attr link = {};
	int ret;

	ret = bpf(BPF_PROG_LOAD, &prog);
	if (ret < 0)
		return ret;
	link.link_create.prog_fd = ret;
	link.link_create.target_ifindex = from;
	link.link_create.attach_type = BPF_XDP;
	ret = bpf(BPF_LINK_CREATE, &link);
	close(link.link_create.prog_fd);
	return ret;
}

FIXTURE(xdp) {
	struct tap tap;
	struct tap source;
	struct genl g;
	struct xfer x;
	struct tally t;
	int link;
	uint32_t seq;
};

FIXTURE_SETUP(xdp)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, tap_open(&self->source, "tap1", 1, IFF_TAP | IFF_NO_PI));
	/* the driver runs XDP on what a write that may block brings */
	ASSERT_EQ(0, tap_set_nonblock(&self->source, false));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	self->link = redirect(self->source.ifindex, self->tap.ifindex);
	ASSERT_LE(0, self->link);
}

FIXTURE_TEARDOWN(xdp)
{
	close(self->link);
	xfer_close(&self->x);
	link_delete("tap0");
	link_delete("tap1");
	tap_close(&self->tap);
	tap_close(&self->source);
	tally_free(&self->t);
	genl_close(&self->g);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define SEND(n) do { \
	uint32_t i_; \
	for (i_ = 0; i_ < (n); i_++) \
		ASSERT_EQ(0, tap_write_one(&self->source, 0, self->seq++)); \
} while (0)

TEST_F(xdp, redirects_are_held_and_bounded)
{
	const uint32_t n = 900;
	uint64_t held, bytes;
	struct link_stats st;

	SEND(100);
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	/* so that the park finds some, too */
	SEND(50);
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_HOLD, 0, BYTES, 0));
	SEND(n - 50);
	ASSERT_EQ(0, xfer_get(&self->x));
	held = xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD);
	bytes = xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD_BYTES);
	EXPECT_EQ(50, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PENDING));
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_FULL));
	EXPECT_LT(50, held);
	EXPECT_GT(n, held);
	/* of one size, and each more than the bytes that are sent */
	EXPECT_EQ(0, bytes % held);
	EXPECT_LT(PACKET_LEN, bytes / held);
	EXPECT_LE(BYTES, bytes + bytes / held);
	EXPECT_LE(bytes, BYTES + bytes / held);
	ASSERT_EQ(0, link_stats("tap0", &st));
	EXPECT_EQ(n - held, st.tx_dropped);

	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(held, tap_read_all(&self->tap, &self->t));
	/* the first ones, and in order */
	EXPECT_EQ(0, tally_lost(&self->t, 100 + held));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

TEST_HARNESS_MAIN
