//! The table of attacks.
//!
//! In:  nothing. Out: `Ok` where an attack got through, else what the kernel said. The number is the row of the list that the project
//! keeps of attacks (docs/security.md).

use nix::errno::Errno;
use nix::unistd::Pid;

mod files;
mod fill;
mod hunger;
mod kernel;
mod network;
mod processes;

type Attack = fn() -> Result<(), Errno>;
/// At a process, by the number that it has outside.
type Aimed = fn(Pid) -> Result<(), Errno>;

/// Every attack.
pub(crate) const ALL: &[(&str, Attack)] = &[
    ("1-runtime", files::runtime),
    ("2-cgroup-v1", files::cgroup_v1),
    ("3-descriptors", files::descriptors),
    ("7-remount", files::remount),
    ("10-nested", processes::nested),
    ("11-binfmt-misc", files::binfmt_misc),
    ("11-core-pattern", files::core_pattern),
    ("11-modprobe", files::modprobe),
    ("11-sysrq", files::sysrq),
    ("11-uevent-helper", files::uevent_helper),
    ("12-debug", files::debug),
    ("12-firmware", files::firmware),
    ("12-kcore", files::kcore),
    ("12-keys", files::keys),
    ("12-secrets", files::secrets),
    ("12-timers", files::timers),
    ("13-processes", processes::descriptors_of_others),
    ("14-signals", processes::signals),
    ("15-handles", files::handles),
    ("16-devices", files::devices),
    ("17-bpf", kernel::bpf),
    ("17-clock", kernel::clock),
    ("17-clock-settime", kernel::clock_settime),
    ("17-clock-settime64", kernel::clock_settime64),
    ("17-io-uring", kernel::io_uring),
    ("17-kexec", kernel::kexec),
    ("17-kexec-file", kernel::kexec_file),
    ("17-key-add", kernel::key_add),
    ("17-key-request", kernel::key_request),
    ("17-keys", kernel::keys),
    ("17-module", kernel::module),
    ("17-module-delete", kernel::module_delete),
    ("17-module-file", kernel::module_file),
    ("17-perf", kernel::perf),
    ("17-personality", kernel::personality),
    ("17-quota", kernel::quota),
    ("17-quota-file", kernel::quota_file),
    ("17-reboot", kernel::reboot),
    ("17-swap", kernel::swap),
    ("17-swap-off", kernel::swap_off),
    ("17-userfaultfd", kernel::userfaultfd),
    ("19-terminal", kernel::terminal),
    ("20-abstract", network::abstract_socket),
    ("20-events", network::events),
    ("20-firewall", network::firewall),
    ("20-packets", network::packets),
    ("20-raw", network::raw),
    ("20-raw-6", network::raw_6),
    ("20-routes", network::routes),
    ("22-epoll", hunger::epoll),
    ("22-files", hunger::files),
    ("22-inotify", hunger::inotify),
    ("22-neighbour-set", network::neighbour_set),
    ("22-neighbours", network::neighbours),
    ("22-route-set", network::route_set),
    ("23-forks", hunger::forks),
    ("24-memory", hunger::memory),
    ("24-pinned", fill::pinned),
    ("24-pipes", fill::pipes),
    ("24-shared", fill::shared),
    ("24-sockets", fill::sockets),
    ("25-nice", processes::nice),
    ("25-realtime", processes::realtime),
    ("36-kernel-log", kernel::log),
    ("36-statistics", files::statistics),
];

/// Every attack at somebody.
pub(crate) const AIMED: &[(&str, Aimed)] = &[
    ("13-descriptors", processes::descriptors_of),
    ("13-trace", processes::trace),
    ("13-write", processes::write),
];
