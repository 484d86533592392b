// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "handover.h"

#define TRIES		500
#define BETWEEN_US	10000
#define HDR_MAX		12
#define LEFT_MIN_MS	2000

const struct tapxfer_opts limits = {
	.size = sizeof(limits),
	.set = TAPXFER_OPT_DEADLINE,
	.deadline = DEADLINE_MS,
};

struct tapxfer *tx_open(void)
{
	struct tapxfer *tx;
	int err;

	err = tapxfer_open(&tx);
	if (err)
		die(0, "%s", tapxfer_open_error(err));
	return tx;
}

const char *unfit(const struct tapxfer_info *ho)
{
	const struct tapxfer_info *dev =
		tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0);

	if (tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE) != QUEUES)
		return "the guest has another number of queues";
	if (!dev || tapxfer_info_u64(dev, TAPXFER_A_DEV_VNET_HDR_SZ) > HDR_MAX)
		return "packets with a header that is not known here";
	return NULL;
}

int thaw_alone(struct tapxfer *tx, uint32_t id,
	       const struct tapxfer_token *token, struct tapxfer_info **ho)
{
	int tries = TRIES, err;

	do {
		err = tapxfer_thaw(tx, id, token, ho);
	} while (err == -EBUSY && --tries && !usleep(BETWEEN_US));
	return err;
}

int may_let_go(struct tapxfer *tx, uint32_t id)
{
	struct tapxfer_info *ho;
	int may;

	if (tapxfer_handover_get(tx, id, &ho))
		return 0;
	may = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE) ==
	      TAPXFER_STATE_CLAIMED &&
	      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_REMAINING) >= LEFT_MIN_MS;
	tapxfer_info_free(ho);
	return may;
}

void take_back(struct tapxfer *tx, uint32_t id,
	       const struct tapxfer_token *token, int fds[QUEUES])
{
	struct tapxfer_info *ho;
	int tries = TRIES, err;

	/* its claim ends a little later than the target does */
	do {
		err = tapxfer_claim(tx, id, token, &ho);
	} while ((err == -EPROTO || err == -EBUSY) && --tries &&
		 !usleep(BETWEEN_US));
	if (err)
		die(0, "cannot take the queues back: %s", tapxfer_error(tx));
	tapxfer_info_fds(ho, fds, QUEUES);
	tapxfer_info_free(ho);
	if (thaw_alone(tx, id, token, NULL))
		die(0, "cannot thaw: %s", tapxfer_error(tx));
}

void say_running(const struct tapxfer_info *ho)
{
	printf("running, %llu packets were held\n", (unsigned long long)
	       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HELD));
}
