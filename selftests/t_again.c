// SPDX-License-Identifier: GPL-2.0
/*
 * One handover right after another of the same device.
 */
#include <errno.h>

#include <kselftest_harness.h>

#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		4

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

TEST_HARNESS_MAIN
