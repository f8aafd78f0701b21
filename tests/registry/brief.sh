#!/bin/bash
# SPDX-License-Identifier: MIT
# Who executes run of a kernel that is in a registry waits for what a launch needs and no more; all else is there for who
# looks at it, and a moment later in the cache. What goes wrong with what was asked for in advance is told to who needs it.
# shellcheck disable=SC2154
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

"$DIVERFS" publish "$BUILD/stage/hello" "$T/l" >/dev/null || exit 1
manifest=$(grep -l '"mediaType":"[^"]*config' "$T"/l/blobs/sha256/*)
blob_of() { # TYPE: the path of the first blob of this media type
	echo "/v2/hello/blobs/$(grep -o "\"mediaType\":\"[^\"]*$1\",\"digest\":\"sha256:[0-9a-f]*" "$manifest" | head -n 1 | grep -o 'sha256:.*')"
}
config=$(blob_of config.v1+json) readme=$(blob_of markdown) source=$(blob_of tar+zstd) image=$(blob_of image.v1)
faulty "$T/l" a
server=$SERVER
run=$M/kernels/hello/1.0/run
again() { # LINE OF PLAN...: a new mount with nothing kept
	unmount_registry 2>/dev/null
	rm -rf "$T/cache"
	fault a "$@"
	: >"$T/a.requests"
	REGISTRY=http://$ADDR mount_registry -o fresh=1
}
asked() { grep -c " $1 " "$T/a.requests"; } # PATH: how often

# --- a launch -----------------------------------------------------------------------------------------------------
again "* * $readme stall" "* * $source stall"
is "it is launched while README and sources stall" "$(timeout $SLOW "$run" 2>/dev/null </dev/null)" "hello, world"
is "config was asked for once" "$(asked "$config")" 1
is "image, which execve asks for, too" "$(asked "$image")" 1
ok "kernel.conf can be read" grep -q "^name = hello" "$M/kernels/hello/1.0/kernel.conf"
ok "the digest, too" grep -q "^sha256:" "$M/kernels/hello/1.0/digest"
fails "README.md cannot" "Host|host|out" cat "$M/kernels/hello/1.0/README.md"
fails "nor is it listed without" "Host|host|out" ls "$M/kernels/hello/1.0"
like "the log says why" "$(cat "$M/log")" "hello/sha256:.*registry http://$ADDR: no answer"
fault a ""
wait_for "it comes back by itself" cmp "$M/kernels/hello/1.0/README.md" "$BUILD/stage/hello/README.md"
ok "with its sources" diff -r "$M/kernels/hello/1.0/src" "$BUILD/stage/hello/src"

# --- what a brief view shows is what all views show ---------------------------------------------------------------------
attributes() { (cd "$M/kernels/hello/1.0" && stat -c '%n %i %s %h %a %Y' . run kernel.conf digest manifest && sha256sum kernel.conf digest manifest); }
again "* * $readme stall" "* * $source stall"
attributes >"$T/brief"
fault a ""
within "$SLOW" ls "$M/kernels/hello/1.0/src"
is "attributes and content stay when the rest has come" "$(attributes)" "$(cat "$T/brief")"
is "all of it is listed" "$(ls "$M/kernels/hello/1.0" | tr '\n' ' ')" "README.md cached digest images kernel.conf manifest run src "

# --- the rest, without anybody who asks --------------------------------------------------------------------------------
again ""
is "it runs" "$("$run" 2>/dev/null </dev/null)" "hello, world"
wait_for "README.md is fetched" grep -q " $readme " "$T/a.requests"
has_lesson() { ls "$T"/cache/learned/*; }
wait_for "what was read is learned" has_lesson
has_tree() { ls "$T"/cache/trees/*-v1; }
wait_for "and the table of the sources" has_tree
stop_server "$server"
ok "so that it can be read without a network" cmp "$M/kernels/hello/1.0/README.md" "$BUILD/stage/hello/README.md"
ok "and its sources listed" test -f "$M/kernels/hello/1.0/src/Makefile"
is "and it runs" "$("$run" 2>/dev/null </dev/null)" "hello, world"
unmount_registry
faulty "$T/l" a
server=$SERVER

# --- faults of the image that is asked for in advance ------------------------------------------------------------------
refused() { # NAME REGEX FAULT...
	local name=$1 regex=$2
	shift 2
	again "* * $image $*"
	fails "image: $name: it is not launched" "$regex" timeout "$SLOW" "$run"
	fault a ""
	wait_for "image: $name: it is, when that is over" "$run"
}
refused "404" 404 status 404
refused "wrong bytes" "match" corrupt
refused "cut off" "." truncate 100
refused "no answer" "no answer" stall
again "1 * $image reset 10"
is "image: a connection that breaks once is nothing" "$("$run" 2>/dev/null </dev/null)" "hello, world"

# --- an instance of run/new that needs the sources gets them --------------------------------------------------------------
again "* * $readme stall" "* * $source stall"
exec 7<"$M/run/new"
own=$M/run/$(head -n 1 <&7 | tr -d "\n")
ok "an instance" put "kernel = hello" "$own/config"
cp "$BUILD/stage/hello/src/app/main.c" "$own/src/" && sed -i 's/hello, world/good bye/' "$own/src/main.c"
fault a ""
wait_for "its application is built with the kernel's sources" put fullVM "$own/deploy"
is "and is what runs" "$(timeout "$SLOW" cat "$own/stdout")" "good bye"
exec 7<&-

# --- a large image is not fetched on suspicion -----------------------------------------------------------------------------
unmount_registry
make_kernel "$T/large" large 4000000
"$DIVERFS" publish "$T/large" "$T/l" >/dev/null || exit 1
again ""
before=$(fetched)
"$M/kernels/large/1.0/run" --help >/dev/null 2>&1 || true
[ $(($(fetched) - before)) -lt 1000000 ]
is "execve of run fetches no large image" $? 0
