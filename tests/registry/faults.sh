#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of listing and reading: what can be mended is; the rest fails in bounded
# time, with the registry and the reason in the log; nothing wrong is shown or kept; it comes back by itself.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

WORKERS=6
make_kernel "$T/k" art 1000000
"$DIVERFS" publish "$T/k" "$T/layout" >/dev/null || exit 1
blob_of() { # the path of the first blob of media type $1
	grep -o "\"mediaType\":\"[^\"]*$1\",\"digest\":\"sha256:[0-9a-f]*" "$manifest" | head -n 1 | grep -o 'sha256:.*'
}
manifest=$T/layout/blobs/sha256/$(grep -o 'sha256:[0-9a-f]*' "$T/layout/index.json" | head -n 1 | cut -d: -f2)

# step, and the paths that are asked for in it
steps=(
	"probe /v2/"
	"catalog /v2/_catalog"
	"tags /v2/art/tags/list"
	"manifest /v2/art/manifests/*"
	"config /v2/art/blobs/$(blob_of config.v1+json)"
	"readme /v2/art/blobs/$(blob_of markdown)"
	"source /v2/art/blobs/$(blob_of tar+zstd)"
	"image /v2/art/blobs/$(blob_of image.v1)"
)
# mended|fails, how often, the fault, what the log says of it, in which steps (* all)
faults=(
	"mended|1|close||*"
	"mended|2|reset 1||*"
	"mended|1|truncate 1||*"
	"mended|1|status 503||*"
	"mended|2|status 500||*"
	"mended|1|status 429:1||*"
	"mended|*|slow 2000000||image source"
	"mended|*|page 1||catalog tags"
	"mended|*|loop||catalog tags"
	"mended|*|whole||image source"
	"mended|*|bearer||*"
	"mended|2|expire||*"
	"fails|*|stall|no answer came|*"
	"fails|*|stall-body 20|next to nothing|image source"
	"fails|*|status 500|answered 500|*"
	"fails|*|status 429:600|asked again in 600 s|*"
	"fails|*|status 403|403|manifest config image"
	"fails|*|status 404|404|config source image"
	"fails|*|status 416|416|source image"
	"fails|*|reset 0|.|*"
	"fails|*|garbage|.|*"
	"fails|*|corrupt|match|config readme image source"
	"fails|*|html|.|catalog config readme source image"
	"fails|*|short|.|config source image"
	"fails|*|long|.|config source image"
	"fails|*|shift|other bytes|image source"
	"fails|*|encoding|encoding|config"
	"fails|*|slow 100|.|image"
	"fails|*|basic|skopeo login|catalog tags manifest config image"
	"fails|*|redirect http://192.0.2.1/x|refused|config image"
	"fails|*|redirect /v2/art/blobs/loop|.|image"
	"fails|*|redirect ftp://127.0.0.1/x|.|image"
)

cases=()
for f in "${faults[@]}"; do
	IFS='|' read -r verdict count what regex where <<<"$f"
	for s in "${steps[@]}"; do
		[[ "$where" == '*' || " $where " == *" ${s%% *} "* ]] && cases+=("$verdict|$count|$what|$regex|$s")
	done
done

same() { timeout "$((2 * SLOW))" diff -r --no-dereference -x cached -x run -x digest -x manifest -x kernel.conf "$T/k" "$1/kernels/art/1.0"; }
say() { echo "$@" >>"$T/w$w.tap"; }

one_case() { # in worker $w, on server w$w
	local verdict count what regex step path name m=$T/w$w/m took
	IFS='|' read -r verdict count what regex step <<<"$1"
	path=${step#* } name="${step%% *}: $what, $count: $verdict"
	rm -rf "$T/w$w"
	mkdir -p "$m"
	fault "w$w" "$count * $path $what"
	if ! "$DIVERFS" -o "fresh=1,cache=$T/w$w/c,state=$T/w$w/s" "http://$ADDR" "$m" 2>"$T/w$w/err"; then
		say "not ok - $name: mount"
		return
	fi
	same "$m" >"$T/w$w/diff" 2>&1
	took=$?
	if [ $verdict = mended ]; then
		if [ $took = 0 ]; then say "ok - $name"; else
			say "not ok - $name"
			{ cat "$T/w$w/diff"; tail -n 5 "$m/log"; } | sed 's/^/#   /' | head -n 20 >>"$T/w$w.tap"
		fi
	elif [ $took = 0 ]; then
		say "not ok - $name: it did not fail"
	elif [ $took = 124 ]; then
		say "not ok - $name: took too long"
	elif ! grep -E "registry http://$ADDR" "$m/log" | grep -qE -- "$regex"; then
		say "not ok - $name: the log does not say it"
		tail -n 8 "$m/log" | cut -c1-400 | sed 's/^/#   /' >>"$T/w$w.tap"
	elif grep -qE '^(Binary files|[<>]|Only in [^:]*/k[:/])' "$T/w$w/diff"; then
		say "not ok - $name: something wrong was shown"
		head -n 20 "$T/w$w/diff" | sed 's/^/#   /' >>"$T/w$w.tap"
	else
		fault "w$w"
		if [[ $what == status\ 429* ]] || within "$SLOW" same "$m"; then say "ok - $name"; else
			say "not ok - $name: it does not come back"
			{ same "$m" 2>&1; tail -n 5 "$m/log"; } | cut -c1-400 | sed 's/^/#   /' | head -n 20 >>"$T/w$w.tap"
		fi
	fi
	fusermount3 -u "$m" 2>/dev/null || fusermount3 -uz "$m"
	within "$SLOW" no_process "bin/diverfs .*$m"
}

worker() {
	local i
	trap - EXIT
	faulty "$T/layout" "w$w"
	trap 'kill $SERVER 2>/dev/null; exit' EXIT TERM
	for ((i = w; i < ${#cases[@]}; i += WORKERS)); do one_case "${cases[i]}"; done
	say "end"
}

cleanup() {
	local w
	for ((w = 0; w < WORKERS; w++)); do
		grep -q " $T/w$w/m " /proc/self/mountinfo && fusermount3 -u "$T/w$w/m" 2>/dev/null
	done
}

for ((w = 0; w < WORKERS; w++)); do worker & done
wait
for ((w = 0; w < WORKERS; w++)); do
	collect "worker $w" <"$T/w$w.tap"
done
