// SPDX-License-Identifier: GPL-2.0-or-later
/* What both QEMUs have set for migrations: made fit, and put back as it was. */
#include <stdio.h>
#include <string.h>

#include "qemu.h"

/* for the source to take its capabilities back, while a migration is cancelled */
#define RESTORE_MS	10000

/* What would make it another migration, wait for a word, or copy memory that is shared */
static const struct {
	const char *name;
	bool on;
} wanted[] = {
	{ "x-ignore-shared", true },
	{ "pause-before-switchover", false },
	{ "multifd", false },
	{ "postcopy-ram", false },
	{ "release-ram", false },
	{ "background-snapshot", false },
	{ "x-colo", false },
	{ "mapped-ram", false },
	{ "block", false },
};

static int caps_get(struct qemu *m, struct qmp *q, struct json_object **list)
{
	if (qmp_call(q, "query-migrate-capabilities", NULL, list))
		return qemu_fail_qmp(m, q);
	return 0;
}

static struct json_object *cap_find(struct json_object *list, const char *name)
{
	size_t i;

	for (i = 0; i < qmp_length(list); i++)
		if (!strcmp(qmp_str(qmp_item(list, i), "capability"), name))
			return qmp_item(list, i);
	return NULL;
}

/* Without that one the guest's memory would be copied onto itself. */
int qemu_check_caps(struct qemu *m, struct qmp *q)
{
	struct json_object *list;
	int ret;

	ret = caps_get(m, q, &list);
	if (ret)
		return ret;
	if (!cap_find(list, wanted[0].name))
		ret = qemu_fail(m,
				"the %s QEMU (%s) cannot leave out shared memory when it migrates (%s)",
				q->who, q->version, wanted[0].name);
	json_object_put(list);
	return ret;
}

static int caps_set(struct qmp *q, struct json_object *list)
{
	return qmp_call(q, "migrate-set-capabilities",
			qmp_args("o", "capabilities", json_object_get(list)),
			NULL);
}

/* Set what has to be otherwise, and note in @was how that was. */
static int caps_change(struct qemu *m, struct qmp *q, struct json_object **was)
{
	struct json_object *list, *set, *cap;
	size_t i;
	int ret;

	ret = caps_get(m, q, &list);
	if (ret)
		return ret;
	set = json_object_new_array();
	*was = json_object_new_array();
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		cap = cap_find(list, wanted[i].name);
		if (!cap || qmp_bool(cap, "state") == wanted[i].on)
			continue;
		json_object_array_add(*was, json_object_get(cap));
		json_object_array_add(set, qmp_args("sb", "capability",
						    wanted[i].name, "state",
						    wanted[i].on));
	}
	if (qmp_length(set) && caps_set(q, set))
		ret = qemu_fail_qmp(m, q);
	json_object_put(set);
	json_object_put(list);
	return ret;
}

int qemu_configure(struct qemu *m)
{
	int ret = caps_change(m, &m->source, &m->source_caps);

	return ret ? ret : caps_change(m, &m->target, &m->target_caps);
}

static void caps_note(struct qemu *m, const struct qmp *q)
{
	qemu_note(m,
		  "the %s's migration capabilities could not be put back, and x-ignore-shared may be on, which leaves out the guest's memory: %.300s",
		  q->who, q->error);
}

/* A later migration, to elsewhere, must not leave out the guest's memory. */
void qemu_unconfigure(struct qemu *m)
{
	if (qmp_length(m->source_caps) &&
	    qemu_insist(m, &m->source, "migrate-set-capabilities",
			qmp_args("o", "capabilities",
				 json_object_get(m->source_caps)), RESTORE_MS) &&
	    !qmp_ended(&m->source))
		caps_note(m, &m->source);
	if (qmp_length(m->target_caps) && !qmp_ended(&m->target))
		caps_set(&m->target, m->target_caps);
}

int qemu_finish(struct qemu *m)
{
	qemu_look_after(m);
	if (qmp_length(m->target_caps) && caps_set(&m->target, m->target_caps))
		caps_note(m, &m->target);
	return 0;
}
