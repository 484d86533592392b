// SPDX-License-Identifier: GPL-2.0
/*
 * Whether what comes of an event is what the table says.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "matrix.h"
#include "util.h"
#include "vhost.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

/* While they are fenced nobody reads or writes, though the guest tries. */
static int check_fence(struct matrix *m)
{
	if (m->at < TAPXFER_STATE_HOLDING || m->at > TAPXFER_STATE_READY)
		return 0;
	if (matrix_lap(m))
		return -1;
	/* A backend gives the guest what it had taken before. */
	if (m->vhost)
		MUST(load(&m->g->rx.got) - m->got <= VHOST_BATCH);
	else
		MUST_EQ(m->got, load(&m->g->rx.got));
	if (m->at >= TAPXFER_STATE_FROZEN) {
		matrix_look(m);
		MUST_EQ(m->seen, m->c.t.got);
	}
	return 0;
}

/* What was sent has been received, or is held, or the driver dropped it. */
static uint64_t accounted(struct matrix *m)
{
	if (xfer_get(&m->x))
		return 0;
	return xfer_u64(&m->x, TAPXFER_A_HANDOVER_HELD) +
	       load(&m->g->rx.got) + m->s.dropped + m->lost;
}

static int check_held(struct matrix *m)
{
	if (m->extra >= 0)
		return 0;
	matrix_pause(m);
	/* A backend, or the guest, may have the last in hand. */
	if (!wait_until(accounted(m) == m->s.seq, SOON_MS))
		MUST_EQ(m->s.seq, accounted(m));
	matrix_resume(m);
	return 0;
}

/* -- what is to be seen -------------------------------------------------- */

static int borrow(struct matrix *m, struct tapxfer_queues **queues,
		  struct tap *tap)
{
	memset(tap, 0, sizeof(*tap));
	MUST_EQ(0, tapxfer_queues_open(NULL, m->owner->pid, m->name, queues));
	tap->n = tapxfer_queues_count(*queues);
	memcpy(tap->fds, tapxfer_queues_fds(*queues), tap->n * sizeof(int));
	tap->ifindex = m->ifindex;
	MUST_EQ(VMM_QUEUES, tap->n);
	return 0;
}

int matrix_facts_get(struct matrix *m, struct matrix_facts *f)
{
	struct tapxfer_queues *queues;
	struct tap tap;

	memset(f, 0, sizeof(*f));
	if (borrow(m, &queues, &tap))
		return -1;
	MUST_EQ(0, outside_get(m->name, tap.fds[0], &f->out));
	MUST_EQ(0, link_info(m->ifindex, &f->link));
	tapxfer_queues_close(queues);
	return 0;
}

/* What they were, and what the event has changed of it */
static void change(struct matrix_facts *f, const struct matrix_facts *now,
		   uint32_t what)
{
	if (what & MATRIX_NAME) {
		memset(f->link.name, 0, sizeof(f->link.name));
		memset(f->out.s.name, 0, sizeof(f->out.s.name));
		strcpy(f->link.name, MATRIX_NEW_NAME);
		strcpy(f->out.s.name, MATRIX_NEW_NAME);
	}
	if (what & MATRIX_DOWN) {
		f->link.flags &= ~(IFF_UP | IFF_RUNNING | 1U << 16);
		f->link.operstate = now->link.operstate;
	}
	if (what & MATRIX_TXQLEN)
		f->link.txqlen = MATRIX_NEW_TXQLEN;
	if (what & MATRIX_TXQLEN_LESS)
		f->link.txqlen = MATRIX_LESS_TXQLEN;
	if (what & MATRIX_DETACHED) {
		f->out.queues--;
		f->out.detached++;
	}
	if (what & MATRIX_ATTACHED) {
		f->out.queues++;
		f->out.detached--;
	}
	if (what & MATRIX_QUEUES)
		f->out.queues++;
}

static void tell_facts(const char *how, const struct matrix_facts *f)
{
	const struct link_info *l = &f->link;
	const struct tap_settings *s = &f->out.s;

	printf("# %s: %s flags %x mtu %u txqlen %u carrier %u (%u changes) operstate %u queues %u detached %u hdr %d sndbuf %d tun %x\n",
	       how, l->name, l->flags, l->mtu, l->txqlen, l->carrier,
	       l->carrier_changes, l->operstate, f->out.queues,
	       f->out.detached, s->hdr, s->sndbuf, s->flags);
}

static bool facts_are(struct matrix *m, bool tell)
{
	uint32_t what = m->cell->err ? 0 : m->row->change;
	struct matrix_facts want = m->before, now;

	if (matrix_facts_get(m, &now))
		return false;
	change(&want, &now, what);
	if (!memcmp(&want, &now, sizeof(want)))
		return true;
	if (tell) {
		tell_facts("should be", &want);
		tell_facts("is", &now);
	}
	return false;
}

static int check_facts(struct matrix *m)
{
	/* Whether it is operational is told with a delay. */
	MUST(wait_until(facts_are(m, false), SOON_MS) || facts_are(m, true));
	return 0;
}

/* How the handover ended (@event; 0: there is a choice), and what is named. */
static int check_end(struct matrix *m, uint32_t event)
{
	struct tapxfer_info *info;
	uint32_t e = 0, named = 0;

	if (m->elsewhere)
		return 0;
	while (e < TAPXFER_EVENT_THAWED || e > TAPXFER_EVENT_GONE) {
		MUST_EQ(0, tapxfer_event_next(m->ev.tx, SOON_MS, &info));
		e = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
		named = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_VIOLATED);
		m->held = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HELD);
		tapxfer_info_free(info);
	}
	if (event)
		MUST_EQ(event, e);
	/* An abort may come when the target's settings are being made. */
	else if (e == TAPXFER_EVENT_ABORTED)
		named &= ~TAPXFER_VIOLATION_SETTINGS;
	MUST_EQ(m->cell->named, named);
	return 0;
}

/* -- what comes of it ---------------------------------------------------- */

static int check_accounts(struct matrix *m)
{
	struct link_stats stats;

	MUST_EQ(0, link_stats(m->name, &stats));
	/*
	 * Who stops the stack's own queues, to resize or to close them, locks
	 * all for a moment: a direct send is refused then, and none counts it.
	 * A device is down when it is renamed or moved.
	 */
	if (!(m->row->change & (MATRIX_TXQLEN | MATRIX_DOWN | MATRIX_NAME |
				MATRIX_NETNS)))
		MUST(stats.tx_dropped >= m->s.dropped);
	if (m->lost)
		MUST_EQ(m->s.dropped + (m->counted ? m->lost : 0),
			stats.tx_dropped);
	MUST_EQ(m->s.dropped + m->lost, tally_lost(&m->g->rx, m->s.seq));
	return 0;
}

static int check_order(struct matrix *m)
{
	uint64_t lost;

	MUST_EQ(0, m->g->rx.dup);
	MUST_EQ(0, m->g->rx.reordered);
	MUST_EQ(0, m->g->rx.foreign);
	matrix_look(m);
	lost = tally_lost(&m->c.t, m->g->sent);
	MUST(lost <= m->unsure);
	MUST_EQ(m->g->sent, m->c.t.got + lost);
	MUST_EQ(0, m->c.t.dup);
	MUST_EQ(0, m->c.t.reordered);
	return 0;
}

static int next_handover(struct matrix *m)
{
	struct tapxfer_queues *queues;
	struct tap tap;
	struct xfer x;

	if (borrow(m, &queues, &tap))
		return -1;
	MUST_EQ(0, xfer_open(&x));
	MUST_EQ(0, xfer_begin(&x, &tap, TAPXFER_STATE_PREPARED, 0, 0));
	MUST_EQ(0, xfer_freeze_patiently(&x));
	if (matrix_burst(m, 100))
		return -1;
	MUST_EQ(0, xfer_get(&x));
	MUST(xfer_u64(&x, TAPXFER_A_HANDOVER_HELD) >= 100);
	MUST_EQ(0, xfer_finish(&x));
	x.id = 0;
	xfer_close(&x);
	tapxfer_queues_close(queues);
	return 0;
}

/* Somebody has the queues, and a guest. */
static int check_owner(struct matrix *m, const struct matrix_play *play)
{
	uint32_t sent;

	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_run, 0, 0));
	if (check_facts(m) || (play->after && play->after(m)) ||
	    matrix_catch_up(m))
		return -1;
	if (m->x.id)
		MUST(wait_until(xfer_state(&m->x) == -ENOENT, SOON_MS));
	MUST(matrix_unused());

	matrix_resume(m);
	sent = load(&m->g->sent);
	MUST(wait_until(load(&m->g->sent) > sent + 5, SOON_MS));
	if (next_handover(m) || matrix_catch_up(m))
		return -1;
	MUST(matrix_unused());

	MUST_EQ(0, agent_call(m->owner, &m->x, vmm_finish, 0, 0));
	if (check_accounts(m) || check_order(m))
		return -1;
	/* Only open files keep it. */
	matrix_kill_all(m);
	MUST(wait_until(!if_nametoindex(m->name), SOON_MS));
	return 0;
}

static bool files_are_dead(struct matrix *m)
{
	/* The source has none when the target had thawed alone. */
	if (m->source.pid > 0 && m->state < TAPXFER_STATE_DRAINING &&
	    TELL(m, source, vmm_read_error, 0, 0) != -EBADFD)
		return false;
	return m->state < TAPXFER_STATE_CLAIMED || m->target.pid <= 0 ||
	       TELL(m, target, vmm_read_error, 0, 0) == -EBADFD;
}

/*
 * What was not read is freed with the device, and counted by the handover alone, if
 * that held it. When the rings are unparked a reader may yet get some of it.
 */
static int check_freed(struct matrix *m)
{
	uint64_t unread = m->s.seq - m->s.dropped - m->g->rx.got;

	MUST(m->g->rx.got + m->s.dropped <= m->s.seq);
	if (m->state < TAPXFER_STATE_HOLDING) {
		MUST_EQ(0, m->held);
		MUST(unread <= VMM_QUEUES * TAP_RING);
	} else if (m->state == TAPXFER_STATE_DRAINING) {
		MUST_EQ(m->got, m->g->rx.got);
	} else {
		MUST_EQ(m->s.seq - m->s.dropped - m->got, m->held);
	}
	return 0;
}

static int check_gone(struct matrix *m)
{
	struct tap tap;

	if (m->state >= TAPXFER_STATE_PREPARED &&
	    m->state <= TAPXFER_STATE_READY) {
		if (check_end(m, TAPXFER_EVENT_GONE))
			return -1;
	}
	MUST(wait_until(!if_nametoindex("tap0"), SOON_MS));
	if (m->row->cells[TAPXFER_STATE_PREPARED].outcome == MATRIX_GONE)
		MUST(wait_until(files_are_dead(m), SOON_MS));
	MUST(matrix_unused());
	if (m->x.id) {
		MUST_EQ(-ENOENT, xfer_state(&m->x));
		MUST_EQ(-ENOENT, xfer_thaw(&m->x));
		MUST_EQ(-ENOENT, xfer_abort(&m->x));
	}
	if (matrix_guest(m, false))
		return -1;
	matrix_pause(m);
	if (check_freed(m) || check_order(m))
		return -1;
	matrix_kill_all(m);
	/* The name is free, and a device of that name is a new one. */
	MUST_EQ(0, tap_open(&tap, "tap0", VMM_QUEUES, TAP_VM));
	MUST_EQ(0, xfer_begin(&m->x, &tap, TAPXFER_STATE_FROZEN, 0, 0));
	MUST_EQ(0, xfer_finish(&m->x));
	m->x.id = 0;
	tap_close(&tap);
	MUST(matrix_unused());
	return 0;
}

static int judge_on(struct matrix *m)
{
	if (m->state == MATRIX_RUNNING)
		return 0;
	if (m->state == TAPXFER_STATE_DRAINING) {
		m->owner = &m->target;
		return 0;
	}
	MUST_EQ(m->state, xfer_state(&m->x));
	MUST_EQ(m->cell->named, xfer_u64(&m->x, TAPXFER_A_HANDOVER_VIOLATED));
	if (check_fence(m) || matrix_step_to(m, TAPXFER_STATE_CLAIMED) ||
	    check_held(m) || matrix_thaw(m))
		return -1;
	return check_end(m, TAPXFER_EVENT_THAWED);
}

static int judge_frozen(struct matrix *m)
{
	MUST(wait_until(xfer_state(&m->x) == TAPXFER_STATE_FROZEN, SOON_MS));
	MUST_EQ(m->cell->named, xfer_u64(&m->x, TAPXFER_A_HANDOVER_VIOLATED));
	m->at = TAPXFER_STATE_FROZEN;
	if (check_fence(m))
		return -1;
	/* another target */
	MUST_EQ(0, agent_start(&m->target));
	if (matrix_step_to(m, TAPXFER_STATE_CLAIMED) || check_held(m) ||
	    matrix_thaw(m))
		return -1;
	return check_end(m, TAPXFER_EVENT_THAWED);
}

static int judge_back(struct matrix *m)
{
	MUST(wait_until(!xfer_is_live(&m->x), 2 * SOON_MS));
	if (m->target.pid > 0)
		MUST_EQ(0, TELL(m, target, vmm_close, 0, 0));
	m->owner = &m->source;
	return check_end(m, m->row == &matrix_rows[MATRIX_DEADLINE] ?
			    TAPXFER_EVENT_EXPIRED : TAPXFER_EVENT_ABORTED);
}

static int judge_anew(struct matrix *m)
{
	MUST_EQ(m->state, xfer_state(&m->x));
	if (check_fence(m))
		return -1;
	MUST_EQ(-ESTALE, matrix_step(m));
	MUST_EQ(m->state, xfer_state(&m->x));
	MUST_EQ(0, xfer_abort(&m->x));
	MUST_EQ(m->cell->named, xfer_u64(&m->x, TAPXFER_A_HANDOVER_VIOLATED));
	return judge_back(m);
}

/* It has two references to the first queue, and none to the other. */
static bool backend_is_counted(struct matrix *m)
{
	return !xfer_get(&m->x) &&
	       xfer_queue_u64(&m->x, 0, TAPXFER_A_QUEUE_OTHERS) ==
	       xfer_queue_u64(&m->x, 1, TAPXFER_A_QUEUE_OTHERS) + 2;
}

static int judge_in_use(struct matrix *m)
{
	if (check_fence(m) || matrix_step_to(m, TAPXFER_STATE_CLAIMED))
		return -1;
	/* The source's guest runs on: it has one while it reads or writes. */
	MUST(wait_until(backend_is_counted(m), SOON_MS));
	MUST_EQ(-EBUSY, TELL(m, target, matrix_do_thaw, 0, 0));
	MUST_EQ(0, xfer_abort(&m->x));
	return judge_back(m);
}

/*
 * What the backend has of the guest's is sent. Nobody looks at what it receives: it
 * fills the buffers that there are.
 */
static int judge_both(struct matrix *m)
{
	if (m->state == TAPXFER_STATE_READY) {
		MUST_EQ(TAPXFER_STATE_READY, xfer_state(&m->x));
		if (check_fence(m) || check_held(m) || matrix_thaw(m))
			return -1;
	}
	MUST_EQ(0, TELL(m, source, vmm_finish, 0, 0));
	MUST(wait_until(TELL(m, source, vmm_vhost_used, 0, 0) == VHOST_RING,
			SOON_MS));
	return check_end(m, TAPXFER_EVENT_THAWED);
}

/* One queue is read by the source; still nothing enters the host. */
static int judge_early(struct matrix *m)
{
	MUST_EQ(TAPXFER_STATE_READY, xfer_state(&m->x));
	if (matrix_lap(m))
		return -1;
	matrix_look(m);
	MUST_EQ(m->seen, m->c.t.got);
	if (check_held(m) || matrix_thaw(m))
		return -1;
	return check_end(m, TAPXFER_EVENT_THAWED);
}

static int judge_one(struct matrix *m)
{
	MUST(!xfer_is_live(&m->x));
	if (m->owner == &m->target)
		MUST_EQ(0, TELL(m, source, vmm_close, 0, 0));
	else
		MUST_EQ(0, TELL(m, target, vmm_close, 0, 0));
	m->runs = m->owner == &m->source;
	return check_end(m, 0);
}

static int judge_unloaded(struct matrix *m)
{
	MUST_EQ(-1, module_users());
	return matrix_reopen(m);
}

int matrix_judge(struct matrix *m, const struct matrix_play *play)
{
	int bad = -1;

	switch (m->cell->outcome) {
	case MATRIX_ON:
		bad = judge_on(m);
		break;
	case MATRIX_FROZEN:
		bad = judge_frozen(m);
		break;
	case MATRIX_BACK:
		bad = judge_back(m);
		break;
	case MATRIX_ANEW:
		bad = judge_anew(m);
		break;
	case MATRIX_IN_USE:
		bad = judge_in_use(m);
		break;
	case MATRIX_BOTH:
		bad = judge_both(m);
		break;
	case MATRIX_EARLY:
		bad = judge_early(m);
		break;
	case MATRIX_ONE:
		bad = judge_one(m);
		break;
	case MATRIX_UNLOADED:
		bad = judge_unloaded(m);
		break;
	case MATRIX_GONE:
		return check_gone(m);
	case MATRIX_IMPOSSIBLE:
		break;
	}
	return bad ?: check_owner(m, play);
}
