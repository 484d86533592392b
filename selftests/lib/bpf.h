/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XDP programs, made of instructions by hand: the tests need no compiler for
 * them, and no library.
 */
#ifndef SELFTESTS_BPF_H
#define SELFTESTS_BPF_H

#include <stdint.h>

/* A program that lets everything pass: descriptor or -errno. */
int xdp_pass(void);
/*
 * A program that redirects what it gets to place 0 of the devmap @map, or, with
 * @map -1, to the link @ifindex.
 */
int xdp_redirect(int map, int ifindex);
/* A devmap with one place, for the link @ifindex. */
int devmap(int ifindex);

/* Attach, replace or, with @prog -1, detach a link's program; XDP_FLAGS_*. */
int link_set_xdp(int ifindex, int prog, uint32_t flags);
/* Attach by way of a bpf link, for as long as its descriptor is open. */
int link_attach_xdp(int ifindex, int prog, uint32_t flags);
/* The id of a program. */
uint32_t xdp_id(int prog);

#endif /* SELFTESTS_BPF_H */
