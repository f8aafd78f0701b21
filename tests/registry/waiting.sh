#!/bin/bash
# SPDX-License-Identifier: MIT
# 64 readers of 64 cold files wait for a registry that sends garbage, bytes that are wrong, few, or nothing, or that is
# no longer there: they end, with an error that says why, nothing wrong is shown or kept, and nobody else is delayed.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

readers=64
make_kernel "$T/art" art 1000000
make_kernel "$T/other" other 100000
for k in 1 2 3 4; do
	make_kernel "$T/cold$k" "cold$k" 100000
	for i in $(seq $readers); do head -c 100000 /dev/urandom >"$T/cold$k/src/f$i"; done
	"$DIVERFS" publish "$T/cold$k" "$T/l1" >/dev/null || exit 1
done
for k in 1 2 3 4 5; do head -c 3000000 /dev/urandom >"$T/other/images/$k.img"; done
"$DIVERFS" publish "$T/art" "$T/l1" >/dev/null || exit 1
"$DIVERFS" publish "$T/other" "$T/l2" >/dev/null || exit 1
faulty "$T/l1" a
a=$ADDR first=$SERVER
faulty "$T/l2" b
REGISTRY=http://$ADDR mount_registry -o "fresh=1,registry=http://$a,registry=$BUILD/share/diverfs/registry"
cat "$M/kernels/art/1.0/images/kernel.img" >/dev/null
ls "$M"/kernels/{cold[1-4],other}/1.0/src >/dev/null

begin() { # COLD: its readers
	local i
	rm -f "$T"/ended* "$T"/got*
	for i in $(seq $readers); do
		(
			cat "$M/kernels/$1/1.0/src/f$i" >"$T/got$i" 2>/dev/null
			echo "$?" >"$T/ended$i"
		) &
	done
}
ended() {
	local files=("$T"/ended*)
	[ -e "${files[0]}" ] && echo ${#files[@]} || echo 0
}
all_ended() { [ "$(cat "$T"/ended* | wc -l)" = $readers ]; }
asked() { # that the registry is asked for content, or was
	[ "$(wc -l <"$T/a.requests")" -gt "$1" ] || [ "$(ended)" -gt 0 ]
}
others() { # N: of those who need something else
	cmp "$M/kernels/art/1.0/images/kernel.img" "$T/art/images/kernel.img" &&
		ls "$M/kernels" "$M/kernels/art" "$M/kernels/cold1/1.0/src" &&
		cmp "$M/kernels/other/1.0/images/$1.img" "$T/other/images/$1.img"
}
wrong() { # COLD: what was shown and is not the beginning of the file
	local i
	for i in $(seq $readers); do
		cmp -s -n "$(stat -c %s "$T/got$i")" "$T/got$i" "$T/$1/src/f$i" || echo "f$i"
	done
}
the_end() { # COLD WHAT REGEX OF THE LOG [STATUS of the readers]
	wait_for "$2: those who wait end" all_ended
	like "$2: with an error" "$(sort -u "$T"/ended* | tr -d '\n')" "^${4:-1}$"
	is "$2: nothing wrong was shown" "$(wrong "$1")" ""
	like "$2: the log says whose fault it is" "$(grep "$1/" "$M/log" | tail -n 3)" "f[0-9]*: .*registry http://$a: $3"
}
right() { cmp "$M/kernels/$1/1.0/src/f1" "$T/$1/src/f1"; }
mended() { # COLD WHAT
	fault a
	wait_for "$2: it comes back by itself" right "$1"
	is "$2: and all is right" "$(cd "$T/$1/src" && sha256sum f*)" "$(cd "$M/kernels/$1/1.0/src" && sha256sum f*)"
}

fault a "* * * garbage"
begin cold1
ok "garbage: others go on" others 1
the_end cold1 garbage .
mended cold1 garbage

fault a "* GET */blobs/* corrupt"
begin cold2
ok "wrong bytes: others go on" others 2
the_end cold2 "wrong bytes" ".*match" "0?1" # (what of an answer is right is used)
mended cold2 "wrong bytes"

# So little comes that those who wait do not give up, and have nothing for minutes; then nothing at all.
instance u 'kernel = upper'
ok "a kernel runs" put fullVM "$M/run/u/deploy"
cleanup() { kill -CONT "$first"; } 2>/dev/null
fault a "* GET */blobs/* slow 1000"
before=$(wc -l <"$T/a.requests")
begin cold3
within "$SLOW" asked "$before"
ok "little comes: others go on" others 3
cat "$M/run/u/console" >/dev/null &
sleeps() { [ -e "/proc/$1/fd/3" ] && [ "$(cut -d' ' -f3 "/proc/$1/stat")" = S ]; }
wait_for "little comes: a stream is read" sleeps $!
kill $!
wait $! 2>/dev/null
is "little comes: and interrupted" $? 143
is "little comes: of those who wait had ended" "$(ended)" 0
victim=$(processes "^cat $M/kernels/cold3/1.0/src/f7\$")
kill "$victim"
wait_for "little comes: one of them is killed" grep -qx 143 "$T/ended7"
is "little comes: and ends alone" "$(ended)" 1
put kill "$M/run/u/ctl"
kill -STOP "$first"
ok "nothing comes: others go on" others 4
the_end cold3 "nothing comes" "(no answer came|next to nothing)" 1143
kill -CONT "$first"
mended cold3 "nothing comes"

stop_server "$first"
begin cold4
ok "it is gone: others go on" others 5
the_end cold4 "it is gone" .
ok "it is gone: what is here is read" right cold1
ok "unmounts" unmount_registry
