#!/bin/bash
# SPDX-License-Identifier: MIT
# SOAK random changes of kernel/, each made to an ordinary copy of the sources, too: the two are always the same, also
# after the daemon was killed. At the end all is put back, and the fingerprint is that of the beginning.
. "$(dirname "$0")/../lib.sh"

n=${SOAK:-1000}
RANDOM=${SEED:-1}
mount_registry
S=$M/kernels/hello/1.0/src K=$M/run/i/kernel C=$T/copy
instance i 'kernel = hello'
cp -r "$S" "$C" && chmod -R u+w "$C"
idle() { state_in i "built configured exited failed"; }
fingerprint() { within "$SLOW" idle && echo build >"$M/run/i/ctl" && sed -n 's/^images //p' "$M/run/i/status"; }
first=$(fingerprint)

# pick [find's tests]: the path of something below both, or of something new
pick() {
	local all
	mapfile -t all < <(cd "$C" && find . -mindepth 1 "$@" | LC_ALL=C sort)
	if [ ${#all[@]} = 0 ]; then echo ./none; else echo "${all[RANDOM % ${#all[@]}]}"; fi
}
fresh() { echo "$(dirname "$(pick)")/n$((RANDOM % 12))"; }
both() { # a command with @ for the directory, in both; both do it, or neither
	local here there
	(cd "$C" && eval "$1") >/dev/null 2>&1
	here=$?
	(cd "$K" && eval "$1") >/dev/null 2>&1
	there=$?
	[ "$here" = "$there" ] || bad "$1: $here in the copy, $there in kernel/"
}
wrong=0
bad() {
	wrong=$((wrong + 1))
	echo "# $i: $*"
}
same() { diff -r --no-dereference "$C" "$K" >"$T/diff" 2>&1 || bad "$(head -n 5 "$T/diff")"; }
for ((i = 0; i < n && wrong < 5; i++)); do
	f=$(pick -type f) d=$(pick -type d) any=$(pick) to=$(fresh)
	case $((RANDOM % 16)) in
	0 | 1) both "echo $i >>'$f'" ;;
	2) both "echo $i >'$to'" ;;
	3) both "rm -f '$f'" ;;
	4) both "mv -T '$any' '$to'" ;;
	5) both "mv -T '$f' '$(pick -type f)'" ;;
	6) both "mkdir '$to'" ;;
	7) both "rmdir '$d'" ;;
	8) both "ln -s somewhere '$to'" ;;
	9) both "ln '$f' '$to'" ;;
	10) both "sed -i 's/e/E$i/' '$f'" ;;
	11) both "truncate -s $((RANDOM % 300)) '$f'" ;;
	12) both "chmod $((RANDOM % 2))55 '$f'; chmod u+rw '$f'" ;;
	13) both "cp '$f' '$to'" ;;
	14) both ": >'$f'" ;;
	15) [ $((RANDOM % 12)) = 0 ] && both "rm -rf '$d'" ;;
	esac
	[ $((i % 10)) = 0 ] && same
	if [ $((i % 97)) = 96 ]; then
		kill -KILL "$(daemon_pid)"
		within "$SLOW" no_process "bin/diverfs .*$M"
		mount_registry
		same
	fi
done
same
is "of $n changes went wrong" $wrong 0
changed=$(fingerprint)
same
rm -rf "${K:?}"/* && cp -r --preserve=mode "$S"/. "$K/" && chmod -R u+w "$K"
is "all is put back, file by file: the old fingerprint" "$(fingerprint)" "$first"
[ "$changed" = "$first" ] && bad "the changes did not count"
ok "rm -r" rm -r "$M/run/i"
