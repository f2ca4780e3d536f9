#!/bin/sh
# Puts into the root what no package does: mount points, the list of modules, sealed services.
#
# In:  the root as its one argument; BR2_EXTERNAL_SHG_PATH, BINARIES_DIR (services/<name>: their programs), mkfs.erofs.
# Out: a root that holds what src/lab/src/root.rs and seal.rs put into the emulated one; tests/tests/buildroot.rs compares.
# Not here: programs of the gateway (buildroot/package/shg), files as they are (rootfs), what is taken away (post-fakeroot.sh).
set -eu
umask 022

MOUNT_POINTS='proc sys dev run data tmp'
# `FOLDERS` of src/contract/src/manifest/volume.rs.
SERVICE_FOLDERS='proc dev tmp data'
SERVICES=usr/lib/shg/services
# Every image has the same name for the kernel; what it is called on the gateway is the manifest's business.
UUID=53484700-0000-4000-8000-000000000001

target=$1
top=$BR2_EXTERNAL_SHG_PATH/..

fail() {
    echo "post-build.sh: $*" >&2
    exit 1
}

# The value of the line `$1 = "…"`, or of the first word of `$1 = ["…", …]`, in the manifest $2.
value() {
    sed -n "s/^$1 = \[\{0,1\}\"\([^\"]*\)\".*/\1/p" "$2"
}

# Makes the image of the service whose manifest is $1.
seal() {
    service=$(basename "$(dirname "$1")")
    image=$(value image "$1")
    command=$(value command "$1")
    if [ -z "$image" ] || [ -z "$command" ]; then
        fail "$1 says no image or no command"
    fi
    program=$BINARIES_DIR/services/$service
    [ -f "$program" ] || fail "$program is missing: is $service in SHG_SERVICES of buildroot/package/shg/shg.mk?"
    mkdir -p "$scratch/stage" "$target/$SERVICES"
    for place in $SERVICE_FOLDERS; do
        mkdir "$scratch/stage/$place"
    done
    install -D -m 0755 "$program" "$scratch/stage$command"
    mkfs.erofs --quiet -T0 -U "$UUID" --all-root "$target/$SERVICES/$image" "$scratch/stage"
    rm -rf "$scratch/stage"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for place in $MOUNT_POINTS; do
    mkdir -p "$target/$place"
done
# The kernel has everything built in.
mkdir -p "$target/etc"
: >"$target/etc/modules"
# The Landlock ABI of this board's kernel: with less no service starts.
install -D -m 0644 "$top/board/ce4200/landlock" "$target/etc/shg/landlock"
rm -rf "${target:?}/$SERVICES"
for manifest in "$top"/src/services/*/manifest.toml; do
    seal "$manifest"
done
