#!/bin/sh
# Makes the target i686-unknown-linux-musl usable, and a Cargo where there is none.
#
# In:  a Debian 12 machine with gcc. Out: two files to be sourced: $CACHE/host.env (a PATH with a Cargo, where there is none that is new
# enough) and, after it, $CACHE/firmware.env (RUSTC where it is not the usual one, and flags).
# Not here: building the firmware (Makefile).
#
# Tried in this order, and it says which it took:
#   1. the target is installed already;
#   2. rustup can download it;
#   3. Debian's Rust packages, unpacked privately; the target's standard library is built once from their source (a minute or two).
#
# Sources: the Rust platform support page for the target; musl's crt objects from Debian's musl-dev, unwinding from LLVM's libunwind.
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

TARGET=i686-unknown-linux-musl
NEEDED_MINOR=88
# What `make check` and `make test` call, beside rustc.
CARGO_TOOLS='cargo rustdoc rustfmt cargo-fmt cargo-clippy clippy-driver'

case ${1-} in
--help | -h)
    echo "usage: toolchain.sh [--debian]   makes $TARGET usable; writes $CACHE/firmware.env"
    echo "  --debian   take Debian's Rust packages even where rustup could serve"
    exit 0
    ;;
'' | --debian) ;;
*)
    echo "toolchain.sh: what is '$1'? (--help)" >&2
    exit 2
    ;;
esac

# Is there a Cargo of 1.$NEEDED_MINOR or later?
cargo_is_new_enough() {
    minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$NEEDED_MINOR" ]
}

has_target() {
    libdir=$("$1" --print target-libdir --target "$TARGET" 2>/dev/null) && ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

# write_env WHICH FOLDER RUSTC: a folder with a Cargo, and a compiler; either may be empty.
write_env() {
    {
        echo "# Made by src/lab/setup/toolchain.sh."
        [ -z "$2" ] || echo "export PATH='$2':\"\$PATH\""
    } >"$CACHE/host.env.new"
    mv "$CACHE/host.env.new" "$CACHE/host.env" # at once: another make may be reading it
    {
        echo "# Made by src/lab/setup/toolchain.sh: $1"
        [ -z "$3" ] || echo "export RUSTC='$3'"
        echo "export CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS='-C target-cpu=bonnell'"
        # ring has parts in C. They need no header but the compiler's own, so nothing of a 32-bit system has to be there.
        echo "export CC_i686_unknown_linux_musl=gcc"
        echo "export CFLAGS_i686_unknown_linux_musl='-m32 -ffreestanding -fno-stack-protector -DRING_CORE_NOSTDLIBINC=1'"
        echo "export SHG_TOOLCHAIN='$1'"
    } >"$CACHE/firmware.env.new"
    if ! cmp -s "$CACHE/firmware.env.new" "$CACHE/firmware.env"; then
        say "cross target: $1"
    fi
    mv "$CACHE/firmware.env.new" "$CACHE/firmware.env"
}

# The versions that Debian offers, as one word: a new one is a new toolchain.
debian_version() {
    private_apt amd64
    apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p'
}

# Libraries that the package $1 needs and this machine does not have; nothing is installed.
missing_libraries() {
    apt-get -s -q install --no-install-recommends "$1" 2>/dev/null | sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p' |
        grep -v -e '^libstd-rust' -e '^libllvm' | tr '\n' ' ' || true
}

# A rustc of ours, from Debian's packages, in the folder $1.
wrap() {
    cat >"$1/$2" <<WRAPPER
#!/bin/sh
# Debian's $2, unpacked here, with its own libraries.
LD_LIBRARY_PATH='$3/usr/lib/x86_64-linux-gnu'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# panic_abort must itself be compiled to abort.
case " \$* " in *" --crate-name panic_abort "*) set -- "\$@" -C panic=abort ;; esac
exec '$3/usr/bin/$2' "\$@"
WRAPPER
    chmod +x "$1/$2"
}

# The target's objects and archives, beside the standard library of the tree $1.
crt_objects() {
    kit=$1/usr/lib/rustlib/$TARGET/lib/self-contained
    mkdir -p "$kit"
    for object in crt1.o Scrt1.o rcrt1.o crti.o crtn.o libc.a; do
        cp "$1/usr/lib/i386-linux-musl/$object" "$kit/"
    done
    for object in crtbegin.o crtbeginS.o crtend.o crtendS.o; do
        cp "$1/usr/lib/gcc-cross/i686-linux-gnu/12/$object" "$kit/"
    done
    cp "$1/usr/lib/llvm-14/lib/libunwind.a" "$kit/"
    # Debian compiled it against glibc with fortification; musl has no such name.
    cat >"$1/fortify.c" <<'SOURCE'
#include <stdarg.h>
typedef struct file file;
int vfprintf(file *stream, const char *format, va_list arguments);
int __fprintf_chk(file *stream, int flag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)flag;
    int count = vfprintf(stream, format, arguments);
    va_end(arguments);
    return count;
}
SOURCE
    gcc -m32 -O2 -c -ffreestanding -fno-stack-protector -fno-pic "$1/fortify.c" -o "$1/fortify.o"
    ar r "$kit/libunwind.a" "$1/fortify.o" 2>/dev/null
}

# The standard library of the target, built from its own source by the compiler that it belongs to, in the tree $1.
standard_library() {
    nest=$1/standard-library
    mkdir -p "$nest/src"
    printf '[package]\nname = "nest"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$nest/Cargo.toml"
    : >"$nest/src/lib.rs"
    say "building the standard library for $TARGET, once (a minute or two)"
    (
        cd "$nest"
        RUSTC=$1/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS='-C embed-bitcode=yes -C target-cpu=bonnell' \
            "$2" build -q --release -Zbuild-std=std,panic_abort,panic_unwind,test --target "$TARGET" >"$CACHE/standard-library.log" 2>&1
    ) || fail_as "$CACHE/standard-library.log" "the standard library does not build"
    cp "$nest/target/$TARGET/release/deps/"*.rlib "$1/usr/lib/rustlib/$TARGET/lib/"
    rm -f "$1/usr/lib/rustlib/$TARGET/lib/"libnest-*.rlib
    rm -rf "$nest"
}

# The newest that was made before.
made_before() {
    find "$CACHE" -maxdepth 1 -name 'rust-*' ! -name '*.new*' -printf '%f\n' 2>/dev/null | sed -n 's/^rust-//p' | sort -V | tail -n 1
}

from_debian() {
    version=$(made_before)
    [ -n "$version" ] || version=$(debian_version)
    case $version in '' | '(none)') fail_as "$CACHE/apt/amd64/update.log" "Debian's package rustc-web is not to be had" ;; esac
    place=$CACHE/rust-$version
    if [ ! -d "$place" ]; then
        private_apt amd64
        # Debian's Cargo and its tools come along where there is none that is new enough, with the libraries that it needs and this
        # machine lacks.
        tools=
        packages=
        if ! cargo_is_new_enough; then
            tools=$CARGO_TOOLS
            packages="cargo-web=$version rustfmt-web=$version rust-web-clippy=$version $(missing_libraries cargo-web)"
        fi
        std_package=libstd-rust-web-$(echo "$version" | cut -d. -f1,2)
        llvm_package=$(apt-cache depends "rustc-web=$version" "$std_package=$version" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p' | head -n 1)
        rm -rf "$place.new" "$place.new.debs"
        # shellcheck disable=SC2086 # packages is a list of words, or nothing.
        fetch_debs "$place.new" "rustc-web=$version" "$std_package=$version" "libstd-rust-web-dev=$version" \
            "rust-web-src=$version" "$llvm_package" libgcc-12-dev-i386-cross $packages
        private_apt i386
        fetch_debs "$place.new" musl-dev:i386 libunwind-14-dev:i386
        unset APT_CONFIG
        for tool in rustc $tools; do wrap "$place.new" "$tool" "$place.new"; done
        crt_objects "$place.new"
        builder=cargo
        [ -z "$tools" ] || builder=$place.new/cargo
        standard_library "$place.new" "$builder"
        for tool in rustc $tools; do wrap "$place.new" "$tool" "$place"; done
        mv "$place.new" "$place"
    fi
    folder=
    cargo_is_new_enough || folder=$place
    [ -z "$folder" ] || [ -x "$folder/cargo" ] || fail "no Cargo of 1.$NEEDED_MINOR or later any more: remove $place and run this again"
    write_env "rustc-web $version of Debian, unpacked privately" "$folder" "$place/rustc"
}

locked toolchain
if [ "${1-}" != --debian ] && cargo_is_new_enough; then
    if has_target rustc; then
        write_env "of $(rustc --version)" '' ''
        exit 0
    fi
    # Made before: offline with a warm cache works, and nobody is asked again.
    if [ -z "$(made_before)" ] && command -v rustup >/dev/null; then
        if timeout --foreground 300 rustup -q target add "$TARGET" >"$CACHE/rustup.log" 2>&1 && has_target rustc; then
            write_env "of $(rustc --version)" '' ''
            exit 0
        fi
        say "rustup cannot download $TARGET here; taking Debian's packages"
    fi
fi
from_debian
