#!/bin/bash
# SPDX-License-Identifier: MIT
# Several registries in order: the first that has a name wins, and one that cannot answer is not passed over.
# (waiting.sh: what others notice of one that fails.)
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

make_kernel "$T/one" art 1000000
make_kernel "$T/two" art 1000000
make_kernel "$T/three" only 100000
make_kernel "$T/cold" cold 100000
"$DIVERFS" publish "$T/one" "$T/l1" >/dev/null || exit 1
"$DIVERFS" publish "$T/cold" "$T/l1" >/dev/null || exit 1
"$DIVERFS" publish "$T/two" "$T/l2" >/dev/null || exit 1
"$DIVERFS" publish "$T/three" "$T/l2" >/dev/null || exit 1
faulty "$T/l1" a
a=$ADDR
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
