// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer: handovers are driven forward by right messages, with wrong ones in
 * between, from processes with and without rights, while traffic flows.
 *
 *	FUZZ_N		messages (3000)
 *	FUZZ_SEED	all that is random comes from it (1)
 *	FUZZ_FAILURES	after how many to stop (5)
 *
 * "make fuzz N= SEED=" gives them as the kernel's arguments, which become init's
 * environment. A message's bytes depend on the seed, on its number, and on the
 * answers before it; the races between it, the traffic and the deadlines are the
 * machine's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <kselftest_harness.h>

#include <linux/genetlink.h>
#include <linux/if_tun.h>

#include "fuzz_judge.h"
#include "fuzz_load.h"
#include "fuzz_right.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"

/* After so many messages all handovers are ended, and packets counted. */
#define ROUND		1500
#define SPARES		64

static struct fuzz fuzz;
static struct loader loader;
static struct actor_setup setup;
static struct tap_settings settings[DEVS];

/* What a message may be spoilt with */
static int spare_fds[24];
static uint32_t spare_ids[SPARES];
static struct fuzz_spare spare = { .fds = spare_fds, .ids = spare_ids };
/* that the last message was about */
static int last_dev;

static uint64_t env_number(const char *name, uint64_t def)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : def;
}

/* -- choosing a message ----------------------------------------------------- */

/* A message of that actor's; whether it has to be right */
static bool make(struct fuzz_msg *m, struct rng *r, int actor)
{
	bool straight = false;
	struct fuzz_dev *dev;
	unsigned int dice, n;

	do {
		dev = &fuzz.devs[rng_below(r, DEVS)];
	} while (!(dev->actors & 1 << actor) && !rng_chance(r, 10));

	last_dev = dev - fuzz.devs;
	dice = rng_below(r, 100);
	if (dice < 75) {
		fuzz_make_step(&fuzz, m, r, dev);
		straight = dev->ho || dev->actors & 1 << actor;
	} else if (dice < 88) {
		fuzz_make_question(&fuzz, m, r, &spare, actor, dev);
	} else {
		fuzz_make_untimely(&fuzz, m, r, &spare, dev);
	}
	if (rng_chance(r, 65))
		return straight;
	for (n = 1 + rng_below(r, 3); n; n--)
		fuzz_msg_spoil(m, r, &spare);
	return false;
}

/* -- sending them ------------------------------------------------------------ */

/* Bytes, but for the sequence numbers, by which answers are told apart */
static bool spoil_datagram(struct actor_desk *d, struct rng *r)
{
	unsigned int dice = rng_below(r, 100), n;
	size_t at;

	if (dice < 3) {
		d->len -= rng_below(r, d->len);
		return true;
	}
	if (dice >= 8)
		return false;
	for (n = 1 + rng_below(r, 4); n; n--) {
		at = rng_below(r, d->len);
		if (at < 8 || (at >= 16 && d->len < 400))
			d->datagram[at] ^= 1 << rng_below(r, 8);
	}
	return true;
}

static void send_some(struct rng *r, int actor, unsigned int count)
{
	static struct fuzz_msg m;
	struct actor_desk *d = fuzz.actors[actor].desk;
	unsigned int i;
	bool straight;

	d->len = 0;
	d->keep = rng_chance(r, 50);
	fuzz.straight = false;
	for (i = 0; i < count; i++) {
		straight = make(&m, r, actor);
		d->len = fuzz_msg_put(&m, d->datagram, d->len, fuzz.seq++);
		/* What an earlier one of the datagram does is not known yet. */
		fuzz.straight = straight && count == 1;
	}
	if (spoil_datagram(d, r))
		fuzz.straight = false;
	fuzz_scratch_tame(d->datagram, d->len, fuzz.actors[0].family);
	/* What ends a handover, or applies settings, would do it unseen. */
	d->clog = fuzz.straight && m.cmd >= TAPXFER_CMD_PREPARE &&
		  m.cmd <= TAPXFER_CMD_CLAIM && rng_chance(r, 8);
	fuzz_exchange(&fuzz, actor);
	d->clog = false;
}

static int send_one(int actor, const struct fuzz_msg *m)
{
	struct actor_desk *d = fuzz.actors[actor].desk;

	d->len = fuzz_msg_put(m, d->datagram, 0, fuzz.seq++);
	d->keep = false;
	fuzz.straight = false;
	fuzz_exchange(&fuzz, actor);
	return fuzz.err;
}

static int home_of(int dev)
{
	return dev == DEV_USERNS ? ACTOR_USERNS : ACTOR_ROOT;
}

/* The number of an attribute of the last answer, which is one datagram; 0 */
static uint32_t answered_u32(int actor, unsigned int type)
{
	const struct nlmsghdr *nlh;
	const struct nlattr *a;
	size_t len;

	nlh = (void *)actor_answer(&fuzz.actors[actor], NULL, &len);
	if (!nlh || nlh->nlmsg_type != fuzz.actors[actor].family)
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == type)
			return mnl_attr_get_u32(a);
	return 0;
}

/* Which handover a device is in, as the module tells; 0: none */
static uint32_t ask_dev(int dev, uint32_t *state)
{
	int actor = home_of(dev);
	struct fuzz_msg m;
	uint32_t id;

	fuzz_msg_init(&m, fuzz.actors[0].family, TAPXFER_CMD_DEV_GET);
	fuzz_msg_u32(&m, TAPXFER_A_DEV_IFINDEX, fuzz.devs[dev].tap.ifindex);
	if (send_one(actor, &m))
		fuzz_fail(&fuzz, actor, "no answer about a device: errno %d",
			  fuzz.err);
	*state = answered_u32(actor, TAPXFER_A_DEV_HANDOVER_STATE);
	id = answered_u32(actor, TAPXFER_A_DEV_HANDOVER);
	if (id && !fuzz_ho(&fuzz, id))
		fuzz_fail(&fuzz, -1, "nobody was told of handover %u", id);
	return id;
}

/* What the deadline, or a claimant's end, may have changed */
static void learn(int dev)
{
	struct fuzz_ho *ho = fuzz.devs[dev].ho;
	uint32_t state, id = ask_dev(dev, &state);

	if (ho && ho->id != id) {
		fuzz_ho_end(&fuzz, ho);
		ho = NULL;
	}
	if (ho)
		ho->state = state;
}

/* -- what messages do not do ------------------------------------------------- */

/* The claimant sets something, to be applied by ready or thaw. */
static void set_something(struct rng *r)
{
	struct fuzz_dev *dev = &fuzz.devs[rng_below(r, DEV_TUN)];
	struct fuzz_ho *ho = dev->ho;
	int size = 100000 + rng_below(r, 100000);

	if (!ho || ho->state != TAPXFER_STATE_CLAIMED ||
	    ho->claimant != ACTOR_ROOT || fuzz_unsure(ho))
		return;
	if (ioctl(dev->tap.fds[0], TUNSETSNDBUF, &size))
		return;
	/* If it has ended meanwhile, that was no record. */
	if (fuzz_unsure(ho))
		dev->sndbuf = 0;
	else
		ho->sndbuf = size;
}

/* An actor is killed, whatever it is at; another one takes its place. */
static void replace(int actor)
{
	struct fuzz_dev *own = &fuzz.devs[DEV_USERNS];
	int i, err;

	/* It would have what we claimed. */
	actor_clean(&fuzz.actors[ACTOR_ROOT]);
	actor_kill(&fuzz.actors[actor]);
	for (i = 0; i < DEVS; i++)
		if (fuzz.devs[i].ho && fuzz.devs[i].ho->claimant == actor)
			fuzz.devs[i].ho->vague = true;
	err = actor_start(&fuzz.actors[actor], actor, &setup);
	if (err)
		fuzz_fail(&fuzz, -1, "no new process: %d", err);
	if (actor != ACTOR_USERNS)
		return;
	/* Its network namespace, and so the device, lives on for a while. */
	if (own->ho)
		own->ho->vague = true;
	own->ho = NULL;
	own->tap = fuzz.actors[actor].desk->tap;
}

static void remember(void)
{
	struct fuzz_ho *ho;
	int i;

	for (i = 0; i < DEVS; i++) {
		ho = fuzz.devs[i].ho;
		if (!ho || ho->id == spare_ids[0])
			continue;
		memmove(spare_ids + 1, spare_ids,
			sizeof(spare_ids) - sizeof(spare_ids[0]));
		spare_ids[0] = ho->id;
		spare.nids = SPARES;
		if (i == DEV_SHARED || !spare.token)
			spare.token = ho->token;
	}
}

/* -- rounds ------------------------------------------------------------------ */

static void end_one(struct rng *r, int dev)
{
	struct fuzz_ho *ho = fuzz.devs[dev].ho;
	uint32_t state, id = ask_dev(dev, &state);
	struct fuzz_msg m;

	if (ho && ho->id != id)
		fuzz_ho_end(&fuzz, ho);
	if (!id)
		return;
	/* By the token, if we have it; root needs none. */
	fuzz_msg_init(&m, fuzz.actors[0].family, TAPXFER_CMD_ABORT);
	fuzz_msg_u32(&m, TAPXFER_A_HANDOVER_ID, id);
	if (fuzz_ho(&fuzz, id) && rng_chance(r, 50)) {
		fuzz_msg_add(&m, TAPXFER_A_HANDOVER_TOKEN,
			     fuzz_ho(&fuzz, id)->token, TAPXFER_TOKEN_LEN);
		send_one(rng_below(r, ACTORS), &m);
	} else {
		send_one(rng_chance(r, 50) ? ACTOR_ROOT : home_of(dev), &m);
	}
	/* The deadline may have been faster. */
	if (fuzz.err && fuzz.err != ENOENT)
		fuzz_fail(&fuzz, -1, "an abort fails with errno %d", fuzz.err);
	if (ask_dev(dev, &state))
		fuzz_fail(&fuzz, -1, "a device is in a handover after the abort");
}

static void check_settings(int dev)
{
	struct tap_settings is = {}, *want = &settings[dev];

	if (tap_settings(fuzz.devs[dev].tap.fds[0], &is))
		fuzz_fail(&fuzz, -1, "%s does not tell its settings",
			  want->name);
	if (!fuzz.devs[dev].sndbuf)
		fuzz.devs[dev].sndbuf = is.sndbuf;
	want->sndbuf = fuzz.devs[dev].sndbuf;
	if (memcmp(&is, want, sizeof(is)))
		fuzz_fail(&fuzz, -1,
			  "%s has other settings: flags %x, was %x; header %d, %d; sndbuf %d, %d; F_GETFL %x, %x",
			  want->name, is.flags, want->flags, is.hdr, want->hdr,
			  is.sndbuf, want->sndbuf, is.fl, want->fl);
}

/* All handovers end; then everything is as it was, and no packet is missing. */
static void round_ends(struct rng *r)
{
	const char *why;
	int i, more;

	for (i = 0; i < DEVS; i++)
		end_one(r, i);
	for (i = 0; i < ACTORS; i++) {
		more = actor_clean(&fuzz.actors[i]);
		if (more)
			fuzz_fail(&fuzz, -1, "%s has %d descriptors more",
				  fuzz.actors[i].name, more);
	}
	why = loader_check(&loader);
	if (why)
		fuzz_fail(&fuzz, -1, "%s", why);
	for (i = 0; i < DEV_TUN; i++)
		check_settings(i);
}

static void run(uint64_t count)
{
	uint64_t failures = env_number("FUZZ_FAILURES", 5);
	uint64_t round = ROUND;
	unsigned int some;
	struct rng r;
	int actor;

	while (fuzz.n < count && fuzz.failures < failures) {
		rng_seed(&r, fuzz.seed, fuzz.n);
		if (fuzz.n >= round) {
			round_ends(&r);
			round += ROUND;
		}
		if (!rng_below(&r, 700))
			replace(ACTOR_NOBODY);
		if (!rng_below(&r, 1500))
			replace(ACTOR_USERNS);
		set_something(&r);
		actor = rng_below(&r, 100);
		actor = actor < 50 ? ACTOR_ROOT :
			actor < 75 ? ACTOR_NOBODY : ACTOR_USERNS;
		some = rng_chance(&r, 90) ? 1 : 2 + rng_below(&r, FUZZ_BATCH - 1);
		send_some(&r, actor, some);
		fuzz.n += some;
		remember();
		/* Something else has happened than we thought. */
		if (fuzz.err && (fuzz.straight || rng_chance(&r, 20)))
			learn(last_dev);
	}
}

/* The last one ends by itself. */
static void end_by_deadline(void)
{
	uint32_t state;
	struct fuzz_msg m;
	struct rng r;

	rng_seed(&r, fuzz.seed, fuzz.n);
	round_ends(&r);
	fuzz_msg_init(&m, fuzz.actors[0].family, TAPXFER_CMD_FREEZE);
	fuzz_add_begin(&m, &r, &fuzz.devs[DEV_SHARED]);
	/* the last one counts */
	fuzz_msg_u32(&m, TAPXFER_A_HANDOVER_HOLD, 1024);
	fuzz_msg_u32(&m, TAPXFER_A_HANDOVER_DEADLINE, 300);
	if (send_one(ACTOR_ROOT, &m))
		fuzz_fail(&fuzz, ACTOR_ROOT, "no freeze at the end");
	if (!wait_until(!ask_dev(DEV_SHARED, &state), SOON_MS))
		fuzz_fail(&fuzz, -1, "the deadline does not come");
	round_ends(&r);
}

/* -- the test ---------------------------------------------------------------- */

FIXTURE(fuzz) {
	struct genl g;
	struct tap tun;
};

static void dev_add(int dev, const struct tap *tap, unsigned int actors)
{
	fuzz.devs[dev].tap = *tap;
	fuzz.devs[dev].actors = actors;
}

FIXTURE_SETUP(fuzz)
{
	static const char *const files[] = {
		"/dev/null", "/dev/zero", "/dev/net/tun", "/proc/self/status",
	};
	const struct tap *taps[LOADS];
	struct tap tap;
	int i, n = 0;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, fuzz_scratch_map());
	/* as udev makes it */
	ASSERT_EQ(0, chmod("/dev/net/tun", 0666));
	ASSERT_EQ(0, genl_open(&self->g));
	genl_new(&self->g, TAPXFER_CMD_CAP_GET);
	ASSERT_EQ(0, genl_talk(&self->g));
	fuzz.hold_default = genl_u32(&self->g, TAPXFER_A_CAP_HOLD_DEFAULT);
	fuzz.deadline_default = genl_u32(&self->g,
					 TAPXFER_A_CAP_DEADLINE_DEFAULT);
	fuzz.bytes_default = mnl_attr_get_u64(genl_attr(&self->g,
					TAPXFER_A_CAP_HOLD_BYTES_DEFAULT));
	setup.family = self->g.family;

	ASSERT_EQ(0, tap_open(&tap, "tapa", 4, TAP_VM));
	dev_add(DEV_SHARED, &tap, 1 << ACTOR_ROOT | 1 << ACTOR_NOBODY);
	ASSERT_EQ(0, tap_open(&tap, "tapb", 2, TAP_VM));
	dev_add(DEV_ROOT, &tap, 1 << ACTOR_ROOT);
	ASSERT_EQ(0, tap_open(&tap, "tuna", 2,
			      IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE));
	dev_add(DEV_TUN, &tap, 1 << ACTOR_ROOT | 1 << ACTOR_NOBODY);
	fuzz.twin = dup(fuzz.devs[DEV_SHARED].tap.fds[0]);
	for (i = 0; i < DEV_TUN; i++) {
		ASSERT_EQ(0, tap_set_nonblock(&fuzz.devs[i].tap, true));
		ASSERT_EQ(0, tap_settings(fuzz.devs[i].tap.fds[0],
					  &settings[i]));
		fuzz.devs[i].sndbuf = settings[i].sndbuf;
		taps[i] = &fuzz.devs[i].tap;
	}

	/* no files, files of others, and queues of the wrong device */
	for (i = 0; i < (int)ARRAY_SIZE(files); i++)
		spare_fds[n++] = open(files[i], O_RDWR);
	spare_fds[n++] = open("/dev/net/tun", O_PATH);
	spare_fds[n++] = socket(AF_INET, SOCK_DGRAM, 0);
	spare_fds[n++] = eventfd(0, 0);
	spare_fds[n++] = mnl_socket_get_fd(self->g.nl);
	spare_fds[n++] = fuzz.twin;
	for (i = 0; i < DEV_USERNS; i++) {
		spare_fds[n++] = fuzz.devs[i].tap.fds[0];
		spare_fds[n++] = fuzz.devs[i].tap.fds[1];
	}
	spare_fds[n++] = 0;
	spare_fds[n++] = 999;
	spare_fds[n++] = -1;
	spare_fds[n++] = 0x7fffffff;
	spare.nfds = n;

	setup.mine = &fuzz.devs[DEV_ROOT].tap;
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, actor_start(&fuzz.actors[i], i, &setup));
	dev_add(DEV_USERNS, &fuzz.actors[ACTOR_USERNS].desk->tap,
		1 << ACTOR_USERNS);
	ASSERT_EQ(0, loader_start(&loader, taps, LOADS));
	actor_clean(&fuzz.actors[ACTOR_ROOT]);
	fuzz.actors[ACTOR_ROOT].clean_fds =
		fuzz.actors[ACTOR_ROOT].desk->count;
}

FIXTURE_TEARDOWN(fuzz)
{
	int i;

	loader_stop(&loader);
	for (i = ACTOR_ROOT + 1; i < ACTORS; i++)
		if (fuzz.actors[i].sock >= 0)
			actor_kill(&fuzz.actors[i]);
	for (i = 0; i < DEV_USERNS; i++)
		tap_close(&fuzz.devs[i].tap);
	genl_close(&self->g);
}

TEST_F_TIMEOUT(fuzz, messages, 24 * 3600)
{
	int i;

	fuzz.seed = env_number("FUZZ_SEED", 1);
	printf("# seed %llu\n", (unsigned long long)fuzz.seed);
	fflush(stdout);
	run(env_number("FUZZ_N", 3000));
	if (!fuzz.failures)
		end_by_deadline();
	fuzz_table(&fuzz);
	printf("# packets: %llu offered, %llu of them dropped and counted\n",
	       (unsigned long long)loader.offered,
	       (unsigned long long)loader.dropped);
	fflush(stdout);

	EXPECT_EQ(0, fuzz.failures);
	for (i = 1; i <= TAPXFER_CMD_MAX; i++) {
		if (!fuzz_cmd_name(i))
			continue;
		EXPECT_LT(0, fuzz.accepted[i][0]);
		EXPECT_LT(0, fuzz.refused[i][0]);
	}
	for (i = TAPXFER_CMD_DEV_GET; i <= TAPXFER_CMD_HANDOVER_GET; i++) {
		EXPECT_LT(0, fuzz.accepted[i][1]);
		EXPECT_LT(0, fuzz.refused[i][1]);
	}
	for (i = 0; i < ACTORS; i++) {
		EXPECT_LT(0, fuzz.by_actor[i][0]);
		EXPECT_LT(0, fuzz.by_actor[i][1]);
	}
	for (i = 1; i <= TAPXFER_STATE_DRAINING; i++)
		EXPECT_LT(0, fuzz.states[i]);
	EXPECT_LT(0, fuzz.refused_core);
	EXPECT_LT(0, fuzz.lost);
	EXPECT_LT(0, loader.offered);
	/* Nothing of any handover is left; not of those whose rings nobody reads,
	 * which go with their files.
	 */
	actor_kill(&fuzz.actors[ACTOR_USERNS]);
	actor_kill(&fuzz.actors[ACTOR_NOBODY]);
	tap_close(&fuzz.devs[DEV_TUN].tap);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_HARNESS_MAIN
