// SPDX-License-Identifier: GPL-2.0-or-later
/* list */
#include <stdio.h>

#include "cli.h"

struct lists {
	struct json_object *array;
	struct table table;
	size_t n;
};

static const struct {
	unsigned int attr;
	const char *head;
} columns[] = {
	{ TAPXFER_A_HANDOVER_ID, "ID" },
	{ TAPXFER_A_HANDOVER_IFNAME, "DEV" },
	{ TAPXFER_A_HANDOVER_STATE, "STATE" },
	{ TAPXFER_A_HANDOVER_NUM_QUEUES, "QUEUES" },
	{ TAPXFER_A_HANDOVER_HELD, "HELD" },
	{ TAPXFER_A_HANDOVER_DROPPED, "DROPPED" },
	{ TAPXFER_A_HANDOVER_BLACKOUT, "BLACKOUT" },
	{ TAPXFER_A_HANDOVER_REMAINING, "REMAINING" },
	{ TAPXFER_A_HANDOVER_CLAIMANT, "CLAIMANT" },
	{ TAPXFER_A_HANDOVER_VIOLATED, "VIOLATED" },
};

static int list_one(const struct tapxfer_info *ho, void *data)
{
	const struct attr *attr;
	struct lists *l = data;
	char text[64];
	size_t i;

	l->n++;
	if (l->array) {
		json_object_array_add(l->array, out_object(ho, handover_attrs));
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		for (attr = handover_attrs; attr->id != columns[i].attr;)
			attr++;
		snprintf(text, sizeof(text), "-");
		if (tapxfer_info_has(ho, attr->id))
			out_value(ho, attr, text, sizeof(text));
		table_add(&l->table, "%s", text);
	}
	return 0;
}

static int detail(struct cli *cli, uint32_t id)
{
	const struct tapxfer_info *dev;
	struct tapxfer_info *ho;
	int ret;

	ret = tapxfer_handover_get(cli->tx, id, &ho);
	if (ret)
		return fail_call(cli, ret);

	if (cli->json) {
		ret = out_json(cli, out_object(ho, handover_attrs));
	} else {
		printf("handover %u\n", id);
		out_lines(ho, handover_attrs);
		dev = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0);
		if (dev) {
			puts("exported device");
			out_lines(dev, dev_attrs);
		}
		if (tapxfer_info_has(ho, TAPXFER_A_HANDOVER_QUEUE)) {
			puts("queues");
			out_queues(ho);
		}
		ret = out_end(cli);
	}
	tapxfer_info_free(ho);
	return ret;
}

int cmd_list(struct cli *cli, struct args *args)
{
	struct lists l = { .array = NULL };
	size_t i;
	int ret;

	ret = cli_open(cli);
	if (ret)
		return ret;
	if (args->given & KEY_ID)
		return detail(cli, args->id);

	table_init(&l.table, ARRAY_SIZE(columns));
	if (cli->json)
		l.array = json_object_new_array();
	else
		for (i = 0; i < ARRAY_SIZE(columns); i++)
			table_add(&l.table, "%s", columns[i].head);

	ret = tapxfer_handover_list(cli->tx, list_one, &l);
	if (ret) {
		json_object_put(l.array);
		ret = fail_call(cli, ret);
	} else if (cli->json) {
		ret = out_json(cli, l.array);
	} else {
		/* no head over nothing */
		if (l.n)
			table_print(&l.table, 0);
		ret = out_end(cli);
	}
	table_free(&l.table);
	return ret;
}
