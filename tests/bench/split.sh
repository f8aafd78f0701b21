# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# shellcheck disable=SC2211
#
# split.sh: part of bench: Linux's programs, the same files, in three places: on reef in splitVM; natively in the ROS, which is
# splitVM's machine, Linux and command line without reef; and on the same Linux in fullVM. Times are taken inside the machine, and
# the best of some runs counts, taken in turns. C programs are there twice, linked with glibc and with musl; the faster counts, in
# each place. Each prints lines: NUMBER UNIT what.
#
#   SPLIT    parts to run (start programs costs calls bzip2 racket); ONLY=split-calls is the same as ONLY=split SPLIT=calls
#   GUESTS   a directory where the programs and kernels are kept for the next time (else they are made anew)

SPLIT=${SPLIT:-start programs costs calls bzip2 racket}

# --- the three places: CPUS PROGRAM ARGUMENT... ---

on_split() {
	local cpus=$1 program=$2
	shift 2
	"$M/kernels/reef"/*/run -d splitVM -c "$cpus" -m 256M -o "exec=$G/bin/$program" -- "$@" </dev/null
}
on_ros() {
	local name=$2
	shift 2
	"$M/kernels/native"/*/run -c 2 -m 1280M -o 'machine = pc' -- "$name" "$@" </dev/null
}
on_full() {
	local cpus=$1 name=$2
	shift 2
	"$M/kernels/linux"/*/run -c "$cpus" -m 1G -o 'machine = pc' -- "$name" "$@" </dev/null
}

# --- what is run there ---

split_compile() {
	local name libs t=$G/objects
	mkdir -p "$t"
	for libs in gcc musl-gcc; do
		while read -r name; do
			$libs -O2 -std=gnu11 "-Dmain=main_$name" -c -o "$t/$name.o" "examples/kernels/${name//_/-}/app/main.c" || return 1
		done < <(sed -n 's/^#define PROGRAMS(P) //p' tests/bench/guest/shootout.c | tr -d 'P()' | tr ' ' '\n')
		$libs -O2 -std=gnu11 -static -s -o "$G/bin/shootout.$libs" tests/bench/guest/shootout.c "$t"/*.o -lm || return 1
		for name in costs delegate; do
			$libs -O2 -std=gnu11 -static -s -o "$G/bin/$name.$libs" "tests/bench/guest/$name.c" -pthread || return 1
		done
		for name in shootout costs delegate; do split_file "$G/bin/$name.$libs" "bin/$name.$libs"; done
	done
	split_file "$(command -v bzip2)" bin/bzip2
	split_libraries "$(command -v bzip2)"
	split_file "$G/input" input
}

# Lines for the initramfs.
split_file() { # FILE [PATH]
	local path=${2:-${1#/}}
	dirname "$path" | awk -F/ '$0 != "." { for (i = 1; i <= NF; i++) print "dir " (d = d (d ? "/" : "") $i) }'
	echo "file $path 755 $1"
}
split_libraries() { # PROGRAM
	local file
	ldd "$1" | sed -n 's,^[^/]*\(/[^ ]*\) .*,\1,p' | while read -r file; do split_file "$file"; done
}

# What racket/base needs, and the programs, compiled.
split_racket_files() {
	local collects=/usr/share/racket/collects
	echo $collects/{racket,syntax} /etc/racket /usr/lib/racket/compiled$collects/{racket,syntax} /usr/lib/racket/{petite,scheme,racket}.boot "$G/racket"
}
split_racket_list() {
	mkdir -p "$G/racket"
	cp tests/bench/guest/shootout.rkt "$G/racket" && raco make "$G/racket/shootout.rkt" || return 1
	split_file "$(command -v racket)"
	split_libraries "$(command -v racket)"
	# shellcheck disable=SC2046
	find $(split_racket_files) -type f | while read -r file; do split_file "$file"; done
}

# Two kernels: Linux, and it again in the ROS's shape.
split_guests() {
	local line
	mkdir -p "$G/bin" || return 1
	head -c $((10 << 20)) /dev/urandom | od -An -tx1 -v | head -c $((20 << 20)) >"$G/input"
	split_compile >"$G/list" || return 1
	if [[ -n ${GUESTS:-} || " $SPLIT " == *" racket "* ]] && command -v raco >/dev/null; then
		split_racket_list >>"$G/list" || return 1
	fi
	awk '!seen[$1 $2]++' "$G/list" >"$G/list.once"
	cp -r "$BUILD/stage/linux" "$G/linux"
	sed -i 's/^cpus_max *=.*/cpus_max = 2/' "$G/linux/kernel.conf"
	(echo; echo "cat '$G/list.once'") >>"$G/linux/src/list"
	make -s -C "$G/linux/src" OUT="$G/linux/images" </dev/null >"$G/log" 2>&1 || { cat "$G/log"; return 1; }
	cp -r "$G/linux" "$G/native"
	line=$(sed -n 's/^cmdline *= *//p' "$BUILD/stage/ros/kernel.conf")
	sed -i "s/^name *=.*/name = native/; s/^cmdline *=.*/cmdline = $line maxcpus=1 mem=1G/" "$G/native/kernel.conf"
	for line in "$G/linux" "$G/native" "$BUILD/stage/reef" "$BUILD/stage/ros"; do
		"$BUILD/bin/diverfs" publish "$line" "$G/layout" >/dev/null || return 1
	done
	chmod -R go+rX "$G"
	: >"$G/made"
}

# --- rows of three ---

three_columns() { printf '%-44s %10s %10s %10s %7s  %s\n' "$@"; }

# From what was printed in the three places, all runs: of a time the smallest counts, of a rate the largest.
three() { # HEADING AIM [WHAT AIM]
	three_columns "$1" splitVM ROS fullVM ratio "splitVM to ROS"
	tr -d '\r' <"$T/three.split" | awk -v aim="$2" -v only="${3:-}" -v its="${4:-}" '
	$2 !~ /^(ns|ms|MB\/s)$/ || $1 !~ /^[0-9]+$/ { next }
	{
		value = $1
		unit = $2
		$1 = $2 = ""
		what = substr($0, 3)
		sub(/\r$/, "", what)
		if (!(what in units))
			names[++count] = what
		units[what] = unit
		at = what SUBSEP FILENAME
		if (!(at in best) || (unit == "MB/s" ? value > best[at] : value < best[at]))
			best[at] = value
	}
	END {
		for (i = 1; i <= count; i++) {
			what = names[i]
			s = best[what, ARGV[1]]
			r = best[what, ARGV[2]]
			f = best[what, ARGV[3]]
			ratio = s && r ? sprintf("%.2f", units[what] == "MB/s" ? r / s : s / r) : "-"
			goal = what == only ? its : aim
			printf "%-44s %10s %10s %10s %7s  %s%s\n", what, s ? s : "-", r ? r : "-", f ? f : "-", ratio, \
				units[what], goal ? "; aim: " goal : ""
		}
	}' - "$T/three.ros" "$T/three.full"
}

# In turns, in the three places.
split_turns() { # PROGRAM ARGUMENT...
	local i k library
	rm -f "$T"/three.*
	for ((i = 0; i < (ROUNDS + 1) / 2; i++)); do
		for library in gcc musl-gcc; do
			for k in split ros full; do "on_$k" 1 "$1.$library" "${@:2}" >"$T/out" 2>"$T/err"; cat "$T/out" "$T/err" >>"$T/three.$k"; done
		done
	done
}

split_start() {
	rm -f "$T"/first.*
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" first "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/shootout.musl-gcc" -- mandelbrot:1 >>"$T/first.split"
		"$clock" first "$M/kernels/linux"/*/run -c 1 -m 1G -o 'machine = pc' -- shootout.musl-gcc mandelbrot:1 >>"$T/first.linux"
		ms "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/shootout.musl-gcc" -- mandelbrot:1 >>"$T/first.exit"
	done 2>/dev/null </dev/null
	row "splitVM: launch to a program's first output" "$(median <"$T/first.split")" "$(median <"$T/first.linux")" ms \
		"the same on Linux" "under 3000 ms"
	row "splitVM: launch to its exit" "$(median <"$T/first.exit")" - ms "" "under 2500 ms"
	mkdir "$M/run/prompt"
	echo 'kernel = reef' >"$M/run/prompt/config"
	rm -f "$T/prompt"
	for ((i = 0; i < ROUNDS; i++)); do "$clock" prompt "$M/run/prompt" splitVM >>"$T/prompt"; done
	row "splitVM: deploy to the shell's prompt" "$(median <"$T/prompt")" - ms "" "under 3000 ms"
	rmdir "$M/run/prompt"
}

split_programs() {
	# shellcheck disable=SC2086
	split_turns shootout $programs
	three "a program's time, one CPU" 1.05
}

split_costs() {
	split_turns costs
	three "threads, memory, time, one CPU" "less than 1"
}

split_calls() {
	split_turns delegate
	three "calls that Linux serves" "" getppid 2.5
}

split_racket() {
	[ -d "$G/racket" ] || { echo "racket is left out: it is not installed"; return; }
	rm -f "$T"/three.*
	for ((i = 0; i < (ROUNDS + 1) / 2; i++)); do
		"$M/kernels/reef"/*/run -d splitVM -m 512M -o "files=$(split_racket_files)" -o "exec=$(command -v racket)" -- \
			"$G/racket/shootout.rkt" >>"$T/three.split"
		on_ros 1 "$(command -v racket)" "$G/racket/shootout.rkt" >>"$T/three.ros"
		on_full 1 "$(command -v racket)" "$G/racket/shootout.rkt" >>"$T/three.full"
	done 2>/dev/null </dev/null
	three "Debian's racket, one CPU" 1.05
}

# From the host, since it is Debian's own program: with 20 MiB, less with nothing.
split_bzip2() {
	local k file i
	: >"$G/empty"
	rm -f "$T"/bz.* "$T"/three.*
	for ((i = 0; i < (ROUNDS + 1) / 2; i++)); do
		for file in input empty; do
			ms "$M/kernels/reef"/*/run -d splitVM -m 256M -o exec=/usr/bin/bzip2 -o "files=$G/$file" -- -k "$G/$file" >>"$T/bz.split.$file"
		done
		for k in ros full; do
			ms "on_$k" 1 bzip2 -k /input >>"$T/bz.$k.input"
			ms "on_$k" 1 bzip2 --version >>"$T/bz.$k.empty"
		done
	done 2>/dev/null </dev/null
	for k in split ros full; do
		echo "$(($(best "$T/bz.$k.input" | cut -d. -f1) - $(best "$T/bz.$k.empty" | cut -d. -f1))) ms bzip2 -k of 20 MiB, less its start" >"$T/three.$k"
	done
	three "Debian's bzip2, one CPU" 1.05
}

split() {
	if [ ! -e "$BUILD/stage/ros/kernel.conf" ] || [ ! -e "$BUILD/stage/linux/images/vmlinuz" ] || ! command -v musl-gcc >/dev/null; then
		echo "splitVM is left out: the kernels ros and linux (make ros linux) or musl-gcc are not there"
		return
	fi
	G=${GUESTS:-$T/guests}
	[ -e "$G/made" ] || split_guests || { echo "bench: the programs were not built" >&2; return; }
	mount_it "$G/layout"
	for part in $SPLIT; do "split_$part"; done
	unmount_it
	[ -n "${GUESTS:-}" ] || rm -rf "$G"
}
