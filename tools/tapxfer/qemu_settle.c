// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A QEMU whose guest is out of receive buffers keeps one packet a queue, and throws it
 * away when the VM stops. Nothing new comes since the hold, so the guest catches up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu.h"

#define POLL_NS		1000000
/* Packets that QEMU has read and the guest has no buffers for, at the most */
#define SETTLE_MS	1000
/* between a guest's buffers and its notice of them */
#define NOTICE_MS	5

enum buffers { NONE, SOME, UNKNOWN };

/* A 16 bit number of the guest's memory, by the monitor's "xp", or -1 */
static int guest_u16(struct qmp *q, uint64_t address)
{
	struct json_object *o;
	const char *text;
	char line[64];
	int value = -1;

	snprintf(line, sizeof(line), "xp /1hx 0x%llx",
		 (unsigned long long)address);
	if (qmp_call(q, "human-monitor-command",
		     qmp_args("s", "command-line", line), &o))
		return -1;
	text = json_object_is_type(o, json_type_string) ?
	       strchr(json_object_get_string(o), ':') : NULL;
	if (text)
		value = (int)strtoul(text + 1, NULL, 16) & 0xffff;
	json_object_put(o);
	return value;
}

/*
 * Whether the guest has buffers in a receive queue: the index that it has put into the
 * ring is beyond that of QEMU's. QEMU has a command to look at a ring's elements too,
 * which a guest's garbage makes it die of.
 */
static enum buffers queue_buffers(struct qemu *m, const char *path,
				  int64_t queue)
{
	struct json_object *o;
	int64_t ring, last;
	int index;
	bool known;

	if (qmp_call(&m->source, "x-query-virtio-queue-status",
		     qmp_args("si", "path", path, "queue", queue), &o))
		return UNKNOWN;
	known = !!qmp_get(o, "last-avail-idx");
	ring = qmp_int(o, "vring-avail");
	last = qmp_int(o, "last-avail-idx");
	json_object_put(o);
	/* a queue that the guest has not set up */
	if (known && !ring)
		return SOME;
	index = known ? guest_u16(&m->source, (uint64_t)ring + 2) : -1;
	if (index < 0)
		return UNKNOWN;
	/* one that it has never filled is not in use */
	return !index || index != (last & 0xffff) ? SOME : NONE;
}

/* Rings that look otherwise, or are not where the guest says without its IOMMU */
static bool can_tell(const struct qemu_nic *nic)
{
	return !strncmp(qmp_str(nic->device, "driver"), "virtio-net", 10) &&
	       !qmp_bool(nic->device, "packed") &&
	       !qmp_bool(nic->device, "iommu_platform");
}

static enum buffers nic_buffers(struct qemu *m, const struct qemu_nic *nic)
{
	enum buffers buffers = SOME;
	char path[QEMU_PATH_MAX + 16];
	size_t i;

	/* vhost puts back what it has taken */
	if (nic->vhost)
		return SOME;
	if (!can_tell(nic))
		return UNKNOWN;
	snprintf(path, sizeof(path), "%s/virtio-backend", nic->path);
	for (i = 0; i < nic->nqueues && buffers == SOME; i++)
		buffers = queue_buffers(m, path, (int64_t)(2 * i));
	return buffers;
}

static void unknown(struct qemu *m, const struct qemu_nic *nic)
{
	qemu_note(m,
		  "netdev %s: the source QEMU does not tell whether it kept a packet a queue back for the guest, which is lost then",
		  nic->id);
}

int qemu_settle(struct qemu *m)
{
	uint64_t since = qemu_now();
	enum buffers buffers;
	struct qemu_nic *nic;
	bool wait;

	if (!m->was_running)
		return 0;
	do {
		wait = false;
		for_each_nic(nic, m) {
			buffers = nic_buffers(m, nic);
			wait |= buffers == NONE;
			if (buffers == UNKNOWN)
				unknown(m, nic);
		}
		if (wait)
			qemu_nap(POLL_NS);
	} while (wait && !qemu_late(since, SETTLE_MS));
	if (m->source.fd < 0)
		return qemu_fail_qmp(m, &m->source);
	if (wait)
		qemu_note(m,
			  "the guest has had no receive buffers for %d ms: a packet that the source QEMU keeps for them is lost",
			  SETTLE_MS);
	qemu_nap(NOTICE_MS * 1000000L);
	return 0;
}
