// SPDX-License-Identifier: GPL-2.0
/*
 * What comes of every event in every state.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "matrix.h"

#define ON		{ .outcome = MATRIX_ON }
#define FAILS(e)	{ .outcome = MATRIX_ON, .err = -(e) }
#define NAMED(bit)	{ .outcome = MATRIX_ON, \
			  .named = TAPXFER_VIOLATION_##bit }
#define FROZEN		{ .outcome = MATRIX_FROZEN }
#define BACK		{ .outcome = MATRIX_BACK }
#define ANEW		{ .outcome = MATRIX_ANEW }
#define IN_USE		{ .outcome = MATRIX_IN_USE }
#define ONE		{ .outcome = MATRIX_ONE }
#define GONE		{ .outcome = MATRIX_GONE }
#define UNLOADED	{ .outcome = MATRIX_UNLOADED }
#define NO(reason)	{ .why = reason }
#define SAYS(o, text)	{ .outcome = MATRIX_##o, .note = text }
/* A claimant that was ready may have left settings of its own. */
#define SETTINGS(o)	{ .outcome = MATRIX_##o, \
			  .named = TAPXFER_VIOLATION_SETTINGS }

static const char no_handover[] = "there is no handover";

static const char two_readers[] =
	"ready was shared, and so is the thaw; who shares stops the other "
	"backends first, or takes what comes of it: from the thaw on the "
	"backend takes packets of its queue, too, as many as the source's "
	"guest has offered buffers for, and 64 at the most on top, which go "
	"back to the ring when it stops. Not one is lost or there twice, "
	"and each reader has its own in order. What the guest had given the "
	"backend before the thaw is sent then, once";
static const char read_early[] =
	"ready was shared; who shares stops the other backends first, or "
	"takes what comes of it. What the backend gives back is held as any "
	"other as long as nobody reads. But readers find it, and the "
	"source's guest does read: it gets the first packet of it, and all "
	"that is held of that queue, before the thaw. The others that were "
	"given back, 63 at the most, are freed by the thaw, and counted by "
	"the device (tx_dropped). All else holds: nothing is read of the other queue, "
	"nothing enters the host, and every other packet is received, once "
	"and in order, or counted";
static const char back_in_time[] =
	"ready was shared, and so is the thaw. Nobody has read yet: what "
	"the backend gives back comes first";
static const char resized[] =
	"the driver frees the newest packets of each ring, those that do "
	"not fit any more, and neither the device nor anybody else counts "
	"them: each reader gets the oldest packets of its queue, as many as "
	"the new length, and then what comes later";

const char * const matrix_states[MATRIX_STATES] = {
	"running", "prepared", "holding", "frozen", "claimed", "ready",
	"draining",
};

const struct matrix_row matrix_rows[MATRIX_EVENTS] = {
	[MATRIX_SOURCE_KILLED] = {
		"source-killed", "SIGKILL of the source", NULL, 0,
		{ GONE, ON, ON, ON, ON, ON, ON },
	},
	[MATRIX_TARGET_KILLED] = {
		"target-killed", "SIGKILL of the target", NULL, 0,
		{ NO(no_handover), ON, ON, ON, FROZEN, SETTINGS(FROZEN), GONE },
	},
	[MATRIX_ORCH_KILLED] = {
		"orchestrator-killed",
		"SIGKILL of the orchestrator; the target has the token", NULL,
		0, { NO(no_handover), ON, ON, ON, ON, ON, ON },
	},
	[MATRIX_FDS_CLOSED] = {
		"fds-closed",
		"the source closes its queue files (in draining: the target)",
		NULL, 0, { GONE, ON, ON, ON, ON, ON, GONE },
	},
	[MATRIX_DEADLINE] = {
		"deadline", "the deadline passes", NULL, 0,
		{ NO(no_handover), BACK, BACK, BACK, BACK, SETTINGS(BACK), ON },
	},
	[MATRIX_ABORT_TOKEN] = {
		"abort-token",
		"abort by an unprivileged process that has the token", NULL, 0,
		{ NO(no_handover), BACK, BACK, BACK, BACK, BACK,
		  FAILS(ENOENT) },
	},
	[MATRIX_ABORT_ADMIN] = {
		"abort-admin",
		"abort by a privileged process without the token", NULL, 0,
		{ NO(no_handover), BACK, BACK, BACK, BACK, BACK,
		  FAILS(ENOENT) },
	},
	[MATRIX_ABORT_NOBODY] = {
		"abort-nobody", "abort by an unprivileged process without it",
		NULL, 0,
		{ NO(no_handover), FAILS(EPERM), FAILS(EPERM), FAILS(EPERM),
		  FAILS(EPERM), FAILS(EPERM), FAILS(EPERM) },
	},
	[MATRIX_THAW_THAW] = {
		"thaw-thaw",
		"source and target race to thaw, having claimed first if need be",
		NULL, 0,
		{ NO(no_handover), FAILS(EPROTO), FAILS(EPROTO), ONE, ONE, ONE,
		  FAILS(ENOENT) },
	},
	[MATRIX_THAW_ABORT] = {
		"thaw-abort", "the source aborts while the target thaws", NULL,
		0,
		{ NO(no_handover), BACK, BACK, ONE, ONE, ONE, FAILS(ENOENT) },
	},
	[MATRIX_DETACH] = {
		"detach",
		"TUNSETQUEUE, a queue is detached by the source (in draining: by the target)",
		"one queue is detached", MATRIX_DETACHED,
		{ ON, ON, ON, FAILS(EBUSY), FAILS(EBUSY), ON, ON },
	},
	[MATRIX_ATTACH] = {
		"attach", "the same, a detached one is attached",
		"one queue more is attached", MATRIX_ATTACHED,
		{ ON, ON, ON, FAILS(EBUSY), FAILS(EBUSY), ON, ON },
	},
	[MATRIX_QUEUE_ADDED] = {
		"queue-added", "TUNSETIFF of one more file",
		"one queue more", MATRIX_QUEUES,
		{ ON, ANEW, ANEW,
		  { .outcome = MATRIX_ANEW, .named = TAPXFER_VIOLATION_QUEUES },
		  NAMED(QUEUES), NAMED(QUEUES), ON },
	},
	[MATRIX_DELETED] = {
		"deleted", "the device is deleted", NULL, 0,
		{ GONE, GONE, GONE, GONE, GONE, SETTINGS(GONE), GONE },
	},
	[MATRIX_RENAMED] = {
		"renamed", "the device is set down, renamed, and set up",
		"its name", MATRIX_NAME,
		{ ON, ON, ON, NAMED(NAME), NAMED(NAME), NAMED(NAME), ON },
	},
	[MATRIX_MOVED] = {
		"moved",
		"the device is moved to another network namespace, and set up there",
		"its network namespace", MATRIX_NETNS,
		{ ON, ON, ON, NAMED(NETNS), NAMED(NETNS), NAMED(NETNS), ON },
	},
	[MATRIX_NETNS_GONE] = {
		"netns-gone",
		"the device is moved, and that network namespace is deleted",
		NULL, 0,
		{ GONE, GONE, GONE, GONE, GONE, GONE, GONE },
	},
	[MATRIX_LINK_DOWN] = {
		"link-down", "the device is set down, and up after the end",
		"it is down", MATRIX_DOWN, { ON, ON, ON, ON, ON, ON, ON },
	},
	[MATRIX_TXQUEUELEN] = {
		"txqueuelen", "the tx queue length is set", "its tx queue length",
		MATRIX_TXQLEN,
		{ ON, ON, FAILS(EBUSY), FAILS(EBUSY), FAILS(EBUSY),
		  FAILS(EBUSY), ON },
	},
	[MATRIX_TXQUEUELEN_LESS] = {
		"txqueuelen-less",
		"the same, to less than waits in each ring",
		"its tx queue length", MATRIX_TXQLEN_LESS,
		{ SAYS(ON, resized), SAYS(ON, resized), FAILS(EBUSY),
		  FAILS(EBUSY), FAILS(EBUSY), FAILS(EBUSY),
		  SAYS(ON, resized) },
	},
	[MATRIX_RMMOD_TAPXFER] = {
		"rmmod-tapxfer",
		"delete_module of tapxfer, and again once drained: that works",
		NULL, 0,
		{ UNLOADED, FAILS(EAGAIN), FAILS(EAGAIN), FAILS(EAGAIN),
		  FAILS(EAGAIN), FAILS(EAGAIN), FAILS(EAGAIN) },
	},
	[MATRIX_RMMOD_TUN] = {
		"rmmod-tun", "delete_module of tun", NULL, 0,
		{ FAILS(EAGAIN), FAILS(EAGAIN), FAILS(EAGAIN), FAILS(EAGAIN),
		  FAILS(EAGAIN), FAILS(EAGAIN), FAILS(EAGAIN) },
	},
	[MATRIX_VHOST_STAYS] = {
		"vhost-stays",
		"vhost-net is attached in the source from before, and stays",
		NULL, 0,
		{ ON, IN_USE, IN_USE, IN_USE, IN_USE, SAYS(BOTH, two_readers),
		  SAYS(BOTH, two_readers) },
	},
	[MATRIX_VHOST_STOPS] = {
		"vhost-stops", "the same, and is stopped now", NULL, 0,
		{ ON, ON, ON, ON, ON, SAYS(EARLY, read_early),
		  SAYS(ON, back_in_time) },
	},
	[MATRIX_VHOST_COMES] = {
		"vhost-comes",
		"vhost-net is attached by the source (in ready and draining: by the target)",
		NULL, 0,
		{ ON, FAILS(ENOTSOCK), FAILS(ENOTSOCK), FAILS(ENOTSOCK),
		  FAILS(ENOTSOCK), ON, ON },
	},
};

/* -- as Documentation has it --------------------------------------------- */

static const char *word(const struct matrix_cell *c)
{
	static const char * const words[] = {
		[MATRIX_IMPOSSIBLE] = "--",
		[MATRIX_ON] = "on",
		[MATRIX_FROZEN] = "frozen",
		[MATRIX_BACK] = "back",
		[MATRIX_ANEW] = "anew",
		[MATRIX_IN_USE] = "in use",
		[MATRIX_BOTH] = "both",
		[MATRIX_EARLY] = "early",
		[MATRIX_ONE] = "one",
		[MATRIX_GONE] = "gone",
		[MATRIX_UNLOADED] = "unloaded",
	};

	if (c->err)
		return strerrorname_np(-c->err);
	if (c->outcome == MATRIX_ON && c->named)
		return "named";
	return words[c->outcome];
}

static void rule(const size_t *width, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < width[i]; j++)
			putchar('=');
		fputs(i + 1 < n ? " " : "\n", stdout);
	}
}

static void rst_outcomes(void)
{
	size_t width[MATRIX_STATES + 1] = { strlen("event") };
	int e, s;

	for (s = 0; s < MATRIX_STATES; s++)
		width[s + 1] = strlen(matrix_states[s]);
	for (e = 0; e < MATRIX_EVENTS; e++) {
		if (width[0] < strlen(matrix_rows[e].name))
			width[0] = strlen(matrix_rows[e].name);
		for (s = 0; s < MATRIX_STATES; s++) {
			size_t len = strlen(word(&matrix_rows[e].cells[s]));

			if (width[s + 1] < len)
				width[s + 1] = len;
		}
	}

	rule(width, MATRIX_STATES + 1);
	printf("%-*s", (int)width[0], "event");
	for (s = 0; s < MATRIX_STATES; s++)
		printf(" %-*s", s + 1 < MATRIX_STATES ? (int)width[s + 1] : 0,
		       matrix_states[s]);
	putchar('\n');
	rule(width, MATRIX_STATES + 1);
	for (e = 0; e < MATRIX_EVENTS; e++) {
		printf("%-*s", (int)width[0], matrix_rows[e].name);
		for (s = 0; s < MATRIX_STATES; s++)
			printf(" %-*s", s + 1 < MATRIX_STATES ?
					(int)width[s + 1] : 0,
			       word(&matrix_rows[e].cells[s]));
		putchar('\n');
	}
	rule(width, MATRIX_STATES + 1);
}

/* A definition, its text folded at 80 columns. */
static void define(const char *term, const char *text)
{
	const char *end = text + strlen(text);
	int len;

	printf("%s\n", term);
	while (text < end) {
		len = end - text;
		if (len > 76)
			for (len = 76; text[len] != ' '; len--)
				;
		printf("    %.*s\n", len, text);
		text += len + 1;
	}
}

static void names(uint32_t bits, char *buf, size_t size)
{
	static const char * const bit_names[] = {
		"queues", "name", "netns", "offloads", "xdp", "carrier",
		"settings",
	};
	size_t i;

	for (i = 0; i < sizeof(bit_names) / sizeof(bit_names[0]); i++)
		if (bits & 1U << i)
			snprintf(buf, size, "%s", bit_names[i]);
}

/* Each once, with the states of which it says something. */
static void rst_notes(const struct matrix_row *row, char *buf, size_t size)
{
	const char *note, *last = NULL;
	int s, t, n = 0;

	for (s = 0; s < MATRIX_STATES; s++) {
		note = row->cells[s].note;
		if (!note || note == last)
			continue;
		last = note;
		n += snprintf(buf + n, size - n, " In ");
		for (t = s; t < MATRIX_STATES; t++)
			if (row->cells[t].note == note)
				n += snprintf(buf + n, size - n, "%s, ",
					      matrix_states[t]);
		n += snprintf(buf + n - 2, size - n, ": %s.", note) - 2;
	}
}

/* What it is, what it changes, what is named, and what else there is to say. */
static void rst_event(const struct matrix_row *row)
{
	char text[2048], bit[16];
	const char *why = NULL;
	uint32_t named = 0;
	int s, n;

	for (s = 0; s < MATRIX_STATES; s++) {
		const struct matrix_cell *c = &row->cells[s];

		named |= c->named;
		why = c->why ?: why;
	}
	n = snprintf(text, sizeof(text), "%s. %s%s.", row->what,
		     row->changes ? "Changed of the interface: " :
				    "The interface is as before, if it is there",
		     row->changes ?: "");
	if (named) {
		names(named, bit, sizeof(bit));
		n += snprintf(text + n, sizeof(text) - n, " Named (");
		for (s = 0; s < MATRIX_STATES; s++)
			if (row->cells[s].named)
				n += snprintf(text + n, sizeof(text) - n,
					      "%s, ", matrix_states[s]);
		n -= 2;
		n += snprintf(text + n, sizeof(text) - n, "): ``%s``.", bit);
	}
	if (why)
		n += snprintf(text + n, sizeof(text) - n, " Impossible: %s.",
			      why);
	rst_notes(row, text + n, sizeof(text) - n);
	define(row->name, text);
}

void matrix_rst(void)
{
	int e;

	rst_outcomes();
	putchar('\n');
	for (e = 0; e < MATRIX_EVENTS; e++)
		rst_event(&matrix_rows[e]);
}
