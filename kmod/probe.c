// SPDX-License-Identifier: GPL-2.0
/*
 * What a queue file tells through the driver's ioctls.
 */
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * DOC: asking the driver
 *
 * tun has no interface for the kernel that tells which netdev a file belongs
 * to or how it is set. It has ioctls, which answer into the caller's memory.
 * So the caller gives some, or gets a page for the time of a command, and the
 * module lets the driver answer there. Memory is taken from the process that has
 * opened the socket and from no other: whoever is given a socket to write to, and
 * does not know what it is, must not be made to overwrite its own memory.
 *
 * Another thread of the caller can write to it too. What is read from it
 * describes the caller's own device, and a caller who forges it deceives
 * whoever it hands the device to, which it could do with any message of its
 * own. What must not be forged is which netdev a file belongs to: with it, a
 * caller could hold up the traffic of a device it has no file of. That is not
 * read from the page. The file is asked to change the netdev's address; the
 * stack asks the notifiers first, ours notes for which netdev the question of
 * this very task is, and refuses. Nothing changes, and a caller who rewrites
 * the request makes the probe fail and no more. A name would be no proof:
 * names are the network namespace's, and the device may be in another.
 *
 * A tun device has no address to change. Its files tell a name, through the
 * driver's show_fdinfo, which writes into kernel memory. The name is a proof
 * when, at the moment that the driver told it, no other device of the driver's
 * had it in any network namespace. The notifier counts what can change that; a
 * probe begins anew when the count moved, and gives up after some tries.
 */

/* A task that is asking, for as long as it asks */
struct probe {
	struct list_head	p_list;
	struct task_struct	*p_task;
	struct net_device	*p_dev;
};

static DEFINE_SPINLOCK(probe_lock);	/* protects probe_list and its members */
static LIST_HEAD(probe_list);

#define NAME_TRIES	8
#define SCRATCH_TRIES	100	/* a jiffy each */

/*
 * All of the driver's netdevs. Those of a network namespace that is dying still
 * tell their names to their files, but a walk over the namespaces misses them.
 */
struct probe_known {
	struct list_head	k_list;
	struct net_device	*k_dev;
};

static LIST_HEAD(probe_known);	/* under rtnl */

/* Devices that came, went, moved or got another name; written under rtnl */
static atomic_t probe_names = ATOMIC_INIT(0);

/**
 * tapxfer_scratch_take - see whether memory that a request gives is there
 * @a: from tapxfer_request_scratch()
 * @scratch: its address, or 0 without
 * @extack: for errors
 *
 * The memory may be a file's that nobody reads, and keep the caller, who has
 * genetlink's lock, for as long as its owner likes. So this is for who has shown that
 * it has a file of the driver's, which does that by itself, or the token.
 *
 * Context: in the calling process, whose memory is used; under no lock of ours.
 * Return: 0, -EFAULT when it cannot be written to, -EOPNOTSUPP when the caller has
 * no memory at all.
 */
int tapxfer_scratch_take(const struct nlattr *a, unsigned long *scratch,
			 struct netlink_ext_ack *extack)
{
	u64 addr;

	BUILD_BUG_ON(sizeof(struct ifreq) > TAPXFER_SCRATCH_LEN);

	*scratch = 0;
	if (!a)
		return 0;
	if (!current->mm) {
		NL_SET_ERR_MSG_ATTR(extack, a,
				    "the caller has no memory of its own, ask from a process");
		return -EOPNOTSUPP;
	}
	addr = nla_get_u64(a);
	if (!addr || addr != (unsigned long)addr ||
	    clear_user(u64_to_user_ptr(addr), TAPXFER_SCRATCH_LEN)) {
		NL_SET_ERR_MSG_ATTR(extack, a,
				    "scratch is no memory that the caller can write to");
		return -EFAULT;
	}
	*scratch = addr;
	return 0;
}

/**
 * tapxfer_scratch_get - memory of the caller's for the driver's answers
 * @s: to be filled in
 * @given: what the caller has given, or 0 for a page of its own
 * @extack: for errors
 *
 * Return: 0, -EOPNOTSUPP without an address space, -ENOMEM and what else
 * mmap(2) returns.
 */
int tapxfer_scratch_get(struct tapxfer_scratch *s, unsigned long given,
			struct netlink_ext_ack *extack)
{
	unsigned long addr;

	s->addr = given;
	s->mapped = !given;
	if (given)
		return 0;
	if (!current->mm) {
		NL_SET_ERR_MSG(extack,
			       "the caller has no memory of its own, ask from a process");
		return -EOPNOTSUPP;
	}
	addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr)) {
		NL_SET_ERR_MSG(extack,
			       "cannot map a page in the caller's memory, see RLIMIT_AS");
		return (int)addr;
	}
	s->addr = addr;
	return 0;
}

/**
 * tapxfer_scratch_put - give a page back
 * @s: from tapxfer_scratch_get()
 *
 * To take it out of a mapping that it was merged with needs memory. It stays
 * with a caller for whom there is none for long, or who is being killed.
 */
void tapxfer_scratch_put(struct tapxfer_scratch *s)
{
	unsigned int tries = SCRATCH_TRIES;

	if (!s->mapped)
		return;
	while (vm_munmap(s->addr, PAGE_SIZE) == -ENOMEM && --tries)
		schedule_timeout_killable(1);
}

/**
 * tapxfer_probe_notify - note the netdev that the current task asks about
 * @dev: the netdev of a NETDEV_PRE_CHANGEADDR
 *
 * Return: -EBUSY when the question is ours and must be refused, else 0.
 */
int tapxfer_probe_notify(struct net_device *dev)
{
	struct probe *p;
	int err = 0;

	spin_lock(&probe_lock);
	list_for_each_entry(p, &probe_list, p_list) {
		if (p->p_task != current)
			continue;
		p->p_dev = dev;
		err = -EBUSY;
		break;
	}
	spin_unlock(&probe_lock);
	return err;
}

static int probe_by_address(struct file *file,
			    const struct tapxfer_probe_dev *pd,
			    const struct tapxfer_scratch *s)
{
	struct probe p = { .p_task = current };
	struct ifreq ifr = {};
	long err;

	ifr.ifr_hwaddr.sa_family = pd->type;
	if (copy_to_user((void __user *)s->addr, &ifr, sizeof(ifr)))
		return -EFAULT;

	spin_lock(&probe_lock);
	list_add(&p.p_list, &probe_list);
	spin_unlock(&probe_lock);

	err = tapxfer_fence_tun_ioctl(file, SIOCSIFHWADDR, s->addr);

	spin_lock(&probe_lock);
	list_del(&p.p_list);
	spin_unlock(&probe_lock);
	/* The driver did not get to the question. */
	if (!p.p_dev && err == -EFAULT)
		return err;
	return p.p_dev == pd->dev ? 0 : -EXDEV;
}

/**
 * tapxfer_probe_add - a tun/tap netdev was registered, or moved here
 * @dev: the netdev
 *
 * Context: under rtnl.
 * Return: 0 or -ENOMEM.
 */
int tapxfer_probe_add(struct net_device *dev)
{
	struct probe_known *k;

	atomic_inc(&probe_names);
	list_for_each_entry(k, &probe_known, k_list)
		if (k->k_dev == dev)
			return 0;
	k = kmalloc(sizeof(*k), GFP_KERNEL);
	if (!k)
		return -ENOMEM;
	k->k_dev = dev;
	list_add(&k->k_list, &probe_known);
	return 0;
}

/**
 * tapxfer_probe_rename - a tun/tap netdev has another name
 *
 * Context: under rtnl.
 */
void tapxfer_probe_rename(void)
{
	atomic_inc(&probe_names);
}

/**
 * tapxfer_probe_del - a tun/tap netdev is about to go
 * @dev: the netdev
 *
 * Context: under rtnl.
 */
void tapxfer_probe_del(struct net_device *dev)
{
	struct probe_known *k;

	atomic_inc(&probe_names);
	list_for_each_entry(k, &probe_known, k_list) {
		if (k->k_dev != dev)
			continue;
		list_del(&k->k_list);
		kfree(k);
		return;
	}
}

/**
 * tapxfer_probe_exit - at module unload, after the notifier
 */
void tapxfer_probe_exit(void)
{
	struct probe_known *k, *next;

	list_for_each_entry_safe(k, next, &probe_known, k_list)
		kfree(k);
}

/* The name that the driver tells of a file's device. */
static int probe_name(struct file *file, char *name)
{
	char buf[64] = "";
	struct seq_file m = { .buf = buf, .size = sizeof(buf) - 1 };

	tapxfer_fence_tun_show(&m, file);
	/* IFNAMSIZ is 16 */
	if (sscanf(buf, "iff:\t%15s", name) != 1)
		return -EBADFD;
	return 0;
}

/* Under rtnl: the only device of the driver's that has this name, or NULL. */
static const struct net_device *probe_only(const char *name)
{
	const struct net_device *only = NULL;
	const struct probe_known *k;

	list_for_each_entry(k, &probe_known, k_list) {
		if (strcmp(k->k_dev->name, name))
			continue;
		if (only)
			return NULL;
		only = k->k_dev;
	}
	return only;
}

static int probe_by_name(struct file *file, const struct net_device *dev)
{
	char name[IFNAMSIZ];
	unsigned int i;
	int names, err;

	for (i = 0; i < NAME_TRIES; i++) {
		names = atomic_read(&probe_names);
		err = probe_name(file, name);
		if (err)
			return err;

		rtnl_lock();
		if (atomic_read(&probe_names) == names) {
			const struct net_device *only = probe_only(name);

			rtnl_unlock();
			if (!only)
				return -ENOTUNIQ;
			return only == dev ? 0 : -EXDEV;
		}
		rtnl_unlock();
	}
	return -EAGAIN;
}

static int probe_iff(struct file *file, const struct tapxfer_scratch *s,
		     struct ifreq *ifr)
{
	long err;

	err = tapxfer_fence_tun_ioctl(file, TUNGETIFF, s->addr);
	if (err)
		return err;
	if (copy_from_user(ifr, (void __user *)s->addr, sizeof(*ifr)))
		return -EFAULT;
	ifr->ifr_name[IFNAMSIZ - 1] = '\0';
	return 0;
}

/**
 * tapxfer_probe_dev_init - what a probe needs to know of a device
 * @pd: to be filled in
 * @dev: a tun/tap netdev, under rtnl or with a reference
 */
void tapxfer_probe_dev_init(struct tapxfer_probe_dev *pd,
			    const struct net_device *dev)
{
	pd->dev = dev;
	pd->type = dev->type;
	pd->tx_queue_len = dev->tx_queue_len;
	pd->has_address = dev->netdev_ops->ndo_set_mac_address;
}

/**
 * tapxfer_probe_file - whether a file is a queue of a netdev
 * @file: a tun file
 * @pd: the netdev
 * @s: scratch page
 *
 * The answer is about the netdev that was at @pd's address at that moment: the
 * caller sees to it that it is still the same.
 *
 * Context: takes rtnl.
 * Return: 0, -EXDEV when it is a queue of another netdev, -EBADFD when it is
 * attached to none, -ENOTUNIQ when a tun's name is no proof, -EAGAIN when names
 * change too fast, or another errno of the driver's.
 */
int tapxfer_probe_file(struct file *file, const struct tapxfer_probe_dev *pd,
		       const struct tapxfer_scratch *s)
{
	struct ifreq ifr;
	int err;

	err = probe_iff(file, s, &ifr);
	if (err)
		return err;

	if (!pd->has_address)
		return probe_by_name(file, pd->dev);
	return probe_by_address(file, pd, s);
}

/**
 * tapxfer_probe_flags - TUNGETIFF's flags
 * @file: a tun file
 * @s: scratch page
 * @flags: IFF_*
 *
 * Context: takes rtnl.
 * Return: 0 or an errno of the driver's.
 */
int tapxfer_probe_flags(struct file *file, const struct tapxfer_scratch *s,
			u32 *flags)
{
	struct ifreq ifr;
	int err;

	err = probe_iff(file, s, &ifr);
	if (!err)
		*flags = (u16)ifr.ifr_flags;
	return err;
}

static int probe_int(struct file *file, unsigned int cmd,
		     const struct tapxfer_scratch *s, int *val)
{
	long err;

	err = tapxfer_fence_tun_ioctl(file, cmd, s->addr);
	if (err)
		return err;
	return copy_from_user(val, (void __user *)s->addr, sizeof(*val)) ?
	       -EFAULT : 0;
}

/**
 * tapxfer_probe_state - what can be told of a device through its files alone
 * @file: a tun file
 * @s: scratch page
 * @st: its second half is filled in, but for the send buffer limit
 *
 * Context: takes rtnl.
 * Return: 0 or an errno of the driver's.
 */
int tapxfer_probe_state(struct file *file, const struct tapxfer_scratch *s,
			struct tapxfer_dev_state *st)
{
	int hdr_sz, le, be;
	u32 flags;
	int err;

	err = tapxfer_probe_flags(file, s, &flags);
	if (err)
		return err;
	err = probe_int(file, TUNGETVNETHDRSZ, s, &hdr_sz);
	if (err)
		return err;
	err = probe_int(file, TUNGETVNETLE, s, &le);
	if (err)
		return err;
	/* -EINVAL without CONFIG_TUN_VNET_CROSS_LE */
	err = probe_int(file, TUNGETVNETBE, s, &be);
	if (err && err != -EINVAL)
		return err;
	st->has_vnet_be = !err;
	if (st->has_vnet_be)
		st->vnet_be = be;

	st->flags = flags & ~(IFF_DETACH_QUEUE | IFF_NOFILTER);
	st->vnet_hdr_sz = hdr_sz;
	st->vnet_le = le;
	st->has_file = true;
	return 0;
}
