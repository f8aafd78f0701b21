#!/bin/bash
# SPDX-License-Identifier: MIT
# Who looks at one kernel after the other has the next ones asked for meanwhile: a few at a time, metadata only, each once.
# shellcheck disable=SC2154
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

make_kernel "$T/k" k00 200000
for i in $(seq -w 0 23); do
	sed -i "s/^name = .*/name = k$i/" "$T/k/kernel.conf"
	echo "# k$i" >"$T/k/README.md"
	echo "/* $i */" >"$T/k/src/app/main.c"
	"$DIVERFS" publish "$T/k" "$T/l" >/dev/null || exit 1
done
faulty "$T/l" a
again() { # LINE OF PLAN...: a new mount with nothing kept
	unmount_registry
	rm -rf "$T/cache"
	fault a "$@"
	: >"$T/a.requests"
	REGISTRY=http://$ADDR mount_registry
}
beyond() { again "* * /v2/k0[3-9]/manifests/* $*" "* * /v2/k[12]*/manifests/* $*"; }
asked() { grep " /v2/$1 " "$T/a.requests"; }
manifests() { grep -c "/manifests/" "$T/a.requests"; }
each_once() { grep "/$1/" "$T/a.requests" | cut -d' ' -f2 | sort | uniq -d; }
three() { ls "$M/kernels/k00/1.0" "$M/kernels/k01/1.0" "$M/kernels/k02/1.0"; }

# --- what is asked for ---------------------------------------------------------------------------------------------
beyond stall
ok "three kernels, one after the other" three
wait_for "the next ones are asked for" asked k06/manifests/1.0
is "not more than four" "$(manifests)" 7
fails "who comes there is told why" "timed out|[Hh]ost" timeout "$SLOW" ls "$M/kernels/k03/1.0"
fault a ""
wait_for "and gets it when that is over" ls "$M/kernels/k03/1.0"

beyond stall
ok "the same in a new mount" three
wait_for "asked for" asked k06/manifests/1.0
ok "the mount ends while nobody answers" unmount_registry

beyond status 500
ok "where the server is broken" three
fails "who comes there is told that" "error|Host|host" timeout "$SLOW" ls "$M/kernels/k03/1.0"
like "and the log" "$(tail -n 3 "$M/log")" "k03/1.0: .*http://$ADDR.*500"

# --- who walks through all -----------------------------------------------------------------------------------------------
again ""
find "$M/kernels" -type f -printf '%P %s\n' | sed 's,^k[0-9]*/,,; s/^\(README.md\|digest\|manifest\) .*/\1/' | sort | uniq -c >"$T/found"
is "find sees the same in each" "$(awk '$1 != 24' "$T/found")" ""
is "of which there are so many files" "$(wc -l <"$T/found")" 49
is "no manifest is asked for twice" "$(each_once manifests)" ""
is "nor any blob" "$(each_once blobs)" ""
is "no image is fetched" "$(cat "$M"/kernels/*/1.0/cached | awk '{ n += $1 } END { print n + 0 }')" 0
again ""
stat "$M"/kernels/*/1.0 >/dev/null
is "stat, too, asks once" "$(each_once manifests)" ""
is "README.md is what each has" "$(cat "$M"/kernels/*/1.0/README.md | sort | uniq | wc -l)" 24
