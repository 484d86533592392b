// SPDX-License-Identifier: GPL-2.0
/*
 * A running guest moves from one VMM process to the next, with vhost-net in all
 * of them and traffic in both directions: no packet is lost, duplicated or
 * reordered within a queue.
 *
 *	sender -> tap -> vhost -> guest memory -> receiver threads -> tallies
 *	catcher <- tap <- vhost <- guest memory <- transmitter threads
 *
 * The test itself sends and catches. Each VMM is a child of it, which does what
 * it is told to.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include "net.h"
#include "util.h"
#include "vhost.h"

#define QUEUES		2
#define HOPS		3
#define FLOW		100	/* of queue 0's guest */
#define MAX_SEQ		(1 << 18)
#define RUN_WINDOW	800	/* fits a ring */
#define HOLD_WINDOW	12000	/* fits what is held */

/* What all processes see */
struct shared {
	struct tally rx[QUEUES];	/* what each queue's guest received */
	struct catcher c;
	uint32_t window;		/* packets to the guest on their way */
};

/* What a VMM can be told to do */
enum op {
	VMM_BOOT = 'B',		/* make the tap, attach the backends */
	VMM_RUN = 'G',		/* the guest's processors */
	VMM_HOLD = 'H',
	VMM_PAUSE = 'P',
	VMM_STOP = 'S',		/* the backends */
	VMM_FREEZE = 'F',
	VMM_CLAIM = 'C',
	VMM_READY = 'Y',	/* backends attached, and the guest goes on here */
	VMM_THAW = 'T',
	VMM_RESUME = 'R',	/* both of it, the thaw first */
	VMM_EXIT = 'X',
	/* of a source's steps, and nothing that it is told */
	VMM_KILL = 'K',
};

struct order {
	enum op op;
	uint32_t id;
	struct tapxfer_token token;
	bool recover;
};

struct answer {
	int err;
	uint32_t id;
	struct tapxfer_token token;
};

struct vmm {
	struct shared *sh;
	const int *memfds;
	int ctl;			/* orders come from here */
	struct tap tap;
	struct xfer x;
	struct vhost v[QUEUES];
	struct receiver r[QUEUES];
	struct transmitter t[QUEUES];
};

static int vmm_run_guest(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < QUEUES; q++) {
		m->r[q] = (struct receiver) {
			.v = &m->v[q], .t = &m->sh->rx[q], .queue = q,
		};
		m->t[q] = (struct transmitter) {
			.v = &m->v[q], .flow = FLOW + q,
			.stride = QUEUES, .first = q,
			.seen = &m->sh->c.seen[q], .window = 2048,
		};
		err = receiver_start(&m->r[q]) ?: transmitter_start(&m->t[q]);
	}
	return err;
}

static void vmm_pause_guest(struct vmm *m)
{
	int q;

	for (q = 0; q < QUEUES; q++) {
		receiver_stop(&m->r[q]);
		transmitter_stop(&m->t[q]);
	}
}

static int vmm_open_backends(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < QUEUES; q++)
		err = vhost_open(&m->v[q], 0, m->memfds[q]);
	return err;
}

static int vmm_start_backends(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < QUEUES; q++)
		err = vhost_start(&m->v[q], m->tap.fds[q]);
	return err;
}

static int vmm_stop_backends(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < QUEUES; q++)
		err = vhost_stop(&m->v[q]);
	return err;
}

static int vmm_boot(struct vmm *m)
{
	int q, err;

	err = tap_open(&m->tap, "tap0", QUEUES, TAP_VM);
	if (!err)
		err = vmm_open_backends(m);
	for (q = 0; !err && q < QUEUES; q++)
		if (guest_offer(&m->v[q], VHOST_RING) != VHOST_RING)
			err = -EPROTO;
	return err ?: vmm_start_backends(m);
}

static int vmm_claim(struct vmm *m, const struct order *o)
{
	m->x.id = o->id;
	m->x.token = o->token;
	return xfer_claim(&m->x, &m->tap) ?: vmm_open_backends(m);
}

static int vmm_thaw(struct vmm *m)
{
	int err = xfer_thaw(&m->x);

	m->x.id = 0;
	return err;
}

/* A backend can be attached when the files have their own operations again. */
static int vmm_resume(struct vmm *m, const struct order *o)
{
	int q, err;

	for (q = 0; o->recover && q < QUEUES; q++)
		vhost_recover(&m->v[q]);
	err = o->op == VMM_READY ? xfer_ready(&m->x, 0) : vmm_thaw(m);
	return err ?: vmm_start_backends(m) ?: vmm_run_guest(m);
}

static int vmm_do(struct vmm *m, const struct order *o)
{
	switch (o->op) {
	case VMM_BOOT:
		return vmm_boot(m);
	case VMM_RUN:
		return vmm_run_guest(m);
	case VMM_HOLD:
		m->tap.ifindex = if_nametoindex("tap0");
		return xfer_begin(&m->x, &m->tap, TAPXFER_STATE_HOLDING, 0, 0);
	case VMM_PAUSE:
		vmm_pause_guest(m);
		return 0;
	case VMM_STOP:
		return vmm_stop_backends(m);
	case VMM_FREEZE:
		return xfer_freeze_patiently(&m->x);
	case VMM_CLAIM:
		return vmm_claim(m, o);
	case VMM_READY:
	case VMM_RESUME:
		return vmm_resume(m, o);
	case VMM_THAW:
		return vmm_thaw(m);
	default:
		return -EINVAL;
	}
}

static int vmm_main(void *arg)
{
	struct vmm *m = arg;
	struct answer a;
	struct order o;

	if (xfer_open(&m->x))
		return 1;
	while (recv(m->ctl, &o, sizeof(o), 0) == sizeof(o)) {
		/* What is open is closed by the kernel. */
		if (o.op == VMM_EXIT)
			_exit(0);
		a.err = vmm_do(m, &o);
		a.id = m->x.id;
		a.token = m->x.token;
		if (send(m->ctl, &a, sizeof(a), 0) != sizeof(a))
			return 1;
	}
	return 1;
}

/* The test's end of a VMM */
struct handle {
	struct vmm m;
	pid_t pid;
	int ctl;
};

/* A thread of the test that sends to the guest */
struct source {
	struct shared *sh;
	struct sender s;
	pthread_t thread;
	bool stop;
	int err;
};

FIXTURE(move) {
	struct shared *sh;
	struct capture capture;
	struct source src;
	struct handle vmms[HOPS + 1];
	int memfds[QUEUES];
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

static uint64_t received(const struct shared *sh)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < QUEUES; q++)
		sum += __atomic_load_n(&sh->rx[q].got, __ATOMIC_ACQUIRE);
	return sum;
}

static void *source_main(void *arg)
{
	struct source *src = arg;

	while (!src->err && !__atomic_load_n(&src->stop, __ATOMIC_ACQUIRE)) {
		uint32_t window = __atomic_load_n(&src->sh->window,
						  __ATOMIC_ACQUIRE);

		if (src->s.seq - received(src->sh) < window)
			src->err = sender_send(&src->s, 1);
		else
			usleep(100);
	}
	return NULL;
}

static void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* As tally_init(), for several processes */
static int shared_tally(struct tally *t)
{
	memset(t->last, 0xff, sizeof(t->last));
	t->max = MAX_SEQ;
	t->seen = shared_alloc(MAX_SEQ);
	return t->seen ? 0 : -ENOMEM;
}

static int vmm_start(struct handle *h, struct shared *sh, const int *memfds)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return -errno;
	h->ctl = sv[0];
	h->m.sh = sh;
	h->m.memfds = memfds;
	h->m.ctl = sv[1];
	h->pid = child_start(vmm_main, &h->m);
	close(sv[1]);
	return h->pid > 0 ? 0 : -ECHILD;
}

static int vmm_tell(struct handle *h, const struct order *o, struct answer *a)
{
	if (send(h->ctl, o, sizeof(*o), 0) != sizeof(*o) ||
	    recv(h->ctl, a, sizeof(*a), 0) != sizeof(*a))
		return -EPIPE;
	return a->err;
}

/* A source's step. */
static int vmm_step(struct handle *h, enum op op, struct answer *a)
{
	struct order o = { .op = op };

	if (op != VMM_KILL && op != VMM_EXIT)
		return vmm_tell(h, &o, a);
	if (op == VMM_KILL)
		kill(h->pid, SIGKILL);
	else
		send(h->ctl, &o, sizeof(o), 0);
	if (child_wait(h->pid, SOON_MS) != (op == VMM_KILL ? 128 + SIGKILL : 0))
		return -EIO;
	h->pid = 0;
	return 0;
}

FIXTURE_SETUP(move)
{
	struct answer a;
	int i;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	self->sh = shared_alloc(sizeof(*self->sh));
	ASSERT_NE(NULL, self->sh);
	self->sh->window = RUN_WINDOW;
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, shared_tally(&self->sh->rx[i]));
		self->memfds[i] = guest_create();
		ASSERT_LE(0, self->memfds[i]);
	}
	for (i = 0; i <= HOPS; i++)
		ASSERT_EQ(0, vmm_start(&self->vmms[i], self->sh, self->memfds));

	ASSERT_EQ(0, vmm_step(&self->vmms[0], VMM_BOOT, &a));
	ASSERT_EQ(0, capture_open(&self->capture, if_nametoindex("tap0")));
	self->sh->c.c = &self->capture;
	self->sh->c.flow = FLOW;
	self->sh->c.queues = QUEUES;
	ASSERT_EQ(0, catcher_start(&self->sh->c));
	ASSERT_EQ(0, vmm_step(&self->vmms[0], VMM_RUN, &a));
	self->src.sh = self->sh;
	ASSERT_EQ(0, sender_open(&self->src.s, if_nametoindex("tap0"), 16));
	ASSERT_EQ(0, pthread_create(&self->src.thread, NULL, source_main,
				    &self->src));
}

FIXTURE_TEARDOWN(move)
{
	int i;

	for (i = 0; i <= HOPS; i++)
		if (self->vmms[i].pid > 0)
			child_kill(self->vmms[i].pid);
	catcher_stop(&self->sh->c);
	link_delete("tap0");
	capture_close(&self->capture);
	sender_close(&self->src.s);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* Traffic flows in both directions, on each queue. */
static bool wait_for_traffic(struct shared *sh, uint64_t n)
{
	uint64_t rx = received(sh) + n, tx[QUEUES];
	bool ok;
	int q;

	for (q = 0; q < QUEUES; q++)
		tx[q] = __atomic_load_n(&sh->c.seen[q], __ATOMIC_ACQUIRE) + n;
	ok = wait_until(received(sh) >= rx, SOON_MS);
	for (q = 0; q < QUEUES; q++)
		ok &= wait_until(__atomic_load_n(&sh->c.seen[q],
						 __ATOMIC_ACQUIRE) >= tx[q],
				 SOON_MS);
	return ok;
}

/* In how many tallies it is */
static int count_received(const struct shared *sh, uint32_t seq)
{
	int q, n = 0;

	for (q = 0; q < QUEUES; q++)
		n += sh->rx[q].seen[seq];
	return n;
}

/* The guest has no descriptor left to send with, on either queue. */
static bool guest_is_stuck(const int *memfds)
{
	bool stuck = true;
	struct vhost v;
	int q;

	for (q = 0; q < QUEUES; q++) {
		stuck &= !vhost_open(&v, 0, memfds[q]) &&
			 guest_unsent(&v) == VHOST_RING;
		vhost_close(&v);
	}
	return stuck;
}

/* How far vhost has come in filling the guests' buffers; turns round. */
static uint32_t guest_filled(const int *memfds)
{
	struct vhost v;
	uint32_t n = 0;
	int q;

	for (q = 0; q < QUEUES; q++) {
		if (!vhost_open(&v, 0, memfds[q]))
			n = n << 16 | v.vrings[VHOST_RX].used->idx;
		vhost_close(&v);
	}
	return n;
}

TEST_F(move, nothing_is_lost_and_order_is_kept)
{
	struct order claim = { .op = VMM_CLAIM }, resume = { .op = VMM_RESUME };
	struct order thaw = { .op = VMM_THAW };
	uint64_t sent = 0, lost = 0, dup = 0;
	uint32_t seq, filled;
	struct shared *sh = self->sh;
	struct link_stats at_freeze, now;
	struct answer a, unused;
	const char *step;
	int i, q;

	resume.recover = strchr(variant->steps, VMM_KILL);
	if (variant->ready)
		resume.op = VMM_READY;
	for (i = 0; i < HOPS; i++) {
		struct handle *from = &self->vmms[i], *to = &self->vmms[i + 1];

		EXPECT_TRUE(wait_for_traffic(sh, 1000));
		for (step = variant->steps; *step; step++) {
			ASSERT_EQ(0, vmm_step(from, *step, *step == VMM_KILL ?
					      &unused : &a));
			if (*step == VMM_HOLD)
				sh->window = HOLD_WINDOW;
			if (*step == VMM_FREEZE)
				ASSERT_EQ(0, link_stats("tap0", &at_freeze));
		}
		/* More than a ring is held for the target. */
		EXPECT_TRUE(wait_until(self->src.s.seq - received(sh) >=
				       HOLD_WINDOW, SOON_MS));
		claim.id = a.id;
		claim.token = a.token;
		ASSERT_EQ(0, vmm_tell(to, &claim, &a));
		for (step = variant->late; *step; step++)
			ASSERT_EQ(0, vmm_step(from, *step, &unused));
		filled = guest_filled(self->memfds);
		if (variant->ready) {
			ASSERT_EQ(0, vmm_tell(to, &resume, &a));
			EXPECT_TRUE(wait_until(guest_is_stuck(self->memfds),
					       SOON_MS));
		}
		ASSERT_EQ(0, link_stats("tap0", &now));
		EXPECT_EQ(at_freeze.rx_packets, now.rx_packets);
		EXPECT_EQ(filled, guest_filled(self->memfds));
		sh->window = RUN_WINDOW;
		ASSERT_EQ(0, vmm_tell(to, variant->ready ? &thaw : &resume, &a));
	}
	EXPECT_TRUE(wait_for_traffic(sh, 1000));

	/* Let it all arrive. */
	__atomic_store_n(&self->src.stop, true, __ATOMIC_RELEASE);
	pthread_join(self->src.thread, NULL);
	EXPECT_EQ(0, self->src.err);
	EXPECT_EQ(0, self->src.s.dropped);
	EXPECT_TRUE(wait_until(received(sh) == self->src.s.seq, SOON_MS));
	ASSERT_EQ(0, vmm_step(&self->vmms[HOPS], VMM_PAUSE, &a));
	for (q = 0; q < QUEUES; q++) {
		struct vhost v;

		ASSERT_EQ(0, vhost_open(&v, 0, self->memfds[q]));
		EXPECT_TRUE(wait_until(guest_unsent(&v) == 0, SOON_MS));
		sent += v.guest->sent;
		EXPECT_TRUE(wait_until(sh->c.seen[q] == v.guest->sent, SOON_MS));
		/* numbers n * QUEUES + q, without a gap */
		for (seq = 0; seq < v.guest->sent; seq++)
			lost += !self->capture.t.seen[seq * QUEUES + q];
		vhost_close(&v);
	}
	EXPECT_EQ(sent, catcher_seen(&sh->c));
	EXPECT_EQ(0, lost + self->capture.t.dup + self->capture.t.reordered +
		     self->capture.t.foreign + sh->c.lost);

	for (seq = 0, lost = 0; seq < self->src.s.seq; seq++) {
		lost += count_received(sh, seq) < 1;
		dup += count_received(sh, seq) > 1;
	}
	EXPECT_EQ(0, lost + dup);
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, sh->rx[q].dup + sh->rx[q].reordered +
			     sh->rx[q].foreign);
	TH_LOG("%u packets to the guest, %lu from it", self->src.s.seq,
	       (unsigned long)sent);
}

TEST_HARNESS_MAIN
