# shellcheck shell=sh
# A checkout of Buildroot that will do. Sourced by image.sh and check.sh.
#
# In:  the path of a checkout. Out: TOP, TREE, BUILDROOT (all absolute), say, fail, buildroot; or the reason why it will not do, and status 1.
# Not here: what is done with it.

TREE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck disable=SC2034 # for those who source this
TOP=$(dirname -- "$TREE")
# The first release with a Rust that is new enough (rust-version in Cargo.toml).
RELEASE_MIN=2026.02

# One line of progress.
say() { printf '» %s\n' "$*" >&2; }

# Why it does not go on, and what to do.
fail() {
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
    exit 1
}

# take_checkout PATH PURPOSE: sees to it that there is a Buildroot of a release that we support.
take_checkout() {
    if [ -z "$1" ]; then
        fail "BUILDROOT is missing: $2 needs a checkout of Buildroot $RELEASE_MIN or later. Get one and name it:

    git clone --branch 2026.02.x --depth 1 https://gitlab.com/buildroot.org/buildroot.git
    make $3 BUILDROOT=<that folder>"
    fi
    if [ ! -f "$1/Makefile" ] || [ ! -d "$1/package" ]; then
        fail "$1 is no checkout of Buildroot: it has no Makefile and package/"
    fi
    BUILDROOT=$(CDPATH='' cd -- "$1" && pwd)
    case $BUILDROOT$TOP in
    *[\ :]*) fail "Buildroot takes no space or colon in a path: $BUILDROOT, $TOP" ;;
    esac
    release=$(sed -n 's/^export BR2_VERSION := \([0-9.]*\).*/\1/p' "$BUILDROOT/Makefile")
    [ -n "$release" ] || fail "$1 is no checkout of Buildroot: its Makefile names no version"
    lowest=$(printf '%s\n%s\n' "$RELEASE_MIN" "$release" | sort -V | head -n 1)
    [ "$lowest" = "$RELEASE_MIN" ] || fail "$1 is Buildroot $release, and $RELEASE_MIN or later is needed (its Rust is too old)"
    say "Buildroot $release in $BUILDROOT"
}

# need PACKAGE…: Buildroot's own needs, told all at once. Debian calls its packages as their programs, and python3-NAME a module of Python's.
need() {
    missing='' hint=''
    for package in "$@"; do
        case $package in
        python3-*)
            python3 -c "import ${package#python3-}" 2>/dev/null || {
                missing="$missing $package"
                hint=" (for Debian's own python3; another has it from PyPI: python-magic, flake8)"
            }
            ;;
        *) command -v "$package" >/dev/null || missing="$missing $package" ;;
        esac
    done
    [ -z "$missing" ] || fail "missing:$missing. On Debian: sudo apt-get install$missing$hint"
}

# buildroot OUTPUT ARGUMENT…: Buildroot's make with our tree, out of tree.
buildroot() {
    output=$1
    shift
    make -s -C "$BUILDROOT" O="$output" BR2_EXTERNAL="$TREE" "$@"
}
