#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The benchmark works: all ways hand a tap over between two processes, and what it
# says of packets, not of times, is what each way is known for.

n=0
rc=0
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		rc=1
		echo "not ok $n $2"
	fi
}

# lines WAY PATTERN CONDITION: it did some handovers whose sample has the pattern, and
# awk's condition is true of each; v["packets"] is how many packets came meanwhile
lines()
{
	grep "^@ loss way=$1 .*$2" "$log" | awk "
		{ n++; for (i = 3; i <= NF; i++) { split(\$i, f, \"=\"); v[f[1]] = f[2] } }
		!($3) { bad = 1 }
		END { exit bad || !n }"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "TAP version 13"
echo "1..9"

./bench -n 1 loss >"$log" 2>&1
r=$?
[ $r = 0 ] || grep -v '^@ ' "$log" | sed 's/^/# /'
result $r "it runs"

gap='kind=[sl].* hold=16384 hold_bytes=268435456 '
lines token "$gap" 'v["lost"] == 0'
result $? "claimed by token nothing is lost"
lines channel "$gap" 'v["lost"] == 0'
result $? "over the channel nothing is lost"
lines token 'kind=small.* hold=1024 ' \
	'v["packets"] - v["lost"] == 4 * 1024 && v["lost"] == v["dropped"]' &&
	lines channel 'kind=small.* hold=1024 ' \
		'v["packets"] - v["lost"] == 4 * 1024 && v["lost"] == v["dropped"]'
result $? "beyond the limit in packets what is lost is told"
lines token 'kind=large.* hold_bytes=33554432 ' 'v["lost"] > 0 && v["lost"] == v["dropped"]' &&
	lines channel 'kind=large.* hold_bytes=33554432 ' \
		'v["lost"] > 0 && v["lost"] == v["dropped"]'
result $? "beyond the limit in bytes what is lost is told"
lines token kind=edges 'v["packets"] > 0 && v["lost"] == 0' &&
	lines channel kind=edges 'v["packets"] > 0 && v["lost"] == 0'
result $? "nothing is lost of what comes while it is parked and unparked"
lines fds 'kind=[sl]' 'v["packets"] <= 4000 ? v["lost"] == 0 : v["lost"] > 0'
result $? "files that are passed alone lose what the rings have no room for"
lines queue 'kind=[sl]' 'v["lost"] == v["packets"]' &&
	lines reopen 'kind=[sl]' 'v["lost"] == v["packets"]' &&
	lines recreate 'kind=[sl]' 'v["lost"] == v["packets"]'
result $? "queues that are closed lose everything"

! grep '^@ loss way=\(token\|channel\) ' "$log" | grep -v ' dup=0 reordered=0 '
result $? "nothing comes twice or out of order"
exit $rc
