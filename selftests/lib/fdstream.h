/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A migration's stream with descriptors in it, as QEMU writes and reads one: bytes,
 * and in between them a byte that brings a descriptor (qemu_file_put_fd()). Who reads
 * takes as much as there is, and so gets descriptors earlier than it comes to them.
 */
#ifndef SELFTESTS_FDSTREAM_H
#define SELFTESTS_FDSTREAM_H

#include <stddef.h>
#include <stdint.h>

#define FDSTREAM_FDS	16	/* that have come and were not asked for yet */

struct fdstream {
	int sock;
	size_t at, have;
	uint8_t buf[32768];
	int nfds;
	int fds[FDSTREAM_FDS];
};

/* All of these: 0 or -errno; -ENODATA at the stream's end. */
int fdstream_put(int sock, const void *data, size_t len);
int fdstream_put_fd(int sock, int fd);
int fdstream_get(struct fdstream *f, void *data, size_t len);
/* The descriptor, or -errno */
int fdstream_get_fd(struct fdstream *f);

#endif /* SELFTESTS_FDSTREAM_H */
