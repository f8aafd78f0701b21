#!/bin/bash
# SPDX-License-Identifier: MIT
# devices: disk = PATH, and reef's drivers for disks and the host's random numbers, on both buses.
. "$(dirname "$0")/../lib.sh"

mount_registry
[ -e "$M"/kernels/reef ] || skip_all "no musl-gcc: reef was not built"
image=$(echo "$M"/kernels/reef/*/images/reef.elf)

head -c 3000000 /dev/urandom >"$T/disk"
truncate -s 3000320 "$T/disk"
cat >"$T/sum.c" <<'END'
#include <stdio.h>
int main(void)
{
	unsigned long h = 0xcbf29ce484222325, n = 0;
	for (int c; (c = getchar()) != EOF; n++)
		h = (h ^ (unsigned char)c) * 0x100000001b3;
	printf("%016lx  %lu bytes\n", h, n);
}
END
gcc -o "$T/sum" "$T/sum.c"
sum=$("$T/sum" <"$T/disk")

# shell LINE...: what reef's shell says on the console, with these lines of config
shell() {
	instance d 'kernel = reef' "$@"
	put fullVM "$M/run/d/deploy" && timeout "$SLOW" cat "$M/run/d/wait" >"$T/status"
	cat "$M/run/d/console"
	rmdir "$M/run/d"
}
for machine in microvm pc; do
	for cpus in 1 2; do
		like "$machine, $cpus CPUs: all of the disk" \
			"$(shell "machine = $machine" "cpus = $cpus" "disk = $T/disk" 'args = disk sum')" "^$sum in "
	done
done
like "no disk" "$(shell 'args = disk')" "no disk .disk = PATH"
like "its size" "$(shell "disk = $T/disk" 'args = disk')" "^3000320 bytes, read-only"
like "it is not written" "$(shell "disk = $T/disk" 'args = disk put hello')" "cannot be written.*read-only"
is "really not" "$("$T/sum" <"$T/disk")" "$sum"
shell "disk = $T/disk rw" 'args = disk put hello' >/dev/null
is "unless that was allowed" "$(cat "$T/status") $(head -c 5 "$T/disk")" "0 hello"

instance e 'kernel = reef' "disk = $T/nothing"
fails "a disk that is not there" "" put fullVM "$M/run/e/deploy"
like "says so" "$(cat "$M/run/e/error")" "disk: cannot open $T/nothing: No such file"
put "$(printf 'kernel = reef\ndisk = %s' "$T")" "$M/run/e/config"
fails "a directory" "" put fullVM "$M/run/e/deploy"
like "is no disk" "$(cat "$M/run/e/error")" "neither a file nor a block device"
fails "a relative path" "nvalid" put 'disk = x' "$M/run/e/config"
like "is refused" "$(cat "$M/run/e/error")" "not an absolute path"

bare() { # MACHINE BUS ARGUMENT...
	timeout "$SLOW" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu "$cpu" \
		-M "$1" -m 64M -kernel "$image" -append "-- random" -serial stdio -global virtio-mmio.force-legacy=false \
		"${@:2}" </dev/null 2>&1
}
cpu=qemu64
rng=(-object "rng-random,id=r,filename=/dev/urandom" -device)
like "random numbers of the host, MMIO" "$(bare microvm,auto-kernel-cmdline=off "${rng[@]}" virtio-rng-device,rng=r)" "^[0-9a-f]{32}  from the host"
like "PCI" "$(bare pc "${rng[@]}" virtio-rng-pci,rng=r)" "^[0-9a-f]{32}  from the host"
like "without that and RDRAND" "$(bare pc)" "^[0-9a-f]{32}  from the clock"
cpu=max
like "with RDRAND" "$(bare pc)" "^[0-9a-f]{32}  from the CPU"
