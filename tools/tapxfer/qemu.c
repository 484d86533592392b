// SPDX-License-Identifier: GPL-2.0-or-later
/* qemu: a running VM from one stock QEMU process to another */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "qemu.h"

/* For a QEMU to answer a command, without --timeout */
#define TIMEOUT_MS	5000

/*
 * In this order, and undone from its end. The comments say why it is so; what QEMU
 * does at each step is in Documentation/qemu.rst.
 */
static const struct qemu_step steps[] = {
	/* all that can fail without the guest noticing; the files are fenced
	 * from the second on, and a vhost that begins anew wants them unfenced
	 */
	{ "configure", qemu_configure, qemu_unconfigure },
	{ "prepare", qemu_prepare, qemu_abort },
	/* before the stop, or the source reads what it cannot deliver */
	{ "hold", qemu_hold, NULL },
	{ "settle", qemu_settle, NULL },
	{ "stop", qemu_stop, qemu_resume },
	/* after it, for the guest's last packets leave while it stops */
	{ "freeze", qemu_freeze, NULL },
	{ "claim", qemu_claim, NULL },
	/* a target with files has to be gone before they are the source's */
	{ "pass", qemu_pass, qemu_end_target },
	{ "add", qemu_add, NULL },
	{ "migrate", qemu_migrate, qemu_unmigrate },
	{ "verify", qemu_verify, NULL },
	/* the last moment to turn back was before this */
	{ "quit", qemu_quit, NULL },
	/* the target's vhost wants its files unfenced when it begins */
	{ "ready", qemu_ready, NULL },
	{ "cont", qemu_cont, NULL },
	/* when somebody reads: what comes to a stopped VM is thrown away */
	{ "thaw", qemu_thaw, NULL },
	{ "finish", qemu_finish, NULL },
};

uint64_t qemu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The first failure is the one that is told. */
int qemu_fail(struct qemu *m, const char *fmt, ...)
{
	va_list ap;

	if (!*m->error) {
		va_start(ap, fmt);
		vsnprintf(m->error, sizeof(m->error), fmt, ap);
		va_end(ap);
	}
	return EXIT_KERNEL;
}

/* Each is told, once. */
void qemu_note(struct qemu *m, const char *fmt, ...)
{
	size_t len = strlen(m->note);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!strstr(m->note, text))
		snprintf(m->note + len, sizeof(m->note) - len, "%s%s",
			 len ? "; " : "", text);
}

int qemu_fail_qmp(struct qemu *m, const struct qmp *q)
{
	return qemu_fail(m, "%s", q->error);
}

int qemu_fail_call(struct qemu *m, const struct qemu_nic *nic)
{
	return qemu_fail(m, "%s%s%s", nic && *nic->ifname ? nic->ifname : "",
			 nic && *nic->ifname ? ": " : "",
			 tapxfer_error(m->cli->tx));
}

/* ------------------------------------------------------------------------ */

static bool interrupted(struct qemu *m)
{
	struct signalfd_siginfo si;

	return m->sigfd >= 0 && read(m->sigfd, &si, sizeof(si)) > 0;
}

/* ms of the deadline, less @keep of them; what may wait for so long is in time */
uint32_t qemu_left(const struct qemu *m, uint32_t keep)
{
	uint64_t now = qemu_now() + keep * 1000000ULL;

	return m->expires > now ? (uint32_t)((m->expires - now) / 1000000) : 0;
}

/*
 * All that can be undone is to end, and be undone, before the kernel does its part of
 * it by itself: a target that is alive then would have the live files.
 */
bool qemu_is_near(const struct qemu *m)
{
	return m->expires && !qemu_left(m, QEMU_LEFT_MS);
}

int qemu_in_time(struct qemu *m)
{
	if (!qemu_is_near(m))
		return 0;
	return qemu_fail(m,
			 "the deadline is too near for what is left to do; give a longer --deadline");
}

/* One step; 0 or EXIT_KERNEL. After the point of no return it is done in any case. */
static int step(struct qemu *m, const struct qemu_step *s)
{
	int ret = 0;

	qemu_progress(m, s);
	if (!m->committed && interrupted(m))
		return qemu_fail(m, "interrupted");
	ret = qemu_hook(m, s->name);
	if (!ret && !m->committed)
		ret = qemu_in_time(m);
	if (!ret || m->committed)
		ret |= s->run(m);
	return ret;
}

static int run(struct qemu *m)
{
	uint64_t since = qemu_now(), now;
	int ret = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps) && (!ret || m->committed); i++) {
		if (step(m, &steps[i])) {
			ret = EXIT_KERNEL;
			if (!m->failed)
				m->failed = &steps[i];
		}
		/* with nothing in between: their sums are times, too */
		now = qemu_now();
		m->took[i] = now - since;
		since = now;
		m->nsteps = i + 1;
	}
	return ret;
}

static void undo(struct qemu *m)
{
	size_t i;

	m->source.sigfd = -1;
	m->target.sigfd = -1;
	m->source.limit = 0;
	m->target.limit = 0;
	for (i = m->nsteps; i; i--)
		if (steps[i - 1].undo)
			steps[i - 1].undo(m);
}

static const char *outcome_committed(const struct qemu *m)
{
	if (qmp_ended(&m->target))
		return "the guest is lost, both QEMUs have ended";
	if (m->was_running && !m->resumed_at)
		return "the guest is in the target, which is paused: tell it 'cont'";
	return "the guest is in the target";
}

static const char *outcome(const struct qemu *m)
{
	if (m->committed)
		return outcome_committed(m);
	if (qmp_ended(&m->source))
		return "the guest is lost with the source";
	if (m->stopped)
		return "the guest is in the source, which does not run on: tell it 'cont'";
	if (m->was_running)
		return "the source runs on";
	return m->migrated ?
	       "the source is paused, and takes a 'cont' before it can be moved" :
	       "the source is paused, as it was";
}

static int move(struct qemu *m)
{
	int ret = run(m);

	if (ret && !m->committed)
		undo(m);
	if (*m->note)
		fprintf(stderr, "tapxfer qemu: warning: %s.\n", m->note);
	if (ret)
		return fail(m->cli, "%s: %.700s; %s%s%s", m->failed->name,
			    m->error, outcome(m),
			    m->ended_target ? ", the target was ended" : "",
			    m->expired ? "; the handover was over first, and the target may have taken packets" :
					 "");
	return qemu_result(m, steps);
}

/* ------------------------------------------------------------------------ */

static int plan(struct qemu *m)
{
	struct qemu_nic *nic;
	struct json_object *o;
	size_t i;

	if (m->cli->json)
		return out_json(m->cli, qemu_plan(m));
	printf("source: process %d, QEMU %s\ntarget: process %d, QEMU %s\n",
	       (int)m->source.pid, m->source.version, (int)m->target.pid,
	       m->target.version);
	for_each_nic(nic, m) {
		printf("netdev %s: %s, descriptors", nic->id, nic->ifname);
		for (i = 0; i < nic->nqueues; i++)
			printf("%c%d", i ? ',' : ' ', nic->numbers[i]);
		printf(", %s\n", qmp_bool(nic->netdev, "vhost") ? "vhost" :
		       "no vhost");
		o = nic->netdev;
		printf("    netdev_add %s\n", json_object_to_json_string(o));
		o = nic->device;
		printf("    device_add %s\n", json_object_to_json_string(o));
	}
	printf("steps:");
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		printf(" %s", steps[i].name);
	putchar('\n');
	return out_end(m->cli);
}

static int look(struct qemu *m)
{
	const struct args *args = m->args;
	uint32_t timeout = args->given & KEY_TIMEOUT ? args->timeout :
						       TIMEOUT_MS;
	int ret;

	if (qmp_open(&m->source, "source", args->source, m->sigfd, timeout))
		return qemu_fail_qmp(m, &m->source);
	if (qmp_open(&m->target, "target", args->target, m->sigfd, timeout))
		return qemu_fail_qmp(m, &m->target);
	ret = args->given & KEY_PLAN ? qemu_plan_open(m, args->plan) : 0;
	if (!ret)
		ret = qemu_find(m);
	if (!ret && m->plan)
		ret = qemu_plan_read(m);
	return ret ? ret : qemu_check(m);
}

/* A signal is to end it between two steps, not in one. */
static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_qemu(struct cli *cli, struct args *args)
{
	struct qemu m = { .cli = cli, .args = args, .sigfd = -1 };
	struct qemu_nic *nic;
	int ret;

	if (!(args->given & KEY_SOURCE) || !(args->given & KEY_TARGET))
		return fail_usage(cli,
				  "give --source and --target, the QMP sockets of the two QEMUs");
	ret = cli_open(cli);
	if (ret)
		return ret;
	m.source.fd = -1;
	m.source.pidfd = -1;
	m.target.fd = -1;
	m.target.pidfd = -1;
	m.sigfd = signals();
	if (look(&m))
		ret = fail(cli, "%s; nothing was touched", m.error);
	else if (args->given & KEY_DRY_RUN)
		ret = plan(&m);
	else
		ret = move(&m);

	for_each_nic(nic, &m)
		qemu_nic_free(nic);
	json_object_put(m.plan);
	json_object_put(m.source_caps);
	json_object_put(m.target_caps);
	qmp_close(&m.source);
	qmp_close(&m.target);
	if (m.sigfd >= 0)
		close(m.sigfd);
	return ret;
}
