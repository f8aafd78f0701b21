# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# split.sh: what the tests of splitVM share; read after lib.sh. The test kernel of tests/kernels/cokernel as a kernel of a
# registry; a kernel for fakevm, which stands in for QEMU; memcached on reef.
SLOW=${SPLIT_SLOW:-120} # a Linux has to boot, perhaps on a busy host

# needs_splitvm WHAT...: or the test is skipped: the kernel ros, the kernel reef if WHAT says so, programs
needs_splitvm() {
	local what
	[ -e "$BUILD/stage/ros/kernel.conf" ] || skip_all "there is no kernel ros"
	for what; do
		[ -e "$BUILD/stage/$what/kernel.conf" ] || command -v "$what" >/dev/null || skip_all "there is no $what"
	done
}

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

own_registry() {
	cp -r "$REGISTRY" "$T/registry"
	chmod -R u+w "$T/registry"
	REGISTRY=$T/registry
}

# publish_fake [LINE...]: a registry with the kernel `fake`, which says that it can splitVM; any bzImage serves for its ROS
publish_fake() {
	install -m 755 "$TOOLS/deploy/fakevm" "$T/fakevm" # where a user whom root runs machines as may enter, too
	[ -e "$BUILD/stage/linux/kernel.conf" ] || skip_all "there is no kernel linux, which lends the ROS its image"
	mkdir -p "$T/k"
	cp -r "$BUILD/stage/hello/." "$T/k"
	chmod -R u+w "$T/k"
	sed -i 's/^name = .*/name = fake/; s/^modes = .*/modes = fullVM splitVM/; /^stdout =/d' "$T/k/kernel.conf"
	[ $# = 0 ] || printf '%s\n' "$@" >>"$T/k/kernel.conf"
	own_registry
	ok "a kernel for splitVM" "$DIVERFS" publish "$T/k" "$REGISTRY"
}

# split_begin: a registry with the kernel `faulty`
split_begin() {
	needs_splitvm
	own_registry
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
	like "$1: state, status, how" "$(cat state) $(cat wait) $(how)" "^$2 $3 ($4)\$"
	like "$1: error" "$(tr '\n' ' ' <error)" "$5"
	like "$1: the end is an event" "$(cat events)" "exit $3 ($4)"
	wait_for "$1: no machine is left" no_process 'qemu-system|/diverfs-splitvm '
	cat events >>"$T/all-events"
}

split_over() {
	cd / || exit 1
	is "the same daemon serves" "$(daemon_pid)" "$DAEMON"
	wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
}

# serve_memcached PAIRS: in the instance mc, where this then is: each pair set and got from here, every answer checked
serve_memcached() {
	local port
	instance mc 'kernel = reef' 'memory = 256M' 'net = user tcp:127.0.0.1:auto->11211' \
		"exec = $(command -v memcached) -u root -l 0.0.0.0 -t 2 -m 64"
	cd "$M/run/mc" || exit 1
	ok "deploy" put splitVM deploy
	port=$(sed -n 's/^forward tcp:127.0.0.1:\([0-9]*\)->.*/\1/p' status)
	# shellcheck disable=SC2317
	answers() { bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$port"' && echo version >&3 && IFS= read -t 5 -r line <&3 && [[ $line == VERSION* ]]'; }
	wait_for "memcached answers" answers
	ok "$1 pairs of set and get from the host" "$TOOLS/deploy/kvload" "$port" 8 "$1"
	sed 's/^/# /' "$T/.out"
	like "the calls that matter" "$(sed -n '2,4p' syscalls | cut -d' ' -f1 | tr '\n' ' ')" 'sendmsg|read|epoll'
}
