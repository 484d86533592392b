// SPDX-License-Identifier: GPL-2.0
/*
 * The stage of the fault matrix.
 *
 *	source	has the queues of tap0, and a guest that reads and writes
 *	orch	takes duplicates of them, prepares, holds, freezes
 *	target	claims, makes ready, thaws; has the token from the beginning
 *	we	send to the guest, catch what it sends, and look on
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <kselftest.h>

#include "matrix.h"
#include "util.h"

#define FLOWS		64
#define HELD		(TAP_RING + TAP_RING / 2)	/* no ring takes it */
#define CELL_MS		120000

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

int matrix_complain(const char *file, int line, const char *what,
		    long long want, long long got)
{
	printf("# %s:%d: %s: %lld == %lld\n", file, line, what, want, got);
	return -1;
}

/* -- traffic ------------------------------------------------------------- */

/*
 * Whether there is so much that a ring of the device's length, which is what a
 * target has that has not read for five seconds, might have no room for more: that
 * is dropped, and the sender not told.
 */
static bool is_unread(struct matrix *m)
{
	return load(&m->at) == TAPXFER_STATE_DRAINING &&
	       m->s.seq - m->s.dropped > load(&m->g->rx.got) + HELD;
}

static void *send_run(void *arg)
{
	struct matrix *m = arg;

	while (!load(&m->stop)) {
		pthread_mutex_lock(&m->lock);
		/* A device that is down, or gone, takes none: not counted. */
		if (!m->paused && !is_unread(m))
			sender_send(&m->s, 4);
		pthread_mutex_unlock(&m->lock);
		usleep(1000);
	}
	return NULL;
}

void matrix_pause(struct matrix *m)
{
	pthread_mutex_lock(&m->lock);
	m->paused = true;
	pthread_mutex_unlock(&m->lock);
}

void matrix_resume(struct matrix *m)
{
	pthread_mutex_lock(&m->lock);
	m->paused = false;
	pthread_mutex_unlock(&m->lock);
}

int matrix_burst(struct matrix *m, uint32_t n)
{
	int err;

	pthread_mutex_lock(&m->lock);
	err = sender_send(&m->s, n);
	pthread_mutex_unlock(&m->lock);
	MUST_EQ(0, err);
	return 0;
}

int matrix_catch_up(struct matrix *m)
{
	matrix_pause(m);
	if (!wait_until(load(&m->g->rx.got) + m->s.dropped + m->lost ==
			m->s.seq, SOON_MS))
		MUST_EQ(m->s.seq - m->s.dropped - m->lost, m->g->rx.got);
	return 0;
}

int matrix_guest(struct matrix *m, bool on)
{
	if (m->source.pid <= 0 || m->runs == on)
		return 0;
	MUST_EQ(0, TELL(m, source, on ? vmm_run : vmm_pause, 0, 0));
	m->runs = on;
	return 0;
}

void matrix_look(struct matrix *m)
{
	/* The first read may but tell that the link went down. */
	capture_read(&m->c);
	capture_read(&m->c);
}

int matrix_lap(struct matrix *m)
{
	uint64_t laps = load(&m->g->laps);

	if (m->runs)
		MUST(wait_until(load(&m->g->laps) > laps + 1, SOON_MS));
	return 0;
}

/* -- the steps of a handover --------------------------------------------- */

static long orch_prepare(struct agent_self *self, long pid, long deadline)
{
	struct tapxfer_queues *queues;
	struct tap tap = {};
	int err;

	err = tapxfer_queues_open(self->x.tx, pid, "tap0", &queues);
	if (err)
		return err;
	tap.n = tapxfer_queues_count(queues);
	memcpy(tap.fds, tapxfer_queues_fds(queues), tap.n * sizeof(int));
	tap.ifindex = if_nametoindex("tap0");
	err = xfer_begin(&self->x, &tap, TAPXFER_STATE_PREPARED, 0, deadline);
	tapxfer_queues_close(queues);
	return err;
}

/* As wide as a long is what an order's result is. */
static long orch_id(struct agent_self *self, long unused, long unused2)
{
	return self->x.id;
}

static long orch_token(struct agent_self *self, long part, long unused)
{
	return self->x.token.bytes[part];
}

static long do_hold(struct agent_self *self, long unused, long unused2)
{
	return xfer_hold(&self->x);
}

static long do_freeze(struct agent_self *self, long unused, long unused2)
{
	return xfer_freeze_patiently(&self->x);
}

long matrix_do_thaw(struct agent_self *self, long unused, long unused2)
{
	return xfer_thaw(&self->x) ?:
	       (long)xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED);
}

static int prepare(struct matrix *m)
{
	int i;

	MUST_EQ(0, agent_call(&m->orch, NULL, orch_prepare, m->source.pid,
			      m->deadline));
	m->expires = now_ms() + m->deadline;
	for (i = 0; i < TAPXFER_TOKEN_LEN; i++)
		m->x.token.bytes[i] = agent_call(&m->orch, NULL, orch_token, i,
						 0);
	m->x.id = agent_call(&m->orch, NULL, orch_id, 0, 0);
	return 0;
}

long matrix_step(struct matrix *m)
{
	switch (m->at) {
	case TAPXFER_STATE_PREPARED:
		return agent_call(m->steps, &m->x, do_hold, 0, 0);
	case TAPXFER_STATE_HOLDING:
		return agent_call(m->steps, &m->x, do_freeze, 0, 0);
	case TAPXFER_STATE_FROZEN:
		/* A size of its own, as QEMU's at first: the device's it is not. */
		return TELL(m, target, vmm_claim, (long)m->g, 0) ?:
		       TELL(m, target, agent_set_int, TUNSETVNETHDRSZ, 20);
	case TAPXFER_STATE_CLAIMED:
		return TELL(m, target, agent_set_int, TUNSETVNETHDRSZ,
			    VMM_HDR) ?:
		       TELL(m, target, agent_ready, TAPXFER_THAW_SHARED, 0);
	}
	return -EPROTO;
}

int matrix_thaw(struct matrix *m)
{
	if (m->source.pid > 0)
		MUST_EQ(0, TELL(m, source, vmm_close, 0, 0));
	m->runs = false;
	if (m->at == TAPXFER_STATE_CLAIMED)
		MUST_EQ(0, TELL(m, target, agent_set_int, TUNSETVNETHDRSZ,
				VMM_HDR));
	MUST_EQ(m->cell->named, TELL(m, target, matrix_do_thaw, 0, 0));
	m->at = TAPXFER_STATE_DRAINING;
	m->owner = &m->target;
	return 0;
}

int matrix_step_to(struct matrix *m, unsigned int state)
{
	while (m->at < state) {
		if (m->at == MATRIX_RUNNING) {
			if (prepare(m))
				return -1;
		} else if (state == TAPXFER_STATE_DRAINING &&
			   m->at == (m->vhost ? TAPXFER_STATE_READY :
						TAPXFER_STATE_CLAIMED)) {
			/* A thaw is refused a backend, but after a shared ready. */
			return matrix_thaw(m);
		} else {
			MUST_EQ(0, matrix_step(m));
		}
		m->at++;
		if (m->at == TAPXFER_STATE_HOLDING) {
			if (matrix_lap(m))
				return -1;
			m->got = load(&m->g->rx.got);
			if (!m->down && matrix_burst(m, HELD))
				return -1;
		}
		/* What began before has ended, what begins from now on waits. */
		if (m->at == TAPXFER_STATE_FROZEN) {
			matrix_look(m);
			m->seen = m->c.t.got;
		}
	}
	return 0;
}

bool matrix_unused(void)
{
	return wait_until(module_users() <= 0, SOON_MS);
}

int matrix_reopen(struct matrix *m)
{
	struct xfer old = m->x;

	m->x.id = 0;
	xfer_close(&m->x);
	xfer_close(&m->ev);
	MUST_EQ(0, xfer_open(&m->x));
	MUST_EQ(0, xfer_open(&m->ev));
	MUST_EQ(0, tapxfer_subscribe(m->ev.tx));
	m->x.id = old.id;
	m->x.token = old.token;
	return 0;
}

int matrix_follow(struct matrix *m)
{
	struct sender s = m->s;
	struct tally t = m->c.t;

	matrix_look(m);
	t = m->c.t;
	close(m->c.sock);
	MUST_EQ(0, capture_open(&m->c, m->ifindex));
	tally_free(&m->c.t);
	m->c.t = t;
	matrix_pause(m);
	sender_close(&m->s);
	MUST_EQ(0, sender_open(&m->s, m->ifindex, FLOWS));
	m->s.seq = s.seq;
	m->s.dropped = s.dropped;
	matrix_resume(m);
	return matrix_reopen(m);
}

void matrix_kill_all(struct matrix *m)
{
	agent_kill(&m->source);
	agent_kill(&m->target);
	agent_kill(&m->orch);
	if (m->extra >= 0)
		close(m->extra);
	m->extra = -1;
}

/* -- a cell -------------------------------------------------------------- */

static int set_stage(struct matrix *m, const struct matrix_play *play)
{
	MUST_EQ(0, net_isolate());
	m->g = vmm_guest_create();
	MUST(m->g);
	MUST_EQ(0, agent_start(&m->source));
	MUST_EQ(0, agent_start(&m->target));
	MUST_EQ(0, agent_start(&m->orch));
	MUST_EQ(0, xfer_open(&m->x));
	MUST_EQ(0, xfer_open(&m->ev));
	MUST_EQ(0, tapxfer_subscribe(m->ev.tx));

	MUST_EQ(0, TELL(m, source, vmm_boot, (long)m->g, 0));
	m->ifindex = if_nametoindex(m->name);
	MUST_EQ(0, sender_open(&m->s, m->ifindex, FLOWS));
	MUST_EQ(0, capture_open(&m->c, m->ifindex));
	MUST_EQ(0, pthread_create(&m->thread, NULL, send_run, m));
	if (matrix_guest(m, true))
		return -1;
	MUST(wait_until(load(&m->g->rx.got) > 50 && load(&m->g->sent) > 10,
			SOON_MS));
	if (play->before && play->before(m))
		return -1;
	MUST(wait_until(!matrix_facts_get(m, &m->before) &&
			m->before.link.flags & IFF_RUNNING, SOON_MS));
	return 0;
}

/* One a process */
static struct matrix stage;

static int run_cell(void *arg)
{
	const struct matrix_play *play = ((const void **)arg)[0];
	unsigned int state = (long)((void **)arg)[1];
	struct matrix *m = &stage;
	int err = 0;

	m->row = &matrix_rows[play->event];
	m->cell = &m->row->cells[state];
	m->state = state;
	m->extra = -1;
	m->steps = &m->orch;
	m->owner = &m->source;
	m->begun = now_ms();
	strcpy(m->name, "tap0");
	pthread_mutex_init(&m->lock, NULL);

	if (set_stage(m, play))
		return -1;
	/* Not before it is where it shall be found, on a machine this slow. */
	m->deadline = play->event == MATRIX_DEADLINE ?
		     scaled_ms(1500) + 2 * (now_ms() - m->begun) : XFER_PATIENCE_MS;
	if (matrix_step_to(m, state))
		return -1;
	if (state)
		MUST_EQ(state, xfer_state(&m->x));
	if (play->happens(m, &err))
		return -1;
	MUST_EQ(m->cell->err, err);
	return matrix_judge(m, play);
}

/* Whatever became of it, the next cell begins with nothing of this one. */
static int play_cell(void *arg)
{
	int bad = run_cell(arg);

	if (bad) {
		matrix_kill_all(&stage);
		xfer_close(&stage.x);
	}
	return bad ? 1 : 0;
}

static bool chosen(int argc, char **argv, const char *name)
{
	return argc < 2 || !strcmp(argv[1], name);
}

int matrix_main(int argc, char **argv, const struct matrix_play *plays,
		size_t n)
{
	unsigned int state, plan = 0;
	char name[64];
	int run;
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "--rst")) {
		matrix_rst();
		return 0;
	}
	/* The plan first. */
	for (run = 0; run < 2; run++) {
		for (i = 0; i < n * MATRIX_STATES; i++) {
			const struct matrix_play *play =
				&plays[i / MATRIX_STATES];
			const struct matrix_row *row =
				&matrix_rows[play->event];
			void *arg[2] = { (void *)play };
			int status;
			pid_t pid;

			state = i % MATRIX_STATES;
			arg[1] = (void *)(long)state;
			snprintf(name, sizeof(name), "%s.%s", row->name,
				 matrix_states[state]);
			if (row->cells[state].outcome == MATRIX_IMPOSSIBLE ||
			    !chosen(argc, argv, name))
				continue;
			if (!run) {
				plan++;
				continue;
			}
			pid = child_start(play_cell, arg);
			status = child_wait(pid, CELL_MS);
			if (status < 0)
				child_kill(pid);
			if (status)
				ksft_print_msg("%s: status %d\n", name, status);
			ksft_test_result(!status, "%s\n", name);
		}
		if (!run) {
			ksft_print_header();
			ksft_set_plan(plan);
		}
	}
	ksft_print_cnts();
	return ksft_cnt.ksft_pass == plan ? KSFT_PASS : KSFT_FAIL;
}
