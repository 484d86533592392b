// SPDX-License-Identifier: GPL-2.0
/*
 * How long the guest is cut off: all ways by turns, so that whatever else goes on
 * in the machine hits them alike, and in another order each round, so that none
 * comes after the same one every time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "util.h"

#define WAYS_MAX	16
/* Handovers of a way that is slow, at each point, and where it is judged by */
#define AT_LEAST	3
#define AT_LEAST_8	20

/* Told when the point is over: a console takes time. */
struct sample {
	int way;
	int round;
	uint64_t ns;
	uint64_t prepare;
	uint64_t freeze;
	uint64_t claim;
	uint64_t thaw;
};

static void note(struct sample *s, const struct bench_run *run, int way,
		 int round)
{
	s->way = way;
	s->round = round;
	s->ns = run->end - run->begin;
	s->prepare = run->prepare;
	s->freeze = run->freeze;
	s->claim = run->claim;
	s->thaw = run->thaw;
}

static void tell(const struct sample *s, int queues, int load)
{
	const struct bench_way *way = bench_ways[s->way];

	printf("@ blackout way=%s queues=%d load=%d round=%d ns=%" PRIu64
	       " prepare=%" PRIu64, way->name, queues, load, s->round, s->ns,
	       s->prepare);
	if (way->steps)
		printf(" freeze=%" PRIu64 " claim=%" PRIu64 " thaw=%" PRIu64,
		       s->freeze, s->claim, s->thaw);
	printf("\n");
}

/* The same orders in each run */
static void shuffle(int order[], int n, unsigned int *seed)
{
	int i, j, way;

	for (i = n - 1; i > 0; i--) {
		j = rand_r(seed) % (i + 1);
		way = order[i];
		order[i] = order[j];
		order[j] = way;
	}
}

static void point(int queues, int loaded)
{
	int at_least = queues == 8 ? AT_LEAST_8 : AT_LEAST;
	int64_t spent[WAYS_MAX] = {};
	int done[WAYS_MAX] = {};
	struct sample *samples;
	int order[WAYS_MAX];
	unsigned int seed = 1;
	struct bench_pair p;
	pid_t load = 0;
	int round, ways, i, n = 0;

	for (ways = 0; bench_ways[ways]; ways++)
		order[ways] = ways;
	samples = calloc(plan.rounds * ways, sizeof(*samples));
	if (!samples)
		bench_die(-ENOMEM, "no memory");
	bench_pair_start(&p, queues);
	if (loaded)
		load = bench_load_start();
	for (round = -1; round < plan.rounds; round++) {
		shuffle(order, ways, &seed);
		for (i = 0; i < ways; i++) {
			int w = order[i];
			const struct bench_way *way = bench_ways[w];
			int64_t begin = now_ms();

			if (queues > way->queues_max ||
			    (way->queues_only && queues != way->queues_only) ||
			    (!way->judged && done[w] >= at_least &&
			     spent[w] > plan.budget_ms))
				continue;
			bench_handover(&p, way, NULL, NULL);
			bench_settle(&p);
			/* The first one is for the caches. */
			if (round >= 0) {
				note(&samples[n++], p.run, w, round);
				done[w]++;
				spent[w] += now_ms() - begin;
			}
		}
	}
	child_kill(load);
	bench_pair_end(&p);
	for (i = 0; i < n; i++)
		tell(&samples[i], queues, loaded);
	fflush(stdout);
	free(samples);
}

void bench_blackout(void)
{
	static const int all[] = { 1, 4, 8, 16, 64, 256, 0 };
	static const int few[] = { 1, 8, 64, 0 };
	static const int one[] = { 8, 0 };
	const int *queues = (const int *[]){ one, few, all }[plan.points];
	int loaded, i;

	for (loaded = 0; loaded < 2; loaded++)
		for (i = 0; queues[i]; i++)
			point(queues[i], loaded);
}
