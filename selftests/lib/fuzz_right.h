/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer's messages before they are spoilt.
 */
#ifndef SELFTESTS_FUZZ_RIGHT_H
#define SELFTESTS_FUZZ_RIGHT_H

#include "fuzz_judge.h"

/* What begins a handover of a device */
void fuzz_add_begin(struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_dev *dev);
/* What can come next */
void fuzz_make_step(const struct fuzz *f, struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_dev *dev);
/* A question about it */
void fuzz_make_question(const struct fuzz *f, struct fuzz_msg *m, struct rng *r,
			const struct fuzz_spare *spare, int actor,
			const struct fuzz_dev *dev);
/* Right in itself, but it comes at the wrong time, or too late. */
void fuzz_make_untimely(struct fuzz *f, struct fuzz_msg *m, struct rng *r,
			const struct fuzz_spare *spare,
			const struct fuzz_dev *dev);

#endif /* SELFTESTS_FUZZ_RIGHT_H */
