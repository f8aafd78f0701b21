#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2034,SC2211
# Programs in splitVM that start others: shells with pipelines and subshells, subprocesses, exec; what children may not do; and that
# none is left.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

SLOW=${SPLIT_SLOW:-150}
needs_splitvm reef mksquashfs
mount_registry

# On reef and here: the same output, and the same status. FILES: programs that PROGRAM starts.
same() { # NAME PROGRAM ARGUMENT...
	local name=$1 here there
	shift
	here=$("$@" </dev/null 2>/dev/null; echo "status $?")
	there=$(timeout "$SLOW" "$M"/kernels/reef/*/run -d splitVM -m 256M ${FILES:+-o "files=$FILES"} -o "exec=$1" -- "${@:2}" </dev/null 2>"$T/err"; echo "status $?")
	is "$name" "$there" "$here"
}
FILES='/bin/cat /usr/bin/wc /bin/sleep /usr/bin/env'
same "bash: pipelines, subshells, substitutions, background, traps, exec" /bin/bash -c '
	seq() { for ((i = $1; i <= $2; i++)); do echo $i; done; }
	seq 1 1000 | cat | wc -l
	x=3; (x=4; echo $x; exit 5); echo $x $?
	echo $(echo $(echo nested | cat))
	cat <<<here; cat <(echo there)
	(trap "echo told; exit 6" TERM; echo up; while :; do sleep 0.1; done) >/tmp/said.$$ & child=$!
	until [ -s /tmp/said.$$ ]; do sleep 0.1; done
	kill $child; wait $child; echo $?; cat /tmp/said.$$
	sleep 100 & kill -9 $!; wait $!; echo $?
	nosuch; echo $?; false | true; echo ${PIPESTATUS[@]}
	big=$(seq 1 20000); echo ${#big}; (echo ${#big})
	exec env -i A=1 /usr/bin/env'
FILES=
same "busybox: its own programs by fork and exec" "$(command -v busybox)" sh -c 'i=0; while [ $i -lt 20 ]; do x=$(echo $i | tr 0-9 a-j); printf "$x "; i=$((i + 1)); done; exec sleep 0'
python=/usr/bin/python3
if [ -x $python ]; then
	cat >"$T/p.py" <<-'END'
		import os, signal, subprocess
		print(subprocess.run(["/bin/cat"], input=b"to cat\n", capture_output=True).stdout)
		print(subprocess.run("exit 5", shell=True).returncode, os.system("exit 3") >> 8, os.popen("echo popen").read())
		try: subprocess.run(["/no/such"])
		except FileNotFoundError as e: print("not there:", e.filename)
		pid = os.fork()
		if pid == 0:
		    l = [i * i for i in range(100000)]
		    os._exit(l[3])
		print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
		signal.signal(signal.SIGCHLD, lambda n, f: print("told", flush=True))
		p = subprocess.Popen(["/bin/sleep", "1000"])
		p.terminate()
		print(p.wait())
	END
	chmod 644 "$T/p.py"
	FILES="$($python -c 'import os; print(os.path.dirname(os.__file__))') /bin/sh /bin/cat /bin/sleep $T/p.py"
	same "python3: subprocess, fork, signals" $python -I "$T/p.py"
else
	skip "python3" "not installed"
fi

# In an instance: what children write is in out/, what is left of them ends, and policies.
instance f 'kernel = reef' 'memory = 128M' 'files = /bin/sleep' "exec = $(command -v busybox) sh /src/go"
cd "$M/run/f" || exit 1
cat >src/go <<'END'
echo made >/tmp/mother
(echo made >/tmp/child)
(sleep 1000; echo never) &
(mount -t proc proc /tmp || mknod /tmp/disk b 254 0 || chroot / true) 2>/dev/null && echo allowed
(readlink /proc/self/exe)
(cat /proc/1/environ; ls /proc/1/root/) 2>/dev/null | wc -c
exit 7
END
ok "deploy" put splitVM deploy
is "what a child may not do; its own name" "$(timeout "$SLOW" cat stdout)" "$(command -v busybox)
0"
is "status, with a child still running" "$(timeout "$SLOW" cat wait)" 7
is "what mother and child wrote" "$(cat out/tmp/mother out/tmp/child)" $'made\nmade'
put 'refuse openat,open /etc' delegate
ok "deploy with a policy" put splitVM deploy
timeout "$SLOW" cat wait >/dev/null
like "with which there are no children" "$(timeout "$SLOW" cat events)" 'refused fork'
cd / || exit 1
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
