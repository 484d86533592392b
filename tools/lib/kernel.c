// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel knows of a handover on a channel. Where the two sides cannot
 * know of each other, its word decides.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "channel.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE	71
#endif
#ifndef SIOCGSKNS
#define SIOCGSKNS	0x894c
#endif

/* The claim's stop on its way back: it only has to be there, and to go. */
#define STOP_STACK	16384
#define STOP_SECONDS	10

/* How long a claim may take to end once its claimant has exited */
#define END_MS		5000

/* Its state now, or TAPXFER_STATE_DRAINING when it has ended */
unsigned int txl_dev_state(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_handover_get(ch->tx, dev->id, &ho);
	if (err)
		return err == -ENOENT ? TAPXFER_STATE_DRAINING : 0;
	txl_dev_told(dev, ho);
	return (unsigned int)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE);
}

/* Who has a queue's file beside the claimant: without one, whoever has it */
static uint64_t queue_others(const struct tapxfer_info *queue)
{
	return tapxfer_info_u64(queue,
				tapxfer_info_has(queue, TAPXFER_A_QUEUE_OTHERS) ?
				TAPXFER_A_QUEUE_OTHERS :
				TAPXFER_A_QUEUE_HOLDERS);
}

/*
 * Whether more than @allowed references to a queue's file are others' than the
 * claimant's, as txl_dev_state() was told: -EBUSY names the queue.
 */
int txl_others(struct tapxfer_channel *ch, const struct txl_dev *dev,
	       uint32_t allowed)
{
	const struct tapxfer_info *queue;
	uint64_t others;
	size_t i = 0;

	for_each_nest(queue, dev->ho, TAPXFER_A_HANDOVER_QUEUE) {
		others = queue_others(queue);
		if (others > allowed)
			return txl_error_set(ch->tx, -EBUSY,
					     "queue %zu of '%s' is held by others than source and target (%llu)",
					     i, dev->name, (unsigned long long)
					     (others - allowed));
		i++;
	}
	return 0;
}

/*
 * Whether nobody has a device's files any more, but for the handover, and the
 * claimant if there is one: an abort would be their end.
 */
bool txl_let_go(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int64_t end = txl_now_ms() + TXL_MOMENT_MS;
	unsigned int state;

	for (;;) {
		state = txl_dev_state(ch, dev);
		if (!state || state == TAPXFER_STATE_DRAINING)
			return false;
		if (!txl_others(ch, dev, 0))
			return true;
		if (txl_now_ms() >= end)
			return false;
		usleep(TXL_POLL_US);
	}
}

/* Whether anybody has one of them, the claimant too; as was told last */
static bool held_by_any(const struct txl_dev *dev)
{
	const struct tapxfer_info *queue;
	size_t n = 0;

	for_each_nest(queue, dev->ho, TAPXFER_A_HANDOVER_QUEUE) {
		if (tapxfer_info_u64(queue, TAPXFER_A_QUEUE_HOLDERS))
			return true;
		n++;
	}
	/* what was not told may be */
	return n < dev->nqueues;
}

/* -- how it ended -------------------------------------------------------- */

static bool same_netns(struct tapxfer *a, struct tapxfer *b)
{
	uint64_t ours = 0, theirs = 1;
	socklen_t len = sizeof(ours);

	return !getsockopt(tapxfer_fd(a), SOL_SOCKET, SO_NETNS_COOKIE, &ours,
			   &len) &&
	       !getsockopt(tapxfer_fd(b), SOL_SOCKET, SO_NETNS_COOKIE, &theirs,
			   &len) &&
	       ours == theirs;
}

/* For a handle that tapxfer_open_netns() gave, so that we may do so again. */
static struct tapxfer *open_beside(struct tapxfer *other)
{
	int fd = ioctl(tapxfer_fd(other), SIOCGSKNS);
	struct tapxfer *tx = NULL;

	if (fd < 0)
		return NULL;
	if (tapxfer_open_netns(&tx, fd))
		tx = NULL;
	close(fd);
	return tx;
}

/*
 * Events tell how a handover has ended, which nothing else does afterwards. The
 * handle for them has to be of the same network namespace as the caller's. It
 * listens later: nobody needs the events of before the source lets go, and the
 * kernel would make them while packets are held.
 */
void txl_events_open(struct tapxfer_channel *ch)
{
	struct tapxfer *tx;

	if (tapxfer_open(&tx))
		tx = NULL;
	if (tx && !same_netns(tx, ch->tx)) {
		tapxfer_close(tx);
		tx = open_beside(ch->tx);
	}
	ch->events = tx;
}

/* From now on */
void txl_events_listen(struct tapxfer_channel *ch)
{
	if (ch->events && tapxfer_subscribe(ch->events)) {
		tapxfer_close(ch->events);
		ch->events = NULL;
	}
}

static void event_take(struct tapxfer_channel *ch,
		       const struct tapxfer_info *ev)
{
	uint64_t id = tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_ID);
	unsigned int event = (unsigned int)
			     tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_EVENT);
	struct txl_dev *dev;

	if (event != TAPXFER_EVENT_THAWED && event != TAPXFER_EVENT_ABORTED &&
	    event != TAPXFER_EVENT_EXPIRED && event != TAPXFER_EVENT_GONE)
		return;
	for_each_transfer(dev, ch)
		if (dev->id == id && !dev->ended)
			dev->ended = event;
}

/*
 * The event that ended a handover which is there no more, or 0: nobody can tell.
 * It is sent a little later than the handover goes.
 */
unsigned int txl_dev_ended(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int64_t end = txl_now_ms() + TXL_MOMENT_MS, left;
	struct tapxfer_info *ev;
	int err = 0;

	while (ch->events && !dev->ended &&
	       (!err || err == -EINTR || err == -ENOBUFS)) {
		left = end - txl_now_ms();
		err = tapxfer_event_next(ch->events, left > 0 ? (int)left : 0,
					 &ev);
		if (!err) {
			event_take(ch, ev);
			tapxfer_info_free(ev);
		}
	}
	return dev->ended;
}

/* -- a claim that is taken back ------------------------------------------ */

/*
 * It shares our memory, and the calling thread's own with it: errno, and what libc
 * notes there around calls at which a thread can be cancelled. So it makes none of
 * these, and none that can fail.
 */
static int stop_main(void *unused)
{
	struct timespec ts = { .tv_sec = STOP_SECONDS };

	(void)unused;
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	syscall(SYS_ppoll, NULL, 0, &ts, NULL, 0);
	syscall(SYS_exit_group, 0);
	return 0;
}

/*
 * A process of our own that nobody hears of: no SIGCHLD, no copy of memory. But
 * another thread may wait for all children there are, so that its number can be
 * somebody else's once it has ended: it is ended by a descriptor.
 */
static pid_t stop_start(void **stack, int *pidfd)
{
	sigset_t all, old;
	pid_t pid;
	int err;

	*stack = malloc(STOP_STACK);
	if (!*stack)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = clone(stop_main, (char *)*stack + STOP_STACK,
		    CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_PIDFD, NULL,
		    pidfd);
	err = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid > 0)
		return pid;
	free(*stack);
	*stack = NULL;
	return err;
}

static void stop_end(int pidfd, void *stack)
{
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* nobody to wait for: somebody has, and it needs its stack no more */
	while (waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED | __WALL) < 0 &&
	       errno == EINTR)
		;
	close(pidfd);
	free(stack);
}

/*
 * Take a claim from a target that does not give it up: the token gives the
 * right to pass it on, and the claim of a process that exits ends. 0: it is
 * frozen, for us to claim; or another state, or -errno.
 *
 * From ready on the target may have attached a vhost backend, which goes on
 * using the queues and the guest's memory, whoever has the claim: it is left
 * alone then (-EBUSY), as long as anybody has the files.
 */
int txl_steal(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int64_t end = txl_now_ms() + END_MS;
	unsigned int state = txl_dev_state(ch, dev);
	pid_t pid, claimant;
	int pidfd, err;
	void *stack;

	if (state == TAPXFER_STATE_READY && held_by_any(dev))
		return -EBUSY;
	claimant = (pid_t)tapxfer_info_u64(dev->ho,
					   TAPXFER_A_HANDOVER_CLAIMANT);
	pid = stop_start(&stack, &pidfd);
	if (pid < 0)
		return pid;
	err = txl_pass(ch->tx, dev->id, &dev->token, pid, NULL);
	/* as it is not the claimant any more it cannot get ready from here on */
	if (!err && txl_dev_state(ch, dev) == TAPXFER_STATE_READY &&
	    held_by_any(dev)) {
		txl_pass(ch->tx, dev->id, &dev->token, claimant, NULL);
		err = -EBUSY;
	}
	stop_end(pidfd, stack);
	if (err)
		return err;
	do {
		state = txl_dev_state(ch, dev);
		if (state == TAPXFER_STATE_FROZEN)
			return 0;
		if (state == TAPXFER_STATE_DRAINING)
			return -ENOENT;
		usleep(1000);
	} while (txl_now_ms() < end);
	return -ETIMEDOUT;
}
