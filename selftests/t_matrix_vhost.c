// SPDX-License-Identifier: GPL-2.0
/*
 * The fault matrix: vhost-net, which was there before, stops, or comes.
 */
#include <errno.h>
#include <unistd.h>

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

/* -- a backend that stays -------------------------------------------------- */

/* Packets that no guest has seen */
static uint64_t unread(struct matrix *m)
{
	return m->s.seq - m->s.dropped -
	       __atomic_load_n(&m->g->rx.got, __ATOMIC_ACQUIRE);
}

/* What is in the target's files, which has stopped. */
static int read_rest(struct matrix *m)
{
	struct tap tap = { .hdr = VMM_HDR };
	struct tapxfer_queues *queues;
	uint8_t buf[PACKET_MAX];
	ssize_t len;
	int q;

	MUST_EQ(0, tapxfer_queues_open(NULL, m->target.pid, m->name, &queues));
	for (q = 0; q < VMM_QUEUES; q++) {
		tap.fds[q] = tapxfer_queues_fds(queues)[q];
		while ((len = read(tap.fds[q], buf, sizeof(buf))) > 0)
			tally_add(&m->g->rx, VMM_QUEUES + 1, buf + tap.hdr,
				  len - tap.hdr);
	}
	tapxfer_queues_close(queues);
	return 0;
}

/*
 * The target has got all but what fills the source's vring and a batch more: that
 * goes back to the ring when the backend stops, before what comes later.
 */
static int take_back(struct matrix *m)
{
	uint64_t n;

	if (m->state < TAPXFER_STATE_READY)
		return 0;
	matrix_pause(m);
	MUST(wait_until(unread(m) > VHOST_RING &&
			unread(m) <= VHOST_RING + VHOST_BATCH, SOON_MS));
	MUST_EQ(0, TELL(m, target, vmm_pause, 0, 0));
	n = unread(m);
	MUST_EQ(0, TELL(m, source, vmm_vhost_stop, VMM_QUEUES, 0));
	m->vhost = false;
	MUST_EQ(n - VHOST_RING, unread(m));
	if (read_rest(m))
		return -1;
	MUST_EQ(0, unread(m));
	MUST_EQ(0, TELL(m, target, vmm_run, 0, 0));
	matrix_resume(m);
	return 0;
}

/* -- a backend that stops -------------------------------------------------- */

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

/*
 * Who is ready is not fenced. What was given back is held as any other until
 * somebody reads: then he gets the first of it, and from the first one that is
 * held on all that the queue has. The rest of what was given back is freed at the
 * thaw, and counted by the device.
 */
static int read_early(struct matrix *m)
{
	uint32_t other = m->g->rx.count[1];
	uint64_t held, back;

	matrix_pause(m);
	MUST_EQ(0, xfer_get(&m->x));
	back = xfer_queue_u64(&m->x, 0, TAPXFER_A_QUEUE_PUT_BACK);
	held = xfer_queue_u64(&m->x, 0, TAPXFER_A_QUEUE_HELD);
	MUST(back <= VHOST_BATCH);
	MUST(held > 2 * VHOST_BATCH);
	MUST_EQ(unread(m), xfer_u64(&m->x, TAPXFER_A_HANDOVER_HELD));

	m->lost = back - 1;
	m->counted = true;
	if (matrix_guest(m, true))
		return -1;
	if (!wait_until(m->got + held - m->lost ==
			__atomic_load_n(&m->g->rx.got, __ATOMIC_ACQUIRE),
			SOON_MS))
		MUST_EQ(m->got + held - m->lost, m->g->rx.got);
	if (matrix_lap(m))
		return -1;
	MUST_EQ(m->got + held - m->lost, m->g->rx.got);
	MUST_EQ(other, m->g->rx.count[1]);
	matrix_resume(m);
	return 0;
}

static int stop(struct matrix *m, int *err)
{
	*err = TELL(m, source, vmm_vhost_stop, 0, 0);
	if (m->state >= TAPXFER_STATE_HOLDING &&
	    m->state <= TAPXFER_STATE_READY) {
		MUST_EQ(0, xfer_get(&m->x));
		MUST(xfer_queue_u64(&m->x, 0, TAPXFER_A_QUEUE_PUT_BACK) > 0);
	}
	/* What it got through vhost; from now on there is none. */
	m->vhost = false;
	m->got = m->g->rx.got;
	matrix_resume(m);
	if (m->state == TAPXFER_STATE_READY)
		return read_early(m);
	/* Who has thawed has the guest. */
	if (m->state == TAPXFER_STATE_DRAINING)
		return 0;
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
	{ MATRIX_VHOST_STAYS, .before = attach_first, .happens = nothing,
	  .after = take_back },
	{ MATRIX_VHOST_STOPS, .before = attach_and_stop_guest,
	  .happens = stop },
	{ MATRIX_VHOST_COMES, .before = load_vhost, .happens = attach },
};

int main(int argc, char **argv)
{
	return matrix_main(argc, argv, plays, sizeof(plays) / sizeof(plays[0]));
}
