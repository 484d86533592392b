// SPDX-License-Identifier: GPL-2.0
/*
 * How much all handovers may hold: by handover, user and network namespace.
 */
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "internal.h"

/**
 * DOC: what is counted, and against what
 *
 * Packets in a parked ring belong to no socket any more and are charged to
 * nobody: without a bound whoever has a tap could have the host hold its memory
 * for it. Counted are, in the accounts of the user (its uid) that begins a
 * handover, and of the device's network namespace:
 *
 * - handovers and their queues: what each takes besides, memory of the module's
 *   and time to walk over, is small, but would have no bound.
 * - packets: room for them, hold times queues. Reserved by the prepare, which
 *   fails with EDQUOT when there is not enough.
 * - bytes: the memory of the arrays, reserved by the prepare likewise, and the
 *   memory of the packets that are held (truesize, or frame_sz of an XDP frame),
 *   charged as they come, when nothing can fail any more: a queue that finds no
 *   more to charge is closed (see ring.c), and the driver drops.
 *
 * The handover's own bound, hold-bytes, is for its packets' bytes. A queue
 * charges all three in chunks, and what it needs when there is no chunk left, so
 * that the accounts are not written to for each packet. What a handover has of
 * chunks and does not use is a 64th of its hold-bytes at most: by so much a queue
 * may be closed early.
 *
 * What has come is in memory, so it is charged in any case. The accounts may so
 * be overshot by what producers put into a ring between the driver's putting it
 * there and the look at it: a packet a CPU that is just sending, or an XDP
 * redirect's batch, or, while others contend for the ring's lock, what comes until
 * a worker has its turn; by a first packet a queue, since an empty ring is not closed;
 * by what was in the rings when they were parked, and by the 64 packets a queue
 * that a vhost backend may give back.
 *
 * All is given back when the handover leaves the table: when it has drained. What
 * its packets take is given back when another one parks the rings, and is charged.
 *
 * The module's parameters bound each account, root's too; a handover that
 * begins, or a packet that comes, goes by what they are then. By default a user
 * has an eighth of the machine's memory in bytes and a network namespace a
 * quarter. A slot for a packet takes eight bytes, and an array whole pages. Half
 * of a user's bytes may be arrays, a 16th of the memory, which is a slot for each
 * 128 bytes: 1000 devices of 8 queues, with 16,384 packets a queue, need 16 GiB of
 * memory.
 *
 * A handover counts until it leaves the table, so those that drain do.
 */

/* An account's share of the memory, as shifts of the number of bytes */
#define USER_BYTES_SHIFT	3
#define NETNS_BYTES_SHIFT	2
#define USER_PACKETS_SHIFT	7
#define NETNS_PACKETS_SHIFT	6

/* A user's; a network namespace has twice as many */
#define USER_HANDOVERS		2048
#define USER_QUEUES		16384

/* A queue charges at most so much at once, and leaves its peers enough. */
#define CHUNK_MAX		(256U << 10)
#define CHUNK_SHARE		64

static unsigned long user_bytes;
module_param(user_bytes, ulong, 0644);
MODULE_PARM_DESC(user_bytes,
		 "memory in bytes that all handovers of a user may hold (default: 1/8 of all memory)");

static unsigned long user_packets;
module_param(user_packets, ulong, 0644);
MODULE_PARM_DESC(user_packets,
		 "packets that all handovers of a user may have room for (default: one for 128 bytes of memory)");

static unsigned long user_handovers = USER_HANDOVERS;
module_param(user_handovers, ulong, 0644);
MODULE_PARM_DESC(user_handovers,
		 "handovers that a user may have at a time (default: 2048)");

static unsigned long user_queues = USER_QUEUES;
module_param(user_queues, ulong, 0644);
MODULE_PARM_DESC(user_queues,
		 "queues that all handovers of a user may have (default: 16384)");

static unsigned long netns_bytes;
module_param(netns_bytes, ulong, 0644);
MODULE_PARM_DESC(netns_bytes,
		 "memory in bytes that all handovers of a network namespace may hold (default: 1/4 of all memory)");

static unsigned long netns_packets;
module_param(netns_packets, ulong, 0644);
MODULE_PARM_DESC(netns_packets,
		 "packets that all handovers of a network namespace may have room for (default: one for 64 bytes of memory)");

static unsigned long netns_handovers = 2 * USER_HANDOVERS;
module_param(netns_handovers, ulong, 0644);
MODULE_PARM_DESC(netns_handovers,
		 "handovers that a network namespace may have at a time (default: 4096)");

static unsigned long netns_queues = 2 * USER_QUEUES;
module_param(netns_queues, ulong, 0644);
MODULE_PARM_DESC(netns_queues,
		 "queues that all handovers of a network namespace may have (default: 32768)");

/**
 * struct tapxfer_account - what a user, or a network namespace, has in handovers
 * @a_node: in the list of accounts
 * @a_users: budgets that use it; under accounts_lock
 * @a_kind: of which of the two
 * @a_key: the uid, or tapxfer_netns_key()
 * @a_bytes: memory
 * @a_packets: room for packets
 * @a_handovers: handovers
 * @a_queues: their queues
 */
struct tapxfer_account {
	struct list_head	a_node;
	unsigned int		a_users;
	enum tapxfer_limit	a_kind;
	u64			a_key;
	atomic64_t		a_bytes;
	atomic64_t		a_packets;
	atomic64_t		a_handovers;
	atomic64_t		a_queues;
};

/* Those that have a handover: few, and looked up at a prepare only */
static LIST_HEAD(accounts);
static DEFINE_MUTEX(accounts_lock);

static u64 account_bytes_max(const struct tapxfer_account *a)
{
	return a->a_kind == TAPXFER_LIMIT_USER ? READ_ONCE(user_bytes) :
						 READ_ONCE(netns_bytes);
}

static u64 account_packets_max(const struct tapxfer_account *a)
{
	return a->a_kind == TAPXFER_LIMIT_USER ? READ_ONCE(user_packets) :
						 READ_ONCE(netns_packets);
}

static u64 account_handovers_max(const struct tapxfer_account *a)
{
	return a->a_kind == TAPXFER_LIMIT_USER ? READ_ONCE(user_handovers) :
						 READ_ONCE(netns_handovers);
}

static u64 account_queues_max(const struct tapxfer_account *a)
{
	return a->a_kind == TAPXFER_LIMIT_USER ? READ_ONCE(user_queues) :
						 READ_ONCE(netns_queues);
}

static struct tapxfer_account *account_get(enum tapxfer_limit kind, u64 key)
{
	struct tapxfer_account *a;

	mutex_lock(&accounts_lock);
	list_for_each_entry(a, &accounts, a_node)
		if (a->a_kind == kind && a->a_key == key)
			goto out;
	a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);
	if (a) {
		a->a_kind = kind;
		a->a_key = key;
		list_add(&a->a_node, &accounts);
	}
out:
	if (a)
		a->a_users++;
	mutex_unlock(&accounts_lock);
	return a;
}

static void account_put(struct tapxfer_account *a)
{
	mutex_lock(&accounts_lock);
	if (!--a->a_users) {
		list_del(&a->a_node);
		kfree(a);
	}
	mutex_unlock(&accounts_lock);
}

/* Add to a counter what it has room for. */
static bool counter_take(atomic64_t *counter, u64 n, u64 max)
{
	s64 old = atomic64_read(counter);

	do {
		if (old + n > max)
			return false;
	} while (!atomic64_try_cmpxchg(counter, &old, old + n));
	return true;
}

static const char *count_error(const struct tapxfer_account *a, bool handovers)
{
	if (a->a_kind == TAPXFER_LIMIT_USER)
		return handovers ?
		       "the user has too many handovers, end some or raise user_handovers" :
		       "the user's handovers have too many queues, end some or raise user_queues";
	return handovers ?
	       "the netns has too many handovers, end some or raise netns_handovers" :
	       "the netns' handovers have too many queues, end some or raise netns_queues";
}

/* One more handover; what was counted is given back with the budget. */
static int budget_count(struct tapxfer_budget *b, unsigned int nqueues,
			struct netlink_ext_ack *extack)
{
	struct tapxfer_account *a;
	bool has_handover;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++) {
		a = b->b_accounts[i];
		has_handover = counter_take(&a->a_handovers, 1,
					    account_handovers_max(a));
		if (has_handover &&
		    counter_take(&a->a_queues, nqueues, account_queues_max(a)))
			continue;
		if (has_handover)
			atomic64_dec(&a->a_handovers);
		tapxfer_set_err(extack, NULL, count_error(a, !has_handover));
		goto undo;
	}
	b->b_queues = nqueues;
	return 0;

undo:
	while (i--) {
		atomic64_dec(&b->b_accounts[i]->a_handovers);
		atomic64_sub(nqueues, &b->b_accounts[i]->a_queues);
	}
	return -EDQUOT;
}

/**
 * tapxfer_budget_init - open a handover's budget
 * @b: to be filled in, zeroes
 * @net: the device's network namespace
 * @limit: memory that the held packets may take
 * @nqueues: number of queues that share it
 * @extack: for errors
 *
 * Context: in the process that begins the handover.
 * Return: 0, -EDQUOT or -ENOMEM; to be released in any case.
 */
int tapxfer_budget_init(struct tapxfer_budget *b, const struct net *net,
			u64 limit, unsigned int nqueues,
			struct netlink_ext_ack *extack)
{
	b->b_limit = limit;
	b->b_chunk = min_t(u64, div_u64(limit, CHUNK_SHARE * nqueues),
			   CHUNK_MAX);
	b->b_accounts[0] = account_get(TAPXFER_LIMIT_USER,
				       __kuid_val(current_uid()));
	b->b_accounts[1] = account_get(TAPXFER_LIMIT_NETNS,
				       tapxfer_netns_key(net));
	if (!b->b_accounts[0] || !b->b_accounts[1]) {
		NL_SET_ERR_MSG(extack, "no memory for a handover");
		return -ENOMEM;
	}
	return budget_count(b, nqueues, extack);
}

static const char *reserve_error(const struct tapxfer_account *a, bool packets)
{
	if (a->a_kind == TAPXFER_LIMIT_USER)
		return packets ?
		       "the user's handovers have too much room, lower hold or raise user_packets" :
		       "the user's handovers take too much memory, end some or raise user_bytes";
	return packets ?
	       "the netns' handovers have too much room, lower hold or raise netns_packets" :
	       "the netns' handovers take too much memory, end some or raise netns_bytes";
}

/**
 * tapxfer_budget_reserve - room for one more queue
 * @b: the budget
 * @packets: that the queue may hold
 * @bytes: that its array takes
 * @extack: for errors
 *
 * Return: 0, or -EDQUOT; what was reserved for other queues remains.
 */
int tapxfer_budget_reserve(struct tapxfer_budget *b, u64 packets, u64 bytes,
			   struct netlink_ext_ack *extack)
{
	struct tapxfer_account *a;
	bool has_packets;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++) {
		a = b->b_accounts[i];
		has_packets = counter_take(&a->a_packets, packets,
					   account_packets_max(a));
		if (has_packets &&
		    counter_take(&a->a_bytes, bytes, account_bytes_max(a)))
			continue;
		if (has_packets)
			atomic64_sub(packets, &a->a_packets);
		tapxfer_set_err(extack, NULL, reserve_error(a, !has_packets));
		goto undo;
	}
	b->b_packets += packets;
	atomic64_add(bytes, &b->b_bytes);
	return 0;

undo:
	while (i--) {
		atomic64_sub(packets, &b->b_accounts[i]->a_packets);
		atomic64_sub(bytes, &b->b_accounts[i]->a_bytes);
	}
	return -EDQUOT;
}

/* Charge the handover and both accounts, or none. */
static enum tapxfer_limit budget_take(struct tapxfer_budget *b, u64 bytes)
{
	struct tapxfer_account *a;
	unsigned int i;

	if (!counter_take(&b->b_held, bytes, b->b_limit))
		return TAPXFER_LIMIT_HANDOVER;
	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++) {
		a = b->b_accounts[i];
		if (!counter_take(&a->a_bytes, bytes, account_bytes_max(a)))
			goto undo;
	}
	atomic64_add(bytes, &b->b_bytes);
	return TAPXFER_LIMIT_NONE;

undo:
	while (i--)
		atomic64_sub(bytes, &b->b_accounts[i]->a_bytes);
	atomic64_sub(bytes, &b->b_held);
	return a->a_kind;
}

static void budget_take_anyway(struct tapxfer_budget *b, u64 bytes)
{
	unsigned int i;

	atomic64_add(bytes, &b->b_held);
	atomic64_add(bytes, &b->b_bytes);
	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++)
		atomic64_add(bytes, &b->b_accounts[i]->a_bytes);
}

/**
 * tapxfer_budget_charge - charge for held packets
 * @b: the budget
 * @charged: what the queue has been charged with so far
 * @bytes: what its packets take
 *
 * Context: any; under the lock that protects @charged.
 * Return: TAPXFER_LIMIT_NONE; or the limit that was exceeded, and no more
 * packets shall come.
 */
enum tapxfer_limit tapxfer_budget_charge(struct tapxfer_budget *b,
					 u64 *charged, u64 bytes)
{
	enum tapxfer_limit limit;
	u64 need, chunk;

	if (bytes <= *charged)
		return TAPXFER_LIMIT_NONE;
	need = bytes - *charged;
	chunk = max(need, b->b_chunk);
	limit = budget_take(b, chunk);
	if (!limit) {
		*charged += chunk;
		return TAPXFER_LIMIT_NONE;
	}
	if (chunk > need)
		limit = budget_take(b, need);
	if (limit)
		budget_take_anyway(b, need);
	*charged += need;
	return limit;
}

/**
 * tapxfer_budget_relieve - give back what the held packets are charged with
 * @b: a budget whose packets somebody else is charged with from now on
 *
 * Context: not while tapxfer_budget_release() is called.
 */
void tapxfer_budget_relieve(struct tapxfer_budget *b)
{
	s64 bytes = atomic64_xchg(&b->b_held, 0);
	unsigned int i;

	atomic64_sub(bytes, &b->b_bytes);
	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++)
		if (b->b_accounts[i])
			atomic64_sub(bytes, &b->b_accounts[i]->a_bytes);
}

/**
 * tapxfer_budget_release - give back all that a handover has taken
 * @b: a budget that nothing is charged to any more; nothing is done when it was
 *	released before
 */
void tapxfer_budget_release(struct tapxfer_budget *b)
{
	struct tapxfer_account *a;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(b->b_accounts); i++) {
		a = b->b_accounts[i];
		if (!a)
			continue;
		if (b->b_queues)
			atomic64_dec(&a->a_handovers);
		atomic64_sub(b->b_queues, &a->a_queues);
		atomic64_sub(b->b_packets, &a->a_packets);
		atomic64_sub(atomic64_read(&b->b_bytes), &a->a_bytes);
		account_put(a);
		b->b_accounts[i] = NULL;
	}
}

/**
 * tapxfer_limits_init - at module load
 *
 * What the parameters did not say depends on the machine.
 */
void __init tapxfer_limits_init(void)
{
	unsigned long ram = min_t(u64, (u64)totalram_pages() << PAGE_SHIFT,
				  ULONG_MAX);

	user_bytes = user_bytes ?: ram >> USER_BYTES_SHIFT;
	netns_bytes = netns_bytes ?: ram >> NETNS_BYTES_SHIFT;
	user_packets = user_packets ?: ram >> USER_PACKETS_SHIFT;
	netns_packets = netns_packets ?: ram >> NETNS_PACKETS_SHIFT;
}
