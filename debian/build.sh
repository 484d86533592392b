#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build Debian's packages in a copy of the checkout, and have lintian look at
# them:
#
#	build.sh DIR	where they go
#
# It fails when a package cannot be built, or lintian has an error or a warning.

set -euo pipefail

top=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
cd "$top"
selftests/vm/deps.sh debhelper dh-dkms dpkg-dev fakeroot lintian \
	libjson-c-dev libmnl-dev libnl-route-3-dev
# what the make that calls this was told is not for the packages
unset MAKEFLAGS MFLAGS MAKEOVERRIDES DESTDIR PREFIX prefix

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
if [ "$(dpkg-parsechangelog -S Version)" != "$version" ]; then
	echo "debian/changelog is not of version $version, which dkms.conf has" >&2
	exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
src=$work/tapxfer-$version
mkdir -p "$src" "$1"
out=$(readlink -f "$1")

# What is in git, or else all that no build has left
if git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done
else
	find . -type f ! -name '*.o' ! -name '*.ko' ! -path '*/build/*' -print0
fi | tar -c --null -T - | tar -x -C "$src"

if ! (cd "$src" && dpkg-buildpackage -us -uc -rfakeroot) >"$work/log" 2>&1; then
	tail -n 60 "$work/log" >&2
	exit 1
fi
rm -f "$out"/*tapxfer*_"$version"*
cp "$work"/*.deb "$work"/*.dsc "$work"/*.tar.* "$work"/*.buildinfo \
	"$work"/*.changes "$out"
lintian --allow-root --no-cfg --fail-on error,warning \
	"$out/tapxfer_${version}_$(dpkg --print-architecture).changes"
printf '%s\n' "$out"/*.deb
