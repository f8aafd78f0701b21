#!/bin/bash
# SPDX-License-Identifier: MIT
# The ROS, its agent and its kernel module, with kernels that behave and kernels that do not, under a deployer for tests
# (cokernel.c). CYCLES: how often a kernel is deployed and stopped in one ROS.
. "$(dirname "$0")/../lib.sh"

ROS=$BUILD/stage/ros
KERNEL=$TOOLS/kernels/cokernel.elf
CYCLES=${CYCLES:-3}
if [ ! -f "$ROS/images/initrd" ]; then
	echo "1..0 # SKIP no ROS was built (no network, or no musl)"
	trap - EXIT
	exit 0
fi
OPTIONS=$(sed -n 's/^cmdline = //p' "$ROS/kernel.conf")

# session NAME ROS-CPUS HRT-CPUS [QEMU-OPTION...]: what is said goes to $T/NAME; the words are on stdin
session() {
	local name=$1 ros=$2 hrt=$3
	shift 3
	{ cat "$T/head" - && echo halt && echo "wait GONE"; } |
		timeout "$((4 * SLOW))" "$TOOLS/deploy/cokernel" "$ROS/images/vmlinuz" "$ROS/images/initrd" \
			"$OPTIONS mem=256M ${ONLINE:-maxcpus=$ros}" "$ros" "$hrt" "${MIB:-386}" "$T/$name.out" "$@" >"$T/$name" 2>"$T/$name.err"
}
head_for() { # HRT-CPUS
	printf '%s\n' "wait READY" "config cpus = $1" "config memory = $((128 << 20))" "config address = $((256 << 20))" \
		"image $KERNEL" >"$T/head"
}
# of NAME N: what was said from the Nth BOOT to the next
of() {
	awk -v n="$2" '/^BOOT / { k++ } k == n' "$T/$1"
}
has() { # NAME N WHAT REGEX
	like "$3" "$(of "$1" "$2")" "$4"
}

# --- one kernel after another in one ROS ---
head_for 2
{
	printf '%s\n' "boot show /proc/meminfo" "wait ENDED"
	for _ in $(seq 2 "$CYCLES"); do printf '%s\n' "boot hello" "wait ENDED"; done
	for what in "exit 42" fault panic "slots 40" cancel pages rings restart; do
		printf '%s\n' "boot $what" "wait ENDED"
	done
	printf '%s\n' "boot runaway" "wait CONSOLE running" kill "wait ENDED" \
		"boot stop" "wait CONSOLE waiting" stop "wait ENDED" \
		"boot echo" "wait CONSOLE type" "type hello world" "type end" "wait ENDED" \
		"boot loop 1000" "wait ENDED" "boot show /proc/meminfo" "wait ENDED"
} >"$T/words"
session many 1 2 <"$T/words"
is "as many kernels ended as were started" "$(grep -c ^ENDED "$T/many")" "$((CYCLES + 13))"
n=$CYCLES
has many 1 "both CPUs of the first enter" "CONSOLE hello from 2 CPUs"
has many "$n" "and of the last of its kind" "CONSOLE hello from 2 CPUs"
has many "$n" "it ends with 0" "ENDED exited 0 "
has many $((n + 1)) "exit status" "ENDED exited 42 "
has many $((n + 2)) "a fault without a table is told" "ENDED faulted 0 .*: .*CPU 0: vector 14, error 0x2, .* cr2 0xdead000"
has many $((n + 3)) "a panic in the kernel's words" "ENDED faulted 0 .*: .*because it was asked to"
has many $((n + 4)) "40 calls sleep side by side" "CONSOLE slept in 40 slots, 0 wrong"
is "and not one after another" "$(of many $((n + 4)) | grep -c "too fast")" 0
has many $((n + 5)) "calls that block can be cancelled" "CONSOLE 20 calls cancelled"
while read -r result; do
	is "page faults: ${result#CONSOLE ok }" "${result%% *} $(cut -d' ' -f2 <<<"$result")" "CONSOLE ok"
done < <(of many $((n + 6)) | grep -E "^CONSOLE (not )?ok")
is "each was tried" "$(of many $((n + 6)) | grep -c "^CONSOLE ok")" 23
has many $((n + 7)) "nonsense in rings and slots is survived" "ENDED exited 55 "
has many $((n + 7)) "and told" "LOG the kernel says that .* bytes are in a ring"
has many $((n + 8)) "a kernel can ask for a restart" "ENDED restart "
has many $((n + 9)) "a runaway is stopped" "ENDED stopped "
has many $((n + 10)) "stop reaches the kernel" "ENDED exited 143 "
has many $((n + 11)) "typed lines reach it" "CONSOLE you typed hello world"
has many $((n + 12)) "1000 calls are counted" "COUNT 110 served 0 delegated 1000 "
available() { of many "$1" | sed -n 's/^CONSOLE MemAvailable: *\([0-9]*\) kB/\1/p'; }
before=$(available 1) after=$(available $((n + 13)))
ok "memory that the ROS can give: $before KiB with the first, $after with the last" test "$after" -gt $((before - 4096))
like "the machine ends when told" "$(tail -n 1 "$T/many")" GONE

# --- files, policy, what must not hurt, no memory; images and configs that are wrong ---
root=()
if command -v mksquashfs >/dev/null; then
	mkdir -p "$T/root"/{dev,proc,sys,tmp,etc}
	echo hi >"$T/root/etc/motd"
	mksquashfs "$T/root" "$T/root.sq" -quiet -no-progress >/dev/null
	# shellcheck disable=SC2054
	root=(-drive "if=none,id=r,file=$T/root.sq,format=raw,readonly=on" -device virtio-blk-pci,drive=r)
fi
echo "not a kernel" >"$T/text.elf"
head -c 700 "$KERNEL" >"$T/cut.elf"
cp "$ROS/images/vmlinuz" "$T/linux.elf"
{ head -c 56 "$KERNEL" && printf '\377\377' && tail -c +59 "$KERNEL"; } >"$T/headers.elf"   # e_phnum
{ head -c 72 "$KERNEL" && printf '\0\0\0\377' && tail -c +77 "$KERNEL"; } >"$T/offset.elf" # p_offset
{ head -c 104 "$KERNEL" && printf '\377\377\377\377\377\377\377\177' && tail -c +113 "$KERNEL"; } >"$T/size.elf" # p_memsz
head_for 1
[ ${#root[@]} = 0 ] || echo "config root = vda" >>"$T/head"
{
	printf '%s\n' "config out = on" "feed hello" end "boot files" "wait ENDED" "boot harm" "wait ENDED" \
		"boot policy" "wait CONSOLE policy" "policy refuse 2 /secret" "policy refuse 39" "wait CONSOLE lift" lift "wait ENDED" \
		"boot hog" "wait ENDED" "config out = off"
	for image in text cut linux headers offset size; do
		printf '%s\n' "image $T/$image.elf" "boot x" "wait REFUSED"
	done
	printf '%s\n' "image $KERNEL" "config cpus = 2" "boot x" "wait REFUSED" "config cpus = 1" \
		"config address = $((128 << 20))" "boot x" "wait REFUSED" "config address = $((320 << 20))" "boot x" "wait REFUSED" \
		"config address = $((256 << 20))" "config memory = 7" "boot x" "wait REFUSED" "image $TOOLS/kernels/hrt.elf" \
		"config memory = $((32 << 20))" "config address = $((300 << 20))" "boot x" "wait REFUSED" "config memory = many" "boot x" "wait REFUSED" "wait REFUSED" "config memory = $((128 << 20))" \
		"config address = $((256 << 20))" "image $KERNEL" "boot hello" "wait ENDED"
} >"$T/words"
session files 1 1 "${root[@]}" <"$T/words"
is "calls with files" "$(of files 1 | grep -c "^CONSOLE ok") $(of files 1 | grep -c "^CONSOLE not")" "20 0"
has files 1 "stdout is the stream's" "STDOUT to stdout"
has files 1 "stderr is the console's" "CONSOLE to stderr"
tar -xf "$T/files.out.1" -C "$T" --one-top-level=written
is "what was written comes back" "$(cd "$T/written" && find . | sort | sed 's/0123.*/long/' | tr '\n' ' ')" \
	". ./a ./d ./d/long ./link ./tmp ./tmp/t "
is "as it was" "$(cat "$T"/written/d/0123*)" written
is "what would hurt the agent is refused" "$(of files 2 | grep -c "^CONSOLE ok") $(of files 2 | grep -c "^CONSOLE not")" "15 0"
has files 2 "and told" "LOG refused reboot"
is "a policy, and its end" "$(of files 3 | grep -c "^CONSOLE ok") $(of files 3 | grep -c "^CONSOLE not")" "12 0"
has files 3 "refusals are counted" "COUNT 39 served 0 delegated 1 refused 1 "
has files 4 "a ROS without memory says so" "ENDED lost .*the ROS ran out of memory"
i=5
for said in "not an ELF64" "not in the file" "not an ELF64" "program headers" "not in the file" "not in the high half" \
	"2 CPUs \(1 can be had\)" "cannot be taken: Resource busy" "cannot be taken: No such device" "cannot be taken: Invalid" \
	"the image is linked at" "a number"; do
	has files $i "refused: $said" "REFUSED .*($said)"
	i=$((i + 1))
done
has files $i "and the next one runs" "ENDED exited 0 "

# --- the HRT header; interrupts that nobody asked for; a partition above 4 GiB ---
head_for 1
printf '%s\n' "image $TOOLS/kernels/hrt.elf" "boot hello" "wait ENDED" "boot loop 200" "wait ENDED" "image $KERNEL" \
	"boot runaway" "wait CONSOLE running" "boot loop 200" "wait REFUSED" kill "wait ENDED" "boot quiet 1000" "wait ENDED" >"$T/words"
session header 2 1 <"$T/words"
has header 1 "a kernel with the Multiboot 2 HRT header boots" "CONSOLE hello from 1 CPU"
has header 2 "and has its calls made" "COUNT 110 served 0 delegated 200 "
like "one kernel at a time" "$(cat "$T/header")" "REFUSED a kernel runs already"
is "interrupts that nobody asked for" "$(grep "^ENDED exited" "$T/header" | grep -vc "stray 0:")" 0

# A CPU that Linux has started goes offline for the kernel, and comes back each time. The partition is above 4 GiB.
head_for 1
printf '%s\n' "config address = $((4 << 30))" "boot loop 200" "wait ENDED" "boot pages" "wait ENDED" "boot quiet 300" "wait ENDED" >"$T/words"
ONLINE=no_ipi_broadcast=1 MIB=4096 session online 1 1 <"$T/words"
has online 1 "a CPU is taken from Linux, and memory above 4 GiB" "COUNT 110 served 0 delegated 200 "
is "page faults there" "$(of online 2 | grep -c "^CONSOLE ok")" 23
has online 3 "nobody interrupts it, with no_ipi_broadcast" "ENDED exited 0 stray 0:"

# --- a kernel that writes over Linux takes the machine with it, and nothing else ---
head_for 1
printf '%s\n' "boot overwrite" "wait GONE" >"$T/words"
cat "$T/head" "$T/words" | timeout 250 "$TOOLS/deploy/cokernel" "$ROS/images/vmlinuz" \
	"$ROS/images/initrd" "$OPTIONS maxcpus=1 mem=256M" 1 1 386 "$T/over.out" >"$T/over" 2>/dev/null
# (It may be gone before the agent has told that the kernel was entered.)
like "overwriting Linux ends the machine, and no other end is pretended" "$(grep -E "^(ALIVE|ENDED|GONE)" "$T/over" | tr '\n' ' ')" "^(ALIVE )?GONE $"

# --- nonsense instead of frames ---
head_for 1
printf '%s\n' "raw 00112233445566778899aabbccddeeff" "wait GONE" >"$T/words"
session raw 1 1 <"$T/words"
like "nonsense ends the conversation, in words" "$(cat "$T/raw")" "ROS .*agent: what the deployer says is not of revision"

# --- the module for the kernel that is not for clouds ---
mkdir -p "$T/module/cokernel"
cp "$SOURCE/deployers/guest.h" "$T/module"
cp "$SOURCE/deployers/cokernel/cokernel.h" "$T/module/cokernel"
cp -r "$SOURCE/deployers/cokernel/module" "$T/module/cokernel"
ok "the module builds for Debian's generic kernel" make -s -C "$BUILD/debian/headers/generic" M="$T/module/cokernel/module" modules
