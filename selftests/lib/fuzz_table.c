// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "fuzz_judge.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static void table_line(const char *name, uint64_t accepted, uint64_t refused)
{
	printf("# %-20s %10llu %10llu\n", name, (unsigned long long)accepted,
	       (unsigned long long)refused);
}

void fuzz_table(const struct fuzz *f)
{
	static const char *const states[] = {
		[TAPXFER_STATE_PREPARED] = "prepared",
		[TAPXFER_STATE_HOLDING] = "holding",
		[TAPXFER_STATE_FROZEN] = "frozen",
		[TAPXFER_STATE_CLAIMED] = "claimed",
		[TAPXFER_STATE_READY] = "ready",
		[TAPXFER_STATE_DRAINING] = "draining",
	};
	char name[32];
	int i, dump;

	printf("# seed %llu, %llu messages\n", (unsigned long long)f->seed,
	       (unsigned long long)f->n);
	printf("# %-20s %10s %10s\n", "command", "accepted", "refused");
	for (i = 1; i <= TAPXFER_CMD_MAX; i++) {
		for (dump = 0; dump < 2; dump++) {
			if (!f->accepted[i][dump] && !f->refused[i][dump])
				continue;
			snprintf(name, sizeof(name), "%s%s", fuzz_cmd_name(i),
				 dump ? " (dump)" : "");
			table_line(name, f->accepted[i][dump],
				   f->refused[i][dump]);
		}
	}
	table_line("no command", 0, f->refused_core);
	for (i = 0; i < ACTORS; i++) {
		snprintf(name, sizeof(name), "of these by %s",
			 f->actors[i].name);
		table_line(name, f->by_actor[i][0], f->by_actor[i][1]);
	}
	printf("# not looked at by netlink %llu, not sent %llu, answer lost %llu\n",
	       (unsigned long long)f->unseen, (unsigned long long)f->unsent,
	       (unsigned long long)f->lost);
	printf("# came to");
	for (i = 1; i <= TAPXFER_STATE_DRAINING; i++)
		printf(" %s %llu", states[i], (unsigned long long)f->states[i]);
	printf("\n# refused with");
	for (i = 1; i < (int)ARRAY_SIZE(f->errnos); i++)
		if (f->errnos[i])
			printf(" %s %llu", strerrorname_np(i),
			       (unsigned long long)f->errnos[i]);
	printf("\n");
}
