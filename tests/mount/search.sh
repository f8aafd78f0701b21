#!/bin/bash
# SPDX-License-Identifier: MIT
# search/: words find kernels, also with filters, prefixes, hostile ones, and when the registry is gone.
. "$(dirname "$0")/../lib.sh"

found() { find "$M/search/$1/" -mindepth 1 -printf '%f ' 2>&1; }
first() { ls -U "$M/search/$1" | head -n 1; }

cp -r "$REGISTRY" "$T/registry"
REGISTRY=$T/registry
"$DIVERFS" publish "$BUILD/stage/sort" "$REGISTRY" tools/text/sort:2.0 >/dev/null
mount_registry
is "search/ itself is empty" "$(ls -A "$M/search")" ""
is "the best is first" "$(first sort)" "sort:1.0"
like "names with slashes are found" "$(found sort)" 'tools%2Ftext%2Fsort:2\.0 '
is "a prefix" "$(first mandel)" "mandelbrot:1.0"
is "two words, with a plus" "$(found mandelbrot+image)" "$(found "mandelbrot image")"
is "a link leads to the kernel" "$(cat "$M/search/sort/sort:1.0/digest")" "$(cat "$M/kernels/sort/1.0/digest")"
is "as written" "$(readlink "$M/search/sort/sort:1.0")" "../../kernels/sort/1.0"
is "with slashes, too" "$(readlink "$M/search/sort/tools%2Ftext%2Fsort:2.0")" "../../kernels/tools/text/sort/2.0"
ok "it is the kernel" test -x "$M/search/sort/tools%2Ftext%2Fsort:2.0/run"
is "mode: all" "$(found mode:fullVM | wc -w)" "$(($(ls "$M/kernels" | wc -l)))"
is "name:" "$(found name:hello)" "hello:1.0 "
is "a filter that excludes" "$(found hello+arch:riscv)" ""
like "arch: and a word" "$(found arch:x86_64+hello)" "hello:1.0 "
is "tag:" "$(found tag:2.+sort)" "tools%2Ftext%2Fsort:2.0 "
is "tag: alone" "$(found tag:2.0)" "tools%2Ftext%2Fsort:2.0 "
is "the description" "$(found description:lines+name:sort)" "$(found lines+name:sort)"
is "what is in no kernel" "$(found zzyzx)" ""
ok "ls of nothing found succeeds" ls "$M/search/zzyzx"
fails "a name that was not found is not there" "No such file" cat "$M/search/zzyzx/sort:1.0/digest"
fails "nor one that is a kernel, but not this search's" "No such file" cat "$M/search/hello/sort:1.0/digest"
for name in .git .Trash-0 .x; do
	fails "$name is no search" "No such file" ls -d "$M/search/$name"
done
fails "nothing is made in it" "exists|Read-only|not permitted" mkdir "$M/search/new"

long=$(printf 'x%.0s' $(seq 255))
for words in '"' "'" '*' '^' 'a OR b' 'NOT x' 'NEAR(a b)' 'a AND' '(' '{name}:x' 'name:' ':' 'name:"' '--' ';drop' '%s%n' \
	'+' '+++' "$long" "${long//x/+}" "${long//x/\"}" "${long//x/\(}" $'\xff\xfe' $'\xc3\x28' '☃' $'new\nline' $'\x01'; do
	ok "hostile: $(printf %.20q "$words")" timeout 20 bash -c 'ls -l "$1" >/dev/null' ls "$M/search/$words/"
done
fails "a name of 256 bytes" "too long" ls "$M/search/${long}x"

rss() { awk '/VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status"; }
many() { for i in $(seq "$1" "$2"); do echo "$M/search/w$i$long"; done | cut -c1-200 | xargs -d '\n' stat --printf '' ; }
many 1 3000
before=$(rss)
many 3001 20000
after=$(rss)
case $BUILD in
*-asan | *-tsan) skip "17,000 different searches take no memory" "sanitizers keep what was freed" ;;
*) ok "17,000 different searches take no memory ($before then $after KiB)" [ $((after - before)) -lt 4000 ] ;;
esac
is "and searching goes on" "$(first name:sort)" "sort:1.0"

"$DIVERFS" publish "$BUILD/stage/upper" "$REGISTRY" zzyzx:1.0 >/dev/null
newly() { [ "$(found zzyzx)" = "zzyzx:1.0 " ]; }
wait_for "a kernel that was published meanwhile is found" newly
cd / && ok "unmounts" unmount_registry

# The registry is gone: what was indexed is found.
mount_registry
found sort >/dev/null
mv "$REGISTRY" "$T/away"
noticed() { ls "$M/kernels" >/dev/null && grep -q "$REGISTRY.*unreachable" "$M/status"; }
wait_for "it is noticed that the registry is gone" noticed
is "without the registry" "$(first sort)" "sort:1.0"
mkdir -p "$REGISTRY"
unmount_registry
cp "$T/away/oci-layout" "$REGISTRY/"
mount_registry
like "also after another mount" "$(found hello)" 'hello:1\.0 '
is "and the link leads to the kernel, which is cached" "$(cat "$M/search/name:hello/hello:1.0/digest")" \
	"$(cat "$M/kernels/hello/1.0/digest")"
