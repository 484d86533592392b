// SPDX-License-Identifier: GPL-2.0
/*
 * What remains of a handover, and of the module, on the data path: packets a
 * second and CPU a packet before and after.
 *
 * One thread sends a burst and reads it, over and over. A second tap, which is
 * never handed over, is measured by turns with the first, some milliseconds each:
 * what the machine does meanwhile hits both. The module is there for both or for
 * none: then it is a UNIX socket in place of the second tap.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "bench.h"
#include "net.h"
#include "util.h"

#define BURST		64	/* packets */
#define LOCAL_BURST	8	/* datagrams, which may be that many (max_dgram_qlen) */
#define PACKET_MIN	60
#define SLICE		8	/* bursts */
#define WARM_UP		16	/* slices */
#define SETTLE_MS	100

/* What so many packets took */
struct cost {
	uint64_t packets;
	uint64_t ns;
	uint64_t cpu;		/* ns */
	uint64_t instructions;	/* 0 where perf does not count them */
};

struct path {
	struct tap tap;
	struct sender sender;
};

static int counter = -1;

static void counter_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_hv = 1,
	};

	counter = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
			  PERF_FLAG_FD_CLOEXEC);
}

static uint64_t counter_read(void)
{
	uint64_t n;

	return counter >= 0 && read(counter, &n, sizeof(n)) == sizeof(n) ? n :
									   0;
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void path_open(struct path *p, const char *name)
{
	int err;

	err = tap_open(&p->tap, name, 1, TAP_VM);
	if (!err)
		err = tap_set_nonblock(&p->tap, true);
	if (!err)
		err = sender_open(&p->sender, p->tap.ifindex, 1);
	if (err)
		bench_die(err, "no tap %s", name);
}

static void path_close(struct path *p)
{
	sender_close(&p->sender);
	tap_close(&p->tap);
	wait_until(!if_nametoindex(p->tap.name), SOON_MS);
}

static void slice(struct path *p, struct cost *c)
{
	uint64_t ns = now_ns(), cpu = cpu_ns(), ins = counter_read();
	uint8_t buf[PACKET_MAX];
	int i, n;

	for (i = 0; i < SLICE; i++) {
		if (sender_send(&p->sender, BURST))
			bench_die(-errno, "cannot send");
		for (n = 0; read(p->tap.fds[0], buf, sizeof(buf)) > 0;)
			n++;
		if (n != BURST)
			bench_die(-EPROTO, "%d packets of %d", n, BURST);
	}
	c->packets += SLICE * BURST;
	c->ns += now_ns() - ns;
	c->cpu += cpu_ns() - cpu;
	c->instructions += counter_read() - ins;
}

/* As much of what knows no tap, through a socket of datagrams */
static void slice_local(const int sock[2], struct cost *c)
{
	uint64_t ns = now_ns(), cpu = cpu_ns(), ins = counter_read();
	uint8_t buf[PACKET_MAX] = {};
	int i, n;

	for (i = 0; i < SLICE * BURST / LOCAL_BURST; i++) {
		for (n = 0; n < LOCAL_BURST; n++)
			if (send(sock[0], buf, PACKET_MIN, 0) != PACKET_MIN)
				bench_die(-errno, "cannot send");
		for (n = 0; recv(sock[1], buf, sizeof(buf), MSG_DONTWAIT) > 0;)
			n++;
		if (n != LOCAL_BURST)
			bench_die(-EPROTO, "%d datagrams of %d", n,
				  LOCAL_BURST);
	}
	c->packets += SLICE * BURST;
	c->ns += now_ns() - ns;
	c->cpu += cpu_ns() - cpu;
	c->instructions += counter_read() - ins;
}

/* Both, by turns */
static void measure(struct path *a, struct path *b, int slices,
		    struct cost *of_a, struct cost *of_b)
{
	int i;

	for (i = 0; i < slices; i++) {
		slice(i & 1 ? b : a, i & 1 ? of_b : of_a);
		slice(i & 1 ? a : b, i & 1 ? of_a : of_b);
	}
}

static void tell(const char *kind, int pair, const char *which,
		 const struct cost *c)
{
	printf("@ after kind=%s pair=%d which=%s packets=%" PRIu64 " ns=%" PRIu64
	       " cpu=%" PRIu64 " instructions=%" PRIu64 "\n", kind, pair, which,
	       c->packets, c->ns, c->cpu, c->instructions);
}

/* To ourselves: the same files, and rings that were parked. */
static void hand_over(struct path *p)
{
	struct xfer x;
	int err;

	err = xfer_open(&x);
	if (!err)
		err = xfer_begin(&x, &p->tap, TAPXFER_STATE_FROZEN, 0, 0);
	if (!err)
		err = xfer_finish(&x);
	if (err)
		bench_die(err, "no handover");
	x.id = 0;
	xfer_close(&x);
	bench_wait_idle();
}

static void handover_pair(int pair)
{
	struct cost before = {}, before_other = {}, after = {};
	struct cost after_other = {}, warm = {};
	struct path p, other;

	path_open(&other, "bench-other");
	path_open(&p, BENCH_TAP);
	measure(&p, &other, 4, &warm, &warm);
	measure(&p, &other, plan.slices, &before, &before_other);
	hand_over(&p);
	measure(&p, &other, 2, &warm, &warm);
	measure(&p, &other, plan.slices, &after, &after_other);
	tell("handover", pair, "before", &before);
	tell("handover", pair, "before-other", &before_other);
	tell("handover", pair, "after", &after);
	tell("handover", pair, "after-other", &after_other);
	path_close(&p);
	path_close(&other);
}

static bool module_is_loaded(void)
{
	return !access("/sys/module/tapxfer", F_OK);
}

static void module_load(bool on)
{
	if (on == module_is_loaded())
		return;
	if (shell(on ? "modprobe tapxfer" : "rmmod tapxfer"))
		bench_die(-EBUSY, "cannot %s the module", on ? "load" : "unload");
}

/*
 * Loading and unloading leave the kernel work to do, and an emulator code to
 * translate anew: the same before each measurement.
 */
static void module_load_anew(bool on)
{
	module_load(!on);
	module_load(on);
	usleep(SETTLE_MS * 1000);
}

/* Out, in, in, out, or the other way round: a drift cancels out. */
static void module_pair(int pair)
{
	struct cost costs[2] = {}, others[2] = {}, warm = {};
	struct path p;
	int sock[2];
	int i, j;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sock))
		bench_die(-errno, "no sockets");
	path_open(&p, BENCH_TAP);
	for (i = 0; i < 4; i++) {
		bool on = (i == 1 || i == 2) ^ (pair & 1);

		module_load_anew(on);
		for (j = 0; j < WARM_UP; j++) {
			slice(&p, &warm);
			slice_local(sock, &warm);
		}
		for (j = 0; j < plan.slices; j++) {
			slice(&p, &costs[on]);
			slice_local(sock, &others[on]);
		}
	}
	tell("module", pair, "without", &costs[0]);
	tell("module", pair, "without-other", &others[0]);
	tell("module", pair, "with", &costs[1]);
	tell("module", pair, "with-other", &others[1]);
	path_close(&p);
	close(sock[0]);
	close(sock[1]);
}

void bench_after(void)
{
	int i;

	counter_open();
	for (i = 0; i < plan.pairs; i++)
		handover_pair(i);
	bench_wait_idle();
	for (i = 0; i < plan.pairs; i++)
		module_pair(i);
	module_load(true);
	if (counter >= 0)
		close(counter);
}
