/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UNIX socket between source and target, which are the same user's.
 */
#ifndef EXAMPLES_PEER_H
#define EXAMPLES_PEER_H

/* @type: SOCK_STREAM or SOCK_SEQPACKET; the socket, or -errno */
int peer_connect(const char *path, int type);

/* These end with a message. The path is gone when somebody has come. */
int peer_listen(const char *path, int type);
int peer_accept(int sock, const char *path);

/* Words of one letter: whether it was told, or was what the other side said */
#define CLAIMED	'c'	/* the target has all: let go of the files */
#define THAWED	't'	/* the guest runs in the target */
int peer_tell(int sock, char what);
int peer_says(int sock, char what);

#endif /* EXAMPLES_PEER_H */
