// SPDX-License-Identifier: GPL-2.0-or-later
/* Progress on standard error as it goes, and the result. */
#include <stdio.h>
#include <string.h>

#include "qemu.h"

/* Not with -j, whose readers get the times with the answer. */
void qemu_progress(const struct qemu *m, const struct qemu_step *step)
{
	if (!m->cli->json)
		fprintf(stderr, "tapxfer qemu: %s\n", step->name);
}

static void nic_line(const struct qemu_nic *nic)
{
	char blackout[32];

	out_ns(tapxfer_info_u64(nic->result, TAPXFER_A_HANDOVER_BLACKOUT),
	       blackout, sizeof(blackout));
	printf("netdev %s: %s, %zu queues, %llu packets held, %llu dropped, blackout %s\n",
	       nic->id, nic->ifname, nic->nqueues,
	       (unsigned long long)
	       tapxfer_info_u64(nic->result, TAPXFER_A_HANDOVER_HELD),
	       (unsigned long long)
	       tapxfer_info_u64(nic->result, TAPXFER_A_HANDOVER_DROPPED),
	       blackout);
}

/* Of each queue what was held, a moment before the thaw */
static struct json_object *queues_object(const struct tapxfer_info *ho)
{
	struct json_object *array = json_object_new_array();
	size_t i, n = tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE);

	for (i = 0; i < n; i++)
		json_object_array_add(array,
				      out_object(tapxfer_info_nest(ho,
								   TAPXFER_A_HANDOVER_QUEUE,
								   i),
						 queue_attrs));
	return array;
}

static struct json_object *nics_object(const struct qemu *m)
{
	struct json_object *array = json_object_new_array(), *o;
	const struct qemu_nic *nic;

	for_each_nic(nic, m) {
		o = qmp_args("ss", "netdev", nic->id, "ifname", nic->ifname);
		if (nic->queues)
			qmp_args_add(o, "o", "queues",
				     queues_object(nic->queues));
		if (nic->result)
			qmp_args_add(o, "o", "handover",
				     out_object(nic->result, handover_attrs));
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *side(const struct qmp *q)
{
	return qmp_args("sis", "qmp", q->path, "pid", (int64_t)q->pid,
			"version", q->version);
}

int qemu_result(const struct qemu *m, const struct qemu_step *steps)
{
	uint64_t stopped = m->resumed_at ? m->resumed_at - m->stopped_at : 0;
	const struct qemu_nic *nic;
	struct json_object *times;
	char text[32];
	size_t i;

	if (m->cli->json) {
		times = json_object_new_object();
		for (i = 0; i < m->nsteps; i++)
			qmp_args_add(times, "i", steps[i].name,
				     (int64_t)m->took[i]);
		return out_json(m->cli, qmp_args("ooooi",
						 "source", side(&m->source),
						 "target", side(&m->target),
						 "netdevs", nics_object(m),
						 "times", times,
						 "stopped", (int64_t)stopped));
	}
	out_ns(stopped, text, sizeof(text));
	printf("moved from process %d (QEMU %s) to process %d (QEMU %s), stopped for %s\n",
	       (int)m->source.pid, m->source.version, (int)m->target.pid,
	       m->target.version, text);
	for_each_nic(nic, m)
		nic_line(nic);
	printf("times:");
	for (i = 0; i < m->nsteps; i++) {
		out_ns(m->took[i], text, sizeof(text));
		printf("%s %s %s", i ? "," : "", steps[i].name, text);
	}
	putchar('\n');
	return out_end(m->cli);
}
