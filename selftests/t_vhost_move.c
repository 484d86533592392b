// SPDX-License-Identifier: GPL-2.0
/*
 * A running guest moves from one VMM process to the next, with vhost-net in all
 * of them and traffic in both directions: no packet is lost, duplicated or
 * reordered within a queue, whenever the source stops its backends.
 */
#include <string.h>

#include <kselftest_harness.h>

#include "net.h"
#include "util.h"
#include "vhost_vm.h"

#define HOPS	3

FIXTURE(move) {
	struct vm vm;
};

FIXTURE_VARIANT(move) {
	const char *steps;	/* of the source, before the claim */
	const char *late;	/* after the claim */
	bool ready;		/* the target attaches its backends before the thaw */
};

/* As a VMM does that knows of nothing */
FIXTURE_VARIANT_ADD(move, stopped_before_the_hold) {
	.steps = "PSHF", .late = "X",
};

/* What is advised: the backends' batches come back to rings that hold */
FIXTURE_VARIANT_ADD(move, stopped_while_held) {
	.steps = "HPSF", .late = "X",
};

FIXTURE_VARIANT_ADD(move, stopped_when_frozen) {
	.steps = "HPFS", .late = "X",
};

/* The guest sends as fast as it can all the time. */
FIXTURE_VARIANT_ADD(move, frozen_while_the_guest_runs) {
	.steps = "HFPS", .late = "X",
};

FIXTURE_VARIANT_ADD(move, stopped_after_the_claim) {
	.steps = "HF", .late = "PSX",
};

FIXTURE_VARIANT_ADD(move, killed_when_frozen) {
	.steps = "HFPK", .late = "",
};

/* The target's guest runs before the thaw. */
FIXTURE_VARIANT_ADD(move, stopped_while_held_and_ready_before_the_thaw) {
	.steps = "HPSF", .late = "X", .ready = true,
};

FIXTURE_VARIANT_ADD(move, stopped_after_the_claim_and_ready_before_the_thaw) {
	.steps = "HF", .late = "PSX", .ready = true,
};

FIXTURE_VARIANT_ADD(move, killed_when_frozen_and_ready_before_the_thaw) {
	.steps = "HFPK", .late = "", .ready = true,
};

FIXTURE_SETUP(move)
{
	const struct vm_config c = {
		.pairs = 2, .flows = 16,
		.run_window = 800,	/* fits a ring */
		.hold_window = 12000,	/* fits what is held */
	};

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vm_start(&self->vm, &c));
}

FIXTURE_TEARDOWN(move)
{
	vm_end(&self->vm);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_F(move, nothing_is_lost_and_order_is_kept)
{
	struct link_stats at_freeze, now;
	struct vm_account to, from;
	struct vm *vm = &self->vm;
	uint64_t filled;
	char failed = 0;
	int i;

	for (i = 0; i < HOPS; i++) {
		EXPECT_TRUE(vm_has_traffic(vm, 1000));
		ASSERT_EQ(0, vm_tell_all(vm, i, variant->steps, &failed))
			TH_LOG("step %c", failed);
		ASSERT_EQ(0, link_stats("tap0", &at_freeze));
		if (strchr(variant->steps, VM_KILL))
			ASSERT_EQ(0, vm_recover(vm));
		/* More than a ring is held for the target. */
		EXPECT_TRUE(wait_until(vm_on_the_way(vm) >= vm->c.hold_window,
				       SOON_MS));
		ASSERT_EQ(0, vm_tell(vm, i + 1, VM_CLAIM));
		ASSERT_EQ(0, vm_tell_all(vm, i, variant->late, &failed))
			TH_LOG("step %c", failed);
		filled = vm_filled(vm);
		if (variant->ready) {
			ASSERT_EQ(0, vm_tell(vm, i + 1, VM_READY));
			EXPECT_TRUE(wait_until(vm_is_stuck(vm), SOON_MS));
		}
		ASSERT_EQ(0, link_stats("tap0", &now));
		EXPECT_EQ(at_freeze.rx_packets, now.rx_packets);
		EXPECT_EQ(filled, vm_filled(vm));
		vm_window(vm, false);
		ASSERT_EQ(0, vm_tell(vm, i + 1, variant->ready ? VM_THAW :
								 VM_RESUME));
	}
	EXPECT_TRUE(vm_has_traffic(vm, 1000));

	ASSERT_EQ(0, vm_account(vm, HOPS, &to, &from));
	EXPECT_EQ(0, to.lost + to.dup + to.reordered + to.foreign);
	EXPECT_EQ(0, from.lost + from.dup + from.reordered + from.foreign);
	TH_LOG("%lu packets to the guest, %lu from it", (unsigned long)to.sent,
	       (unsigned long)from.sent);
}

TEST_HARNESS_MAIN
