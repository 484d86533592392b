// SPDX-License-Identifier: GPL-2.0
/*
 * Many devices at once, by several pairs of processes; and what a frozen queue
 * takes of the machine's memory.
 *
 * One pair and several take turns with the same devices, which go back to the
 * process that has started them. What as many children reach that only compute
 * says what the machine has to offer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "net.h"
#include "util.h"

#define DEVICES_MAX	1000
#define PAIRS		4
#define TXQLEN		50
#define RIGHTS		128	/* files in one message */
#define TURNS		6	/* rounds of one pair and several */
#define CONTROL_DEVICES	256	/* what is judged */
#define CONTROL_LOOPS	200000000

struct right {
	uint32_t id;
	struct tapxfer_token token;
};

/* In memory that all share */
static struct scale {
	int devices, pairs;
	bool all_frozen;	/* before the first one is claimed */
	long free_frozen;	/* memory, then */
	uint64_t begin[DEVICES_MAX];
	uint64_t end[DEVICES_MAX];
} *shared;

/* The devices, of which each process keeps those that are its own */
static struct tap taps[DEVICES_MAX];

/* One process of a pair: devices of the numbers from first on, in steps */
struct part {
	pid_t pid;
	int first;
	int wire;		/* to the other one */
	int ctl;		/* to who started it, and there to it */
};

static long mem_free(void)
{
	char line[128];
	long kb = -1;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && kb < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "MemFree: %ld kB", &kb);
	if (f)
		fclose(f);
	return kb * 1024;
}

/* -- in a pair's processes ----------------------------------------------- */

/* Say that it is ready, and wait to be told to go on. */
static void ready(const struct part *part)
{
	char word = 'R';

	if (send(part->ctl, &word, 1, MSG_NOSIGNAL) != 1 ||
	    recv(part->ctl, &word, 1, 0) != 1)
		bench_die(-EPIPE, "nobody to go on for");
}

/* Close what others are to have: all but the devices of @part. */
static void keep(const struct part *part)
{
	int i;

	for (i = 0; i < shared->devices; i++)
		if (!part || i % shared->pairs != part->first)
			tap_close(&taps[i]);
}

static int part_source(void *arg)
{
	static struct xfer xfers[DEVICES_MAX];
	static struct right rights[DEVICES_MAX];
	const struct part *part = arg;
	int step = shared->pairs, n = shared->devices, i, err = 0;
	char word;

	keep(part);
	for (i = part->first; !err && i < n; i += step)
		err = xfer_open(&xfers[i]);
	if (err)
		bench_die(err, "no handle");
	ready(part);
	for (i = part->first; !err && i < n; i += step) {
		err = xfer_begin(&xfers[i], &taps[i], TAPXFER_STATE_PREPARED,
				 0, XFER_PATIENCE_MS);
		rights[i] = (struct right){ xfers[i].id, xfers[i].token };
	}
	if (err)
		bench_die(err, "cannot prepare");
	ready(part);
	for (i = part->first; i < n; i += step) {
		shared->begin[i] = now_ns();
		err = xfer_freeze(&xfers[i]);
		tap_close(&taps[i]);
		if (!err && shared->all_frozen)
			continue;
		if (err ||
		    send(part->wire, &rights[i], sizeof(rights[i]), 0) < 0 ||
		    recv(part->wire, &word, 1, 0) != 1)
			bench_die(err ?: -EPIPE, "cannot freeze device %d", i);
	}
	if (!shared->all_frozen)
		return 0;
	shared->free_frozen = mem_free();
	for (i = part->first; i < n; i += step)
		if (send(part->wire, &rights[i], sizeof(rights[i]), 0) < 0 ||
		    recv(part->wire, &word, 1, 0) != 1)
			bench_die(-EPIPE, "cannot hand over device %d", i);
	return 0;
}

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * RIGHTS)];
};

/* To who started it */
static void give_back(const struct part *part)
{
	int i = part->first;

	while (i < shared->devices) {
		union control control;
		char word = 'F';
		struct iovec iov = { &word, 1 };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
		};
		int n = 0, fds[RIGHTS];

		for (; n < RIGHTS && i < shared->devices; i += shared->pairs)
			fds[n++] = taps[i].fds[0];
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.hdr), fds, sizeof(int) * n);
		if (sendmsg(part->ctl, &msg, MSG_NOSIGNAL) < 0)
			bench_die(-errno, "cannot give devices back");
	}
}

static int part_target(void *arg)
{
	const struct part *part = arg;
	struct right right;
	struct xfer x;
	int i;

	keep(NULL);
	if (xfer_open(&x))
		return 1;
	ready(part);
	for (i = part->first; i < shared->devices; i += shared->pairs) {
		int err;

		if (recv(part->wire, &right, sizeof(right), 0) != sizeof(right))
			return 1;
		x.id = right.id;
		x.token = right.token;
		err = xfer_claim(&x, &taps[i]);
		if (!err)
			err = xfer_thaw(&x);
		if (err)
			bench_die(err, "cannot claim device %d", i);
		shared->end[i] = now_ns();
		send(part->wire, "", 1, MSG_NOSIGNAL);
	}
	give_back(part);
	return 0;
}

/* -- in the process that has started them -------------------------------- */

static void part_start(struct part *part, int (*fn)(void *arg), int first,
		       int wire)
{
	int ctl[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl))
		bench_die(-errno, "no sockets");
	*part = (struct part){ .first = first, .wire = wire, .ctl = ctl[1] };
	part->pid = child_start(fn, part);
	if (part->pid <= 0)
		bench_die(-EAGAIN, "no process");
	/* Its end is its own, which is how its death is seen. */
	close(ctl[1]);
	part->ctl = ctl[0];
}

static void pair_start(struct part *source, struct part *target, int first)
{
	int wire[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire))
		bench_die(-errno, "no sockets");
	part_start(source, part_source, first, wire[0]);
	close(wire[0]);
	part_start(target, part_target, first, wire[1]);
	close(wire[1]);
}

static void await(const struct part *part)
{
	char word;

	if (recv(part->ctl, &word, 1, 0) != 1)
		bench_die(-EIO, "a process has ended");
}

static void go_on(const struct part *part)
{
	if (send(part->ctl, "G", 1, MSG_NOSIGNAL) != 1)
		bench_die(-EIO, "a process has ended");
}

static void take_back(const struct part *part)
{
	int i = part->first;

	while (i < shared->devices) {
		union control control;
		char word;
		struct iovec iov = { &word, 1 };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		int n, j, fds[RIGHTS];

		if (recvmsg(part->ctl, &msg, MSG_CMSG_CLOEXEC) != 1 ||
		    !CMSG_FIRSTHDR(&msg))
			bench_die(-EIO, "a target has ended");
		n = (control.hdr.cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(&control.hdr), sizeof(int) * n);
		for (j = 0; j < n; j++, i += shared->pairs) {
			taps[i].fds[0] = fds[j];
			taps[i].n = 1;
		}
	}
}

static void part_end(const struct part *part)
{
	int status = child_wait(part->pid, 6 * SOON_MS);

	if (status)
		bench_die(-EIO, "a process failed (%d)", status);
	close(part->ctl);
}

static void turn_tell(const char *what, int round, long prepared, long frozen)
{
	uint64_t first = UINT64_MAX, last = 0, longest = 0, sum = 0;
	int i;

	for (i = 0; i < shared->devices; i++) {
		uint64_t ns = shared->end[i] - shared->begin[i];

		first = shared->begin[i] < first ? shared->begin[i] : first;
		last = shared->end[i] > last ? shared->end[i] : last;
		longest = ns > longest ? ns : longest;
		sum += ns;
	}
	printf("@ scale what=%s devices=%d pairs=%d round=%d total=%" PRIu64
	       " longest=%" PRIu64 " mean=%" PRIu64, what, shared->devices,
	       shared->pairs, round, last - first, longest,
	       sum / shared->devices);
	if (shared->all_frozen)
		printf(" prepared=%ld frozen=%ld", prepared, frozen);
	printf("\n");
	fflush(stdout);
}

/* All devices once, by so many pairs; the first round is not told. */
static void turn(int round, int pairs, bool all_frozen)
{
	struct part sources[PAIRS], targets[PAIRS];
	long before, prepared;
	int i;

	shared->pairs = pairs;
	shared->all_frozen = all_frozen;
	for (i = 0; i < pairs; i++)
		pair_start(&sources[i], &targets[i], i);
	for (i = 0; i < pairs; i++) {
		await(&targets[i]);
		await(&sources[i]);
	}
	/* A thaw wants the claimant alone to have the files. */
	keep(NULL);
	before = mem_free();
	for (i = 0; i < pairs; i++) {
		go_on(&targets[i]);
		go_on(&sources[i]);
	}
	for (i = 0; i < pairs; i++)
		await(&sources[i]);
	prepared = mem_free();
	for (i = 0; i < pairs; i++)
		go_on(&sources[i]);
	for (i = 0; i < pairs; i++)
		take_back(&targets[i]);
	for (i = 0; i < pairs; i++) {
		part_end(&sources[i]);
		part_end(&targets[i]);
	}
	if (round >= 0)
		turn_tell(all_frozen ? "frozen" : "turns", round,
			  before - prepared, before - shared->free_frozen);
	bench_wait_idle();
}

/* -- what the machine has to offer --------------------------------------- */

static int compute(void *arg)
{
	const struct part *part = arg;
	volatile int i;

	ready(part);
	for (i = 0; i < CONTROL_LOOPS / shared->pairs; i++)
		;
	return 0;
}

static void control(int round, int children)
{
	struct part parts[PAIRS];
	uint64_t begin;
	int i;

	shared->pairs = children;
	for (i = 0; i < children; i++)
		part_start(&parts[i], compute, i, -1);
	for (i = 0; i < children; i++)
		await(&parts[i]);
	begin = now_ns();
	for (i = 0; i < children; i++)
		go_on(&parts[i]);
	for (i = 0; i < children; i++) {
		char word;

		/* It ends. */
		if (recv(parts[i].ctl, &word, 1, 0))
			bench_die(-EIO, "a child has more to say");
	}
	printf("@ scale what=control devices=%d pairs=%d round=%d total=%" PRIu64
	       "\n", shared->devices, children, round, now_ns() - begin);
	for (i = 0; i < children; i++)
		part_end(&parts[i]);
}

/* -- all ----------------------------------------------------------------- */

static void devices_make(int n)
{
	int i, err = 0;

	shared->devices = n;
	for (i = 0; !err && i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "bench%d", i);
		err = tap_open(&taps[i], name, 1, TAP_VM);
		/* Their qdiscs would take 6 MB each: of all queues that such a
		 * device can have.
		 */
		if (!err)
			err = link_set_txqlen(name, TXQLEN);
	}
	if (err)
		bench_die(err, "no %d devices", n);
}

static void point(int devices, int rounds)
{
	int round, i;

	devices_make(devices);
	for (round = rounds > 1 ? -1 : 0; round < rounds; round++) {
		for (i = 0; i < 2; i++) {
			/* One of them first, then the other. */
			int pairs = (i ^ round) & 1 ? PAIRS : 1;

			if (pairs > devices)
				continue;
			turn(round, pairs, false);
			if (devices == CONTROL_DEVICES && round >= 0)
				control(round, pairs);
		}
	}
	turn(0, 1, true);
	keep(NULL);
}

void bench_scale(void)
{
	static const int all[] = { 1, 16, 256, 1000, 0 };
	static const int few[] = { 1, 16, 64, 0 };
	static const int try[] = { 1, 8, 0 };
	const int *devices = (const int *[]){ try, few, all }[plan.points];
	int i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		bench_die(-errno, "no memory");
	/* Grace periods make the prepares of the most take a minute a round. */
	for (i = 0; devices[i]; i++)
		point(devices[i], plan.points == BENCH_FULL &&
				  devices[i] <= CONTROL_DEVICES ? TURNS : 1);
	munmap(shared, sizeof(*shared));
}

/* -- memory -------------------------------------------------------------- */

/* The more, the less it matters what the CPUs have in their own lists. */
static const struct setting {
	const char *kind;
	int queues;
	uint32_t hold;		/* packets a queue */
	bool fill;
} settings[] = {
	{ "try", 4, 256, true },
	{ "empty", 128, 16384, false },
	{ "full", 16, 8192, true },
};

static void freeze(const struct setting *set, struct xfer *x, struct tap *tap)
{
	long before, frozen, full;
	struct sender s;
	int err;

	if (sender_open(&s, tap->ifindex, 64 * set->queues))
		bench_die(-errno, "no sender");
	before = mem_free();
	err = xfer_begin(x, tap, TAPXFER_STATE_FROZEN, set->hold, 0);
	if (err)
		bench_die(err, "cannot freeze: %s", xfer_why(x));
	frozen = mem_free();
	/* What is one queue's too much is dropped: that is full. */
	if (set->fill)
		err = sender_send(&s, 2 * set->queues * set->hold);
	if (!err)
		err = xfer_get(x);
	if (err)
		bench_die(err, "cannot fill it");
	full = mem_free();
	printf("@ memory kind=%s queues=%d hold=%u empty=%ld full=%ld held=%" PRIu64
	       " charged=%" PRIu64 "\n", set->kind, tap->n, set->hold,
	       before - frozen, frozen - full,
	       xfer_u64(x, TAPXFER_A_HANDOVER_HELD),
	       xfer_u64(x, TAPXFER_A_HANDOVER_HELD_BYTES));
	sender_close(&s);
}

static void freeze_one(const struct setting *set)
{
	struct tally t = {};
	struct tap tap;
	struct xfer x;
	int err;

	err = xfer_open(&x);
	if (!err)
		err = tap_open(&tap, BENCH_TAP, set->queues, TAP_VM);
	if (err)
		bench_die(err, "no tap");
	freeze(set, &x, &tap);
	xfer_close(&x);
	tap_read_all(&tap, &t);
	bench_wait_idle();
	tap_close(&tap);
	wait_until(!if_nametoindex(BENCH_TAP), SOON_MS);
}

void bench_memory(void)
{
	if (plan.points == BENCH_TRY) {
		freeze_one(&settings[0]);
		return;
	}
	freeze_one(&settings[1]);
	freeze_one(&settings[2]);
}
