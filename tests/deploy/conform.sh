#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform: the report on examples, on a Multiboot image, through a mount, and on kernels that are broken
# on purpose. Each of broken/*.sed says in its head of which example it is made, with which options it is tried
# (#!), and which lines its report has in place of the example's (#=); the rest changes the example's sources.
. "$(dirname "$0")/../lib.sh"

STAGE=$BUILD/stage
BROKEN=$SOURCE/tests/deploy/broken

# What the examples' reports say; figures are made N.
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

# replace LINE...: the report on stdin with those lines in place of its own of the same items
replace() {
	local line item script=
	for line in "$@"; do
		item=${line%%:*}
		case $line in
		claims*) item="claims level 1:" ;;
		"level 1"*) item="level 1" ;;
		*) item=$item: ;;
		esac
		script+="s/^$item.*/$(sed 's/[\/&]/\\&/g' <<<"$line")/"$'\n'
	done
	sed "$script"
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
	is "$name: item by item" "$(sed -E 's/^  //; s/[0-9]+ % of/N % of/' "$T/report" "$T/report.err")" "$wanted"
	is "$name: exit status" $status $want
}

# build NAME BASE [make's arguments]: the example BASE, changed by broken/NAME.sed if there is one, as $T/NAME.elf
build() {
	local name=$1 base=$2 src=$T/$1.src
	shift 2
	cp -r "$STAGE/$base/src" "$src"
	[ ! -e "$BROKEN/$name.sed" ] || sed -i -f "$BROKEN/$name.sed" "$src"/lib/*.[ch] "$src"/app/*.c
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$src" OUT="$T/$name.out" CFLAGS='-O2 -w' "$@" </dev/null \
		>"$T/$name.make" 2>&1 || sed 's/^/#   /' "$T/$name.make"
	mv "$T/$name.out/$base.elf" "$T/$name.elf"
}

if [ "${0##*/}" = conform-broken.sh ]; then # which is the same test, for the broken ones
	for file in "$BROKEN"/*.sed; do
		name=$(basename "$file" .sed)
		base=$(sed -nE '1s/^# of ([a-z]+):.*/\1/p' "$file")
		read -ra options < <(sed -n 's/^#! //p' "$file"; echo)
		mapfile -t lines < <(sed -n 's/^#= //p' "$file")
		build "$name" "$base"
		conform "$name" "$(replace "${lines[@]}" <<<"${WANTED[$base]}")" \
			"${options[@]}" --timeout 3 "$T/$name.elf"
	done
	ok "nothing is left running" test -z "$(processes qemu)"
	exit
fi

conform hello "${WANTED[hello]}" "$STAGE/hello"
conform upper "${WANTED[copy]}" "$STAGE/upper/images/upper.elf" -m 16M
conform copy "${WANTED[copy]}" -M pc "$STAGE/copy"
conform fail "${WANTED[fail]}" "$STAGE/fail"
if [ -d "$STAGE/reef" ]; then
	conform reef "$(replace "console: met (it printed)" "serial input: met (what was typed came back)" \
		"stdout: cannot be told (it wrote nothing)" \
		"stdin: cannot be told (it took no more than receive buffers may hold)" \
		"end of input: cannot be told (it does not read its input)" \
		"exit is last: cannot be told (no EXIT came)" "arguments: met (quoted ones too)" <<<"${WANTED[copy]}")" \
		"$STAGE/reef"
fi
if [ -e "$STAGE/linux/kernel.conf" ]; then
	conform linux "$(replace "image: met (Linux bzImage)" "console: met (it printed)" \
		"serial input: met (what was typed came back)" "exit is last: met (it says that output may still be queued)" \
		"arguments: met (quoted ones too)" <<<"${WANTED[copy]}")" --timeout 60 "$STAGE/linux" -- cat
fi
build multiboot upper MULTIBOOT=1
conform multiboot "$(replace "image: met (Multiboot)" <<<"${WANTED[copy]}")" "$T/multiboot.elf"

mount_registry
conform "a tag of a mount" "${WANTED[hello]}" "$M/kernels/hello/1.0"
ok "unmounted" unmount_registry

# What cannot be tried says why.
refused() { # NAME REGEX ARGUMENT...
	local name=$1 regex=$2
	shift 2
	"$DIVERFS" conform "$@" >"$T/report" 2>&1 </dev/null
	is "$name: exit status" $? 125
	like "$name: says why" "$(cat "$T/report")" "$regex"
}
printf 'no kernel\n' >"$T/text"
mkdir "$T/empty"
"$DIVERFS" conform "$T/text" >"$T/report"
is "no kernel: exit status" $? 1
like "no kernel: why" "$(cat "$T/report")" "image: not met \(image $T/text is data of a kind that is not known"
refused "no file" "cannot open .*No such file" "$T/none"
refused "a directory of something else" "kernel.conf" "$T/empty"
refused "too little memory" "too small" -m 1M "$STAGE/hello"
refused "no QEMU" "not there: install it" --qemu "$T/none" "$STAGE/hello/images/hello.elf"
refused "a QEMU that fails" "QEMU ended by itself: " --qemu /bin/false "$STAGE/hello"
refused "a wrong option" "usage:" --frobnicate "$STAGE/hello/images/hello.elf"
ok "nothing is left running" test -z "$(processes qemu)"
