#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of listing and reading: what can be mended is; the rest fails in bounded
# time, with the registry and the reason in the log; nothing wrong is shown or kept; it comes back by itself.
#
#   SHARE   of the table one case in so many, but of each fault and each step some (3); tests/soak has all (1)
#   ONLY    a regex: the cases of which the name is like it
# shellcheck disable=SC2154
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
. "$(dirname "$0")/../layout.sh"

SHARE=${SHARE:-3}
ONLY=${ONLY:-.}
WORKERS=8
L=$T/layout

# --- what is read: a kernel for several machines, and one of which the sources come as they are ------------------
make_kernel "$T/k" art 1000000
seq 1000 >>"$T/k/README.md" # so long that it does not come byte by byte
digest=$("$DIVERFS" publish "$T/k" "$L" | grep -o 'sha256:[0-9a-f]*') || exit 1
manifest=$L/blobs/sha256/${digest#sha256:}
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[{"mediaType":"%s.manifest.v1+json","digest":"%s","size":%d,%s}]}' \
	$oci $oci "$digest" "$(stat -c %s "$manifest")" '"platform":{"architecture":"amd64","os":"linux"}' >"$T/index"
art=$(blob "$T/index" $oci.index.v1+json "\"$note.ref.name\":\"art:1.0\"")

mkdir -p "$T/s/app"
head -c 400000 /dev/urandom >"$T/s/big"
echo 'int main(void) { return 0; }' >"$T/s/app/main.c"
tar czf "$T/src.tar.gz" -C "$T/s" .
old=$(pack_by_hand old "$(tar_gz "$T/src.tar.gz")")
printf '{"schemaVersion":2,"manifests":[%s,%s]}' "$art" "$old" >"$L/index.json"

blob_of() { # TYPE: the path of the first blob of this media type
	echo "/v2/art/blobs/$(grep -o "\"mediaType\":\"[^\"]*$1\",\"digest\":\"sha256:[0-9a-f]*" "$manifest" | head -n 1 | grep -o 'sha256:.*')"
}
source=$(blob_of tar+zstd)
# the table of contents is asked for as the bytes up to its last
last=$(sed 's/.*manifest-position":"\([0-9]*\):\([0-9]*\):.*/\1 \2/' "$manifest" | awk '{ print $1 + $2 - 1 }')
toc="$source@*-$last"

# --- the table -------------------------------------------------------------------------------------------------
# step|what is asked for in it|lines of the plan before the fault's and after it
steps=(
	"probe|/v2/||"
	"catalog|/v2/_catalog||"
	"tags|/v2/art/tags/list||"
	"index|/v2/art/manifests/1.0||"
	"manifest|/v2/art/manifests/sha256:*||"
	"config|$(blob_of config.v1+json)||"
	"readme|$(blob_of markdown)||"
	"toc|$toc||"
	"chunk|$source@*|* * $toc none|"
	"image|$(blob_of image.v1)||"
	"whole|/v2/old/blobs/sha256:$(sha256sum <"$T/src.tar.gz" | cut -d' ' -f1)||"
	"token|/token||* * /v2/* bearer"
	"marker|/layout/oci-layout|* * /v2/* status 404|"
	"list|/layout/index.json|* * /v2/* status 404|"
	"file|/layout/blobs/sha256/*|* * /v2/* status 404|"
)
parts="toc chunk image"                          # asked for by range
content="config readme $parts whole"             # of which a digest is known before
lists="catalog tags index manifest marker list"  # small answers
served="probe $lists $content file"              # all but the token service

# mended|fails, how often, the fault, what the log says of it, in which steps (* all). (A wrong byte in a list is another
# name: lists have no digest. A tag that is not found may have been deleted; a repository that may not be read is left
# out, so that it does not hide the others.)
faults=(
	"mended|1|close||*"
	"mended|2|reset 1||*"
	"mended|1|truncate 1||*"
	"mended|1|status 503||*"
	"mended|2|status 500||*"
	"mended|1|status 429:1||*"
	"mended|*|slow 2000000||$parts whole file"
	"mended|*|slow 20000||probe $lists config readme token"
	"mended|*|page 1||catalog tags"
	"mended|*|loop||catalog tags"
	"mended|*|whole||$parts file"
	"mended|*|bearer||$served"
	"mended|2|expire||$served"
	"mended|*|elsewhere OTHER||$served"
	"fails|*|stall|no answer came|*"
	"fails|*|stall-body 1|next to nothing|*"
	"fails|*|status 500|answered 500|*"
	"fails|*|status 429:600|asked again in 600 s|*"
	"fails|*|status 403|403|$lists $content file"
	"fails|*|status 403|.|probe token"
	"fails|*|status 404|404|catalog manifest $content file token"
	"fails|*|status 416|416|$parts"
	"fails|*|reset 0|.|*"
	"fails|*|reset 1|.|*"
	"fails|*|truncate 1|.|probe $lists readme token"
	"fails|*|garbage|.|*"
	"fails|*|corrupt|match|index manifest $content file"
	"fails|*|corrupt|no token|token"
	"fails|*|html|.|catalog tags manifest config readme chunk image whole list file token"
	"fails|*|short|.|*"
	"fails|*|long|.|$content file"
	"fails|*|shift|other bytes|$parts"
	"fails|*|encoding|encoding|catalog tags index manifest config readme toc whole list"
	"fails|*|slow 100|next to nothing|chunk image whole file"
	"fails|*|basic|skopeo login|$lists $content file token"
	"fails|*|expire|401|$lists $content file"
	"fails|*|redirect http://192.0.2.1/x|refused|$served"
	"fails|*|redirect http://192.0.2.1/x|answered 302|token"
	"fails|*|elsewhere SELF|in circles|$served"
	"fails|*|redirect ftp://127.0.0.1/x|.|*"
)

cases=()
for ((f = 0; f < ${#faults[@]}; f++)); do
	for ((s = 0; s < ${#steps[@]}; s++)); do
		IFS='|' read -r verdict count what regex where <<<"${faults[f]}"
		[[ "$where" == '*' || " $where " == *" ${steps[s]%%|*} "* ]] || continue
		[ $(((f + s) % SHARE)) = 0 ] || continue
		[[ "${steps[s]%%|*}: $what, $count: $verdict" =~ $ONLY ]] && cases+=("$verdict|$count|$what|$regex|${steps[s]}")
	done
done

# --- a case ----------------------------------------------------------------------------------------------------
same() {
	timeout "$((2 * SLOW))" diff -r --no-dereference -x cached -x run -x digest -x manifest -x kernel.conf "$T/k" "$1/kernels/art/1.0"
	local status=$?
	[ $status = 124 ] || timeout "$((2 * SLOW))" diff -r "$T/s" "$1/kernels/old/1/src" && return $status
}
say() { echo "$@" >>"$T/w$w.tap"; }

one_case() { # in worker $w, on server w$w
	local verdict count what regex step path before after name took url=http://$ADDR m=$T/w$w/m
	IFS='|' read -r verdict count what regex step path before after <<<"$1"
	name="$step: $what, $count: $verdict"
	[[ "$path" == /layout/* ]] && url+=/layout
	rm -rf "$T/w$w"
	mkdir -p "$m"
	what=${what/OTHER/http://$other}
	fault "w$w" "$before" "$count * $path ${what/SELF/http://$ADDR}" "$after"
	if ! "$DIVERFS" -o "fresh=1,cache=$T/w$w/c,state=$T/w$w/s" "$url" "$m" 2>"$T/w$w/err"; then
		say "not ok - $name: mount"
		return
	fi
	same "$m" >"$T/w$w/diff" 2>&1
	took=$?
	if [ "$verdict" = mended ]; then
		if [ $took = 0 ]; then say "ok - $name"; else
			say "not ok - $name"
			{ cat "$T/w$w/diff"; tail -n 5 "$m/log"; } | sed 's/^/#   /' | head -n 20 >>"$T/w$w.tap"
		fi
	elif [ $took = 0 ]; then
		say "not ok - $name: it did not fail"
	elif [ $took = 124 ]; then
		say "not ok - $name: took too long"
	elif ! grep -E "registry $url" "$m/log" | grep -qE -- "$regex"; then
		say "not ok - $name: the log does not say it"
		tail -n 8 "$m/log" | cut -c1-400 | sed 's/^/#   /' >>"$T/w$w.tap"
	elif grep -qE '^(Binary files|[<>]|Only in [^:]*/[ks][:/])' "$T/w$w/diff" ||
		[[ $step != tags ]] && grep -q 'No such file' "$T/w$w/diff"; then
		say "not ok - $name: something wrong was shown"
		head -n 20 "$T/w$w/diff" | sed 's/^/#   /' >>"$T/w$w.tap"
	else
		fault "w$w" "$before"
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
	faulty "$L" "w$w"
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

faulty "$L" other
other=$ADDR others=$SERVER
pids=()
for ((w = 0; w < WORKERS; w++)); do
	worker &
	pids+=($!)
done
wait "${pids[@]}"
for ((w = 0; w < WORKERS; w++)); do
	collect "worker $w" <"$T/w$w.tap"
done
kill "$others"
