//! Where sandboxes are tried: a private mount namespace and a cgroup of the test's own, so that the machine sees nothing of it.
//!
//! In:  the name of a test. Out: that test, run again inside; or the reason why it cannot run here.
//!
//! Needs root: an ordinary user may map one uid, and a sandbox has a range of them.

#![allow(dead_code, reason = "no test needs all of it")]

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use contract::layer::{Layer, Layers};
use contract::manifest::{Cpu, Limits, Manifest, Memory, Proc, Profile, Rate, Ready, Restart, VERSION};
use contract::{Name, Text};
use heapless::Vec as Bounded;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use sandbox::{Entered, Given, LANDLOCK_MAX, Moment, Network, Plan, Report, cgroup, enter, layers, look};

/// Set in the process that runs inside: first that it is in its cgroup, then that it has its namespaces, too.
const INSIDE: &str = "SANDBOX_STAGE";
const GROUPED: &str = "grouped";
const MOVED: &str = "moved";
/// What the shell below says where there is no cgroup2 to be mounted.
const NO_CGROUPS: i32 = 77;
/// How long a child may take for a step, in milliseconds: two busy hardware threads are slow.
pub(crate) const LIMIT_MS: u16 = 20_000;

/// Controllers, and the layers that are made of them.
const CONTROLLERS: [(&str, Layer); 3] =
    [("memory", Layer::MemoryMax), ("pids", Layer::PidsMax), ("cpu", Layer::Cpu)];

/// Makes a cgroup of its own, runs the rest of its words in it, and takes it away.
const SCRIPT: &str = r#"
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 77
group=/sys/fs/cgroup/sandbox-test-$$
mkdir "$group" || exit 77
sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
status=$?
find "$group" -depth -type d -exec rmdir {} +
exit $status
"#;

/// Is this the process inside? Else runs the test `name` there, and fails where that fails.
pub(crate) fn enter_stage(name: &str) -> bool {
    match std::env::var(INSIDE).as_deref() {
        Ok(MOVED) => {
            // The mount of the shell's shows the whole tree; one that is made here begins at our own cgroup.
            let nothing = None::<&str>;
            nix::mount::umount(cgroup::ROOT).unwrap();
            nix::mount::mount(Some("cgroup2"), cgroup::ROOT, Some("cgroup2"), MsFlags::empty(), nothing)
                .unwrap();
            // A cgroup that passes controllers on holds no process itself.
            drop(cgroup::prepare("/supervisor", &[]).unwrap());
            std::fs::write(format!("{}/supervisor/cgroup.procs", cgroup::ROOT), "0").unwrap();
            return true;
        }
        Ok(_) => {
            // Of this thread only, until it becomes the whole process. The small `unshare` that some machines have knows no cgroups.
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP).unwrap();
            let nothing = None::<&str>;
            nix::mount::mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
            leave_rootfs();
            let mut again = Command::new(std::env::current_exe().unwrap());
            panic!("{}", again.args(std::env::args_os().skip(1)).env(INSIDE, MOVED).exec());
        }
        Err(_) => {}
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: {name}: mapping a range of uids needs root");
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c", SCRIPT, "sh"]);
    // Quiet: else what it says first stands behind the test's name, on one line, and no reason would begin with `skipped`.
    command
        .arg(own)
        .args([name, "--exact", "--nocapture", "--test-threads=1", "--quiet"])
        .env(INSIDE, GROUPED);
    let output = command.output().unwrap();
    for text in [&output.stdout, &output.stderr] {
        for line in String::from_utf8_lossy(text).lines().filter(|line| !line.is_empty()) {
            // Marked, so that nobody counts what ran inside as a test of its own; why something was skipped counts.
            if line.starts_with("skipped") { println!("{line}") } else { println!("| {line}") }
        }
    }
    match output.status.code() {
        Some(0) => {}
        Some(NO_CGROUPS) => println!("skipped: {name}: this kernel has no cgroup2 to mount"),
        other => panic!("{name}: inside: {other:?}"),
    }
    false
}

/// The kernel's first root can be the old root of nobody: pivot_root(2). A machine that runs from it gets one above it, with all that is mounted.
fn leave_rootfs() {
    const ABOVE: &str = "/tmp/above";
    let text = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    // Its own parent: proc(5), mountinfo's fields 1, 2 and 5.
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let is_first = |line: &str| fields(line)[4] == "/" && fields(line)[0] == fields(line)[1];
    if !text.lines().any(is_first) || text.lines().filter(|line| fields(line)[4] == "/").count() > 1 {
        return;
    }
    let nothing = None::<&str>;
    std::fs::create_dir_all(ABOVE).unwrap();
    nix::mount::mount(Some("/"), ABOVE, nothing, MsFlags::MS_BIND | MsFlags::MS_REC, nothing).unwrap();
    nix::unistd::chdir(ABOVE).unwrap();
    nix::mount::mount(Some("."), "/", nothing, MsFlags::MS_MOVE, nothing).unwrap();
    nix::unistd::chroot(".").unwrap();
}

/// Which layers cannot be seen here because the kernel keeps their controllers elsewhere (cgroup v1) or has none.
pub(crate) fn unseen() -> Layers {
    let known = std::fs::read_to_string(format!("{}/cgroup.controllers", cgroup::ROOT)).unwrap();
    let missing =
        CONTROLLERS.into_iter().filter(|(controller, _)| !known.split_whitespace().any(|k| k == *controller));
    missing.fold(Layers::NONE, |set, (_, layer)| set.with(layer))
}

/// As [`unseen`], and says so.
pub(crate) fn without_controllers() -> Layers {
    let unseen = unseen();
    for (controller, layer) in CONTROLLERS.into_iter().filter(|(_, layer)| unseen.has(*layer)) {
        println!(
            "skipped in part: the layer {}: this kernel has no cgroup2 controller {controller}",
            layer.word()
        );
    }
    unseen
}

/// A service whose command is a line of shell.
pub(crate) fn manifest(line: &str) -> Manifest {
    Manifest {
        version: VERSION,
        name: Name::new("hello").unwrap(),
        provider: Name::new("demo").unwrap(),
        summary: Text::default(),
        image: "hello.erofs".into(),
        command: ["/bin/sh", "-c", line].into_iter().map(Text::from).collect(),
        environment: ["KEY=value"].into_iter().map(Text::from).collect(),
        profile: Profile::Strict,
        proc: Proc::Own,
        reaps: true,
        autostart: true,
        restart: Restart::Always,
        ready: Ready::Notify,
        start_deadline_ms: 1,
        stop_grace_ms: 1,
        after: Default::default(),
        devices: Default::default(),
        again_s: 0,
        start_at: Default::default(),
        update: contract::manifest::Update::Replace,
        health: None,
        cpu: Cpu { floor_permille: 50, ceiling_permille: 900 },
        memory: Memory { floor_mib: 8, high_mib: 48, ceiling_mib: 64 },
        disk: Default::default(),
        uplink: Rate::default(),
        downlink: Rate::default(),
        limits: Limits { pids: 16, descriptors: 40, tmp_kib: 64 },
        volume: None,
        serves: Bounded::new(),
        reaches: Default::default(),
    }
}

/// Everything that a sandbox is given.
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) network: Network,
    root: OwnedFd,
    cgroup: OwnedFd,
    reaper: File,
    output: (OwnedFd, OwnedFd),
    notify: (OwnedFd, OwnedFd),
    /// Layers that cannot be seen here ([`without_controllers`]).
    pub(crate) unseen: Layers,
}

impl Stage {
    /// One for `manifest`. Its root is a copy of this machine's own, without what is mounted in it.
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let plan = Plan::new(manifest, 2).unwrap();
        Self {
            network: Network::create().unwrap(),
            root: sys::mount::copy(c"/").unwrap(),
            cgroup: cgroup::renew(&plan.cgroup, &plan.cgroup_files).unwrap(),
            // It runs the rest of its words, as the reaper does. A small machine has none: there only what reaps itself can be tried.
            reaper: File::open("/usr/bin/env").or_else(|_| File::open("/proc/self/exe")).unwrap(),
            output: nix::unistd::pipe().unwrap(),
            notify: nix::unistd::pipe().unwrap(),
            unseen: Layers::NONE,
            plan,
        }
    }

    /// What goes in, and the layers to leave out.
    pub(crate) fn given(&self, without: Layers) -> Given<'_> {
        Given {
            root: self.root.as_fd(),
            volume: None,
            host: None,
            network: self.network.namespace.as_fd(),
            cgroup: self.cgroup.as_fd(),
            output: self.output.1.as_fd(),
            notify: self.notify.1.as_fd(),
            reaper: self.reaper.as_fd(),
            landlock: LANDLOCK_MAX,
            without,
        }
    }

    /// What goes in, with another root and another cgroup.
    pub(crate) fn given_with<'d>(&'d self, root: BorrowedFd<'d>, cgroup: BorrowedFd<'d>) -> Given<'d> {
        Given { root, cgroup, ..self.given(Layers::NONE) }
    }

    /// Enters, and waits until every layer is on, or not.
    pub(crate) fn enter(&self, without: Layers) -> (Entered, Report) {
        let entered = enter(&self.plan, self.given(without)).unwrap();
        assert!(sys::descriptor::wait_readable(entered.applied.as_fd(), LIMIT_MS).unwrap(), "no word");
        let report = entered.report();
        (entered, report)
    }

    /// Waits until the service has written this letter.
    pub(crate) fn hears(&self, letter: u8) {
        let mut heard = [0];
        assert!(sys::descriptor::wait_readable(self.output.0.as_fd(), LIMIT_MS).unwrap(), "it says nothing");
        assert_eq!(nix::unistd::read(&self.output.0, &mut heard), Ok(1));
        assert_eq!(heard, [letter]);
    }

    /// The layers that can be seen from here.
    pub(crate) fn seen(&self, entered: &Entered, report: Report) -> Layers {
        let Report::Applied(told) = report else { panic!("{report:?}") };
        layers(&look(entered.pid, &self.plan, &self.network.namespace, told, Moment::Waiting), &self.plan)
    }

    /// Runs a longer script: a word of a manifest is short.
    pub(crate) fn with_script(mut self, script: &str) -> Self {
        *self.plan.arguments.last_mut().unwrap() = CString::new(script).unwrap();
        self
    }

    /// Takes another root.
    pub(crate) fn with_root(mut self, root: OwnedFd) -> Self {
        self.root = root;
        self
    }

    /// All that was written, once nobody can write any more.
    pub(crate) fn written(self) -> String {
        drop(self.output.1);
        let mut text = String::new();
        File::from(self.output.0).read_to_string(&mut text).unwrap();
        text
    }
}

/// Waits for the end of a process that runs.
pub(crate) fn last(entered: &Entered) -> WaitStatus {
    waitpid(Pid::from_raw(entered.pid), None).unwrap()
}

/// Ends a process that waits for its last word, and says how it was.
pub(crate) fn end(entered: Entered) -> WaitStatus {
    let pid = Pid::from_raw(entered.pid);
    drop(entered); // With it the pipe: a child that waits for its last word ends.
    waitpid(pid, None).unwrap()
}
