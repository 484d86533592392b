// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_load.h"
#include "net.h"
#include "util.h"

#define FLOWS		64
#define BURST		4
#define NUMBERS		(1 << 20)

static int load_read(struct load *l)
{
	int64_t n = tap_read_all(l->tap, &l->t);

	capture_read(&l->c);
	return n < 0 ? n : 0;
}

static int load_write(struct load *l)
{
	int q, err;

	for (q = 0; q < l->tap->n; q++) {
		err = tap_write_one(l->tap, q, l->written);
		/* frozen: the same number again */
		if (err && err != -EAGAIN)
			return err;
		if (!err)
			l->written++;
	}
	return 0;
}

static void load_step(struct load *l)
{
	/* Numbers that nobody can tell from others would be of no use. */
	if (l->err || l->s.seq + BURST > NUMBERS ||
	    l->written + TAP_MAX > NUMBERS)
		return;
	l->err = sender_send(&l->s, BURST);
	if (!l->err)
		l->err = load_write(l);
	if (!l->err)
		l->err = load_read(l);
}

static void *loader_run(void *arg)
{
	struct loader *l = arg;
	unsigned int i;
	bool stop;

	do {
		pthread_mutex_lock(&l->lock);
		for (i = 0; i < l->n; i++)
			load_step(&l->load[i]);
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
		usleep(1000 * scaled_ms(4));
	} while (!stop);
	return NULL;
}

static int load_reset(struct load *l)
{
	struct link_stats stats;
	int err;

	err = link_stats(l->tap->name, &stats);
	l->dropped_before = stats.tx_dropped;
	l->s.seq = 0;
	l->s.dropped = 0;
	l->written = 0;
	tally_free(&l->t);
	tally_free(&l->c.t);
	if (!err)
		err = tally_init(&l->t, NUMBERS);
	if (!err)
		err = tally_init(&l->c.t, NUMBERS);
	return err;
}

int loader_start(struct loader *l, const struct tap *const taps[],
		 unsigned int n)
{
	unsigned int i;
	int err = 0;

	memset(l, 0, sizeof(*l));
	l->n = n;
	pthread_mutex_init(&l->lock, NULL);
	for (i = 0; !err && i < n; i++) {
		l->load[i].tap = taps[i];
		err = sender_open(&l->load[i].s, taps[i]->ifindex, FLOWS);
		if (!err)
			err = capture_open(&l->load[i].c, taps[i]->ifindex);
		if (!err)
			err = load_reset(&l->load[i]);
	}
	if (!err)
		err = -pthread_create(&l->thread, NULL, loader_run, l);
	return err;
}

/* All that was sent was read, or was dropped by the driver, which said so. */
static bool load_is_done(struct load *l)
{
	int err = load_read(l);

	if (err && !l->err)
		l->err = err;
	return err || (l->t.got + l->s.dropped >= l->s.seq &&
		       l->c.t.got >= l->written);
}

static const char *load_check(struct loader *loader, struct load *l)
{
	static char why[200];
	struct link_stats stats;
	uint64_t lost;

	wait_until(load_is_done(l), SOON_MS);
	if (l->err) {
		snprintf(why, sizeof(why), "%s: its traffic fails with %d",
			 l->tap->name, l->err);
		return why;
	}
	lost = tally_lost(&l->t, l->s.seq);
	if (link_stats(l->tap->name, &stats))
		return "no statistics";
	loader->offered += l->s.seq + l->written;
	loader->dropped += lost;
	if (lost != l->s.dropped ||
	    lost > stats.tx_dropped - l->dropped_before || l->t.dup ||
	    l->t.reordered || l->t.foreign) {
		snprintf(why, sizeof(why),
			 "%s: to the guest %u sent, %llu told to be dropped, %llu counted, %llu lost, %llu twice, %llu out of order, %llu foreign",
			 l->tap->name, l->s.seq,
			 (unsigned long long)l->s.dropped,
			 (unsigned long long)stats.tx_dropped -
			 l->dropped_before,
			 (unsigned long long)lost,
			 (unsigned long long)l->t.dup,
			 (unsigned long long)l->t.reordered,
			 (unsigned long long)l->t.foreign);
		return why;
	}
	lost = tally_lost(&l->c.t, l->written);
	if (lost || l->c.t.dup || l->c.t.reordered || l->c.t.foreign) {
		snprintf(why, sizeof(why),
			 "%s: from the guest %u written, %llu lost, %llu twice, %llu out of order, %llu foreign",
			 l->tap->name, l->written, (unsigned long long)lost,
			 (unsigned long long)l->c.t.dup,
			 (unsigned long long)l->c.t.reordered,
			 (unsigned long long)l->c.t.foreign);
		return why;
	}
	return load_reset(l) ? "no memory for a tally" : NULL;
}

const char *loader_check(struct loader *l)
{
	const char *why = NULL;
	unsigned int i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; !why && i < l->n; i++)
		why = load_check(l, &l->load[i]);
	pthread_mutex_unlock(&l->lock);
	return why;
}

void loader_stop(struct loader *l)
{
	unsigned int i;

	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	for (i = 0; i < l->n; i++) {
		sender_close(&l->load[i].s);
		capture_close(&l->load[i].c);
		tally_free(&l->load[i].t);
	}
}
