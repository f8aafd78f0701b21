#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make demo` runs: a tour of diverfs on the embedded registry. Every command is shown before it is run; if one
# fails the tour ends there with a status that is not 0. Nothing is left behind.
set -u
BUILD=$(realpath "${BUILD:-build}")
PATH=$BUILD/bin:$PATH
T=$(mktemp -d /tmp/diverfs-demo.XXXXXX) || exit 1
chmod 755 "$T"
M=$T/dive
mkdir "$M"
step=0
steps=10
began=$SECONDS

clean_up() {
	cd /
	exec 7>&-
	fusermount3 -u "$M" 2>/dev/null || { grep -q " $M " /proc/self/mountinfo && fusermount3 -u -z "$M"; }
	for ((i = 0; i < 100; i++)); do # the daemon ends what runs, then itself
		[ -z "$(daemon)" ] && break
		sleep 0.1
	done
	chmod -R u+rwX "$T" 2>/dev/null
	rm -rf --one-file-system "$T"
}
daemon() { grep -lzsF "$M" /proc/[0-9]*/cmdline | xargs -r grep -lzs 'bin/diverfs$' | head -n 1; }
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

bold=$(tput bold 2>/dev/null) plain=$(tput sgr0 2>/dev/null)
[ -t 1 ] || bold='' plain=''

say() {
	step=$((step + 1))
	printf '\n%s[%d/%d] %s%s\n' "$bold" $step $steps "$1" "$plain"
	shift
	[ $# = 0 ] || printf '      %s\n' "$@"
}

show() { # one line of shell, as a user would type it in the mount's root
	printf '%s$ %s%s\n' "$bold" "${1//$T/\~}" "$plain"
	if ! timeout 100 bash -c "$1"; then
		echo "demo: that failed. diverfs says:" >&2
		tail -n 5 log run/*/error >&2 2>/dev/null
		exit 1
	fi
}

must_say() { # REGEX FILE: the tour shows what it promises
	grep -qE "$1" "$2" || { echo "demo: $2 does not have '$1'" >&2; cat "$2" >&2; exit 1; }
}

say "Mount" \
	"A registry of operating system kernels becomes a directory. This one was made by 'make'" \
	"from examples/; no network and no root is needed."
# What another demo or daemon has in its cache must not matter: own directories, removed at the end.
show "diverfs -o cache=$T/cache,state=$T/state $BUILD/share/diverfs/registry $M"
cd "$M" || exit 1
show "ls -C"

say "Discover" "Kernels are directories; what they are is in text files."
show "ls -C kernels"
show "ls -C kernels/sort/1.0"
show "head -n 3 kernels/sort/1.0/README.md"
show "grep -h description kernels/*/*/kernel.conf"
show "ls -U search/sort+mode:fullVM"

say "A kernel is a program" \
	"run boots the kernel in a virtual machine of its own: stdin, clean stdout, exit status."
show "printf 'b\na\n' | kernels/sort/1.0/run 2>/dev/null | kernels/upper/1.0/run 2>/dev/null | tee $T/piped"
must_say '^A$' "$T/piped"
show "kernels/fail/1.0/run 7 2>/dev/null; echo the kernel\'s exit status: \$? | tee $T/status"
must_say ': 7$' "$T/status"

say "Choose, build, launch" \
	"mkdir makes an instance. Writing its config fills src/ from the kernel's template and builds it in" \
	"a sandbox; writing a mode's name into deploy launches it, and returns once it runs."
show "mkdir run/hw"
show "echo 'kernel = hello' > run/hw/config"
show "ls -C run/hw run/hw/src"
show "echo fullVM > run/hw/deploy"
show "cat run/hw/console"
show "cat run/hw/wait"

say "Customize" "src/ is an ordinary directory: edit, deploy again, and what changed is built."
show "sed -i 's/hello, world/Good morning from my own kernel/' run/hw/src/main.c"
show "echo fullVM > run/hw/deploy && cat run/hw/console | tee $T/console"
must_say 'Good morning' "$T/console"
printf '%s\n' "      A mistake is found where it was made:"
cp run/hw/src/main.c "$T/main.c"
show "echo 'int x = nosuchname;' >> run/hw/src/main.c; ! echo fullVM > run/hw/deploy"
show "cat run/hw/error | tee $T/error"
must_say 'main\.c' "$T/error"
cp "$T/main.c" run/hw/src/main.c

say "Compose" "Instances have stdin and stdout as files, so that the shell joins them."
show "mkdir run/s run/u; echo 'kernel = sort' > run/s/config; echo 'kernel = upper' > run/u/config"
show "echo fullVM > run/s/deploy; echo fullVM > run/u/deploy; cat run/?/state"
show "cat run/s/stdout > run/u/stdin & printf 'sea\nreef\n' > run/s/stdin; cat run/u/stdout | tee $T/composed; wait"
must_say '^REEF$' "$T/composed"

if [ -d kernels/reef ]; then # it is made where musl is
	say "A larger kernel" \
		"reef runs C programs on all CPUs of its machine, with threads and a C library. Its own test, and a program:"
	show "kernels/reef/1.0/run -c 2 test 1 2>&1 | tail -n 4"
	show "kernels/matmul/1.0/run -c 2 200"
else
	steps=$((steps - 1))
fi

if [ -d kernels/ros ] && [ -d kernels/reef ]; then # ros is made where Debian's kernel could be fetched
	say "Two kernels in one machine" \
		"splitVM boots Linux and reef side by side. exec names a program of this machine: it runs on reef as it is, and" \
		"Linux serves the system calls that reef does not. syscalls counts both."
	show "mkdir run/two; printf 'kernel = reef\nexec = /bin/ls -l /\n' > run/two/config"
	show "echo splitVM > run/two/deploy"
	show "cat run/two/stdout | tee $T/two; cat run/two/wait"
	must_say ' usr$' "$T/two"
	show "head -n 6 run/two/syscalls"
	show "rm -r run/two"
else
	steps=$((steps - 1))
fi

say "Look inside" "Status and timeline say what is in force, and where the time went."
show "cat run/s/timeline"
show "cat modes"
show "cat status"

say "Clean up" "rm -r ends an instance, fusermount3 -u the mount; nothing stays behind."
show "rm -r run/hw run/s run/u; ls run"
cd / || exit 1
show "fusermount3 -u $M"
for ((i = 0; i < 200; i++)); do
	[ -z "$(daemon)" ] && break
	sleep 0.1
done
[ -z "$(daemon)" ] || { echo "demo: the daemon did not end" >&2; exit 1; }
printf '\nThat took %d s. Next:  diverfs ~/dive ;  man %s\n' $((SECONDS - began)) "$BUILD/share/man/man8/diverfs.8"
