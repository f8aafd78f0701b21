# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# registry.sh: part of bench: what a cold read over the network costs, beside others on the same server (nginx on loopback)
# with the same content: curl, and those of PEERS that are installed. diverfs reads an image layout, the
# others the files as they are. Each reader is mounted anew for each figure; what the server has is in memory for all.
#
#   NET     which figures (first middle rate small console); each takes a minute or so
#   LARGE   MiB of the large image (1024)    SMALL  small files (10000)
#   PEERS   mounts beside ours (rclone httpdirfs), packages of those names
#
# httpdirfs keeps what it read in files, as the others do (--cache). It takes so long for a small file that it reads
# a hundredth of them, and its figure is a hundred times that.
#
# Bytes on the wire are those of bodies, by the server's log. From nothing to a console's first byte both sides use a
# docker-registry, because skopeo cannot read a layout behind a web server.

NET=${NET:-first middle rate small console}
LARGE=${LARGE:-1024}
SMALL=${SMALL:-10000}
PEERS=${PEERS-rclone httpdirfs}
SLOW=60
result() { echo "bench: $2" >&2; }
within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do [ $SECONDS -lt $end ] || return 1; sleep 0.05; done
}
# shellcheck source=tests/servers.sh
. tests/servers.sh

net_wants() { [[ " $NET " == *" $1 "* ]]; }
net_content() {
	kernel "$T/net" net
	mkdir -p "$T/www/plain" "$T/net/src/tree"
	if net_wants first || net_wants small; then tree "$T/net/src/tree" "$SMALL" 6000; fi
	if net_wants middle || net_wants rate; then head -c $((LARGE << 20)) /dev/urandom >"$T/net/images/net.img"; fi
	"$BUILD/bin/diverfs" publish "$T/net" "$T/www/layout" >/dev/null || exit 1
	cp "$T/net/README.md" "$T/www/plain"
	mv "$T/net/src/tree" "$T/www/plain"
	[ -f "$T/net/images/net.img" ] && mv "$T/net/images/net.img" "$T/www/plain"
	(cd "$T/www/plain" && find tree -type f | sort) >"$T/names"
	awk -v n="$SMALL" 'NR % int(n / 20 + 1) == 1' "$T/names" >"$T/some"
	head -n $(((SMALL + 99) / 100)) "$T/names" >"$T/hundredth"
	chmod -R a+rX "$T/www"
	cat "$T/www/layout/blobs/sha256"/* >/dev/null
	find "$T/www/plain" -type f -print0 | xargs -0 cat >/dev/null
	sync # else the kernel writes it to the disk while others are measured
}

# Mounts a reader with nothing kept; then $LARGE_AT is the large image, $SMALL_AT has the small files.
net_mount() { # diverfs|rclone|httpdirfs
	local readme=$T/p/README.md
	LARGE_AT=$T/p/net.img SMALL_AT=$T/p
	rm -rf "$T/cache" "$T/kept"
	mkdir -p "$T/p" "$T/cache" "$T/kept"
	case $1 in
	diverfs)
		mount_it "$url/layout"
		readme=$M/kernels/net/1.0/README.md LARGE_AT=$M/kernels/net/1.0/images/net.img SMALL_AT=$M/kernels/net/1.0/src ;;
	rclone) rclone mount --config /dev/null --daemon --read-only --cache-dir "$T/kept" --vfs-cache-mode full \
		--http-url "$url/plain/" :http: "$T/p" 2>/dev/null ;;
	httpdirfs) httpdirfs --no-range-check --cache --cache-location "$T/kept" "$url/plain" "$T/p" >/dev/null 2>&1 ;;
	esac
	timeout 30 cat "$readme" >/dev/null # what is cold is the file, not the connection
}
net_unmount() {
	if [ "$1" = diverfs ]; then unmount_it; return; fi
	fusermount3 -u "$T/p" || fusermount3 -u -z "$T/p"
}
on_wire() { awk '{ n += $10 } END { printf "%.1f\n", n / 1024 }' "$STATIC_LOG"; } # KiB
first_bytes() { # FILE...: the median's ms, without a process of its own
	local f began c
	for f; do
		began=$EPOCHREALTIME
		IFS= read -r -N 1 c <"$f"
		echo "${EPOCHREALTIME/./} ${began/./}"
	done | awk '{ printf "%.2f\n", ($1 - $2) / 1e3 }' | median
}
# In a virtual machine whose host takes back what is free, a page costs more than what is copied into it, unless it was used
# a moment ago: whoever is measured finds as many of these as he may want.
memory_at_hand() {
	local free
	free=$(awk '/^MemAvailable/ { print int($2 / 2048) }' /proc/meminfo)
	head -c "$((free < 3 * LARGE ? free : 3 * LARGE))M" /dev/zero >"/dev/shm/${T##*/}"
	rm "/dev/shm/${T##*/}"
}
rate() { # COMMAND...: MB/s of the large image
	sync # what the one before has written, or removed
	memory_at_hand
	ms "$@" | awk -v mib="$LARGE" '{ printf "%.0f\n", mib * 1048.576 / $1 }'
}

net_works() { # READER: can it be mounted, and read at all?
	local status=1
	net_mount "$1" 2>/dev/null && status=0
	net_unmount "$1" 2>/dev/null
	[ $status = 0 ] || echo "bench: $1 does not read from this server: no figures beside it"
	return $status
}

# Each appends a figure of a reader to $T/net.READER.FIGURE.
of_first() {
	net_mount "$1"
	mapfile -t files < <(sed "s,^,$SMALL_AT/," "$T/some")
	stat "${files[@]}" >/dev/null
	first_bytes "${files[@]}" >>"$T/net.$1.first"
	net_unmount "$1"
}
of_middle() {
	net_mount "$1"
	: >"$STATIC_LOG"
	dd if="$LARGE_AT" of=/dev/null bs=4k skip=$((LARGE * 128)) count=1 status=none
	sleep 0.3
	on_wire >>"$T/net.$1.middle"
	net_unmount "$1"
}
of_rate() {
	net_mount "$1"
	rate sequential "$LARGE_AT" >>"$T/net.$1.rate"
	net_unmount "$1"
}
cat_names() { (cd "$1" && xargs cat <"$2"); }
of_small() {
	: >"$STATIC_LOG"
	net_mount "$1"
	if [ "$1" = httpdirfs ]; then
		ms cat_names "$SMALL_AT" "$T/hundredth" | awk '{ print $1 * 100 }' >>"$T/net.$1.small"
	else
		ms cat_all "$SMALL_AT/tree" >>"$T/net.$1.small"
		on_wire >>"$T/net.$1.wire"
	fi
	net_unmount "$1"
}
of_console() { :; }

curl_first() {
	sed "s,.*,url = $url/plain/&\noutput = /dev/null," "$T/some" >"$T/urls"
	curl -s -K "$T/urls" -w '%{time_starttransfer}\n' | awk 'NR > 1 { print $1 * 1e3 }' | median >>"$T/net.curl.first"
}
curl_middle() { :; }
verified() { curl -s "$url/plain/net.img" | openssl dgst -sha256; }
verified_file() { curl -s "$url/plain/net.img" | tee "$T/got" | openssl dgst -sha256; }
curl_rate() {
	rate curl -s -o /dev/null "$url/plain/net.img" >>"$T/net.curl.rate"
	rate curl -s -o "$T/got" "$url/plain/net.img" >>"$T/net.curl.file"
	rm -f "$T/got"
	rate verified >>"$T/net.curl.verified"
	rate verified_file >>"$T/net.curl.verified-file"
	rm -f "$T/got"
}
curl_small() {
	sed "s,.*,url = $url/plain/&," "$T/names" >"$T/urls"
	: >"$STATIC_LOG"
	ms curl -s -K "$T/urls" >>"$T/net.curl.small"
	on_wire >>"$T/net.curl.wire"
	sed -i 's,$,\noutput = /dev/null,' "$T/urls"
	ms curl -s -Z --parallel-max 16 -K "$T/urls" 2>/dev/null >>"$T/net.curl.parallel"
}
curl_console() { :; }

figure() { median <"$T/net.$1"; }
beside() { # FIGURE UNIT WHAT AIM [PEER...]
	local figure=$1 unit=$2 what=$3 aim=$4 p
	shift 4
	for p; do
		[ -s "$T/net.$p.$figure" ] && row "$what" "$(figure "diverfs.$figure")" "$(figure "$p.$figure")" "$unit" "$p" "$aim"
	done
}

net_console() { # from nothing to the first byte that hello says
	docker_registry "$T/reg"
	SERVERS+=("$SERVER")
	"$BUILD/bin/diverfs" publish "$BUILD/stage/hello" "http://$ADDR" hello:1.0 >/dev/null || return
	cat >"$T/skopeo-qemu" <<-END
		rm -rf "$T/dir"
		skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$ADDR/hello:1.0" "dir:$T/dir" || exit
		image=\$(grep -o '"mediaType":"[^"]*image.v1[^"]*","digest":"sha256:[0-9a-f]*' "$T/dir/manifest.json" | sed 's/.*://')
		exec qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max -m 16M \
			-M microvm,acpi=off,pit=off,pic=off,rtc=off,auto-kernel-cmdline=off -kernel "$T/dir/\$image" -serial stdio
	END
	local i
	for ((i = 0; i < ROUNDS; i++)); do
		rm -rf "$T/cache"
		mkdir "$T/cache"
		"$clock" first bash -c "'$BUILD/bin/diverfs' -o 'cache=$T/cache,state=$T/state' 'http://$ADDR' '$M' &&
			exec '$M/kernels/hello/1.0/run' 2>/dev/null </dev/null" >>"$T/net.diverfs.console"
		unmount_it
		timeout 60 "$clock" first bash "$T/skopeo-qemu" </dev/null >>"$T/net.skopeo.console"
	done
	row "from nothing to a first console byte" "$(figure diverfs.console)" "$(figure skopeo.console)" ms "skopeo copy, then QEMU"
}

net_row() { # NAME OURS THEIRS UNIT BESIDE AIM: if there are such figures
	[ -s "$T/net.$2" ] && [ -s "$T/net.$3" ] && row "$1" "$(figure "$2")" "$(figure "$3")" "$4" "$5" "$6"
}
net_rows() {
	beside first ms "cold: first byte of a small file" "0.5" curl rclone httpdirfs
	beside rate MB/s "cold: $LARGE MiB in order, to /dev/null" "0.6" curl
	net_row "cold: $LARGE MiB in order, to /dev/null" diverfs.rate curl.verified MB/s "curl, verified (openssl dgst -sha256)" "0.6"
	net_row "cold: $LARGE MiB in order" diverfs.rate curl.file MB/s "curl to a file" "above 1"
	net_row "cold: $LARGE MiB in order" diverfs.rate curl.verified-file MB/s "curl to a file, verified" "above 1"
	beside rate MB/s "cold: $LARGE MiB in order" "above 1" rclone httpdirfs
	beside small ms "cold: cat of $SMALL small files" "below 1" curl rclone httpdirfs
	net_row "cold: cat of $SMALL small files" diverfs.small curl.parallel ms "curl, 16 in parallel" "below 1"
	beside wire KiB "on the wire: these small files" "below 1" curl rclone
	beside middle KiB "on the wire: 4 KiB in the middle" "512 KiB" rclone httpdirfs
}

net() {
	local url i p readers=() pr part
	for p in nginx docker-registry skopeo curl; do
		PATH=$PATH:/usr/sbin command -v $p >/dev/null || { echo "bench: no $p: no figures of registries"; return; }
	done
	for p in $PEERS; do
		command -v "$p" >/dev/null || echo "bench: no $p (a package of that name): no figures beside it"
	done
	net_content
	static_server "$T/www" "autoindex on;"
	SERVERS+=("$SERVER")
	url=http://$ADDR
	for p in diverfs $PEERS; do
		if [ "$p" = diverfs ] || command -v "$p" >/dev/null; then net_works "$p" && readers+=("$p"); fi
	done
	for ((i = 0; i < ROUNDS; i++)); do
		for part in $NET; do
			for pr in "${readers[@]}"; do "of_$part" "$pr"; done
			"curl_$part"
		done
	done
	net_rows
	net_wants console && net_console
	rm -rf "$T/www" "$T/reg" "$T/net" "$T/cache" "$T/kept" && mkdir "$T/cache"
}
