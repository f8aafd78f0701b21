# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh: what shell tests share. A test is a bash script that begins with
#
#     . "$(dirname "$0")/../lib.sh"
#
# says what it shows with ok, is, like and fails, and mounts with mount_registry. The plan is printed, and all
# that was mounted or started is ended, when the script exits. $T is its own directory, $M its mount.

set -u
BUILD=${BUILD:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")/build}
SOURCE=${SOURCE:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")}
DIVERFS=$BUILD/bin/diverfs
REGISTRY=${REGISTRY:-$BUILD/share/diverfs/registry}
# shellcheck disable=SC2034
TOOLS=$BUILD/tests # helpers in C
if [ -z "${T:-}" ]; then # run by hand
	T=$(mktemp -d /tmp/dt.XXXXXX)
	chmod 755 "$T"
	export T TMPDIR=$T
	REMOVE_T=yes
fi
M=$T/m
SLOW=${SLOW:-60} # seconds that anything which should happen soon may take

TEST_N=0
result() { # ok|"not ok" NAME
	TEST_N=$((TEST_N + 1))
	echo "$1 $TEST_N - $2"
}

# ok NAME COMMAND...: COMMAND succeeds
ok() {
	local name=$1 status
	shift
	"$@" >"$T/.out" 2>"$T/.err" </dev/null
	status=$?
	if [ $status = 0 ]; then
		result ok "$name"
	else
		result "not ok" "$name"
		echo "# exit status $status of: $*"
		head -c 4000 "$T/.out" "$T/.err" | sed 's/^/#   /'
	fi
	return 0
}

# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		result ok "$1"
	else
		result "not ok" "$1"
		printf '%s\n' "--- got" "$2" "--- wanted" "$3" | head -c 4000 | sed 's/^/#   /'
	fi
}

# like NAME GOT REGEX
like() {
	if grep -qE -- "$3" <<<"$2"; then
		result ok "$1"
	else
		result "not ok" "$1"
		printf '%s\n' "--- got" "$2" "--- wanted something like" "$3" | head -c 4000 | sed 's/^/#   /'
	fi
}

# fails NAME REGEX COMMAND...: COMMAND fails, and what it says is like REGEX
fails() {
	local name=$1 regex=$2 status said
	shift 2
	said=$("$@" 2>&1 </dev/null)
	status=$?
	if [ $status != 0 ] && grep -qE -- "$regex" <<<"$said"; then
		result ok "$name"
	else
		result "not ok" "$name"
		printf '%s\n' "--- exit status $status of: $*" "$said" "--- wanted a failure like" "$regex" |
			head -c 4000 | sed 's/^/#   /'
	fi
}

# put TEXT FILE: what `echo TEXT > FILE` does, as a command that ok and fails can run
put() {
	bash -c 'echo "$1" >"$2"' put "$1" "$2"
}

# collect NAME: the results of a part that ran beside this one, on stdin, become ours; the part's last line is "end"
collect() {
	local line over=
	while IFS= read -r line; do
		case $line in
		"ok "*"- "*) result ok "${line#*- }" ;;
		"not ok "*"- "*) result "not ok" "${line#*- }" ;;
		end) over=yes ;;
		*) echo "$line" ;;
		esac
	done
	[ -n "$over" ] || result "not ok" "$1 came to its end"
}

skip() { # NAME REASON
	TEST_N=$((TEST_N + 1))
	echo "ok $TEST_N - $1 # SKIP $2"
}

skip_all() {
	skip "$(basename "$0")" "$1"
	exit 0
}

# within SECONDS COMMAND...: until COMMAND succeeds
within() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $SECONDS -ge $end ] && return 1
		sleep 0.05
	done
	return 0
}

# wait_for NAME COMMAND...: a test that COMMAND succeeds soon
wait_for() {
	local name=$1
	shift
	if within "$SLOW" "$@"; then
		result ok "$name"
	else
		result "not ok" "$name"
		echo "# not within $SLOW s: $*"
	fi
}

# said INSTANCE [LOG]: what its console, or another log of it, holds by now; waits for nothing
said() { dd if="$M/run/$1/${2:-console}" iflag=nonblock bs=64k status=none 2>/dev/null; }
says() { said "$1" "${3:-console}" | grep -E -- "$2" >/dev/null; } # INSTANCE REGEX [LOG]

state_is() { [ "$(cat "$M/run/$1/state")" = "$2" ]; }
state_in() { [[ " $2 " == *" $(cat "$M/run/$1/state") "* ]]; }
gone() { ! [ -e "$1" ]; }
no_process() { [ -z "$(processes "$1")" ]; }

# processes REGEX: ids of this test's processes whose command line matches
processes() {
	local p words line
	for p in /proc/[0-9]*; do
		mapfile -d '' -t words <"$p/cmdline" || continue
		line="${words[*]}"
		[[ "$line" =~ $1 ]] || continue
		[ "${p#/proc/}" = $$ ] || [ "${p#/proc/}" = "$BASHPID" ] && continue
		if [[ "$line" == *"$T/"* ]] || [[ "$(readlink "$p/cwd")/" == "$T/"* ]] ||
			grep -zqxF "T=$T" "$p/environ"; then
			echo "${p#/proc/}"
		fi
	done 2>/dev/null
}

# The kernels that were made for the embedded registry: fewer where there was no network.
embedded() { (cd "$BUILD/stage" && for k in */kernel.conf; do printf '%s ' "${k%/*}"; done); }

daemon_pid() { processes "^[^ ]*bin/diverfs .*$M( |\$)" | head -n 1; }

# mount_registry [diverfs' arguments]: mounts $REGISTRY at $M with cache and state of this test
mount_registry() {
	mkdir -p "$M" "$T/cache" "$T/state"
	if ! "$DIVERFS" -o "cache=$T/cache,state=$T/state" "$@" "$REGISTRY" "$M" >"$T/mount.log" 2>&1; then
		echo "# diverfs did not mount:"
		sed 's/^/#   /' "$T/mount.log"
		result "not ok" "mount"
		exit 1
	fi
}

mounted() { grep -q " $M " /proc/self/mountinfo; }
not_mounted() { ! mounted; }

unmount_registry() { # returns when the daemon has ended, too
	mounted || return 0
	fusermount3 -u "$M" || return 1
	within "$SLOW" no_process "bin/diverfs .*$M"
}

# instance NAME LINE...: makes one and writes the lines to its config
instance() {
	local name=$1
	shift
	mkdir "$M/run/$name" && printf '%s\n' "$@" >"$M/run/$name/config"
}

end_test() {
	local i
	trap - EXIT
	trap '' TERM INT
	for i in $(jobs -p); do kill "$i" 2>/dev/null; done
	for i in 1 2 3; do
		mounted || break
		unmount_registry 2>/dev/null && break
		sleep 0.3
	done
	mounted && fusermount3 -u -z "$M" 2>/dev/null
	declare -F cleanup >/dev/null && cleanup
	echo "1..$TEST_N"
	if [ -n "${REMOVE_T:-}" ]; then
		chmod -R u+rwX "$T"
		rm -rf --one-file-system "$T"
	fi
}
trap end_test EXIT
trap 'exit 1' TERM INT HUP
