// SPDX-License-Identifier: GPL-2.0-or-later
/* check: what would stop a handover, and who holds the queues */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "check.h"

/* What a claimant has open besides: a guess, on the low side */
#define OTHER_FDS	8

void check_find(struct check *c, bool stops, const char *what, const char *cure,
		const char *fmt, ...)
{
	struct finding *f;
	va_list ap;

	c->findings = xrealloc(c->findings, c->nfindings + 1,
			       sizeof(*c->findings));
	f = &c->findings[c->nfindings++];
	f->stops = stops;
	f->what = what;
	f->cure = cure;
	va_start(ap, fmt);
	if (vasprintf(&f->cause, fmt, ap) < 0)
		f->cause = NULL;
	va_end(ap);
	c->stopped |= stops;
}

/* ------------------------------------------------------------------------ */

static int holder_add(const struct tapxfer_holder *holder, void *data)
{
	struct check *c = data;
	struct holder *h;

	/* our duplicates are not theirs */
	if (holder->pid == getpid())
		return 0;
	c->holders = xrealloc(c->holders, c->nholders + 1,
			      sizeof(*c->holders));
	h = &c->holders[c->nholders++];
	h->pid = holder->pid;
	h->fd = holder->fd;
	h->flags = holder->flags;
	h->shared = false;
	snprintf(h->comm, sizeof(h->comm), "%.31s", holder->comm);
	return 0;
}

/* Without a process to ask about: the one that has the most. */
static pid_t most(const struct check *c)
{
	size_t i, n = 0, best = 0;
	pid_t pid = 0;

	/* the holders of a process follow each other */
	for (i = 0; i < c->nholders; i++) {
		n = i && c->holders[i - 1].pid == c->holders[i].pid ? n + 1 : 1;
		if (n > best) {
			best = n;
			pid = c->holders[i].pid;
		}
	}
	return pid;
}

static void access_finding(struct check *c, pid_t pid)
{
	check_find(c, true, "no-access",
		   "ask as the same user with kernel.yama.ptrace_scope 0, or with CAP_SYS_PTRACE; or let the process hand over its own files (--fds)",
		   "process %d may not be looked into", (int)pid);
}

/* The process's files and who else has some. Negative: cannot go on. */
static int check_files(struct check *c)
{
	size_t i, j;
	int err;

	err = tapxfer_holders(c->cli->tx, c->ifname, holder_add, c,
			      &c->unreadable);
	if (err)
		return err;
	c->pid = c->args->given & KEY_PID ? c->args->pid : most(c);
	if (!c->pid)
		return 0;

	err = tapxfer_queues_open(c->cli->tx, c->pid, c->ifname, &c->queues);
	if (err == -EPERM) {
		access_finding(c, c->pid);
		return 0;
	}
	if (err == -ESRCH && !(c->args->given & KEY_PID)) {
		c->pid = 0;
		return 0;
	}
	if (err)
		return err;

	c->found = (unsigned int)tapxfer_queues_count(c->queues);
	for (i = 0; i < c->nholders; i++) {
		struct holder *h = &c->holders[i];

		if (h->pid == c->pid)
			snprintf(c->comm, sizeof(c->comm), "%s", h->comm);
		for (j = 0; j < c->found && !h->shared; j++) {
			h->shared = is_same_file(tapxfer_queues_fds(c->queues)[j],
						 h->pid, h->fd);
			h->queue = j;
		}
	}
	return 0;
}

/*
 * "pid 77 (qemu) fd 5, pid 78 (x) fd 3 and 2 more": who has descriptors apart
 * from @but, of the files of c->pid or of others.
 */
void check_holders_text(const struct check *c, pid_t but, bool shared,
			char *text, size_t size)
{
	size_t i, len = 0, shown = 0, more = 0;

	*text = '\0';
	for (i = 0; i < c->nholders; i++) {
		const struct holder *h = &c->holders[i];

		if (h->pid == but || h->shared != shared)
			continue;
		if (shown == 8) {
			more++;
			continue;
		}
		shown++;
		len += (size_t)snprintf(text + len, size - len,
					"%spid %d (%s) fd %d", len ? ", " : "",
					(int)h->pid, h->comm, h->fd);
	}
	if (more)
		snprintf(text + len, size - len, " and %zu more", more);
}

struct seen_text {
	char text[256];
};

static void look_add(pid_t pid, const char *comm, int fd, void *data)
{
	struct seen_text *s = data;
	size_t len = strlen(s->text);

	snprintf(s->text + len, sizeof(s->text) - len, "%spid %d (%s) fd %d",
		 len ? ", " : "", (int)pid, comm, fd);
}

static void check_missing(struct check *c)
{
	struct seen_text flight = { "" };
	char others[768];

	check_holders_text(c, c->pid, false, others, sizeof(others));
	if (!c->pid || (c->queues && !c->found)) {
		if (c->args->given & KEY_PID)
			check_find(c, true, "no-queues", "name the process that has them",
				   "process %d has no queue of %s%s%s", (int)c->pid,
				   c->ifname, *others ? "; there are: " : "", others);
		else
			check_find(c, true, "no-queues",
				   "start the process whose queues are to go, or look as root",
				   "no process that may be looked into has a queue of %s",
				   c->ifname);
		return;
	}
	if (!c->queues || !c->counted || c->found >= c->total)
		return;

	if (*others) {
		check_find(c, true, "queues-missing",
			   "a handover takes all queues: have one process get them all, or close those that are left over",
			   "process %d (%s) has %u of %u queues; the others: %s",
			   (int)c->pid, c->comm, c->found, c->total, others);
		return;
	}
	look_everywhere(LOOK_IN_FLIGHT, look_add, &flight);
	check_find(c, true, "queues-missing",
		   "a handover takes all queues: have the process get them, or close what holds them",
		   "process %d (%s) has %u of %u queues; no process that may be looked into has the others%s%s%s",
		   (int)c->pid, c->comm, c->found, c->total,
		   *flight.text ? ", files are in flight in " : "", flight.text,
		   c->unreadable ? " (some may not be looked into)" : "");
}

/* Holders that do not stop it but should be known. */
static void check_others(struct check *c)
{
	struct seen_text flight = { "" };
	char others[768], vhost[256];

	check_holders_text(c, c->pid, true, others, sizeof(others));
	if (*others)
		check_find(c, false, "shared",
			   "they must have closed them by the thaw, which is refused otherwise, or be shared with (thaw --shared)",
			   "queue files of process %d are also: %s", (int)c->pid,
			   others);

	if (c->pid && check_vhost_open(c->pid, 0, vhost, sizeof(vhost)))
		check_find(c, false, "vhost-net",
			   "stop its backends before the thaw, which is refused otherwise; --try tells whether any is attached",
			   "vhost-net is open (%s): its backends hold queue files without a descriptor",
			   vhost);

	look_everywhere(LOOK_IN_FLIGHT, look_add, &flight);
	if (*flight.text)
		check_find(c, false, "in-flight",
			   "have the receiver take them; --try counts those that are queue files",
			   "files are in flight, queue files perhaps: %s",
			   flight.text);

	if (c->unreadable)
		check_find(c, false, "unreadable",
			   "look as root, or with CAP_SYS_PTRACE",
			   "%u processes may not be looked into; what they hold is not seen",
			   c->unreadable);
}

/* TUNGETIFF and not the kernel module, which may not be there. */
static void check_flags(struct check *c)
{
	struct ifreq ifr = { 0 };

	if (!c->found ||
	    ioctl(tapxfer_queues_fds(c->queues)[0], TUNGETIFF, &ifr))
		return;
	if (ifr.ifr_flags & IFF_NAPI_FRAGS)
		check_find(c, true, "napi-frags",
			   "make the device without the flag: it is for tests of the network stack",
			   "%s has IFF_NAPI_FRAGS", c->ifname);
}

/* Can the kernel tell that a file is the device's? Of a tun not always. */
static void check_proof(struct check *c)
{
	struct tapxfer_info *dev;
	int err;

	if (!c->found || !c->cli->tx || c->handover)
		return;
	err = tapxfer_dev_get(c->cli->tx, c->ifindex,
			      tapxfer_queues_fds(c->queues)[0], &dev);
	tapxfer_info_free(dev);
	if (err == -ENOTUNIQ)
		check_find(c, true, "not-unique", "rename one of the two",
			   "%s is a tun, and another device of this host has its name: their files cannot be told apart",
			   c->ifname);
	else if (err)
		check_find(c, true, "file-refused", "see the other findings, if any",
			   "the kernel does not take fd %d of process %d: %s",
			   tapxfer_queues_numbers(c->queues)[0], (int)c->pid,
			   tapxfer_error(c->cli->tx));
}

static void check_nofile(struct check *c)
{
	unsigned int total = c->counted ? c->total : c->found;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) ||
	    limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= total + OTHER_FDS)
		return;
	check_find(c, true, "rlimit-nofile",
		   "raise it for the process that claims: ulimit -n",
		   "RLIMIT_NOFILE is %llu here, too low to claim %u files",
		   (unsigned long long)limit.rlim_cur, total);
}

/* One number that has a default and a limit. */
static void check_limit(struct check *c, const char *what, const char *unit,
			uint64_t value, uint64_t dflt, uint64_t max)
{
	if (!value)
		check_find(c, true, what, "ask for more than none", "%s is 0", what);
	else if (value > max)
		check_find(c, true, what, "ask for less",
			   "%s %llu%s is above the limit of %llu", what,
			   (unsigned long long)value, unit, (unsigned long long)max);
	else if (value > dflt && !may_administer())
		check_find(c, true, what,
			   "ask for less, or with CAP_NET_ADMIN over the device's network namespace",
			   "%s %llu%s is above %llu, which is for CAP_NET_ADMIN alone",
			   what, (unsigned long long)value, unit,
			   (unsigned long long)dflt);
}

static void check_limits(struct check *c, const struct tapxfer_info *dev)
{
	uint64_t hold, len;

	if (!c->caps)
		return;
	hold = tapxfer_info_u64(c->caps, TAPXFER_A_CAP_HOLD_DEFAULT);
	len = tapxfer_info_u64(dev, TAPXFER_A_DEV_TX_QUEUE_LEN);
	if (c->args->given & KEY_HOLD) {
		check_limit(c, "hold", "", c->args->hold, hold,
			    tapxfer_info_u64(c->caps, TAPXFER_A_CAP_HOLD_MAX));
		hold = c->args->hold;
	}
	if ((c->args->given & KEY_HOLD_BYTES) &&
	    tapxfer_info_has(c->caps, TAPXFER_A_CAP_HOLD_BYTES_MAX))
		check_limit(c, "hold-bytes", "", c->args->hold_bytes,
			    tapxfer_info_u64(c->caps,
					     TAPXFER_A_CAP_HOLD_BYTES_DEFAULT),
			    tapxfer_info_u64(c->caps,
					     TAPXFER_A_CAP_HOLD_BYTES_MAX));
	if (c->args->given & KEY_DEADLINE)
		check_limit(c, "deadline", " ms", c->args->deadline,
			    tapxfer_info_u64(c->caps,
					     TAPXFER_A_CAP_DEADLINE_DEFAULT),
			    tapxfer_info_u64(c->caps,
					     TAPXFER_A_CAP_DEADLINE_MAX));
	if (hold && hold < len)
		check_find(c, false, "hold-below-queue", "ask for a larger hold",
			   "a queue may have %llu packets, more than a hold of %llu takes",
			   (unsigned long long)len, (unsigned long long)hold);
}

static void check_state(struct check *c, const struct tapxfer_info *dev)
{
	unsigned int state;
	const char *name;

	if (!tapxfer_info_has(dev, TAPXFER_A_DEV_HANDOVER))
		return;
	c->handover = (uint32_t)tapxfer_info_u64(dev, TAPXFER_A_DEV_HANDOVER);
	state = (unsigned int)tapxfer_info_u64(dev,
					       TAPXFER_A_DEV_HANDOVER_STATE);
	name = tapxfer_state_name(state);
	check_find(c, true, "in-handover",
		   state == TAPXFER_STATE_DRAINING ?
		   "wait until what it held has been read" :
		   "thaw or abort that one first",
		   "%s is in handover %u already (%s)", c->ifname, c->handover,
		   name ? name : "?");
}

/* ------------------------------------------------------------------------ */

static struct json_object *check_object(const struct check *c)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	json_object_object_add(o, "ifname", json_object_new_string(c->ifname));
	json_object_object_add(o, "ifindex",
			       json_object_new_uint64(c->ifindex));
	json_object_object_add(o, "ready",
			       json_object_new_boolean(!c->stopped));
	if (c->pid)
		json_object_object_add(o, "pid", json_object_new_int(c->pid));
	if (c->counted)
		json_object_object_add(o, "queues",
				       json_object_new_uint64(c->total));
	json_object_object_add(o, "found", json_object_new_uint64(c->found));
	json_object_object_add(o, "unreadable",
			       json_object_new_uint64(c->unreadable));

	for (i = 0; i < c->nfindings; i++) {
		const struct finding *f = &c->findings[i];
		struct json_object *e = json_object_new_object();

		json_object_object_add(e, "what",
				       json_object_new_string(f->what));
		json_object_object_add(e, "stops",
				       json_object_new_boolean(f->stops));
		json_object_object_add(e, "cause",
				       json_object_new_string(f->cause ?: ""));
		json_object_object_add(e, "cure",
				       json_object_new_string(f->cure));
		json_object_array_add(list, e);
	}
	json_object_object_add(o, "findings", list);

	list = json_object_new_array();
	for (i = 0; i < c->nholders; i++) {
		const struct holder *h = &c->holders[i];
		struct json_object *e = json_object_new_object();

		json_object_object_add(e, "pid", json_object_new_int(h->pid));
		json_object_object_add(e, "comm",
				       json_object_new_string(h->comm));
		json_object_object_add(e, "fd", json_object_new_int(h->fd));
		json_object_object_add(e, "detached", json_object_new_boolean(
			h->flags & TAPXFER_HOLDER_DETACHED));
		json_object_object_add(e, "proved", json_object_new_boolean(
			h->flags & TAPXFER_HOLDER_PROVED));
		json_object_array_add(list, e);
	}
	json_object_object_add(o, "holders", list);
	return o;
}

static void check_text(const struct check *c)
{
	size_t i;

	if (c->counted && c->pid && c->found)
		printf("%s: process %d (%s) has %u of %u queues\n", c->ifname,
		       (int)c->pid, c->comm, c->found, c->total);
	for (i = 0; i < c->nfindings; i++) {
		const struct finding *f = &c->findings[i];

		printf("%s: %s: %s; %s.\n", c->ifname,
		       f->stops ? "stops" : "note", f->cause ?: "?", f->cure);
	}
	printf("%s: %s\n", c->ifname,
	       c->stopped ? "not ready" : "nothing stops a handover");
}

static void check_free(struct check *c)
{
	size_t i;

	for (i = 0; i < c->nfindings; i++)
		free(c->findings[i].cause);
	free(c->findings);
	free(c->holders);
	tapxfer_queues_close(c->queues);
	tapxfer_info_free(c->caps);
}

static int check_device(struct check *c)
{
	struct tapxfer *tx = c->cli->tx;
	struct tapxfer_info *dev = NULL;
	struct link_facts facts;
	int err;

	link_get(c->ifindex, &facts);
	if (facts.known && !facts.is_tun) {
		check_find(c, true, "not-tun", "name a device that /dev/net/tun made",
			   "%s is not a tun or tap", c->ifname);
		return 0;
	}
	if (tx) {
		err = tapxfer_dev_get(tx, c->ifindex, -1, &dev);
		if (err)
			return err;
		err = tapxfer_caps(tx, &c->caps);
		if (err) {
			tapxfer_info_free(dev);
			return err;
		}
		c->total = (unsigned int)
			(tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_QUEUES) +
			 tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_DETACHED));
		c->counted = true;
		check_state(c, dev);
		check_limits(c, dev);
		tapxfer_info_free(dev);
	}

	err = check_files(c);
	if (err)
		return err;
	check_missing(c);
	check_flags(c);
	check_proof(c);
	check_nofile(c);
	check_others(c);
	check_counts(c);
	return 0;
}

/* Texts for when there is no handle that could have them. */
static int fail_bare(const struct cli *cli, int err, pid_t pid)
{
	if (cli->tx)
		return fail_call(cli, err);
	if (err == -ESRCH)
		return fail(cli, "no process %d", (int)pid);
	if (err == -EPERM)
		return fail(cli,
			    "may not look into process %d: it takes the same user and kernel.yama.ptrace_scope 0, or CAP_SYS_PTRACE",
			    (int)pid);
	errno = -err;
	return fail(cli, "cannot look at the processes: %m");
}

static int check_name(struct check *c)
{
	struct source source;
	int ret;

	if (!(c->args->given & (KEY_DEV | KEY_PID)))
		return fail_usage(c->cli, "which device? Give its name or --pid PID");
	if (c->cli->tx) {
		ret = source_dev(c->cli, c->args, &source);
		if (ret)
			return ret;
		snprintf(c->ifname, sizeof(c->ifname), "%s", source.ifname);
		c->ifindex = source.ifindex;
		return 0;
	}
	if (!(c->args->given & KEY_DEV))
		return fail(c->cli, "%s", tapxfer_open_error(-ENOENT));
	c->ifindex = if_nametoindex(c->args->dev);
	if (!c->ifindex)
		return fail(c->cli,
			    "no interface '%.16s' in this network namespace; 'ip link' shows what is there, -n looks into another",
			    c->args->dev);
	snprintf(c->ifname, sizeof(c->ifname), "%.15s", c->args->dev);
	return 0;
}

int cmd_check(struct cli *cli, struct args *args)
{
	struct check c = { .cli = cli, .args = args };
	int ret, err;

	err = tapxfer_open(&cli->tx);
	if (err == -ENOENT)
		check_find(&c, true, "module",
			   "modprobe tapxfer, after it was installed for this kernel",
			   "the tapxfer module is not loaded");
	else if (err)
		return fail(cli, "%s", tapxfer_open_error(err));

	ret = check_name(&c);
	if (!ret) {
		err = check_device(&c);
		if (err)
			ret = fail_bare(cli, err, c.pid);
	}
	if (!ret) {
		if (cli->json) {
			ret = out_json(cli, check_object(&c));
		} else {
			check_text(&c);
			ret = out_end(cli);
		}
		if (!ret && c.stopped)
			ret = EXIT_KERNEL;
	}
	check_free(&c);
	return ret;
}
