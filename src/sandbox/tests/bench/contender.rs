//! Whom our starts are compared with: crun, bwrap, and the kernel's own steps.
//!
//! In:  a folder. Out: contenders that make one round when they are asked.
//!
//! All of them start the same program in the same root. Other people's programs are started by `floor.c`, which is small and static, so
//! that nobody pays for the size of this test.
//!
//! Sources: bwrap(1); crun(1); the OCI runtime specification, config.md.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What one round cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// From the order to the clean state, in nanoseconds.
    pub(crate) ns: u64,
    /// CPU time, the kernel's included, in microseconds.
    pub(crate) cpu_us: u64,
    /// The largest process of it, in KiB.
    pub(crate) kib: u64,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Round>,
    program: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contender {
    fn new(name: &'static str, floor: &Path, words: &[&str]) -> Self {
        let mut program =
            Command::new(floor).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = program.stdin.take().unwrap();
        let answers = BufReader::new(program.stdout.take().unwrap());
        Self { name, rounds: Vec::new(), program, orders, answers }
    }

    /// One round.
    pub(crate) fn round(&mut self) {
        self.orders.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        // A round that failed says -1, which is no such number.
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [ns, cpu_us, kib] = numbers[..] else { panic!("{}: {line:?}", self.name) };
        self.rounds.push(Round { ns, cpu_us, kib });
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A tree of processes that wait for ever, in static C: how many; it says a letter once they are all there.
const TREE: &str = "#include <stdlib.h>\n#include <unistd.h>\nint main(int count, char **words) {
    (void)count;
    for (int left = atoi(words[1]) - 1; left > 0; left--)
        if (fork() == 0) for (;;) pause();
    write(1, \"t\", 1);
    for (;;) pause();
}\n";

/// A folder of our own in memory, and in it `root`: a root that has two programs, one that ends at once and one that grows ([`TREE`]).
pub(crate) fn scratch() -> PathBuf {
    let nothing = None::<&str>;
    let folder = PathBuf::from("/mnt");
    nix::mount::mount(Some("tmpfs"), &folder, Some("tmpfs"), nix::mount::MsFlags::empty(), nothing).unwrap();
    for name in ["root/bin", "root/proc", "root/dev", "root/tmp", "root/run", "root/sys", "state", "bundle"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    for (name, text) in [("true", "int main(void) { return 0; }\n"), ("tree", TREE)] {
        let source = folder.join(name).with_extension("c");
        fs::write(&source, text).unwrap();
        compile(&source, &folder.join("root/bin").join(name));
    }
    folder
}

fn compile(source: &Path, program: &Path) {
    let done = Command::new("cc").args(["-O2", "-static", "-o"]).arg(program).arg(source).status().unwrap();
    assert!(done.success(), "cc: {done}");
}

/// Every contender; or which is not installed.
pub(crate) fn all(folder: &Path) -> Result<Vec<Contender>, String> {
    let [crun, bwrap] = [("crun", "crun"), ("bwrap", "bubblewrap")].map(|(program, package)| {
        let found = ["/usr/bin", "/usr/local/bin", "/bin"].map(|place| Path::new(place).join(program));
        found.into_iter().find(|path| path.exists()).ok_or(format!("no {program}: apt-get install {package}"))
    });
    let (crun, bwrap) = (crun?, bwrap?);
    let floor = folder.join("floor");
    compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/floor.c"), &floor);
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (root, state, bundle) =
        (text(folder.join("root")), text(folder.join("state")), text(folder.join("bundle")));
    fs::write(folder.join("bundle/config.json"), config(&root)).unwrap();
    let (crun, bwrap) = (text(crun), text(bwrap));
    let group = format!("{}/steps", sandbox::cgroup::ROOT);
    let bwrap_words: Vec<&str> = [bwrap.as_str()].into_iter().chain(BWRAP).collect();
    let bwrap_words = bwrap_words.into_iter().map(|word| if word == "ROOT" { root.as_str() } else { word });
    let bwrap_words: Vec<&str> = ["run"].into_iter().chain(bwrap_words).collect();
    Ok(vec![
        Contender::new("floor", &floor, &["warm", &root]),
        Contender::new("steps", &floor, &["cold", &root, &group]),
        Contender::new(
            "crun",
            &floor,
            &["run", &crun, "--root", &state, "run", "--bundle", &bundle, "bench"],
        ),
        Contender::new("bwrap", &floor, &bwrap_words),
        // What it costs to start any program.
        Contender::new("fork-and-exec", &floor, &["run", &format!("{root}/bin/true")]),
    ])
}

/// As near to ours as bwrap comes: it knows no cgroup, no limits, and takes filters that others have compiled.
const BWRAP: [&str; 22] = [
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup",
    "--unshare-net",
    "--hostname",
    "bench",
    "--cap-drop",
    "ALL",
    "--ro-bind",
    "ROOT",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--clearenv",
    "--",
    "/bin/true",
];

/// A container that is as near to ours as the specification comes.
fn config(root: &str) -> String {
    let namespaces = ["user", "pid", "mount", "ipc", "uts", "cgroup", "network"]
        .map(|kind| format!(r#"{{"type":"{kind}"}}"#))
        .join(",");
    let map = r#"[{"containerID":0,"hostID":1048576,"size":65536}]"#;
    let denied =
        ["mount", "umount2", "pivot_root", "unshare", "setns", "bpf", "keyctl", "ptrace", "reboot", "swapon"];
    let denied = denied.map(|name| format!("\"{name}\"")).join(",");
    format!(
        r#"{{"ociVersion":"1.0.2","hostname":"bench","root":{{"path":"{root}","readonly":true}},
"process":{{"user":{{"uid":0,"gid":0}},"args":["/bin/true"],"env":["PATH=/bin"],"cwd":"/","noNewPrivileges":true,
"capabilities":{{}},"rlimits":[{{"type":"RLIMIT_NOFILE","hard":40,"soft":40}}]}},
"mounts":[{{"destination":"/proc","type":"proc","source":"proc"}},
{{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","noexec","mode=755","size=64k"]}},
{{"destination":"/tmp","type":"tmpfs","source":"tmpfs","options":["nosuid","nodev","noexec","size=64k"]}}],
"linux":{{"uidMappings":{map},"gidMappings":{map},"namespaces":[{namespaces}],
"seccomp":{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":[{denied}],"action":"SCMP_ACT_ERRNO"}}]}}}}}}"#
    )
}
