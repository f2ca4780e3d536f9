#!/bin/sh
# Puts kernel and root into a disk image.
#
# In:  the folder of images as its one argument; BR2_EXTERNAL_SHG_PATH; Buildroot's top as the working folder. Out: gateway.img there.
set -eu

images=$1

for image in bzImage rootfs.squashfs; do
    [ -f "$images/$image" ] || { echo "post-image.sh: $images/$image is missing" >&2; exit 1; }
done
support/scripts/genimage.sh -c "$BR2_EXTERNAL_SHG_PATH/../board/ce4200/genimage.cfg"
