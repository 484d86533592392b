// SPDX-License-Identifier: GPL-2.0
/*
 * The library's calls for vhost-net move a running guest of 1 to 8 queue pairs
 * under traffic in both directions, with each kind of header: with devices that
 * the target opens, and with the source's, which the target gets with their
 * eventfds and a state, and nothing else. No packet is lost, duplicated or
 * reordered within a queue.
 */
#include <string.h>

#include <kselftest_harness.h>

#include <linux/virtio_net.h>

#include "net.h"
#include "util.h"
#include "vhost_vm.h"

#define HOPS		2
#define MERGEABLE	(1ULL << VIRTIO_NET_F_MRG_RXBUF)
/* A packet with its header takes two of these. */
#define SMALL		64

FIXTURE(pairs) {
	struct vm vm;
};

FIXTURE_VARIANT(pairs) {
	int pairs;
	uint64_t features;
	uint32_t rx_buf;
	/*
	 * Of the source, before and after the claim; with 'L' its devices go to
	 * the target, which sets them up before it is ready.
	 */
	const char *steps;
	const char *late;
};

FIXTURE_VARIANT_ADD(pairs, one) {
	.pairs = 1, .features = 0, .steps = "HPSLF", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, one_of_a_short_header) {
	.pairs = 1, .features = VHOST_LEGACY, .steps = "HPSF", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, two_mergeable) {
	.pairs = 2, .features = MERGEABLE, .rx_buf = SMALL,
	.steps = "HPSLF", .late = "X",
};

/* A legacy guest's header is the long one if buffers can be merged. */
FIXTURE_VARIANT_ADD(pairs, three_mergeable_and_legacy_stopped_when_frozen) {
	.pairs = 3, .features = MERGEABLE | VHOST_LEGACY, .rx_buf = SMALL,
	.steps = "HPFSL", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, four_of_a_short_header_stopped_when_frozen) {
	.pairs = 4, .features = VHOST_LEGACY, .steps = "HPFSL", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, five_mergeable_stopped_after_the_claim) {
	.pairs = 5, .features = MERGEABLE, .rx_buf = SMALL,
	.steps = "HF", .late = "PSLX",
};

FIXTURE_VARIANT_ADD(pairs, six_frozen_while_the_guest_runs) {
	.pairs = 6, .features = 0, .steps = "HFPS", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, seven_of_a_short_header) {
	.pairs = 7, .features = VHOST_LEGACY, .steps = "HPSLF", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, eight_mergeable) {
	.pairs = 8, .features = MERGEABLE, .rx_buf = SMALL,
	.steps = "HPSLF", .late = "X",
};

FIXTURE_VARIANT_ADD(pairs, eight_stopped_when_frozen) {
	.pairs = 8, .features = 0, .steps = "HPFS", .late = "X",
};

FIXTURE_SETUP(pairs)
{
	const struct vm_config c = {
		.pairs = variant->pairs,
		.features = variant->features,
		.rx_buf = variant->rx_buf,
		.flows = 64,
		.run_window = 800, .hold_window = 3000,
	};

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vm_start(&self->vm, &c));
}

FIXTURE_TEARDOWN(pairs)
{
	vm_end(&self->vm);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define TELL_ALL(i, ops) do { \
	char failed_ = 0; \
	ASSERT_EQ(0, vm_tell_all(&self->vm, i, ops, &failed_)) \
		TH_LOG("step %c", failed_); \
} while (0)

TEST_F(pairs, move_and_nothing_is_lost)
{
	bool given = strchr(variant->steps, VM_LET_GO) ||
		     strchr(variant->late, VM_LET_GO);
	struct vm_account to, from;
	struct vm *vm = &self->vm;
	uint64_t filled;
	int i;

	for (i = 0; i < HOPS; i++) {
		EXPECT_TRUE(vm_has_traffic(vm, 300));
		TELL_ALL(i, variant->steps);
		EXPECT_TRUE(wait_until(vm_on_the_way(vm) >= vm->c.hold_window,
				       SOON_MS));
		ASSERT_EQ(0, vm_tell(vm, i + 1, VM_CLAIM));
		TELL_ALL(i, variant->late);
		if (given)
			ASSERT_EQ(0, vm_tell(vm, i + 1, VM_SETUP));
		filled = vm_filled(vm);
		ASSERT_EQ(0, vm_tell(vm, i + 1, VM_READY));
		EXPECT_TRUE(wait_until(vm_is_stuck(vm), SOON_MS));
		EXPECT_EQ(filled, vm_filled(vm));
		vm_window(vm, false);
		ASSERT_EQ(0, vm_tell(vm, i + 1, VM_THAW));
	}
	EXPECT_TRUE(vm_has_traffic(vm, 300));

	ASSERT_EQ(0, vm_account(vm, HOPS, &to, &from));
	EXPECT_EQ(0, to.lost + to.dup + to.reordered + to.foreign);
	EXPECT_EQ(0, from.lost + from.dup + from.reordered + from.foreign);
	TH_LOG("%lu packets to the guest, %lu from it", (unsigned long)to.sent,
	       (unsigned long)from.sent);
}

/* The target fails: the source takes back what it has released, and goes on. */
TEST_F(pairs, stay_when_the_handover_is_aborted)
{
	struct vm_account to, from;
	struct vm *vm = &self->vm;
	int i;

	for (i = 1; i <= HOPS; i++) {
		EXPECT_TRUE(vm_has_traffic(vm, 300));
		TELL_ALL(0, variant->steps);
		EXPECT_TRUE(wait_until(vm_on_the_way(vm) >= vm->c.hold_window,
				       SOON_MS));
		ASSERT_EQ(0, vm_tell(vm, i, VM_CLAIM));
		ASSERT_EQ(0, vm_tell(vm, i, VM_KILL));
		ASSERT_EQ(0, vm_tell(vm, 0, VM_ABORT));
		if (!strchr(variant->steps, VM_STOP))
			TELL_ALL(0, "PS");
		vm_window(vm, false);
		ASSERT_EQ(0, vm_tell(vm, 0, VM_RESTART));
	}
	EXPECT_TRUE(vm_has_traffic(vm, 300));

	ASSERT_EQ(0, vm_account(vm, 0, &to, &from));
	EXPECT_EQ(0, to.lost + to.dup + to.reordered + to.foreign);
	EXPECT_EQ(0, from.lost + from.dup + from.reordered + from.foreign);
}

TEST_HARNESS_MAIN
