// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check: backends of vhost-net that are attached. Nobody but a device's owner can
 * ask it, so they are told by what they hold: two references to a queue file, one
 * for each direction, and no descriptor.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

#define BACKEND_REFERENCES	2
#define SHOWN			16	/* queues by number */

struct seen {
	char *text;
	size_t size;
	size_t n;
	pid_t but;
};

static void see(pid_t pid, const char *comm, int fd, void *data)
{
	struct seen *s = data;
	size_t len = strlen(s->text);

	if (pid == s->but)
		return;
	s->n++;
	snprintf(s->text + len, s->size - len, "%spid %d (%s) fd %d",
		 len ? ", " : "", (int)pid, comm, fd);
}

/*
 * Who has vhost-net open, a process or, with 0, all of them but @but: how many
 * descriptors, and as many as fit in @text.
 */
size_t check_vhost_open(pid_t pid, pid_t but, char *text, size_t size)
{
	struct seen s = { .text = text, .size = size, .but = but };

	*text = '\0';
	if (pid)
		look_at(pid, LOOK_VHOST, see, &s);
	else
		look_everywhere(LOOK_VHOST, see, &s);
	return s.n;
}

/*
 * @unexplained: references to each of @n queues that no descriptor explains, or
 * NULL when only their sum is known, which is @left. How many of them backends do.
 */
uint64_t check_vhost(struct check *c, const uint64_t *unexplained, size_t n,
		     uint64_t left)
{
	char queues[128] = "", who[256];
	size_t i, len, attached = 0;

	if (!check_vhost_open(0, 0, who, sizeof(who)))
		return 0;
	for (i = 0; unexplained && i < n; i++) {
		if (unexplained[i] < BACKEND_REFERENCES)
			continue;
		len = strlen(queues);
		if (attached++ < SHOWN)
			snprintf(queues + len, sizeof(queues) - len, "%s%zu",
				 *queues ? ", " : ": ", i);
	}
	if (!unexplained)
		attached = left / BACKEND_REFERENCES < n ?
			   (size_t)left / BACKEND_REFERENCES : n;
	if (attached)
		check_find(c, false, "vhost-attached",
			   "have its owner stop it, best between hold and freeze; ready and thaw are refused while it is attached",
			   "a backend of vhost-net is attached to %zu of %zu queues%s%s; who has vhost-net open: %s",
			   attached, n, queues, attached > SHOWN ? ", ..." : "",
			   who);
	return (uint64_t)attached * BACKEND_REFERENCES;
}
