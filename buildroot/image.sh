#!/bin/sh
# Builds the flashable image with Buildroot.
#
# In:  the path of its checkout; BOARD (ce4200, the default, or qemu), DEBUG=1 for tools on a desk.
# Out: output/<board>/images: bzImage, rootfs.squashfs, gateway.img. Nothing is written into the checkout but its downloads.
set -eu
# shellcheck source=buildroot/checkout.sh
. "$(dirname -- "$0")/checkout.sh"

BOARD=${BOARD:-ce4200}
take_checkout "${1-}" 'the image' image
[ -f "$TREE/configs/shg_${BOARD}_defconfig" ] || fail "no such board: $BOARD (ce4200 or qemu)"
need make gcc g++ perl bc cpio rsync unzip file wget

say "copying the crates' sources into vendor/"
make -s -C "$TOP" vendor
out=$TOP/output/$BOARD
mkdir -p "$out"
say "configuring for $BOARD"
buildroot "$out" "shg_${BOARD}_defconfig" >"$out/configure.log" 2>&1 || fail "the configuration failed: $out/configure.log"
if [ "${DEBUG:-0}" != 0 ]; then
    say 'with the debug fragment: for a desk, not for a home'
    (cd "$BUILDROOT" && support/kconfig/merge_config.sh -m -O "$out" "$out/.config" "$TREE/fragments/debug.config") >>"$out/configure.log"
    buildroot "$out" olddefconfig >>"$out/configure.log" 2>&1 || fail "the configuration failed: $out/configure.log"
fi
say "building (half an hour on two processors, most of it the kernel; later runs do less)"
if [ -d "$out/build/shg-local" ]; then
    buildroot "$out" shg-rebuild # Buildroot does not look whether a local source has changed.
fi
buildroot "$out"
say "done:"
ls -l "$out/images" >&2
