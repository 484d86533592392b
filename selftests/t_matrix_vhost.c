// SPDX-License-Identifier: GPL-2.0
/*
 * The fault matrix: vhost-net, which was there before, stops, or comes.
 */
#include <errno.h>

#include "matrix.h"
#include "util.h"
#include "vhost.h"

static int attach_first(struct matrix *m)
{
	MUST_EQ(0, shell("modprobe vhost_net"));
	m->vhost = true;
	MUST_EQ(0, TELL(m, source, vmm_vhost_start, 0, 0));
	return 0;
}

static int nothing(struct matrix *m, int *err)
{
	return 0;
}

#define SOME	32	/* packets: of each flow some */

static long vhost_used(struct matrix *m)
{
	return TELL(m, source, vmm_vhost_used, 0, 0);
}

/* Before the hold: what is left over has room in the driver's ring. */
static int fill_vhost(struct matrix *m)
{
	long used;

	while ((used = vhost_used(m)) != VHOST_RING) {
		if (matrix_burst(m, SOME))
			return -1;
		MUST(wait_until(vhost_used(m) != used, SOON_MS));
	}
	return matrix_burst(m, SOME);
}

/*
 * The guest stops before the hold, and with it the buffers that it offers: vhost
 * takes packets and has nowhere to put them. Before the hold it gives them back to
 * the driver's ring, and they are lost if that has no room: it has.
 */
static int attach_and_stop_guest(struct matrix *m)
{
	if (attach_first(m) || matrix_catch_up(m) || matrix_guest(m, false))
		return -1;
	if (m->state < TAPXFER_STATE_HOLDING)
		return fill_vhost(m);
	matrix_resume(m);
	if (matrix_burst(m, 2 * TAP_RING))
		return -1;
	MUST(wait_until(vhost_used(m) == VHOST_RING, SOON_MS));
	return 0;
}

static int stop(struct matrix *m, int *err)
{
	*err = TELL(m, source, vmm_vhost_stop, 0, 0);
	if (m->state >= TAPXFER_STATE_HOLDING) {
		MUST_EQ(0, xfer_get(&m->x));
		MUST(xfer_queue_u64(&m->x, 0, TAPXFER_A_QUEUE_PUT_BACK) > 0);
	}
	/* What it got through vhost; from now on there is none. */
	m->vhost = false;
	m->got = m->g->rx.got;
	matrix_resume(m);
	return matrix_guest(m, true);
}

static int load_vhost(struct matrix *m)
{
	MUST_EQ(0, shell("modprobe vhost_net"));
	return 0;
}

static int attach(struct matrix *m, int *err)
{
	if (m->state < TAPXFER_STATE_READY)
		*err = TELL(m, source, vmm_vhost_start, 0, 0);
	else
		*err = TELL(m, target, vmm_vhost_start, 0, 0);
	return 0;
}

static const struct matrix_play plays[] = {
	{ MATRIX_VHOST_STAYS, .before = attach_first, .happens = nothing },
	{ MATRIX_VHOST_STOPS, .before = attach_and_stop_guest,
	  .happens = stop },
	{ MATRIX_VHOST_COMES, .before = load_vhost, .happens = attach },
};

int main(int argc, char **argv)
{
	return matrix_main(argc, argv, plays, sizeof(plays) / sizeof(plays[0]));
}
