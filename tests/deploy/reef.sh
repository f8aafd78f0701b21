#!/bin/bash
# SPDX-License-Identifier: MIT
# reef: boots everywhere, reports every kind of exception, runs C programs with threads as Linux does.
. "$(dirname "$0")/../lib.sh"

command -v musl-gcc >/dev/null || skip_all "no musl-gcc: reef was not built"
mount_registry
image=$(echo "$M"/kernels/reef/*/images/reef.elf)

# bare MACHINE CPUS MEMORY ARGUMENT...: on a bare QEMU, where the streams are the console
bare() {
	local machine=$1 cpus=$2 memory=$3
	shift 3
	[ "$machine" = microvm ] && machine=microvm,auto-kernel-cmdline=off
	timeout "$SLOW" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max \
		-M "$machine" -smp "$cpus" -m "$memory" -kernel "$image" -append "-- $*" -serial stdio </dev/null 2>&1
}
run() { local k=$1; shift; timeout "$SLOW" "$M"/kernels/"$k"/*/run "$@"; }

for machine in microvm pc; do
	for cpus in 1 2 8; do
		for memory in 16M 256M 4G; do
			out=$(run reef -c $cpus -m $memory -o machine=$machine -- ps </dev/null 2>&1)
			is "$machine, $cpus CPUs, $memory: status" $? 0
			like "$machine, $cpus CPUs, $memory: all are there" "$out" "^cpu $((cpus - 1)):"
		done
	done
done
like "CPUs without ACPI" "$(bare microvm,acpi=off,auto-kernel-cmdline=off 2 16M ps)" "^cpu 1:"
like "above 4 GiB" "$(bare pc 1 5G mem)" "^memory +5[0-9]{6} KiB"

# It measures how fast the TSC is while other machines and builds may run beside it.
speeds=$(for i in 1 2 3 4; do bare microvm 1 16M uptime; bare pc 1 16M uptime; done | sed -n 's/.*TSC \([0-9]*\) kHz.*/\1/p' | sort -n)
is "the clock runs at one speed" \
	"$(awk 'NR == 1 { least = $1 } END { print NR, $1 <= least * 1.02 ? "the same" : least " to " $1 }' <<<"$speeds")" "8 the same"

# what is printed for each kind, in the order of their vectors; fault.c says which are called by vector
kinds="divide:0.*divide.error debug:1.*debug nmi:2.*NMI breakpoint:3.*breakpoint into:4.*overflow bound:5.*bound
	invalid:6.*invalid.opcode nofpu:7.*no.FPU double:8.*double.fault coprocessor:9.*coprocessor
	tss:10.*invalid.TSS segment:11.*segment.not.present stack:12.*stack.fault protection:13.*general.protection
	null:14.*page.fault text:14.*page.fault execute:14.*page.fault.*error.11 region:14.*page.fault
	reserved:15.*reserved x87:16.*FPU.error alignment:17.*alignment machine:18.*machine.check simd:19.*SIMD.error
	overflow:14.*page.fault"
likely="null:a.null.pointer text:a.write.to.a.constant region:a.bad.pointer overflow:a.stack.overflow panic:asked.to"
for kind in $kinds; do
	report=$(bare microvm 2 16M fault "${kind%%:*}")
	like "${kind%%:*} is told" "$report" "exception ${kind#*:}"
	like "with registers" "$report" "^r13 [0-9a-f]{16} r14 [0-9a-f]{16} r15 [0-9a-f]{16} flags"
	like "with the calls that led there" "$report" "^  [0-9a-f]+  [a-z_]+\+[0-9]+"
	like "with status 134" "$report" "exit status 134"
done
for kind in $likely; do
	report=$(bare pc 1 16M fault "${kind%%:*}")
	like "what ${kind%%:*} likely was" "$report" "${kind#*:}"
	like "with status 134, on pc too" "$report" "exit status 134"
done
like "who called what has no frame" "$(bare microvm 1 16M fault divide)" "^  [0-9a-f]+  fault\+[0-9]+"
like "who called a bad pointer" "$(bare microvm 1 16M fault execute)" "^  [0-9a-f]+  fault\+[0-9]+"
like "by their names, on pc too" "$(bare pc 1 16M fault null)" "null_pointer\+[0-9]+"

for cpus in 1 2 4 8; do # soak/reef.sh: a minute each
	is "its own test passes on $cpus CPUs" "$(bare microvm $cpus 32M test 1 | tail -n 1)" "test: all passed"
done
is "its own test passes on pc" "$(bare pc 1 16M test | tail -n 1)" "test: all passed"

run reef exit 7 </dev/null >/dev/null 2>&1
is "an exit status" $? 7
run reef fault divide </dev/null >/dev/null 2>&1
is "a fault's status" $? 134

instance t 'kernel = reef' 'cpus = 4' 'args = 5'
within "$SLOW" test -e "$M/run/t/src/main.c"
cp "$SOURCE/tests/kernels/threads/main.c" "$M/run/t/src/main.c"
ok "a program of threads is built and launched" put fullVM "$M/run/t/deploy"
timeout "$SLOW" cat "$M/run/t/stdout" >"$T/got" &
printf 'a\nb' >"$M/run/t/stdin"
wait $!
is "it gives its status" "$(timeout "$SLOW" cat "$M/run/t/wait")" 5
gcc -O2 -o "$T/threads" "$SOURCE/tests/kernels/threads/main.c" -pthread -lm
printf 'a\nb' | "$T/threads" >"$T/want" 2>/dev/null
is "and prints what it prints on Linux" "$(cat "$T/got")" "$(cat "$T/want")"

instance f 'kernel = reef' 'cpus = 2'
within "$SLOW" test -e "$M/run/f/src/main.c"
cp "$SOURCE/tests/kernels/files/main.c" "$M/run/f/src/main.c"
ok "a program of pipes, polls and signals is launched" put fullVM "$M/run/f/deploy"
timeout "$SLOW" cat "$M/run/f/stdout" >"$T/got"
is "it ends by abort()" "$(timeout "$SLOW" cat "$M/run/f/wait")" 134
gcc -O2 -w -o "$T/files" "$SOURCE/tests/kernels/files/main.c" -pthread
("$T/files" >"$T/want") 2>/dev/null
is "and prints what it prints on Linux" "$(cat "$T/got")" "$(cat "$T/want")"

instance s 'kernel = reef' 'cpus = 2'
ok "the shell" put fullVM "$M/run/s/deploy"
wait_for "has a prompt" says s 'help lists'
ok "takes a command" put 'echo one  "two  three"' "$M/run/s/console"
wait_for "and does it" says s '^one two  three'
ok "it is asked to stop" put stop "$M/run/s/ctl"
is "and does, with its status" "$(timeout "$SLOW" cat "$M/run/s/wait")" 143

for program in matmul nbody fannkuch spectral-norm mandelbrot binary-trees fasta; do
	gcc -O2 -o "$T/$program" "$SOURCE/examples/kernels/$program/app/main.c" -pthread -lm
	"$T/$program" >"$T/want"
	run $program </dev/null >"$T/got" 2>"$T/err"
	ok "$program prints what it prints on Linux" cmp "$T/got" "$T/want"
done
