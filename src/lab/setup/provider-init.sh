#!/bin/busybox sh
# shellcheck shell=dash
# PID 1 of the provider's guest: mounts, modules, and then commands from the second serial port, as src/lab/src/door.rs says them.
#
# The shell takes its own programs first: Debian's ip and tc are /bin/ip and /sbin/tc.
#
# In:  one command a line. Out: what it printed, each line that begins with # with another # in front, and "#exit CODE".
#
# Who reads lines is not PID 1, to which every orphan's death is told: BusyBox' `read` begins anew when a signal comes in the middle of a
# line, and what it had of it is lost (shell/ash.c, readcmd: "goto again").
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/run /var/lib/misc /etc/ppp /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/pts
/bin/busybox mount -t devpts pts /dev/pts
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
while read -r module; do
    insmod "$module" || echo "no module $module" >/dev/console
done </etc/modules
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip link set eth0 up
stty -F /dev/ttyS1 raw -echo
door() {
    exec 3<>/dev/ttyS1
    echo '#ready' >&3
    while read -r line <&3; do
        # What a command leaves running must not hold the port.
        sh -c "$line" >/tmp/answer 2>&1 3>&- </dev/null
        code=$?
        sed 's/^#/##/' /tmp/answer >&3
        echo "#exit $code" >&3
    done
}
door &
wait $!
