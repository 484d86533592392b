#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build modules that have to refuse this kernel, by a header that differs from it. All
# fields are where they are, so they build:
#
#	mkrefused.sh RELEASE DIR	makes DIR/refused_*.ko
#
# ring: for a ptr_ring that takes the consumers' index for one that runs on, and so
# finds packets where a parked ring has none to give.
# size: for one that sends the consumers to its beginning when it gets smaller.
# unconsume: for one that brings the index back into the ring when it takes packets
# back. What is in a parked ring's reserve might be freed then.
# tun: for a tun whose files have an operation that the fence has never heard of, and
# so would let pass.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
release=$1
dir=$(readlink -m "$2")
kernel=$("$here/fetch.sh" kernel "$release")

# what mkmodule.sh clears each time
build=$dir/build
root=
at=$build
if [ -d "$kernel/root" ]; then
	root=$kernel/root
	at=/mnt
fi
headers=$root/usr/src/linux-headers-${release%-cloud-*}-common
[ ! -d "$kernel/usr/src" ] || headers=$kernel/usr/src/linux-$release
mkdir -p "$build"

# refused NAME HEADER SED: the header comes in the place of the kernel's, which is
# guarded
refused()
{
	local name=$1 header=$headers/include/linux/$2

	sed "$3" "$header" >"$build/$2"
	if cmp -s "$header" "$build/$2"; then
		echo "mkrefused: this $2 cannot be changed like that ($name)" >&2
		exit 1
	fi
	"$here/mkmodule.sh" "$release" "$build" \
		KCFLAGS="-include linux/kconfig.h -include $at/$2"
	# nobody debugs these
	strip -g -o "$dir/refused_$name.ko" "$build/kmod/tapxfer.ko" 2>/dev/null ||
		mv "$build/kmod/tapxfer.ko" "$dir/refused_$name.ko"
}

refused ring ptr_ring.h \
	's/consumer_head)\]/consumer_head) % r->size]/; s/r->consumer_head\]/r->consumer_head % r->size]/'
refused size ptr_ring.h \
	'/^static inline void __ptr_ring_set_size/,/^}/s/r->size = size;/if (size < r->size)\
		r->consumer_head = r->consumer_tail = 0;\
	&/'
refused unconsume ptr_ring.h \
	'/^static inline void ptr_ring_unconsume/,/^}/s/WRITE_ONCE(r->consumer_head, head)/WRITE_ONCE(r->consumer_head, head % r->size)/'
# what tun has and what no driver has change their places
refused tun fs.h \
	's/(\*fasync)/(*\n)/; s/(\*flock) (struct file \*, int, struct file_lock \*)/(*fasync) (int, struct file *, int)/
	s/(\*\n) (int, struct file \*, int)/(*flock) (struct file *, int, struct file_lock *)/'
