#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# The larger programs in splitVM: python3 with threads and imports, and memcached, served to a client on the host.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

SLOW=${SPLIT_SLOW:-150}
needs_splitvm reef mksquashfs
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
	serve_memcached "${KV_PAIRS:-2000}"
	ok "stop" put stop ctl
	like "it ends" "$(cat wait)" '^(0|143|137)$'
	cd / || exit 1
else
	skip "memcached" "not installed"
fi
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
