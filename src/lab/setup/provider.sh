#!/bin/sh
# Makes the root of the provider's guest: Debian's kernel and a few of Debian's programs, for everything that a provider has.
#
# In:  board/qemu/provider-modules, provider-init.sh, supervisors.sh, Debian's packages of i386. Out: $CACHE/provider/ with bzImage and tree/, the tree
# that lab packs (src/lab/src/provider.rs). Nobody needs to be root, nothing is installed.
# Not here: what the provider does (src/lab/src/provider.rs, the tests).
#
# Of each package only the programs are taken that are named here, and the libraries that they need.
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

MODULES=$TOP/board/qemu/provider-modules
INIT=$HERE/provider-init.sh
SUPERVISORS=$HERE/supervisors.sh
PACKAGES='busybox-static ppp pppoe iproute2 dnsmasq-base radvd wide-dhcpv6-server tcpdump nftables runit s6'
# Programs, and what they load by themselves.
WANTED='bin/busybox usr/sbin/pppd usr/lib/pppd/*/rp-pppoe.so usr/lib/pppd/*/pppoe.so usr/sbin/pppoe-server usr/sbin/pppoe
bin/ip sbin/tc usr/lib/*/tc/normal.dist usr/sbin/dnsmasq usr/sbin/radvd usr/sbin/dhcp6s usr/bin/tcpdump usr/sbin/nft
usr/bin/runsvdir usr/bin/runsv usr/bin/s6-svscan usr/bin/s6-supervise'

case ${1-} in
'') ;;
*)
    echo "usage: provider.sh   puts the provider's guest into $CACHE/provider"
    [ "$1" = --help ] || [ "$1" = -h ] || exit 2
    exit 0
    ;;
esac

locked provider
key=$(cat "$0" "$MODULES" "$INIT" "$SUPERVISORS" | sha256sum | cut -c 1-16)
[ "$(cat "$CACHE/provider/key" 2>/dev/null)" != "$key" ] || exit 0
"$HERE/kernel.sh" quick
kernel=$(find "$CACHE" -maxdepth 1 -name 'linux-image-6.1.0-*-686-pae' | sort -V | tail -n 1)
version=$(ls "$kernel/lib/modules")

new=$CACHE/provider.new
rm -rf "$new" "$new.unpacked"
mkdir -p "$new/tree/lib/modules" "$new/tree/etc" "$new/tree/lib/i386-linux-gnu"
private_apt i386
# With no package installed, as far as this APT knows, all that is needed is named; of that, libraries are what programs here need.
# shellcheck disable=SC2086 # a list of words.
needed=$(apt-get -s -q -o Dir::State::status=/dev/null install --no-install-recommends $PACKAGES 2>"$apt_home/simulate.log" |
    sed -n 's/^Inst \(z*lib[^ ]*\) .*/\1/p' | grep -v -e perl -e '-common$' -e '^libpam-')
[ -n "$needed" ] || fail_as "$apt_home/simulate.log" "Debian's packages $PACKAGES of i386 are not to be had"
# shellcheck disable=SC2086 # a list of words.
fetch_debs "$new.unpacked" $needed $PACKAGES
unset APT_CONFIG

# libraries FILE: puts what FILE needs beside it, and what that needs.
libraries() {
    for library in $(readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
        [ ! -e "$new/tree/lib/i386-linux-gnu/$library" ] || continue
        found=$(find "$new.unpacked/lib" "$new.unpacked/usr/lib" -name "$library" | head -n 1)
        [ -n "$found" ] || fail "$1 needs $library, which is in none of the packages"
        cp -L "$found" "$new/tree/lib/i386-linux-gnu/$library"
        libraries "$found"
    done
}

for pattern in $WANTED; do
    for file in "$new.unpacked"/$pattern; do
        [ -e "$file" ] || fail "$pattern is in none of the packages"
        place=$new/tree/${file#"$new.unpacked/"}
        mkdir -p "$(dirname "$place")"
        cp -L "$file" "$place"
        libraries "$file"
    done
done
cp -L "$new.unpacked/lib/ld-linux.so.2" "$new/tree/lib/ld-linux.so.2" 2>/dev/null ||
    cp -L "$new.unpacked/lib/i386-linux-gnu/ld-linux.so.2" "$new/tree/lib/ld-linux.so.2"

cp "$kernel/boot/vmlinuz-$version" "$new/bzImage"
# shellcheck disable=SC2046 # names of modules are words.
PATH=$PATH:/usr/sbin:/sbin modprobe -d "$kernel" -S "$version" --show-depends -a $(grep -v '^ *#' "$MODULES") >"$new/order" ||
    fail "a module of board/qemu/provider-modules is not in $kernel"
sed -n 's/^insmod \([^ ]*\).*/\1/p' "$new/order" | awk '!seen[$0]++' | while read -r module; do
    cp "$module" "$new/tree/lib/modules/"
    echo "/lib/modules/$(basename "$module")"
done >"$new/tree/etc/modules"
rm "$new/order"
cp "$INIT" "$new/tree/init"
mkdir -p "$new/tree/sbin"
cp "$SUPERVISORS" "$new/tree/sbin/supervisors"
chmod 755 "$new/tree/init" "$new/tree/sbin/supervisors"
echo 'root:x:0:0:root:/:/bin/sh' >"$new/tree/etc/passwd"
echo 'root:x:0:' >"$new/tree/etc/group"
rm -rf "$new.unpacked"
echo "$key" >"$new/key"
rm -rf "$CACHE/provider"
mv "$new" "$CACHE/provider"
say "provider's guest: $(du -sm "$CACHE/provider/tree" | cut -f 1) MiB, $(wc -l <"$CACHE/provider/tree/etc/modules") modules"
