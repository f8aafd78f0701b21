#!/bin/bash
# SPDX-License-Identifier: MIT
# Registries at full size: what a small read of something large costs, what a listing of a thousand kernels costs, a quota
# of a tenth of what is read, and two mounts with one cache. Bytes are those of cache/fetched and of the server's log.
#
#   PARTS    which of them (little quota two many)   KERNELS  how many in the last (1000)
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need nginx docker-registry

PARTS=${PARTS:-little quota two many}
KERNELS=${KERNELS:-1000}
M2=$T/m2
W=$T/www/layout
mkdir -p "$T/www" "$M2" "$T/state2"
chmod 755 "$T/www"
[ "$(df --output=avail -k "$T" | tail -n 1)" -gt 7000000 ] || skip_all "less than 7 GB free for $T"
cleanup() { grep -q " $M2 " /proc/self/mountinfo && fusermount3 -u -z "$M2"; }
KiB() { echo "$(($1 / 1024)) KiB"; }
random() { openssl enc -aes-128-ctr -nosalt -pass "pass:$2" -pbkdf2 -iter 1 -in /dev/zero 2>/dev/null | head -c "$1"; }

kernel() { # NAME: all but images and more sources
	mkdir -p "$T/k/$1/images" "$T/k/$1/src"
	printf '%s\n' "name = $1" "version = 1" "description = The kernel $1." "arch = x86_64" "modes = fullVM" \
		"image = images/$1.img" "memory = 16M" >"$T/k/$1/kernel.conf"
	echo "# $1" >"$T/k/$1/README.md"
	echo "int main(void) { return 0; } /* $1 */" >"$T/k/$1/src/main.c"
}
published() { # NAME [REGISTRY]
	"$DIVERFS" publish "$T/k/$1" "${2:-$W}" >/dev/null && return
	result "not ok" "publish $1"
	exit 1
}
sum_of() { sha256sum <"$1" | cut -d' ' -f1; }
again() { # REGISTRY [OPTIONS]: mounted with an empty cache
	unmount_registry
	rm -rf "$T/cache"
	REGISTRY=$1 mount_registry -o "$2"
}
costs() { # COMMAND...: the bytes that it has fetched, in $cost
	cost=$(fetched)
	"$@"
	cost=$(($(fetched) - cost))
}
at_most() { # NAME BYTES
	ok "$1: $(KiB "$cost"), at most $(KiB "$2")" [ "$cost" -le "$2" ]
}

# --- content ------------------------------------------------------------------------------------
wide() { # 10,000 source files, 300 MiB
	local d
	kernel wide
	echo wide >"$T/k/wide/images/wide.img"
	for d in $(seq 100); do
		mkdir -p "$T/k/wide/src/d$d"
		random $((100 * 31457)) "w$d" | (cd "$T/k/wide/src/d$d" && split -b 31457 -a 3 -d - file)
	done
	published wide
}
images() { # N: of 25 MiB each
	local i
	for i in $(seq "$1"); do
		kernel "q$i"
		random $((25 << 20)) "q$i" >"$T/k/q$i/images/q$i.img"
		published "q$i"
	done
}
large() { # an image of 1 GiB
	kernel large
	random $((1 << 30)) 1 >"$T/k/large/images/large.img"
	published large
}

# --- a little of something large ------------------------------------------------------------------
small_reads() { # WHAT THE SERVER IS
	local k=$M/kernels
	costs ls -l "$k/large/1/images" >/dev/null
	at_most "$1: a 1 GiB image is looked at: the digests of its 8,192 chunks and little else" 600000
	costs dd if="$k/large/1/images/large.img" of="$T/got" bs=4k skip=131072 count=1 status=none
	at_most "$1: 4 KiB in the middle of it" $((512 << 10))
	ok "$1: they are right" cmp "$T/got" "$T/part"
	costs ls -l "$k/wide/1/src/d50" >/dev/null
	echo "# $1: the table of contents of 10,000 files and a listing: $(KiB "$cost")"
	local table=$cost
	costs head -n 1 "$k/wide/1/src/d50/file050" >"$T/got"
	echo "# $1: head alone: $(KiB "$cost")"
	ok "$1: head of a source file is right" cmp "$T/got" "$T/head"
	cost=$((cost + table))
	at_most "$1: head of one of 10,000 source files, 300 MiB, with the table of contents" $((3 << 20))
}
little() {
	large
	wide
	dd if="$T/k/large/images/large.img" of="$T/part" bs=4k skip=131072 count=1 status=none
	head -n 1 "$T/k/wide/src/d50/file050" >"$T/head"
	again "$nginx" fresh=1000
	small_reads static

	docker_registry "$T/reg"
	reg=http://$ADDR
	for k in large wide; do published $k "$reg"; done
	again "$reg" fresh=1000
	small_reads registry
	unmount_registry
	stop_server "$SERVER"
	rm -rf "$T/reg"
}

# --- 500 MiB through a quota of 50 -----------------------------------------------------------------
quota() {
	images 20
	[ -f "$T/k/large/images/large.img" ] || large
	kernel pinned
	random $((10 << 20)) 2 >"$T/k/pinned/images/pinned.img"
	published pinned
	again "$nginx" fresh=1000,quota=50M
	is "pinned content is read" "$(sum_of "$M/kernels/pinned/1/images/pinned.img")" "$(sum_of "$T/k/pinned/images/pinned.img")"
	ok "pin" put "pin pinned:1" "$M/cache/ctl"
	most=0 wrong=
	for i in $(seq 20); do
		[ "$(sum_of "$M/kernels/q$i/1/images/q$i.img")" = "$(sum_of "$T/k/q$i/images/q$i.img")" ] || wrong+=" q$i"
		used=$(du -s -B1 "$T/cache" | cut -f1)
		[ "$used" -gt "$most" ] && most=$used
	done
	is "500 MiB are read through a quota of 50 MiB, wrong or failed" "$wrong" ""
	ok "the quota was kept: on disk at most $(KiB "$most")" [ "$most" -le $((51 << 20)) ]
	used=$(cat "$M/cache/used")
	ok "cache/used says so, too: $used" [ "$used" -le $((50 << 20)) ]
	costs head -c $((500 << 20)) "$M/kernels/large/1/images/large.img" | sha256sum >"$T/got"
	is "and 500 MiB of one image that is larger than the quota" "$(cat "$T/got")" \
		"$(head -c $((500 << 20)) "$T/k/large/images/large.img" | sha256sum)"
	ok "the quota was kept" [ "$(du -s -B1 "$T/cache" | cut -f1)" -le $((51 << 20)) ]
	echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
	costs sum_of "$M/kernels/pinned/1/images/pinned.img" >"$T/got"
	is "what is pinned is still there" "$(cat "$T/got")" "$(sum_of "$T/k/pinned/images/pinned.img")"
	is "and was not fetched again" "$cost" 0
}

# --- two mounts, eight readers each -----------------------------------------------------------------
two() {
	[ -d "$T/k/q4" ] || images 4
	[ -d "$T/k/wide" ] || wide
	again "$nginx" fresh=1000
	ok "a second mount with the same cache" "$DIVERFS" -o "fresh=1000,cache=$T/cache,state=$T/state2" "$nginx" "$M2"
	(cd "$T/k" && find q1 q2 q3 q4 wide \( -path '*/images/*' -o -path '*/src/*' \) -type f -print0 | xargs -0 sha256sum) |
		sed 's,  \([^/]*\)/,  \1/1/,' >"$T/sums"
	: >"$STATIC_LOG"
	pids=()
	for i in $(seq 16); do
		dir=$M
		[ $((i % 2)) = 0 ] && dir=$M2
		(cd "$dir/kernels" && sort -R --random-source=<(yes "$i") "$T/sums" | sha256sum -c --quiet) >>"$T/wrong" 2>&1 &
		pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || echo "a reader failed" >>"$T/wrong"; done
	is "sixteen readers of $(wc -l <"$T/sums") files, by SHA-256" "$(head -n 5 "$T/wrong")" ""
	cost=$(($(fetched) + $(cat "$M2/cache/fetched")))
	there=0
	for k in q1 q2 q3 q4 wide; do there=$((there + $(du -s -B1 --apparent-size "$T/k/$k" | cut -f1))); done
	at_most "both together fetched little more than there is ($(KiB $there))" $((there + there / 50))
	fusermount3 -u "$M2"
	unmount_registry
}

# --- a thousand kernels ----------------------------------------------------------------------------
listing() {
	find "$M/kernels" -maxdepth 2 >"$T/found"
	ls -lR "$M/kernels" >/dev/null
	find "$M/kernels" -exec stat -c %s {} + >/dev/null
}
many() {
	rm -rf "$T/k" "$T/cache" "$W"
	kernel one
	random 200000 3 >"$T/k/one/images/one.img"
	for i in $(seq -w "$KERNELS"); do
		sed -i "s/^name .*/name = n$i/" "$T/k/one/kernel.conf"
		echo "/* $i */" >>"$T/k/one/src/main.c"
		printf %s "$i" | dd of="$T/k/one/images/one.img" conv=notrunc status=none
		published one
	done
	content=$(du -s -B1 --apparent-size "$W" | cut -f1)
	again "$nginx" fresh=1000
	: >"$STATIC_LOG"
	costs listing
	is "all are listed" "$(grep -c '/n[0-9]*/1$' "$T/found")" "$KERNELS"
	echo "# find, ls -lR and stat of $KERNELS kernels: $(KiB "$cost") of $(KiB "$content")"
	grep -ho '"digest":"sha256:[0-9a-f]*","size":200000' "$W"/blobs/sha256/* | grep -o '[0-9a-f]\{64\}' | sort -u >"$T/images"
	ok "the server has their images" [ "$(wc -l <"$T/images")" -ge "$KERNELS" ]
	is "of which not one was asked for" "$(grep -cFf "$T/images" "$STATIC_LOG")" 0
	ok "metadata only: less than 20 KiB a kernel" [ "$cost" -lt $((20480 * KERNELS)) ]
	costs listing
	is "a second time, nothing" "$cost" 0
}

static_server "$T/www"
nginx=http://$ADDR/layout
for part in $PARTS; do $part; done
