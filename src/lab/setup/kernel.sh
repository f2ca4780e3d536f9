#!/bin/sh
# Gets a kernel for the guest.
#
# In:  board/qemu/modules (quick) or board/ce4200/kernel.config and buildroot/patches/linux (board). Out: $CACHE/kernel/<quick|board>/ with
# bzImage, modules.list (one path a line, as in the root, in load order; empty for the board kernel) and lib/ (the modules).
# Not here: the root file system (lab), the kernel that Buildroot builds from the same options and patches.
#
#   quick   Debian's prebuilt 32-bit kernel, unpacked privately, with the few modules that are needed
#   board   Linux 6.12 from Debian's linux-source with our patches, built with the board's options; each line of them must survive
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

MODULES=$TOP/board/qemu/modules
OPTIONS=$TOP/board/ce4200/kernel.config
# Where Buildroot looks for them, too (BR2_GLOBAL_PATCH_DIR).
PATCHES=$TOP/buildroot/patches/linux

usage() {
    echo "usage: kernel.sh quick | board   puts a kernel into $CACHE/kernel"
}

# The key of what is made from the file $1 and the words after it: a change makes it anew.
key() {
    file=$1
    shift
    { grep -v '^ *#' "$file" && echo "$@"; } | sha256sum | cut -c 1-16
}

# Puts $1 into place as $CACHE/kernel/$2.
place() {
    mkdir -p "$CACHE/kernel"
    rm -rf "$CACHE/kernel/$2.old"
    [ ! -d "$CACHE/kernel/$2" ] || mv "$CACHE/kernel/$2" "$CACHE/kernel/$2.old"
    mv "$1" "$CACHE/kernel/$2"
    rm -rf "$CACHE/kernel/$2.old"
}

quick() {
    wanted=$(key "$MODULES" quick 1)
    [ "$(cat "$CACHE/kernel/quick/key" 2>/dev/null)" != "$wanted" ] || return 0
    unpacked=$(find "$CACHE" -maxdepth 1 -name 'linux-image-6.1.0-*-686-pae' | sort -V | tail -n 1)
    if [ -z "$unpacked" ]; then
        private_apt i386
        package=$(apt-cache search --names-only '^linux-image-6\.1\.0-[0-9]+-686-pae$' | cut -d' ' -f1 | sort -V | tail -n 1)
        [ -n "$package" ] || fail_as "$apt_home/update.log" "Debian's package linux-image-6.1.0-*-686-pae is not to be had"
        unpacked=$CACHE/$package
        rm -rf "$unpacked.new" "$unpacked.new.debs"
        fetch_debs "$unpacked.new" "$package"
        unset APT_CONFIG
        version=$(ls "$unpacked.new/lib/modules")
        PATH=$PATH:/usr/sbin:/sbin depmod -b "$unpacked.new" "$version"
        mv "$unpacked.new" "$unpacked"
    fi
    version=$(ls "$unpacked/lib/modules")
    new=$CACHE/kernel-quick.new
    rm -rf "$new"
    mkdir -p "$new/lib/modules"
    cp "$unpacked/boot/vmlinuz-$version" "$new/bzImage"
    # shellcheck disable=SC2046 # names of modules are words.
    PATH=$PATH:/usr/sbin:/sbin modprobe -d "$unpacked" -S "$version" --show-depends -a $(grep -v '^ *#' "$MODULES") >"$new/order" ||
        fail "a module of board/qemu/modules is not in $unpacked"
    sed -n 's/^insmod \([^ ]*\).*/\1/p' "$new/order" | awk '!seen[$0]++' | while read -r module; do
        cp "$module" "$new/lib/modules/"
        echo "/lib/modules/$(basename "$module")"
    done >"$new/modules.list"
    rm "$new/order"
    echo "$wanted" >"$new/key"
    place "$new" quick
    say "quick-start kernel: Debian's $version with $(wc -l <"$CACHE/kernel/quick/modules.list") modules"
}

# Names the lines of the options that the configuration $1 does not have.
lost() {
    grep '^CONFIG_' "$OPTIONS" | while read -r line; do
        grep -qxF -- "$line" "$1" || echo "$line"
    done
}

# The newest source of Linux 6.12 that was unpacked, or is to be had, in $source.
linux_source() {
    source=$(find "$CACHE" -maxdepth 1 -name 'linux-source-6.12-*' ! -name '*.new*' | sort -V | tail -n 1)
    [ -z "$source" ] || return 0
    private_apt amd64
    version=$(apt-cache policy linux-source-6.12 | sed -n 's/^ *Candidate: //p')
    case $version in '' | '(none)') fail_as "$apt_home/update.log" "Debian's package linux-source-6.12 is not to be had" ;; esac
    source=$CACHE/linux-source-6.12-$version
    rm -rf "$source.new" "$source.new.debs"
    fetch_debs "$source.new" "linux-source-6.12=$version"
    unset APT_CONFIG
    say "unpacking the source of Linux 6.12 (a minute)"
    tar -C "$source.new" -xf "$source.new/usr/src/linux-source-6.12.tar.xz"
    rm "$source.new/usr/src/linux-source-6.12.tar.xz"
    mv "$source.new" "$source"
}

# The key of the board's kernel.
board_key() {
    key "$OPTIONS" board 2 "$(cat "$PATCHES"/*.patch)"
}

# The files that our patches change or make.
patched() {
    sed -n 's|^+++ b/||p' "$PATCHES"/*.patch | sort -u
}

# Puts our patches on the source $tree, which all checkouts share: whatever was done to it before, by another one's patches or by a run that
# was cut short, is undone first. How each file came that a patch ever changed is kept in $source/plain, and the names of those that a patch
# made in $source/made; both are whole before the first patch is put on.
with_patches() {
    plain=$source/plain
    mkdir -p "$plain"
    touch "$source/made"
    patched | while read -r file; do
        if [ -e "$plain/$file" ] || grep -qxF -- "$file" "$source/made"; then
            continue
        elif [ -e "$tree/$file" ]; then
            mkdir -p "$plain/$(dirname "$file")"
            cp -p "$tree/$file" "$plain/$file.new"
            mv "$plain/$file.new" "$plain/$file"
        else
            echo "$file" >>"$source/made"
        fi
    done
    while read -r file; do
        rm -f "$tree/$file"
    done <"$source/made"
    # Not with their old times: what was compiled from them as they were patched is to be compiled again.
    cp -R "$plain/." "$tree"
    for patch in "$PATCHES"/*.patch; do
        patch -s -f -p1 --no-backup-if-mismatch -r - -d "$tree" <"$patch" >"$CACHE/kernel.log" 2>&1 ||
            fail_as "$CACHE/kernel.log" "$(basename "$patch") does not fit $(basename "$source")"
    done
}

board() {
    made=$(cat "$CACHE/kernel/board/key" 2>/dev/null || true)
    [ "${made% *}" != "$(board_key)" ] || return 0
    for tool in flex bison bc patch; do
        command -v $tool >/dev/null || fail "$tool is missing: sudo apt-get install flex bison bc patch libelf-dev libssl-dev"
    done
    case $CACHE in
    *[\ :]*) fail "the kernel's own Makefile takes no space or colon in a path, and this is one: $CACHE. Set XDG_CACHE_HOME" ;;
    esac
    linux_source
    tree=$source/linux-source-6.12
    with_patches
    build=$CACHE/kernel-build
    new=$CACHE/kernel-board.new
    rm -rf "$new"
    mkdir -p "$build" "$new"
    say "configuring Linux 6.12 from board/ce4200/kernel.config"
    make -s -C "$tree" O="$build" ARCH=i386 KCONFIG_ALLCONFIG="$OPTIONS" allnoconfig >"$CACHE/kernel.log" 2>&1 ||
        fail_as "$CACHE/kernel.log" "the kernel cannot be configured"
    make -s -C "$tree" O="$build" ARCH=i386 olddefconfig >>"$CACHE/kernel.log" 2>&1 ||
        fail_as "$CACHE/kernel.log" "the kernel cannot be configured"
    missing=$(lost "$build/.config")
    [ -z "$missing" ] || fail "these options of board/ce4200/kernel.config do not survive olddefconfig:
$missing"
    say "building Linux 6.12, once ($(nproc) processors; ten to twenty minutes on two)"
    build_with_progress
    cp "$build/arch/x86/boot/bzImage" "$new/bzImage"
    cp "$build/.config" "$new/config"
    : >"$new/modules.list"
    mkdir -p "$new/lib/modules"
    echo "$(board_key) $(basename "$source")" >"$new/key"
    place "$new" board
    say "board kernel: $(stat -c %s "$CACHE/kernel/board/bzImage") bytes, of $(basename "$source")"
}

# One line for each 250 files that were compiled.
build_with_progress() {
    # A pipe tells only how its last program ended, so this file is there if, and only if, make succeeded.
    built=$CACHE/kernel.built
    rm -f "$built"
    { nice make -C "$tree" O="$build" ARCH=i386 KBUILD_BUILD_USER=shg KBUILD_BUILD_HOST=desk -j"$(nproc)" bzImage 2>&1 && : >"$built"; } |
        tee "$CACHE/kernel.log" | awk '/^  CC /{ n++; if (n % 250 == 0) { printf "»   %d files\n", n; fflush() } }' >&2
    [ -e "$built" ] || fail_as "$CACHE/kernel.log" "the kernel does not build"
    rm "$built"
}

case ${1-} in
--help | -h) usage ;;
quick | board)
    locked "kernel-$1"
    "$1"
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
