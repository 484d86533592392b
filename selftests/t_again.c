// SPDX-License-Identifier: GPL-2.0
/*
 * One handover right after another of the same device.
 */
#include <errno.h>
#include <stdio.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		16	/* so many take memory that is seen */

FIXTURE(again) {
	struct tap tap;
	struct xfer x;
};

FIXTURE_SETUP(again)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
}

FIXTURE_TEARDOWN(again)
{
	xfer_close(&self->x);
	tap_close(&self->tap);
}

/* Each is prepared, with an array of its rings' size, while the one before drains. */
TEST_F_TIMEOUT(again, small_holds, 100)
{
	struct xfer *x = &self->x;
	int i;

	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, xfer_begin(x, &self->tap, TAPXFER_STATE_PREPARED,
					8, 0));
		ASSERT_EQ(0, xfer_hold(x))
			TH_LOG("handover %d: %s", i, xfer_why(x));
		ASSERT_EQ(0, xfer_abort(x));
	}
}

static long mem_free_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long n = -1;

	while (f && n < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %ld", &n) != 1)
			n = -1;
	if (f)
		fclose(f);
	return n;
}

/*
 * A ring that still has the room of a large hold is parked into an array as large,
 * however small the hold: that goes as well.
 */
TEST_F_TIMEOUT(again, a_small_hold_after_a_large_one_leaves_no_room, 100)
{
	const uint32_t large = 262144;
	const long arrays = QUEUES * (large * 8 / 1024);
	int flow_of[QUEUES], q, i;
	struct sender s;
	struct tally t;
	long before;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, sender_open(&s, self->tap.ifindex, 4 * QUEUES));
	ASSERT_EQ(0, tally_init(&t, 1 << 16));
	ASSERT_EQ(0, flows_learn(&s, &self->tap, &t, flow_of));
	before = mem_free_kib();
	ASSERT_LT(4 * arrays, before);

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				large, 0));
	/* too many for it to have drained */
	for (q = 0; q < QUEUES; q++)
		for (i = 0; i < TAP_RING / 2; i++)
			ASSERT_EQ(0, sender_send_flow(&s, flow_of[q]));
	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				TAP_RING / 2, 0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(QUEUES * TAP_RING / 2, tap_read_all(&self->tap, &t));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));

	EXPECT_TRUE(wait_until(mem_free_kib() > before - arrays / 2, SOON_MS))
		TH_LOG("%ld KiB were free, now %ld", before, mem_free_kib());
	EXPECT_EQ(0, tally_lost(&t, s.seq));
	sender_close(&s);
	tally_free(&t);
}

TEST_HARNESS_MAIN
