#!/bin/bash
# SPDX-License-Identifier: MIT
# What other tools packed: a package of kraftkit is shown and launched, a kernel whose sources are a tar.gz is read, and of an
# index for several machines the part for this one; from a directory, from a static server, and from a real registry; who
# only looks fetches metadata; the content is fetched once, and again when it was evicted.
# shellcheck disable=SC2154
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
. "$(dirname "$0")/../layout.sh"
need nginx docker-registry skopeo

L=$T/layout
mkdir -p "$L/blobs/sha256" "$T/k/unikraft/bin" "$T/s/app"
echo '{"imageLayoutVersion":"1.0.0"}' >"$L/oci-layout"

# The kernel of "hello" in kraftkit's clothes.
cp "$BUILD/stage/hello/images/hello.elf" "$T/k/unikraft/bin/kernel"
tar cf "$T/kernel.tar" -C "$T/k" unikraft/bin/kernel
printf '{"architecture":"x86_64","os":"qemu","os.version":"0.16","config":{}}' >"$T/config"
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":%s,"layers":[%s],"annotations":{"org.unikraft.kernel.version":"0.16"}}' \
	$oci "$(blob "$T/config" $oci.config.v1+json)" \
	"$(blob "$T/kernel.tar" $oci.layer.v1.tar '"org.unikraft.kernel.image":"/unikraft/bin/kernel"')" >"$T/manifest"
child=$(blob "$T/manifest" $oci.manifest.v1+json)
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s],"annotations":{"sh.kraftkit.version":"0.8"}}' \
	$oci "$(sed 's/,"annotations":{}}/,"platform":{"architecture":"x86_64","os":"qemu"}}/' <<<"$child")" >"$T/index"
kraft=$(blob "$T/index" $oci.index.v1+json "\"$note.ref.name\":\"unikraft/hello:0.16\"")

# One of ours, but its sources are a plain tar.gz.
head -c 3000000 /dev/urandom >"$T/s/big"
head -c 20000 /dev/zero >"$T/s/zeros"
cp "$BUILD/stage/hello/src/"*.c "$T/s/app/" 2>/dev/null || echo 'int main(void) { return 0; }' >"$T/s/app/main.c"
tar czf "$T/src.tar.gz" -C "$T/s" .
ours=$(pack_by_hand t "$(tar_gz "$T/src.tar.gz")")

# The same, as skopeo makes zstd:chunked of it: with the older names of annotations, chunks by content, and holes.
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' >"$T/image"
tar cf "$T/src.tar" -C "$T/s" .
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":%s,"layers":[%s]}' $oci \
	"$(blob "$T/image" $oci.config.v1+json)" "$(blob "$T/src.tar" $oci.layer.v1.tar)" >"$T/manifest"
image=$(blob "$T/manifest" $oci.manifest.v1+json "\"$note.ref.name\":\"image:1\"")
printf '{"schemaVersion":2,"manifests":[%s]}' "$image" >"$L/index.json"
ok "skopeo makes zstd:chunked" skopeo copy -q --dest-compress --dest-compress-format zstd:chunked "oci:$L:image:1" "dir:$T/out"
layer=$(sed 's/.*"layers":\[//; s/"annotations":{/&"org.opencontainers.image.title":"src.tar.zst",/; s/\]}$//' "$T/out/manifest.json")
sum=$(grep -o 'sha256:[0-9a-f]*' <<<"$layer" | head -n 1 | cut -d: -f2)
cp "$T/out/$sum" "$L/blobs/sha256/"
chunked=$(pack_by_hand chunked "$layer")

# One kernel for several machines, with the kind of part that docker's builder adds; and one for others only.
make_kernel "$T/arm" multi 1000
sed -i 's/^arch .*/arch = aarch64/' "$T/arm/kernel.conf"
part() { # DIRECTORY ARCHITECTURE: published; its descriptor with that platform
	local digest
	digest=$("$DIVERFS" publish "$1" "$L" "part-$2:1" | grep -o 'sha256:[0-9a-f]*') || exit 1
	printf '{"mediaType":"%s.manifest.v1+json","digest":"%s","size":%d,"platform":{"architecture":"%s","os":"linux"}}' $oci "$digest" \
		"$(stat -c %s "$L/blobs/sha256/${digest#sha256:}")" "$2"
}
rm "$L/index.json"
arm=$(part "$T/arm" arm64) x86=$(part "$BUILD/stage/hello" amd64)
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s,%s,%s]}' $oci "$arm" \
	"$(sed 's/}$/,"platform":{"architecture":"unknown","os":"unknown"}}/' <<<"${image/,\"annotations\":*/\}}")" "$x86" >"$T/index"
multi=$(blob "$T/index" $oci.index.v1+json "\"$note.ref.name\":\"multi:1\"")
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s]}' $oci "$arm" >"$T/index"
others=$(blob "$T/index" $oci.index.v1+json "\"$note.ref.name\":\"others:1\"")
printf '{"schemaVersion":2,"manifests":[%s,%s,%s,%s,%s]}' "$kraft" "$ours" "$chunked" "$multi" "$others" >"$L/index.json"

# Over the network the layers come when somebody enters what they hold, and what was seen before stays as it was.
tops() { (cd "$M/kernels" && find t/1 unikraft/hello/0.16 -maxdepth 1 -printf '%p %i %y %m %T@\n' && cat t/1/kernel.conf unikraft/hello/0.16/kernel.conf); }
looked_at() { # WHERE
	local tops before after
	ls -l "$M/kernels/"*/ "$M/kernels/unikraft/hello" >/dev/null
	like "$1: looking finds what is said" "$(cat "$M/kernels/t/1/README.md" "$M/kernels/unikraft/hello/0.16/kernel.conf")" '^# t'
	like "$1: searching finds it" "$(ls "$M/search/family:unikraft")" '^unikraft%2Fhello:0.16$'
	tops=$(tops)
	before=$(cat "$M/cache/fetched")
	ok "$1: looking fetches metadata only ($before bytes)" [ "$before" -lt 30000 ]
	like "$1: cached says that there is more" "$(cat "$M/kernels/t/1/cached")" '^total [0-9]{7}'
	ok "$1: a name in it is found" cmp "$M/kernels/t/1/src/zeros" "$T/s/zeros"
	is "$1: and one that there is not is not" "$(cat "$M/kernels/t/1/src/nosuch" 2>&1)" \
		"cat: $M/kernels/t/1/src/nosuch: No such file or directory"
	is "$1: find sees all" "$(cd "$M/kernels/t/1/src" && find . | sort)" "$(cd "$T/s" && find . | sort)"
	is "$1: also of the package" "$(cd "$M/kernels/unikraft/hello/0.16" && find images)" "images
images/kernel"
	after=$(cat "$M/cache/fetched")
	find "$M/kernels/t" "$M/kernels/unikraft" -type f -exec cat {} + >/dev/null
	is "$1: what it fetched was all" "$(cat "$M/cache/fetched")" "$after"
	is "$1: nothing that was seen before has changed" "$(tops)" "$tops"
}

shown() { # WHERE
	ok "$1: the kernel of the package" cmp "$M/kernels/unikraft/hello/0.16/images/kernel" "$T/k/unikraft/bin/kernel"
	like "$1: its kernel.conf" "$(cat "$M/kernels/unikraft/hello/0.16/kernel.conf")" '^family = unikraft'
	is "$1: of several machines this one" "$(sed -n 's/^arch = //p' "$M/kernels/multi/1/kernel.conf")" x86_64
	is "$1: under its digest" "$(cat "$M/kernels/multi/1/digest")" "$(grep -o "sha256:[0-9a-f]*" <<<"$x86")"
	ok "$1: its image" cmp "$M/kernels/multi/1/images/hello.elf" "$BUILD/stage/hello/images/hello.elf"
	fails "$1: for other machines only" "." cat "$M/kernels/others/1/README.md"
	like "$1: which is said" "$(cat "$M/log")" "others.*no manifest for x86_64"
	ok "$1: the sources" diff -r "$M/kernels/t/1/src" "$T/s"
	local before
	before=$(cat "$M/cache/fetched")
	cat "$M/kernels/t/1/src/big" "$M/kernels/unikraft/hello/0.16/images/kernel" >/dev/null
	is "$1: content was fetched once" "$(cat "$M/cache/fetched")" "$before"
	ok "$1: and not more than there is ($before bytes)" [ "$before" -le $(($(du -s -B1 "$L" | cut -f1) + 50000)) ]
	unmount_registry
	rm -f "$T/cache/packs/"*
	REGISTRY=$2 mount_registry
	ok "$1: evicted, it is fetched again" cmp "$M/kernels/t/1/src/big" "$T/s/big"
}

REGISTRY=$L mount_registry
shown directory "$L"
before=$(cat "$M/cache/fetched")
ok "zstd:chunked of skopeo: one small file" cmp "$M/kernels/chunked/1/src/zeros" "$T/s/zeros"
ok "takes the table and little more" [ $(($(cat "$M/cache/fetched") - before)) -lt 20000 ]
ok "all of them" diff -r "$M/kernels/chunked/1/src" "$T/s"
like "a package of kraftkit is launched" "$(timeout 120 "$M/kernels/unikraft/hello/0.16/run" 2>&1 </dev/null)" '[Hh]ello'
ok "unmounts" unmount_registry
rm -rf "$T/cache"

static_server "$L"
REGISTRY=http://$ADDR mount_registry
looked_at "static server"
shown "static server" "http://$ADDR"
ok "unmounts" unmount_registry
rm -rf "$T/cache"
REGISTRY=http://$ADDR mount_registry
is "64 that enter at once see the same" "$(for _ in $(seq 64); do find "$M/kernels/t/1/src" | wc -l & done | sort | uniq -c | tr -s ' ')" \
	" 64 $(find "$T/s" | wc -l)"
ok "unmounts" unmount_registry
rm -rf "$T/cache"

# The kernel is given the content of a small file before its first open is answered, and never again: what then reads the file
# would have to be answered by who waits for it.
stores() { grep -c 'NOTIFY: code=4 ' "$T/debug"; }
"$DIVERFS" -d -o "cache=$T/cache,state=$T/state" "http://$ADDR" "$M" >"$T/debug" 2>&1 &
wait_for "mounts" mounted
cat "$M/kernels/t/1/README.md" >/dev/null
is "what is opened is given to the kernel" "$(stores)" 1
ls "$M/kernels/t/1/src" >/dev/null
cat "$M/kernels/t/1/README.md" >/dev/null
is "and not once more when its directory is known better" "$(stores)" 1
ok "unmounts" unmount_registry
rm -rf "$T/cache"

docker_registry "$T/reg"
ok "skopeo copies the package" skopeo copy -q --all --preserve-digests --dest-tls-verify=false "oci:$L:unikraft/hello:0.16" \
	"docker://$ADDR/unikraft/hello:0.16"
ok "and the kernel" skopeo copy -q --preserve-digests --dest-tls-verify=false "oci:$L:t:1" "docker://$ADDR/t:1"
for k in multi others; do
	ok "and the index $k" skopeo copy -q --all --preserve-digests --dest-tls-verify=false "oci:$L:$k:1" "docker://$ADDR/$k:1"
done
REGISTRY=http://$ADDR mount_registry
looked_at registry
shown registry "http://$ADDR"
unmount_registry
rm -f "$T/cache/packs/"*
REGISTRY=http://$ADDR mount_registry
for k in unikraft/hello/0.16 multi/1; do
	like "$k is launched over the network" "$(timeout 120 "$M/kernels/$k/run" 2>&1 </dev/null)" '[Hh]ello'
done
ok "unmounts" unmount_registry

# The process that reads archives, while it waits for more of one.
unpack=$BUILD/libexec/diverfs/diverfs-unpack
mkfifo "$T/in"
"$unpack" <"$T/in" >/dev/null 3</ 4</etc/passwd &
pid=$!
exec 9>"$T/in"
printf '\037\213' >&9
limit() { awk -v what="$1" 'index($0, what) == 1 { print $(split(what, words, " ") + 1) }' "/proc/$pid/limits"; }
if ! grep -qE '__[at]san_init' "$unpack"; then # which need more
	within "$SLOW" grep -q '^Seccomp:.*2$' "/proc/$pid/status"
	is "the unpacker is confined: by seccomp, without capabilities, without new privileges" \
		"$(sed -nE 's/^(Seccomp|CapEff|NoNewPrivs):\s*//p' "/proc/$pid/status" | sort | xargs)" "0000000000000000 1 2"
	is "it may not write files, start processes, or take more than 1 GiB" \
		"$(limit "Max file size") $(limit "Max processes") $(limit "Max address space")" "0 0 1073741824"
	[ "$(id -u)" != 0 ] || is "it has nothing open but its two pipes" "$(cd "/proc/$pid/fd" && echo *)" "0 1 2"
	[ "$(id -u)" != 0 ] || is "it is nobody" "$(awk '/^[UG]id:/ { print $2, $5 }' "/proc/$pid/status" | xargs)" "65534 65534 65534 65534"
fi
exec 9>&-
wait $pid
is "half an archive is an error" $? 1
