// SPDX-License-Identifier: GPL-2.0
/*
 * What is lost, told twice or out of order of the packets that come while nobody
 * reads, and how long those that are left take to be read.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "gso.h"
#include "util.h"

#define PACKETS_MAX	200000U	/* in one gap */
#define SMALL_SUM	600000U	/* on one tap */
#define LARGE_SUM	24000U
#define BURST_US	500	/* from one packet a queue to the next, across */
#define BURSTS_AFTER	20	/* when the target reads already */

struct gap {
	struct sender *sender;
	struct gso *gso;
	const int *flow_of;
	int queues;
	uint32_t packets;	/* all queues */
};

static void send_them(void *arg)
{
	struct gap *g = arg;
	uint32_t i;

	for (i = 0; i < g->packets; i++) {
		int flow = g->flow_of[i % g->queues];

		if (g->gso)
			gso_send(g->gso, flow, GSO_MAX);
		else
			sender_send_flow(g->sender, flow);
	}
}

/*
 * A flow for each queue: the device has as many, whoever attached them. Those of
 * small and large packets are hashed otherwise.
 */
static void learn(struct bench_pair *p, struct sender *s, struct gso *gso,
		  struct tally *t, int flow_of[])
{
	int queues = p->run->queues, known = 0, flow, q, err;
	uint32_t count[TAP_MAX];

	p->run->gso = gso;
	for (q = 0; q < queues; q++)
		flow_of[q] = -1;
	for (flow = 0; known < queues && flow < 64 * queues; flow++) {
		memcpy(count, t->count, sizeof(count));
		err = gso ? gso_send(gso, flow, GSO_MAX) :
			    sender_send_flow(s, flow);
		if (err || bench_read(p, t) != 1)
			bench_die(err ?: -EPROTO, "a packet did not arrive");
		for (q = 0; t->count[q] == count[q]; q++)
			;
		if (flow_of[q] < 0) {
			flow_of[q] = flow;
			known++;
		}
	}
	if (known < queues)
		bench_die(-EPROTO, "a queue has no flow");
}

static void sample(const struct bench_run *run, const char *way,
		   const char *kind, uint32_t packets, const struct tally *t,
		   uint64_t got)
{
	printf("@ loss way=%s queues=%d kind=%s packets=%u lost=%" PRIu64
	       " dup=%" PRIu64 " reordered=%" PRIu64 " hold=%u hold_bytes=%" PRIu64
	       " held=%" PRIu64 " held_bytes=%" PRIu64 " dropped=%" PRIu64
	       " last=%" PRIu64 " ns=%" PRIu64 "\n",
	       way, run->queues, kind, packets, packets - got, t->dup,
	       t->reordered, run->hold ?: BENCH_HOLD,
	       run->hold_bytes ?: BENCH_HOLD_BYTES, run->held,
	       run->held_bytes, run->dropped, run->last,
	       run->end - run->begin);
	fflush(stdout);
}

/* A tap of its own for each way and number of queues */
struct setting {
	struct bench_pair pair;
	struct sender sender;
	struct gso gso;
	struct tally *small;
	struct tally *large;
	int small_flow_of[TAP_MAX];
	int large_flow_of[TAP_MAX];
};

static void setting_make(struct setting *s, int queues)
{
	int ifindex = if_nametoindex(BENCH_BRIDGE);

	s->small = bench_tally(SMALL_SUM);
	s->large = bench_tally(LARGE_SUM);
	bench_pair_start(&s->pair, queues);
	if (sender_open(&s->sender, ifindex, 1) ||
	    gso_open(&s->gso, ifindex, LARGE_SUM) ||
	    bench_sender_unbound(s->sender.sock) ||
	    bench_sender_unbound(s->gso.sock))
		bench_die(-errno, "no sender");
	learn(&s->pair, &s->sender, NULL, s->small, s->small_flow_of);
	learn(&s->pair, NULL, &s->gso, s->large, s->large_flow_of);
}

static void setting_end(struct setting *s)
{
	gso_close(&s->gso);
	sender_close(&s->sender);
	bench_pair_end(&s->pair);
	bench_tally_free(s->large);
	bench_tally_free(s->small);
}

/* What comes while nobody reads */
static void measure(struct setting *s, const struct bench_way *way, bool large,
		    uint32_t packets)
{
	struct tally *t = large ? s->large : s->small;
	struct bench_run *run = s->pair.run;
	struct gap gap = {
		.sender = &s->sender,
		.gso = large ? &s->gso : NULL,
		.flow_of = large ? s->large_flow_of : s->small_flow_of,
		.queues = run->queues,
		.packets = packets / run->queues * run->queues,
	};
	uint64_t before = t->got;

	run->tally = t;
	run->gso = large;
	bench_handover(&s->pair, way, send_them, &gap);
	run->tally = NULL;
	bench_wait_idle();
	sample(run, way->name, large ? "large" : "small", gap.packets, t,
	       t->got - before);
}

/* The same with limits of its own, and more than these allow */
static void measure_limited(struct setting *s, const struct bench_way *way)
{
	struct bench_run *run = s->pair.run;

	run->hold = 1024;
	measure(s, way, false, 2000 * run->queues);
	run->hold = 0;
	run->hold_bytes = BENCH_HOLD_BYTES / 8;
	measure(s, way, true, 1000);
	run->hold_bytes = 0;
}

/* Packets of all queues, from before the source stops until the target reads */
static void *send_across(void *arg)
{
	struct setting *s = arg;
	struct bench_run *run = s->pair.run;
	int left = BURSTS_AFTER, q;

	while (!__atomic_load_n(&run->leaving, __ATOMIC_ACQUIRE))
		usleep(100);
	while (left) {
		for (q = 0; q < run->queues; q++)
			if (sender_send_flow(&s->sender, s->small_flow_of[q]))
				bench_die(-errno, "cannot send");
		usleep(BURST_US);
		left -= __atomic_load_n(&run->entered, __ATOMIC_ACQUIRE);
	}
	return NULL;
}

static void measure_edges(struct setting *s, const struct bench_way *way)
{
	struct bench_run *run = s->pair.run;
	uint64_t before = s->small->got;
	uint32_t seq = s->sender.seq;
	pthread_t thread;
	long got;

	run->tally = s->small;
	run->gso = false;
	run->across = true;
	run->leaving = run->entered = false;
	if (pthread_create(&thread, NULL, send_across, s))
		bench_die(-EAGAIN, "no thread");
	bench_handover(&s->pair, way, NULL, NULL);
	pthread_join(thread, NULL);
	/* The target may have found it quiet too early. */
	got = bench_read(&s->pair, s->small);
	if (got < 0)
		bench_die(got, "cannot read");
	run->across = false;
	run->tally = NULL;
	bench_wait_idle();
	sample(run, way->name, "edges", s->sender.seq - seq, s->small,
	       s->small->got - before);
}

/* As many a queue, and as many of all queues */
static void point(const struct bench_way *way, int queues)
{
	static const uint32_t all[] = {
		500, 1000, 2000, 5000, 16000, 20000, 0
	};
	static const uint32_t few[] = { 500, 5000, 20000, 0 };
	static const uint32_t one[] = { 500, 2000, 0 };
	static const uint32_t large[] = { 500, 2000, 3000, 5000, 0 };
	static const uint32_t one_large[] = { 100, 0 };
	const uint32_t *n = (const uint32_t *[]){ one, few, all }[plan.points];
	struct setting s = {};

	setting_make(&s, queues);
	for (; *n && *n * queues <= PACKETS_MAX; n++)
		measure(&s, way, false, *n * queues);
	if (plan.points == BENCH_FULL)
		measure(&s, way, false, PACKETS_MAX);
	for (n = plan.points == BENCH_TRY ? one_large : large; *n; n++)
		measure(&s, way, true, *n);
	/* Others have none. */
	if (way == &bench_way_token || way == &bench_way_channel)
		measure_limited(&s, way);
	measure_edges(&s, way);
	setting_end(&s);
}

void bench_loss(void)
{
	static const int all[] = { 1, 4, 16, 0 };
	static const int few[] = { 4, 0 };
	const int *queues = plan.points == BENCH_FULL ? all : few;
	int i, w;

	for (i = 0; queues[i]; i++)
		for (w = 0; bench_ways[w]; w++)
			if (!bench_ways[w]->steps &&
			    !bench_ways[w]->queues_only)
				point(bench_ways[w], queues[i]);
}
