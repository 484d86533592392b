// SPDX-License-Identifier: GPL-2.0-or-later
/* show */
#include <errno.h>
#include <stdio.h>

#include "cli.h"

struct shows {
	const struct cli *cli;
	struct json_object *array;
};

static int show_one(const struct tapxfer_info *dev, void *data)
{
	uint64_t ifindex = tapxfer_info_u64(dev, TAPXFER_A_DEV_IFINDEX);
	const char *ifname = tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME);
	struct shows *s = data;
	struct link_facts facts;

	link_get((unsigned int)ifindex, &facts);
	if (s->array) {
		struct json_object *o = out_object(dev, dev_attrs);

		if (facts.known)
			json_object_object_add(o, "link", link_object(&facts));
		json_object_array_add(s->array, o);
		return 0;
	}
	printf("%llu: %s\n", (unsigned long long)ifindex,
	       ifname ? ifname : "?");
	if (facts.known)
		link_lines(&facts);
	/* index and name are in the head already */
	out_lines(dev, dev_attrs + 2);
	return 0;
}

static int show_dev(struct cli *cli, const struct args *args, struct shows *s)
{
	struct tapxfer_info *dev;
	struct source source;
	int fd = -1;
	int ret;

	if (args->given & (KEY_PID | KEY_FDS)) {
		ret = source_get(cli, args, &source);
		fd = ret ? -1 : source.fds[0];
	} else {
		ret = source_dev(cli, args, &source);
	}
	if (ret)
		return ret;

	ret = tapxfer_dev_get(cli->tx, source.ifindex, fd, &dev);
	/* the files of a device in a handover have been asked already */
	if (ret == -EBUSY && source.ifindex)
		ret = tapxfer_dev_get(cli->tx, source.ifindex, -1, &dev);
	if (ret) {
		ret = fail_call_fds(cli, ret, source.pid, source.queues);
	} else {
		show_one(dev, s);
		tapxfer_info_free(dev);
	}
	source_free(&source);
	return ret;
}

int cmd_show(struct cli *cli, struct args *args)
{
	struct shows s = { .cli = cli };
	int ret;

	if ((args->given & KEY_FDS) && args->nfds != 1)
		return fail_usage(cli, "one descriptor of --fds tells it all");
	ret = cli_open(cli);
	if (ret)
		return ret;

	if (cli->json)
		s.array = json_object_new_array();
	if (args->given) {
		ret = show_dev(cli, args, &s);
	} else {
		ret = tapxfer_dev_list(cli->tx, show_one, &s);
		if (ret)
			ret = fail_call(cli, ret);
	}
	if (ret) {
		json_object_put(s.array);
		return ret;
	}
	return cli->json ? out_json(cli, s.array) : out_end(cli);
}
