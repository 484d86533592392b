// SPDX-License-Identifier: GPL-2.0-or-later
/* import: a state from a file or a descriptor, against a device */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* What was found otherwise */
struct found {
	struct json_object *array;	/* with -j */
	unsigned int differ;		/* that --apply would set */
	unsigned int link;		/* of these, rtnetlink's */
	char fixed[64];			/* the first that nothing can set */
	struct link_settings want;
};

static int load(struct cli *cli, const struct args *args,
		struct tapxfer_stream *stream)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	int err;

	if (args->given & KEY_IN_FD)
		pfd.fd = args->in_fd;
	if (args->given & KEY_IN) {
		pfd.fd = open(args->in, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (pfd.fd < 0)
			return fail(cli, "cannot read the state from '%s': %m",
				    args->in);
	}
	while ((err = tapxfer_state_load(stream, pfd.fd)) == -EAGAIN)
		poll(&pfd, 1, -1);
	if (args->given & KEY_IN)
		close(pfd.fd);
	if (!err)
		err = tapxfer_state_check(stream);
	return err ? fail_call(cli, err) : 0;
}

/* ---- the differences ---- */

static const struct attr *attr_of(const struct tapxfer_difference *d)
{
	const struct attr *attr = d->queue < 0 ? dev_attrs : queue_attrs;

	while (attr->key && attr->id != d->attr)
		attr++;
	return attr->key ? attr : NULL;
}

static const char *kind_name(uint32_t kind)
{
	static const char * const names[] = {
		[TAPXFER_DIFFERENCE_FILE] = "file",
		[TAPXFER_DIFFERENCE_LINK] = "link",
		[TAPXFER_DIFFERENCE_FIXED] = "fixed",
		[TAPXFER_DIFFERENCE_TOLD] = "told",
	};

	return kind < ARRAY_SIZE(names) && names[kind] ? names[kind] : "other";
}

static void add_value(struct json_object *o, const char *key,
		      const struct tapxfer_info *info, const struct attr *attr)
{
	const struct attr one[] = { *attr, { 0 } };
	struct json_object *object = out_object(info, one), *value;

	if (json_object_object_get_ex(object, attr->key, &value))
		json_object_object_add(o, key, json_object_get(value));
	json_object_put(object);
}

static struct json_object *object_of(const struct tapxfer_difference *d,
				     const struct attr *attr)
{
	struct json_object *o = json_object_new_object();

	if (d->queue >= 0)
		json_object_object_add(o, "queue",
				       json_object_new_int(d->queue));
	json_object_object_add(o, "attribute", json_object_new_string(attr->key));
	json_object_object_add(o, "kind",
			       json_object_new_string(kind_name(d->kind)));
	add_value(o, "saved", d->saved, attr);
	add_value(o, "live", d->live, attr);
	return o;
}

static void print(const struct tapxfer_difference *d, const struct attr *attr)
{
	char saved[256] = "none", live[256] = "none", key[64];

	if (tapxfer_info_has(d->saved, d->attr))
		out_value(d->saved, attr, saved, sizeof(saved));
	if (tapxfer_info_has(d->live, d->attr))
		out_value(d->live, attr, live, sizeof(live));
	if (d->queue < 0)
		snprintf(key, sizeof(key), "%s", attr->key);
	else
		snprintf(key, sizeof(key), "%s (queue %d)", attr->key,
			 d->queue);
	out_line(key, "%s, the device has %s%s", saved, live,
		 d->kind == TAPXFER_DIFFERENCE_FIXED ? ": nothing can set it" :
		 d->kind == TAPXFER_DIFFERENCE_TOLD ? " (need not agree)" : "");
}

static int found_one(const struct tapxfer_difference *d, void *data)
{
	const struct attr *attr = attr_of(d);
	struct found *found = data;

	if (attr && found->array)
		json_object_array_add(found->array, object_of(d, attr));
	else if (attr)
		print(d, attr);
	if (d->kind == TAPXFER_DIFFERENCE_TOLD)
		return 0;
	found->differ++;
	if (d->kind == TAPXFER_DIFFERENCE_FIXED && !*found->fixed)
		snprintf(found->fixed, sizeof(found->fixed), "%s", d->name);
	if (d->kind != TAPXFER_DIFFERENCE_LINK)
		return 0;
	found->link++;
	switch (d->attr) {
	case TAPXFER_A_DEV_MTU:
		found->want.set |= LINK_MTU;
		found->want.mtu = (unsigned int)
			tapxfer_info_u64(d->saved, d->attr);
		break;
	case TAPXFER_A_DEV_TX_QUEUE_LEN:
		found->want.set |= LINK_TXQLEN;
		found->want.txqlen = (unsigned int)
			tapxfer_info_u64(d->saved, d->attr);
		break;
	case TAPXFER_A_DEV_MAC:
		found->want.set |= LINK_MAC;
		found->want.mac = tapxfer_info_bin(d->saved, d->attr,
						   &found->want.mac_len);
		break;
	}
	return 0;
}

/* ---- what to do ---- */

/* Those that a claim's command has inherited */
static int fds_inherited(struct cli *cli, struct args *args)
{
	const char *list = getenv("TAPXFER_FDS");
	char *text, *p;
	bool good;

	if (args->given & (KEY_FDS | KEY_PID) || !list)
		return 0;
	text = strdup(list);
	if (!text)
		return fail(cli, "out of memory");
	for (p = text; *p; p++)
		if (*p == ':')
			*p = ',';
	good = parse_fds(text, &args->fds, &args->nfds);
	free(text);
	if (!good)
		return fail(cli, "TAPXFER_FDS is no list of descriptors: '%.64s'",
			    list);
	args->given |= KEY_FDS;
	return 0;
}

static int source_find(struct cli *cli, struct args *args,
		       const struct tapxfer_info *state, struct source *source)
{
	const struct tapxfer_info *dev =
		tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);

	if (!(args->given & (KEY_DEV | KEY_PID | KEY_FDS))) {
		/* that of the state's name */
		args->dev = tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME);
		args->given |= KEY_DEV;
	}
	return args->given & (KEY_PID | KEY_FDS) ?
	       source_get(cli, args, source) : source_dev(cli, args, source);
}

/*
 * The link's settings first, for they can be taken back: what files set comes
 * all or not at all.
 */
static int apply(struct cli *cli, struct tapxfer_stream *stream,
		 const struct source *source, const struct found *found)
{
	struct link_settings had = { 0 };
	unsigned int ifindex = source->ifindex;
	struct link_facts facts;
	struct tapxfer_info *dev;
	const char *what;
	int err;

	if (!source->nfds)
		return fail_usage(cli,
				  "whose queue files shall set it? Give --fds N,N,... or --pid PID");
	if (*found->fixed)
		return fail(cli,
			    "the %s is not the state's, and nothing can set it: make the device as the state's was",
			    found->fixed);
	if (found->link) {
		err = tapxfer_dev_get(cli->tx, ifindex,
				      ifindex ? -1 : source->fds[0], &dev);
		if (err)
			return fail_call(cli, err);
		ifindex = (unsigned int)tapxfer_info_u64(dev,
						TAPXFER_A_DEV_IFINDEX);
		tapxfer_info_free(dev);
		link_get(ifindex, &facts);
		if (!facts.known || facts.up)
			return fail(cli,
				    "the link's mtu, address or queue length is not the state's, and the link is up: set it down, or set these before the handover");
		err = link_set(ifindex, &found->want, &had, &what);
		if (err) {
			errno = -err;
			return fail(cli,
				    "cannot set the link's %s: %m; nothing was changed",
				    what);
		}
	}
	err = tapxfer_state_apply(stream, source->ifindex, source->fds,
				  source->nfds);
	if (!err)
		return 0;
	fail_call_fds(cli, err, source->pid, source->queues);
	if (found->link)
		link_set(ifindex, &had, NULL, &what);
	return EXIT_KERNEL;
}

static int out_found(const struct cli *cli, const struct tapxfer_info *state,
		     const struct found *found, bool applied)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "state", out_state(state));
	json_object_object_add(o, "differences", found->array);
	json_object_object_add(o, "applied", json_object_new_boolean(applied));
	return out_json(cli, o);
}

static int compare(struct cli *cli, const struct args *args,
		   struct tapxfer_stream *stream, const struct source *source)
{
	struct found found = { 0 };
	int ret, told;

	if (cli->json)
		found.array = json_object_new_array();
	else
		printf("state of handover %llu, against %s\n",
		       (unsigned long long)
		       tapxfer_info_u64(tapxfer_state_info(stream),
					TAPXFER_A_HANDOVER_ID),
		       *source->ifname ? source->ifname : "the files' device");
	ret = tapxfer_state_compare(stream, source->ifindex, source->fds,
				    source->nfds, found_one, &found);
	if (ret)
		ret = fail_call_fds(cli, ret, source->pid, source->queues);
	else if (args->given & KEY_APPLY)
		ret = apply(cli, stream, source, &found);
	else if (found.differ)
		ret = fail(cli,
			   "the device is not what the state says, in %u settings; --apply sets those that can be set",
			   found.differ);
	told = cli->json ? out_found(cli, tapxfer_state_info(stream), &found,
				     args->given & KEY_APPLY && !ret) :
			   out_end(cli);
	return ret ? ret : told;
}

/* Only what it says: no device is looked at. */
static int show(struct cli *cli, const struct tapxfer_info *state)
{
	const struct tapxfer_info *dev;

	if (cli->json)
		return out_json(cli, out_state(state));
	out_lines(state, state_attrs);
	out_lines(state, handover_attrs);
	dev = tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);
	puts("device");
	out_lines(dev, dev_attrs);
	puts("queues");
	out_queues(state);
	return out_end(cli);
}

static int run(struct cli *cli, struct args *args,
	       struct tapxfer_stream *stream)
{
	struct source source = { 0 };
	int ret;

	ret = load(cli, args, stream);
	if (ret)
		return ret;
	if (args->given & KEY_SHOW)
		return show(cli, tapxfer_state_info(stream));
	if (args->given & KEY_APPLY)
		ret = fds_inherited(cli, args);
	if (!ret)
		ret = source_find(cli, args, tapxfer_state_info(stream),
				  &source);
	if (!ret)
		ret = compare(cli, args, stream, &source);
	source_free(&source);
	return ret;
}

int cmd_import(struct cli *cli, struct args *args)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = args->given & KEY_TAKES ? TAPXFER_STATE_OPT_TAKES : 0,
		.takes = args->takes,
	};
	struct tapxfer_stream *stream;
	int ret;

	if (args->given & KEY_SHOW && args->given & (KEY_APPLY | KEY_DEV |
						     KEY_PID | KEY_FDS))
		return fail_usage(cli,
				  "--show reads the state alone: it goes with no device");
	if (args->given & KEY_EXEC && (!(args->given & KEY_APPLY) ||
				       !args->exec[0]))
		return fail_usage(cli,
				  "-- CMD ARGS goes with --apply, and is run when that is done");
	ret = cli_open(cli);
	if (ret)
		return ret;
	ret = tapxfer_state_open(cli->tx, 0, TAPXFER_DIRECTION_LOAD,
				 TAPXFER_PHASE_STOPPED, &opts, &stream);
	if (ret)
		return fail_call(cli, ret);
	ret = run(cli, args, stream);
	tapxfer_state_close(stream);
	if (!ret && args->given & KEY_EXEC)
		ret = become(cli, args->exec, "");
	return ret;
}
