#!/bin/bash
# SPDX-License-Identifier: MIT
# An OCI image layout behind a web server: with ranges, and without.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need nginx openssl

make_kernel "$T/k" art 9000000
mkdir -p "$T/www"
chmod 755 "$T/www"
digest=$("$DIVERFS" publish "$T/k" "$T/www/layout") || exit 1
same() { diff -r --no-dereference -x cached -x run -x digest -x manifest -x kernel.conf "$1" "$2"; }

static_server "$T/www"
REGISTRY=http://$ADDR/layout
mount_registry -o fresh=1
began=$SECONDS
is "the layout is listed" "$(ls "$M/kernels/art")" "1.0"
like "status says what it is" "$(cat "$M/status")" "$REGISTRY: OCI layout over HTTP, reachable"
is "the digest" "$(cat "$M/kernels/art/1.0/digest")" "$digest"
before=$(fetched)
dd if="$M/kernels/art/1.0/images/kernel.img" bs=4k count=1 skip=1000 status=none >"$T/part"
ok "4 KiB in the middle" cmp -n 4096 -i 0:$((1000 * 4096)) "$T/part" "$T/k/images/kernel.img"
ok "cost at most 512 KiB" [ $(($(fetched) - before)) -le $((512 * 1024)) ]
before=$(fetched)
"$TOOLS/mount/mapped" "$M/kernels/art/1.0/images/kernel.img" $((1700 * 4096)) >"$T/part"
ok "4 KiB of a mapping" cmp -n 4096 -i 0:$((1700 * 4096)) "$T/part" "$T/k/images/kernel.img"
ok "cost no more ($(($(fetched) - before)))" [ $(($(fetched) - before)) -le $((512 * 1024)) ]
ok "all of it is the same" same "$T/k" "$M/kernels/art/1.0"
"$DIVERFS" publish "$T/k" "$T/www/layout" art:2.0 >/dev/null
appears() { [ -e "$M/kernels/art/2.0/digest" ]; }
wait_for "what is published there appears" appears
not_sent() { ls "$M/kernels/art" >/dev/null && grep -q 'index.json.* 304 ' "$STATIC_LOG"; }
wait_for "an index that did not change is not sent again" not_sent
requests=$(grep -c index.json "$STATIC_LOG")
seconds=$((SECONDS - began + 1))
ok "and is asked for once a second at most ($requests times in $seconds s)" [ "$requests" -le $((seconds + 3)) ]
make_kernel "$T/s" small 1000000 # of which the last piece to be fetched is little: it is not written yet when it is there
"$DIVERFS" publish "$T/s" "$T/www/layout" >/dev/null
little_appears() { cat "$M/kernels/small/1.0/images/kernel.img"; }
wait_for "another one appears" little_appears
ok "a pin ends when all is kept" put "pin small:1.0" "$M/cache/ctl"
is "all of it" "$(sed -n 's/^here //p' "$M/kernels/small/1.0/cached")" "$(sed -n 's/^total //p' "$M/kernels/small/1.0/cached")"
unmount_registry

# a server that ignores ranges: each blob comes whole, once
rm -r "$T/cache"
static_server "$T/www" "max_ranges 0;"
REGISTRY=http://$ADDR/layout
mount_registry
is "without ranges: a source file" "$(head -n 1 "$M/kernels/art/1.0/src/sub/7.txt")" "small file 7 of art"
ok "without ranges: all of it is the same" same "$T/k" "$M/kernels/art/1.0"
total=$(stat -c %s "$T/www/layout/blobs/sha256"/* | awk '{ n += $1 } END { print n }')
ok "nothing came twice" [ "$(fetched)" -le $((total + total / 4)) ]
unmount_registry

static_server "$T/www"
REGISTRY=http://$ADDR/none
mount_registry
fails "an address with nothing there" "host|denied" ls "$M/kernels"
like "is said" "$(cat "$M/log")" "neither a registry \(/v2/\) nor an OCI image layout"
unmount_registry

# TLS: verified, by an authority of one's own
mkdir "$T/tls"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/tls/key.pem" -out "$T/tls/cert.pem" -days 2 -subj /CN=tests \
	-addext subjectAltName=IP:127.0.0.1 2>/dev/null
chmod -R a+rX "$T/tls"
rm -r "$T/cache"
TLS=$T/tls
static_server "$T/www"
REGISTRY=https://$ADDR/layout
mount_registry
fails "a certificate that nobody vouches for" "host" ls "$M/kernels"
like "is said" "$(cat "$M/log")" "registry $REGISTRY: .*certificate"
unmount_registry
mount_registry -o "ca=$T/tls/cert.pem"
ok "with its authority, it is read" same "$T/k" "$M/kernels/art/1.0"
unmount_registry

# a large image, of which a little is read: the metadata and that, all in all
mkdir -p "$T/huge/images"
cp "$T/k/kernel.conf" "$T/k/README.md" "$T/huge"
sed -i -e 's/^name *=.*/name = huge/' "$T/huge/kernel.conf"
truncate -s 1G "$T/huge/images/kernel.img"
head -c 4096 "$T/k/images/kernel.img" | dd of="$T/huge/images/kernel.img" bs=4k seek=131072 conv=notrunc status=none
"$DIVERFS" publish "$T/huge" "$T/www/huge" >/dev/null || exit 1
rm -r "$T/cache"
TLS=
static_server "$T/www"
REGISTRY=http://$ADDR/huge
mount_registry
before=$(fetched)
dd if="$M/kernels/huge/1.0/images/kernel.img" bs=4k count=1 skip=131072 status=none >"$T/part"
cost=$(($(fetched) - before))
ok "4 KiB in the middle of 1 GiB" cmp -n 4096 "$T/part" "$T/k/images/kernel.img"
ok "cost $((cost / 1024)) KiB with the digests of its chunks, at most 512" [ $cost -le $((512 * 1024)) ]
unmount_registry

# What the last deploy of a digest read is fetched at the start of the next cold one: in fewer requests.
if [ -d "$BUILD/share/diverfs/registry" ] && command -v bwrap qemu-system-x86_64 >/dev/null; then
	static_server "$BUILD/share/diverfs/registry"
	REGISTRY=http://$ADDR
	rm -r "$T/cache" "$T/state"
	cold() { # its requests and bytes
		: >"$STATIC_LOG"
		mount_registry
		instance p 'kernel = hello'
		within "$SLOW" state_in p "built configured"
		echo >>"$M/run/p/kernel/app/main.c"
		put fullVM "$M/run/p/deploy" && [ "$(cat "$M/run/p/wait")" = 0 ] && read -r "$1" <<<"$(wc -l <"$STATIC_LOG")" &&
			read -r "$2" <<<"$(fetched)"
		rm -r "$M/run/p"
		unmount_registry
		rm -f "$T/cache/packs/"*
	}
	first=0 bytes=0 second=1 again=1 # so that what is not told is a failure
	cold first bytes
	cold second again
	ok "the second cold deploy asks less often ($second requests after $first)" [ "$second" -lt $((first * 2 / 3)) ]
	ok "for little more ($again bytes after $bytes)" [ "$again" -le $((bytes * 3 / 2)) ] # gaps come along where ranges are joined
else
	skip "a cold deploy after another one" "no bwrap, or no QEMU"
fi
