#!/bin/sh
# Proves our tree on a checkout of Buildroot: every symbol survives, the package is known, Rust's target is ours.
#
# In:  the path of the checkout. Out: a line for each thing that holds, or the first that does not and status 1; buildroot/symbols, made
# anew where our tree names others. Nothing is downloaded or built, and nothing is left in the checkout. Takes a minute or two.
# Not here: what can be told without a checkout (tests/tests/buildroot.rs).
set -eu
# shellcheck source=buildroot/checkout.sh
. "$(dirname -- "$0")/checkout.sh"

take_checkout "${1-}" 'the check' check-buildroot
need make gcc g++ perl bc cpio rsync unzip file wget python3 python3-magic python3-flake8

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
# Nothing of this run is to lie in the checkout.
export PYTHONDONTWRITEBYTECODE=1 BR2_DL_DIR="$scratch/downloads"

# The lines of the configuration $1 that say something, sorted.
assignments() {
    grep -E '^(BR2_|# BR2_.* is not set)' "$1" | sort
}

# Names the lines of $1 that $2 has not.
lost() {
    assignments "$1" >"$scratch/wanted"
    assignments "$2" | comm -23 "$scratch/wanted" -
}

# Runs Buildroot's make quietly; what it says matters only if it fails.
quietly() {
    buildroot "$@" >"$scratch/log" 2>&1 || {
        tail -n 20 "$scratch/log" >&2
        fail "make $2 failed"
    }
}

# check_board NAME: its defconfig means what it says, and nothing is dropped.
check_board() {
    defconfig=$TREE/configs/shg_$1_defconfig
    out=$scratch/$1
    quietly "$out" "shg_$1_defconfig"
    dropped=$(lost "$defconfig" "$out/.config")
    [ -z "$dropped" ] || fail "$1: Buildroot drops
$dropped"
    quietly "$out" olddefconfig
    quietly "$out" savedefconfig BR2_DEFCONFIG="$scratch/saved"
    assignments "$defconfig" >"$scratch/ours"
    assignments "$scratch/saved" | diff "$scratch/ours" - >"$scratch/difference" || fail "$1: savedefconfig says something else (< ours, > its)
$(cat "$scratch/difference")"
    say "$1: defconfig, olddefconfig and savedefconfig agree on $(wc -l <"$scratch/ours") lines"

    buildroot "$out" show-info >"$scratch/info" 2>"$scratch/log" || fail "$1: show-info failed: $(cat "$scratch/log")"
    python3 - "$scratch/info" <<'END' || fail "$1: show-info does not know our package as it should"
import json, sys
info = json.load(open(sys.argv[1]))
wanted = {"host-rustc", "host-erofs-utils"}
sys.exit(0 if wanted <= set(info["shg"]["dependencies"]) | set(info) and "host-rustc" in info["shg"]["dependencies"] else 1)
END
    say "$1: show-info has shg, which needs host-rustc"

    target=$(buildroot "$out" printvars VARS=RUSTC_TARGET_NAME 2>/dev/null)
    [ "$target" = RUSTC_TARGET_NAME=i686-unknown-linux-musl ] || fail "$1: Rust's target is $target"
    say "$1: Rust's target is i686-unknown-linux-musl"

    cp "$out/.config" "$scratch/plain"
    (cd "$BUILDROOT" && support/kconfig/merge_config.sh -m -O "$out" "$out/.config" "$TREE/fragments/debug.config") >"$scratch/log" 2>&1 ||
        fail "$1: the debug fragment does not merge: $(cat "$scratch/log")"
    quietly "$out" olddefconfig
    dropped=$(lost "$TREE/fragments/debug.config" "$out/.config")
    [ -z "$dropped" ] || fail "$1: of the debug fragment Buildroot drops
$dropped"
    grep -qx BR2_PACKAGE_SHG=y "$out/.config" || fail "$1: the debug fragment drops our package"
    say "$1: the debug fragment merges"
}

# Every symbol that our tree names and that is not its own.
symbols() {
    grep -rhoE 'BR2_[A-Za-z0-9_]+' "$TREE/configs" "$TREE/fragments" "$TREE/package" "$TOP/board/ce4200"/*.sh |
        grep -vE '^BR2_(EXTERNAL_SHG_PATH|PACKAGE_SHG|CONFIG)$' | sort -u
}

(cd "$TREE" && find . -type f ! -name README.md ! -name symbols ! -name '*.sh' | sort) >"$scratch/files"
(cd "$TREE" && xargs "$BUILDROOT/utils/check-package" -b <"$scratch/files") >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    fail 'check-package complains'
}
say "check-package: $(wc -l <"$scratch/files") files, no warning"

check_board ce4200
check_board qemu

symbols >"$scratch/symbols"
# The architecture's own are written in lower case; nothing else of ours is.
grep -rhE '^[[:space:]]*(menu)?config BR2_' --include='Config.in*' "$BUILDROOT" | awk '{ print $2 }' | sort -u >"$scratch/known"
unknown=$(comm -23 "$scratch/symbols" "$scratch/known")
[ -z "$unknown" ] || fail "Buildroot $release has no
$unknown"
if ! grep -v '^#' "$TREE/symbols" | cmp -s - "$scratch/symbols"; then
    {
        echo "# Symbols of Buildroot that this tree names, seen in $release. Made by \`make check-buildroot\`."
        cat "$scratch/symbols"
    } >"$TREE/symbols"
    say 'buildroot/symbols was not up to date: it is made anew, to be committed'
fi
say "symbols: $(wc -l <"$scratch/symbols"), all known"
