// SPDX-License-Identifier: GPL-2.0-or-later
/* What would stop it: asked before anything is touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "qemu.h"

#define FEATURES	(TAPXFER_FEATURE_HOLD | TAPXFER_FEATURE_CLAIM | \
			 TAPXFER_FEATURE_SHADOW | TAPXFER_FEATURE_READY | \
			 TAPXFER_FEATURE_PASS | TAPXFER_FEATURE_EXCLUSIVE)

static int check_module(struct qemu *m)
{
	struct tapxfer_info *caps;
	uint64_t features;

	if (tapxfer_caps(m->cli->tx, &caps))
		return qemu_fail_call(m, NULL);
	features = tapxfer_info_u64(caps, TAPXFER_A_CAP_FEATURES);
	tapxfer_info_free(caps);
	if ((features & FEATURES) != FEATURES)
		return qemu_fail(m,
				 "the tapxfer module that is loaded is too old for this");
	return 0;
}

/* A target that waits at an address of its own cannot be told another. */
static int check_defer(struct qemu *m)
{
	char path[64], *args = NULL, *arg;
	size_t size = 0, len;
	bool fit = true;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)m->target.pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* one argument each; a name is followed by its value */
	while (getdelim(&args, &size, '\0', f) > 0) {
		arg = args + (args[0] == '-' && args[1] == '-');
		if (strcmp(arg, "-incoming"))
			continue;
		len = getdelim(&args, &size, '\0', f) > 0;
		fit = len && !strcmp(args, "defer");
	}
	free(args);
	fclose(f);
	return fit ? 0 : qemu_fail(m,
				   "the target waits for a migration elsewhere: start it with -incoming defer");
}

static int check_states(struct qemu *m)
{
	struct json_object *o;
	bool fit;

	if (qmp_call(&m->source, "query-status", NULL, &o))
		return qemu_fail_qmp(m, &m->source);
	m->was_running = !strcmp(qmp_str(o, "status"), "running");
	fit = m->was_running || !strcmp(qmp_str(o, "status"), "paused");
	if (!strcmp(qmp_str(o, "status"), "postmigrate"))
		qemu_fail(m,
			  "the source is paused after a migration ('postmigrate'): it takes a 'cont' before the next one");
	else if (!fit)
		qemu_fail(m, "the source is '%s': it has to run, or be paused",
			  qmp_str(o, "status"));
	json_object_put(o);
	if (!fit)
		return EXIT_KERNEL;

	if (qmp_call(&m->target, "query-status", NULL, &o))
		return qemu_fail_qmp(m, &m->target);
	fit = !strcmp(qmp_str(o, "status"), "inmigrate");
	if (!fit)
		qemu_fail(m,
			  "the target is '%s': start it with -incoming defer",
			  qmp_str(o, "status"));
	json_object_put(o);
	return fit ? check_defer(m) : EXIT_KERNEL;
}

static int check_machine(struct qemu *m)
{
	char source[128], target[128];

	if (!qom_get_str(&m->source, "/machine", "type", source,
			 sizeof(source)))
		return qemu_fail_qmp(m, &m->source);
	if (!qom_get_str(&m->target, "/machine", "type", target,
			 sizeof(target)))
		return qemu_fail_qmp(m, &m->target);
	if (strcmp(source, target))
		return qemu_fail(m,
				 "the source is a %s and the target a %s: start it with the same -machine",
				 source, target);
	return 0;
}

/* ------------------------------------------------------------------------ */

static bool schema_has(struct json_object *schema, const char *command)
{
	size_t i;

	for (i = 0; i < qmp_length(schema); i++) {
		struct json_object *o = qmp_item(schema, i);

		if (!strcmp(qmp_str(o, "name"), command) &&
		    !strcmp(qmp_str(o, "meta-type"), "command"))
			return true;
	}
	return false;
}

static int check_commands(struct qemu *m, struct qmp *q,
			  const char *const *wanted)
{
	struct json_object *schema;
	const char *lacks = NULL;

	if (qmp_call(q, "query-qmp-schema", NULL, &schema))
		return qemu_fail_qmp(m, q);
	for (; *wanted && !lacks; wanted++)
		if (!schema_has(schema, *wanted))
			lacks = *wanted;
	json_object_put(schema);
	if (lacks)
		return qemu_fail(m, "the %s QEMU (%s) has no command %s",
				 q->who, q->version, lacks);
	return 0;
}

static int check_features(struct qemu *m)
{
	static const char *const source[] = {
		"stop", "cont", "quit", "getfd", "migrate", "migrate_cancel",
		"query-migrate", "migrate-set-capabilities", "closefd", NULL,
	};
	static const char *const target[] = {
		"getfd", "netdev_add", "device_add", "migrate-incoming",
		"migrate-set-capabilities", "query-status", "cont", "quit",
		NULL,
	};
	int ret;

	ret = check_commands(m, &m->source, source);
	if (!ret)
		ret = check_commands(m, &m->target, target);
	if (!ret)
		ret = qemu_check_caps(m, &m->source);
	return ret ? ret : qemu_check_caps(m, &m->target);
}

/* What QEMU itself knows to stand in the way of a migration */
static int check_blockers(struct qemu *m)
{
	struct json_object *o, *reasons;
	int ret = 0;

	if (qmp_call(&m->source, "query-migrate", NULL, &o))
		return qemu_fail_qmp(m, &m->source);
	reasons = qmp_get(o, "blocked-reasons");
	if (qmp_length(reasons))
		ret = qemu_fail(m, "the source cannot be migrated: %s",
				json_object_get_string(qmp_item(reasons, 0)));
	json_object_put(o);
	return ret;
}

/* ------------------------------------------------------------------------ */

/* A file that is mapped shared, and how much of it */
struct mapped {
	dev_t dev;
	uint64_t ino;
	uint64_t size;
};

struct maps {
	struct mapped *files;
	size_t n;
};

static void maps_add(struct maps *maps, dev_t dev, uint64_t ino, uint64_t size)
{
	size_t i;

	for (i = 0; i < maps->n; i++)
		if (maps->files[i].dev == dev && maps->files[i].ino == ino) {
			maps->files[i].size += size;
			return;
		}
	maps->files = xrealloc(maps->files, maps->n + 1, sizeof(*maps->files));
	maps->files[maps->n++] = (struct mapped){ dev, ino, size };
}

static int maps_read(struct qemu *m, const struct qmp *q, struct maps *maps)
{
	unsigned long long from, to, ino;
	unsigned int major_nr, minor_nr;
	char path[64], line[512], mode[8];
	FILE *f;

	memset(maps, 0, sizeof(*maps));
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)q->pid);
	f = fopen(path, "re");
	if (!f)
		return qemu_fail(m,
				 "may not look into the %s QEMU (process %d): %m; it takes the same user, or CAP_SYS_PTRACE",
				 q->who, (int)q->pid);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %7s %*x %x:%x %llu", &from, &to,
			   mode, &major_nr, &minor_nr, &ino) == 6 &&
		    mode[3] == 's' && ino)
			maps_add(maps, makedev(major_nr, minor_nr), ino,
				 to - from);
	fclose(f);
	return 0;
}

/* Is there a file of at least that size that both have mapped? */
static bool maps_share(const struct maps *a, const struct maps *b,
		       uint64_t size)
{
	size_t i, j;

	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++)
			if (a->files[i].dev == b->files[j].dev &&
			    a->files[i].ino == b->files[j].ino &&
			    a->files[i].size >= size &&
			    b->files[j].size >= size)
				return true;
	return false;
}

static int check_backend(struct qemu *m, struct json_object *backend,
			 const struct maps *source, const struct maps *target)
{
	const char *id = qmp_str(backend, "id");

	if (!qmp_bool(backend, "share"))
		return qemu_fail(m,
				 "the source's memory '%s' is its own: start both QEMUs with -object memory-backend-file,share=on of one mem-path",
				 id);
	if (!maps_share(source, target, (uint64_t)qmp_int(backend, "size")))
		return qemu_fail(m,
				 "the target has not mapped the file of the source's memory '%s': start it with the same mem-path",
				 id);
	return 0;
}

static int check_memory(struct qemu *m)
{
	struct json_object *list;
	struct maps source, target;
	int ret;
	size_t i;

	ret = maps_read(m, &m->source, &source);
	if (ret)
		return ret;
	ret = maps_read(m, &m->target, &target);
	if (!ret && qmp_call(&m->source, "query-memdev", NULL, &list))
		ret = qemu_fail_qmp(m, &m->source);
	if (!ret) {
		if (!qmp_length(list))
			ret = qemu_fail(m,
					"the source's memory is its own: start both QEMUs with -object memory-backend-file,share=on of one mem-path");
		for (i = 0; !ret && i < qmp_length(list); i++)
			ret = check_backend(m, qmp_item(list, i), &source,
					    &target);
		json_object_put(list);
	}
	free(source.files);
	free(target.files);
	return ret;
}

/* ------------------------------------------------------------------------ */

static bool has_child(struct qmp *q, const char *container, const char *name)
{
	struct json_object *list;
	bool found = false;
	size_t i;

	if (qmp_call(q, "qom-list", qmp_args("s", "path", container), &list))
		return false;
	for (i = 0; i < qmp_length(list); i++)
		found |= !strcmp(qmp_str(qmp_item(list, i), "name"), name);
	json_object_put(list);
	return found;
}

/* A line of "info network" begins with its name. */
static bool has_netdev(struct qmp *q, const char *id)
{
	struct json_object *o;
	const char *text, *at;
	size_t len = strlen(id);
	bool found = false;

	if (qmp_call(q, "human-monitor-command",
		     qmp_args("s", "command-line", "info network"), &o))
		return false;
	text = json_object_is_type(o, json_type_string) ?
	       json_object_get_string(o) : "";
	for (at = strstr(text, id); at && !found; at = strstr(at + 1, id))
		found = (at == text || strchr("\n\r \\", at[-1])) &&
			!strncmp(at + len, ": index=", 8);
	json_object_put(o);
	return found;
}

/*
 * Of PCI Express only a port can be plugged into, and not the root complex itself, nor
 * an expander's; and a port may be told that it cannot.
 */
static int check_bus(struct qemu *m, const struct qemu_nic *nic)
{
	const char *bus = qmp_str(nic->device, "bus");
	char type[64], port[QEMU_PATH_MAX];
	struct json_object *v;
	bool fixed;

	if (!qom_get_str(&m->source, nic->bus_path, "type", type, sizeof(type)))
		return qemu_fail_qmp(m, &m->source);
	fixed = !strncmp(type, "pxb-pcie", 8) ||
		(!strcmp(type, "PCIE") &&
		 strncmp(nic->bus_path, "/machine/peripheral", 19));
	if (!fixed && !strcmp(type, "PCIE")) {
		snprintf(port, sizeof(port), "%.*s",
			 (int)(strrchr(nic->bus_path, '/') - nic->bus_path),
			 nic->bus_path);
		v = qom_get(&m->source, port, "hotplug");
		fixed = v && !json_object_get_boolean(v);
		json_object_put(v);
	}
	if (fixed)
		return qemu_fail(m,
				 "the NIC of netdev '%s' is on bus '%s', which takes no device while QEMU runs: put it behind a pcie-root-port",
				 nic->id, bus);
	if (!strncmp(nic->bus_path, "/machine/peripheral/", 20) &&
	    !qom_get_str(&m->target, nic->bus_path, "type", type, sizeof(type)))
		return qemu_fail(m,
				 "the target has no bus '%s' for the NIC of netdev '%s': start it with the same devices, less the NICs",
				 bus, nic->id);
	return 0;
}

/* A property in the type that the target has it in, which may be a newer QEMU */
static struct json_object *converted(struct json_object *value,
				     const char *type)
{
	bool on;

	if (json_object_is_type(value, json_type_boolean) &&
	    !strcmp(type, "OnOffAuto")) {
		on = json_object_get_boolean(value);
		return json_object_new_string(on ? "on" : "off");
	}
	if (json_object_is_type(value, json_type_string) &&
	    !strcmp(type, "bool"))
		return json_object_new_boolean(!strcmp(json_object_get_string(value),
						       "on"));
	return json_object_get(value);
}

/*
 * What the target does not know, and the source has not been told, is a newer or an
 * older QEMU's: it is left out.
 */
static int check_properties(struct qemu *m, struct qemu_nic *nic)
{
	const char *driver = qmp_str(nic->device, "driver"), *lacks = NULL;
	struct json_object *list, *known, *device;
	size_t i;

	if (qmp_call(&m->target, "device-list-properties",
		     qmp_args("s", "typename", driver), &list))
		return qemu_fail_qmp(m, &m->target);
	known = qmp_args("bbb", "driver", 1, "id", 1, "bus", 1);
	for (i = 0; i < qmp_length(list); i++)
		qmp_args_add(known, "s", qmp_str(qmp_item(list, i), "name"),
			     qmp_str(qmp_item(list, i), "type"));
	json_object_put(list);

	device = json_object_new_object();
	json_object_object_foreach(nic->device, key, value) {
		if (qmp_get(known, key))
			json_object_object_add(device, key,
					       converted(value,
							 qmp_str(known, key)));
		else if (!qmp_get(nic->defaults, key))
			lacks = key;
	}
	json_object_put(known);
	if (lacks)
		qemu_fail(m,
			  "the target QEMU (%s) knows no property '%s' of %s: leave it out in a --plan",
			  m->target.version, lacks, driver);
	json_object_put(nic->device);
	nic->device = device;
	return lacks ? EXIT_KERNEL : 0;
}

static int check_nic(struct qemu *m, struct qemu_nic *nic)
{
	const char *id = qmp_str(nic->device, "id");
	int ret;

	ret = check_bus(m, nic);
	if (ret)
		return ret;
	if (*id && has_child(&m->target, "/machine/peripheral", id))
		return qemu_fail(m,
				 "the target has a device '%s' already: start it without the NIC, which is added",
				 id);
	if (has_netdev(&m->target, nic->id))
		return qemu_fail(m,
				 "the target has a netdev '%s' already: start it without, it is added",
				 nic->id);
	return check_properties(m, nic);
}

/* ------------------------------------------------------------------------ */

struct others {
	pid_t ours;
	pid_t pid;
	int fd;
};

static int other(const struct tapxfer_holder *holder, void *data)
{
	struct others *o = data;

	if (holder->pid == o->ours || holder->pid == getpid())
		return 0;
	o->pid = holder->pid;
	o->fd = holder->fd;
	return 1;
}

/* Who has a queue file besides that process, and this one; @pid 0: nobody is seen. */
int qemu_others(struct qemu *m, const struct qemu_nic *nic, pid_t ours,
		pid_t *pid, int *fd)
{
	struct others o = { ours, 0, -1 };
	int err;

	err = tapxfer_holders(m->cli->tx, nic->ifname, other, &o, NULL);
	*pid = o.pid;
	*fd = o.fd;
	return err < 0 ? err : 0;
}

/* Whoever it is would stand in the thaw's way. */
static int check_holders(struct qemu *m, const struct qemu_nic *nic)
{
	pid_t pid;
	int fd;

	if (m->args->given & KEY_SHARED)
		return 0;
	if (qemu_others(m, nic, m->source.pid, &pid, &fd))
		return qemu_fail_call(m, nic);
	if (pid)
		return qemu_fail(m,
				 "process %d has a queue of %s too (descriptor %d): it has to close it, or say --shared",
				 (int)pid, nic->ifname, fd);
	return 0;
}

static void see_uring(pid_t pid, const char *comm, int fd, void *data)
{
	(void)pid;
	(void)comm;
	(void)fd;
	*(bool *)data = true;
}

/*
 * A guest that uses fewer queue pairs than there are has the first ones. In an order
 * that has a detached queue before an attached one something is wrong.
 */
static int check_order(struct qemu *m, struct qemu_nic *nic)
{
	struct tapxfer_queues *queues;
	bool detached = false;
	struct ifreq ifr;
	int *fds, ret;
	size_t i;

	fds = xrealloc(NULL, nic->nqueues, sizeof(*fds));
	ret = qemu_files(m, nic, &queues, fds);
	if (ret) {
		free(fds);
		return ret;
	}
	for (i = 0; !ret && i < nic->nqueues; i++) {
		if (ioctl(fds[i], TUNGETIFF, &ifr))
			ret = qemu_fail(m, "descriptor %d of process %d: %m",
					nic->numbers[i], (int)m->source.pid);
		else if (ifr.ifr_flags & IFF_DETACH_QUEUE)
			detached = true;
		else if (detached)
			ret = qemu_fail(m,
					"descriptor %d of process %d cannot be queue %zu of netdev '%s': one before it is detached; a --plan can name the order",
					nic->numbers[i], (int)m->source.pid, i,
					nic->id);
	}
	tapxfer_queues_close(queues);
	free(fds);
	return ret;
}

int qemu_check(struct qemu *m)
{
	struct qemu_nic *nic;
	int ret;

	if (m->source.pid == m->target.pid)
		return qemu_fail(m,
				 "source and target are the same process (%d)",
				 (int)m->source.pid);
	if (m->vhost_unclear && !(m->args->given & (KEY_PLAN | KEY_DRY_RUN)))
		return qemu_fail(m,
				 "nobody can tell which NICs vhost-net serves, of a VM that is paused or does not drive them, or of a newer QEMU: let it run, or say so in a --plan");
	look_at(m->target.pid, LOOK_URING, see_uring, &m->uring);
	ret = check_module(m);
	if (!ret)
		ret = check_states(m);
	if (!ret)
		ret = check_machine(m);
	if (!ret)
		ret = check_features(m);
	if (!ret)
		ret = check_blockers(m);
	if (!ret)
		ret = check_memory(m);
	for_each_nic(nic, m) {
		if (!ret)
			ret = check_nic(m, nic);
		if (!ret)
			ret = check_order(m, nic);
		if (!ret)
			ret = check_holders(m, nic);
	}
	return ret;
}
