/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TAPXFER_QMP_H
#define TAPXFER_QMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <json-c/json.h>

/* A connection to a QEMU's QMP socket, and the process behind it */
struct qmp {
	const char *who;	/* "source", "target": for messages */
	const char *path;
	int fd;			/* -1: none, or QEMU has closed it */
	pid_t pid;
	int pidfd;
	int sigfd;		/* ends a wait with -EINTR, -1: nothing does */
	uint32_t timeout;	/* ms to wait for an answer */
	int64_t limit;		/* and until when, ms of CLOCK_MONOTONIC; 0: any time */
	bool silent;		/* did not answer in that time */
	char version[32];
	uint32_t serial;	/* of the last command */
	struct json_tokener *tokener;
	char *unread;		/* what came behind the last object */
	size_t nunread;
	char error[512];	/* of the last call that failed */
};

int qmp_open(struct qmp *q, const char *who, const char *path, int sigfd,
	     uint32_t timeout);
int qmp_reopen(struct qmp *q);
void qmp_close(struct qmp *q);
int qmp_call(struct qmp *q, const char *command, struct json_object *args,
	     struct json_object **ret);
int qmp_getfd(struct qmp *q, const char *name, int fd);
bool qmp_ended(const struct qmp *q);
bool qmp_await_end(const struct qmp *q, int ms);

/* Arguments: "sbio" and a key and a value for each letter. */
struct json_object *qmp_args(const char *types, ...);
void qmp_args_add(struct json_object *args, const char *types, ...);

/* Parts of an answer, of which an absent one is as good as an empty one */
const char *qmp_str(struct json_object *o, const char *key);
int64_t qmp_int(struct json_object *o, const char *key);
bool qmp_bool(struct json_object *o, const char *key);
struct json_object *qmp_get(struct json_object *o, const char *key);
size_t qmp_length(struct json_object *array);
struct json_object *qmp_item(struct json_object *array, size_t i);

/* Properties of an object; the caller puts what it gets. */
struct json_object *qom_get(struct qmp *q, const char *path, const char *name);
bool qom_get_str(struct qmp *q, const char *path, const char *name, char *text,
		 size_t size);

#endif /* TAPXFER_QMP_H */
