//! The table of attacks.
//!
//! In:  nothing. Out: `Ok` where an attack got through, else what the kernel said. The number is the row of the list that the project
//! keeps of attacks (docs/security.md).

use nix::errno::Errno;

mod files;
mod hunger;
mod kernel;
mod processes;

type Attack = fn() -> Result<(), Errno>;

/// Every attack.
pub(crate) const ALL: &[(&str, Attack)] = &[
    ("1-runtime", files::runtime),
    ("2-cgroup-v1", files::cgroup_v1),
    ("3-descriptors", files::descriptors),
    ("7-remount", files::remount),
    ("10-nested", processes::nested),
    ("11-core-pattern", files::core_pattern),
    ("12-secrets", files::secrets),
    ("13-processes", processes::descriptors_of_others),
    ("14-signals", processes::signals),
    ("15-handles", files::handles),
    ("16-devices", files::devices),
    ("17-bpf", kernel::bpf),
    ("17-clock", kernel::clock),
    ("17-io-uring", kernel::io_uring),
    ("17-keys", kernel::keys),
    ("17-module", kernel::module),
    ("17-perf", kernel::perf),
    ("17-personality", kernel::personality),
    ("17-reboot", kernel::reboot),
    ("17-swap", kernel::swap),
    ("17-userfaultfd", kernel::userfaultfd),
    ("19-terminal", kernel::terminal),
    ("20-packets", kernel::packets),
    ("20-firewall", kernel::firewall),
    ("22-files", hunger::files),
    ("22-inotify", hunger::inotify),
    ("23-forks", hunger::forks),
    ("24-memory", hunger::memory),
    ("25-nice", processes::nice),
    ("25-realtime", processes::realtime),
    ("36-kernel-log", kernel::log),
    ("36-statistics", files::statistics),
];
