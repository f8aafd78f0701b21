# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# tree.sh: part of bench: reading what is cached, beside others that show the same tree: ext4, where it lies, and, if
# they are installed, squashfuse_ll (of an image that is not compressed) and fuse-overlayfs (one lower directory).
#
#   CPUS   how to place them (one free): reader and daemon on one CPU, or where the scheduler will
#   PEERS_OF_TREE  (squashfuse_ll fuse-overlayfs)
#
# fresh: in a new mount, with what is below it in memory: what the daemon costs. warm: once more in the same mount: what
# the kernel's caches leave to do. ext4 is not mounted anew, so that both of its figures are warm ones.

CPUS=${CPUS:-one free}
PEERS_OF_TREE=${PEERS_OF_TREE-squashfuse_ll fuse-overlayfs}

tree_content() {
	kernel "$T/big" big
	tree "$T/big/src/tree" "$FILES" 6000
	head -c $((1 << 30)) /dev/urandom >"$T/big/images/1g"
	"$BUILD/bin/diverfs" publish "$T/big" "$T/layout" >/dev/null || exit 1
	[[ " ${readers[*]} " == *" squashfuse_ll "* ]] || return
	mksquashfs "$T/big" "$T/big.squashfs" -noI -noD -noF -noX -no-progress -quiet >/dev/null || exit 1
	cat "$T/big.squashfs" >/dev/null
}

# Then $AT has src/tree and images/1g.
tree_mount() { # READER
	AT=$T/p
	case $1 in
	diverfs)
		mount_it "$T/layout"
		cat "$M/modes" >/dev/null # which is being found out meanwhile, by programs that want the CPU, too
		AT=$M/kernels/big/1.0 ;;
	ext4) AT=$T/big ;;
	squashfuse_ll) squashfuse_ll "$T/big.squashfs" "$T/p" ;;
	fuse-overlayfs) fuse-overlayfs -o "lowerdir=$T/big" "$T/p" 2>/dev/null ;;
	esac || exit 1
	stat "$AT/src/tree" "$AT/images/1g" >/dev/null
}
tree_unmount() { # READER
	case $1 in
	diverfs) unmount_it ;;
	ext4) ;;
	*) fusermount3 -u "$T/p" || fusermount3 -u -z "$T/p" ;;
	esac
}
grep_all() { ! grep -r 'nothing like this' "$1"; }
image() { sequential "$1/../../images/1g"; }

tree_ops=(find "ls -lR" cat_all grep_all image)
tree_words=(find "ls -lR" cat "grep -r" "1 GiB in order")

tree_round() { # CPU READER: appends to $T/tree.READER.CPU.N.fresh and .warm
	local i to
	for i in "${!tree_ops[@]}"; do
		to=$T/tree.$2.$1.$i
		tree_mount "$2"
		ms ${tree_ops[i]} "$AT/src/tree" >>"$to.fresh"
		ms ${tree_ops[i]} "$AT/src/tree" >>"$to.warm"
		tree_unmount "$2"
	done
}
tree_line() { # WHAT READER's figures...: and by how much we are ahead of the best of the mounts beside ours
	printf '%-44s' "$1"
	shift
	printf ' %14s' "$@"
	awk -v ours="$1" -v theirs="$(printf '%s\n' "${@:3}" | sort -n | head -n 1)" \
		'BEGIN { if (theirs > 0) printf " %10.2f", ours / theirs; print "" }'
}
tree_table() { # CPU
	local i kind reader figures
	printf '%-44s' "cached, $FILES files (ms), ${1/one/one CPU}"
	printf ' %14s' "${readers[@]}"
	echo "  ours / best"
	for i in "${!tree_ops[@]}"; do
		for kind in fresh warm; do
			figures=()
			for reader in "${readers[@]}"; do figures+=("$(median <"$T/tree.$reader.$1.$i.$kind")"); done
			tree_line "  ${tree_words[i]}, $kind" "${figures[@]}"
		done
	done
}

trees() {
	local p cpu i readers=(diverfs ext4)
	for p in $PEERS_OF_TREE; do
		if command -v "$p" >/dev/null; then
			readers+=("$p")
		else
			echo "bench: no $p (in the package ${p%_ll}): no figures beside it"
		fi
	done
	mkdir -p "$T/p"
	tree_content
	tree_mount diverfs # so that its cache has all
	cat_all "$AT/src/tree" >/dev/null
	image "$AT/src/tree"
	tree_unmount diverfs
	for cpu in $CPUS; do
		[ "$cpu" = one ] && taskset -cp 0 $$ >/dev/null
		for ((i = 0; i < ROUNDS; i++)); do
			for p in "${readers[@]}"; do tree_round "$cpu" "$p"; done
		done
		taskset -cp "0-$(($(nproc --all) - 1))" $$ >/dev/null
		tree_table "$cpu"
	done
	rm -rf "$T/big" "$T/big.squashfs" "$T/layout" "$T/cache" && mkdir "$T/cache"
}
