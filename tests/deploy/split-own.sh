#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2034,SC2211
# What examples/programs/README.md shows, command by command; programs and scripts in src/, and what is missing there.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

SLOW=${SPLIT_SLOW:-150}
needs_splitvm reef mksquashfs
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

# The words of the slides.
export DIVERFS=$M
diver() { timeout "$SLOW" "$BUILD/bin/diver" "$@"; }
ok "diver init" diver init w reef
printf '#!/bin/busybox sh\necho dived; exit 5\n' >w/src/go
ok "exec" put $'kernel = reef\nmemory = 64M\nexec = /src/go' w/config
like "diver dive -d splitVM" "$(diver dive -d splitVM w)" 'w runs in splitVM'
is "stdout" "$(timeout "$SLOW" cat w/stdout)" dived
is "diver wait" "$(diver wait w; echo $?)" 5

# Calls that nobody serves are in the table, and the first of a kind on the console; what is refused is in events.
cat >"$T/odd.c" <<'END'
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	for (int i = 0; i < 3; i++)
		printf("%ld ", syscall(SYS_io_uring_setup, 1, 0) + syscall(SYS_signalfd, -1, 0, 8) + syscall(505));
	printf("%d\n", socket(AF_INET, SOCK_STREAM, 0));
	return 0;
}
END
gcc -o w/src/odd "$T/odd.c"
ok "another program" put $'kernel = reef\nmemory = 64M\nexec = /src/odd' w/config
ok "a policy" put 'refuse @net' w/delegate
fails "one with a mistake is refused" . put 'forbid @net' w/delegate
like "and told" "$(cat w/error)" "line 1.*'forbid'.*allow, refuse or tell"
is "what was in force is" "$(cat w/delegate)" 'refuse @net'
ok "deploy" put splitVM w/deploy
is "its calls fail" "$(timeout "$SLOW" cat w/stdout)" "-3 -3 -3 -1"
is "its status" "$(timeout "$SLOW" cat w/wait)" 0
is "enosys counts them" "$(awk '$NF == 3 { print $1 }' w/syscalls | sort | tr '\n' ' ')" "call_505 io_uring_setup signalfd "
like "console names them" "$(cat w/console)" '425 \(io_uring_setup\) is not served'
like "what the policy refused" "$(cat w/events)" 'refused socket'
like "is counted" "$(grep '^socket ' w/syscalls)" ' 1 +0$'
cd / || exit 1
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
