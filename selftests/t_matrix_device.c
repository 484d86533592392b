// SPDX-License-Identifier: GPL-2.0
/*
 * The fault matrix: what is done to the device, its queues, and the modules.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "matrix.h"
#include "util.h"

/* -- queues -------------------------------------------------------------- */

/* Of whoever has them */
static long set_queue(struct matrix *m, bool detach)
{
	if (m->state == TAPXFER_STATE_DRAINING)
		return TELL(m, target, vmm_detach, 1, detach);
	return TELL(m, source, vmm_detach, 1, detach);
}

/* What waits in the queue's ring is purged by the driver, unless it is parked. */
static int detach(struct matrix *m, int *err)
{
	bool parked = m->state >= TAPXFER_STATE_HOLDING &&
		      m->state <= TAPXFER_STATE_READY;

	if (m->state == TAPXFER_STATE_DRAINING)
		MUST_EQ(0, TELL(m, target, vmm_run, 0, 0));
	if (!parked && matrix_catch_up(m))
		return -1;
	*err = set_queue(m, true);
	matrix_resume(m);
	return 0;
}

static int reattach(struct matrix *m)
{
	if (m->cell->err)
		return 0;
	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_detach, 1, false));
	return 0;
}

static int detach_first(struct matrix *m)
{
	if (matrix_catch_up(m))
		return -1;
	MUST_EQ(0, TELL(m, source, vmm_detach, 1, true));
	matrix_resume(m);
	return 0;
}

static int attach(struct matrix *m, int *err)
{
	*err = set_queue(m, false);
	return 0;
}

/* It is detached still, where that was refused. */
static int attach_late(struct matrix *m)
{
	if (m->cell->err)
		MUST_EQ(0, agent_call(m->owner, &m->x, vmm_detach, 1, false));
	return 0;
}

static int queue_added(struct matrix *m, int *err)
{
	m->extra = tap_queue("tap0", TAP_VM);
	if (m->extra < 0) {
		*err = m->extra;
		return 0;
	}
	MUST_EQ(0, fcntl(m->extra, F_SETFL, O_NONBLOCK));
	/* some of it goes there */
	return matrix_burst(m, 200);
}

/* What went into the queue that nobody held; then it is closed. */
static int queue_removed(struct matrix *m)
{
	struct tap tap = { .hdr = VMM_HDR, .n = 1, .fds = { m->extra } };
	uint8_t buf[PACKET_MAX];
	ssize_t len;

	matrix_pause(m);
	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_pause, 0, 0));
	while ((len = read(tap.fds[0], buf, sizeof(buf))) > 0)
		tally_add(&m->g->rx, VMM_QUEUES, buf + tap.hdr, len - tap.hdr);
	MUST(m->g->rx.count[VMM_QUEUES]);
	close(m->extra);
	m->extra = -1;
	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_run, 0, 0));
	matrix_resume(m);
	return 0;
}

/* -- the device ---------------------------------------------------------- */

static int deleted(struct matrix *m, int *err)
{
	*err = link_delete("tap0");
	return 0;
}

/*
 * Whoever looks on sees nothing for a moment while a link goes down and up: the
 * guest, if it is not fenced, is quiet meanwhile.
 */
static int renamed(struct matrix *m, int *err)
{
	if (matrix_guest(m, false))
		return -1;
	matrix_look(m);
	/* not every kernel renames a link that is up */
	*err = link_down("tap0") ?: link_rename("tap0", MATRIX_NEW_NAME) ?:
	       link_up(MATRIX_NEW_NAME);
	strcpy(m->name, MATRIX_NEW_NAME);
	return matrix_guest(m, m->state < TAPXFER_STATE_DRAINING);
}

static int hold_netns(void *arg)
{
	int *pipe = arg;

	if (net_isolate() || write(pipe[1], "n", 1) != 1)
		return 1;
	pause();
	return 0;
}

/* To the network namespace of a child. */
static int move_to(pid_t *child)
{
	int pipe[2];
	char byte;

	MUST_EQ(0, pipe2(pipe, O_CLOEXEC));
	*child = child_start(hold_netns, pipe);
	MUST_EQ(1, read(pipe[0], &byte, 1));
	close(pipe[0]);
	close(pipe[1]);
	MUST_EQ(0, shell("ip link set tap0 netns %d", *child));
	return 0;
}

static int enter_netns_of(pid_t pid)
{
	char path[64];
	int netns;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	MUST_EQ(0, net_enter(netns));
	close(netns);
	return 0;
}

static int moved(struct matrix *m, int *err)
{
	pid_t child;

	if (matrix_guest(m, false))
		return -1;
	matrix_look(m);
	if (move_to(&child) || enter_netns_of(child))
		return -1;
	child_kill(child);
	/* It is not taken there. */
	MUST_EQ(m->ifindex, if_nametoindex("tap0"));
	*err = link_up("tap0");
	if (matrix_follow(m))
		return -1;
	return matrix_guest(m, m->state < TAPXFER_STATE_DRAINING);
}

/* What is held: asked there, since a listener would keep that namespace. */
static int ask_held(struct matrix *m, pid_t child)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct xfer x;

	if (enter_netns_of(child))
		return -1;
	MUST_EQ(0, xfer_open(&x));
	x.id = m->x.id;
	MUST_EQ(0, xfer_get(&x));
	m->held = xfer_u64(&x, TAPXFER_A_HANDOVER_HELD);
	x.id = 0;
	xfer_close(&x);
	MUST_EQ(0, net_enter(home));
	close(home);
	return 0;
}

static int netns_gone(struct matrix *m, int *err)
{
	pid_t child;

	m->elsewhere = true;
	if (move_to(&child))
		return -1;
	/* It is down there, and nothing more comes. */
	if (m->state >= TAPXFER_STATE_PREPARED &&
	    m->state <= TAPXFER_STATE_READY && ask_held(m, child))
		return -1;
	child_kill(child);
	return 0;
}

static int set_down(struct matrix *m, int *err)
{
	if (matrix_guest(m, false))
		return -1;
	matrix_look(m);
	*err = link_down("tap0");
	m->down = true;
	return 0;
}

/* What was held is read even so. */
static int set_up(struct matrix *m)
{
	uint32_t sent;

	if (matrix_catch_up(m))
		return -1;
	sent = m->g->sent;
	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_pause, 0, 0));
	MUST_EQ(sent, m->g->sent);
	MUST_EQ(0, link_up("tap0"));
	m->down = false;
	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_run, 0, 0));
	matrix_resume(m);
	return 0;
}

static int txqueuelen(struct matrix *m, int *err)
{
	*err = link_set_txqlen("tap0", MATRIX_NEW_TXQLEN);
	return 0;
}

/* Of each flow after the first ones, which the guest's own packets may move */
static int check_oldest(struct matrix *m, uint32_t from, uint32_t to)
{
	uint32_t seq, flow;
	uint64_t gone = 0;

	for (flow = VMM_QUEUES; flow < m->s.flows; flow++) {
		bool lost = false;

		for (seq = from; seq < to; seq++) {
			if (seq % m->s.flows != flow)
				continue;
			MUST(!lost || !m->g->rx.seen[seq]);
			lost = !m->g->rx.seen[seq];
			gone += lost;
		}
	}
	MUST(gone);
	return 0;
}

static struct {
	uint32_t from, to;		/* packets that had waited, or more */
	uint32_t count[VMM_QUEUES];	/* that had been read */
} shrunk;

/* The oldest of each queue are read, as many as its ring has room for. */
static int read_oldest(struct matrix *m)
{
	int q;

	if (m->cell->err || !m->lost)
		return 0;
	if (matrix_catch_up(m))
		return -1;
	for (q = 0; q < VMM_QUEUES; q++)
		MUST_EQ(shrunk.count[q] + MATRIX_LESS_TXQLEN,
			m->g->rx.count[q]);
	if (check_oldest(m, shrunk.from, shrunk.to))
		return -1;
	matrix_resume(m);
	return 0;
}

/*
 * When nobody reads, and in each ring there is more than it will have room for. What
 * the device has counted as dropped so far is all: the driver counts none of these.
 */
static int shrink(struct matrix *m, int *err)
{
	struct link_stats before, now;
	int64_t last = -1;
	uint64_t waits;
	int q;

	MUST_EQ(0, link_stats("tap0", &before));
	*err = link_set_txqlen("tap0", MATRIX_LESS_TXQLEN);
	MUST_EQ(0, link_stats("tap0", &now));
	MUST_EQ(before.tx_dropped, now.tx_dropped);
	/* A drain may have dropped some, which the sender was not told. */
	MUST(m->s.dropped <= now.tx_dropped);
	m->s.dropped = now.tx_dropped;

	/* what is not there any more was not read */
	if (m->state == TAPXFER_STATE_DRAINING) {
		MUST_EQ(0, xfer_get(&m->x));
		MUST_EQ(0, xfer_u64(&m->x, TAPXFER_A_HANDOVER_DELIVERED));
	}

	waits = m->s.seq - m->s.dropped - m->g->rx.got;
	MUST(waits > VMM_QUEUES * MATRIX_LESS_TXQLEN);
	m->lost = waits - VMM_QUEUES * MATRIX_LESS_TXQLEN;
	for (q = 0; q < VMM_QUEUES; q++) {
		shrunk.count[q] = m->g->rx.count[q];
		if (last < m->g->rx.last[q])
			last = m->g->rx.last[q];
	}
	shrunk.from = last + 1;
	shrunk.to = m->s.seq;
	return 0;
}

#define WAITS	(TAP_RING / 4 * 3)	/* packets: hundreds a queue */

static int txqueuelen_less(struct matrix *m, int *err)
{
	if (m->state >= TAPXFER_STATE_HOLDING &&
	    m->state <= TAPXFER_STATE_READY) {
		*err = link_set_txqlen("tap0", MATRIX_LESS_TXQLEN);
		return 0;
	}
	matrix_pause(m);
	/* In draining the target has yet to run, and is judged when it does. */
	if (m->state == TAPXFER_STATE_DRAINING)
		return shrink(m, err);
	if (matrix_guest(m, false) || matrix_burst(m, WAITS) ||
	    shrink(m, err) || matrix_guest(m, true))
		return -1;
	return read_oldest(m);
}

static int read_late(struct matrix *m)
{
	return m->state == TAPXFER_STATE_DRAINING ? read_oldest(m) : 0;
}

/* -- modules ------------------------------------------------------------- */

static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

static int rmmod_tapxfer(struct matrix *m, int *err)
{
	*err = unload("tapxfer");
	return 0;
}

/* Nothing of it is left on the files, nor anything of them in it. */
static int rmmod_once_drained(struct matrix *m)
{
	if (matrix_catch_up(m))
		return -1;
	MUST(matrix_unused());
	if (m->state != MATRIX_RUNNING)
		MUST_EQ(0, unload("tapxfer"));
	matrix_resume(m);
	return matrix_reopen(m);
}

static int rmmod_tun(struct matrix *m, int *err)
{
	*err = unload("tun");
	return 0;
}

static const struct matrix_play plays[] = {
	{ MATRIX_DETACH, .happens = detach, .after = reattach },
	{ MATRIX_ATTACH, .before = detach_first, .happens = attach,
	  .after = attach_late },
	{ MATRIX_QUEUE_ADDED, .happens = queue_added, .after = queue_removed },
	{ MATRIX_DELETED, .happens = deleted },
	{ MATRIX_RENAMED, .happens = renamed },
	{ MATRIX_MOVED, .happens = moved },
	{ MATRIX_NETNS_GONE, .happens = netns_gone },
	{ MATRIX_LINK_DOWN, .happens = set_down, .after = set_up },
	{ MATRIX_TXQUEUELEN, .happens = txqueuelen },
	{ MATRIX_TXQUEUELEN_LESS, .happens = txqueuelen_less,
	  .after = read_late },
	{ MATRIX_RMMOD_TAPXFER, .happens = rmmod_tapxfer,
	  .after = rmmod_once_drained },
	{ MATRIX_RMMOD_TUN, .happens = rmmod_tun },
};

int main(int argc, char **argv)
{
	return matrix_main(argc, argv, plays, sizeof(plays) / sizeof(plays[0]));
}
