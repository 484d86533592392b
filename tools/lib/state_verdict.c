// SPDX-License-Identifier: LGPL-2.1-or-later
/* Is a state what a frozen device is? */
#include <errno.h>
#include <string.h>

#include "state.h"

/* Of two objects: what only one of them has is no difference. */
bool txl_state_same(const struct tapxfer_info *a, const struct tapxfer_info *b,
		    const struct txl_state_attr *attr)
{
	const void *bin_a, *bin_b;
	size_t len_a, len_b;

	bin_a = tapxfer_info_bin(a, attr->type, &len_a);
	bin_b = tapxfer_info_bin(b, attr->type, &len_b);
	return !bin_a || !bin_b ||
	       (len_a == len_b && !memcmp(bin_a, bin_b, len_a));
}

static int violated(struct tapxfer *tx, const struct tapxfer_info *state,
		    const struct tapxfer_info *ho)
{
	uint32_t bits = (uint32_t)
		(tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_VIOLATED) &
		 ~tapxfer_info_u64(state, TAPXFER_A_HANDOVER_VIOLATED));
	const char *name;

	if (!bits)
		return 0;
	name = tapxfer_violation_name(bits & -bits);
	if (!name)
		name = "in a way that this version of the library does not know";
	return txl_error_set(tx, -ESTALE,
			     "the device has changed since the state was saved: %s",
			     name);
}

/*
 * The settings, which stay as they were exported. How much is held changes
 * with each packet.
 */
int txl_state_verdict(struct tapxfer *tx, const struct tapxfer_info *state,
		      const struct tapxfer_info *ho)
{
	static const uint16_t of_queue[] = {
		TAPXFER_A_QUEUE_DETACHED, TAPXFER_A_QUEUE_NONBLOCK,
	};
	const struct txl_state_attr *nest, *a;
	const struct tapxfer_info *s, *l;
	size_t i = 0, j;

	nest = txl_state_attr_find(txl_state_attrs, TAPXFER_A_HANDOVER_DEV);
	s = tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);
	l = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0);
	if (!l)
		return txl_error_set(tx, -EPROTO,
				     "the kernel did not tell the handover's device");
	for (a = nest->nest; a->type; a++)
		if (!txl_state_same(s, l, a))
			return txl_error_set(tx, -ESTALE,
					     "the state is not the handover's: the %s differs",
					     a->name);

	if (tapxfer_info_count(state, TAPXFER_A_HANDOVER_QUEUE) !=
	    tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE))
		return txl_error_set(tx, -ESTALE,
				     "the state is not the handover's: it has another number of queues");
	nest = txl_state_attr_find(txl_state_attrs, TAPXFER_A_HANDOVER_QUEUE);
	l = NULL;
	for_each_nest(s, state, TAPXFER_A_HANDOVER_QUEUE) {
		l = txl_info_next(ho, TAPXFER_A_HANDOVER_QUEUE, l);
		if (!l)
			break;
		for (j = 0; j < ARRAY_SIZE(of_queue); j++) {
			a = txl_state_attr_find(nest->nest, of_queue[j]);
			if (!txl_state_same(s, l, a))
				return txl_error_set(tx, -ESTALE,
						     "the state is not the handover's: the %s differs (queue %zu)",
						     a->name, i);
		}
		i++;
	}
	return violated(tx, state, ho);
}
