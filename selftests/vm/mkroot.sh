#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make a Debian 12 root in which packages are installed and tried, or find it in the
# cache, and print where its archive is:
#
#	mkroot.sh
#
# In it are a 6.1 cloud kernel with its headers, dkms and its signing key, a
# compiler, what the packages depend on; and, downloaded and not installed, a 6.12
# kernel with its headers. /second has the releases of both, a line each.
#
# The machine's apt sources and lists are left alone. As root.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer
mirror=${TAPXFER_MIRROR:-http://deb.debian.org/debian}
security=${TAPXFER_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
first=linux-image-cloud-amd64
second=linux-image-6.12-cloud-amd64
archive=$cache/root-bookworm-$(sha256sum <"$0" | cut -c 1-8).tar

"$here/deps.sh" debootstrap
if [ ! -f "$archive" ]; then
	mkdir -p "$cache"
	exec 9>"$cache/.lock-mkroot"
	flock 9
fi
if [ ! -f "$archive" ]; then
	work=$(mktemp -d "$cache/.tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	root=$work/root
	echo "# mkroot: making a Debian root, once" >&2
	{
		debootstrap --variant=minbase bookworm "$root" "$mirror"
		cat >"$root/etc/apt/sources.list" <<-END
		deb $mirror bookworm main
		deb $security bookworm-security main
		END
		# no daemon is started, whatever is installed
		printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
		chmod +x "$root/usr/sbin/policy-rc.d"
		cat >"$work/fill" <<-END
		set -e
		apt-get -q update
		apt-get -y -q --no-install-recommends install dkms gcc libc6-dev \\
			make pkg-config kmod openssl e2fsprogs iproute2 procps \\
			python3-minimal libpython3-stdlib busybox man-db ethtool \\
			bash-completion libmnl-dev libjson-c5 libnl-route-3-200 \\
			initramfs-tools zstd $first ${first/image/headers}
		apt-get -y -q clean
		apt-get -y -q --no-install-recommends --download-only install \\
			$second ${second/image/headers}
		for meta in $first $second; do
			apt-cache depends \$meta |
				sed -n 's/^ *Depends: linux-image-//p' | head -n 1
		done >/second
		END
		"$here/in-root.sh" "$root" sh <"$work/fill"
		# what dkms makes with its first module, by its own call
		"$here/in-root.sh" "$root" openssl req -new -x509 -nodes -days 36500 \
			-subj "/CN=DKMS module signing key" -newkey rsa:2048 \
			-keyout /var/lib/dkms/mok.key \
			-outform DER -out /var/lib/dkms/mok.pub
		tar -c -C "$root" -f "$work/tar" .
		mv "$work/tar" "$archive"
	} >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
fi
echo "$archive"
