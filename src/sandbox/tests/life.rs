//! Lives of services in real sandboxes: what they see, what they may not, how they begin and end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::os::fd::AsFd;

use contract::layer::Layers;
use nix::sys::wait::WaitStatus;
use sandbox::{Error, Report, Step};
use stage::{Stage, end, enter_stage, last, manifest};
use sys::Errno;

/// Lets it run, and returns how it ended and all that it wrote.
fn live(stage: Stage) -> (WaitStatus, String) {
    let (entered, report) = stage.enter(Layers::NONE);
    assert!(matches!(report, Report::Applied(_)), "{report:?}");
    entered.go().unwrap();
    (last(&entered), stage.written())
}

/// What a service finds; `!` marks an attempt that must fail.
const LOOK_AROUND: &str = r#"
exec 2>/dev/null
echo "name $(uname -n)"
echo "user $(id -u) $(id -g)"
echo "pid $$"
echo "key $KEY"
echo "notify $NOTIFY_FD"
echo "descriptors $(echo /proc/self/fd/* | tr ' ' '\n' | wc -l)"
echo "limit $(ulimit -n)"
echo "dev $(echo /dev/*)"
echo here >/tmp/file && echo "tmp $(cat /tmp/file)"
(: >/file) || echo "! root"
(: >/dev/file) || echo "! dev"
(echo 0 >/proc/self/oom_score_adj) || echo "! proc"
mount -t tmpfs none /tmp || echo "! mount"
unshare --user true || echo "! nesting"
mknod /tmp/null c 1 3 || echo "! mknod"
chown 1 /tmp/file || echo "! chown"
test -e /proc/sys || echo "! sysctl"
test -e /proc/meminfo || echo "! machine"
test -e /sys/kernel || echo "! sysfs"
dd if=/dev/zero of=/tmp/large bs=1k count=65 || echo "! large"
echo done
"#;

#[test]
fn a_service_finds_its_own_and_nothing_else() {
    if !enter_stage("a_service_finds_its_own_and_nothing_else") {
        return;
    }
    let (end, text) = live(Stage::new(&manifest("")).with_script(LOOK_AROUND));
    println!("{text}");
    assert!(matches!(end, WaitStatus::Exited(_, 0)), "{end:?}");
    let lines: Vec<&str> = text.lines().collect();
    for want in [
        "name hello",
        "user 0 0",
        "pid 1",
        "key value",
        "notify 3",
        // 0 to 3, and the one that lists them.
        "descriptors 5",
        "limit 40",
        "dev /dev/fd /dev/full /dev/null /dev/random /dev/stderr /dev/stdin /dev/stdout /dev/urandom /dev/zero",
        "tmp here",
        "! root",
        "! dev",
        "! proc",
        "! mount",
        "! nesting",
        "! mknod",
        "! chown",
        "! sysctl",
        "! machine",
        "! sysfs",
        "! large",
        "done",
    ] {
        assert!(lines.contains(&want), "{want} is not in:\n{text}");
    }
}

#[test]
fn a_reaper_goes_first_and_its_end_is_seen() {
    if !enter_stage("a_reaper_goes_first_and_its_end_is_seen") {
        return;
    }
    let mut plain = manifest("echo $$ $0; exit 7");
    plain.reaps = false;
    let (end, text) = live(Stage::new(&plain));
    assert!(matches!(end, WaitStatus::Exited(_, 7)), "{end:?}");
    assert_eq!(text, "1 /bin/sh\n");
}

#[test]
fn what_fails_inside_is_told_with_its_step() {
    if !enter_stage("what_fails_inside_is_told_with_its_step") {
        return;
    }
    let empty = || sys::mount::Draft::new(c"tmpfs").unwrap().mount(0).unwrap();
    let (entered, report) = Stage::new(&manifest("exit 0")).with_root(empty()).enter(Layers::NONE);
    assert_eq!(report, Report::Failed(Error::Inside(Step::Proc, Errno::ENOENT)), "a root without /proc");
    assert!(matches!(end(entered), WaitStatus::Exited(_, 126)));

    let mut missing = manifest("exit 0");
    missing.command = ["/no/such/program".into()].into_iter().collect();
    let (end, text) = live(Stage::new(&missing));
    assert!(matches!(end, WaitStatus::Exited(_, 126)), "{end:?}");
    assert!(text.contains("No such file"), "{text}");
}

#[test]
fn a_child_does_not_outlive_whoever_has_the_last_word() {
    if !enter_stage("a_child_does_not_outlive_whoever_has_the_last_word") {
        return;
    }
    let stage = Stage::new(&manifest("echo it ran"));
    let (entered, report) = stage.enter(Layers::NONE);
    assert!(matches!(report, Report::Applied(_)), "{report:?}");
    // A second one was made while the first waits: its copies of the pipes must not keep the first alive.
    let mut another = manifest("exit 0");
    another.name = contract::Name::new("another").unwrap();
    let other = Stage::new(&another);
    let (second, _) = other.enter(Layers::NONE);
    assert!(matches!(end(second), WaitStatus::Exited(_, 126)));
    let waits = sys::descriptor::wait_readable(entered.pidfd.as_fd(), 0);
    assert_eq!(waits, Ok(false), "it still waits");
    assert!(matches!(end(entered), WaitStatus::Exited(_, 126)), "it has not done its work");
    assert_eq!(stage.written(), "");
}

#[test]
fn a_service_can_open_its_pipes_by_name() {
    if !enter_stage("a_service_can_open_its_pipes_by_name") {
        return;
    }
    let script = "echo ready >/dev/fd/3 && echo said >/dev/stdout";
    let (end, text) = live(Stage::new(&manifest("")).with_script(script));
    assert!(matches!(end, WaitStatus::Exited(_, 0)), "{end:?}");
    assert_eq!(text, "said\n");
}

#[test]
fn a_start_after_a_kill_lives() {
    if !enter_stage("a_start_after_a_kill_lives") {
        return;
    }
    let stage = Stage::new(&manifest("exec sleep 1000"));
    let (entered, _) = stage.enter(Layers::NONE);
    entered.go().unwrap();
    sandbox::cgroup::kill(&stage.plan.cgroup).unwrap();
    assert!(matches!(last(&entered), WaitStatus::Signaled(..)));
    let (end, text) = live(Stage::new(&manifest("echo again")));
    assert!(matches!(end, WaitStatus::Exited(_, 0)), "{end:?}");
    assert_eq!(text, "again\n");
}

#[test]
fn a_cgroup_stays_and_has_another_one_in_it_for_each_life() {
    if !enter_stage("a_cgroup_stays_and_has_another_one_in_it_for_each_life") {
        return;
    }
    use sandbox::cgroup;
    use std::os::unix::fs::MetadataExt;
    let stage = Stage::new(&manifest("exec sleep 1000"));
    let path = stage.plan.cgroup.clone();
    let of = |path: &str| std::fs::metadata(format!("{}{path}", cgroup::ROOT)).map(|meta| meta.ino());
    let now = || (of(&path).unwrap(), of(&cgroup::life_of(&path)).unwrap());
    let renew = || cgroup::renew(&path, &stage.plan.cgroup_files).map(drop);
    let before = now();
    let (entered, _) = stage.enter(Layers::NONE);
    entered.go().unwrap();
    assert_eq!(cgroup::processes(&path).collect::<Vec<_>>(), [entered.pid]);
    // Somebody lives in it: he is left alone, and so is his group.
    assert!(matches!(renew(), Err(sandbox::Error::Outside(_, nix::errno::Errno::EBUSY))));
    assert_eq!(now(), before);
    cgroup::kill(&path).unwrap();
    assert!(matches!(last(&entered), WaitStatus::Signaled(..)));
    renew().unwrap();
    let after = now();
    assert_eq!(after.0, before.0);
    assert_ne!(after.1, before.1);
    let held =
        |setting: &cgroup::Setting| cgroup::says(&path, setting).is_empty() || cgroup::holds(&path, setting);
    assert!(stage.plan.cgroup_files.iter().all(held), "its settings");
    // Whatever somebody has said of it meanwhile, it begins with what it is to say.
    if let Some(pids) = stage.plan.cgroup_files.iter().find(|setting| setting.file == "pids.max") {
        let file = format!("{}{path}/{}", cgroup::ROOT, pids.file);
        if std::fs::write(&file, "max").is_ok() {
            assert!(!cgroup::holds(&path, pids));
            renew().unwrap();
            assert!(cgroup::holds(&path, pids));
        }
    }
    cgroup::remove(&path).unwrap();
    assert!(of(&path).is_err());
    cgroup::remove(&path).unwrap();
}

#[test]
fn a_network_is_its_own_and_configured_from_outside() {
    if !enter_stage("a_network_is_its_own_and_configured_from_outside") {
        return;
    }
    let stage = Stage::new(&manifest("exit 0"));
    let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let other = std::path::PathBuf::from(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&stage.network.namespace)
    ));
    assert_ne!(std::fs::read_link(other).unwrap(), ours, "we are back home");
    let again = sandbox::Network::reopen(stage.network.namespace.try_clone().unwrap()).unwrap();
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), ours, "once more");
    drop(again);
    // Its loopback is up before anybody has given it a link: the kernel says that nobody listens, and not that there is no way.
    let stream = stage.network.stream().unwrap();
    let nobody = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 9);
    let said = nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &nobody);
    assert_eq!(said, Err(Errno::EINPROGRESS));
    assert!(sys::descriptor::wait_readable(std::os::fd::AsFd::as_fd(&stream), stage::LIMIT_MS).unwrap());
    let why = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::SocketError).unwrap();
    assert_eq!(Errno::from_raw(why), Errno::ECONNREFUSED);
    drop(stream);
    let (_, text) = live(stage.with_script("grep : /proc/self/net/dev | cut -d: -f1 | tr -d ' '"));
    assert_eq!(text, "lo\n", "its own link comes from `network`");
}

#[test]
fn an_error_says_what_it_was_for() {
    let table = [
        (Error::Outside("cannot map its ids", Errno::EPERM), "sandbox: cannot map its ids: "),
        (Error::Inside(Step::Proc, Errno::ENOENT), "sandbox: cannot mount /proc: "),
        (Error::Manifest("no such slot"), "sandbox: no such slot"),
        (Error::Landlock { has: 2, wanted: 6 }, "landlock: the board names ABI 6, this kernel has 2"),
    ];
    for (error, text) in table {
        assert!(error.to_string().starts_with(text), "{error}");
    }
}
