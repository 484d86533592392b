// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define FILE_MAX	(1 << 20)

/* What stands between the digits of two bytes */
static const char * const between[] = {
	"", ":", " ", "-", ",", ", ", "\\x", "%", ", 0x", ",0x", " 0x",
	"\\u00",
};

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	       isxdigit((unsigned char)c) ? (c | ' ') - 'a' + 10 : -1;
}

/* Past the byte @b at @p, in two digits; or NULL */
static const char *past_hex(const char *p, const char *end, uint8_t b)
{
	if (end - p < 2 || digit(p[0]) != b >> 4 || digit(p[1]) != (b & 15))
		return NULL;
	return p + 2;
}

static bool is_hex(const char *p, const char *end, const uint8_t *part,
		   const char *sep)
{
	size_t len = strlen(sep);
	int i;

	for (i = 0; i < SECRET_PART; i++) {
		if (i && ((size_t)(end - p) < len || memcmp(p, sep, len)))
			return false;
		p = past_hex(i ? p + len : p, end, part[i]);
		if (!p)
			return false;
	}
	return true;
}

/* Past the byte @b at @p, as it is or escaped; or NULL */
static const char *past_byte(const char *p, const char *end, uint8_t b)
{
	static const char named[] = "a\ab\be\033f\fn\nr\rt\tv\v\\\\\"\"''";
	size_t i;

	if (p == end)
		return NULL;
	if (*p != '\\')
		return (uint8_t)*p == b ? p + 1 : NULL;
	if (end - p >= 4 && p[1] == 'x')
		return past_hex(p + 2, end, b);
	if (end - p >= 6 && !memcmp(p + 1, "u00", 3))
		return past_hex(p + 4, end, b);
	if (end - p >= 4 && p[1] == '0' + (b >> 6) &&
	    p[2] == '0' + (b >> 3 & 7) && p[3] == '0' + (b & 7))
		return p + 4;
	for (i = 0; i < sizeof(named) - 1; i += 2)
		if (end - p >= 2 && p[1] == named[i] &&
		    b == (uint8_t)named[i + 1])
			return p + 2;
	return NULL;
}

static bool is_bytes(const char *p, const char *end, const uint8_t *part)
{
	int i;

	for (i = 0; p && i < SECRET_PART; i++)
		p = past_byte(p, end, part[i]);
	return p;
}

bool secret_is_in(const void *where, size_t len,
		  const uint8_t token[TAPXFER_TOKEN_LEN])
{
	const char *p, *end = (const char *)where + len;
	size_t i;
	int at;

	for (at = 0; at <= TAPXFER_TOKEN_LEN - SECRET_PART; at++)
		if (memmem(where, len, token + at, SECRET_PART))
			return true;
	for (p = where; p < end; p++) {
		for (at = 0; at <= TAPXFER_TOKEN_LEN - SECRET_PART; at++) {
			if (is_bytes(p, end, token + at))
				return true;
			if (digit(*p) != token[at] >> 4)
				continue;
			for (i = 0; i < ARRAY_SIZE(between); i++)
				if (is_hex(p, end, token + at, between[i]))
					return true;
		}
	}
	return false;
}

/* What there is of a file; bytes or -errno */
static ssize_t slurp(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size && (n = read(fd, to + len, size - len)) > 0)
		len += n;
	close(fd);
	return len < size ? (ssize_t)len : -EFBIG;
}

static int search_file(struct secret_search *s, const char *path)
{
	char *text = malloc(FILE_MAX);
	ssize_t len = text ? slurp(path, text, FILE_MAX) : -ENOMEM;

	if (len > 0)
		s->files++;
	if (len > 0 && secret_is_in(text, len, s->token)) {
		s->found++;
		snprintf(s->last, sizeof(s->last), "%s", path);
	}
	free(text);
	/* it may be gone, or be nothing that can be read */
	return len == -ENOMEM || len == -EFBIG ? len : 0;
}

int secret_search(struct secret_search *s, const char *path)
{
	char name[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int err = 0;
	DIR *dir;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISREG(st.st_mode))
		return st.st_mode & 0444 ? search_file(s, path) : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		err = secret_search(s, name);
	}
	closedir(dir);
	return err;
}
