# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
#
# conform.sh: what the tests of diverfs conform share: the reports that are wanted, and kernels that are broken on purpose.
# Sourced after lib.sh.

STAGE=$BUILD/stage
BROKEN=$SOURCE/tests/deploy/broken

# What the examples' reports say; figures and addresses are made N.
declare -A WANTED
WANTED[copy]="level 0
image: met (PVH)
boot: met (it sent a message)
console: cannot be told (it printed nothing)
serial input: cannot be told (it has no answer to what is typed)
end: met (EXIT)
level 1
port stdin: met (opened)
port stdout: met (opened)
port control: met (opened)
hello: met (level 1)
messages: met (well-formed)
stdout: met (bytes came)
stdin: met (it took all)
end of input: met (it ended then)
idle: met (less than N % of a CPU while it waits)
exit status: met (EXIT, 0 to 255)
exit is last: met (also when nobody reads for a while)
resize: met (it went on when they came)
stop: met (it ended)
restart: cannot be told (it never asked to be started again)
arguments: cannot be told (its output does not show them)
level 2 (not claimed)
claims level 1: conforms"

# replace LINE...: the report on stdin with those lines in place of its own of the same items, or before its last
replace() {
	local line item report
	report=$(cat)
	for line in "$@"; do
		case $line in
		claims*) item=claims ;;
		"level "*) item=${line:0:7} ;;
		*) item=${line%%:*}: ;;
		esac
		report=$(awk -v item="$item" -v line="$(sed 's/\\/&&/g' <<<"$line")" '
			index($0, item) == 1 { print line; seen = 1; next }
			/^claims/ && !seen { print line }
			{ print }' <<<"$report")
	done
	echo "$report"
}

WANTED[hello]=$(replace "stdin: cannot be told (it ended without reading all of it)" \
	"end of input: cannot be told (it ended before its input did)" \
	"idle: cannot be told (it did not wait for input)" \
	"stop: cannot be told (it ended before it could be asked)" \
	"arguments: met (quoted ones too)" <<<"${WANTED[copy]}")
WANTED[fail]=$(replace "console: met (it printed)" "stdout: cannot be told (it wrote nothing)" \
	"exit is last: cannot be told (it wrote nothing)" \
	"serial input: cannot be told (it ended before it could answer)" \
	"resize: cannot be told (it ended before they could be sent)" \
	"arguments: cannot be told (its output does not show them)" <<<"${WANTED[hello]}")

# conform NAME WANTED ARGUMENT...: the report is as wanted, and the exit status too
conform() {
	local name=$1 wanted=$2 status want=1
	shift 2
	"$DIVERFS" conform "$@" >"$T/report" 2>"$T/report.err" </dev/null
	status=$?
	case $wanted in *": conforms"*) want=0 ;; esac
	is "$name: item by item" "$(sed -E 's/^  //; s/[0-9]+ % of/N % of/; s/0x[0-9a-f]+/N/g' "$T/report" "$T/report.err")" "$wanted"
	is "$name: exit status" $status $want
}

# build NAME BASE CHANGE [make's arguments]: the example BASE, changed by the sed script CHANGE, as $T/NAME.elf
build() {
	local name=$1 base=$2 src=$T/$1.src change=$3
	shift 3
	cp -r "$STAGE/$base/src" "$src"
	sed -i -f "$change" "$src"/lib/*.[ch] "$src"/app/*.c
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$src" OUT="$T/$name.out" CFLAGS='-O2 -w' "$@" </dev/null \
		>"$T/$name.make" 2>&1 || sed 's/^/#   /' "$T/$name.make"
	mv "$T/$name.out/$base.elf" "$T/$name.elf"
}

ROS=()
[ ! -e "$STAGE/ros/images/initrd" ] || ROS=(--ros "$STAGE/ros")

# What is wanted of a kernel whose image is for level 2; without a ROS it is not started.
none="no Linux was given to start it beside: --ros"
level2="level 2
co-kernel entry: met (note: entry N, direct map N)
co-kernel segments: met (the agent's loader takes the image)
co-kernel start: cannot be told ($none)
co-kernel hello: cannot be told ($none)
co-kernel console: cannot be told ($none)
doorbell: cannot be told ($none)
delegated calls: cannot be told ($none)
stray interrupts: cannot be told ($none)
co-kernel stop: cannot be told ($none)
co-kernel exit: cannot be told ($none)
co-kernel again: cannot be told ($none)"
started=("co-kernel start: met (beside a Linux)" "co-kernel hello: met (level 2)"
	"co-kernel console: met (it printed)" "doorbell: cannot be told (it has no answer to what is typed)"
	"delegated calls: cannot be told (it made none)" "stray interrupts: met (none)"
	"co-kernel stop: cannot be told (it ended before it could be asked)" "co-kernel exit: met (EXIT)"
	"co-kernel again: met (a second time, in the same Linux)")

# broken GROUP: the kernels that are broken on purpose, broken/GROUP/*.sed. Each says in its head of which example it is made,
# with which options it is tried (#!), and which lines its report has in place of the example's, or besides them (#=); the
# rest changes the example's sources.
broken() {
	local file name base options lines
	for file in "$BROKEN/$1"/*.sed; do
		name=$(basename "$file" .sed)
		base=$(sed -nE '1s/^# of ([a-z]+):.*/\1/p' "$file")
		read -ra options < <(sed -n 's/^#! //p' "$file"; echo)
		mapfile -t lines < <(sed -n 's/^#= //p' "$file")
		build "$name" "$base" "$file"
		conform "$name" "$(replace "${lines[@]}" <<<"${WANTED[$base]}")" \
			"${options[@]}" --timeout 3 "$T/$name.elf"
	done
	ok "nothing is left running" test -z "$(processes qemu)"
}
