// SPDX-License-Identifier: GPL-2.0
/*
 * A tun (layer 3) device is known by its name alone, and names are those of a
 * network namespace: files of a namesake are never taken for its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <kselftest_harness.h>

#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"

#define TUN		(IFF_TUN | IFF_NO_PI)
#define ROUNDS		8
#define TRIES		20000

/* Lives in a network namespace of its own until it is killed. */
static int lodger_run(void *arg)
{
	if (unshare(CLONE_NEWNET))
		return 1;
	if (write(*(int *)arg, "x", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static int prepare(struct genl *g, const char *name, int fd)
{
	genl_begin(g, TAPXFER_CMD_PREPARE, if_nametoindex(name), &fd, 1);
	return genl_talk(g);
}

FIXTURE(namesake) {
	struct tap victim;
	struct genl g;
	int netns;
};

FIXTURE_SETUP(namesake)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->victim, "vt0", 1, TUN));
	ASSERT_EQ(0, genl_open(&self->g));
	self->netns = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_LE(0, self->netns);
}

FIXTURE_TEARDOWN(namesake)
{
	close(self->netns);
	genl_close(&self->g);
	tap_close(&self->victim);
}

TEST_F(namesake, in_another_netns_is_refused_and_told)
{
	int other;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	other = tap_queue("vt0", TUN);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, net_enter(self->netns));

	EXPECT_EQ(-ENOTUNIQ, prepare(&self->g, "vt0", other));
	EXPECT_EQ(-ENOTUNIQ, prepare(&self->g, "vt0", self->victim.fds[0]));
	EXPECT_STREQ("another tun or tap of this host has the tun's name, rename one",
		     self->g.msg);
	close(other);
	/* gone, and the name is a proof again */
	EXPECT_TRUE(wait_until(!prepare(&self->g, "vt0", self->victim.fds[0]),
			       SOON_MS));
	genl_go_on(&self->g, TAPXFER_CMD_ABORT,
		   genl_u32(&self->g, TAPXFER_A_HANDOVER_ID), NULL);
	EXPECT_EQ(0, genl_talk(&self->g));
}

/* Such a one is in no list of namespaces any more, but its files still tell. */
TEST_F(namesake, in_a_netns_that_is_dying_is_not_forgotten)
{
	int round, i, err, other, pipefd[2];
	pid_t lodger;
	char c;

	ASSERT_EQ(0, pipe(pipefd));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, unshare(CLONE_NEWNET));
		other = tap_queue("vt0", TUN);
		ASSERT_LE(0, other);
		lodger = child_start(lodger_run, &pipefd[1]);
		ASSERT_EQ(1, read(pipefd[0], &c, 1));
		ASSERT_EQ(0, shell("ip link set vt0 netns %d", lodger));
		ASSERT_EQ(0, net_enter(self->netns));
		child_kill(lodger);

		for (i = 0, err = 0; i < TRIES && err != -EBADFD; i++) {
			err = prepare(&self->g, "vt0", other);
			ASSERT_GT(0, err) {
				TH_LOG("round %d, try %d: a foreign file passed",
				       round, i);
			}
		}
		/* until the device was gone */
		EXPECT_EQ(-EBADFD, err);
		close(other);
	}
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_HARNESS_MAIN
