// SPDX-License-Identifier: GPL-2.0-or-later
/* From the words to the device and its files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

struct devices {
	struct cli *cli;
	unsigned int count;
	char first[16];
	char names[256];
};

/* Devices of this network namespace: a name from elsewhere is of no use. */
static int device_add(const char *ifname, void *data)
{
	struct devices *d = data;
	size_t len = strlen(d->names);

	if (tapxfer_ifindex(d->cli->tx, ifname) < 0)
		return 0;
	if (!d->count++)
		snprintf(d->first, sizeof(d->first), "%.15s", ifname);
	snprintf(d->names + len, sizeof(d->names) - len, "%s%s",
		 len ? ", " : "", ifname);
	return 0;
}

/* A process that has queues of one device alone need not be told which. */
static int device_of(struct cli *cli, pid_t pid, char *ifname, size_t size)
{
	struct devices d = { .cli = cli };
	int err;

	err = tapxfer_process_devices(cli->tx, pid, device_add, &d);
	if (err)
		return fail_call(cli, err);
	if (!d.count)
		return fail(cli,
			    "process %d has no queue of a device in this network namespace; name the device, or enter another with -n",
			    (int)pid);
	if (d.count > 1)
		return fail_usage(cli,
				  "process %d has queues of %s: name the device",
				  (int)pid, d.names);
	snprintf(ifname, size, "%s", d.first);
	return 0;
}

/* The device alone. */
int source_dev(struct cli *cli, const struct args *args, struct source *source)
{
	int ret;

	memset(source, 0, sizeof(*source));
	source->pid = args->pid;

	if (args->given & KEY_DEV) {
		ret = tapxfer_ifindex(cli->tx, args->dev);
		if (ret < 0)
			return fail_call(cli, ret);
		snprintf(source->ifname, sizeof(source->ifname), "%s",
			 args->dev);
	} else if (args->given & KEY_PID) {
		ret = device_of(cli, args->pid, source->ifname,
				sizeof(source->ifname));
		if (ret)
			return ret;
		ret = tapxfer_ifindex(cli->tx, source->ifname);
		if (ret < 0)
			return fail_call(cli, ret);
	} else {
		return 0;
	}
	source->ifindex = (unsigned int)ret;
	return 0;
}

int source_get(struct cli *cli, const struct args *args, struct source *source)
{
	int ret;

	ret = source_dev(cli, args, source);
	if (ret)
		return ret;

	if (args->given & KEY_FDS) {
		source->fds = args->fds;
		source->nfds = args->nfds;
		return 0;
	}

	ret = tapxfer_queues_open(cli->tx, args->pid, source->ifname,
				  &source->queues);
	if (ret)
		return fail_call(cli, ret);
	source->fds = tapxfer_queues_fds(source->queues);
	source->nfds = tapxfer_queues_count(source->queues);
	if (source->nfds)
		return 0;
	source_free(source);
	return fail(cli,
		    "process %d has no queue file of %s; 'tapxfer check %s' shows who has",
		    (int)args->pid, source->ifname, source->ifname);
}

void source_free(struct source *source)
{
	tapxfer_queues_close(source->queues);
	source->queues = NULL;
	source->fds = NULL;
	source->nfds = 0;
}
