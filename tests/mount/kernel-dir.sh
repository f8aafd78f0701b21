#!/bin/bash
# SPDX-License-Identifier: MIT
# An instance's kernel/: the kernel's sources, to be changed. Reading fetches nothing that is not read, diff shows
# the changes and nothing else, and they outlive daemons, other kernels and `clean`.
. "$(dirname "$0")/../lib.sh"

# A kernel with one of everything in its sources.
REGISTRY=$T/layout
cp -r "$BUILD/stage/hello" "$T/k" || skip_all "no staged kernel in $BUILD/stage/hello"
sed -i 's/^name *=.*/name = many/' "$T/k/kernel.conf"
mkdir -p "$T/k/src/deep/er/est" "$T/k/src/empty"
seq 200000 >"$T/k/src/big"
: >"$T/k/src/none"
echo one >"$T/k/src/deep/one" && ln "$T/k/src/deep/one" "$T/k/src/deep/two"
echo x >"$T/k/src/deep/er/est/x" && printf '#!/bin/sh\necho ran\n' >"$T/k/src/script" && chmod 755 "$T/k/src/script"
ln -s deep/one "$T/k/src/link" && ln -s /nowhere "$T/k/src/dangling"
"$DIVERFS" publish "$T/k" "$REGISTRY" >/dev/null || exit 1
echo 'int other;' >"$T/k/src/other.c"
"$DIVERFS" publish "$T/k" "$REGISTRY" many:2.0 >/dev/null || exit 1

mount_registry
S=$M/kernels/many/1.0/src
I=$M/run/i K=$M/run/i/kernel
here() { sed -n 's/^here //p' "$M/kernels/many/1.0/cached"; }
same() { diff -r --no-dereference "$S" "$K"; }
idle() { state_in "${1:-i}" "built configured exited failed"; }
images() { sed -n 's/^images //p' "$I/status"; }
# The fingerprint of what would be built.
fingerprint() { # (a write may be refused while an earlier one is at work)
	within "$SLOW" idle && echo build >"$I/ctl" && images
}

mkdir "$I"
ok "without a kernel there is no kernel/" gone "$K"
echo 'kernel = many:1.0' >"$I/config"
wait_for "with one it is built" idle
like "and listed" "$(ls "$I")" '^kernel$'
is "the names are the registry's" "$(ls "$K")" "$(ls "$S")"
before=$(here)
is "ls -lR shows kinds and sizes" "$(cd "$K" && find . ! -type d -printf '%P %y %s %l\n' | sort)" \
	"$(cd "$S" && find . ! -type d -printf '%P %y %s %l\n' | sort)"
is "it fetched nothing" "$(here)" "$before"
is "reading a file" "$(cat "$K/deep/er/est/x")" x
ok "fetched that one" test "$(here)" -le $((before + 1000))
is "in a checkout's modes" "$(stat -c %A "$K/none" "$K/script" "$K/deep" | tr '\n' ' ')" "-rw-r--r-- -rwxr-xr-x drwxr-xr-x "
is "times are the registry's" "$(stat -c %Y "$K/big")" "$(stat -c %Y "$S/big")"
ok "a script runs" test "$("$K/script")" = ran
is "a link is read through" "$(cat "$K/link")" one
ok "nothing differs" same
changed=$(images)
like "unchanged: the kernel's own images" "$changed" '^kernel sha256'
inodes=$(find "$K" -printf '%i\n' | sort | uniq -d)
is "each has its inode number" "$inodes" ""
ino=$(stat -c %i "$K/big")

# --- changing -------------------------------------------------------------------------------------
plain=$(fingerprint)
like "what an unchanged kernel/ builds" "$plain" '^build '
exec 5<"$K/big"
read -r _ <&5
ok "append" bash -c "echo more >>'$K/big'"
is "diff shows that" "$(same | sed -n '/^[<>]/p')" "> more"
is "it is the same inode" "$(stat -c %i "$K/big")" "$ino"
is "who was reading it reads on" "$(tail -n 1 <&5)" more
exec 5<&-
like "another fingerprint" "$(fingerprint)" '^build '
ok "another one indeed" test "$(images)" != "$plain"
ok "changed back" truncate -s "$(stat -c %s "$S/big")" "$K/big"
ok "nothing differs" same
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "sed -i" sed -i 's/one/ONE/' "$K/deep/one"
is "a hard link of the sources is a file of its own" "$(cat "$K/deep/two")" one
ok "cp back" cp "$S/deep/one" "$K/deep/one"
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "a mapping is written" "$TOOLS/mount/mapped" "$K/big" 2 Z
is "diff shows that" "$(same | sed -n '/^[<>]/p' | tr '\n' ' ')" "< 2 > Z "
ok "cp back" cp "$S/big" "$K/big"
ok "truncate by a shell" bash -c ": >'$K/deep/er/est/x'"
is "is empty" "$(stat -c %s "$K/deep/er/est/x")" 0
ok "and written" bash -c "echo x >'$K/deep/er/est/x'"
ok "chmod -x" chmod -x "$K/script"
ok "is a change" test "$(fingerprint)" != "$plain"
ok "chmod +x" chmod +x "$K/script"
ok "touch" touch -d 2001-02-03 "$K/none"
is "gives the time" "$(stat -c %Y "$K/none")" "$(date -d 2001-02-03 +%s)"
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "rm" rm "$K/none"
ok "it is gone" gone "$K/none"
ok "a new one in its place is empty, too" bash -c ": >'$K/none' && ! test -s '$K/none'"
ok "mv of a file" mv "$K/big" "$K/deep/er/large"
ok "has its content" cmp "$S/big" "$K/deep/er/large"
ok "mv of a directory" mv "$K/deep" "$K/flat"
ok "has its content" cmp "$S/big" "$K/flat/er/large"
ok "write to a moved file" bash -c "echo more >>'$K/flat/er/large'"
is "and read it" "$(tail -n 1 "$K/flat/er/large")" more
is "diff tells" "$(same | cut -d: -f1 | sed "s,$T,,g" | sort | tr '\n' ' ')" \
	"Only in /m/kernels/many/1.0/src Only in /m/kernels/many/1.0/src Only in /m/run/i/kernel "
ok "mv back" mv "$K/flat" "$K/deep"
ok "mv back" mv "$K/deep/er/large" "$K/big"
ok "mv over a file" bash -c "cp '$S/big' '$K/tmp' && chmod u+w '$K/tmp' && mv '$K/tmp' '$K/big'"
ok "rm -r of a directory" rm -r "$K/deep"
ok "cp -r back" cp -r --preserve=mode "$S/deep" "$K/"
chmod -R u+w "$K/deep"
ok "ln" ln "$K/script" "$K/script2"
is "both are one file" "$(stat -c '%i %h' "$K/script")" "$(stat -c '%i %h' "$K/script2")"
ok "write through one" bash -c "echo exit >>'$K/script2'"
ok "read through the other" grep -q '^exit$' "$K/script"
ok "rm one" rm "$K/script"
ok "the other stays" grep -q '^exit$' "$K/script2"
ok "mv and cp back" bash -c "mv '$K/script2' '$K/script' && cat '$S/script' >'$K/script'"
ok "ln -s" ln -s x "$K/deep/new"
is "is read" "$(readlink "$K/deep/new")" x
ok "rm it" rm "$K/deep/new"
fails "a link that looks like what we keep" "Invalid" ln -s diverfs-entry:3 "$K/fake"
ok "a link is replaced" ln -sfn deep/two "$K/link"
ok "and put back" ln -sfn deep/one "$K/link"
ok "nothing differs" same
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "git" bash -c "cd '$K' && { ! command -v git >/dev/null ||
	{ git init -q . && git add -A && git -c user.name=a -c user.email=a commit -qm a && git diff --quiet && rm -rf .git; }; }"
ok "tar" bash -c "tar cf '$T/a.tar' -C '$K' . && tar xf '$T/a.tar' -C '$K' && rm '$T/a.tar'"
ok "nothing differs" same
is "the old fingerprint" "$(fingerprint)" "$plain"

# --- what is changed stays ------------------------------------------------------------------------
ok "mkdir" mkdir "$K/mine"
ok "write" put mine "$K/mine/file"
ok "change" put 'int main;' "$K/big"
ok "remove" rm "$K/none" "$K/deep/er/est/x"
is "rmdir of one that is emptied" "$(rmdir "$K/deep/er/est" && ls "$K/deep/er")" ""
find "$K" -type f -exec sha256sum {} + | sort >"$T/want"
list() { find "$K" -type f -exec sha256sum {} + | sort; }
mine=$(fingerprint)
ok "it is another build" test "$mine" != "$plain"
ok "clean" put clean "$I/ctl"
is "clean keeps it" "$(list)" "$(cat "$T/want")"
is "and the fingerprint" "$(fingerprint)" "$mine"
kill -KILL "$(daemon_pid)"
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
mount_registry
is "after kill -9 it is there" "$(list)" "$(cat "$T/want")"
is "and the fingerprint" "$(fingerprint)" "$mine"
ok "unmount" unmount_registry
mount_registry
ok "write first thing after a mount" bash -c "echo 'int main; ' >'$K/big'"
ok "and back" put 'int main;' "$K/big"
is "after a mount it is there" "$(list)" "$(cat "$T/want")"
ok "another kernel" put 'kernel = many:2.0' "$I/config"
ok "has its own sources" test -e "$K/other.c"
is "as they are" "$(cat "$K/deep/er/est/x")" x
wait_for "events says what became of the changes" says i 'is kept for many@sha256' events
ok "the first again" put 'kernel = many:1.0' "$I/config"
is "has its changes" "$(list)" "$(cat "$T/want")"
is "and the fingerprint" "$(fingerprint)" "$mine"
ok "in the second nothing was changed, so nothing is kept" within "$SLOW" bash -c \
	"[ \"\$(ls '$T'/state/*/instances/i/kernels | wc -l)\" = 1 ]"

# --- and goes -------------------------------------------------------------------------------------
wait_for "idle" idle
cd "$K/deep" || exit 1
ok "pristine" put pristine "$I/ctl"
ok "nothing differs" same
fails "who stood in the old tree is told" "Stale" ls .
cd "$T" || exit 1
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "change" put x "$K/big"
wait_for "idle" idle
ok "rm -r of kernel/" rm -r "$K"
ok "brings the registry's back" same
is "the old fingerprint" "$(fingerprint)" "$plain"
ok "everything is removed" bash -c "rm -rf '$K'/*"
is "kernel/ is empty" "$(ls -A "$K")" ""
fails "and builds nothing" "." put build "$I/ctl"
wait_for "idle" idle
ok "rm -r of the instance" rm -r "$I"
left() { [ -z "$(find "$T/state" -name kernels)" ]; }
wait_for "nothing is left" left
