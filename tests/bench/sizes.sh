# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# sizes.sh: part of bench: what many kernels, and many files, cost: time to list 10,000 kernels and to search them, memory
# of a daemon that knows 100,000 files.

# An image layout whose index names one and the same kernel 10,000 times: what is listed and looked up is names.
many_names() { # LAYOUT
	kernel "$T/one" kernel
	"$BUILD/bin/diverfs" publish "$T/one" "$1" kernel:1.0 >/dev/null || exit 1
	awk '{
		while (i = index($0, "{\"mediaType\":\"application/vnd.oci.image.manifest")) {
			printf "%s", substr($0, 1, i - 1)
			$0 = substr($0, i)
			end = index($0, "}}") + 1
			entry = substr($0, 1, end)
			$0 = substr($0, end + 1)
			for (n = 0; n < 10000; n++) {
				copy = entry
				sub("kernel:1.0", sprintf("kernel%05d:1.0", n), copy)
				printf "%s%s", n ? "," : "", copy
			}
		}
		print
	}' "$1/index.json" >"$T/index" && mv "$T/index" "$1/index.json"
}
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$(daemon)/status"; }
warm_ms() { # COMMAND...: the median of what it takes when it has run before
	local i
	"$@" >/dev/null
	for ((i = 0; i < ROUNDS; i++)); do ms "$@"; done | median
}

names() {
	many_names "$T/layout"
	mount_it "$T/layout"
	local first listed
	first=$(ms ls "$M/kernels")
	listed=$(find "$M/kernels" -maxdepth 1 -name 'kernel?????' | wc -l)
	[ "$listed" = 10000 ] || echo "bench: only $listed kernels are listed" >&2
	row "ls of 10,000 kernels, warm" "$(warm_ms ls "$M/kernels")" "$first" ms "the first time" "under 200 ms"
	row "ls -l of 10,000 kernels, warm" "$(warm_ms ls -l "$M/kernels")" "$first" ms "ls, the first time" "under 200 ms"
	unmount_it
	rm -rf "$T/one" "$T/layout"
}

memory() {
	kernel "$T/many" many
	tree "$T/many/src/tree" 100000 40
	"$BUILD/bin/diverfs" publish "$T/many" "$T/layout" >/dev/null || exit 1
	mount_it "$T/layout"
	local before listed
	before=$(rss)
	listed=$(find "$M/kernels/many/1.0/src" -type f | wc -l)
	ls -lR "$M/kernels/many/1.0/src" >/dev/null
	[ "$listed" -ge 100000 ] || echo "bench: only $listed files were listed" >&2
	row "memory after listing 100,000 files" "$(rss)" "$before" MiB "before" "under 64 MiB"
	cat_all "$M/kernels/many/1.0/src" >/dev/null
	row "and after reading them all" "$(rss)" "$before" MiB "before" "under 64 MiB"
	unmount_it
	rm -rf "$T/many" "$T/layout"
}

search() {
	local times
	times=$("$BUILD/tests/bench/cache_search" "$T" 10000) || exit 1
	row "search among 10,000 kernels, median" "${times% *}" "${times#* }" ms "worst of 200" "under 20 ms"
}
