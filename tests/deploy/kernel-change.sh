#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel's own source is changed in run/INSTANCE/kernel/: what reef's README says, and others.
. "$(dirname "$0")/../lib.sh"

mount_registry
# The lines of reef's README under "Change the kernel" that begin with $, and what they show.
lines() {
	sed -n '/^\*\*Change the kernel\*\*/,/^One file/p' "$SOURCE/examples/kernels/reef/README.md" |
		sed -n 's/^    \$ //p'
}
if command -v musl-gcc >/dev/null; then
	like "the README has them" "$(lines | wc -l)" '^5$'
	{
		echo "M=$M"
		lines | head -n 4
	} >"$T/do"
	said=$(timeout "$((5 * SLOW))" bash -e "$T/do" 2>&1)
	like "what reef's README says: another time slice" "$said" 'time slice 2000 us'
	is "the kernel ended well" "$(timeout "$SLOW" cat "$M/run/fast/wait")" 0
	like "unchanged it is" "$(timeout "$SLOW" "$M/kernels/reef/1.0/run" uptime 2>&1 </dev/null)" 'time slice 5000 us'
	{
		echo "M=$M"
		lines | tail -n 1
	} >"$T/diff"
	is "diff shows that line" "$(bash "$T/diff" | sed -n '/^[<>]/p')" \
		"$(printf '%s\n%s' '< #define SLICE_NS   5000000ull' '> #define SLICE_NS 2000000ull')"
	was=$(sed -n 's/^images //p' "$M/run/fast/status")
	like "images/ is what was built" "$was" '^build'
	ok "and another than the registry's" bash -c "! cmp -s '$M/run/fast/images/reef.elf' '$M/kernels/reef/1.0/images/reef.elf'"
	ok "deploy again" put fullVM "$M/run/fast/deploy"
	timeout "$SLOW" cat "$M/run/fast/wait" >/dev/null
	is "builds nothing" "$(sed -n 's/^images //p' "$M/run/fast/status")" "$was"
	echo 'int x = nosuchname;' >>"$M/run/fast/kernel/kernel/clock.c"
	line=$(wc -l <"$M/run/fast/kernel/kernel/clock.c")
	fails "a mistake" "." put fullVM "$M/run/fast/deploy"
	like "error names file and line" "$(cat "$M/run/fast/error")" "kernel/clock\.c:$line:.*nosuchname"
	sed -i '$d' "$M/run/fast/kernel/kernel/clock.c"
	printf 'int nosuch(void);\nint oops(void) { return nosuch(); }\n' >>"$M/run/fast/kernel/kernel/clock.c"
	fails "what is nowhere" "." put fullVM "$M/run/fast/deploy"
	like "error names the function, and no other file" "$(cat "$M/run/fast/error")" "status 2: \(\.text\.oops.*undefined reference to .nosuch"
	ok "rm -r kernel/ drops all changes" rm -r "$M/run/fast/kernel"
	ok "deploy" put fullVM "$M/run/fast/deploy"
	like "the slice is the old one" "$(timeout "$SLOW" cat "$M/run/fast/console")" 'time slice 5000 us'
	like "by the kernel's own image" "$(sed -n 's/^images //p' "$M/run/fast/status")" '^kernel sha256'
	is "rm -r of the instance" "$(rm -r "$M/run/fast" 2>&1)" ""
else
	skip "reef" "no musl-gcc: reef was not built"
fi

# hello is smaller: its library is changed, and its application, in one deploy.
instance h 'kernel = hello'
cd "$M/run/h" || exit 1
wait_for "the template is there" test -e src/main.c
within "$SLOW" state_in h "built configured"
ok "change the application" sed -i 's/hello, world/Good morning/' src/main.c
ok "a new file for the kernel" bash -c 'echo "#error not for you" >kernel/lib/new.c; rm kernel/lib/new.c'
ok "one deploy" put fullVM deploy
like "shows it" "$(timeout "$SLOW" cat console)" 'Good morning'
is "exit code" "$(timeout "$SLOW" cat wait)" 0
was=$(sed -n 's/^images //p' status)
makefile=$(cat kernel/Makefile)
ok "change the Makefile" bash -c 'printf "\n# mine\n" >>kernel/Makefile'
ok "build" put build ctl
ok "is another build" test "$(sed -n 's/^images //p' status)" != "$was"
ok "change it back" bash -c "printf '%s\n' \"\$1\" >kernel/Makefile" - "$makefile"
ok "build" put build ctl
is "is the old one" "$(sed -n 's/^images //p' status)" "$was"
ok "a kernel without its Makefile" rm kernel/Makefile
fails "cannot be built" "." put build ctl
like "error says so" "$(cat error)" "[Mm]ake|target"
ok "deploy of what was changed while a machine runs" bash -c 'cp "$1" kernel/Makefile' - "$M/kernels/hello/1.0/src/Makefile"
ok "launch" put fullVM deploy
is "exit code" "$(timeout "$SLOW" cat wait)" 0
cd / || exit 1
is "rm -r" "$(rm -r "$M/run/h" 2>&1)" ""
