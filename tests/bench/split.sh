# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# shellcheck disable=SC2211
#
# split.sh: part of bench: Linux's programs, the same files, in three places: on reef in splitVM; natively in the ROS, which is
# splitVM's machine, Linux and command line without reef; and on the same Linux in fullVM. Times are taken inside the machine, by
# guest/timed.c, and the best of ROUNDS runs counts, taken in turns. Each is there twice, linked with glibc and with
# musl; the faster counts, in each place.
#
#   SPLIT    parts to run (start programs costs calls bzip2)
#   GUESTS   a directory where the programs and kernels are kept for the next time (else they are made anew)

SPLIT=${SPLIT:-start programs costs calls bzip2}

# --- the three places: CPUS PROGRAM.LIBRARY ARGUMENT... ---

on_split() {
	local cpus=$1 program=$2
	shift 2
	"$M/kernels/reef"/*/run -d splitVM -c "$cpus" -m 256M -o "exec=$G/bin/$program" -- "$@" </dev/null
}
on_ros() {
	local name=$2
	shift 2
	"$M/kernels/native"/*/run -c 2 -m 512M -o 'machine = pc' -- "$name" "$@" </dev/null
}
on_full() {
	local cpus=$1 name=$2
	shift 2
	"$M/kernels/linux"/*/run -c "$cpus" "${same[@]}" -- "$name" "$@" </dev/null
}

# --- what is run there ---

split_compile() {
	local name src libs
	for name in ${programs//:*([0-9])/} costs delegate; do
		src="tests/bench/guest/$name.c"
		[ -e "$src" ] || src=$(echo "examples/kernels/$name/app"/*.c)
		for libs in gcc musl-gcc; do
			# shellcheck disable=SC2086
			$libs -O2 -std=gnu11 -static -s -o "$G/bin/$name.$libs" $src tests/bench/guest/timed.c -pthread -lm || return 1
			echo "file bin/$name.$libs 755 $G/bin/$name.$libs"
		done
	done >"$G/list"
	echo "file bin/bzip2 755 $(command -v bzip2)" >>"$G/list"
	ldd "$(command -v bzip2)" | sed -n 's,^[^/]*\(/[^ ]*\) .*,\1,p' | while read -r libs; do
		dirname "$libs" | awk -F/ '{ for (i = 2; i <= NF; i++) print "dir " (d = d (d ? "/" : "") $i) }'
		echo "file ${libs#/} 755 $libs"
	done | awk '!seen[$0]++' >>"$G/list"
	echo "file input 644 $G/input" >>"$G/list"
}

# Two kernels: Linux, and it again in the ROS's shape.
split_guests() {
	local line
	mkdir -p "$G/bin" || return 1
	head -c $((10 << 20)) /dev/urandom | od -An -tx1 -v | head -c $((20 << 20)) >"$G/input"
	split_compile || return 1
	cp -r "$BUILD/stage/linux" "$G/linux"
	sed -i 's/^cpus_max *=.*/cpus_max = 2/' "$G/linux/kernel.conf"
	(echo; sed 's/^/echo "/; s/$/"/' "$G/list") >>"$G/linux/src/list"
	make -s -C "$G/linux/src" OUT="$G/linux/images" </dev/null >"$G/log" 2>&1 || { cat "$G/log"; return 1; }
	cp -r "$G/linux" "$G/native"
	line=$(sed -n 's/^cmdline *= *//p' "$BUILD/stage/ros/kernel.conf")
	sed -i "s/^name *=.*/name = native/; s/^cmdline *=.*/cmdline = $line maxcpus=1 mem=256M/" "$G/native/kernel.conf"
	for line in "$G/linux" "$G/native" "$BUILD/stage/reef" "$BUILD/stage/ros"; do
		"$BUILD/bin/diverfs" publish "$line" "$G/layout" >/dev/null || return 1
	done
	chmod -R go+rX "$G"
	: >"$G/made"
}

# --- rows of three ---

three_columns() { printf '%-44s %10s %10s %10s %7s  %s\n' "$@"; }
three() { # WHAT SPLIT ROS FULL UNIT
	three_columns "$1" "$2" "$3" "$4" "$(awk -v a="$2" -v b="$3" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }')" "$5"
}
three_heading() { three_columns "$1" splitVM ROS fullVM ratio "splitVM to ROS${2:+; aim: $2}"; }

split_start() {
	rm -f "$T"/first.*
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" first "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/nbody.musl-gcc" -- 1 >>"$T/first.split"
		"$clock" first "$M/kernels/linux"/*/run -c 1 "${same[@]}" -- nbody.musl-gcc 1 >>"$T/first.linux"
		ms "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/nbody.musl-gcc" -- 1 >>"$T/first.exit"
	done 2>/dev/null
	row "splitVM: launch to a program's first output" "$(median <"$T/first.split")" "$(median <"$T/first.linux")" ms \
		"the same on Linux" "under 3000 ms"
	row "splitVM: launch to its exit" "$(median <"$T/first.exit")" - ms "" "under 2500 ms"
}

split_programs() {
	local name size library k
	three_heading "a program's time, one CPU (ms)" 1.05
	for program in $programs; do
		name=${program%:*} size=${program#*:}
		rm -f "$T"/ran.*
		for ((i = 0; i < ROUNDS; i++)); do
			for library in gcc musl-gcc; do
				for k in split ros full; do
					ran on_$k 1 "$name.$library" "$size" >>"$T/ran.$k"
				done
			done
		done
		three "$name $size" "$(best "$T/ran.split")" "$(best "$T/ran.ros")" "$(best "$T/ran.full")" ms
	done
}

split_costs() {
	local what k library
	rm -f "$T"/costs.*
	for ((i = 0; i < ROUNDS; i++)); do
		for library in gcc musl-gcc; do
			for k in split ros full; do
				on_$k 1 "costs.$library" 2>/dev/null >>"$T/costs.$k"
			done
		done
	done
	three_heading "threads, memory, time, one CPU (ns)"
	sed -n 's/^ *[0-9]* ns  //p' "$T/costs.split" | awk '!seen[$0]++' | while read -r what; do
		for k in split ros full; do
			awk -v what="$what" 'index($0, " ns  " what) && (best == "" || $1 < best) { best = $1 } END { print best }' \
				"$T/costs.$k"
		done | { read -r a; read -r b; read -r c; three "$what" "$a" "$b" "$c" ns; }
	done
}

# Lines of delegate.c: NUMBER UNIT what. Of a time the smallest counts, of a rate the largest.
split_calls() {
	local what unit k
	rm -f "$T"/calls.*
	for ((i = 0; i < ROUNDS; i++)); do
		for k in split ros full; do on_$k 1 delegate.gcc 2>/dev/null | tr -d '\r' >>"$T/calls.$k"; done
	done
	three_heading "calls that Linux serves" "2.5 for getppid"
	sed -n 's/^ *[0-9]* //p' "$T/calls.split" | awk '!seen[$0]++' | while read -r unit what; do
		for k in split ros full; do
			awk -v u="$unit" -v what="$what" '{ n = $1; f = $2; $1 = $2 = ""; if (f == u && substr($0, 3) == what &&
				(best == "" || (u == "ns" ? n < best : n > best))) best = n } END { print best }' "$T/calls.$k"
		done | { read -r a; read -r b; read -r c; three "$what" "$a" "$b" "$c" "$unit"; }
	done
}

# From the host, since it is Debian's own program: with 20 MiB, less with nothing.
split_bzip2() {
	local k file
	: >"$G/empty"
	rm -f "$T"/bz.*
	for ((i = 0; i < ROUNDS; i++)); do
		for file in input empty; do
			ms "$M/kernels/reef"/*/run -d splitVM -m 256M -o exec=/usr/bin/bzip2 -o "files=$G/$file" -- -k "$G/$file" >>"$T/bz.split.$file"
		done
		ms on_ros 1 bzip2 -k /input >>"$T/bz.ros.input"
		ms on_ros 1 bzip2 --version >>"$T/bz.ros.empty"
	done 2>/dev/null </dev/null
	for k in split ros; do
		echo $(($(best "$T/bz.$k.input" | cut -d. -f1) - $(best "$T/bz.$k.empty" | cut -d. -f1))) >"$T/bz.$k"
	done
	row "splitVM: bzip2 -k of 20 MiB, less its start" "$(cat "$T/bz.split")" "$(cat "$T/bz.ros")" ms "in the ROS"
}

split() {
	if [ ! -e "$BUILD/stage/ros/kernel.conf" ] || [ ! -e "$BUILD/stage/linux/images/vmlinuz" ] || ! command -v musl-gcc >/dev/null; then
		echo "splitVM is left out: the kernels ros and linux (make ros linux) or musl-gcc are not there"
		return
	fi
	shopt -s extglob
	G=${GUESTS:-$T/guests}
	[ -e "$G/made" ] || split_guests || { echo "bench: the programs were not built" >&2; return; }
	mount_it "$G/layout"
	for part in $SPLIT; do "split_$part"; done
	unmount_it
	[ -n "${GUESTS:-}" ] || rm -rf "$G"
}
