// SPDX-License-Identifier: GPL-2.0
/*
 * Tracepoints tell a handover's way, in order and with the right numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define TRACING		"/sys/kernel/tracing/"
#define EVENTS		TRACING "events/tapxfer/"
#define MAX_SEQ		(1 << 16)
#define LINES		64

/* What was traced: each event's name and fields, oldest first */
struct trace {
	char *text;
	char *line[LINES];
	int n;
};

static int trace_clear(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -errno : close(fd);
}

static int trace_read(struct trace *t)
{
	FILE *f = fopen(TRACING "trace", "r");
	char line[512], *event;

	t->n = 0;
	t->text = calloc(LINES, sizeof(line));
	if (!f || !t->text)
		return -1;
	while (fgets(line, sizeof(line), f) && t->n < LINES) {
		event = line[0] == '#' ? NULL : strstr(line, ": tapxfer_");
		if (!event)
			continue;
		line[strcspn(line, "\n")] = 0;
		t->line[t->n] = t->text + t->n * sizeof(line);
		strcpy(t->line[t->n++], event + 2);
	}
	fclose(f);
	return t->n;
}

/* Whether line @n is that. */
__attribute__((format(printf, 3, 4)))
static bool trace_is(struct trace *t, int n, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ok = n < t->n && !strcmp(t->line[n], text);
	if (!ok)
		printf("# line %d is  %s\n# should be %s\n", n,
		       n < t->n ? t->line[n] : "not there", text);
	return ok;
}

/* The value of a field, which a line has as name=value. */
static unsigned long long trace_field(struct trace *t, int n, const char *name)
{
	char key[32];
	char *at;

	snprintf(key, sizeof(key), " %s=", name);
	at = n < t->n ? strstr(t->line[n], key) : NULL;
	return at ? strtoull(at + strlen(key), NULL, 10) : ~0ULL;
}

FIXTURE(trace) {
	struct tap tap;
	struct genl g;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct trace tr;
};

FIXTURE_SETUP(trace)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, write_string(EVENTS "enable", "1"));
	ASSERT_EQ(0, trace_clear());
}

FIXTURE_TEARDOWN(trace)
{
	write_string(EVENTS "enable", "0");
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	genl_close(&self->g);
	free(self->tr.text);
	/* the next one's trace is to be its own */
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* What a state's line has, but for the numbers at its end */
#define STATE(event, state) \
	"tapxfer_state: id=%u ifindex=%d name=tap0 event=" event \
	" state=" state " held=%u dropped=%u", self->x.id, self->tap.ifindex

TEST_F(trace, tells_a_handover)
{
	struct trace *tr = &self->tr;
	unsigned int id, i = 0;
	unsigned long long bytes;

	ASSERT_EQ(0, sender_send(&self->s, 10));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED,
				100, 0));
	id = self->x.id;
	ASSERT_EQ(0, xfer_hold(&self->x));
	/* the hold is full: three are dropped, which is no limit in bytes */
	ASSERT_EQ(0, sender_send(&self->s, 93));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));

	ASSERT_LT(0, trace_read(tr));
	EXPECT_TRUE(trace_is(tr, i++, STATE("prepared", "prepared"), 0, 0));
	bytes = trace_field(tr, i, "bytes");
	EXPECT_LE(10 * PACKET_LEN, bytes);
	EXPECT_TRUE(trace_is(tr, i++,
			     "tapxfer_park: id=%u queue=0 pending=10 hold=100 bytes=%llu",
			     id, bytes));
	EXPECT_TRUE(trace_is(tr, i++, STATE("holding", "holding"), 10, 0));
	EXPECT_TRUE(trace_is(tr, i++, STATE("frozen", "frozen"), 100, 3));
	EXPECT_TRUE(trace_is(tr, i++, STATE("claimed", "claimed"), 100, 3));
	/* all are of one size */
	EXPECT_TRUE(trace_is(tr, i++,
			     "tapxfer_unpark: id=%u queue=0 pending=10 held=100 put_back=0 bytes=%llu",
			     id, 10 * bytes));
	EXPECT_TRUE(trace_is(tr, i++, STATE("thawed", "draining"), 100, 3));
	EXPECT_TRUE(trace_is(tr, i++,
			     "tapxfer_drained: id=%u held=100 delivered=100",
			     id));
	EXPECT_EQ(i, tr->n);
}

TEST_F(trace, tells_which_limit_closed_a_queue)
{
	struct trace *tr = &self->tr;
	unsigned long long bytes;

	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_HOLD, 0, 64 << 10, 0));
	while (!self->s.dropped)
		ASSERT_EQ(0, sender_send(&self->s, 1));
	ASSERT_EQ(0, sender_send(&self->s, 10));
	ASSERT_EQ(0, xfer_abort(&self->x));

	ASSERT_LE(4, trace_read(tr));
	EXPECT_TRUE(trace_is(tr, 1, "tapxfer_park: id=%u queue=0 pending=0 hold=16384 bytes=0",
			     self->x.id));
	EXPECT_TRUE(trace_is(tr, 2, STATE("holding", "holding"), 0, 0));
	/* once, by the packet that was too much */
	bytes = trace_field(tr, 3, "bytes");
	EXPECT_LT(64 << 10, bytes);
	EXPECT_GE((64 << 10) + bytes / (self->s.seq - 11), bytes);
	EXPECT_TRUE(trace_is(tr, 3, "tapxfer_full: id=%u queue=0 limit=handover packets=%u bytes=%llu",
			     self->x.id, self->s.seq - 11, bytes));
	EXPECT_TRUE(trace_is(tr, 4, "tapxfer_unpark: id=%u queue=0 pending=0 held=%u put_back=0 bytes=%llu",
			     self->x.id, self->s.seq - 11, bytes));
	EXPECT_TRUE(trace_is(tr, 5, STATE("aborted", "draining"),
			     self->s.seq - 11, 11));
}

TEST_F(trace, tells_of_writers_in_flight)
{
	struct trace *tr = &self->tr;
	struct waiter w = { .op = WAITER_WRITEV };
	struct stall stall;
	uint8_t packet[PACKET_MAX] = {};
	int len, i = 3;

	ASSERT_EQ(0, stall_open(&stall));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	len = self->tap.hdr + packet_make(packet + self->tap.hdr, 0, 0);
	w.fd = self->tap.fds[0];
	w.hdr = packet;
	w.hdr_len = self->tap.hdr;
	w.buf = stall.page;
	w.len = len - self->tap.hdr;
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(stall_wait(&stall, SOON_MS));
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 20));
	ASSERT_EQ(0, stall_release(&stall, packet + self->tap.hdr,
				   len - self->tap.hdr));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_abort(&self->x));
	stall_close(&stall);

	ASSERT_LE(i, trace_read(tr));
	EXPECT_TRUE(trace_is(tr, i++, "tapxfer_writers: id=%u before=1 left=1 timed_out=1",
			     self->x.id));
	/* the second time there was nobody to wait for */
	EXPECT_TRUE(trace_is(tr, i++, STATE("frozen", "frozen"), 0, 0));
}

TEST_F(trace, that_is_off_tells_nothing)
{
	ASSERT_EQ(0, write_string(EVENTS "enable", "0"));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(0, trace_read(&self->tr));
}

TEST_HARNESS_MAIN
