/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a secret has got to where it should not be, in whatever writing.
 */
#ifndef SELFTESTS_SECRET_H
#define SELFTESTS_SECRET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/tapxfer.h>

/* A part of it would be half of the secret: any eight bytes in a row. */
#define SECRET_PART	8

/*
 * Whether a part of @token is at @where: as it is, with some bytes escaped (\xNN,
 * \NNN, \u00NN, \n and the like), or in hexadecimal digits of either case, with
 * what stands between them in dumps.
 */
bool secret_is_in(const void *where, size_t len,
		  const uint8_t token[TAPXFER_TOKEN_LEN]);

/* What is looked through */
struct secret_search {
	const uint8_t *token;
	unsigned int files;	/* that were read */
	unsigned int found;	/* of these have it */
	char last[PATH_MAX];	/* one that has, or "" */
};

/* All files below @path, or that one, which are read once: 0 or -errno. */
int secret_search(struct secret_search *s, const char *path);

#endif /* SELFTESTS_SECRET_H */
