#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Boot one machine under the judge:
#
#	boot.sh KERNELTREE INITRD CONSOLE.LOG JUDGE-OPTIONS...
#
# The first serial port is the kernel's and goes to a file, the second is the
# tests'. Emulated: a test must not depend on the host's virtualisation. The
# environment changes it as run.sh says; VM_DISK is an image for a first disk.

set -eu

here=$(dirname "$(readlink -f "$0")")
kernel=$1
initrd=$2
console=$3
shift 3
scale=${VM_SCALE:-1}
rm -f "$console"

# Oopses end it at once, and -no-reboot makes an exit of a panic. Warnings and
# worse reach the console, and so do notices, but no chatter: it is slow.
# Grace periods of RCU are hurried: tests wait for many, one after the other.
append="loglevel=6 panic=-1 oops=panic softlockup_panic=0
mitigations=off tsc=reliable no_timer_check random.trust_cpu=on
hung_task_panic=0 log_buf_len=4M rcupdate.rcu_expedited=1 ${VM_APPEND-}"
# The first goes to init's environment, the rest is what the kernel waits itself.
[ "$scale" = 1 ] || append="$append SELFTESTS_SCALE=$scale
watchdog_thresh=$((scale > 6 ? 60 : 10 * scale)) workqueue.watchdog_thresh=$((30 * scale))
rcupdate.rcu_cpu_stall_timeout=$((21 * scale))"

# The kernel's port is the machine's first on either.
image=$(echo "$kernel"/boot/vmlinuz-*)
set -- "$@" --
case $image in
*-arm64)
	# The board has no other port than that.
	append="$append console=ttyAMA0 SELFTESTS_TTY=ttyS0"
	set -- "$@" qemu-system-aarch64 -machine virt \
		-cpu max,pauth-impdef=on -serial "file:$console" \
		-chardev stdio,id=tests -device pci-serial,chardev=tests
	;;
*)
	append="$append console=ttyS0"
	# QEMU 7.2 leaves garbage in the flags of a cmpxchg16b without lock, which
	# is what kernels from 6.5 on allocate with: a double fault at times.
	set -- "$@" qemu-system-x86_64 -machine q35 \
		-cpu max,-cx16 -serial "file:$console" -serial stdio
	;;
esac

# The lock is the judge's, which outlives the machine.
slot()
{
	[ "${VM_SLOTS:-0}" -gt 0 ] || return 0
	while sleep 1; do
		for i in $(seq "$VM_SLOTS"); do
			exec 9>"${TMPDIR:-/tmp}/.tapxfer-vm.$(id -u).$i"
			! flock -n 9 || return 0
		done
	done
}
slot

cpus=${VM_SMP:-2}
# A kernel without ACPI knows of a CPU a socket, and no more.
exec "$here/judge" --console "$console" --scale "$scale" "$@" \
	-nodefaults -no-user-config -display none -no-reboot \
	-accel tcg,thread=multi -smp "$cpus,sockets=$cpus" -m "${VM_MEM:-3G}" \
	-kernel "$image" -initrd "$initrd" \
	-append "$(echo "$append" | tr '\n' ' ')" \
	${VM_DISK:+-drive "file=$VM_DISK,format=raw,if=virtio"}
