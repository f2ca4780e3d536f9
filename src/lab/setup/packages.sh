#!/bin/sh
# Sees to it that Debian's packages are there.
#
# In:  run | test | kernel: what for. Out: installed packages, or the line that installs them and status 1.
# Not here: the cross target (toolchain.sh), kernels (kernel.sh).
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

# To boot the gateway: the emulator, the sealed images, the data disk, its operator's broker and registry, a linker that also compiles what ring has in C; kmod orders modules, zstd packs the root; Cargo fetches
# crates by HTTPS.
RUN='ca-certificates gcc libc6-dev qemu-system-x86 erofs-utils e2fsprogs kmod zstd curl mosquitto docker-registry'
# To prove it: the peers at both ends, and the oracles.
TEST="$RUN iproute2 nftables dnsmasq-base busybox udhcpc isc-dhcp-client ethtool python3 util-linux shellcheck procps netbase bind9-dnsutils knot-dnsutils dnsperf openssl chrony sip-tester baresip-core coturn ffmpeg smcroute"
# Clients and servers of addresses and ports.
TEST="$TEST dhcpcd-base natpmpc kea-admin kea-dhcp4-server kea-dhcp6-server ndisc6 radvdump"
# Runtimes that our sandbox is measured against.
TEST="$TEST crun bubblewrap"
# Strangers with their tools.
TEST="$TEST nmap thc-ipv6"
# Whoever listens at a broker.
TEST="$TEST mosquitto-clients"
# Bundles: makers of images, somebody else's trees of hashes.
TEST="$TEST umoci buildah skopeo cryptsetup-bin"
# What runs a controller that we did not write (controller.sh); a Node.js that did not come from Debian will do.
command -v npm >/dev/null || TEST="$TEST nodejs npm"
# What fetches a client of registries that we did not write (oras.sh); a pip that did not come from Debian will do.
python3 -m pip --version >/dev/null 2>&1 || TEST="$TEST python3-pip"
# To build the board kernel.
KERNEL='make gcc flex bison bc patch libelf-dev libssl-dev xz-utils'

case ${1-} in
run) packages=$RUN ;;
test) packages=$TEST ;;
kernel) packages=$KERNEL ;;
--help | -h)
    echo "usage: packages.sh run | test | kernel   installs what is missing, or says how"
    exit 0
    ;;
*)
    echo "usage: packages.sh run | test | kernel" >&2
    exit 2
    ;;
esac

missing=
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || fail "this is not Debian, and what is missing is called differently here:$missing"
line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo='sudo -n'
else
    echo "Some of Debian's packages are missing. Install them and run this again:" >&2
    echo >&2
    if command -v sudo >/dev/null; then
        echo "    sudo apt-get update && sudo $line" >&2
    else
        echo "    su - -c 'apt-get update && $line'" >&2
    fi
    exit 1
fi
say "installing$missing"
mkdir -p "$CACHE"
log=$CACHE/packages.log

# A machine that has just been started updates itself: it gets two minutes. Nobody is asked anything.
install_missing() {
    # shellcheck disable=SC2086 # both are lists of words.
    $sudo env DEBIAN_FRONTEND=noninteractive $line -o DPkg::Lock::Timeout=120 </dev/null
}

if ! install_missing >"$log" 2>&1; then
    say "reading Debian's package lists"
    $sudo apt-get -q update >"$log" 2>&1 || fail_as "$log" "apt-get update failed: is there a network?"
    install_missing >>"$log" 2>&1 || fail_as "$log" "apt-get install failed"
fi
