/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What passes exec(2), within the library. */
#ifndef LIBTAPXFER_EXEC_H
#define LIBTAPXFER_EXEC_H

#include "internal.h"

#define TXL_EXEC_FD	"TAPXFER_EXEC_FD"
#define TXL_EXEC_PID	"TAPXFER_EXEC_PID"

/* What nobody can change any more */
#define TXL_EXEC_SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | \
			 F_SEAL_WRITE)

struct txl_exec_device {
	struct tapxfer_info *state;
	struct tapxfer_token token;
};

/* A descriptor that has lost its FD_CLOEXEC */
struct txl_exec_file {
	int fd;
	int flags;
};

struct tapxfer_exec {
	struct tapxfer *tx;
	int memfd;
	struct txl_exec_device *devices;
	size_t n;
	struct txl_exec_file *files;	/* of a prepared one */
	size_t nfiles;
	bool prepared;
	char env[2][48];
};

/* exec.c */
struct tapxfer_exec *txl_exec_alloc(struct tapxfer *tx);
struct txl_exec_device *txl_exec_grow(struct tapxfer_exec *ex);

#endif /* LIBTAPXFER_EXEC_H */
