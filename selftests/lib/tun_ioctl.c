// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <kselftest.h>

#include <net/if_arp.h>

#include <linux/sockios.h>

#include "tun_ioctl.h"

const struct tun_ioctl tun_ioctls[] = {
#define IOCTL(cmd, kind, arg, value) { #cmd, cmd, kind, arg, value }
	IOCTL(TUNSETNOCSUM, TUN_SETTER, TUN_ARG_VALUE, 1),
	IOCTL(TUNSETDEBUG, TUN_SETTER, TUN_ARG_VALUE, 0),
	IOCTL(TUNSETIFF, TUN_SETTER, TUN_ARG_IFREQ, 0),
	IOCTL(TUNSETPERSIST, TUN_SETTER, TUN_ARG_VALUE, 1),
	IOCTL(TUNSETOWNER, TUN_SETTER, TUN_ARG_VALUE, 1234),
	IOCTL(TUNSETLINK, TUN_SETTER, TUN_ARG_VALUE, ARPHRD_ETHER),
	IOCTL(TUNSETGROUP, TUN_SETTER, TUN_ARG_VALUE, 4321),
	IOCTL(TUNGETFEATURES, TUN_GETTER, TUN_ARG_INT, 0),
	IOCTL(TUNSETOFFLOAD, TUN_SHADOWED, TUN_ARG_VALUE, TUN_F_CSUM),
	IOCTL(TUNSETTXFILTER, TUN_SETTER, TUN_ARG_TXFILTER, 0),
	IOCTL(TUNGETIFF, TUN_GETTER, TUN_ARG_IFREQ, 0),
	IOCTL(TUNGETSNDBUF, TUN_GETTER, TUN_ARG_INT, 0),
	IOCTL(TUNSETSNDBUF, TUN_SHADOWED, TUN_ARG_INT, 54321),
	IOCTL(TUNATTACHFILTER, TUN_SETTER, TUN_ARG_FPROG, 0),
	IOCTL(TUNDETACHFILTER, TUN_SETTER, TUN_ARG_FPROG, 0),
	IOCTL(TUNGETVNETHDRSZ, TUN_GETTER, TUN_ARG_INT, 0),
	IOCTL(TUNSETVNETHDRSZ, TUN_SHADOWED, TUN_ARG_INT, 20),
	IOCTL(TUNSETQUEUE, TUN_SHADOWED, TUN_ARG_IFREQ, IFF_DETACH_QUEUE),
	IOCTL(TUNSETIFINDEX, TUN_SETTER, TUN_ARG_INT, 77),
	IOCTL(TUNGETFILTER, TUN_GETTER, TUN_ARG_FPROG, 0),
	IOCTL(TUNSETVNETLE, TUN_SHADOWED, TUN_ARG_INT, 1),
	IOCTL(TUNGETVNETLE, TUN_GETTER, TUN_ARG_INT, 0),
	IOCTL(TUNSETVNETBE, TUN_SHADOWED, TUN_ARG_INT, 1),
	IOCTL(TUNGETVNETBE, TUN_GETTER, TUN_ARG_INT, 0),
	IOCTL(TUNSETSTEERINGEBPF, TUN_SHADOWED, TUN_ARG_INT, -1),
	IOCTL(TUNSETFILTEREBPF, TUN_SHADOWED, TUN_ARG_INT, -1),
	IOCTL(TUNSETCARRIER, TUN_SETTER, TUN_ARG_INT, 0),
	IOCTL(TUNGETDEVNETNS, TUN_GETTER_FD, TUN_ARG_VALUE, 0),
	/* not in its header */
	IOCTL(SIOCGIFHWADDR, TUN_GETTER, TUN_ARG_IFREQ, 0),
	IOCTL(SIOCSIFHWADDR, TUN_SETTER, TUN_ARG_MAC, 0),
	IOCTL(SIOCGSKNS, TUN_GETTER_FD, TUN_ARG_VALUE, 0),
	{ "one that is not yet", _IOW('T', 250, int), TUN_SETTER, TUN_ARG_INT, 0 },
};

const size_t tun_ioctls_len = ARRAY_SIZE(tun_ioctls);

/* TUN_IOCTL(NAME) of each, made of the header when the tests are built */
static const struct {
	const char *name;
	unsigned long cmd;
} header[] = {
#define TUN_IOCTL(cmd) { #cmd, cmd },
#include "lib/tun_ioctl_names.h"
#undef TUN_IOCTL
};

const char *tun_ioctl_unknown(void)
{
	size_t i, j;

	/* or nothing would be compared */
	if (ARRAY_SIZE(header) < 20)
		return "(no list)";
	for (i = 0; i < ARRAY_SIZE(header); i++) {
		for (j = 0; j < tun_ioctls_len; j++)
			if (tun_ioctls[j].cmd == header[i].cmd)
				break;
		if (j == tun_ioctls_len)
			return header[i].name;
	}
	return NULL;
}

void *tun_ioctl_mem(void)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS;
	void *mem;

#ifdef MAP_32BIT
	flags |= MAP_32BIT;
#endif
	mem = mmap(NULL, TUN_IOCTL_MEM, PROT_READ | PROT_WRITE, flags, -1, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

unsigned long tun_ioctl_fill(const struct tun_ioctl *t, void *mem)
{
	static struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_filter *insn = mem + TUN_IOCTL_MEM / 2;
	struct sock_fprog *fprog = mem;
	struct ifreq *ifr = mem;

	memset(mem, 0, TUN_IOCTL_MEM);
	switch (t->arg) {
	case TUN_ARG_VALUE:
		return t->value;
	case TUN_ARG_INT:
		*(int *)mem = t->value;
		break;
	case TUN_ARG_IFREQ:
		ifr->ifr_flags = t->value;
		break;
	case TUN_ARG_MAC:
		ifr->ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memset(ifr->ifr_hwaddr.sa_data, 2, 6);
		break;
	case TUN_ARG_TXFILTER:
		/* no flags, no addresses: what it is without a filter */
		break;
	case TUN_ARG_FPROG:
		*insn = pass;
		fprog->len = 1;
		fprog->filter = insn;
		break;
	}
	return (unsigned long)mem;
}

long tun_ioctl_64(int fd, unsigned long cmd, unsigned long arg)
{
	long ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

long tun_ioctl_32(int fd, unsigned long cmd, unsigned long arg)
{
#ifdef __x86_64__
	int ret;

	asm volatile("int $0x80" : "=a" (ret) :
		     "a" (54), "b" (fd), "c" (cmd), "d" (arg) :
		     "memory", "r8", "r9", "r10", "r11");
	return ret;
#else
	return tun_ioctl_64(fd, cmd, arg);
#endif
}
