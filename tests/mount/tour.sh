#!/bin/bash
# SPDX-License-Identifier: MIT
# README.md's tour: its commands, as they stand there, in one shell.
. "$(dirname "$0")/../lib.sh"

M=$T/dive
mkdir -p "$T/build/bin" "$T/cache" "$T/state"
printf '#!/bin/sh\n[ "$1" != publish ] || exec "%s" "$@"\nexec "%s" -o "cache=%s,state=%s" "$@"\n' \
	"$DIVERFS" "$DIVERFS" "$T/cache" "$T/state" >"$T/build/bin/diverfs"
chmod 755 "$T/build/bin/diverfs"
sed -n '/^## A tour/,/^## A kernel/p' "$SOURCE/README.md" | sed -n 's/^    //p' >"$T/tour"
ok "README.md has a tour" test "$(wc -l <"$T/tour")" -gt 20

cd "$T" || exit 1
HOME=$T timeout 200 bash "$T/tour" >"$T/out" 2>"$T/err" </dev/null
is "it comes to its end" $? 0
said=$(cat "$T/out")
like "README is shown" "$said" 'specialised'
like "count counts" "$said" '2[[:space:]]+3[[:space:]]+14'
like "fail's status is shown" "$said" '^7$'
like "yes | upper | head" "$said" '^Y$'
like "hello's console" "$said" '[Hh]ello'
like "a config that is wrong is explained" "$said" 'hallo'
like "a source that is wrong is explained" "$said" 'main\.c:[0-9]+'
like "the pipeline's end" "$said" '^REEF$'
wait_for "it is unmounted" not_mounted
wait_for "and all has ended" no_process "bin/diverfs .*$M|qemu-system|diverfs-fullvm"

# A kernel of one's own: the commands of the next section, in one shell, with the same home.
sed -n '/^## A kernel/,/^## What it needs/p' "$SOURCE/README.md" | sed -n 's/^    //p' >"$T/own"
ok "README.md makes a kernel" test "$(wc -l <"$T/own")" -ge 8
ln -s "$BUILD/stage" "$T/build/stage"
HOME=$T timeout 200 bash -e "$T/own" >"$T/out" 2>"$T/err" </dev/null
is "that comes to its end, too" "$? $(grep diverfs: "$T/err")" "0 "
like "the kernel that was changed runs" "$(cat "$T/out")" '[Hh]ello'
ok "the copy is there, under its name" test -e "$M/kernels/mine/1.0/run"
ok "it is unmounted" fusermount3 -u "$M"
