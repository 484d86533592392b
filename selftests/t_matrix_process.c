// SPDX-License-Identifier: GPL-2.0
/*
 * The fault matrix: processes that die, let go, give up, or race.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "matrix.h"
#include "util.h"

/* It may be killed between a packet and what it notes of it. */
static int count_unsure(struct matrix *m)
{
	if (m->g->trying > m->g->sent) {
		m->unsure++;
		m->g->sent = m->g->trying;
	}
	return 0;
}

static int source_killed(struct matrix *m, int *err)
{
	/* What it has read and not counted would be lost with it. */
	if (m->state < TAPXFER_STATE_HOLDING && matrix_catch_up(m))
		return -1;
	agent_kill(&m->source);
	m->runs = false;
	matrix_resume(m);
	return count_unsure(m);
}

static int target_killed(struct matrix *m, int *err)
{
	agent_kill(&m->target);
	/* It had but the token; who comes in its place gets that, too. */
	if (m->state <= TAPXFER_STATE_FROZEN)
		MUST_EQ(0, agent_start(&m->target));
	return 0;
}

static int orch_killed(struct matrix *m, int *err)
{
	agent_kill(&m->orch);
	m->steps = &m->target;
	return 0;
}

static int fds_closed(struct matrix *m, int *err)
{
	if (m->state == TAPXFER_STATE_DRAINING) {
		MUST_EQ(0, TELL(m, target, vmm_close, 0, 0));
	} else {
		MUST_EQ(0, TELL(m, source, vmm_close, 0, 0));
		m->runs = false;
	}
	return 0;
}

/*
 * By then a ring that nobody reads has lost what came after the end and does not
 * fit, which the device counts.
 */
static int deadline(struct matrix *m, int *err)
{
	struct link_stats before, now;
	uint64_t last;

	MUST_EQ(0, link_stats("tap0", &before));
	before.tx_dropped -= m->s.dropped;
	MUST(wait_until(now_ms() > m->expires, m->deadline + SOON_MS));
	if (m->state != TAPXFER_STATE_DRAINING)
		return 0;
	matrix_pause(m);
	MUST_EQ(0, link_stats("tap0", &now));
	do {
		last = now.tx_dropped;
		usleep(scaled_ms(2000) * 1000);
		MUST_EQ(0, link_stats("tap0", &now));
	} while (now.tx_dropped != last);
	m->s.dropped = now.tx_dropped - before.tx_dropped;
	matrix_resume(m);
	return 0;
}

/* -- abort by another process -------------------------------------------- */

static long become_nobody(struct agent_self *self, long unused, long unused2)
{
	self->x.id = 0;
	xfer_close(&self->x);
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		return -errno;
	return xfer_open(&self->x);
}

static long abort_it(struct agent_self *self, long id, long with_token)
{
	return tapxfer_abort(self->x.tx, id,
			     with_token ? &self->x.token : NULL, NULL);
}

static int abort_by(struct matrix *m, bool nobody, bool with_token, int *err)
{
	struct agent other;

	MUST_EQ(0, agent_start(&other));
	if (nobody)
		MUST_EQ(0, agent_call(&other, NULL, become_nobody, 0, 0));
	*err = agent_call(&other, with_token ? &m->x : NULL, abort_it, m->x.id,
			  with_token);
	agent_kill(&other);
	return 0;
}

static int abort_token(struct matrix *m, int *err)
{
	return abort_by(m, true, true, err);
}

static int abort_admin(struct matrix *m, int *err)
{
	return abort_by(m, false, false, err);
}

static int abort_nobody(struct matrix *m, int *err)
{
	return abort_by(m, true, false, err);
}

/* -- races --------------------------------------------------------------- */

struct racer {
	struct matrix *m;
	struct agent *agent;
	agent_fn fn;
	pthread_barrier_t *line;
	long result;
};

static void *race_run(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->line);
	r->result = agent_call(r->agent, &r->m->x, r->fn, (long)r->m->g, 0);
	return NULL;
}

static long thaw_shared(struct agent_self *self, long guest, long unused)
{
	return xfer_thaw_shared(&self->x);
}

static long do_abort(struct agent_self *self, long guest, long unused)
{
	return xfer_abort(&self->x);
}

/* Both at once: what they get. */
static int race(struct matrix *m, agent_fn source, agent_fn target,
		long *by_source, long *by_target)
{
	pthread_barrier_t line;
	struct racer s = { m, &m->source, source, &line, 0 };
	struct racer t = { m, &m->target, target, &line, 0 };
	pthread_t thread;

	if (m->state == TAPXFER_STATE_CLAIMED)
		MUST_EQ(0, TELL(m, target, agent_set_int, TUNSETVNETHDRSZ,
				VMM_HDR));
	MUST_EQ(0, pthread_barrier_init(&line, NULL, 2));
	MUST_EQ(0, pthread_create(&thread, NULL, race_run, &s));
	race_run(&t);
	pthread_join(thread, NULL);
	*by_source = s.result;
	*by_target = t.result;
	return 0;
}

/* Who is too late finds it ended, claimed, or the other at it. */
static bool is_late(long err)
{
	return err == -ENOENT || err == -EPROTO || err == -EBUSY ||
	       err == -ECANCELED;
}

static int thaw_thaw(struct matrix *m, int *err)
{
	agent_fn fn = m->state >= TAPXFER_STATE_CLAIMED ? thaw_shared :
							  vmm_claim_and_thaw;
	long s, t;

	if (race(m, fn, fn, &s, &t))
		return -1;
	MUST(s == 0 || is_late(s));
	MUST(t == 0 || is_late(t));
	if (s && t) {
		*err = s == -EBUSY ? t : s;
		return 0;
	}
	/* one and not both */
	MUST(s || t);
	/* Whoever let it go on: a claimed handover's queues are the target's. */
	m->owner = m->state >= TAPXFER_STATE_CLAIMED || !t ? &m->target :
							      &m->source;
	return 0;
}

static int thaw_abort(struct matrix *m, int *err)
{
	agent_fn fn = m->state >= TAPXFER_STATE_CLAIMED ? thaw_shared :
							  vmm_claim_and_thaw;
	long s, t;

	if (race(m, do_abort, fn, &s, &t))
		return -1;
	MUST(t == 0 || is_late(t));
	MUST(s == 0 || s == -ENOENT);
	MUST(s || t);
	*err = s && t ? s : 0;
	m->owner = s ? &m->target : &m->source;
	return 0;
}

static const struct matrix_play plays[] = {
	{ MATRIX_SOURCE_KILLED, .happens = source_killed },
	{ MATRIX_TARGET_KILLED, .happens = target_killed },
	{ MATRIX_ORCH_KILLED, .happens = orch_killed },
	{ MATRIX_FDS_CLOSED, .happens = fds_closed },
	{ MATRIX_DEADLINE, .happens = deadline },
	{ MATRIX_ABORT_TOKEN, .happens = abort_token },
	{ MATRIX_ABORT_ADMIN, .happens = abort_admin },
	{ MATRIX_ABORT_NOBODY, .happens = abort_nobody },
	{ MATRIX_THAW_THAW, .happens = thaw_thaw },
	{ MATRIX_THAW_ABORT, .happens = thaw_abort },
};

int main(int argc, char **argv)
{
	return matrix_main(argc, argv, plays, sizeof(plays) / sizeof(plays[0]));
}
