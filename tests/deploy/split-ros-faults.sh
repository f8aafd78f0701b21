#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# splitVM with a Linux beside the kernel that fails: its agent is killed or overwritten, it panics, it has no memory or no module
# left. Each is told in words, and the next deploy works. A ROS that is like ours but for a program that does the damage
# (tests/kernels/saboteur.c) is made for this.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

# ros NAME CMDLINE LINE...: our ROS with the files that LINEs name (pack.c) over its own
ros() {
	rm -rf "$T/ros" && cp -r "$BUILD/stage/ros" "$T/ros" && chmod -R u+w "$T/ros" && rm -rf "$T/ros/src"
	sed -i "s/^name = .*/name = $1/; s,^cmdline = .*,& $2,; /^build\|^tools/d" "$T/ros/kernel.conf"
	printf '%s\n' "${@:3}" | "$TOOLS/kernels/pack" >>"$T/ros/images/initrd"
	ok "a ROS $1" "$DIVERFS" publish "$T/ros" "$T/registry"
}
more_kernels() {
	ros ros-fails rdinit=/saboteur "file saboteur 755 $TOOLS/kernels/saboteur"
	printf '%s\n' virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console overlay >"$T/order"
	ros ros-without '' "file lib/modules/order 644 $T/order"
	{ head -c 56 "$TOOLS/kernels/cokernel.elf" && printf '\377\377' && tail -c +59 "$TOOLS/kernels/cokernel.elf"; } >"$T/broken.elf"
	publish_as broken "$T/broken.elf"
}
split_begin
faulty x 'ros = ros-fails'

ends "order proxy" failed 134 ros-agent 'the ROS failed, and the kernel was stopped with it: the agent.s process for the kernel was ended by signal 9'
ends "order agent" failed 134 ros-panic 'the ROS panicked: Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000[b4]'
ends "order panic" failed 134 ros-panic 'the ROS panicked: Kernel panic - not syncing: sysrq triggered crash'
like "the whole of it is in ros.console" "$(cat ros.console)" 'Kernel panic - not syncing: sysrq triggered crash'
ends "order unload" exited 0 guest '^$'
like "a module that is in use is not unloaded" "$(cat console)" '^unload: Resource (busy|temporarily unavailable)'
ends hog failed 134 ros-agent 'the ROS failed, and the kernel was stopped with it: the ROS ran out of memory, and Linux ended .* \(ros_memory\)'
MORE=('ros = ros-without')
ends "no module" failed 125 lost 'refused to boot the kernel: .*/dev/cokernel: No such file or directory \(is the module loaded\?\)'
echo 'kernel = broken' >config
put splitVM deploy >/dev/null 2>&1
wait_for "a broken image: it ends" over
is "a broken image: state, status" "$(cat state) $(cat wait)" "failed 125"
like "a broken image: error" "$(cat error)" 'program headers'
MORE=()
ends hello exited 0 guest '^$'

# A program that takes all the memory that the ROS has.
if [ -e "$BUILD/stage/reef/kernel.conf" ] && command -v mksquashfs >/dev/null; then
	mkdir "$M/run/y" && cd "$M/run/y" || exit 1
	printf '%s\n' 'kernel = reef' 'memory = 64M' 'ros_memory = 128M' "exec = $(type -P dd) if=/dev/zero of=/tmp/x bs=1M" >config
	put splitVM deploy >/dev/null 2>&1
	wait_for "a program that fills the ROS's memory: it ends" over
	like "is told so" "$(cat state wait error console | tr '\n' ' ')" 'the ROS ran out of memory|the ROS panicked: .*memory|No space left'
	wait_for "no machine is left" no_process 'qemu-system|/diverfs-splitvm '
	printf '%s\n' 'kernel = reef' 'memory = 64M' "exec = $(type -P echo) alive" >config
	ok "the next deploy" put splitVM deploy
	is "is in order" "$(timeout "$SLOW" cat stdout) $(timeout "$SLOW" cat wait)" "alive 0"
fi
split_over
