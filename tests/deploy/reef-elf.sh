#!/bin/bash
# SPDX-License-Identifier: MIT
# reef runs Linux programs: static, dynamic, with threads and signals; and refuses what is no program, in words.
. "$(dirname "$0")/../lib.sh"

command -v musl-gcc >/dev/null || skip_all "no musl-gcc: reef was not built"
busybox=$(command -v busybox) || skip_all "no busybox (package busybox-static)"
ldd "$busybox" >/dev/null 2>&1 && skip_all "busybox is not static (package busybox-static)"
mount_registry
image=$(echo "$M"/kernels/reef/*/images/reef.elf)

# add FILE [PATH]: into the archive, with the libraries that it needs
root=$T/root
add() {
	local f
	mkdir -p "$root/$(dirname "${2:-$1}")"
	cp -L "$1" "$root/${2:-$1}"
	for f in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		[ -e "$root/$f" ] || { mkdir -p "$root/$(dirname "$f")" && cp -L "$f" "$root/$f"; }
	done
}
pack() { (cd "$root" && find . | "$busybox" cpio -o -H newc >"$T/initrd" 2>/dev/null); }
# on CPUS PATH ARGUMENT...: the program on a bare QEMU, where the streams are the console
on() {
	local cpus=$1 program=$2
	shift 2
	timeout "$SLOW" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max \
		-M microvm,auto-kernel-cmdline=off -smp "$cpus" -m 128M -kernel "$image" -initrd "$T/initrd" \
		-append "exec=$program -- $*" -serial stdio </dev/null 2>&1 | tr -d '\r'
}

src=$SOURCE/tests/kernels
gcc -O2 -o "$T/threads" "$src/elf/threads.c" -pthread -lm
gcc -O2 -static -o "$T/threads-static" "$src/elf/threads.c" -pthread -lm
gcc -O2 -static-pie -o "$T/threads-pie" "$src/elf/threads.c" -pthread -lm
gcc -O1 -w -o "$T/memory" "$src/elf/memory.c"
gcc -O1 -w -o "$T/paths" "$src/elf/paths.c"
gcc -O2 -w -o "$T/files" "$src/files/main.c" -pthread
printf '#include <stdio.h>\nint main(void) { volatile int *p = 0; puts("before"); fflush(stdout); return *p; }\n' >"$T/bad.c"
gcc -O0 -w -o "$T/segv" "$T/bad.c"
head -c 300000 /dev/urandom >"$T/data"
printf '#!/bin/busybox sh\necho "script $0 $1"\n' >"$T/script"
chmod +x "$T/script"
add "$busybox" /bin/busybox
for f in threads threads-static threads-pie memory paths files segv data script; do add "$T/$f" "/$f"; done

# damage NAME OFFSET BYTES: a static program with some bytes changed
damage() {
	cp "$T/threads-static" "$root/$1"
	printf '%b' "$3" | dd of="$root/$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
# where the header of the second PT_LOAD, and that of the first, is in the file
loads=$(readelf -lW "$T/threads-static" | awk '/^  [A-Z]/ && $2 ~ /^0x/ { if ($1 == "LOAD") print 64 + 56 * n; n++ }')
first=$(echo "$loads" | sed -n 1p) second=$(echo "$loads" | sed -n 2p)
head -c 100000 "$T/threads-static" >"$root/bad-truncated"
head -c 40 "$T/threads-static" >"$root/bad-short"
damage bad-machine 18 '\xb7\x00'
damage bad-class 4 '\x01'
damage bad-magic 0 'MZ'
damage bad-headers 56 '\xff\xff'
damage bad-entry 24 '\x00\x00\x00\x00\x00\x01'
damage bad-overlap $((second + 16)) "$(dd if="$T/threads-static" bs=1 skip=$((first + 16)) count=8 2>/dev/null | od -An -tx1 | sed 's/ /\\x/g')"
damage bad-huge $((second + 40)) '\xff\xff\xff\xff\xff\xff\xff\x7f'
damage bad-kernel $((first + 16)) '\x00\x00\x00\x00\x00\x80\xff\xff'
sed 's,/lib64/ld-linux-x86-64.so.2,/lib64/ld-linux-x86-64.so.9,' "$T/threads" >"$root/bad-interpreter"
chmod +x "$root"/bad-*
pack

is "busybox, static" "$(on 1 /bin/busybox echo hello)" hello
like "its ls" "$(on 1 /bin/busybox ls /)" "threads-pie"
is "its sha256sum of a file" "$(on 1 /bin/busybox sha256sum /data | cut -d' ' -f1)" "$(sha256sum "$T/data" | cut -d' ' -f1)"
is "its shell" "$(on 2 /bin/busybox sh -c '"i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; echo $i"')" 1000
is "names, directories, links" "$(on 1 /paths)" "$("$T/paths")"
is "execve" "$(on 1 /bin/busybox sh -c '"exec /bin/busybox echo replaced"')" replaced
is "a script" "$(on 1 /script word)" "script /script word"
for f in threads threads-static threads-pie; do
	want=$("$T/$f"; echo "reef: exit status $?")
	for cpus in 1 4; do
		is "$f on $cpus CPUs" "$(on $cpus /$f)" "$want"
	done
done
is "memory" "$(on 2 /memory)" "$("$T/memory")"
("$T/files" >"$T/want") 2>/dev/null
is "pipes, polls, signals" "$(on 2 /files)" "$(cat "$T/want"; printf 'reef: ended by signal 6\nreef: exit status 134\n')"
like "a program that faults is reported" "$(on 1 /segv)" "ended by a null pointer"
like "with Linux's status" "$(on 1 /segv)" "exit status 139"
like "fork is refused in words" "$(on 1 /bin/busybox sh -c '"/bin/busybox ls; true"')" "no other Linux here where the child could run"

bad() { like "$1: refused" "$(on 1 "/bad-$1")" "$2"; }
bad truncated "cut off"
bad short "too short"
bad machine "another machine"
bad class "another machine"
bad magic "not in the ELF format"
bad headers "program headers"
bad entry "begins outside of itself"
bad overlap "overlap|not aligned"
bad huge "impossible sizes"
bad kernel "impossible sizes|not for programs|not aligned"
bad interpreter "ld-linux-x86-64.so.9, which is not there"
like "what is not there" "$(on 1 /nothing)" "cannot open the program /nothing"
like "a directory" "$(on 1 /bin)" "cannot open the program /bin"
head -c 5000 "$T/initrd" >"$T/half" && mv "$T/half" "$T/initrd"
like "half an archive" "$(on 1 /bin/busybox)" "damaged"
