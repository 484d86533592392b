// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's table and verdict, from the results of its two runs:
 *
 *	demo_report TAPXFER-RESULT FDS-RESULT
 */
#include <stdarg.h>
#include <stdio.h>

#include "demo.h"

static struct demo_result by_tapxfer, by_fds;
static char why[512];

static void result_read(const char *path, struct demo_result *r)
{
	FILE *f = fopen(path, "re");

	if (!f || fread(r, sizeof(*r), 1, f) != 1)
		strcpy(r->why, "the run ended without a result");
	if (f)
		fclose(f);
	r->why[sizeof(r->why) - 1] = '\0';
}

/* ------------------------------------------------------------------------
 * The table
 */

typedef uint64_t (*value_fn)(const struct demo_result *r);

/* Never handed to the driver: the veth before it, or the tap's qdisc. */
static uint64_t before_tap(const struct demo_result *r)
{
	return r->h2g.sent - r->counts.entered_tap;
}

/* Entered and never read. */
static uint64_t lost(const struct demo_result *r)
{
	return r->h2g.missing - before_tap(r);
}

/* Come out of the tap and dropped on the way through the host. */
static uint64_t behind_tap(const struct demo_result *r)
{
	return r->counts.port_dropped + r->receiver_dropped;
}

static uint64_t guest_lost(const struct demo_result *r)
{
	return r->g2h.missing - behind_tap(r);
}

static uint64_t got_by_target(const struct demo_result *r)
{
	return r->h2g.got - r->got_by_source;
}

#define VALUE(name, field)				\
	static uint64_t name(const struct demo_result *r) \
	{						\
		return r->field;			\
	}

VALUE(sent, h2g.sent)
VALUE(veth_dropped, counts.peer_dropped)
VALUE(qdisc_dropped, counts.qdisc_dropped)
VALUE(offered, counts.entered_tap)
VALUE(arrived, arrived)
VALUE(delivered, h2g.got)
VALUE(got_by_source, got_by_source)
VALUE(driver_dropped, counts.tap_dropped)
VALUE(reordered, h2g.reordered)
VALUE(dup, h2g.dup)
VALUE(foreign, h2g.foreign)
VALUE(held, held)
VALUE(held_max, held_max)
VALUE(guest_sent, g2h.sent)
VALUE(guest_entered, counts.entered_host)
VALUE(guest_got, g2h.got)
VALUE(guest_reordered, g2h.reordered)
VALUE(guest_dup, g2h.dup)
VALUE(guest_foreign, g2h.foreign)
VALUE(leaked, leaked)
VALUE(rate, rate)
VALUE(carrier_events, counts.carrier_events)
VALUE(carrier_changes, counts.carrier_changes)
VALUE(setting_events, counts.setting_events)

static void ms(char *buf, size_t size, uint64_t ns)
{
	snprintf(buf, size, "%llu.%llu", (unsigned long long)ns / 1000000,
		 (unsigned long long)ns / 100000 % 10);
}

static void row_text(const char *name, const char *tapxfer, const char *fds)
{
	printf("  %-44s %12s %12s\n", name, tapxfer, fds);
}

static void row(const char *name, value_fn value)
{
	char t[32], f[32];

	snprintf(t, sizeof(t), "%lld", (long long)value(&by_tapxfer));
	snprintf(f, sizeof(f), "%lld", (long long)value(&by_fds));
	row_text(name, t, f);
}

/* What there is with tapxfer alone. */
static void row_tapxfer(const char *name, uint64_t value)
{
	char t[32];

	snprintf(t, sizeof(t), "%llu", (unsigned long long)value);
	row_text(name, t, "-");
}

static void row_ms(const char *name, uint64_t tapxfer, uint64_t fds)
{
	char t[32], f[32];

	ms(t, sizeof(t), tapxfer);
	ms(f, sizeof(f), fds);
	row_text(name, t, f);
}

static void balance(const char *name, const struct demo_result *r)
{
	printf("  %-8s sent %llu = before the tap: veth %llu, qdisc %llu + offered %llu\n",
	       name, (unsigned long long)r->h2g.sent,
	       (unsigned long long)r->counts.peer_dropped,
	       (unsigned long long)r->counts.qdisc_dropped,
	       (unsigned long long)r->counts.entered_tap);
	printf("  %-8s offered %llu = delivered %llu + dropped by the driver %llu\n",
	       "", (unsigned long long)r->counts.entered_tap,
	       (unsigned long long)r->h2g.got,
	       (unsigned long long)r->counts.tap_dropped);
}

static void table(void)
{
	char refused[32];

	row_text("", "tapxfer", "SCM_RIGHTS");
	printf("host to guest, packets of %d flows to %d queues\n",
	       DEMO_FLOWS, DEMO_QUEUES);
	row("sent", sent);
	row("  dropped by the veth, before the tap", veth_dropped);
	row("  dropped by the tap's qdisc, before the driver", qdisc_dropped);
	row("offered: entered the tap", offered);
	row("  while the source was stopped", arrived);
	row("delivered: read by a VMM", delivered);
	row("  by the source", got_by_source);
	row("  by the target", got_by_target);
	row("lost: entered the tap, never read", lost);
	row("  dropped by the driver (tx_dropped)", driver_dropped);
	row("reordered within a flow", reordered);
	row("duplicated", dup);
	row("not of this run", foreign);
	row_tapxfer("held at the thaw", held(&by_tapxfer));
	row_tapxfer("  in the fullest queue, of 16384",
		    held_max(&by_tapxfer));
	row("rate before the stop, packets/s", rate);

	printf("guest to host, packets\n");
	row("sent: written by a VMM", guest_sent);
	row("came out of the tap", guest_entered);
	row("  while the source was stopped", leaked);
	row("received", guest_got);
	row("lost", guest_lost);
	row("  dropped behind the tap", behind_tap);
	row("reordered within a flow", guest_reordered);
	row("duplicated", guest_dup);
	row("not of this run", guest_foreign);

	printf("the tap\n");
	row_ms("blackout, ms (tapxfer: the kernel's)", by_tapxfer.blackout,
	       by_fds.blackout);
	row_ms("  of it, until enough packets had arrived", by_tapxfer.waited,
	       by_fds.waited);
	row_ms("between two packets read, ms", by_tapxfer.gap, by_fds.gap);
	row("carrier events", carrier_events);
	row("  carrier changes, the tap's own count", carrier_changes);
	row("other changes told of it", setting_events);
	snprintf(refused, sizeof(refused), "%llu of %llu",
		 (unsigned long long)by_tapxfer.refused,
		 (unsigned long long)by_tapxfer.tried);
	row_text("reads and writes refused while frozen", refused, "-");
	row_tapxfer("settings checked by the target", by_tapxfer.checks);

	printf("the sums, host to guest\n");
	balance("tapxfer", &by_tapxfer);
	balance("fds", &by_fds);
	printf("what the words mean\n"
	       "  offered    counted by a packet socket as the stack hands each packet to the\n"
	       "             driver, whether the driver takes it or drops it\n"
	       "  delivered  counted by the VMMs, each packet each time that it is read\n"
	       "  lost       numbers that no VMM has read, less what never entered the tap\n"
	       "  rate       the sender waits for the reader while a VMM runs, so that no ring\n"
	       "             overflows, and does not care while the source is stopped\n");
}

/* ------------------------------------------------------------------------
 * The verdict
 */

__attribute__((format(printf, 1, 2)))
static void fail(const char *fmt, ...)
{
	size_t used = strlen(why);
	va_list ap;

	if (used)
		used += (size_t)snprintf(why + used, sizeof(why) - used, "; ");
	if (used >= sizeof(why))
		return;
	va_start(ap, fmt);
	vsnprintf(why + used, sizeof(why) - used, fmt, ap);
	va_end(ap);
}

static void want(const char *name, uint64_t is, uint64_t expected)
{
	if (is != expected)
		fail("%s is %lld", name, (long long)is);
}

/* Every packet is accounted for, or no number means anything. */
static void judge_balance(const char *name, const struct demo_result *r)
{
	if (r->h2g.sent != r->counts.peer_dropped + r->counts.qdisc_dropped +
			   r->counts.entered_tap)
		fail("%s: sent does not add up", name);
	if (r->counts.entered_tap != r->h2g.got + r->counts.tap_dropped)
		fail("%s: offered does not add up", name);
	if (lost(r) != r->counts.tap_dropped)
		fail("%s: lost is not what the driver dropped", name);
	if (r->counts.entered_host != r->g2h.sent)
		fail("%s: what the guest sent did not come out of the tap",
		     name);
	if (r->g2h.sent != r->g2h.got + behind_tap(r))
		fail("%s: what came out of the tap does not add up", name);
	if (r->arrived < DEMO_MIN_STOPPED)
		fail("%s: %llu packets arrived while stopped", name,
		     (unsigned long long)r->arrived);
	if (!r->got_by_source || !got_by_target(r) || !r->g2h.got)
		fail("%s: no traffic", name);
}

static void judge_tapxfer(const struct demo_result *r)
{
	want("lost", lost(r), 0);
	want("reordered", r->h2g.reordered, 0);
	want("duplicated", r->h2g.dup, 0);
	want("host to guest: not of this run", r->h2g.foreign, 0);
	want("guest to host: lost", guest_lost(r), 0);
	want("guest to host: reordered", r->g2h.reordered, 0);
	want("guest to host: duplicated", r->g2h.dup, 0);
	want("guest to host: not of this run", r->g2h.foreign, 0);
	want("guest to host: sent while stopped", r->leaked, 0);
	want("dropped, by the thaw's word", r->held_dropped, 0);
	want("carrier events", r->counts.carrier_events, 0);
	want("carrier changes", r->counts.carrier_changes, 0);
	want("other changes told", r->counts.setting_events, 0);
	if (r->held < r->arrived)
		fail("held %llu, less than arrived",
		     (unsigned long long)r->held);
	if (r->refused != r->tried || !r->tried)
		fail("a frozen queue was read or written");
	if (!r->checks)
		fail("the target checked nothing");
	if (!r->blackout)
		fail("no blackout was told");
}

static void judge(void)
{
	if (by_tapxfer.why[0])
		fail("tapxfer: %s", by_tapxfer.why);
	else if (by_fds.why[0])
		fail("fds: %s", by_fds.why);
	if (why[0])
		return;
	judge_tapxfer(&by_tapxfer);
	judge_balance("tapxfer", &by_tapxfer);
	judge_balance("fds", &by_fds);
	if ((int64_t)lost(&by_fds) <= 0)
		fail("fds: nothing was lost, so this run shows nothing");
}

static void verdict(void)
{
	char blackout[32];

	ms(blackout, sizeof(blackout), by_tapxfer.blackout);
	printf("demo: %s%s%s lost=%lld reordered=%llu duplicated=%llu held=%llu blackout_ms=%s\n",
	       why[0] ? "FAIL" : "PASS", why[0] ? " " : "", why,
	       (long long)(lost(&by_tapxfer) + guest_lost(&by_tapxfer)),
	       (unsigned long long)(by_tapxfer.h2g.reordered +
				    by_tapxfer.g2h.reordered),
	       (unsigned long long)(by_tapxfer.h2g.dup + by_tapxfer.g2h.dup),
	       (unsigned long long)by_tapxfer.held, blackout);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: demo_report TAPXFER-RESULT FDS-RESULT\n");
		return 1;
	}
	result_read(argv[1], &by_tapxfer);
	result_read(argv[2], &by_fds);
	judge();
	if (!by_tapxfer.why[0] && !by_fds.why[0])
		table();
	if (by_tapxfer.why[0] || by_fds.why[0])
		printf("demo: FAIL %s\n", why);
	else
		verdict();
	return !!why[0];
}
