#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# The larger programs in splitVM: python3 with threads and imports, and memcached, served to a client on the host.
. "$(dirname "$0")/../lib.sh"

[ -e "$BUILD/stage/ros/kernel.conf" ] || skip_all "there is no kernel ros"
[ -e "$BUILD/stage/reef/kernel.conf" ] || skip_all "there is no kernel reef"
command -v mksquashfs >/dev/null || skip_all "no mksquashfs"
SLOW=${SPLIT_SLOW:-150}
mount_registry

python=/usr/bin/python3
if [ -x $python ]; then
	lib=$($python -c 'import os; print(os.path.dirname(os.__file__))')
	cat >"$T/p.py" <<-'END'
		import collections, hashlib, json, os, re, sys, threading, zlib
		results = []
		def work(i):
		    results.append(hashlib.sha256(str(sum(range(i * 2000))).encode()).hexdigest()[:8])
		threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
		for t in threads: t.start()
		for t in threads: t.join()
		print(json.dumps(sorted(results)), zlib.crc32(b"reef"), re.sub("a+", "b", "caat"))
		open(sys.argv[1], "w").write("by python\n")
		print(collections.Counter("mississippi").most_common(2), os.path.exists("/src/p.py"), sys.version_info[0])
		sys.exit(4)
	END
	instance py 'kernel = reef' "exec = $python /src/p.py /tmp/made" "files = $lib" 'memory = 384M'
	cd "$M/run/py" || exit 1
	cp "$T/p.py" src/
	ok "deploy" put splitVM deploy
	cat stdout >"$T/out"
	is "python3: status" "$(cat wait)" 4
	is "python3: output" "$(sed 's/True 3/X/' "$T/out")" "$($python "$T/p.py" "$T/made" | sed 's/\(True\|False\) 3/X/')"
	is "python3: what it wrote" "$(cat out/tmp/made)" "by python"
	cd / || exit 1
else
	skip "python3" "not installed"
fi

if command -v memcached >/dev/null && [ -x "$TOOLS/deploy/kvload" ]; then
	instance mc 'kernel = reef' 'memory = 256M' 'net = user tcp:127.0.0.1:auto->11211' \
		"exec = $(command -v memcached) -u root -l 0.0.0.0 -t 2 -m 64"
	cd "$M/run/mc" || exit 1
	ok "deploy" put splitVM deploy
	port=$(sed -n 's/^forward tcp:127.0.0.1:\([0-9]*\)->.*/\1/p' status)
	# shellcheck disable=SC2016
	answers() { bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$port"' && echo version >&3 && IFS= read -t 5 -r line <&3 && [[ $line == VERSION* ]]'; }
	wait_for "memcached answers" answers
	ok "sets and gets from the host" "$TOOLS/deploy/kvload" "$port" 8 "${KV_PAIRS:-2000}"
	like "the calls that matter" "$(sed -n '2,4p' syscalls | cut -d' ' -f1 | tr '\n' ' ')" 'sendmsg|read|epoll'
	ok "stop" put stop ctl
	like "it ends" "$(cat wait)" '^(0|143|137)$'
	cd / || exit 1
else
	skip "memcached" "not installed"
fi
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
