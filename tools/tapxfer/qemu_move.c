// SPDX-License-Identifier: GPL-2.0-or-later
/* The steps that the two QEMUs do, and how they are undone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "qemu.h"

#define POLL_NS		1000000
/* between two tries of what must not be given up; and when somebody may wonder */
#define RETRY_NS	50000000
#define WONDER_MS	2000
/* for the source to take the guest back; it may have disks to flush first */
#define RESUME_MS	300000

void qemu_nap(long ns)
{
	const struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

bool qemu_late(uint64_t since, uint32_t ms)
{
	return qemu_now() - since > (uint64_t)ms * 1000000;
}

static void end(struct qmp *q, int ms)
{
	syscall(SYS_pidfd_send_signal, q->pidfd, SIGKILL, NULL, 0);
	qmp_await_end(q, ms);
}

/*
 * A command without which the guest is lost, or worse: again and again, by a new
 * connection if need be, for @ms or until the process has ended. Takes @args.
 */
int qemu_insist(struct qemu *m, struct qmp *q, const char *command,
		struct json_object *args, uint32_t ms)
{
	uint64_t since = qemu_now();
	bool told = m->cli->json;
	int err;

	for (;;) {
		err = q->fd < 0 ? qmp_reopen(q) : 0;
		if (!err)
			err = qmp_call(q, command, json_object_get(args), NULL);
		if (!err || qmp_ended(q) || qemu_late(since, ms))
			break;
		if (!told && qemu_late(since, WONDER_MS)) {
			fprintf(stderr, "tapxfer qemu: trying on: %s\n",
				q->error);
			told = true;
		}
		qemu_nap(RETRY_NS);
	}
	json_object_put(args);
	return err;
}

/* ------------------------------------------------------------------------ */

/* A vhost that the guest has begun anew since the prepare found its files fenced. */
static int check_vhost(struct qemu *m)
{
	const struct qemu_nic *nic;
	int started;

	for_each_nic(nic, m) {
		started = nic->vhost_known ? qemu_vhost_started(m, nic) : 1;
		if (started < 0)
			return qemu_fail_qmp(m, &m->source);
		if (!started)
			return qemu_fail(m,
					 "the guest has set up the NIC of netdev '%s' anew, without vhost-net, which it gets back when it does so again",
					 nic->id);
	}
	return 0;
}

int qemu_stop(struct qemu *m)
{
	if (!m->was_running)
		return 0;
	if (check_vhost(m))
		return EXIT_KERNEL;
	m->stopped = true;
	m->stopped_at = qemu_now();
	if (qmp_call(&m->source, "stop", NULL, NULL))
		return qemu_fail_qmp(m, &m->source);
	return 0;
}

void qemu_resume(struct qemu *m)
{
	if (!m->stopped)
		return;
	qemu_back(m);
	/* a migration that failed or was cancelled is not over at once */
	if (!qemu_insist(m, &m->source, "cont", NULL, RESUME_MS))
		m->stopped = false;
	qemu_back_done(m);
}

/* ------------------------------------------------------------------------ */

/* Under which the target gets a file of a queue: the tap's, or one of vhost's */
static void file_name(char *name, size_t size, const struct qemu_nic *nic,
		      const char *of, size_t queue)
{
	snprintf(name, size, "tapxfer-%u-%s%zu", nic->handover, of, queue);
}

/*
 * A QEMU that was given its files may not be allowed to open vhost-net itself. Nor may
 * we: then it shall try.
 */
static int vhost_pass(struct qemu *m, struct qemu_nic *nic)
{
	char name[48];
	size_t i;
	int fd, err;

	if (!qmp_bool(nic->netdev, "vhost"))
		return 0;
	for (i = 0; i < nic->nqueues; i++) {
		fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
		if (fd < 0 && !i && (errno == EACCES || errno == EPERM))
			return 0;
		if (fd < 0)
			return qemu_fail(m, "/dev/vhost-net: %m");
		file_name(name, sizeof(name), nic, "vhost", i);
		err = qmp_getfd(&m->target, name, fd);
		close(fd);
		if (err)
			return qemu_fail_qmp(m, &m->target);
	}
	nic->vhost_passed = true;
	return 0;
}

/* Files and claim: from now on the target sets them up, and nobody sees it. */
int qemu_pass(struct qemu *m)
{
	struct qemu_nic *nic;
	char name[48];
	size_t i;

	m->passed = true;
	for_each_nic(nic, m) {
		for (i = 0; i < nic->nfds; i++) {
			file_name(name, sizeof(name), nic, "queue", i);
			if (qmp_getfd(&m->target, name, nic->fds[i]))
				return qemu_fail_qmp(m, &m->target);
			close(nic->fds[i]);
			nic->fds[i] = -1;
		}
		if (vhost_pass(m, nic))
			return EXIT_KERNEL;
		if (tapxfer_pass(m->cli->tx, nic->handover, &nic->token,
				 m->target.pidfd, NULL))
			return qemu_fail_call(m, nic);
	}
	return 0;
}

/*
 * A target with queue files would read along with the source, and one with a NIC that
 * lacks its netdev is of no use: it runs no guest, and ends.
 */
void qemu_end_target(struct qemu *m)
{
	if (!m->passed || m->committed || m->ended_target)
		return;
	m->ended_target = true;
	/* one that did not answer will not, and the guest waits */
	if (!m->target.silent && !qemu_is_near(m)) {
		m->target.timeout = QEMU_END_MS;
		if (!qmp_call(&m->target, "quit", NULL, NULL))
			qmp_await_end(&m->target, QEMU_END_MS);
	}
	if (!qmp_ended(&m->target))
		end(&m->target, RESUME_MS);
	qemu_look(m);
}

/* The names of a NIC's files as netdev_add takes them; a NIC of one queue takes one. */
static void files_add(struct json_object *args, const struct qemu_nic *nic,
		      const char *of, const char *one, const char *many)
{
	char name[48], *list = NULL;
	size_t i, len = 0;

	for (i = 0; i < nic->nqueues; i++) {
		file_name(name, sizeof(name), nic, of, i);
		list = xrealloc(list, 1, len + strlen(name) + 2);
		len += (size_t)sprintf(list + len, "%s%s", i ? ":" : "", name);
	}
	qmp_args_add(args, "s", nic->nqueues == 1 ? one : many, list);
	free(list);
}

static struct json_object *netdev_args(const struct qemu_nic *nic)
{
	struct json_object *args = NULL;

	json_object_deep_copy(nic->netdev, &args, NULL);
	files_add(args, nic, "queue", "fd", "fds");
	if (nic->vhost_passed)
		files_add(args, nic, "vhost", "vhostfd", "vhostfds");
	return args;
}

int qemu_add(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m) {
		if (qemu_in_time(m))
			return EXIT_KERNEL;
		if (qmp_call(&m->target, "netdev_add", netdev_args(nic), NULL))
			return qemu_fail_qmp(m, &m->target);
		if (qmp_call(&m->target, "device_add",
			     json_object_get(nic->device), NULL))
			return qemu_fail_qmp(m, &m->target);
	}
	return 0;
}

/* ------------------------------------------------------------------------ */

static void migration_status(struct qmp *q, char *status, size_t size)
{
	struct json_object *o;

	*status = '\0';
	if (qmp_call(q, "query-migrate", NULL, &o))
		return;
	snprintf(status, size, "%s", qmp_str(o, "status"));
	if (!strcmp(status, "failed") && *qmp_str(o, "error-desc"))
		snprintf(status, size, "failed: %s", qmp_str(o, "error-desc"));
	json_object_put(o);
}

static bool migration_over(const char *status)
{
	return !*status || !strcmp(status, "none") ||
	       !strcmp(status, "completed") || !strcmp(status, "cancelled") ||
	       !strncmp(status, "failed", 6);
}

#define MIGRATION	"tapxfer-migration"

static int migrate_over(struct qemu *m, const int ends[2])
{
	static const char name[] = MIGRATION;

	if (qmp_getfd(&m->target, name, ends[1]) ||
	    qmp_call(&m->target, "migrate-incoming",
		     qmp_args("s", "uri", "fd:" MIGRATION), NULL))
		return qemu_fail_qmp(m, &m->target);
	/* one that is late with its answer has the socket all the same */
	m->migrating = true;
	if (qmp_getfd(&m->source, name, ends[0]))
		return qemu_fail_qmp(m, &m->source);
	if (qmp_call(&m->source, "migrate",
		     qmp_args("s", "uri", "fd:" MIGRATION), NULL))
		return qemu_fail_qmp(m, &m->source);
	return 0;
}

/* What a QEMU does that cannot load what it gets: 9.1 and later can be told not to. */
static int load_failed(struct qemu *m)
{
	return qemu_fail(m,
			 "the target QEMU (process %d) ended in the middle of the migration; its standard error says why",
			 (int)m->target.pid);
}

/* Guest memory is shared, so that only the devices' state goes over the socket. */
int qemu_migrate(struct qemu *m)
{
	char status[256];
	int ends[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return qemu_fail(m, "no socket: %m");
	ret = migrate_over(m, ends);
	close(ends[0]);
	close(ends[1]);
	if (ret)
		return ret;

	for (;;) {
		migration_status(&m->source, status, sizeof(status));
		if (migration_over(status) || qmp_ended(&m->target))
			break;
		if (qemu_is_near(m))
			return qemu_fail(m,
					 "the migration is '%s', and the deadline is near: is the source's max-bandwidth too low?",
					 status);
		qemu_nap(POLL_NS);
	}
	/* what a source that has died has sent may be all: the target knows */
	if (!*status && qmp_ended(&m->source) && !qmp_ended(&m->target))
		return 0;
	if (!*status)
		return qemu_fail_qmp(m, &m->source);
	if (qmp_await_end(&m->target, strcmp(status, "completed") ? QEMU_END_MS : 0))
		return load_failed(m);
	if (strcmp(status, "completed"))
		return qemu_fail(m, "the source's migration %s", status);
	m->migrated = true;
	return 0;
}

/* The target has to be gone in time, however long the source takes for its part. */
void qemu_unmigrate(struct qemu *m)
{
	uint64_t since;
	char status[256];

	qemu_end_target(m);
	if (!m->migrating)
		return;
	since = qemu_now();
	/* if it was refused the socket is there still */
	qmp_call(&m->source, "closefd", qmp_args("s", "fdname", MIGRATION),
		 NULL);
	qmp_call(&m->source, "migrate_cancel", NULL, NULL);
	do {
		qemu_nap(POLL_NS);
		migration_status(&m->source, status, sizeof(status));
	} while (!migration_over(status) &&
		 !qemu_late(since, m->source.timeout));
}

static int run_state(struct qemu *m, struct qmp *q, char *status, size_t size)
{
	struct json_object *o;

	if (qmp_call(q, "query-status", NULL, &o))
		return qemu_fail_qmp(m, q);
	snprintf(status, size, "%s", qmp_str(o, "status"));
	json_object_put(o);
	return 0;
}

/* The target has all: it is what the source was, stopped. */
int qemu_verify(struct qemu *m)
{
	uint64_t since = qemu_now();
	char status[64];

	for (;;) {
		if (run_state(m, &m->target, status, sizeof(status))) {
			if (!qmp_ended(&m->target))
				return EXIT_KERNEL;
			*m->error = '\0';
			return load_failed(m);
		}
		if (strcmp(status, "inmigrate") ||
		    qemu_late(since, m->target.timeout) || qemu_in_time(m))
			break;
		qemu_nap(POLL_NS);
	}
	if (!strcmp(status, "paused"))
		return 0;
	return qemu_fail(m, "the target is '%s' after the migration", status);
}

/* The last look: a guest whose source has gone has nothing but the target. */
static int check_both(struct qemu *m)
{
	char status[64];

	if (run_state(m, &m->target, status, sizeof(status)))
		return EXIT_KERNEL;
	if (strcmp(status, "paused"))
		return qemu_fail(m, "the target is '%s' after the migration",
				 status);
	if (run_state(m, &m->source, status, sizeof(status))) {
		if (!qmp_ended(&m->source))
			return EXIT_KERNEL;
		/* with all of its state passed: there is but one way to go */
		*m->error = '\0';
		return 0;
	}
	if (!strcmp(status, "running"))
		return qemu_fail(m, "somebody else has told the source 'cont'");
	return qemu_live(m);
}

/* Of what is left of the deadline, which ends it with the target's settings forgotten */
static int end_ms(const struct qemu *m)
{
	uint32_t left = qemu_left(m, QEMU_READY_MS);

	return (int)(left < m->target.timeout ? left : m->target.timeout);
}

/*
 * From here on the guest is the target's. A source that would run a script on its way
 * out, which sets the live interface down, is not asked to go.
 */
int qemu_quit(struct qemu *m)
{
	if (check_both(m))
		return EXIT_KERNEL;
	m->committed = true;
	m->source.sigfd = -1;
	m->target.sigfd = -1;
	m->source.limit = 0;
	m->target.limit = (int64_t)(m->expires / 1000000) - QEMU_CONT_MS;
	m->source.timeout = QEMU_END_MS;
	if (!m->script && !qmp_call(&m->source, "quit", NULL, NULL))
		qmp_await_end(&m->source, QEMU_END_MS);
	if (!qmp_ended(&m->source))
		end(&m->source, end_ms(m));
	if (!qmp_ended(&m->source))
		return qemu_fail(m, "the source QEMU (process %d) does not end",
				 (int)m->source.pid);
	return 0;
}

/* It may be refused for the lock of an image, which goes with the source's process. */
int qemu_cont(struct qemu *m)
{
	if (!m->was_running)
		return 0;
	if (qemu_insist(m, &m->target, "cont", NULL,
			qemu_left(m, QEMU_CONT_MS)))
		return qemu_fail_qmp(m, &m->target);
	m->resumed_at = qemu_now();
	return 0;
}
