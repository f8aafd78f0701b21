#!/bin/bash
# SPDX-License-Identifier: MIT
# What other tools packed: a package of kraftkit is shown and launched, and a kernel whose sources are a tar.gz is read; from
# a directory, from a static server, and from a real registry; the content is fetched once, and again when it was evicted.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need nginx docker-registry skopeo

L=$T/layout
mkdir -p "$L/blobs/sha256" "$T/k/unikraft/bin" "$T/s/app"
echo '{"imageLayoutVersion":"1.0.0"}' >"$L/oci-layout"
blob() { # FILE TYPE [ANNOTATIONS]: puts it into the layout; its descriptor
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	cp "$1" "$L/blobs/sha256/$sum"
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%d,"annotations":{%s}}' "$2" "$sum" "$(stat -c %s "$1")" "${3:-}"
}
oci=application/vnd.oci.image note=org.opencontainers.image

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
echo '# t' >"$T/readme"
printf '{"schema":1,"name":"t","version":"1","arch":"x86_64","modes":["fullVM"],"boot":[],"files":[]}' >"$T/config"
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","artifactType":"application/vnd.diverfs.kernel.v1","config":%s,"layers":[%s,%s]}' \
	$oci "$(blob "$T/config" application/vnd.diverfs.kernel.config.v1+json)" \
	"$(blob "$T/readme" text/markdown "\"$note.title\":\"README.md\"")" \
	"$(blob "$T/src.tar.gz" $oci.layer.v1.tar+gzip "\"$note.title\":\"src.tar.gz\"")" >"$T/manifest"
ours=$(blob "$T/manifest" $oci.manifest.v1+json "\"$note.ref.name\":\"t:1\"")

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
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","artifactType":"application/vnd.diverfs.kernel.v1","config":%s,"layers":[%s,%s]}' \
	$oci "$(blob "$T/config" application/vnd.diverfs.kernel.config.v1+json)" \
	"$(blob "$T/readme" text/markdown "\"$note.title\":\"README.md\"")" "$layer" >"$T/manifest"
chunked=$(blob "$T/manifest" $oci.manifest.v1+json "\"$note.ref.name\":\"chunked:1\"")
printf '{"schemaVersion":2,"manifests":[%s,%s,%s]}' "$kraft" "$ours" "$chunked" >"$L/index.json"

shown() { # WHERE
	ok "$1: the kernel of the package" cmp "$M/kernels/unikraft/hello/0.16/images/kernel" "$T/k/unikraft/bin/kernel"
	like "$1: its kernel.conf" "$(cat "$M/kernels/unikraft/hello/0.16/kernel.conf")" '^family = unikraft'
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
shown "static server" "http://$ADDR"
ok "unmounts" unmount_registry
rm -rf "$T/cache"

docker_registry "$T/reg"
ok "skopeo copies the package" skopeo copy -q --all --preserve-digests --dest-tls-verify=false "oci:$L:unikraft/hello:0.16" \
	"docker://$ADDR/unikraft/hello:0.16"
ok "and the kernel" skopeo copy -q --preserve-digests --dest-tls-verify=false "oci:$L:t:1" "docker://$ADDR/t:1"
REGISTRY=http://$ADDR mount_registry
shown registry "http://$ADDR"
ok "unmounts" unmount_registry
