# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# Read by the checks: a line for each result, counted in the file $totals. $work
# is a directory for logs; $table, if there is one, a file to be shown at the end.

# result STATUS NAME [LOG]: returns it
result()
{
	if [ "$1" = 0 ]; then
		echo "ok - $2"
		echo 1 0 >>"$totals"
	else
		echo "not ok - $2"
		[ ! -s "${3-}" ] || tail -n 40 "$3" | sed 's/^/# /'
		echo 0 1 >>"$totals"
	fi
	return "$1"
}

# check NAME CMD...: fails by its status
check()
{
	local name=$1
	shift
	"$@" >"$work/log" 2>&1
	result $? "$name" "$work/log"
}

# silent NAME CMD...: fails by its status, or by saying anything
silent()
{
	local name=$1 rc
	shift
	"$@" >"$work/log" 2>&1
	rc=$?
	[ ! -s "$work/log" ] || rc=1
	result $rc "$name" "$work/log"
}

head_line()
{
	printf '\n# %s (%d s)\n' "$*" "$SECONDS"
}

# finish TARGET: at the exit of what began with $finished empty
finish()
{
	local p f

	# Whatever ended this early was not a pass.
	[ -n "$finished" ] || result 1 "make $1 came to its end"
	read -r p f < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$totals")
	[ ! -s "${table-}" ] || { echo; cat "$table"; }
	rm -rf "$work"
	echo
	echo "$p passed, $f failed"
	# A bare exit in a trap would give the status from before the trap.
	[ "$f" = 0 ] && [ "$p" != 0 ] && exit 0
	exit 1
}
