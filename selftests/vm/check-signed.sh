#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that is built with dkms's certificate and booted with
# module.sig_enforce=1 loads the module that dkms signed, and no other. The last
# line is "N passed, N failed", the exit status says whether anything failed.
#
# The certificate is that of mkroot.sh's root, where dkms builds the module. As
# root, by sudo if need be.

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top" || exit 1

[ "$(id -u)" = 0 ] ||
	exec sudo env XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" "$0" "$@"
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
totals=$work/totals
: >"$totals"
finished=
# shellcheck source=selftests/vm/result.sh
. "$here/result.sh"
trap 'finish check-signed' EXIT
trap 'exit 1' INT TERM HUP

root=$work/root
in_root()
{
	"$here/in-root.sh" "$root" "$@"
}

# for the kernel in $kver, whose modules and headers go to the root
dkms_builds()
{
	local tree

	tree=$("$here/fetch.sh" kernel "$kver") || return
	mkdir -p "$root/lib/modules" "$root/usr/src" &&
		cp -a "$tree/lib/modules/$kver" "$root/lib/modules/" &&
		cp -a "$tree/usr/src/linux-$kver" "$root/usr/src/" &&
		# a relative link would go by /usr/lib, which /lib is there
		ln -sfn "/usr/src/linux-$kver" "$root/lib/modules/$kver/build" &&
		cp "$tree/boot/config-$kver" "$root/boot/" &&
		make dkms-source DESTDIR="$root" &&
		in_root dkms install -m tapxfer -v "$version" -k "$kver" &&
		cp "$root/lib/modules/$kver/updates/dkms/tapxfer.ko" "$work/tapxfer.ko"
}

head_line "a root, and a kernel with its certificate"
"$here/deps.sh" debootstrap openssl libssl-dev libelf-dev bc flex bison || exit
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
archive=$("$here/mkroot.sh") || exit
mkdir "$root"
tar -x -C "$root" -f "$archive" || exit
openssl x509 -inform DER -in "$root/var/lib/dkms/mok.pub" -out "$work/mok.pem" || exit
kver=$(TRUSTED_KEYS=$work/mok.pem "$here/mkkernel.sh" signed) || exit

head_line "the module for $kver"
check "dkms builds it" dkms_builds
check "library and command are built" make lib cli

head_line "booted"
if [ -s "$work/tapxfer.ko" ]; then
	VM_APPEND="slub_debug=FZP module.sig_enforce=1" "$here/run.sh" -k "$kver" \
		-m "$work/tapxfer.ko" -c signed.log -t "$work/vm" -l "vm_signed.sh 120"
	cut -d ' ' -f 1,2 "$work/vm" >>"$totals"
fi
[ -s "$work/vm" ]
result $? "the machine was booted and judged"
finished=1
