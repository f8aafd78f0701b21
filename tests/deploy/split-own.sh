#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2034,SC2211
# What examples/programs/README.md shows, command by command; programs and scripts in src/, and what is missing there.
. "$(dirname "$0")/../lib.sh"

[ -e "$BUILD/stage/ros/kernel.conf" ] || skip_all "there is no kernel ros"
[ -e "$BUILD/stage/reef/kernel.conf" ] || skip_all "there is no kernel reef"
command -v mksquashfs >/dev/null || skip_all "no mksquashfs"
SLOW=${SPLIT_SLOW:-150}
mount_registry

# A command is a line that begins with "$ "; the lines below it, if any, are what it prints.
cd "$SOURCE" || exit 1
HERE=examples/programs command='' wanted=''
run_one() {
	local got
	[ -n "$command" ] || return
	got=$(timeout "$SLOW" bash -c "$command" </dev/null 2>"$T/err") || echo "# status $?: $command" "$(cat "$T/err")"
	[ -n "$wanted" ] && is "README: $command" "$got" "$wanted"
	[ -n "$wanted" ] || is "README: $command" "$(head -n 3 "$T/err")" ""
	command='' wanted=''
}
export M HERE
while IFS= read -r line; do
	case $line in
	"    $ M="*) ;;
	"    $ "*) run_one; command=${line#"    $ "} ;;
	"    "*) wanted+=${wanted:+$'\n'}${line#    } ;;
	*) run_one ;;
	esac
done <$HERE/README.md
run_one
cd "$M/run" || exit 1
is "primes: here, too" "$(cp p/src/limits "$T" && gcc -O2 -pthread -o "$T/primes" "$SOURCE/$HERE/primes.c" && "$T/primes" "$T")" 298563

# A script in src/, whose interpreter comes along; one that is not there; one that names what is not there.
printf '#!/bin/busybox sh\necho "$0 $1"; exit 3\n' >p/src/script
chmod 755 p/src/script
sed -i 's,^exec.*,exec = /src/script one,' p/config
ok "a script" put splitVM p/deploy
is "runs" "$(timeout "$SLOW" cat p/stdout) $(timeout "$SLOW" cat p/wait)" "/src/script one 3"
sed -i 's,^exec.*,exec = /src/nosuch,' p/config
fails "a program that is not in src/" . put splitVM p/deploy
like "is told" "$(cat p/error)" '/src/nosuch.*no such file in the instance.s src/'
cd / || exit 1
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
