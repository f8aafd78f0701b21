#!/bin/bash
# SPDX-License-Identifier: MIT
# Several registries in order: the first that has a name wins, one that cannot answer is not passed over, and one
# that hardly moves, or not at all, with 64 readers waiting for it, holds up nobody else.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

readers=64
make_kernel "$T/one" art 1000000
make_kernel "$T/two" art 1000000
make_kernel "$T/three" only 20000000
make_kernel "$T/cold" cold 100000
for i in $(seq $readers); do head -c 150000 /dev/urandom >"$T/cold/src/cold$i"; done
"$DIVERFS" publish "$T/one" "$T/l1" >/dev/null || exit 1
"$DIVERFS" publish "$T/cold" "$T/l1" >/dev/null || exit 1
"$DIVERFS" publish "$T/two" "$T/l2" >/dev/null || exit 1
"$DIVERFS" publish "$T/three" "$T/l2" >/dev/null || exit 1
faulty "$T/l1" a
a=$ADDR
a_server=$SERVER
faulty "$T/l2" b
b=$ADDR

# a configuration file, and the order
mkdir -p "$T/conf/diverfs"
printf '%s\n' "# ours" "registry = http://$a" "registry = http://$b" "names = art only" >"$T/conf/diverfs/config"
mkdir -p "$M" "$T/state"
XDG_CONFIG_HOME=$T/conf "$DIVERFS" -o "cache=$T/cache,state=$T/state" "$M" || exit 1
is "the file's registries" "$(grep -o '^registry [^:]*://[^:]*:[0-9]*' "$M/status")" "registry http://$a
registry http://$b"
is "what both list" "$(ls "$M/kernels" | tr '\n' ' ')" "art cold only "
is "the first has art" "$(cat "$M/kernels/art/1.0/README.md"; cmp "$M/kernels/art/1.0/images/kernel.img" "$T/one/images/kernel.img" && echo one)" "# art
one"
is "the catalog is not asked where names are given" "$(grep -c _catalog "$T/b.requests")" 0
unmount_registry
echo 'colour = red' >>"$T/conf/diverfs/config"
fails "an unknown key is refused with its line" "config: line 5: colour" \
	env XDG_CONFIG_HOME="$T/conf" "$DIVERFS" -o "cache=$T/cache,state=$T/state" "$M"
rm -r "$T/conf"

# the first cannot answer, and nothing of it is known: never the other's art
rm -r "$T/cache"
fault a "* * * close"
mount_registry_of() { # OPTIONS REGISTRY...
	local options=$1 r
	shift
	for r; do options+=,registry=$r; done
	"$DIVERFS" -o "cache=$T/cache,state=$T/state,$options" "$M" || exit 1
}
mount_registry_of fresh=1 "http://$a" "http://$b"
fails "not another's kernel of that name" "host" cat "$M/kernels/art/1.0/README.md"
like "the log says whose" "$(cat "$M/log")" "registry http://$a"
fails "a name that nobody could look for is not absent" "host" ls "$M/kernels/cold"
fault a
back() { [ "$(cat "$M/kernels/art/1.0/README.md")" = "# art" ]; }
wait_for "it comes back by itself" back
unmount_registry

# pages, and a catalog that is forbidden
fault b "* GET /v2/_catalog page 1" "* GET /v2/*/tags/list page 1"
mount_registry_of fresh=1 "http://$b"
is "a catalog in pages" "$(ls "$M/kernels" | tr '\n' ' ')" "art only "
ok "in pages indeed" grep -q 'last=art' "$T/b.requests"
unmount_registry
rm -r "$T/cache"
fault b "* GET /v2/_catalog status 403"
mount_registry_of fresh=1 "http://$b"
fails "a catalog that is forbidden" "denied" ls "$M/kernels"
like "is said, with the remedy" "$(cat "$M/log")" "does not list its repositories.*names ="
unmount_registry
fault b

# one hardly moves in the middle of everything, and then not at all; or it sends garbage; or it is gone
mount_registry_of fresh=1 "http://$a" "http://$b" "$REGISTRY"
cat "$M/kernels/art/1.0/images/kernel.img" >/dev/null
ls "$M/kernels/cold/1.0/src" "$M/kernels/only/1.0" >/dev/null
instance u 'kernel = upper'
ok "a kernel runs" put fullVM "$M/run/u/deploy"
start_readers() {
	cats=()
	for i in $(seq $readers); do
		cat "$M/kernels/cold/1.0/src/cold$i" >/dev/null 2>"$T/reader$i" &
		cats+=($!)
	done
}
sleeps() { [ -e "/proc/$1/fd/3" ] && [ "$(cut -d' ' -f3 "/proc/$1/stat")" = S ]; } # with its file open
all_wait() {
	local p
	for p in "${cats[@]}"; do sleeps "$p" || return 1; done
}
all_ended() { ! kill -0 "${cats[@]}" 2>/dev/null; }
others() { # WHEN FILE
	ok "$1 a cached file is read" cmp "$M/kernels/art/1.0/images/kernel.img" "$T/one/images/kernel.img"
	ok "$1 ls works" ls "$M/kernels" "$M/kernels/art" "$M/kernels/cold/1.0/src"
	ok "$1 another registry's cold file is read" cmp "$M/kernels/only/1.0/$2" "$T/three/$2"
}
readers_end() { # WHEN REGEX
	local good=0 p
	wait_for "$1 those who wait end" all_ended
	for p in "${cats[@]}"; do wait "$p" && good=$((good + 1)); done
	is "$1 with an error" $good 0
	like "$1 that says why" "$(cat "$M/log")" "cold[0-9]*: .*registry http://$a.*($2)"
}
cleanup() { kill -CONT "$a_server"; } 2>/dev/null

fault a "* GET */blobs/* slow 3000"
start_readers
wait_for "$readers readers wait" all_wait
others "meanwhile" images/kernel.img
cat "$M/run/u/console" >/dev/null &
wait_for "a stream is read" sleeps $!
kill $!
wait $! 2>/dev/null
ok "which is interrupted at once" test $? -gt 128
ok "before even one of those who wait has its file" all_wait
kill -STOP "$a_server"
others "with a server that is still," src/big.bin
readers_end "with a server that is still," "no answer came|next to nothing"
fault a "* * * garbage"
kill -CONT "$a_server"
start_readers
others "with garbage," src/sub/1.txt
readers_end "with garbage," "."
fault a
comes() { cmp "$M/kernels/cold/1.0/src/cold1" "$T/cold/src/cold1"; }
wait_for "it comes back by itself" comes
for i in $(seq 2 $readers); do cmp "$M/kernels/cold/1.0/src/cold$i" "$T/cold/src/cold$i" || break; done
is "and all of it is right" "$i" "$readers"
put kill "$M/run/u/ctl"
unmount_registry
rm -r "$T/cache"
mount_registry_of fresh=1 "http://$a" "http://$b"
cat "$M/kernels/art/1.0/images/kernel.img" >/dev/null
ls "$M/kernels/cold/1.0/src" "$M/kernels/only/1.0" >/dev/null
stop_server "$a_server"
start_readers
others "with one that is gone," images/kernel.img
readers_end "with one that is gone," "[Cc]onnect|refused"
unmount_registry
faulty "$T/l1" a
a=$ADDR

# credentials stay where they belong
echo "{\"auths\": {\"$a\": {\"auth\": \"$(printf alice:secret | base64)\"}}}" >"$T/auth.json"
rm -r "$T/cache"
: >"$T/b.requests"
fault a "* * */blobs/* redirect http://$b/v2/art/blobs/elsewhere" "* * * basic"
mount_registry_of "credentials=$T/auth.json" "http://$a"
cat "$M/kernels/art/1.0/README.md" >/dev/null 2>&1
ok "the password went to its registry" grep -q ' Basic ' "$T/a.requests"
ok "a redirect was followed" grep -q 'elsewhere' "$T/b.requests"
is "without the password" "$(grep -c 'Basic' "$T/b.requests")" 0
