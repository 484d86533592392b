// SPDX-License-Identifier: GPL-2.0
/*
 * G4 and G5: every allocation and user copy within a command fails, one after
 * the other. The command is done or it is not, and what it left of the handover
 * and of the caller can go on; no packet is lost.
 *
 * A call is injected into alone, from the message's copy into the kernel to its
 * answer in the socket. The kernel needs CONFIG_FAULT_INJECTION and a few more,
 * see vm/debug.config.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include <linux/genetlink.h>

#include "fault.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		3
#define DETACHED	2	/* a queue */
#define FLOWS		16
#define SOME		5	/* packets, at a time */
#define SNDBUF		123456
/* so that a ring's array is less than a page: for more there is vmalloc() */
#define RING		100
/* a few pages in a row, or else by vmalloc() */
#define RING_ELSE	1000
/* by vmalloc() at once: see kmod/slots.c */
#define RING_VMALLOC	5000
#define POINTS_MAX	1000
/*
 * Before the module is asked netlink allocates a table for the attributes, of a
 * slab and, by chance, of a page for it, at points whose number varies.
 */
#define QUIET_MAX	3

/* What the claimant sets */
#define CLAIMED_SNDBUF	54321

#define NONE		0	/* no handover */
#define ENDED		TAPXFER_STATE_DRAINING

#define DUMP		(1 << 0)
#define WITH_FD		(1 << 1)	/* dev-get */
#define NO_FDS		(1 << 2)	/* claim */
#define SHARED		(1 << 3)	/* ready, thaw */
#define SHADOW		(1 << 4)	/* the claimant has set something */
#define TUN		(1 << 5)	/* a layer 3 device */
#define RELOAD		(1 << 6)	/* a module that has just been loaded */
#define THAWS		(1 << 7)	/* a claim */
#define SCRATCH		(1 << 8)	/* memory for the driver's answers */
#define BRIEF		(1 << 9)	/* freeze, claim */
#define ATTACH_ALL	(1 << 10)	/* claim */

FIXTURE(fail) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct xfer events;
	struct genl g;
	struct sender s;
	struct tally t;
	struct capture c;
	struct tap_settings before[QUEUES];
	uint8_t scratch[TAPXFER_SCRATCH_LEN];
	int fds;
	unsigned int quiet;	/* failures of which no text told the cause */
	unsigned int failed;
	unsigned int done;	/* all the same */
	unsigned int vmalloced;	/* and a ring's array was from vmalloc() */
};

FIXTURE_VARIANT(fail) {
	const char *name;
	uint8_t cmd;
	int before;		/* state of the handover */
	int after;		/* when the command is done */
	int flags;
	int halfway;		/* it may be left in, by a command of two steps */
	int hold;		/* packets a queue; 0: RING */
};

#define PATH(id, ...) \
FIXTURE_VARIANT_ADD(fail, id) { .name = #id, __VA_ARGS__ }

#define S(state)	TAPXFER_STATE_##state

PATH(cap_get,		TAPXFER_CMD_CAP_GET, NONE, NONE);
PATH(dev_get,		TAPXFER_CMD_DEV_GET, NONE, NONE);
PATH(dev_get_fd,	TAPXFER_CMD_DEV_GET, NONE, NONE, WITH_FD);
PATH(dev_get_fd_tun,	TAPXFER_CMD_DEV_GET, NONE, NONE, WITH_FD | TUN);
PATH(dev_get_frozen,	TAPXFER_CMD_DEV_GET, S(FROZEN), S(FROZEN));
PATH(dev_dump,		TAPXFER_CMD_DEV_GET, S(HOLDING), S(HOLDING), DUMP);
PATH(handover_get,	TAPXFER_CMD_HANDOVER_GET, S(CLAIMED), S(CLAIMED));
PATH(handover_dump,	TAPXFER_CMD_HANDOVER_GET, S(FROZEN), S(FROZEN), DUMP);
PATH(prepare,		TAPXFER_CMD_PREPARE, NONE, S(PREPARED));
PATH(prepare_tun,	TAPXFER_CMD_PREPARE, NONE, S(PREPARED), TUN);
PATH(prepare_scratch,	TAPXFER_CMD_PREPARE, NONE, S(PREPARED), SCRATCH);
/* what is learnt once, see holders.c */
PATH(prepare_reload,	TAPXFER_CMD_PREPARE, NONE, S(PREPARED), RELOAD);
PATH(prepare_else,	TAPXFER_CMD_PREPARE, NONE, S(PREPARED),
     .hold = RING_ELSE);
PATH(prepare_vmalloc,	TAPXFER_CMD_PREPARE, NONE, S(PREPARED),
     .hold = RING_VMALLOC);
PATH(hold,		TAPXFER_CMD_HOLD, S(PREPARED), S(HOLDING));
PATH(hold_vmalloc,	TAPXFER_CMD_HOLD, S(PREPARED), S(HOLDING),
     .hold = RING_VMALLOC);
PATH(hold_new,		TAPXFER_CMD_HOLD, NONE, S(HOLDING));
PATH(freeze,		TAPXFER_CMD_FREEZE, S(HOLDING), S(FROZEN));
PATH(freeze_prepared,	TAPXFER_CMD_FREEZE, S(PREPARED), S(FROZEN), 0,
     S(HOLDING));
PATH(freeze_new,	TAPXFER_CMD_FREEZE, NONE, S(FROZEN));
PATH(freeze_new_vmalloc, TAPXFER_CMD_FREEZE, NONE, S(FROZEN),
     .hold = RING_VMALLOC);
/* as the library asks for it in a hurry */
PATH(freeze_brief,	TAPXFER_CMD_FREEZE, S(HOLDING), S(FROZEN),
     SCRATCH | BRIEF);
PATH(claim,		TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED));
PATH(claim_no_fds,	TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED), NO_FDS);
PATH(claim_reload,	TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED), RELOAD);
PATH(claim_brief,	TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED),
     SCRATCH | BRIEF);
PATH(claim_attach_all,	TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED), ATTACH_ALL);
PATH(claim_thaw_reload,	TAPXFER_CMD_CLAIM, S(FROZEN), ENDED, THAWS | RELOAD);
PATH(claim_thaw,	TAPXFER_CMD_CLAIM, S(FROZEN), ENDED, THAWS);
PATH(pass,		TAPXFER_CMD_PASS, S(CLAIMED), S(CLAIMED));
PATH(pass_ready,	TAPXFER_CMD_PASS, S(READY), S(READY));
PATH(drain,		TAPXFER_CMD_DRAIN, S(FROZEN), S(FROZEN));
PATH(ready,		TAPXFER_CMD_READY, S(CLAIMED), S(READY));
PATH(ready_shared,	TAPXFER_CMD_READY, S(CLAIMED), S(READY), SHARED);
PATH(ready_shadow,	TAPXFER_CMD_READY, S(CLAIMED), S(READY), SHADOW);
PATH(thaw,		TAPXFER_CMD_THAW, S(CLAIMED), ENDED);
PATH(thaw_shared,	TAPXFER_CMD_THAW, S(CLAIMED), ENDED, SHARED);
PATH(thaw_shadow,	TAPXFER_CMD_THAW, S(CLAIMED), ENDED, SHADOW);
PATH(thaw_scratch,	TAPXFER_CMD_THAW, S(CLAIMED), ENDED, SHADOW | SCRATCH);
PATH(thaw_ready,	TAPXFER_CMD_THAW, S(READY), ENDED);
PATH(abort_prepared,	TAPXFER_CMD_ABORT, S(PREPARED), ENDED);
PATH(abort_holding,	TAPXFER_CMD_ABORT, S(HOLDING), ENDED);
PATH(abort_frozen,	TAPXFER_CMD_ABORT, S(FROZEN), ENDED);
PATH(abort_claimed,	TAPXFER_CMD_ABORT, S(CLAIMED), ENDED, SHADOW);
PATH(abort_ready,	TAPXFER_CMD_ABORT, S(READY), ENDED);
PATH(abort_ready_set,	TAPXFER_CMD_ABORT, S(READY), ENDED, SHADOW);

#define SET_INT(fd, cmd, val) ({ \
	int val_ = (val); \
	ioctl(fd, cmd, &val_) ? -errno : 0; \
})

FIXTURE_SETUP(fail)
{
	int q;

	FAULT_OPEN();
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES,
			      variant->flags & TUN ?
			      IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE : TAP_VM));
	ASSERT_EQ(0, link_set_txqlen("tap0", RING));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, SET_INT(self->tap.fds[0], TUNSETSNDBUF, SNDBUF));
	ASSERT_EQ(0, tap_detach(self->tap.fds[DETACHED], true));
	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, tap_settings(self->tap.fds[q], &self->before[q]));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->events));
	ASSERT_EQ(0, tapxfer_subscribe(self->events.tx));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	self->fds = count_fds();
}

/* Nothing refers to the device any more, or it could not go. */
FIXTURE_TEARDOWN(fail)
{
	genl_close(&self->g);
	xfer_close(&self->x);
	xfer_close(&self->events);
	EXPECT_EQ(0, link_delete("tap0"));
	tap_close(&self->claimed);
	tap_close(&self->tap);
	sender_close(&self->s);
	capture_close(&self->c);
	tally_free(&self->t);
	fault_close();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* For the helpers, which are the test's hands */
#define IN	struct __test_metadata *_metadata, \
		struct _test_data_fail *self, \
		const struct _fixture_variant_fail *variant
#define US	_metadata, self, variant

/* As a VMM initialises what it has got: 0 or -errno. */
static int set_all(const struct tap *t)
{
	return SET_INT(t->fds[0], TUNSETVNETHDRSZ, 12) ?:
	       SET_INT(t->fds[1], TUNSETVNETLE, 1) ?:
	       SET_INT(t->fds[0], TUNSETSNDBUF, CLAIMED_SNDBUF) ?:
	       SET_INT(t->fds[0], TUNSETSTEERINGEBPF, -1) ?:
	       SET_INT(t->fds[0], TUNSETFILTEREBPF, -1) ?:
	       (ioctl(t->fds[0], TUNSETOFFLOAD, 0) ? -errno : 0) ?:
	       tap_detach(t->fds[DETACHED], false) ?:
	       tap_detach(t->fds[1], true);
}

/* A limit is set of the queues that are attached. */
static bool is_set(const struct tap *t)
{
	struct tap_settings s[2];

	return !tap_settings(t->fds[1], &s[0]) &&
	       !tap_settings(t->fds[DETACHED], &s[1]) &&
	       s[0].le == 1 && s[1].sndbuf == CLAIMED_SNDBUF && !s[0].tso &&
	       (s[0].flags & IFF_DETACH_QUEUE) &&
	       !(s[1].flags & IFF_DETACH_QUEUE);
}

/* What a thaw, or a ready, has let be the device's, as it was before. */
static void unset_all(IN)
{
	const struct tap *t = &self->tap;
	struct ifreq ifr = {};

	ASSERT_EQ(0, ioctl(t->fds[1], TUNGETIFF, &ifr));
	if (ifr.ifr_flags & IFF_DETACH_QUEUE)
		ASSERT_EQ(0, tap_detach(t->fds[1], false));
	ASSERT_EQ(0, SET_INT(t->fds[0], TUNSETVNETLE, 0));
	ASSERT_EQ(0, SET_INT(t->fds[0], TUNSETSNDBUF, SNDBUF));
	ASSERT_EQ(0, ioctl(t->fds[0], TUNSETOFFLOAD,
			   TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
	/* the driver's purge takes what is in a queue that is detached */
	ASSERT_LE(0, tap_read_all(t, &self->t));
	ASSERT_EQ(0, ioctl(t->fds[DETACHED], TUNGETIFF, &ifr));
	if (!(ifr.ifr_flags & IFF_DETACH_QUEUE))
		ASSERT_EQ(0, tap_detach(t->fds[DETACHED], true));
}

/* The handover's next step, from what state it is in: the new state. */
static int step(IN, int state)
{
	switch (state) {
	case NONE:
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_PREPARED,
					variant->hold ?: RING, 0));
		return TAPXFER_STATE_PREPARED;
	case TAPXFER_STATE_PREPARED:
		ASSERT_EQ(0, xfer_hold(&self->x));
		return TAPXFER_STATE_HOLDING;
	case TAPXFER_STATE_HOLDING:
		ASSERT_EQ(0, xfer_freeze_patiently(&self->x));
		return TAPXFER_STATE_FROZEN;
	case TAPXFER_STATE_FROZEN:
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
		ASSERT_EQ(QUEUES, self->claimed.n);
		if (variant->flags & SHADOW)
			ASSERT_EQ(0, set_all(&self->claimed));
		return TAPXFER_STATE_CLAIMED;
	case TAPXFER_STATE_CLAIMED:
		if (variant->before == TAPXFER_STATE_READY &&
		    variant->cmd != TAPXFER_CMD_READY) {
			ASSERT_EQ(0, xfer_ready(&self->x, 0));
			return TAPXFER_STATE_READY;
		}
		/* fallthrough */
	default:
		ASSERT_EQ(0, xfer_thaw(&self->x));
		return ENDED;
	}
}

static void request(IN)
{
	struct genl *g = &self->g;

	switch (variant->cmd) {
	case TAPXFER_CMD_CAP_GET:
		genl_new(g, variant->cmd);
		break;
	case TAPXFER_CMD_DEV_GET:
		genl_new(g, variant->cmd);
		if (!(variant->flags & DUMP))
			mnl_attr_put_u32(g->req, TAPXFER_A_DEV_IFINDEX,
					 self->tap.ifindex);
		if (variant->flags & WITH_FD)
			mnl_attr_put_u32(g->req, TAPXFER_A_DEV_FD,
					 self->tap.fds[0]);
		break;
	case TAPXFER_CMD_HANDOVER_GET:
		genl_new(g, variant->cmd);
		if (!(variant->flags & DUMP))
			mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_ID,
					 self->x.id);
		break;
	default:
		if (variant->before) {
			genl_go_on(g, variant->cmd, self->x.id,
				   self->x.token.bytes);
			break;
		}
		genl_begin(g, variant->cmd, self->tap.ifindex, self->tap.fds,
			   QUEUES);
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_HOLD,
				 variant->hold ?: RING);
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_DEADLINE,
				 XFER_PATIENCE_MS);
	}
	if (variant->flags & DUMP)
		g->req->nlmsg_flags |= NLM_F_DUMP;
	if (variant->flags & NO_FDS)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_NO_FDS, 0, NULL);
	if (variant->flags & SHARED)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
	if (variant->flags & THAWS)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_THAW, 0, NULL);
	if (variant->flags & ATTACH_ALL)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_ATTACH_ALL, 0, NULL);
	if (variant->flags & BRIEF)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_BRIEF, 0, NULL);
	if (variant->flags & SCRATCH)
		mnl_attr_put_u64(g->req, TAPXFER_A_HANDOVER_SCRATCH,
				 (uintptr_t)self->scratch);
	if (variant->cmd == TAPXFER_CMD_PASS)
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_PID, getpid());
}

/* What the answer brought: the token comes in one only, and so do the files. */
static void take_over(IN)
{
	const struct nlmsghdr *nlh = (void *)self->g.reply;
	const struct nlattr *a, *b;
	size_t len;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(a)) {
		case TAPXFER_A_HANDOVER_ID:
			self->x.id = mnl_attr_get_u32(a);
			break;
		case TAPXFER_A_HANDOVER_TOKEN:
			memcpy(self->x.token.bytes, mnl_attr_get_payload(a),
			       TAPXFER_TOKEN_LEN);
			break;
		case TAPXFER_A_HANDOVER_FDS:
			len = mnl_attr_get_payload_len(a);
			memcpy(self->claimed.fds, mnl_attr_get_payload(a), len);
			self->claimed.n = len / sizeof(self->claimed.fds[0]);
			break;
		case TAPXFER_A_HANDOVER_QUEUE:
			mnl_attr_for_each_nested(b, a)
				if (mnl_attr_get_type(b) == TAPXFER_A_QUEUE_FD)
					self->claimed.fds[self->claimed.n++] =
						mnl_attr_get_u32(b);
			break;
		}
	}
	if (variant->cmd == TAPXFER_CMD_CLAIM)
		ASSERT_EQ(variant->flags & NO_FDS ? 0 : QUEUES,
			  self->claimed.n);
	self->claimed.hdr = self->tap.hdr;
}

/* Whether the module has something of vmalloc()'s. */
static bool has_vmalloc(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "[tapxfer]") && strstr(line, " pages=");
	if (f)
		fclose(f);
	return found;
}

static bool begins(const struct _fixture_variant_fail *variant)
{
	return !variant->before && variant->after;
}

/*
 * Nothing of what it takes is allocated by it: whoever ends a handover. (What a
 * claimant has set is applied by the driver, which may find no memory.)
 */
static bool needs_nothing(const struct _fixture_variant_fail *variant)
{
	return variant->cmd == TAPXFER_CMD_ABORT ||
	       (variant->cmd == TAPXFER_CMD_THAW && !(variant->flags & SHADOW));
}

/* Ask, and take what is answered: whether it was done. */
static bool ask(IN, unsigned int n, struct fault_result *r)
{
	request(US);
	ASSERT_EQ(0, fault_talk(&self->g, n, r));
	EXPECT_FALSE(r->mapped);
	if (!r->hit) {
		EXPECT_EQ(0, r->err);
		EXPECT_STREQ("", self->g.msg);
		EXPECT_TRUE(r->answer.acked && r->answer.replied &&
			    !r->answer.lost);
	} else if (r->done) {
		self->done++;
	} else {
		self->failed++;
		EXPECT_TRUE(fault_is_fair(r)) {
			TH_LOG("point %u: %d, \"%s\"", n, r->err,
			       self->g.msg);
		}
		EXPECT_TRUE(variant->flags & DUMP || !r->answer.replied);
		if (r->answer.acked && !self->g.msg[0])
			self->quiet++;
		/* It never reached the module. */
		if (needs_nothing(variant))
			EXPECT_STREQ("", self->g.msg);
	}
	if (r->done && (begins(variant) || variant->cmd == TAPXFER_CMD_CLAIM))
		take_over(US);
	if (r->done && variant->hold && has_vmalloc())
		self->vmalloced++;
	return r->done;
}

#define SEND()	ASSERT_EQ(0, sender_send(&self->s, SOME))

/* The handover is in that state, and the packets are treated accordingly. */
static void expect_state(IN, int state)
{
	struct tapxfer_info *dev;

	ASSERT_EQ(0, tapxfer_dev_get(self->x.tx, self->tap.ifindex, -1, &dev));
	EXPECT_EQ(state != NONE && state != ENDED,
		  tapxfer_info_has(dev, TAPXFER_A_DEV_HANDOVER));
	tapxfer_info_free(dev);
	if (state == NONE)
		return;
	if (state == ENDED) {
		EXPECT_FALSE(xfer_is_live(&self->x));
		return;
	}
	EXPECT_EQ(state, xfer_state(&self->x));
	if (state >= TAPXFER_STATE_HOLDING)
		EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
	if (state >= TAPXFER_STATE_FROZEN)
		EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 0));
}

static void expect_settings(IN)
{
	struct tap_settings now;
	int q;

	for (q = 0; q < QUEUES; q++) {
		ASSERT_EQ(0, tap_settings(self->tap.fds[q], &now));
		EXPECT_EQ(0, memcmp(&self->before[q], &now, sizeof(now))) {
			TH_LOG("queue %d: flags 0x%x 0x%x hdr %d le %d sndbuf %d fl 0x%x csum %d tso %d",
			       q, self->before[q].flags, now.flags, now.hdr,
			       now.le, now.sndbuf, now.fl, now.csum, now.tso);
		}
	}
}

static void expect_traffic(IN)
{
	int q;

	ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->s.dropped + self->t.dup + self->t.reordered +
		     self->t.foreign);
	/* what our packets begin with is no IP header */
	if (variant->flags & TUN)
		return;
	for (q = 0; q < QUEUES; q++)
		if (q != DETACHED)
			EXPECT_EQ(0, tap_write_one(&self->tap, q, 0));
	EXPECT_EQ(QUEUES - 1, capture_read(&self->c));
}

/* Who listens heard of the end, or that there is something it did not hear of. */
static void expect_end_event(IN, bool hit)
{
	struct tapxfer_info *info;
	uint64_t last = 0;
	bool lost = false;
	int err;

	while ((err = tapxfer_event_next(self->events.tx, 0, &info)) !=
	       -EAGAIN) {
		if (err == -ENOBUFS) {
			lost = true;
			continue;
		}
		ASSERT_EQ(0, err);
		last = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
		tapxfer_info_free(info);
	}
	EXPECT_TRUE(hit || !lost);
	if (!lost)
		EXPECT_TRUE(last == TAPXFER_EVENT_THAWED ||
			    last == TAPXFER_EVENT_ABORTED);
}

/* One handover, its command injected into at point @n: points come to. */
static unsigned int once(IN, unsigned int n)
{
	bool shadow = variant->flags & SHADOW, done;
	bool aborted = variant->cmd == TAPXFER_CMD_ABORT;
	struct fault_result r, again;
	bool left, retried = false;
	int state = NONE, fds;

	if (variant->flags & RELOAD) {
		ASSERT_EQ(0, shell("modprobe -r tapxfer && modprobe tapxfer"));
		/* of a number of its own, and we need not learn it just then */
		xfer_close(&self->x);
		ASSERT_EQ(0, xfer_open(&self->x));
	}
	SEND();
	while (state != variant->before)
		state = step(US, state);
	SEND();
	genl_close(&self->g);
	ASSERT_EQ(0, genl_open(&self->g));

	fds = count_fds();
	done = ask(US, n, &r);
	EXPECT_EQ(fds + (variant->cmd == TAPXFER_CMD_CLAIM ?
			 self->claimed.n : 0), count_fds());
	if (done)
		state = variant->after;
	else if (variant->halfway && xfer_state(&self->x) == variant->halfway)
		state = variant->halfway;
	expect_state(US, state);
	SEND();
	/* What failed halfway is done by the next try, or is over. */
	if (!done && shadow && n % 2) {
		ASSERT_EQ(0, xfer_abort(&self->x));
		aborted = true;
		state = ENDED;
	} else if (!done) {
		genl_close(&self->g);
		ASSERT_EQ(0, genl_open(&self->g));
		EXPECT_TRUE(ask(US, FAULT_NEVER, &again));
		retried = true;
		state = variant->after;
		expect_state(US, state);
	}
	while (state != ENDED)
		state = step(US, state);
	/* An abort has put it back, or says that it has not. */
	if (shadow)
		ASSERT_EQ(0, xfer_get(&self->x));
	left = shadow && (xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED) &
			  TAPXFER_VIOLATION_SETTINGS);
	self->x.id = 0;
	tap_close(&self->claimed);
	if (shadow && !aborted)
		EXPECT_TRUE(is_set(&self->tap));
	/* What it had set when it failed was its own. */
	if (retried && !aborted)
		EXPECT_FALSE(left);
	if (shadow && (left || !aborted))
		unset_all(US);
	if (variant->flags & ATTACH_ALL) {
		ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
		ASSERT_EQ(0, tap_detach(self->tap.fds[DETACHED], true));
	}

	genl_close(&self->g);
	EXPECT_EQ(self->fds, count_fds());
	expect_settings(US);
	expect_traffic(US);
	if (!(variant->flags & RELOAD))
		expect_end_event(US, r.hit);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	return r.points;
}

/* How many points there are on the way to the module and back. */
static unsigned int baseline(IN)
{
	struct fault_result r;

	ASSERT_EQ(0, genl_open(&self->g));
	genl_go_on(&self->g, TAPXFER_CMD_ABORT, INT32_MAX, NULL);
	ASSERT_EQ(0, fault_talk(&self->g, FAULT_NEVER, &r));
	ASSERT_EQ(-ENOENT, r.err);
	genl_close(&self->g);
	return r.points;
}

TEST_F_TIMEOUT(fail, at_every_point, 900)
{
	unsigned int n = 0, all, base;

	base = baseline(US);
	/* what is allocated once and for all is here */
	once(US, FAULT_NEVER);
	all = once(US, FAULT_NEVER);
	EXPECT_LT(base, all);
	while (++n < POINTS_MAX && once(US, n) == n)
		if (!_metadata->passed)
			break;
	EXPECT_LT(n, POINTS_MAX);
	TH_LOG("%s: %u points (%u on the way to any command), %u failed, %u done all the same",
	       variant->name, n - 1, base, self->failed, self->done);
	EXPECT_EQ(n - 1, self->failed + self->done);
	EXPECT_LT(0, self->failed);
	if (variant->hold)
		EXPECT_LT(0, self->vmalloced);
	if (!(variant->flags & DUMP))
		EXPECT_GE(QUIET_MAX, self->quiet);
}

TEST_HARNESS_MAIN
