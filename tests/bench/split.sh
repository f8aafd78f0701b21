# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# shellcheck disable=SC2211
#
# split.sh: part of bench: the very programs that reef.sh runs on Linux, the same files, on reef in splitVM; and what a
# delegated call costs. Linux is that of the kernel `linux` in fullVM, which is the regular OS of splitVM, too.

on_split() { # CPUS PROGRAM.LIBRARY ARGUMENT...
	local cpus=$1 program=$2
	shift 2
	"$M/kernels/reef"/*/run -d splitVM -c "$cpus" -m 256M -o "exec=$T/guests/bin/$program" -- "$@" </dev/null
}

split_programs() {
	local name size library
	for program in $programs; do
		name=${program%:*} size=${program#*:}
		rm -f "$T"/ran.*
		for ((i = 0; i < ROUNDS; i++)); do
			for library in gcc musl-gcc; do
				ran on_split 1 "$name.$library" "$size" >>"$T/ran.split"
				ran on_linux 1 "$name.$library" "$size" >>"$T/ran.linux"
			done
		done
		row "splitVM: $name $size, Linux's program" "$(best "$T/ran.split")" "$(best "$T/ran.linux")" ms "the same on Linux" 1.05
	done
}

split_calls() {

	rm -f "$T"/calls.*
	for ((i = 0; i < ROUNDS; i++)); do
		on_split 1 delegate.gcc 2>/dev/null >>"$T/calls.split"
		on_linux 1 delegate.gcc 2>/dev/null >>"$T/calls.linux"
	done
	for k in split linux; do
		sed -n 's/ ns getppid.*//p' "$T/calls.$k" | sort -n | head -n 1 >"$T/call.$k"
		sed -n 's/ MB\/s write.*//p' "$T/calls.$k" | sort -rn | head -n 1 >"$T/write.$k"
	done
	row "splitVM: delegated getppid" "$(cat "$T/call.split")" "$(cat "$T/call.linux")" ns "a native one on Linux" "under 2.5"
	row "splitVM: write of 64 KiB, delegated" "$(cat "$T/write.split")" "$(cat "$T/write.linux")" MB/s "on Linux"
}

split() {
	if [ ! -e "$BUILD/stage/ros/kernel.conf" ] || [ ! -e "$BUILD/stage/linux/images/vmlinuz" ] || ! command -v musl-gcc >/dev/null; then
		echo "splitVM is left out: the kernels ros and linux (make ros linux) or musl-gcc are not there"
		return
	fi
	shopt -s extglob
	guest_kernels || { echo "bench: the programs were not built" >&2; return; }
	for k in reef ros; do "$BUILD/bin/diverfs" publish "$BUILD/stage/$k" "$T/guests/layout" >/dev/null || return; done
	chmod -R go+rX "$T/guests/bin"
	mount_it "$T/guests/layout"
	rm -f "$T"/first.*
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" first "$M/kernels/reef"/*/run -d splitVM -o exec="$T/guests/bin/nbody.musl-gcc" -- 1 >>"$T/first.split"
		"$clock" first "$M/kernels/linux"/*/run -c 1 "${same[@]}" -- nbody.musl-gcc 1 >>"$T/first.linux"
	done
	row "splitVM: launch to first output" "$(best "$T/first.split")" "$(best "$T/first.linux")" ms "the same on Linux" "under 3000 ms"
	split_programs
	split_calls
	unmount_it
	rm -rf "$T/guests"
}
