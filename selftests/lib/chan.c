// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chan.h"
#include "net.h"
#include "util.h"

#define FLOWS	16

static struct chan *shared;		/* by all processes */
static struct tap taps[CHAN_DEVS];	/* each process has its own */
static int listening[2] = { -1, -1 };
static int sockets[2] = { -1, -1 };	/* in use */
static int held = -1;

struct chan *chan_shared(void)
{
	return shared;
}

struct tap *chan_tap(int dev)
{
	return &taps[dev];
}

int chan_sock(bool late)
{
	return sockets[late];
}

long chan_be_user(struct agent_self *self, long uid, long unused)
{
	return seteuid(uid) ? -errno : 0;
}

long chan_hold_file(struct agent_self *self, long dev, long on)
{
	if (on)
		held = dup(taps[dev].fds[taps[dev].n - 1]);
	else
		close(held);
	return held < 0 ? -errno : 0;
}

/* -- one side ------------------------------------------------------------ */

static int channel(struct agent_self *self, struct chan_side *side, int sock,
		   struct tapxfer_channel **ch)
{
	struct tapxfer_opts limits = {
		.size = sizeof(limits),
		.set = TAPXFER_OPT_DEADLINE,
		.deadline = side->deadline ?: XFER_PATIENCE_MS,
	};
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT | side->set,
		.sock = sock,
		.flags = side->flags,
		.transport = side->transport,
		.local = side->local,
		.timeout = side->timeout ?: (uint32_t)SOON_MS,
		.peer_uid = side->peer_uid,
		.peer_pid = side->peer_pid,
		.require = side->require,
		.takes = side->takes,
		.handover = &limits,
	};

	return tapxfer_channel_new(self->x.tx, &opts, ch);
}

static int add(struct tapxfer_channel *ch, struct chan_side *side, bool source)
{
	char name[8];
	int i, err;

	for (i = 0; i < shared->devs && (source || side->adds); i++) {
		snprintf(name, sizeof(name), "net%d", i);
		err = tapxfer_channel_add(ch, name, 0,
					  source ? taps[i].fds : NULL,
					  source ? taps[i].n : 0,
					  side->dev_flags[i]);
		if (err)
			return err;
	}
	return 0;
}

static int step(struct chan_side *side, enum chan_step to,
		struct tapxfer_channel *ch, struct agent_self *self)
{
	long err;

	side->step = to;
	if (!side->hook || side->hook_at != to)
		return 0;
	err = side->hook(ch, self);
	return err;
}

static int late_socket(const struct chan_side *side, const char *name)
{
	if (!(side->flags & TAPXFER_CHANNEL_EARLY))
		return -1;
	sockets[1] = name ? chan_connect(name, false) :
			    accept4(listening[1], NULL, NULL, SOCK_CLOEXEC);
	return sockets[1];
}

static int source_steps(struct agent_self *self, struct chan_side *side,
			struct tapxfer_channel *ch, const char *late_name)
{
	int err, late;

	err = step(side, CHAN_AGREE, ch, self) ?: tapxfer_send(ch);
	if (!err)
		err = step(side, CHAN_HOLD, ch, self) ?: tapxfer_send_hold(ch);
	if (err)
		return err;
	late = late_socket(side, late_name);
	err = step(side, CHAN_STATE, ch, self) ?: tapxfer_send_state(ch, late);
	if (!err)
		err = step(side, CHAN_END, ch, self) ?:
		      tapxfer_send_release(ch);
	if (!err)
		side->step = CHAN_ALL;
	/* the channel has it until it is freed */
	return err;
}

static int target_steps(struct agent_self *self, struct chan_side *side,
			struct tapxfer_channel *ch)
{
	int err, late;

	err = step(side, CHAN_AGREE, ch, self) ?: tapxfer_recv(ch);
	if (err)
		return err;
	late = late_socket(side, NULL);
	err = step(side, CHAN_STATE, ch, self) ?: tapxfer_recv_state(ch, late);
	if (!err && side->refuse) {
		tapxfer_channel_refuse(ch, side->refuse, "as the test has it");
		return side->refuse;
	}
	if (!err)
		err = step(side, CHAN_ACCEPT, ch, self) ?:
		      tapxfer_recv_accept(ch);
	if (!err)
		err = step(side, CHAN_END, ch, self) ?: tapxfer_recv_thaw(ch);
	if (!err)
		side->step = CHAN_ALL;
	return err;
}

static void note(struct chan_side *side, struct agent_self *self,
		 struct tapxfer_channel *ch, int err)
{
	size_t i;

	side->err = err;
	snprintf(side->text, sizeof(side->text), "%s",
		 err ? tapxfer_error(self->x.tx) : "");
	if (!ch)
		return;
	side->peer_features = tapxfer_channel_features(ch);
	side->count = tapxfer_channel_count(ch);
	for (i = 0; i < side->count && i < CHAN_DEVS; i++) {
		side->outcome[i] = tapxfer_channel_outcome(ch, i);
		snprintf(side->name[i], sizeof(side->name[i]), "%s",
			 tapxfer_channel_name(ch, i));
		if (tapxfer_channel_handover(ch, i))
			side->id[i] = tapxfer_info_u64(
				tapxfer_channel_handover(ch, i),
				TAPXFER_A_HANDOVER_ID);
	}
}

/* Sockets that a step has opened; tap files and the library's stay. */
static void close_sockets(int from)
{
	int fd, type;
	socklen_t len;

	for (fd = from; fd < from + 64; fd++) {
		len = sizeof(type);
		if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
			close(fd);
	}
}

static int lowest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void limit(const struct chan_side *side, struct rlimit *old)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, old);
	lim = *old;
	if (side->nofile >= 0)
		lim.rlim_cur = lowest() + side->nofile;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static long run_source(struct agent_self *self, long proxy, long unused)
{
	struct chan_side *side = &shared->src;
	struct tapxfer_channel *ch = NULL;
	int from = lowest();
	int fds = count_fds();
	struct rlimit old;
	int sock, err;

	side->step = CHAN_NEW;
	side->begun = true;
	sock = chan_connect(proxy ? CHAN_PROXY : CHAN_TARGET, side->tcp);
	sockets[0] = sock;
	limit(side, &old);
	err = channel(self, side, sock, &ch);
	if (!err)
		err = add(ch, side, true);
	if (!err)
		err = source_steps(self, side, ch,
				   proxy ? CHAN_PROXY_LATE : CHAN_TARGET_LATE);
	note(side, self, ch, err);
	tapxfer_channel_free(ch);
	setrlimit(RLIMIT_NOFILE, &old);
	close_sockets(from);
	side->fds = count_fds() - fds;
	return 0;
}

/* What moved is ours now. */
static void take_taps(struct tapxfer_channel *ch)
{
	size_t i;

	for (i = 0; i < tapxfer_channel_count(ch); i++) {
		if (tapxfer_channel_outcome(ch, i) != TAPXFER_OUTCOME_MOVED)
			continue;
		taps[i].n = tapxfer_channel_fds(ch, i, taps[i].fds, TAP_MAX);
		taps[i].hdr = 12;
		strcpy(taps[i].name, i ? "tap1" : "tap0");
	}
}

static long target_listen(struct agent_self *self, long unused, long unused2)
{
	listening[0] = chan_listen(CHAN_TARGET, shared->dst.tcp);
	listening[1] = chan_listen(CHAN_TARGET_LATE, false);
	return listening[0] < 0 ? listening[0] :
	       listening[1] < 0 ? listening[1] : 0;
}

static long run_target(struct agent_self *self, long unused, long unused2)
{
	struct chan_side *side = &shared->dst;
	struct tapxfer_channel *ch = NULL;
	int from = lowest(), fds = count_fds() - 2, sock, err;
	struct rlimit old;

	side->step = CHAN_NEW;
	side->begun = true;
	sock = accept4(listening[0], NULL, NULL, SOCK_CLOEXEC);
	sockets[0] = sock;
	limit(side, &old);
	err = channel(self, side, sock, &ch);
	if (!err)
		err = add(ch, side, false);
	if (!err)
		err = target_steps(self, side, ch);
	note(side, self, ch, err);
	if (ch)
		take_taps(ch);
	tapxfer_channel_free(ch);
	setrlimit(RLIMIT_NOFILE, &old);
	close(listening[0]);
	close(listening[1]);
	close_sockets(from);
	side->fds = count_fds() - fds;
	return 0;
}

/* -- a run --------------------------------------------------------------- */

static void *source_thread(void *proxy)
{
	if (agent_call(&shared->source, NULL, run_source, !!proxy, 0))
		shared->src.err = -EOWNERDEAD;
	return NULL;
}

static void *target_thread(void *unused)
{
	if (agent_call(&shared->target, NULL, run_target, 0, 0))
		shared->dst.err = -EOWNERDEAD;
	return NULL;
}

static void clear(struct chan_side *side)
{
	size_t i;

	side->begun = false;
	side->err = -EINPROGRESS;
	side->text[0] = '\0';
	side->fds = 0;
	side->count = 0;
	for (i = 0; i < CHAN_DEVS; i++) {
		side->outcome[i] = TAPXFER_OUTCOME_PENDING;
		side->id[i] = 0;
	}
}

static void run(struct chan *c, bool proxy)
{
	bool early = c->src.flags & TAPXFER_CHANNEL_EARLY;
	int socks[2] = { -1, -1 };
	pthread_t s, t;

	clear(&c->src);
	clear(&c->dst);
	c->proxy.frames = 0;
	c->proxy.passed[0] = c->proxy.passed[1] = 0;
	if (agent_call(&c->target, NULL, target_listen, 0, 0)) {
		c->src.err = c->dst.err = -EADDRINUSE;
		return;
	}
	if (proxy) {
		socks[0] = chan_listen(CHAN_PROXY, false);
		socks[1] = chan_listen(CHAN_PROXY_LATE, false);
	}
	pthread_create(&t, NULL, target_thread, NULL);
	pthread_create(&s, NULL, source_thread, proxy ? c : NULL);
	if (proxy) {
		/* whoever is killed has got his order */
		wait_until(c->src.begun && c->dst.begun, SOON_MS);
		chan_proxy(c, socks, early ? 2 : 1);
		close(socks[0]);
		close(socks[1]);
		/* a target that waits for a second socket has waited enough */
		if (early)
			close(chan_connect(CHAN_TARGET_LATE, false));
	}
	pthread_join(s, NULL);
	/* what the source never connects to the target waits for */
	close(chan_connect(CHAN_TARGET, c->dst.tcp));
	if (early)
		close(chan_connect(CHAN_TARGET_LATE, false));
	pthread_join(t, NULL);
}

void chan_run(struct chan *c)
{
	run(c, false);
}

void chan_run_proxy(struct chan *c)
{
	run(c, true);
}

/* -- devices and processes ----------------------------------------------- */

long chan_open_tap(struct agent_self *self, long dev, long queues)
{
	char name[IFNAMSIZ];
	int err;

	snprintf(name, sizeof(name), "tap%ld", dev);
	err = tap_open(&taps[dev], name, queues, TAP_VM);
	return err ?: tap_set_nonblock(&taps[dev], true);
}

static int boot(struct chan *c)
{
	int i, err;

	for (i = 0; i < c->devs; i++) {
		err = agent_call(&c->source, NULL, chan_open_tap, i, c->queues);
		if (!err)
			err = sender_open(&c->sender[i],
					  if_nametoindex(i ? "tap1" : "tap0"),
					  FLOWS);
		if (err)
			return err;
		c->sender[i].seq = c->to[i];
		c->from[i] = c->to[i];
	}
	return 0;
}

void chan_plan(struct chan *c, uint32_t transport)
{
	int i;

	memset(&c->src, 0, sizeof(c->src));
	memset(&c->dst, 0, sizeof(c->dst));
	memset(&c->proxy, 0, sizeof(c->proxy));
	c->src.nofile = c->dst.nofile = -1;
	c->src.transport = transport;
	for (i = 0; i < CHAN_DEVS; i++) {
		c->src.dev_flags[i] = TAPXFER_DEV_TRANSFER;
		c->dst.dev_flags[i] = TAPXFER_DEV_TRANSFER;
	}
}

struct chan *chan_create(int devs, int queues)
{
	struct chan *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	shared = c;
	c->devs = devs;
	c->queues = queues;
	chan_plan(c, TAPXFER_TRANSPORT_TOKEN);
	if (agent_start(&c->source) || agent_start(&c->target) || boot(c)) {
		chan_destroy(c);
		return NULL;
	}
	return c;
}

void chan_destroy(struct chan *c)
{
	int i;

	if (!c)
		return;
	agent_kill(&c->source);
	agent_kill(&c->target);
	for (i = 0; i < c->devs; i++)
		sender_close(&c->sender[i]);
	munmap(c, sizeof(*c));
}

void chan_swap(struct chan *c)
{
	struct agent a = c->source;

	c->source = c->target;
	c->target = a;
}

static long close_taps(struct agent_self *self, long unused, long unused2)
{
	int i;

	for (i = 0; i < CHAN_DEVS; i++)
		tap_close(&taps[i]);
	return 0;
}

int chan_revive(struct chan *c)
{
	struct agent *all[] = { &c->source, &c->target };
	bool gone = chan_are_gone(c);
	int i, err;

	for (i = 0; i < 2; i++)
		if (all[i]->pid <= 0) {
			err = agent_start(all[i]);
			if (err)
				return err;
		}
	if (!gone)
		return 0;
	for (i = 0; i < 2; i++)
		agent_call(all[i], NULL, close_taps, 0, 0);
	for (i = 0; i < c->devs; i++)
		sender_close(&c->sender[i]);
	return boot(c);
}

int chan_send(struct chan *c, uint32_t n)
{
	int i, err;

	for (i = 0; i < c->devs; i++) {
		err = sender_send(&c->sender[i], n);
		if (err)
			return err;
		c->to[i] += n;
	}
	return 0;
}

/* What a VMM has set up, and nobody is to change */
static long check_settings(const struct tap *tap)
{
	struct tap_settings s;
	int i, err;

	for (i = 0; i < tap->n; i++) {
		err = tap_settings(tap->fds[i], &s);
		if (err)
			return err;
		if (s.hdr != 12 || !s.tso || !(s.fl & O_NONBLOCK) ||
		    strcmp(s.name, tap->name))
			return -EBADMSG;
	}
	return 0;
}

static long read_all(struct agent_self *self, long dev, long unused)
{
	uint32_t from = shared->from[dev], to = shared->to[dev];
	struct tap *tap = &taps[dev];
	struct tally t;
	long err;

	if (tap->n != shared->queues)
		return -ENODEV;
	err = check_settings(tap);
	if (err || tally_init(&t, to + 1))
		return err ?: -ENOMEM;
	if (tap_read_count(tap, &t, to - from) != to - from)
		err = -ENODATA;
	else if (t.dup || t.reordered || t.foreign ||
		 tally_lost(&t, to) != from)
		err = -EILSEQ;
	tally_free(&t);
	return err ?: tap_write_one(tap, 0, 1);
}

long chan_owns(struct chan *c, struct agent *who)
{
	long err;
	int i;

	for (i = 0; i < c->devs; i++) {
		err = agent_call(who, NULL, read_all, i, 0);
		if (err)
			return err;
		c->from[i] = c->to[i];
	}
	return 0;
}

bool chan_are_gone(const struct chan *c)
{
	return !if_nametoindex("tap0") &&
	       (c->devs < 2 || !if_nametoindex("tap1"));
}

static int is_live(const struct tapxfer_info *ho, void *n)
{
	if (tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE) !=
	    TAPXFER_STATE_DRAINING)
		++*(int *)n;
	return 0;
}

static int live(struct tapxfer *tx)
{
	int n = 0;

	return tapxfer_handover_list(tx, is_live, &n) ?: n;
}

bool chan_is_idle(void)
{
	struct tapxfer *tx;
	bool idle;

	if (tapxfer_open(&tx))
		return false;
	idle = wait_until(!live(tx), SOON_MS);
	tapxfer_close(tx);
	return idle;
}
