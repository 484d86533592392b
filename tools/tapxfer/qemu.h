/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qemu command: a running VM from one stock QEMU process to another.
 *
 *	qemu.c		the words, the sockets, and the order of all
 *	qemu_find.c	what the source has: NICs, netdevs, queue files
 *	qemu_plan.c	that as JSON, for a dry run and from a file
 *	qemu_check.c	what would stop it, before anything is touched
 *	qemu_hook.c	the program that is run before each step
 *	qemu_caps.c	the settings of a migration, for the time of it
 *	qemu_settle.c	what a QEMU keeps back for its guest
 *	qemu_steps.c	the steps that the kernel does, and their undoing
 *	qemu_restore.c	settings, when the deadline was there before the undo
 *	qemu_move.c	the steps that the two QEMUs do, and their undoing
 *	qemu_out.c	progress and result
 */
#ifndef TAPXFER_QEMU_H
#define TAPXFER_QEMU_H

#include <net/if.h>

#include "cli.h"
#include "qmp.h"

#define QEMU_NICS_MAX	32
#define QEMU_PATH_MAX	256
/* for a QEMU that was told to end; and what has to be left for that, and the thaw */
#define QEMU_END_MS	1000
#define QEMU_LEFT_MS	4000
/* and once it was told: what has to be left for the ready, the cont, and the thaw */
#define QEMU_READY_MS	1000
#define QEMU_CONT_MS	500
#define QEMU_THAW_MS	250
/* the deadline, if nobody names one and longer ones may be had */
#define QEMU_DEADLINE_MS 30000

/* A network card of the VM: the guest's device and the host's netdev */
struct qemu_nic {
	char id[64];			/* the netdev's */
	char ifname[IFNAMSIZ];
	unsigned int ifindex;
	char path[QEMU_PATH_MAX];	/* the device's, in the source's QOM */
	char bus_path[QEMU_PATH_MAX];
	bool vhost;			/* serves the source */
	bool vhost_known;		/* it says so itself */
	bool vhost_passed;		/* files of it too */
	char downscript[QEMU_PATH_MAX];	/* "": none that the source would run */
	size_t nqueues;
	int *numbers;			/* the source's descriptors, by queue */
	struct json_object *netdev;	/* netdev_add's arguments, less fds */
	struct json_object *device;	/* device_add's arguments */
	struct json_object *defaults;	/* those of them that need not be said */

	uint32_t handover;		/* 0: none */
	struct tapxfer_token token;
	int *fds;			/* claimed; -1: passed on */
	size_t nfds;
	bool outlived;			/* it was over before the target was */
	bool polled;			/* it was shared with the target's io_uring */
	struct tapxfer_stream *record;	/* as it was frozen */
	struct tapxfer_info *queues;	/* just before the thaw */
	struct tapxfer_info *result;	/* what the thaw told */
};

struct qemu_step;

struct qemu {
	struct cli *cli;
	const struct args *args;
	struct qmp source, target;
	int sigfd;
	struct qemu_nic nics[QEMU_NICS_MAX];
	size_t nnics;
	size_t nqueues;		/* of all taps of the source, those that stay too */
	bool script;		/* the source would run one as it goes */
	struct json_object *plan;	/* NULL: none was given */
	struct json_object *source_caps, *target_caps;	/* to put back */
	bool vhost_unclear;	/* which NICs it serves */
	bool was_running;	/* and is to run afterwards */
	bool stopped;		/* the source, by us */
	bool passed;		/* the target has, or may have, queue files */
	bool migrating;		/* the source was told to */
	bool migrated;		/* and has done it */
	bool ended_target;	/* it cannot be used again */
	bool committed;		/* there is no way back to the source */
	bool uring;		/* the target may poll by io_uring */
	bool expired;		/* the deadline, or somebody's abort, was before us */
	char error[1024];	/* what failed */
	char note[2048];	/* what is worth a warning, but stops nothing */
	const struct qemu_step *failed;
	uint64_t expires;	/* ns, CLOCK_MONOTONIC; 0: there is no deadline yet */
	uint64_t took[32];	/* ns, by step */
	size_t nsteps;
	uint64_t stopped_at, resumed_at;
};

/**
 * struct qemu_step - one thing that is done, and how it is undone
 * @name: for people, and the hook
 * @run: 0, or EXIT_KERNEL with @error set
 * @undo: NULL when there is nothing to undo. Called for the step that failed too, so
 *   it looks at what has really been done, and it goes on whatever fails
 */
struct qemu_step {
	const char *name;
	int (*run)(struct qemu *m);
	void (*undo)(struct qemu *m);
};

#define for_each_nic(nic, m) \
	for (nic = (m)->nics; nic < (m)->nics + (m)->nnics; nic++)

/* qemu.c */
int qemu_fail(struct qemu *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void qemu_note(struct qemu *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int qemu_fail_qmp(struct qemu *m, const struct qmp *q);
int qemu_fail_call(struct qemu *m, const struct qemu_nic *nic);
uint64_t qemu_now(void);
uint32_t qemu_left(const struct qemu *m, uint32_t keep);
bool qemu_is_near(const struct qemu *m);
int qemu_in_time(struct qemu *m);

/* qemu_find.c */
int qemu_find(struct qemu *m);
int qemu_vhost_started(struct qemu *m, const struct qemu_nic *nic);
int qemu_files(struct qemu *m, struct qemu_nic *nic,
	       struct tapxfer_queues **queues, int *fds);

/* qemu_plan.c */
struct json_object *qemu_plan(const struct qemu *m);
int qemu_plan_open(struct qemu *m, const char *path);
const char *qemu_plan_ifname(const struct qemu *m, const struct qemu_nic *nic);
int qemu_plan_read(struct qemu *m);
void qemu_nic_free(struct qemu_nic *nic);

/* qemu_check.c */
int qemu_check(struct qemu *m);
int qemu_others(struct qemu *m, const struct qemu_nic *nic, pid_t ours,
		pid_t *pid, int *fd);

/* qemu_steps.c */
int qemu_prepare(struct qemu *m);
int qemu_hold(struct qemu *m);
int qemu_freeze(struct qemu *m);
int qemu_claim_nic(struct qemu *m, struct qemu_nic *nic);
int qemu_claim(struct qemu *m);
void qemu_close_fds(struct qemu_nic *nic);
int qemu_live(struct qemu *m);
void qemu_look(struct qemu *m);
uint64_t qemu_state(struct qemu *m, const struct qemu_nic *nic);
int qemu_ready(struct qemu *m);
int qemu_thaw(struct qemu *m);
void qemu_look_after(struct qemu *m);
void qemu_abort_nic(struct qemu *m, struct qemu_nic *nic);
void qemu_abort(struct qemu *m);

/* qemu_back.c */
void qemu_back(struct qemu *m);
void qemu_back_done(struct qemu *m);

/* qemu_restore.c */
int qemu_record(struct qemu *m, struct qemu_nic *nic);
void qemu_restore(struct qemu *m, struct qemu_nic *nic);

/* qemu_hook.c */
int qemu_hook(struct qemu *m, const char *step);

/* qemu_caps.c */
int qemu_check_caps(struct qemu *m, struct qmp *q);
int qemu_configure(struct qemu *m);
void qemu_unconfigure(struct qemu *m);
int qemu_finish(struct qemu *m);

/* qemu_settle.c */
int qemu_settle(struct qemu *m);

/* qemu_move.c */
void qemu_nap(long ns);
bool qemu_late(uint64_t since, uint32_t ms);
int qemu_insist(struct qemu *m, struct qmp *q, const char *command,
		struct json_object *args, uint32_t ms);
int qemu_stop(struct qemu *m);
void qemu_resume(struct qemu *m);
int qemu_pass(struct qemu *m);
int qemu_add(struct qemu *m);
void qemu_end_target(struct qemu *m);
int qemu_migrate(struct qemu *m);
void qemu_unmigrate(struct qemu *m);
int qemu_verify(struct qemu *m);
int qemu_quit(struct qemu *m);
int qemu_cont(struct qemu *m);

/* qemu_out.c */
void qemu_progress(const struct qemu *m, const struct qemu_step *step);
int qemu_result(const struct qemu *m, const struct qemu_step *steps);

#endif /* TAPXFER_QEMU_H */
