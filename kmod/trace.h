/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, /sys/kernel/tracing/events/tapxfer. Behind static keys: nothing
 * is computed for one that is off.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tapxfer

#if !defined(_TAPXFER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TAPXFER_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

/* For readers of the raw format, which know no enums */
TRACE_DEFINE_ENUM(TAPXFER_STATE_PREPARED);
TRACE_DEFINE_ENUM(TAPXFER_STATE_HOLDING);
TRACE_DEFINE_ENUM(TAPXFER_STATE_FROZEN);
TRACE_DEFINE_ENUM(TAPXFER_STATE_CLAIMED);
TRACE_DEFINE_ENUM(TAPXFER_STATE_READY);
TRACE_DEFINE_ENUM(TAPXFER_STATE_DRAINING);

#define show_tapxfer_state(state)				\
	__print_symbolic(state,					\
			 { TAPXFER_STATE_PREPARED, "prepared" },	\
			 { TAPXFER_STATE_HOLDING, "holding" },	\
			 { TAPXFER_STATE_FROZEN, "frozen" },	\
			 { TAPXFER_STATE_CLAIMED, "claimed" },	\
			 { TAPXFER_STATE_READY, "ready" },	\
			 { TAPXFER_STATE_DRAINING, "draining" })

TRACE_DEFINE_ENUM(TAPXFER_EVENT_PREPARED);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_HOLDING);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_FROZEN);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_CLAIMED);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_READY);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_THAWED);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_ABORTED);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_EXPIRED);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_GONE);
TRACE_DEFINE_ENUM(TAPXFER_EVENT_VIOLATED);

#define show_tapxfer_event(event)				\
	__print_symbolic(event,					\
			 { TAPXFER_EVENT_PREPARED, "prepared" },	\
			 { TAPXFER_EVENT_HOLDING, "holding" },	\
			 { TAPXFER_EVENT_FROZEN, "frozen" },	\
			 { TAPXFER_EVENT_CLAIMED, "claimed" },	\
			 { TAPXFER_EVENT_READY, "ready" },	\
			 { TAPXFER_EVENT_THAWED, "thawed" },	\
			 { TAPXFER_EVENT_ABORTED, "aborted" },	\
			 { TAPXFER_EVENT_EXPIRED, "expired" },	\
			 { TAPXFER_EVENT_GONE, "gone" },		\
			 { TAPXFER_EVENT_VIOLATED, "violated" })

TRACE_DEFINE_ENUM(TAPXFER_LIMIT_NONE);
TRACE_DEFINE_ENUM(TAPXFER_LIMIT_HANDOVER);
TRACE_DEFINE_ENUM(TAPXFER_LIMIT_USER);
TRACE_DEFINE_ENUM(TAPXFER_LIMIT_NETNS);

#define show_tapxfer_limit(limit)				\
	__print_symbolic(limit,					\
			 { TAPXFER_LIMIT_NONE, "none" },	\
			 { TAPXFER_LIMIT_HANDOVER, "handover" },	\
			 { TAPXFER_LIMIT_USER, "user" },	\
			 { TAPXFER_LIMIT_NETNS, "netns" })

/* What the listeners of the family's events are told */
TRACE_EVENT(tapxfer_state,

	TP_PROTO(const struct tapxfer_handover *ho, enum tapxfer_event event,
		 u64 held, u64 dropped),

	TP_ARGS(ho, event, held, dropped),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(int, ifindex)
		__array(char, name, IFNAMSIZ)
		__field(u32, event)
		__field(u32, state)
		__field(u64, held)
		__field(u64, dropped)
	),

	TP_fast_assign(
		__entry->id = ho->ho_id;
		__entry->ifindex = ho->ho_dev->ifindex;
		strscpy(__entry->name, ho->ho_dev->name, IFNAMSIZ);
		__entry->event = event;
		__entry->state = ho->ho_state;
		__entry->held = held;
		__entry->dropped = dropped;
	),

	TP_printk("id=%u ifindex=%d name=%s event=%s state=%s held=%llu dropped=%llu",
		  __entry->id, __entry->ifindex, __entry->name,
		  show_tapxfer_event(__entry->event),
		  show_tapxfer_state(__entry->state),
		  __entry->held, __entry->dropped)
);

TRACE_EVENT(tapxfer_park,

	TP_PROTO(const struct tapxfer_queue *q),

	TP_ARGS(q),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, queue)
		__field(u32, pending)
		__field(u32, hold)
		__field(u64, bytes)
	),

	TP_fast_assign(
		__entry->id = q->q_ho->ho_id;
		__entry->queue = q->q_index;
		__entry->pending = q->q_ring.r_pending;
		__entry->hold = q->q_ring.r_hold;
		__entry->bytes = q->q_ring.r_bytes;
	),

	TP_printk("id=%u queue=%u pending=%u hold=%u bytes=%llu",
		  __entry->id, __entry->queue, __entry->pending,
		  __entry->hold, __entry->bytes)
);

TRACE_EVENT(tapxfer_unpark,

	TP_PROTO(const struct tapxfer_queue *q),

	TP_ARGS(q),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, queue)
		__field(u32, pending)
		__field(u32, held)
		__field(u32, put_back)
		__field(u64, bytes)
	),

	TP_fast_assign(
		__entry->id = q->q_ho->ho_id;
		__entry->queue = q->q_index;
		__entry->pending = q->q_ring.r_pending;
		__entry->held = q->q_ring.r_held;
		__entry->put_back = q->q_ring.r_put_back;
		__entry->bytes = q->q_ring.r_bytes;
	),

	TP_printk("id=%u queue=%u pending=%u held=%u put_back=%u bytes=%llu",
		  __entry->id, __entry->queue, __entry->pending,
		  __entry->held, __entry->put_back, __entry->bytes)
);

/* A limit in bytes has closed a queue: the driver drops what comes. */
TRACE_EVENT(tapxfer_full,

	TP_PROTO(const struct tapxfer_queue *q, enum tapxfer_limit limit),

	TP_ARGS(q, limit),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, queue)
		__field(u32, limit)
		__field(u32, packets)
		__field(u64, bytes)
	),

	TP_fast_assign(
		__entry->id = q->q_ho->ho_id;
		__entry->queue = q->q_index;
		__entry->limit = limit;
		__entry->packets = q->q_ring.r_size;
		__entry->bytes = q->q_ring.r_bytes;
	),

	TP_printk("id=%u queue=%u limit=%s packets=%u bytes=%llu",
		  __entry->id, __entry->queue,
		  show_tapxfer_limit(__entry->limit), __entry->packets,
		  __entry->bytes)
);

/* The end of a freeze's wait for those inside the driver */
TRACE_EVENT(tapxfer_writers,

	TP_PROTO(const struct tapxfer_handover *ho, unsigned int before,
		 unsigned int left, bool timed_out),

	TP_ARGS(ho, before, left, timed_out),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, before)
		__field(u32, left)
		__field(bool, timed_out)
	),

	TP_fast_assign(
		__entry->id = ho->ho_id;
		__entry->before = before;
		__entry->left = left;
		__entry->timed_out = timed_out;
	),

	TP_printk("id=%u before=%u left=%u timed_out=%d",
		  __entry->id, __entry->before, __entry->left,
		  __entry->timed_out)
);

/* The handover leaves the table. */
TRACE_EVENT(tapxfer_drained,

	TP_PROTO(const struct tapxfer_handover *ho, u64 held, u64 delivered),

	TP_ARGS(ho, held, delivered),

	TP_STRUCT__entry(
		__field(u32, id)
		__field(u64, held)
		__field(u64, delivered)
	),

	TP_fast_assign(
		__entry->id = ho->ho_id;
		__entry->held = held;
		__entry->delivered = delivered;
	),

	TP_printk("id=%u held=%llu delivered=%llu", __entry->id, __entry->held,
		  __entry->delivered)
);

#endif /* _TAPXFER_TRACE_H */

/* Outside of the guard, since this is read more than once */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
