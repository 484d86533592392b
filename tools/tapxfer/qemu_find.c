// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the source QEMU has: NICs and netdevs over QMP, queue files from outside.
 *
 * QMP does not tell a netdev's options. What can be known of them:
 *
 *	info network (HMP)	netdevs, their queues; the descriptor of each
 *				queue, or the interface and its scripts
 *	qom-list, qom-get	the device, where it is plugged, its properties
 *	x-query-virtio-status	whether vhost serves it
 *	/proc/PID/fdinfo	which descriptors are queues of which interface
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu.h"

/* Whether the user wants that one: all, or those that --netdev names */
static bool wanted(const struct qemu *m, const char *id)
{
	const char *list = m->args->netdev;
	size_t len = strlen(id);

	if (!(m->args->given & KEY_NETDEV))
		return true;
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && !strncmp(list, id, n))
			return true;
		list += n + !!list[n];
	}
	return false;
}

static struct qemu_nic *nic_find(struct qemu *m, const char *id)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (!strcmp(nic->id, id))
			return nic;
	return NULL;
}

/* The value of "key=" in a comma list, up to @end's last character */
static bool list_value(const char *text, const char *key, char *value,
		       size_t size)
{
	const char *p = strstr(text, key);
	size_t len;

	if (!p)
		return false;
	p += strlen(key);
	len = strcspn(p, ",");
	if (len >= size)
		return false;
	memcpy(value, p, len);
	value[len] = '\0';
	return true;
}

/*
 * A line of "info network": NAME: index=N,type=tap,… of a queue, which comes in the
 * order of the queues. The rest is fd=N, helper=…, or ifname=…,script=…,downscript=…
 */
static int network_line(struct qemu *m, char *line)
{
	char value[QEMU_PATH_MAX], *rest;
	struct qemu_nic *nic;

	while (*line == ' ' || *line == '\\')
		line++;
	rest = strstr(line, ": index=");
	if (!rest || !strstr(rest, ",type=tap,"))
		return 0;
	*rest++ = '\0';
	/* of those that stay too: its end is that of the source's process; and
	 * what QEMU tells of an interface may be cut off before its end
	 */
	m->nqueues++;
	if (!list_value(rest, ",downscript=", value, sizeof(value)))
		m->script |= !!strstr(rest, ",ifname=");
	else
		m->script |= !!strcmp(value, "no");
	if (!wanted(m, line))
		return 0;

	nic = nic_find(m, line);
	if (!nic) {
		if (m->nnics == QEMU_NICS_MAX)
			return qemu_fail(m, "the source has more than %d taps",
					 QEMU_NICS_MAX);
		nic = &m->nics[m->nnics++];
		snprintf(nic->id, sizeof(nic->id), "%s", line);
	}
	nic->numbers = xrealloc(nic->numbers, nic->nqueues + 1,
				sizeof(*nic->numbers));
	nic->numbers[nic->nqueues] = -1;
	if (list_value(rest, ",fd=", value, sizeof(value)))
		nic->numbers[nic->nqueues] = atoi(value);
	nic->nqueues++;
	if (list_value(rest, ",ifname=", value, sizeof(value)))
		snprintf(nic->ifname, sizeof(nic->ifname), "%.15s", value);
	if (list_value(rest, ",downscript=", value, sizeof(value)) &&
	    strcmp(value, "no"))
		snprintf(nic->downscript, sizeof(nic->downscript), "%s", value);
	return 0;
}

static int netdevs_find(struct qemu *m)
{
	struct json_object *o;
	char *text, *line, *save;
	int ret = 0;

	if (qmp_call(&m->source, "human-monitor-command",
		     qmp_args("s", "command-line", "info network"), &o))
		return qemu_fail_qmp(m, &m->source);
	text = strdup(json_object_is_type(o, json_type_string) ?
		      json_object_get_string(o) : "");
	json_object_put(o);
	if (!text)
		return qemu_fail(m, "out of memory");
	for (line = strtok_r(text, "\r\n", &save); !ret && line;
	     line = strtok_r(NULL, "\r\n", &save))
		ret = network_line(m, line);
	free(text);
	if (ret)
		return ret;
	if (!m->nnics)
		return qemu_fail(m, "the source QEMU has no %s",
				 m->args->given & KEY_NETDEV ?
				 "such netdev of type tap; 'info network' in its monitor lists them" :
				 "netdev of type tap");
	return 0;
}

/* ------------------------------------------------------------------------ */

/* The device of a container whose netdev it is, if there is one */
static int devices_look(struct qemu *m, const char *container)
{
	char path[QEMU_PATH_MAX], id[64];
	struct json_object *list, *o;
	struct qemu_nic *nic;
	size_t i;

	if (qmp_call(&m->source, "qom-list",
		     qmp_args("s", "path", container), &list)) {
		/* no device has no id, or none has one */
		if (m->source.fd < 0)
			return qemu_fail_qmp(m, &m->source);
		return 0;
	}
	for (i = 0; i < qmp_length(list); i++) {
		o = qmp_item(list, i);
		if (strncmp(qmp_str(o, "type"), "child<", 6))
			continue;
		snprintf(path, sizeof(path), "%s/%s", container,
			 qmp_str(o, "name"));
		if (!qom_get_str(&m->source, path, "netdev", id, sizeof(id)))
			continue;
		nic = nic_find(m, id);
		if (nic)
			snprintf(nic->path, sizeof(nic->path), "%s", path);
	}
	json_object_put(list);
	return 0;
}

/* What qom-get tells of a PCI device's address is a number, and is taken as text. */
static struct json_object *address(int64_t devfn)
{
	char text[16];

	snprintf(text, sizeof(text), "%02x.%x", (unsigned int)(devfn >> 3 & 31),
		 (unsigned int)(devfn & 7));
	return json_object_new_string(text);
}

/*
 * A property as device_add has to get it, so that the target's device is as the
 * source's, whatever either's defaults are; NULL for one that it must not get.
 */
static struct json_object *property(const char *name, const char *type,
				    struct json_object *value)
{
	if (strchr(type, '<') || !value)
		return NULL;
	if (!strcmp(name, "addr"))
		return address(json_object_get_int64(value));
	/* set otherwise, and a bus's that newer ones tell but do not take */
	if (!strcmp(name, "netdev") || !strcmp(name, "busnr"))
		return NULL;
	if (json_object_is_type(value, json_type_array) && !qmp_length(value))
		return NULL;
	/* an empty name of a ROM says that there is none */
	if (json_object_is_type(value, json_type_string) &&
	    !json_object_get_string_len(value) && strcmp(name, "romfile"))
		return NULL;
	return json_object_get(value);
}

static int properties_get(struct qemu *m, struct qemu_nic *nic,
			  const char *driver)
{
	struct json_object *list, *o, *v, *taken;
	const char *name;
	size_t i;

	if (qmp_call(&m->source, "device-list-properties",
		     qmp_args("s", "typename", driver), &list))
		return qemu_fail_qmp(m, &m->source);
	for (i = 0; i < qmp_length(list); i++) {
		o = qmp_item(list, i);
		name = qmp_str(o, "name");
		v = qom_get(&m->source, nic->path, name);
		taken = property(name, qmp_str(o, "type"), v);
		if (taken)
			json_object_object_add(nic->device, name, taken);
		if (taken && json_object_equal(v, qmp_get(o, "default-value")))
			qmp_args_add(nic->defaults, "b", name, 1);
		json_object_put(v);
	}
	json_object_put(list);
	return m->source.fd < 0 ? qemu_fail_qmp(m, &m->source) : 0;
}

static int device_get(struct qemu *m, struct qemu_nic *nic)
{
	char driver[64], *bus;

	if (!*nic->path)
		return qemu_fail(m,
				 "netdev '%s' has no NIC that was made with -device or device_add, and no other can be made anew; --netdev names those that are to be moved",
				 nic->id);
	if (!qom_get_str(&m->source, nic->path, "type", driver,
			 sizeof(driver)) ||
	    !qom_get_str(&m->source, nic->path, "parent_bus", nic->bus_path,
			 sizeof(nic->bus_path)))
		return qemu_fail_qmp(m, &m->source);

	nic->defaults = json_object_new_object();
	nic->device = qmp_args("s", "driver", driver);
	if (!strncmp(nic->path, "/machine/peripheral/", 20))
		qmp_args_add(nic->device, "s", "id", nic->path + 20);
	bus = strrchr(nic->bus_path, '/');
	qmp_args_add(nic->device, "ss", "bus", bus ? bus + 1 : "",
		     "netdev", nic->id);
	return properties_get(m, nic, driver);
}

/* Of x-query-virtio-status 11.1 dies (visit_start_struct: Assertion), 10.0 does not. */
static bool may_ask(const struct qmp *q)
{
	int major = 0, minor = 0;

	return sscanf(q->version, "%d.%d", &major, &minor) == 2 &&
	       (major < 10 || (major == 10 && !minor));
}

/* 1 when vhost serves it, as far as the device tells; 0, or a negative errno */
int qemu_vhost_started(struct qemu *m, const struct qemu_nic *nic)
{
	char path[QEMU_PATH_MAX + 16];
	struct json_object *o;
	int err;

	if (!may_ask(&m->source))
		return 0;
	snprintf(path, sizeof(path), "%s/virtio-backend", nic->path);
	err = qmp_call(&m->source, "x-query-virtio-status",
		       qmp_args("s", "path", path), &o);
	if (!err)
		err = qmp_bool(o, "vhost-started");
	json_object_put(o);
	return err;
}

static void vhost_count(pid_t pid, const char *comm, int fd, void *data)
{
	(void)pid;
	(void)comm;
	(void)fd;
	++*(size_t *)data;
}

/*
 * Which netdevs have vhost. One whose guest does not drive it, or whose VM is paused,
 * does not say so; but QEMU has vhost's files: one a queue, for all taps, for none, or
 * for those that it serves.
 */
static void vhost_find(struct qemu *m)
{
	size_t files = 0, served = 0;
	struct qemu_nic *nic;
	bool all = true;

	look_at(m->source.pid, LOOK_VHOST, vhost_count, &files);
	for_each_nic(nic, m) {
		nic->vhost_known = qemu_vhost_started(m, nic) > 0;
		nic->vhost = nic->vhost_known;
		if (nic->vhost)
			served += nic->nqueues;
		all &= nic->vhost;
	}
	if (files == m->nqueues)
		for_each_nic(nic, m)
			nic->vhost = true;
	else
		m->vhost_unclear = files != served && !all;
}

/* ------------------------------------------------------------------------ */

/* Which of the files has that number in the source? */
static int file_of(const struct tapxfer_queues *queues, int number)
{
	size_t i;

	for (i = 0; i < tapxfer_queues_count(queues); i++)
		if (tapxfer_queues_numbers(queues)[i] == number)
			return (int)i;
	return -1;
}

struct name_search {
	struct qemu *m;
	struct qemu_nic *nic;
	unsigned int found;
};

/*
 * The interface of a queue whose number QEMU tells. Of a netdev made with a helper it
 * tells neither, and the source has one tap alone, or it must be named in a plan.
 */
static int name_by_file(const char *ifname, void *data)
{
	struct name_search *s = data;
	struct tapxfer_queues *queues;
	bool is;

	if (tapxfer_queues_open(s->m->cli->tx, s->m->source.pid, ifname,
				&queues))
		return 0;
	is = tapxfer_queues_count(queues) &&
	     (s->nic->numbers[0] < 0 ||
	      file_of(queues, s->nic->numbers[0]) >= 0);
	tapxfer_queues_close(queues);
	if (is) {
		s->found++;
		snprintf(s->nic->ifname, sizeof(s->nic->ifname), "%.15s",
			 ifname);
	}
	return 0;
}

static int name_find(struct qemu *m, struct qemu_nic *nic)
{
	struct name_search s = { m, nic, 0 };
	int err;

	if (*nic->ifname)
		return 0;
	if (nic->numbers[0] < 0 && *qemu_plan_ifname(m, nic)) {
		snprintf(nic->ifname, sizeof(nic->ifname), "%.15s",
			 qemu_plan_ifname(m, nic));
		return 0;
	}
	err = tapxfer_process_devices(m->cli->tx, m->source.pid, name_by_file,
				      &s);
	if (err)
		return qemu_fail_call(m, nic);
	if (s.found == 1)
		return 0;
	*nic->ifname = '\0';
	return qemu_fail(m,
			 "%s netdev '%s' has: the source's process (%d) has %s; name the interface in a --plan",
			 "cannot tell which interface", nic->id,
			 (int)m->source.pid,
			 s.found ? "queues of several" :
				   "no queue of one in this network namespace");
}

/*
 * The source's queue files in the order of the queues: duplicates, to be closed with
 * @queues. @fds has room for nic->nqueues.
 */
int qemu_files(struct qemu *m, struct qemu_nic *nic,
	       struct tapxfer_queues **queues, int *fds)
{
	size_t i, n;
	int file;

	if (tapxfer_queues_open(m->cli->tx, m->source.pid, nic->ifname, queues))
		return qemu_fail_call(m, nic);
	n = tapxfer_queues_count(*queues);
	if (n != nic->nqueues) {
		tapxfer_queues_close(*queues);
		return qemu_fail(m,
				 "netdev '%s' has %zu queues, and process %d has %zu files of %s",
				 nic->id, nic->nqueues, (int)m->source.pid, n,
				 nic->ifname);
	}
	for (i = 0; i < n; i++) {
		/* no getter tells the order, but they were opened in it */
		if (nic->numbers[i] < 0)
			nic->numbers[i] = tapxfer_queues_numbers(*queues)[i];
		file = file_of(*queues, nic->numbers[i]);
		if (file < 0) {
			tapxfer_queues_close(*queues);
			return qemu_fail(m,
					 "descriptor %d of process %d is no queue of %s",
					 nic->numbers[i], (int)m->source.pid,
					 nic->ifname);
		}
		fds[i] = tapxfer_queues_fds(*queues)[file];
	}
	return 0;
}

/* The settings that netdev_add takes and the kernel knows */
static int netdev_make(struct qemu *m, struct qemu_nic *nic, int fd)
{
	struct tapxfer_info *dev;
	int32_t sndbuf;

	nic->netdev = qmp_args("ss", "type", "tap", "id", nic->id);
	if (nic->vhost)
		qmp_args_add(nic->netdev, "b", "vhost", 1);
	if (tapxfer_dev_get(m->cli->tx, nic->ifindex, fd, &dev))
		return qemu_fail_call(m, nic);
	/* QEMU takes the largest there is when none is named */
	sndbuf = tapxfer_info_s32(dev, TAPXFER_A_DEV_SNDBUF);
	if (sndbuf > 0 && sndbuf != INT32_MAX)
		qmp_args_add(nic->netdev, "i", "sndbuf", (int64_t)sndbuf);
	tapxfer_info_free(dev);
	return 0;
}

static int nic_get(struct qemu *m, struct qemu_nic *nic)
{
	struct tapxfer_queues *queues;
	int *fds, ret;

	ret = device_get(m, nic);
	if (!ret)
		ret = name_find(m, nic);
	if (ret)
		return ret;
	ret = tapxfer_ifindex(m->cli->tx, nic->ifname);
	if (ret < 0)
		return qemu_fail_call(m, nic);
	nic->ifindex = (unsigned int)ret;

	fds = xrealloc(NULL, nic->nqueues, sizeof(*fds));
	ret = qemu_files(m, nic, &queues, fds);
	if (!ret) {
		ret = netdev_make(m, nic, fds[0]);
		tapxfer_queues_close(queues);
	}
	free(fds);
	return ret;
}

int qemu_find(struct qemu *m)
{
	struct qemu_nic *nic;
	int ret;

	ret = netdevs_find(m);
	if (!ret)
		ret = devices_look(m, "/machine/peripheral");
	if (!ret)
		ret = devices_look(m, "/machine/peripheral-anon");
	if (!ret)
		vhost_find(m);
	for_each_nic(nic, m)
		if (!ret)
			ret = nic_get(m, nic);
	return ret;
}
