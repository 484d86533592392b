// SPDX-License-Identifier: GPL-2.0
/*
 * Changes to links: those that lose no packet to all devices, the others to one
 * that is there for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net.h"
#include "race.h"
#include "util.h"

#define fallthrough	__attribute__((__fallthrough__))

/* -- the devices that lose nothing ---------------------------------------- */

static int set_promisc(const char *name, bool on)
{
	return shell("ip link set %s promisc %s 2>/dev/null", name,
		     on ? "on" : "off") ? -EBUSY : 0;
}

static int change(uint64_t *rnd, const struct race_spec *spec, const char *name)
{
	static const int lens[] = { 1000, 1500, 3000 };
	static const int mtus[] = { 1400, 1500, 9000 };
	uint8_t mac[6] = { 2, 0, 0, 0, 0, race_rnd(rnd, 256) };

	switch (race_rnd(rnd, 12)) {
	case 0:
		/* An old kernel renames none that is up. */
		return link_rename(name, "raced");
	case 1:
		return set_promisc(name, race_rnd(rnd, 2));
	case 2 ... 4:
		return link_set_mac(name, mac);
	case 5 ... 8:
		if (spec->txqlen)
			return link_set_txqlen(name, lens[race_rnd(rnd, 3)]);
		fallthrough;
	default:
		return link_set_mtu(name, mtus[race_rnd(rnd, 3)]);
	}
}

int race_links(void *arg)
{
	struct race *r = arg;
	uint64_t rnd = race_seed(r, 6, 0);
	char name[IFNAMSIZ];
	int dev, err;

	while (!race_get(&r->stop_handovers)) {
		dev = race_rnd(&rnd, RACE_DEVS);
		if (!if_indextoname(r->taps[dev].ifindex, name)) {
			race_fail(r, "device %d is gone", dev);
			return 1;
		}
		err = change(&rnd, &race_specs[dev], name);
		if (!err)
			race_add(&r->links_changed, 1);
		else if (err == -EBUSY)
			race_add(&r->links_refused, 1);
		else
			race_fail(r, "device %d, a change: %s", dev,
				  strerror(-err));
		/* its name is ours to give */
		if (!strcmp(name, "raced") || if_nametoindex("raced"))
			link_rename("raced", r->taps[dev].name);
		usleep(race_rnd(&rnd, 20000));
	}
	return 0;
}

/* -- the rough one -------------------------------------------------------- */

struct rough {
	struct race *r;
	uint64_t rnd;
	int here;		/* network namespaces */
	int there;
	bool away;
	bool down;
	bool detached;
	char name[IFNAMSIZ];
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	uint64_t refused;
};

#define ROUGH_MAX_SEQ	(1 << 16)
#define ROUGH_QUEUES	2

static int rough_make(struct rough *o)
{
	static unsigned int nr;

	snprintf(o->name, sizeof(o->name), "rough%u", nr++ % 100000);
	o->away = o->down = o->detached = false;
	o->refused = 0;
	return tap_open(&o->tap, o->name, ROUGH_QUEUES, TAP_VM) ?:
	       tap_set_nonblock(&o->tap, true) ?:
	       sender_open(&o->s, o->tap.ifindex, RACE_FLOWS) ?:
	       tally_init(&o->t, ROUGH_MAX_SEQ);
}

static void rough_begin(struct rough *o)
{
	enum tapxfer_state state = 1 + race_rnd(&o->rnd, 3);

	/* What it is refused for depends on what was done to it. */
	if (xfer_begin(&o->x, &o->tap, state, 0, 50 + race_rnd(&o->rnd, 500)))
		return;
	race_add(&o->r->toll.begun, 1);
	race_publish(o->r, RACE_ROUGH, &o->x, state);
	o->x.id = 0;
}

static void rough_offer(struct rough *o)
{
	uint32_t n = race_rnd(&o->rnd, 200), seq;

	while (n-- && o->s.seq < ROUGH_MAX_SEQ) {
		seq = o->s.seq;
		if (!sender_send_flow(&o->s, seq % RACE_FLOWS))
			continue;
		/* Down or away; the number is not used. */
		o->refused++;
	}
}

static void rough_write(struct rough *o)
{
	int q = race_rnd(&o->rnd, o->tap.n), n;

	for (n = 0; n < 20; n++)
		if (!tap_write_one(&o->tap, q, n))
			race_add(&o->r->toll.wrote, 1);
}

static void rough_read(struct rough *o)
{
	struct tally *t = &o->t;
	int64_t n = tap_read_all(&o->tap, t);

	/* Those of a device that is gone cannot be read. */
	if (n < 0 && n != -EBADFD && n != -EIO)
		race_fail(o->r, "rough device: read: %s", strerror(-n));
	if (t->dup + t->reordered + t->foreign)
		race_fail(o->r, "rough device: %lu twice, %lu out of order, %lu foreign",
			  t->dup, t->reordered, t->foreign);
}

static void rough_updown(struct rough *o)
{
	if (!(o->down ? link_up(o->name) : link_down(o->name)))
		o->down = !o->down;
}

static void rough_rename(struct rough *o)
{
	char to[IFNAMSIZ];

	snprintf(to, sizeof(to), "%s",
		 o->name[0] == 'r' ? "tough" : "rough");
	strncat(to, o->name + 5, sizeof(to) - 6);
	if (!link_rename(o->name, to))
		strcpy(o->name, to);
}

static void rough_move(struct rough *o)
{
	if (shell("ip link set %s netns /proc/%d/fd/%d 2>/dev/null", o->name,
		  getpid(), o->away ? o->here : o->there))
		return;
	/* A move takes it down. */
	o->down = true;
	o->away = !o->away;
	net_enter(o->away ? o->there : o->here);
}

static void rough_do(struct rough *o)
{
	switch (race_rnd(&o->rnd, 16)) {
	case 0 ... 3:
		return rough_begin(o);
	case 4 ... 6:
		return rough_offer(o);
	case 7:
		return rough_write(o);
	case 8 ... 9:
		return rough_read(o);
	case 10 ... 11:
		return rough_updown(o);
	case 12:
		return rough_rename(o);
	case 13:
		return rough_move(o);
	case 14:
		if (!tap_detach(o->tap.fds[1], !o->detached))
			o->detached = !o->detached;
		return;
	default:
		link_set_txqlen(o->name, 500 + race_rnd(&o->rnd, 1000));
	}
}

/* By its name, or with its last file: whoever has claimed one may be late. */
static void rough_end(struct rough *o)
{
	struct race_toll *toll = &o->r->toll;
	int err = 0;

	if (race_rnd(&o->rnd, 4))
		err = link_delete(o->name);
	if (err)
		race_fail(o->r, "rough device %s: not deleted: %s", o->name,
			  strerror(-err));
	rough_read(o);
	tap_close(&o->tap);
	net_enter(o->here);

	race_add(&toll->made, 1);
	race_add(&toll->offered, o->s.seq);
	race_add(&toll->refused, o->refused);
	race_add(&toll->dropped, o->s.dropped);
	race_add(&toll->delivered, o->t.got);
	race_add(&toll->purged, o->s.seq - o->s.dropped - o->t.got);
	if (o->t.got + o->s.dropped > o->s.seq)
		race_fail(o->r, "rough device: more packets than were offered");
	sender_close(&o->s);
	tally_free(&o->t);
}

int race_rough(void *arg)
{
	struct rough o = { .r = arg };
	int err, n;

	o.rnd = race_seed(o.r, 7, 0);
	o.here = net_leave();
	o.there = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	err = o.here < 0 ? o.here : net_enter(o.here) ?: xfer_open(&o.x);
	while (!err && !race_get(&o.r->stop_handovers)) {
		err = rough_make(&o);
		for (n = race_rnd(&o.rnd, 60); !err && n; n--) {
			rough_do(&o);
			usleep(race_rnd(&o.rnd, 5000));
		}
		if (!err)
			rough_end(&o);
	}
	if (err)
		race_fail(o.r, "rough device %s: %s", o.name, strerror(-err));
	xfer_close(&o.x);
	return 0;
}
