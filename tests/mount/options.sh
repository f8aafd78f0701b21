#!/bin/bash
# SPDX-License-Identifier: MIT
# The command line: help, version, mistakes, foreground, an unmount by signal, two mounts at once.
. "$(dirname "$0")/../lib.sh"

ok "--help" "$DIVERFS" --help
like "--help shows the usage" "$("$DIVERFS" --help 2>&1)" '[Uu]sage: *.*diverfs'
like "--version" "$("$DIVERFS" --version)" '^diverfs.* [0-9]+\.[0-9]+'
# What --help lists is what the manual has.
is "the mount options of --help are the manual's" \
	"$("$DIVERFS" --help | sed -n '/^mount options/,$s/^    \([a-z_]*\).*/\1/p' | grep -vx ro | sort)" \
	"$(sed -n '/^\.It Fl o Ar option/,/^\.El/s/^\.It Cm \([a-z_]*\).*/\1/p' "$SOURCE/diverfs.8" | sort)"
for command in publish conform; do
	is "the options of $command --help are in the manual's synopsis" \
		"$("$DIVERFS" $command --help | grep -oE -- '--[a-z]+' | sort -u)" \
		"$(sed -n "/^\.Cm $command/,/^\.Ar \(directory\|kernel\)/s/^\.Op Fl Fl \([a-z]*\).*/--\1/p" "$SOURCE/diverfs.8" | sort -u)"
done
fails "no mount point" "[Uu]sage|mount point" "$DIVERFS"
mkdir -p "$M" "$T/cache" "$T/state"
o="cache=$T/cache,state=$T/state"
fails "a mount point that is not there" "no such directory.*mkdir" "$DIVERFS" -o "$o" "$REGISTRY" "$T/none"
touch "$T/file"
fails "a mount point that is no directory" "[Nn]ot a directory" "$DIVERFS" -o "$o" "$REGISTRY" "$T/file"
fails "an unknown option" "unknown|nosuchoption" "$DIVERFS" -o "$o,nosuchoption" "$REGISTRY" "$M"
fails "a size that is none" "memory" "$DIVERFS" -o "$o,memory=lots" "$REGISTRY" "$M"
fails "a value that is empty" "verify=: which key" "$DIVERFS" -o "$o,verify=" "$REGISTRY" "$M"
fails "another" "cache=: which" "$DIVERFS" -o "cache=" "$REGISTRY" "$M"
fails "an authority that is not there" "ca=$T/none: No such file" "$DIVERFS" -o "$o,ca=$T/none" https://127.0.0.1:1 "$M"
fails "credentials that are not there" "credentials=$T/none: No such file" "$DIVERFS" -o "$o,credentials=$T/none" https://127.0.0.1:1 "$M"
fails "an address of another kind" "neither http:// nor https://" "$DIVERFS" -o "$o" ftp://127.0.0.1/x "$M"
fails "an address without a host" "cannot be understood" "$DIVERFS" -o "$o" https:// "$M"
fails "no registry between the options and the mount point" "no file oci-layout" "$DIVERFS" -o "$o" "$M" "$M"
for wrong in "names = a|line 1: names: before it there must be" "registry = https://x\nfoo = 1|line 2: foo: there are" \
	"registry https://x|line 1: .*key = value" "registry = https://x\ninsecure = maybe|line 2: insecure: maybe"; do
	printf '%b\n' "${wrong%%|*}" >"$T/conf"
	fails "a list of registries with ${wrong%%|*}" "$T/conf: ${wrong#*|}" "$DIVERFS" -o "$o,config=$T/conf" "$M"
done
printf 'registry = https://127.0.0.1:1\nca = %s\nregistry = https://127.0.0.1:2\nca = %s\n' "$T/file" "$T/none" >"$T/conf"
fails "a list with an authority that is not there" "ca=$T/none: No such file" "$DIVERFS" -o "$o,config=$T/conf" "$M"
fails "a directory that is no registry" "no OCI image layout" "$DIVERFS" -o "$o" /etc "$M"
fails "a registry that is not there" "registry .*nowhere \(a directory with .*: No such file" "$DIVERFS" -o "$o" "$T/nowhere" "$M"
fails "a registry that is none" "registry|layout|No such" "$DIVERFS" -o "$o" "$T/file" "$M"
ok "nothing was mounted" not_mounted

mount_registry
ok "when diverfs returns, the mount is up" test -e "$M/README"
fails "mounted twice at one place" "mounted|use|lock|busy" "$DIVERFS" -o "$o" "$REGISTRY" "$M"
ok "the first is undisturbed" test -e "$M/README"
mkdir "$T/m2" "$T/state2"
ok "a second mount shares the cache" "$DIVERFS" -o "cache=$T/cache,state=$T/state2" "$REGISTRY" "$T/m2"
ok "and shows the same" diff -r "$M/kernels/hello/1.0/src" "$T/m2/kernels/hello/1.0/src"
ok "and unmounts" fusermount3 -u "$T/m2"
mkdir "$M/run/x"
exec 7<"$M/run/x/status" 8<"$M/run/x/console" 9>>"$M/run/x/config"
kill -TERM "$(daemon_pid)"
wait_for "SIGTERM unmounts, also while files are open" not_mounted
wait_for "and the daemon ends" no_process "bin/diverfs .*$M"
exec 7<&- 8<&- 9>&-

"$DIVERFS" -f -o "$o" "$REGISTRY" "$M" &
pid=$!
wait_for "-f mounts" test -e "$M/README"
ok "-f stays in the foreground" kill -0 $pid
fusermount3 -u "$M"
wait $pid
is "and exits with 0 after an unmount" $? 0
