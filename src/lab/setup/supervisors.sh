#!/bin/busybox sh
# shellcheck shell=dash
# Other people's supervisors with ten services each, in the provider's guest: what src/lab/src/supervisors.rs compares ours with.
#
# In:  begin runit|s6|dinit | crash | memory | end. Out: microseconds, or KiB.
# A service says when it began by a file, so that nobody's polling counts; there is no sandbox around it. dinit is a user's instance: its socket and
# its services' files are here. By itself it gives up who ends three times in ten seconds: that is switched off, all else is as it comes.
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
    mkdir -p $PLACE/dinit
    echo "type = internal" >$PLACE/dinit/boot
    for number in 1 2 3 4 5 6 7 8 9 10; do
        {
            echo "type = process"
            echo "command = $PLACE/scan/s$number/run"
            echo "smooth-recovery = true"
            echo "restart-limit-count = 0"
        } >$PLACE/dinit/s$number
        echo "waits-for = s$number" >>$PLACE/dinit/boot
    done
    case $2 in
    dinit) dinit --user --quiet -d $PLACE/dinit -p $PLACE/dinit.socket boot >/dev/null 2>&1 & ;;
    runit) runsvdir -P $PLACE/scan >/dev/null 2>&1 & ;;
    s6) s6-svscan $PLACE/scan >/dev/null 2>&1 & ;;
    esac
    echo $! >$PLACE/top
    echo "$2" >$PLACE/peer
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
        runsvdir | runsv | s6-svscan | s6-supervise | dinit)
            sum=$((sum + $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "$status")))
            ;;
        esac
    done
    echo $sum
    ;;
end)
    read -r top <$PLACE/top
    services=$(cat $PLACE/pid*)
    read -r peer <$PLACE/peer
    signal=TERM
    [ "$peer" != runit ] || signal=HUP
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
    echo "usage: supervisors.sh begin runit|s6|dinit | crash | memory | end" >&2
    exit 2
    ;;
esac
