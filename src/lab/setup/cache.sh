# shellcheck shell=sh
# Where things that were fetched or built are kept, and how they get there. Sourced by the other scripts of this folder.
#
# In:  XDG_CACHE_HOME or HOME. Out: CACHE, TOP, say, fail, fail_as, locked, private_apt, fetch_debs.
# Not here: what is fetched.
#
# A thing is made in a folder of its own beside its place and renamed when it is whole, so what is half made never counts as made.

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/shg
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck disable=SC2034 # for those who source this
TOP=$(CDPATH='' cd -- "$HERE/../../.." && pwd)

# A relative one would be another folder for each program. Source: XDG Base Directory Specification.
case $CACHE in
/*) ;;
*) echo "XDG_CACHE_HOME is $XDG_CACHE_HOME: an absolute path is needed" >&2 && exit 1 ;;
esac

# One line of progress.
say() { printf '» %s\n' "$*" >&2; }

# Why it does not go on, and what to do.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# fail_as LOG WORD…: the last words of what failed, then why it does not go on.
fail_as() {
    log=$1
    shift
    tail -n 5 "$log" 2>/dev/null | sed 's/^/    /' >&2
    fail "$* (all of it: $log)"
}

# locked NAME: only one of us at a time makes that thing.
locked() {
    mkdir -p "$CACHE" || fail "cannot make $CACHE: set XDG_CACHE_HOME to a folder that can be written"
    exec 9>"$CACHE/$1.lock"
    if ! flock -n 9; then
        say "waiting for another set-up to finish"
        flock 9
    fi
}

# private_apt ARCHITECTURE: an APT of our own for packages of amd64 or i386, so that the system's architectures and lists stay as they
# are and nobody needs to be root. An index of one section may fail to download; what is missing then is told by name later.
private_apt() {
    apt_home=$CACHE/apt/$1
    mkdir -p "$apt_home/lists/partial" "$apt_home/cache/archives/partial"
    cat >"$apt_home/apt.conf" <<CONF
APT::Architecture "$1";
APT::Architectures { "$1"; };
Dir::State::lists "$apt_home/lists";
Dir::Cache "$apt_home/cache";
Dir::Log "$apt_home";
CONF
    [ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >>"$apt_home/apt.conf"
    APT_CONFIG=$apt_home/apt.conf
    export APT_CONFIG
    if [ -z "$(find "$apt_home/lists" -name '*_Packages*' -mmin -1440 2>/dev/null | head -n 1)" ]; then
        say "reading Debian's package lists for $1"
        apt-get -q update >"$apt_home/update.log" 2>&1 || true
    fi
}

# fetch_debs FOLDER PACKAGE…: downloads and unpacks packages into FOLDER, without installing them.
fetch_debs() {
    folder=$1
    shift
    mkdir -p "$folder.debs" "$folder"
    say "fetching $*"
    (cd "$folder.debs" && apt-get -q download "$@" >"$apt_home/download.log" 2>&1) ||
        fail_as "$apt_home/download.log" "cannot download $*: is there a network, and space on the disk?"
    for deb in "$folder.debs"/*.deb; do
        dpkg-deb -x "$deb" "$folder" || fail "$deb is damaged: run this again"
    done
    rm -rf "$folder.debs"
}
