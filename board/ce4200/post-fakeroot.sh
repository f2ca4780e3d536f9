#!/bin/sh
# Takes away what Buildroot puts into any root and nothing of ours reads, so that this root is the one that was tested in the emulator.
#
# In:  a copy of the root, as its one argument, just before it is packed; BR2_CONFIG. Out: files of ours, and no more.
# A root with the debug fragment keeps everything: its tools may want it.
set -eu

target=$1

if grep -q '^BR2_PACKAGE_BUSYBOX=y' "$BR2_CONFIG"; then
    echo 'post-fakeroot.sh: this root has a shell: it is for a desk, not for a home' >&2
    exit 0
fi
rm -f "$target/etc/os-release" "$target/usr/lib/os-release"
# Links for libraries of other word sizes, and folders that stayed empty.
rm -f "$target/lib32" "$target/usr/lib32"
for folder in lib usr/bin usr/sbin; do
    [ ! -d "$target/$folder" ] || rmdir "$target/$folder"
done
