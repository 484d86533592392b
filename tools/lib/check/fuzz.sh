#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check/fuzz.sh FUZZER GOLDEN RUNS SECONDS [SEED]: so many inputs, or as many as
# fit in the time, from those in GOLDEN. What breaks it is left beside FUZZER.

set -u

fuzzer=$1 golden=$2 runs=$3 seconds=$4 seed=${5:-1}
dir=$(dirname "$fuzzer")
work=$(mktemp -d "$dir/corpus.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir "$work/found" "$work/seeds"
cp "$golden"/*.state "$work/seeds/"
cp "$golden"/refused/*.state "$work/seeds/"
"$fuzzer" -runs="$runs" -max_total_time="$seconds" -seed="$seed" -max_len=4096 \
	-timeout=60 -print_final_stats=1 -artifact_prefix="$dir/" \
	"$work/found" "$work/seeds" >"$work/log" 2>&1
status=$?
if [ $status != 0 ]; then
	tail -n 40 "$work/log"
	exit $status
fi
# it has to have seen more than it was given, or it fuzzes nothing
executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
new=$(find "$work/found" -type f | wc -l)
echo "$executed inputs, $new of them saw something new, seed $seed"
[ "$new" -gt 0 ] && [ "${executed:-0}" -gt 1000 ]
