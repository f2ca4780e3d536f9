#!/bin/busybox sh
# shellcheck shell=dash
# Other people's supervisors with ten services each, in the provider's guest: what src/lab/src/supervisors.rs compares ours with.
#
# In:  begin runit|s6 | crash | memory | end. Out: microseconds, or KiB.
# A service says when it began by a file, so that nobody's polling counts; there is no sandbox around it.
PLACE=/tmp/supervisors

# Nanoseconds after boot, in `now`: what busybox's date does not know. Source: the kernel's kernel/time/timer_list.c.
look_at_clock() {
    {
        read -r now
        read -r now
        read -r _ _ now _
    } </proc/timer_list
}

case $1 in
begin)
    rm -rf $PLACE
    for number in 1 2 3 4 5 6 7 8 9 10; do
        mkdir -p $PLACE/scan/s$number
        {
            echo "#!/bin/busybox sh"
            echo "{ read -r now; read -r now; read -r _ _ now _; } </proc/timer_list"
            echo "echo \$now >$PLACE/up$number"
            echo "echo \$\$ >$PLACE/pid$number"
            echo "exec sleep 100000"
        } >$PLACE/scan/s$number/run
        chmod 755 $PLACE/scan/s$number/run
    done
    case $2 in
    runit) runsvdir -P $PLACE/scan >/dev/null 2>&1 & ;;
    s6) s6-svscan $PLACE/scan >/dev/null 2>&1 & ;;
    esac
    echo $! >$PLACE/top
    for number in 1 2 3 4 5 6 7 8 9 10; do
        tries=0
        until [ -s $PLACE/pid$number ]; do
            tries=$((tries + 1))
            [ $tries -lt 600 ] || exit 1
            usleep 50000
        done
    done
    ;;
crash)
    read -r before <$PLACE/pid1
    look_at_clock
    began=$now
    kill -KILL "$before"
    tries=0
    while
        read -r after <$PLACE/pid1
        [ "$after" = "$before" ] || [ -z "$after" ]
    do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || exit 1
        usleep 20000
    done
    read -r up <$PLACE/up1
    echo $(((up - began) / 1000))
    ;;
memory)
    sum=0
    for status in /proc/[0-9]*/status; do
        case $(sed -n 's/^Name:[[:space:]]*//p' "$status" 2>/dev/null) in
        runsvdir | runsv | s6-svscan | s6-supervise)
            sum=$((sum + $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "$status")))
            ;;
        esac
    done
    echo $sum
    ;;
end)
    read -r top <$PLACE/top
    services=$(cat $PLACE/pid*)
    signal=HUP
    [ ! -d $PLACE/scan/.s6-svscan ] || signal=TERM
    look_at_clock
    began=$now
    kill -$signal "$top"
    for service in $services; do
        tries=0
        while kill -0 "$service" 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 2000 ] || exit 1
            usleep 1000
        done
    done
    look_at_clock
    echo $(((now - began) / 1000))
    ;;
*)
    echo "usage: supervisors.sh begin runit|s6 | crash | memory | end" >&2
    exit 2
    ;;
esac
