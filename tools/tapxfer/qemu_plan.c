// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is going to be done, as JSON: what --dry-run prints, and --plan reads, so
 * that whatever was found out can be changed.
 *
 *	{ "netdevs": [ { "id": "hn0", "ifname": "tap0", "fds": [ 20, 21 ],
 *			 "netdev_add": { … }, "device_add": { … } } ] }
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu.h"

struct json_object *qemu_plan(const struct qemu *m)
{
	struct json_object *netdevs = json_object_new_array(), *o, *fds;
	const struct qemu_nic *nic;
	size_t i;

	for_each_nic(nic, m) {
		fds = json_object_new_array();
		for (i = 0; i < nic->nqueues; i++)
			json_object_array_add(fds,
					      json_object_new_int(nic->numbers[i]));
		o = qmp_args("ssooo", "id", nic->id, "ifname", nic->ifname,
			     "fds", fds, "netdev_add", json_object_get(nic->netdev),
			     "device_add", json_object_get(nic->device));
		if (*nic->downscript)
			qmp_args_add(o, "s", "downscript", nic->downscript);
		json_object_array_add(netdevs, o);
	}
	o = qmp_args("sisi", "source", m->source.path,
		     "source-pid", (int64_t)m->source.pid,
		     "target", m->target.path,
		     "target-pid", (int64_t)m->target.pid);
	qmp_args_add(o, "o", "netdevs", netdevs);
	return o;
}

void qemu_nic_free(struct qemu_nic *nic)
{
	json_object_put(nic->netdev);
	json_object_put(nic->device);
	json_object_put(nic->defaults);
	tapxfer_state_close(nic->record);
	tapxfer_info_free(nic->queues);
	tapxfer_info_free(nic->result);
	tapxfer_token_wipe(&nic->token);
	free(nic->numbers);
	free(nic->fds);
	memset(nic, 0, sizeof(*nic));
}

/* An object that replaces what was found, or NULL */
static void replace(struct json_object **own, struct json_object *o)
{
	if (!json_object_is_type(o, json_type_object))
		return;
	json_object_put(*own);
	*own = json_object_get(o);
}

static int nic_read(struct qemu *m, struct qemu_nic *nic,
		    struct json_object *o)
{
	struct json_object *fds = qmp_get(o, "fds");
	size_t i;

	if (*qmp_str(o, "ifname") && strcmp(qmp_str(o, "ifname"), nic->ifname))
		return qemu_fail(m,
				 "the plan has netdev '%s' on %s, and it is on %s",
				 nic->id, qmp_str(o, "ifname"), nic->ifname);
	if (fds) {
		if (qmp_length(fds) != nic->nqueues)
			return qemu_fail(m,
					 "the plan's 'fds' of netdev '%s' are not %zu numbers",
					 nic->id, nic->nqueues);
		for (i = 0; i < nic->nqueues; i++)
			nic->numbers[i] =
				json_object_get_int(qmp_item(fds, i));
	}
	replace(&nic->netdev, qmp_get(o, "netdev_add"));
	/* whatever else it says, that much has to be so */
	qmp_args_add(nic->netdev, "ss", "type", "tap", "id", nic->id);
	replace(&nic->device, qmp_get(o, "device_add"));
	return 0;
}

static struct json_object *plan_of(struct json_object *netdevs, const char *id)
{
	size_t i;

	for (i = 0; i < qmp_length(netdevs); i++) {
		struct json_object *o = qmp_item(netdevs, i);

		if (!strcmp(qmp_str(o, "id"), id))
			return o;
	}
	return NULL;
}

int qemu_plan_open(struct qemu *m, const char *path)
{
	const char *why;

	m->plan = json_object_from_file(path);
	if (!m->plan) {
		why = json_util_get_last_err();
		/* json-c's own text ends with a newline */
		return qemu_fail(m, "cannot read a plan from '%s': %.*s", path,
				 why ? (int)strcspn(why, "\n") : 0, why);
	}
	if (!qmp_length(qmp_get(m->plan, "netdevs")))
		return qemu_fail(m, "'%s' is no plan: --dry-run -j prints one",
				 path);
	return 0;
}

/* What nobody but the user knows of a netdev that a helper has opened, or "" */
const char *qemu_plan_ifname(const struct qemu *m, const struct qemu_nic *nic)
{
	return qmp_str(plan_of(qmp_get(m->plan, "netdevs"), nic->id), "ifname");
}

/* The file's netdevs are those that are moved, and what it says of them holds. */
int qemu_plan_read(struct qemu *m)
{
	struct qemu_nic *nic;
	struct json_object *o;
	int ret;

	for_each_nic(nic, m) {
		o = plan_of(qmp_get(m->plan, "netdevs"), nic->id);
		if (!o)
			return qemu_fail(m,
					 "the plan lacks netdev '%s'; --netdev names those that are to be moved",
					 nic->id);
		ret = nic_read(m, nic, o);
		if (ret)
			return ret;
	}
	return 0;
}
