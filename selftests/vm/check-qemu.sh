#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the tests of "tapxfer qemu" with other QEMUs than the machine's, and from one
# version to the next:
#
#	check-qemu.sh [FIRST:THEN...]
#
# A guest begins in a QEMU of version FIRST and is moved to THEN. Versions are 7.2, the
# machine's own, and those of the list in ../qemu/versions. Ends with a table, a line
# for each pair, and with "N passed, N failed"; the exit status says whether anything
# failed.

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top/selftests" || exit 1
tests="t_qemu_check.py t_qemu_move.py t_qemu_vhost.py t_qemu_fail.py"
[ $# -gt 0 ] || set -- 7.2:7.2 7.2:10.0 10.0:10.0 10.0:11.1 11.1:11.1

work=$(mktemp -d)
totals=$work/totals
table=$work/table
: >"$totals"
printf '# %-16s %7s %7s %7s\n' QEMU passed failed time >"$table"
finished=
# shellcheck source=selftests/vm/result.sh
. "$here/result.sh"
trap 'finish check-qemu' EXIT
trap 'exit 1' INT TERM HUP

# pair FIRST:THEN: one machine, and a line for the table
pair()
{
	local start=$SECONDS p=0 f=0 t lines=() others=

	printf '\n# %s\n' "$1"
	for t in $tests; do
		lines+=(-l "$t $(($(sed -n 's/^timeout=//p' "${t%.py}.settings") * ${VM_SCALE:-1})) $1")
	done
	for t in "${1%:*}" "${1#*:}"; do
		[ "$t" = 7.2 ] || [[ " $others " == *" $t "* ]] || others="$others $t"
	done
	rm -f "$work/vm"
	VM_QEMU=$others "$here/run.sh" -t "$work/vm" \
		-c "console-qemu-${1/:/-}.log" "${lines[@]}"
	if [ -s "$work/vm" ]; then
		read -r p f _ <"$work/vm"
	else
		f=1
	fi
	echo "$p $f" >>"$totals"
	printf '# %-16s %7d %7d %5d s\n' "${1/:/ to }" "$p" "$f" \
		$((SECONDS - start)) >>"$table"
}

"$here/deps.sh" || exit
check "all that it takes builds" \
	make -s -k -C "$top" -j"$(nproc)" kmod lib cli selftests || exit
for p; do
	pair "$p"
done
finished=1
