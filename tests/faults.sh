# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# faults.sh: what the tests of failures in splitVM share: the test kernel of tests/kernels/cokernel as a kernel of a registry.
SLOW=${SPLIT_SLOW:-120} # a Linux has to boot, perhaps on a busy host

# publish_as NAME IMAGE: the test kernel (or what shall pass for one)
publish_as() {
	mkdir -p "$T/k/images"
	cp "$2" "$T/k/images/kernel.elf"
	printf '%s\n' "name = $1" 'version = 1.0' 'description = A kernel that fails.' 'license = MIT' 'arch = x86_64' \
		'modes = splitVM' 'image = images/kernel.elf' 'memory = 64M' 'memory_min = 4M' 'cpus = 1' 'cpus_max = 2' \
		'stdout = port' >"$T/k/kernel.conf"
	echo 'It fails.' >"$T/k/README.md"
	ok "a kernel $1" "$DIVERFS" publish "$T/k" "$T/registry"
}

# split_begin: a registry with the kernel `faulty`
split_begin() {
	[ -e "$BUILD/stage/ros/kernel.conf" ] || skip_all "there is no kernel ros"
	cp -r "$REGISTRY" "$T/registry"
	chmod -R u+w "$T/registry"
	REGISTRY=$T/registry
	publish_as faulty "$TOOLS/kernels/cokernel.elf"
	declare -F more_kernels >/dev/null && more_kernels
	mount_registry
	DAEMON=$(daemon_pid)
	: >"$T/all-events"
}

# faulty INSTANCE [LINE...]: one of that kernel, with further lines of config
faulty() {
	local name=$1
	shift
	MORE=("$@")
	instance "$name" 'kernel = faulty' "$@"
	cd "$M/run/$name" || exit 1
}

wanted() { # WORDS: what the kernel shall do
	printf '%s\n' 'kernel = faulty' "cmdline = $1" ${MORE[@]+"${MORE[@]}"} >config
}
over() { [[ "$(cat state)" =~ ^(exited|failed)$ ]]; }
seen() { [ "$(said "${PWD##*/}" | grep -c -- "$2")" -ge "$1" ]; } # COUNT REGEX

how() { sed -n 's/^how //p' status; }

# ends WORDS STATE STATUS HOW ERROR: it is deployed and comes to this end by itself, which all the files tell, and nothing of it is left
ends() {
	wanted "$1"
	put splitVM deploy >/dev/null 2>&1
	wait_for "$1: it ends" over
	is "$1: state, status, how" "$(cat state) $(cat wait) $(how)" "$2 $3 $4"
	like "$1: error" "$(tr '\n' ' ' <error)" "$5"
	like "$1: the end is an event" "$(cat events)" "exit $3 $4"
	wait_for "$1: no machine is left" no_process 'qemu-system|/diverfs-splitvm '
	cat events >>"$T/all-events"
}

split_over() {
	cd / || exit 1
	is "the same daemon serves" "$(daemon_pid)" "$DAEMON"
	wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
}
