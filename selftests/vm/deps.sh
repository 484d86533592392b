#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Install what building and testing tapxfer needs on Debian 12. Silent, and
# without the network, when everything is there.

set -eu

# gcc and make for everything; the libraries of tools/; dkms, sparse, perl,
# valgrind, patch, docutils, groff, abidiff and spin for the checks, clang for
# libFuzzer; gnuplot for the benchmark's figures; the rest for the virtual machine.
pkgs="gcc g++ make libc6-dev pkg-config
libmnl-dev libnl-route-3-dev libjson-c-dev
linux-headers-cloud-amd64 dkms sparse perl valgrind patch spin
clang-14 libclang-rt-14-dev groff-base abigail-tools gnuplot-nox
qemu-system-x86 busybox-static bash coreutils kmod iproute2 ethtool
linux-perf bpftrace cpio xz-utils util-linux
python3 python3-yaml python3-jsonschema python3-docutils
$*"

missing=
for p in $pkgs; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
		missing="$missing $p"
done
[ -n "$missing" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root="sudo"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2086 # a list of words
install_them()
{
	$root env DEBIAN_FRONTEND=noninteractive \
		apt-get -y -q --no-install-recommends install $missing \
		>"$log" 2>&1
}

echo "# deps: installing$missing" >&2
# The machine's package lists may be absent or older than the mirror.
install_them ||
	{ $root apt-get -q update >"$log" 2>&1 && install_them; } ||
	{ cat "$log" >&2; echo "deps: cannot install$missing" >&2; exit 1; }
