// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the caller gives for the driver's answers: it is used instead of a page
 * that the kernel maps, it has to be there, and it is the sender's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <linux/genetlink.h>

#include <kselftest_harness.h>

#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	2
#define NOBODY	65534
#define MARK	0xa5
#define MEET	5	/* times that each command has to meet a race */
#define ROUNDS	20	/* four pauses of who races, five commands */

static const uint8_t commands[] = {
	TAPXFER_CMD_PREPARE, TAPXFER_CMD_FREEZE, TAPXFER_CMD_CLAIM,
	TAPXFER_CMD_READY, TAPXFER_CMD_THAW,
};

/* Kilobytes of address space, as /proc/self/status tells */
static long vm_kb(const char *which)
{
	char line[128];
	long kb = -1;
	FILE *f;

	f = fopen("/proc/self/status", "r");
	while (f && kb < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, which, strlen(which)))
			sscanf(line + strlen(which), "%ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

FIXTURE(scratch) {
	struct tap tap;
	struct genl g;
	uint8_t *page;		/* and one behind it that is not there */
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
	int fds[QUEUES];	/* claimed */
};

FIXTURE_SETUP(scratch)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, genl_open(&self->g));
	self->page = mmap(NULL, 2 * getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, munmap(self->page + getpagesize(), getpagesize()));
	memset(self->page, MARK, getpagesize());
	self->id = 0;
}

FIXTURE_TEARDOWN(scratch)
{
	if (self->id) {
		genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id, self->token);
		EXPECT_EQ(0, genl_talk(&self->g));
	}
	genl_close(&self->g);
	tap_close(&self->tap);
	EXPECT_TRUE(wait_until(!module_users(), SOON_MS));
}

/* The next command of a handover, still to be given its memory */
static void make(struct __test_metadata *_metadata,
		 FIXTURE_DATA(scratch) *self, uint8_t cmd)
{
	if (cmd == TAPXFER_CMD_PREPARE) {
		genl_begin(&self->g, cmd, self->tap.ifindex, self->tap.fds,
			   QUEUES);
		return;
	}
	genl_go_on(&self->g, cmd, self->id, self->token);
	if (cmd == TAPXFER_CMD_READY || cmd == TAPXFER_CMD_THAW)
		mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
}

/* What the answer brings is for the commands that follow. */
static void take(struct __test_metadata *_metadata,
		 FIXTURE_DATA(scratch) *self, uint8_t cmd)
{
	const struct nlattr *token, *q, *a;
	int n = 0;

	if (cmd == TAPXFER_CMD_PREPARE) {
		self->id = genl_u32(&self->g, TAPXFER_A_HANDOVER_ID);
		token = genl_attr(&self->g, TAPXFER_A_HANDOVER_TOKEN);
		ASSERT_NE(NULL, token);
		memcpy(self->token, mnl_attr_get_payload(token),
		       sizeof(self->token));
	} else if (cmd == TAPXFER_CMD_CLAIM) {
		mnl_attr_for_each(q, (struct nlmsghdr *)self->g.reply,
				  sizeof(struct genlmsghdr)) {
			if (mnl_attr_get_type(q) != TAPXFER_A_HANDOVER_QUEUE)
				continue;
			mnl_attr_for_each_nested(a, q)
				if (mnl_attr_get_type(a) == TAPXFER_A_QUEUE_FD)
					self->fds[n++] = mnl_attr_get_u32(a);
		}
		ASSERT_EQ(QUEUES, n);
	} else if (cmd == TAPXFER_CMD_THAW) {
		self->id = 0;
		close(self->fds[0]);
		close(self->fds[1]);
	}
}

static void give(FIXTURE_DATA(scratch) *self, const volatile void *addr)
{
	mnl_attr_put_u64(self->g.req, TAPXFER_A_HANDOVER_SCRATCH,
			 (uintptr_t)addr);
}

/* Nobody has written to it. */
static bool marked(const FIXTURE_DATA(scratch) *self)
{
	int i;

	for (i = 0; i < getpagesize(); i++)
		if (self->page[i] != MARK)
			return false;
	return true;
}

/* Have the next page that is mapped be the most that ever was. */
static void fill_to_the_peak(struct __test_metadata *_metadata)
{
	long free = vm_kb("VmPeak:") - vm_kb("VmSize:");

	ASSERT_LE(0, free);
	if (free)
		ASSERT_NE(MAP_FAILED, mmap(NULL, free << 10, PROT_NONE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_EQ(vm_kb("VmPeak:"), vm_kb("VmSize:"));
}

/* Without receive_fd() a claim has pages mapped for what receives its files. */
static bool maps_anyway(uint8_t cmd)
{
	return cmd == TAPXFER_CMD_CLAIM && kernel_before(5, 15);
}

TEST_F(scratch, it_is_used_and_no_page_is_mapped)
{
	uint8_t *mem = self->page + 100;
	size_t i, j, used, told;
	long peak;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		make(_metadata, self, commands[i]);
		memset(self->page, MARK, getpagesize());
		give(self, mem);
		fill_to_the_peak(_metadata);
		peak = vm_kb("VmPeak:");
		ASSERT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
		if (!maps_anyway(commands[i]))
			EXPECT_EQ(peak, vm_kb("VmPeak:"))
				TH_LOG("command %d", commands[i]);
		take(_metadata, self, commands[i]);
		for (j = used = told = 0; j < (size_t)getpagesize(); j++) {
			if (self->page[j] == MARK)
				continue;
			used++;
			told += !!self->page[j];
			EXPECT_TRUE(j >= 100 && j < 100 + TAPXFER_SCRATCH_LEN)
				TH_LOG("command %d: byte %zu", commands[i], j);
		}
		/* cleared first; once ready nothing is asked of the files */
		EXPECT_EQ(TAPXFER_SCRATCH_LEN, used)
			TH_LOG("command %d", commands[i]);
		EXPECT_EQ(commands[i] != TAPXFER_CMD_THAW, !!told)
			TH_LOG("command %d", commands[i]);
	}
}

/* The measure is one: without it, each of them maps a page. */
TEST_F(scratch, without_it_a_page_is_mapped)
{
	long peak;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		make(_metadata, self, commands[i]);
		fill_to_the_peak(_metadata);
		peak = vm_kb("VmPeak:");
		ASSERT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
		/* once ready nothing is asked of the files */
		if (commands[i] != TAPXFER_CMD_THAW)
			EXPECT_LT(peak, vm_kb("VmPeak:"))
				TH_LOG("command %d", commands[i]);
		take(_metadata, self, commands[i]);
	}
}

/* The library gives some of its own. */
TEST_F(scratch, the_library_gives_it)
{
	struct tap target = {};
	struct xfer x;
	long peak;

	/* the allocator asks for no more than it has then */
	ASSERT_EQ(1, mallopt(M_TRIM_THRESHOLD, 16 << 20));
	ASSERT_EQ(1, mallopt(M_MMAP_THRESHOLD, 16 << 20));
	free(malloc(8 << 20));
	ASSERT_EQ(0, xfer_open(&x));
	ASSERT_EQ(0, xfer_begin(&x, &self->tap, TAPXFER_STATE_PREPARED, 0, 0));
	fill_to_the_peak(_metadata);
	peak = vm_kb("VmPeak:");
	EXPECT_EQ(0, xfer_freeze(&x));
	EXPECT_EQ(peak, vm_kb("VmPeak:"));
	EXPECT_EQ(0, xfer_claim(&x, &target));
	if (maps_anyway(TAPXFER_CMD_CLAIM))
		peak = vm_kb("VmPeak:");
	EXPECT_EQ(0, xfer_ready(&x, TAPXFER_THAW_SHARED));
	EXPECT_EQ(0, xfer_thaw_shared(&x));
	EXPECT_EQ(peak, vm_kb("VmPeak:"));
	tap_close(&target);
	xfer_close(&x);
}

TEST_F(scratch, memory_that_cannot_be_written)
{
	uint8_t *end = self->page + getpagesize();
	const uint8_t *bad[] = {
		NULL, (uint8_t *)16, end, end - TAPXFER_SCRATCH_LEN + 1,
		(uint8_t *)(1UL << 63), (uint8_t *)-1UL,
		mmap(NULL, getpagesize(), PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		mmap(NULL, getpagesize(), PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	int state = 0;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			make(_metadata, self, commands[i]);
			give(self, bad[j]);
			EXPECT_EQ(-EFAULT, genl_talk(&self->g))
				TH_LOG("command %d, address %p", commands[i],
				       bad[j]);
			EXPECT_STREQ("scratch is no memory that the caller can write to",
				     self->g.msg);
			EXPECT_EQ(TAPXFER_A_HANDOVER_SCRATCH,
				  self->g.bad_attr);
		}
		if (self->id) {
			genl_go_on(&self->g, TAPXFER_CMD_HANDOVER_GET, self->id,
				   NULL);
			ASSERT_EQ(0, genl_talk(&self->g));
			EXPECT_EQ(state, genl_u32(&self->g,
						  TAPXFER_A_HANDOVER_STATE));
		}
		/* up to its last byte */
		make(_metadata, self, commands[i]);
		give(self, end - TAPXFER_SCRATCH_LEN);
		ASSERT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
		state = genl_u32(&self->g, TAPXFER_A_HANDOVER_STATE);
		take(_metadata, self, commands[i]);
	}
}

/*
 * Who writes to a socket that it was given, as its log say, does not know what it
 * sends: nobody else says where its memory is to be written to.
 */
TEST_F(scratch, memory_of_who_did_not_open_the_socket)
{
	make(_metadata, self, TAPXFER_CMD_PREPARE);
	ASSERT_EQ(0, genl_talk(&self->g));
	take(_metadata, self, TAPXFER_CMD_PREPARE);

	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));

	/* the command is done all the same */
	make(_metadata, self, TAPXFER_CMD_FREEZE);
	give(self, self->page);
	EXPECT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
	EXPECT_TRUE(marked(self));
	genl_go_on(&self->g, TAPXFER_CMD_HANDOVER_GET, self->id, NULL);
	EXPECT_EQ(0, genl_talk(&self->g));
	EXPECT_EQ(TAPXFER_STATE_FROZEN,
		  genl_u32(&self->g, TAPXFER_A_HANDOVER_STATE));
}

/* The message is not its own: as the other one, it may be of any program. */
static int freeze_in_child(void *arg)
{
	FIXTURE_DATA(scratch) *self = arg;

	genl_go_on(&self->g, TAPXFER_CMD_FREEZE, self->id, self->token);
	give(self, self->page);
	if (genl_talk(&self->g))
		return 1;
	return marked(self) ? 0 : 2;
}

/* Of the same user with the same rights, but none that has opened the socket */
TEST_F(scratch, memory_of_another_process_of_the_same_user)
{
	pid_t pid;

	make(_metadata, self, TAPXFER_CMD_PREPARE);
	ASSERT_EQ(0, genl_talk(&self->g));
	take(_metadata, self, TAPXFER_CMD_PREPARE);
	pid = child_start(freeze_in_child, self);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, child_wait(pid, SOON_MS));
	genl_go_on(&self->g, TAPXFER_CMD_HANDOVER_GET, self->id, NULL);
	EXPECT_EQ(0, genl_talk(&self->g));
	EXPECT_EQ(TAPXFER_STATE_FROZEN,
		  genl_u32(&self->g, TAPXFER_A_HANDOVER_STATE));
}

static void *freeze_in_thread(void *arg)
{
	FIXTURE_DATA(scratch) *self = arg;

	genl_go_on(&self->g, TAPXFER_CMD_FREEZE, self->id, self->token);
	give(self, self->page);
	return genl_talk(&self->g) ? self : NULL;
}

/* But all of its threads are the process. */
TEST_F(scratch, memory_of_another_thread)
{
	pthread_t thread;
	void *failed;

	make(_metadata, self, TAPXFER_CMD_PREPARE);
	ASSERT_EQ(0, genl_talk(&self->g));
	take(_metadata, self, TAPXFER_CMD_PREPARE);
	ASSERT_EQ(0, pthread_create(&thread, NULL, freeze_in_thread, self));
	ASSERT_EQ(0, pthread_join(thread, &failed));
	ASSERT_EQ(NULL, failed) TH_LOG("%s", self->g.msg);
	EXPECT_FALSE(marked(self));
}

/*
 * Memory may keep the kernel waiting, with genetlink's lock. It is not looked at for
 * who has neither a file of the driver's nor the token.
 */
TEST_F(scratch, memory_of_who_may_not_ask)
{
	uint8_t token[TAPXFER_TOKEN_LEN];
	int fds[QUEUES];
	size_t i;

	fds[0] = self->tap.fds[0];
	fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fds[1]);
	genl_begin(&self->g, TAPXFER_CMD_PREPARE, self->tap.ifindex, fds,
		   QUEUES);
	give(self, self->page);
	EXPECT_EQ(-EOPNOTSUPP, genl_talk(&self->g));
	EXPECT_TRUE(marked(self));
	close(fds[1]);

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (self->id) {
			memcpy(token, self->token, sizeof(token));
			self->token[0] ^= 1;
			make(_metadata, self, commands[i]);
			memcpy(self->token, token, sizeof(token));
			give(self, self->page);
			EXPECT_EQ(-EPERM, genl_talk(&self->g))
				TH_LOG("command %d", commands[i]);
			EXPECT_TRUE(marked(self))
				TH_LOG("command %d", commands[i]);
		}
		make(_metadata, self, commands[i]);
		ASSERT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
		take(_metadata, self, commands[i]);
	}
}

/* A thread that writes all over the memory, again and again */
struct scribbler {
	uint8_t *mem;
	bool stop;
	unsigned int pause;	/* it counts to that before the next lap */
	uint64_t laps;
	uint64_t met;		/* laps that found what the kernel had written */
};

#define SEE(what)	__atomic_load_n(&(what), __ATOMIC_ACQUIRE)
#define COUNT(what)	__atomic_fetch_add(&(what), 1, __ATOMIC_RELEASE)

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	volatile uint8_t *p = s->mem;
	volatile unsigned int pause;
	uint8_t first = 0;
	bool met;
	int i;

	while (!SEE(s->stop)) {
		met = false;
		for (i = 0; i < TAPXFER_SCRATCH_LEN; i++)
			met |= p[i] != (uint8_t)(first + i);
		first++;
		for (i = 0; i < TAPXFER_SCRATCH_LEN; i++)
			p[i] = first + i;
		if (met)
			COUNT(s->met);
		COUNT(s->laps);
		for (pause = SEE(s->pause); pause; pause--)
			;
	}
	return NULL;
}

/* Have it pause so long, and see whatever was there from before. */
static void scribble_on(struct scribbler *s, unsigned int pause)
{
	uint64_t laps = SEE(s->laps);

	__atomic_store_n(&s->pause, pause, __ATOMIC_RELEASE);
	while (SEE(s->laps) < laps + 2)
		sched_yield();
}

/* How often commands of a kind met with it */
struct races {
	unsigned int asked;
	unsigned int met;	/* it wrote over what the kernel had written */
	unsigned int done;	/* of these */
	unsigned int failed;
};

/*
 * A prepare has its question read there, the others only answers. With a CPU alone
 * it is a matter of luck whether anybody writes while a command is under way.
 */
static bool enough(const struct races *r)
{
	size_t i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return true;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (r[i].met < MEET)
			return false;
	return r[0].done && r[0].failed;
}

/* A caller that does use it meanwhile fails, or not, and harms nobody else. */
TEST_F_TIMEOUT(scratch, memory_that_another_thread_writes_to, 60)
{
	struct scribbler s = { .mem = self->page };
	struct races races[ARRAY_SIZE(commands)] = {}, *r;
	struct tap_settings before, after;
	struct tap other;
	pthread_t thread;
	uint64_t met;
	int64_t end;
	unsigned int n;
	size_t i, j;
	int err;

	ASSERT_EQ(0, tap_open(&other, "tap1", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_settings(other.fds[0], &before));
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &s));
	end = now_ms() + 3 * SOON_MS;
	for (n = 0; n < ROUNDS || (!enough(races) && now_ms() < end); n++) {
		i = n % ARRAY_SIZE(commands);
		/* up to it in peace */
		for (j = 0; j < i; j++) {
			make(_metadata, self, commands[j]);
			ASSERT_EQ(0, genl_talk(&self->g))
				TH_LOG("%s", self->g.msg);
			take(_metadata, self, commands[j]);
		}
		r = &races[i];
		make(_metadata, self, commands[i]);
		give(self, self->page);
		/* less than a question takes to be read; or more */
		scribble_on(&s, 1 << n / ARRAY_SIZE(commands) % 4 * 4);
		met = SEE(s.met);
		err = genl_talk(&self->g);
		met = SEE(s.met) - met;
		r->asked++;
		r->met += met > 0;
		if (err) {
			EXPECT_STRNE("", self->g.msg);
			r->failed++;
		} else {
			r->done += met > 0;
			take(_metadata, self, commands[i]);
		}
		if (self->id) {
			genl_go_on(&self->g, TAPXFER_CMD_ABORT, self->id,
				   self->token);
			EXPECT_EQ(0, genl_talk(&self->g));
			self->id = 0;
			for (j = 0; j < QUEUES && self->fds[j]; j++)
				close(self->fds[j]);
		}
		memset(self->fds, 0, sizeof(self->fds));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		r = &races[i];
		TH_LOG("command %d: %u times, %u met with it, %u of these done, %u failed",
		       commands[i], r->asked, r->met, r->done, r->failed);
	}
	/* the kernel has read what it had written there, and what we had */
	EXPECT_TRUE(enough(races));
	EXPECT_EQ(0, tap_settings(other.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	tap_close(&other);

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		make(_metadata, self, commands[i]);
		give(self, self->page);
		ASSERT_EQ(0, genl_talk(&self->g)) TH_LOG("%s", self->g.msg);
		take(_metadata, self, commands[i]);
	}
}

TEST_HARNESS_MAIN
