// SPDX-License-Identifier: GPL-2.0
/*
 * Which device a file belongs to cannot be forged: not by a thread that rewrites
 * the memory in which the driver is asked, nor by devices that change places.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest_harness.h>
#include <net/if_arp.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define TRIES	2000
#define OWN_TRIES 300	/* of which most begin a handover and end it */

FIXTURE(probe) {
	struct tap mine;
	struct tap victim;
	struct genl g;
};

FIXTURE_VARIANT(probe) {
	int flags;
};

FIXTURE_VARIANT_ADD(probe, tap) {
	.flags = IFF_TAP | IFF_NO_PI,
};

FIXTURE_VARIANT_ADD(probe, multiqueue_tap) {
	.flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
};

FIXTURE_VARIANT_ADD(probe, tun) {
	.flags = IFF_TUN | IFF_NO_PI,
};

/* By a file, and for a tun there may be no other of its name. */
static bool is_told(struct genl *g, const struct tap *tap)
{
	genl_new(g, TAPXFER_CMD_DEV_GET);
	mnl_attr_put_u32(g->req, TAPXFER_A_DEV_IFINDEX, tap->ifindex);
	mnl_attr_put_u32(g->req, TAPXFER_A_DEV_FD, tap->fds[0]);
	return !genl_talk(g);
}

FIXTURE_SETUP(probe)
{
	/* no mapping of ours where the module has had its own */
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_ARENA_MAX, 1);
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->mine, "mine0", 1, variant->flags));
	ASSERT_EQ(0, tap_open(&self->victim, "victim0", 1, variant->flags));
	ASSERT_EQ(0, genl_open(&self->g));
	/* Those of the test before go when its last handover has drained. */
	ASSERT_TRUE(wait_until(is_told(&self->g, &self->mine) &&
			       is_told(&self->g, &self->victim), SOON_MS));
}

FIXTURE_TEARDOWN(probe)
{
	genl_close(&self->g);
	tap_close(&self->mine);
	tap_close(&self->victim);
}

/* -- a thread that rewrites the request ------------------------------------- */

/* Pages where the module may map its own */
#define PLACES	8

struct hammer {
	pthread_t thread;
	bool stop;
	int lies;		/* a file of what is written */
	size_t nlies;
	void *place[PLACES];	/* where the module may map its page */
	uint64_t hits;		/* writes that found a page there */
};

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	unsigned int i = 0;

	/* A read into memory that is not there fails, and does no harm. */
	while (!__atomic_load_n(&h->stop, __ATOMIC_RELAXED)) {
		off_t lie = i / PLACES % h->nlies * sizeof(struct ifreq);

		if (pread(h->lies, h->place[i % PLACES], sizeof(struct ifreq),
			  lie) > 0)
			h->hits++;
		i++;
	}
	return NULL;
}

/* The next pages that the kernel would give are those that it gave us last. */
static int hammer_aim(struct hammer *h)
{
	long size = sysconf(_SC_PAGESIZE);
	int i;

	for (i = 0; i < PLACES; i++) {
		h->place[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (h->place[i] == MAP_FAILED)
			return -errno;
	}
	for (i = 0; i < PLACES; i++)
		munmap(h->place[i], size);
	/* the first alone, most of the time */
	for (i = 1; i < PLACES; i += 2)
		h->place[i] = h->place[0];
	return 0;
}

static int hammer_start(struct hammer *h, const char *name)
{
	static const short flags[] = {
		IFF_TAP | IFF_NO_PI, IFF_TUN | IFF_NO_PI, 0, -1,
		IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
	};
	struct ifreq lie = {};
	size_t i;

	memset(h, 0, sizeof(*h));
	h->lies = memfd_create("lies", MFD_CLOEXEC);
	if (h->lies < 0)
		return -errno;
	strcpy(lie.ifr_name, name);
	for (i = 0; i < ARRAY_SIZE(flags); i++, h->nlies++) {
		lie.ifr_flags = flags[i];
		if (write(h->lies, &lie, sizeof(lie)) != sizeof(lie))
			return -EIO;
	}
	/* one that is not refused for its family, and has another address */
	memset(&lie.ifr_hwaddr, 2, sizeof(lie.ifr_hwaddr));
	lie.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (write(h->lies, &lie, sizeof(lie)) != sizeof(lie))
		return -EIO;
	h->nlies++;

	/* the thread's stack is mapped before it is known where to aim */
	memset(h->place, 0, sizeof(h->place));
	if (pthread_create(&h->thread, NULL, hammer_run, h))
		return -EAGAIN;
	return hammer_aim(h);
}

static void hammer_stop(struct hammer *h)
{
	__atomic_store_n(&h->stop, true, __ATOMIC_RELAXED);
	pthread_join(h->thread, NULL);
	close(h->lies);
}

static int ask(struct genl *g, uint8_t cmd, const struct tap *dev,
	       const struct tap *files)
{
	genl_begin(g, cmd, dev->ifindex, files->fds, files->n);
	return genl_talk(g);
}

static int end(struct genl *g)
{
	genl_go_on(g, TAPXFER_CMD_ABORT, genl_u32(g, TAPXFER_A_HANDOVER_ID),
		   NULL);
	return genl_talk(g);
}

static bool in_handover(struct genl *g, const struct tap *tap)
{
	genl_new(g, TAPXFER_CMD_DEV_GET);
	mnl_attr_put_u32(g->req, TAPXFER_A_DEV_IFINDEX, tap->ifindex);
	return genl_talk(g) || genl_attr(g, TAPXFER_A_DEV_HANDOVER);
}

/* Nobody gets a device that it has no file of. */
TEST_F_TIMEOUT(probe, a_victims_device_with_files_of_ones_own, 100)
{
	struct link_info before[2], after[2];
	struct hammer h;
	int i, err;

	ASSERT_EQ(0, link_info(self->mine.ifindex, &before[0]));
	ASSERT_EQ(0, link_info(self->victim.ifindex, &before[1]));
	ASSERT_EQ(0, hammer_start(&h, "victim0"));
	for (i = 0; i < TRIES; i++) {
		err = ask(&self->g, i % 2 ? TAPXFER_CMD_PREPARE :
					    TAPXFER_CMD_FREEZE,
			  &self->victim, &self->mine);
		/* what a forged IFF_NAPI_FRAGS would give comes later */
		ASSERT_EQ(-EXDEV, err) {
			TH_LOG("try %d: %s", i, self->g.msg);
		}
	}
	hammer_stop(&h);
	TH_LOG("%d tries, %llu writes", TRIES, (unsigned long long)h.hits);
	/* or the test has tried nothing */
	EXPECT_LT(0, h.hits);
	EXPECT_FALSE(in_handover(&self->g, &self->victim));
	ASSERT_EQ(0, link_info(self->mine.ifindex, &after[0]));
	ASSERT_EQ(0, link_info(self->victim.ifindex, &after[1]));
	EXPECT_EQ(0, memcmp(before, after, sizeof(after)));
}

/* One's own is handed over, or it fails; nothing happens to anybody's. */
TEST_F_TIMEOUT(probe, ones_own_device_with_ones_own_files, 100)
{
	struct link_info before[2], after[2];
	struct tap_settings was, is;
	int i, err, done = 0, refused = 0;
	struct hammer h;

	ASSERT_EQ(0, link_info(self->mine.ifindex, &before[0]));
	ASSERT_EQ(0, link_info(self->victim.ifindex, &before[1]));
	ASSERT_EQ(0, tap_settings(self->mine.fds[0], &was));
	ASSERT_EQ(0, hammer_start(&h, "victim0"));
	for (i = 0; i < OWN_TRIES; i++) {
		err = ask(&self->g, i % 2 ? TAPXFER_CMD_PREPARE :
					    TAPXFER_CMD_FREEZE,
			  &self->mine, &self->mine);
		if (err) {
			/* another family, no answer, forged flags */
			ASSERT_TRUE(err == -EXDEV || err == -EOPNOTSUPP) {
				TH_LOG("try %d: %d, %s", i, err, self->g.msg);
			}
			refused++;
			continue;
		}
		done++;
		ASSERT_EQ(self->mine.ifindex,
			  (int)genl_u32(&self->g, TAPXFER_A_HANDOVER_IFINDEX));
		ASSERT_EQ(0, end(&self->g));
	}
	hammer_stop(&h);
	TH_LOG("%d handovers, %d refused, %llu writes", done, refused,
	       (unsigned long long)h.hits);
	EXPECT_LT(0, h.hits);
	EXPECT_FALSE(in_handover(&self->g, &self->victim));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));

	ASSERT_EQ(0, link_info(self->mine.ifindex, &after[0]));
	ASSERT_EQ(0, link_info(self->victim.ifindex, &after[1]));
	EXPECT_EQ(0, memcmp(before, after, sizeof(after)));
	ASSERT_EQ(0, tap_settings(self->mine.fds[0], &is));
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	/* and without the thread it works */
	EXPECT_EQ(0, ask(&self->g, TAPXFER_CMD_FREEZE, &self->mine,
			 &self->mine));
	EXPECT_EQ(0, end(&self->g));
}

/* -- devices that change places ---------------------------------------------- */

/* The handover goes with the device, whoever has its name and its place. */
TEST_F(probe, a_device_that_moved_between_prepare_and_freeze)
{
	struct tap namesake;
	struct xfer x, there;
	int home, away;

	ASSERT_EQ(0, xfer_open(&x));
	ASSERT_EQ(0, xfer_begin(&x, &self->mine, TAPXFER_STATE_PREPARED, 0, 0));
	home = net_leave();
	ASSERT_LE(0, home);
	away = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, away);
	ASSERT_EQ(0, xfer_open(&there));
	ASSERT_EQ(0, net_enter(home));

	ASSERT_EQ(0, shell("ip link set mine0 netns /proc/%d/fd/%d", getpid(),
			   away));
	ASSERT_EQ(0, tap_open(&namesake, "mine0", 1, variant->flags));
	EXPECT_EQ(0, xfer_freeze(&x));

	/* not the namesake: it has none, and can be handed over itself */
	EXPECT_EQ(-ENOENT, xfer_state(&x));
	EXPECT_FALSE(in_handover(&self->g, &namesake));
	if (variant->flags & IFF_TAP) {
		EXPECT_EQ(0, ask(&self->g, TAPXFER_CMD_FREEZE, &namesake,
				 &namesake));
		EXPECT_EQ(0, end(&self->g));
	} else {
		/* a tun has but its name */
		EXPECT_EQ(-ENOTUNIQ, ask(&self->g, TAPXFER_CMD_FREEZE,
					 &namesake, &namesake));
	}
	there.id = x.id;
	there.token = x.token;
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&there));
	EXPECT_STREQ("mine0", tapxfer_info_str(there.info,
					       TAPXFER_A_HANDOVER_IFNAME));
	/* it was there already when the state was exported */
	EXPECT_EQ(0, xfer_u64(&there, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, xfer_abort(&there));
	there.id = 0;
	x.id = 0;
	xfer_close(&there);
	xfer_close(&x);
	tap_close(&namesake);
	close(home);
	close(away);
}

/* Two of the same name and number, in two netns: each is its own files'. */
TEST_F(probe, namesakes_in_two_netns)
{
	struct tapxfer_info *none;
	struct tap there;
	struct xfer x, y;
	int home, away;

	if (!(variant->flags & IFF_TAP)) {
		/* of a tun, the name is all; t_namesake has that */
		ASSERT_EQ(0, xfer_open(&x));
		EXPECT_EQ(0, xfer_begin(&x, &self->mine, TAPXFER_STATE_FROZEN,
					0, 0));
		xfer_close(&x);
		return;
	}
	ASSERT_EQ(0, xfer_open(&x));
	home = net_leave();
	ASSERT_LE(0, home);
	away = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, away);
	ASSERT_EQ(0, tap_open(&there, "mine0", 1, variant->flags));
	ASSERT_EQ(self->mine.ifindex, there.ifindex);
	ASSERT_EQ(0, xfer_open(&y));
	/* the files of the other one, in either netns */
	EXPECT_EQ(-EXDEV, xfer_begin(&y, &self->mine, TAPXFER_STATE_FROZEN, 0,
				     0));
	EXPECT_EQ(-EXDEV, xfer_begin(&x, &there, TAPXFER_STATE_FROZEN, 0, 0));
	/* its own; and the one is frozen while the other works */
	EXPECT_EQ(0, xfer_begin(&y, &there, TAPXFER_STATE_FROZEN, 0, 0));
	EXPECT_EQ(-EBUSY, tap_detach(there.fds[0], true));
	EXPECT_NE(-EBUSY, tap_detach(self->mine.fds[0], true));
	EXPECT_EQ(0, xfer_abort(&y));
	y.id = 0;
	/* both at a time */
	if (variant->flags & IFF_MULTI_QUEUE)
		ASSERT_EQ(0, tap_detach(self->mine.fds[0], false));
	EXPECT_EQ(0, xfer_begin(&x, &self->mine, TAPXFER_STATE_FROZEN, 0, 0));
	EXPECT_TRUE(wait_until(!xfer_begin(&y, &there, TAPXFER_STATE_FROZEN, 0,
					   0), SOON_MS));
	/* and each is seen in its own netns alone */
	EXPECT_EQ(-ENOENT, tapxfer_handover_get(x.tx, y.id, &none));
	EXPECT_EQ(-ENOENT, tapxfer_handover_get(y.tx, x.id, &none));
	xfer_close(&y);
	xfer_close(&x);
	tap_close(&there);
	ASSERT_EQ(0, net_enter(home));
	close(home);
	close(away);
}

/* A name that another device has got since. */
TEST_F(probe, names_that_were_swapped)
{
	int err;

	ASSERT_EQ(0, link_down("mine0"));
	ASSERT_EQ(0, link_down("victim0"));
	ASSERT_EQ(0, link_rename("mine0", "other0"));
	ASSERT_EQ(0, link_rename("victim0", "mine0"));
	ASSERT_EQ(0, link_rename("other0", "victim0"));
	EXPECT_EQ(-EXDEV, ask(&self->g, TAPXFER_CMD_PREPARE, &self->victim,
			      &self->mine));
	EXPECT_EQ(-EXDEV, ask(&self->g, TAPXFER_CMD_PREPARE, &self->mine,
			      &self->victim));
	err = ask(&self->g, TAPXFER_CMD_PREPARE, &self->mine, &self->mine);
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, end(&self->g));
}

TEST_HARNESS_MAIN
