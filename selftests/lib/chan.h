/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A handover over sockets, between two processes, with a proxy between them
 * that counts bytes and can do harm.
 */
#ifndef SELFTESTS_CHAN_H
#define SELFTESTS_CHAN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tapxfer/channel.h>

#include "agent.h"
#include "flow.h"

#define CHAN_DEVS	2

/* Names: the target listens at the one, the proxy at the other. */
#define CHAN_TARGET		"target"
#define CHAN_TARGET_LATE	"target-late"
#define CHAN_PROXY		"proxy"
#define CHAN_PROXY_LATE		"proxy-late"

/* How far a side came: the call that failed, or all */
enum chan_step {
	CHAN_NEW,
	CHAN_AGREE,		/* tapxfer_send(), tapxfer_recv() */
	CHAN_HOLD,
	CHAN_STATE,
	CHAN_ACCEPT,		/* of the target */
	CHAN_END,		/* send_release(), recv_thaw() */
	CHAN_ALL,
};

struct chan_side {
	/* how */
	uint32_t flags;		/* enum tapxfer_channel_flag */
	uint32_t transport;
	uint32_t local;
	uint32_t timeout;	/* ms, 0: patient */
	uint32_t deadline;	/* ms, 0: patient */
	uint64_t require;
	uint64_t takes;		/* if @set has it */
	uint32_t set;		/* enum tapxfer_channel_opt, more than usual */
	uint32_t peer_uid;
	int32_t peer_pid;
	uint32_t dev_flags[CHAN_DEVS];
	bool adds;		/* target: it names the devices */
	bool tcp;
	int refuse;		/* target: an errno, instead of accepting */
	int nofile;		/* room for so many descriptors more, or -1 */
	/* called before that step, in that process */
	enum chan_step hook_at;
	long (*hook)(struct tapxfer_channel *ch, struct agent_self *self);

	/* what came of it */
	bool begun;
	int err;
	enum chan_step step;
	char text[512];
	unsigned int outcome[CHAN_DEVS];
	uint32_t id[CHAN_DEVS];
	uint64_t peer_features;
	size_t count;
	char name[CHAN_DEVS][64];
	int fds;		/* more descriptors than before, or fewer */
};

/* What the proxy does once it has passed on so many bytes */
enum chan_harm {
	CHAN_NO_HARM,
	CHAN_CUT,		/* closes both of its sockets */
	CHAN_KILL_SOURCE,
	CHAN_KILL_TARGET,
	CHAN_STALL,		/* passes nothing on any more */
};

struct chan_proxy {
	enum chan_harm harm;
	bool back;		/* count what the target sends */
	long at;		/* bytes */
	long passed[2];		/* from the source, from the target */
	int frames;		/* of the counted direction: where they begin */
	long frame[256];
};

/* In memory that all processes share */
struct chan {
	struct chan_side src, dst;
	struct chan_proxy proxy;
	int devs;
	int queues;
	uint32_t from[CHAN_DEVS];	/* numbers of the packets to be read */
	uint32_t to[CHAN_DEVS];

	struct agent source, target;
	struct sender sender[CHAN_DEVS];
	char said[256];		/* to a source that speaks by hand */
};

/* @devs taps, tap0 and tap1, of @queues each, in a source; and a target. */
struct chan *chan_create(int devs, int queues);
void chan_destroy(struct chan *c);
/* Plans as at the start. */
void chan_plan(struct chan *c, uint32_t transport);
/* One handover by plan; the results are there when it returns. */
void chan_run(struct chan *c);
/* The same through the proxy. */
void chan_run_proxy(struct chan *c);
/* Source and target change places: the devices are the target's now. */
void chan_swap(struct chan *c);
/* New processes for those that were killed; devices, if they are gone. */
int chan_revive(struct chan *c);

/* Packets to each device. */
int chan_send(struct chan *c, uint32_t n);
/*
 * Whether @who has all devices, and what was sent to them comes out, all of it,
 * in order, and they are as they were set up: 0, or what is wrong.
 */
long chan_owns(struct chan *c, struct agent *who);
/* Whether no device is left. */
bool chan_are_gone(const struct chan *c);
/* Whether no handover is under way any more, soon. */
bool chan_is_idle(void);

/* chan_proxy.c: sockets of one of the names, or of TCP; -errno. */
int chan_listen(const char *name, bool tcp);
int chan_connect(const char *name, bool tcp);
/* Pass on what comes, for each of @legs sockets, until both sides end. */
void chan_proxy(struct chan *c, const int listen_sock[2], int legs);

/* Make the tap of that number. */
long chan_open_tap(struct agent_self *self, long dev, long queues);
/* In hooks: the plan; the tap, and the sockets in use, of this process. */
struct chan *chan_shared(void);
struct tap *chan_tap(int dev);
int chan_sock(bool late);
/* Orders to an agent: its user from now on; to hold a queue's file once more */
long chan_be_user(struct agent_self *self, long uid, long unused);
long chan_hold_file(struct agent_self *self, long dev, long on);

#endif /* SELFTESTS_CHAN_H */
