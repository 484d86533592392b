// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "bpf.h"

#define MOV_IMM(reg, val) \
	((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, \
			    .dst_reg = (reg), .imm = (val) })
#define CALL(fn) \
	((struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = (fn) })
#define EXIT() \
	((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })
/* two instructions long */
#define LD_MAP_FD(reg, fd) \
	((struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM, \
			    .dst_reg = (reg), \
			    .src_reg = BPF_PSEUDO_MAP_FD, .imm = (fd) }), \
	((struct bpf_insn){ .code = 0 })

static int bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

static int load(const struct bpf_insn *insns, unsigned int n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)insns,
		.insn_cnt = n,
		.license = (uintptr_t)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int xdp_pass(void)
{
	const struct bpf_insn insns[] = {
		MOV_IMM(BPF_REG_0, XDP_PASS),
		EXIT(),
	};

	return load(insns, sizeof(insns) / sizeof(insns[0]));
}

int xdp_redirect(int map, int ifindex)
{
	const struct bpf_insn to_map[] = {
		LD_MAP_FD(BPF_REG_1, map),
		MOV_IMM(BPF_REG_2, 0),
		MOV_IMM(BPF_REG_3, XDP_DROP),
		CALL(BPF_FUNC_redirect_map),
		EXIT(),
	};
	const struct bpf_insn to_link[] = {
		MOV_IMM(BPF_REG_1, ifindex),
		MOV_IMM(BPF_REG_2, 0),
		CALL(BPF_FUNC_redirect),
		EXIT(),
	};

	if (map >= 0)
		return load(to_map, sizeof(to_map) / sizeof(to_map[0]));
	return load(to_link, sizeof(to_link) / sizeof(to_link[0]));
}

int devmap(int ifindex)
{
	uint32_t key = 0, value = ifindex;
	union bpf_attr create = {
		.map_type = BPF_MAP_TYPE_DEVMAP,
		.key_size = sizeof(key),
		.value_size = sizeof(value),
		.max_entries = 1,
	};
	union bpf_attr update = {
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&value,
	};
	int map, err;

	map = bpf(BPF_MAP_CREATE, &create);
	if (map < 0)
		return map;
	update.map_fd = map;
	err = bpf(BPF_MAP_UPDATE_ELEM, &update);
	if (!err)
		return map;
	close(map);
	return err;
}

int link_set_xdp(int ifindex, int prog, uint32_t flags)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct mnl_socket *nl;
	struct ifinfomsg *ifi;
	struct nlattr *nest;
	int err = 0;
	ssize_t len;

	nlh->nlmsg_type = RTM_SETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = ifindex;
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u32(nlh, IFLA_XDP_FD, prog);
	mnl_attr_put_u32(nlh, IFLA_XDP_FLAGS, flags);
	mnl_attr_nest_end(nlh, nest);

	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0) {
		err = -errno;
	} else {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0 || mnl_cb_run(buf, len, 0, 0, NULL, NULL) < 0)
			err = -errno;
	}
	mnl_socket_close(nl);
	return err;
}

int link_attach_xdp(int ifindex, int prog, uint32_t flags)
{
	union bpf_attr attr = {
		.link_create.prog_fd = prog,
		.link_create.target_ifindex = ifindex,
		.link_create.attach_type = BPF_XDP,
		.link_create.flags = flags,
	};

	return bpf(BPF_LINK_CREATE, &attr);
}

uint32_t xdp_id(int prog)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {
		.info.bpf_fd = prog,
		.info.info_len = sizeof(info),
		.info.info = (uintptr_t)&info,
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.id;
}
