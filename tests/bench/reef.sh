# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# reef.sh: part of bench: the same C programs on reef and on Linux (Debian's cloud kernel, the kernel `linux`), each in
# diverfs' fullVM with the same machine, CPUs and memory. Times are taken inside the machine, by guest/timed.c; the best of
# the runs counts, taken in turns, because the host is noisy and nothing makes a program run faster than it can.
#
# On reef the C library is musl. On Linux each program is there twice, statically linked with musl and with glibc, and the
# faster of the two counts: ROUNDS runs of each, and 2 * ROUNDS on reef. PROGRAMS has their names with the size of the work,
# for one to five seconds. REEF says which parts are wanted.
#
# With 2 CPUs those of Linux take turns on one thread of QEMU (examples/kernels/linux/README.md), so that its locked
# instructions are as cheap as others there, and its threads never really meet.

programs=${PROGRAMS:-"nbody:1000000 fannkuch:10 spectral-norm:1200 mandelbrot:1200 binary-trees:16 fasta:1000000"}
same=(-m 256M -o 'machine = pc')
REEF=${REEF:-start shootout costs kv}

# One kernel a program on reef; one Linux with all of them in /bin.
guest_kernels() {
	local name src linux=$T/guests/linux libs
	mkdir -p "$T/guests/bin"
	cp -r "$BUILD/stage/linux" "$linux"
	sed -i 's/^cpus_max *=.*/cpus_max = 2/' "$linux/kernel.conf"
	for name in ${programs//:*([0-9])/} costs delegate; do
		src=$T/guests/$name.app
		mkdir "$src"
		cp tests/bench/guest/timed.c "$src"
		case $name in
		costs | delegate) cp "tests/bench/guest/$name.c" "$src/main.c" ;;
		*) cp "examples/kernels/$name/app"/*.c "$src" ;;
		esac
		cp -r "$BUILD/stage/reef" "$T/guests/$name"
		sed -i "s/^name *=.*/name = $name/; s,^image *=.*,image = images/reef.elf," "$T/guests/$name/kernel.conf"
		rm -r "$T/guests/$name/src/app" && cp -r "$src" "$T/guests/$name/src/app"
		make -s -C "$T/guests/$name/src" OUT="$T/guests/$name/images" </dev/null || return 1
		for libs in gcc musl-gcc; do
			$libs -O2 -std=gnu11 -static -s -o "$T/guests/bin/$name.$libs" "$src"/*.c -pthread -lm || return 1
			echo "file bin/$name.$libs 755 $T/guests/bin/$name.$libs"
		done
	done >"$T/guests/list"
	(echo; sed 's/^/echo "/; s/$/"/' "$T/guests/list") >>"$linux/src/list"
	printf '%s\n' '#!/bin/sh' 'ifconfig lo 127.0.0.1' 'ifconfig eth0 10.0.2.15' 'exec "$@"' >"$T/guests/bin/networked"
	echo "echo 'file bin/networked 755 $T/guests/bin/networked'" >>"$linux/src/list"
	for libs in gcc musl-gcc; do
		$libs -O2 -std=gnu11 -static -s -o "$T/guests/bin/kv.$libs" examples/kernels/kv/app/*.c -pthread || return 1
		echo "echo 'file bin/kv.$libs 755 $T/guests/bin/kv.$libs'" >>"$linux/src/list"
	done
	make -s -C "$linux/src" OUT="$linux/images" \
		MODULES="$(sed -n 's/^MODULES := //p' "$linux/src/Makefile") failover net_failover virtio_net" </dev/null >"$T/guests/log" 2>&1 || { cat "$T/guests/log"; return 1; }
	cp -r "$BUILD/stage/reef" "$BUILD/stage/kv" "$T/guests"
	for name in linux reef kv ${programs//:*([0-9])/} costs; do
		"$BUILD/bin/diverfs" publish "$T/guests/$name" "$T/guests/layout" >/dev/null || return 1
	done
}

on_reef() { # CPUS PROGRAM ARGUMENT...
	local cpus=$1 name=$2
	shift 2
	"$M/kernels/$name"/*/run -c "$cpus" "${same[@]}" "$@" </dev/null
}
on_linux() { # CPUS PROGRAM.LIBRARY ARGUMENT...
	local cpus=$1 name=$2
	shift 2
	"$M/kernels/linux"/*/run -c "$cpus" "${same[@]}" -- "$name" "$@" </dev/null
}
ran() { # COMMAND...: the milliseconds that it told
	"$@" 2>&1 >/dev/null | tr -d '\r' | sed -n 's/^ran \([0-9]*\) ms$/\1/p'
}
best() { sort -n "$@" | head -n 1; }

shootout() {
	local name size library beside
	for program in $programs; do
		name=${program%:*} size=${program#*:}
		rm -f "$T"/ran.*
		for ((i = 0; i < ROUNDS; i++)); do
			for library in gcc musl-gcc; do # as many of ours as of theirs
				ran on_reef 1 "$name" "$size" >>"$T/ran.reef"
				ran on_linux 1 "$name.$library" "$size" >>"$T/ran.$library"
			done
		done
		beside=glibc
		[ "$(best "$T/ran.gcc")" -le "$(best "$T/ran.musl-gcc")" ] || beside=musl
		row "reef: $name $size" "$(best "$T/ran.reef")" "$(best "$T/ran.gcc" "$T/ran.musl-gcc")" ms \
			"Linux, $beside, in the same VM" "not slower"
	done
}

# From the word in deploy to the shell's prompt on the console.
prompt() { # MACHINE CPUS
	mkdir "$M/run/prompt"
	printf 'kernel = reef\nmachine = %s\ncpus = %s\n' "$1" "$2" >"$M/run/prompt/config"
	rm -f "$T"/prompt
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" prompt "$M/run/prompt" fullVM >>"$T/prompt"
	done
	row "reef: deploy to prompt, $1, $2 CPU" "$(best "$T/prompt")" - ms "" "under 300"
	rmdir "$M/run/prompt"
}

start_up() {
	local machine
	for machine in microvm pc; do
		prompt $machine 1
		prompt $machine 8
	done
	rm -f "$T"/first.*
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" first "$M/kernels/nbody"/*/run -c 1 "${same[@]}" 1 >>"$T/first.reef"
		"$clock" first "$M/kernels/linux"/*/run -c 1 "${same[@]}" -- nbody.musl-gcc 1 >>"$T/first.linux"
		"$clock" first "$M/kernels/nbody"/*/run 1 >>"$T/first.microvm"
	done
	row "reef: launch to first output" "$(best "$T/first.reef")" "$(best "$T/first.linux")" ms "Linux in the same VM" "0.20"
	row "reef: the same on microvm" "$(best "$T/first.microvm")" "$(best "$T/first.linux")" ms "Linux on pc"
}

costs() { # CPUS
	local what ours theirs
	rm -f "$T"/costs.*
	for ((i = 0; i < ROUNDS; i++)); do
		on_reef "$1" costs 2>/dev/null >>"$T/costs.reef"
		on_linux "$1" costs.gcc 2>/dev/null >>"$T/costs.linux"
		on_linux "$1" costs.musl-gcc 2>/dev/null >>"$T/costs.linux"
	done
	sed -n 's/^ *[0-9]* ns  //p' "$T/costs.reef" | awk '!seen[$0]++' | while read -r what; do
		for k in reef linux; do
			awk -v what="$what" 'index($0, " ns  " what) && (best == "" || $1 < best) { best = $1 } END { print best }' \
				"$T/costs.$k"
		done | { read -r ours; read -r theirs; row "reef, $1 CPU: $what" "$ours" "$theirs" ns "Linux"; }
	done
}

# The key-value server, and the load of kvload.c from the host: operations a second.
served() { # CLIENTS CONFIG-LINE...
	local clients=$1 port
	shift
	mkdir "$M/run/kv"
	printf '%s\n' "$@" 'net = user tcp:auto->11211' 'machine = pc' 'memory = 256M' 'cpus = 1' >"$M/run/kv/config"
	echo fullVM >"$M/run/kv/deploy"
	port=$(sed -n 's/^forward tcp:127.0.0.1:\([0-9]*\)->11211$/\1/p' "$M/run/kv/status")
	for ((tries = 0; tries < 100; tries++)); do
		"$BUILD/tests/deploy/kvload" "$port" 1 1 >/dev/null 2>&1 && break
		sleep 0.2
	done
	"$BUILD/tests/deploy/kvload" "$port" "$clients" 5000 | sed -n 's,.* \([0-9]*\) operations.*,\1,p'
	echo kill >"$M/run/kv/ctl"
	cat "$M/run/kv/wait" >/dev/null
	rmdir "$M/run/kv"
}
kv() {
	local clients library
	for clients in 1 10; do
		rm -f "$T"/kv.*
		for ((i = 0; i < ROUNDS; i++)); do
			served $clients "kernel = kv" >>"$T/kv.reef"
			for library in gcc musl-gcc; do
				served $clients "kernel = linux" "args = networked kv.$library" >>"$T/kv.linux"
			done
		done
		row "reef: kv, $clients clients" "$(sort -rn "$T/kv.reef" | head -n 1)" "$(sort -rn "$T/kv.linux" | head -n 1)" \
			op/s "Linux in the same VM"
	done
}

reef() {
	if [ ! -e "$BUILD/stage/linux/images/vmlinuz" ] || ! command -v musl-gcc >/dev/null; then
		echo "reef beside Linux is left out: the kernel linux (make linux) or musl-gcc is not there"
		return
	fi
	shopt -s extglob
	guest_kernels || { echo "bench: the programs were not built" >&2; return; }
	mount_it "$T/guests/layout"
	for part in $REEF; do
		case $part in
		start) start_up ;;
		shootout) shootout ;;
		costs) costs 1 && costs 2 ;;
		kv) kv ;;
		esac
	done
	unmount_it
	rm -rf "$T/guests"
}
