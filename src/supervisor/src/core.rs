//! The core daemons: a constant table, compiled in, so that nothing can be added to it on the gateway.
//!
//! Not here: tenants (`catalogue.rs`).
//!
//! Source: capabilities(7) for each right.

use std::ffi::CStr;

use caps::Capability;
use contract::wires::uid;

/// A core daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its name: its room, its cgroup, its log tag.
    pub name: &'static str,
    /// Its program.
    pub program: &'static CStr,
    /// Its user and group.
    pub uid: u32,
    /// All the rights that it can ever have.
    pub capabilities: &'static [Capability],
    /// The wires that it serves, as `contract::wires` calls them.
    pub wires: &'static [&'static str],
    /// Who must be up before it starts.
    pub after: &'static [&'static str],
    /// `memory.max` of its cgroup, in MiB: ten times its budget, so that a leak is restarted and a peak is not.
    pub memory_mib: u32,
    /// Left out, without a word, where its program is not in the root.
    pub optional: bool,
}

/// The door's rights: to kill and to follow daemons, to write as a tenant would; in rehearsals to loosen the machine's own settings, to list
/// its firewall, and to look at what daemons hold.
const DOOR: &[Capability] = &[
    Capability::CAP_KILL,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    #[cfg(feature = "rehearsal")]
    Capability::CAP_SYS_ADMIN,
    #[cfg(feature = "rehearsal")]
    Capability::CAP_NET_ADMIN,
    #[cfg(feature = "rehearsal")]
    Capability::CAP_DAC_READ_SEARCH,
];

/// All of them, in the order of their start.
pub const DAEMONS: &[Daemon] = &[
    Daemon {
        name: "storage",
        program: c"/sbin/storage",
        uid: uid::ROOT,
        // Mounts, block devices, the entropy pool; mapping ids of sealed images; daemons' own folders on the data disk, and reading what
        // `package` keeps in its own. (Who may mount reads the disk anyhow.)
        capabilities: &[
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            Capability::CAP_CHOWN,
            Capability::CAP_DAC_READ_SEARCH,
        ],
        wires: &["mount"],
        after: &[],
        memory_mib: 24,
        optional: false,
    },
    Daemon {
        name: "network",
        program: c"/sbin/network",
        uid: uid::NETWORK,
        // The tables of the network; opening raw sockets for `multicast` (docs/decisions/0020-multicast-apart.md).
        capabilities: &[Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW],
        wires: &["attach", "learn", "show", "told"],
        after: &[],
        memory_mib: 32,
        optional: false,
    },
    Daemon {
        name: "lease",
        program: c"/sbin/lease",
        uid: uid::LEASE,
        // Packets before there is an address; port 67 and 68.
        capabilities: &[Capability::CAP_NET_RAW, Capability::CAP_NET_BIND_SERVICE],
        wires: &["leases"],
        after: &["network"],
        memory_mib: 24,
        optional: false,
    },
    Daemon {
        name: "names",
        program: c"/sbin/names",
        uid: uid::NAMES,
        // Port 53.
        capabilities: &[Capability::CAP_NET_BIND_SERVICE],
        wires: &["resolve"],
        after: &["network"],
        memory_mib: 24,
        optional: true,
    },
    Daemon {
        name: "voice",
        program: c"/sbin/voice",
        uid: uid::VOICE,
        // None: SIP's port is above 1024.
        capabilities: &[],
        wires: &["calls"],
        after: &["network"],
        memory_mib: 24,
        optional: true,
    },
    Daemon {
        name: "multicast",
        program: c"/sbin/multicast",
        uid: uid::MULTICAST,
        // None: its sockets come from `network`, and that is its right.
        capabilities: &[],
        wires: &["groups"],
        after: &["network"],
        memory_mib: 24,
        optional: true,
    },
    Daemon {
        name: "time",
        program: c"/sbin/time",
        uid: uid::TIME,
        // Setting and steering the clock.
        capabilities: &[Capability::CAP_SYS_TIME],
        wires: &["clock"],
        after: &["network"],
        memory_mib: 24,
        optional: true,
    },
    Daemon {
        name: "identity",
        program: c"/sbin/identity",
        uid: uid::IDENTITY,
        // None: a folder of its own, and its wire.
        capabilities: &[],
        wires: &["identify"],
        after: &[],
        memory_mib: 24,
        optional: true,
    },
    Daemon {
        name: "agent",
        program: c"/sbin/agent",
        uid: uid::AGENT,
        // None: it asks others, by their wires.
        capabilities: &[],
        wires: &["tenant", "local", "doctor"],
        after: &["network", "identity"],
        memory_mib: 60,
        optional: true,
    },
    Daemon {
        name: "package",
        program: c"/sbin/package",
        uid: uid::PACKAGE,
        // None: it fetches and writes into a folder of its own.
        capabilities: &[],
        wires: &["packages"],
        after: &["network", "storage"],
        memory_mib: 30,
        optional: true,
    },
    // The second serial port, in roots that are made for tests. The shipped root has no such program.
    Daemon {
        name: "door",
        program: c"/sbin/door",
        uid: uid::ROOT,
        capabilities: DOOR,
        wires: &[],
        after: &[],
        memory_mib: 24,
        optional: true,
    },
];

/// Folders under `/run` that belong to a daemon, where it says something by a file: path and owner. The supervisor makes them.
pub const RUN_FOLDERS: &[(&str, u32)] = &[("/run/time", uid::TIME), ("/run/network", uid::NETWORK)];

/// Devices that belong to a daemon, where the kernel has them: path and owner. `network` opens PPP's for `lease`.
pub const DEVICES: &[(&str, u32)] = &[("/dev/ppp", uid::NETWORK)];

/// Whom every tenant needs.
pub const TENANTS_AFTER: &[&str] = &["storage", "network"];

#[cfg(test)]
mod tests {
    use super::DAEMONS;
    use contract::Name;
    use contract::wires;

    #[test]
    fn every_wire_has_one_server_and_that_is_the_one_in_the_table() {
        for wire in wires::ALL.iter().filter(|wire| wire.server != "supervisor") {
            let servers: Vec<_> = DAEMONS.iter().filter(|daemon| daemon.wires.contains(&wire.name)).collect();
            assert_eq!(servers.len(), 1, "{}", wire.name);
            assert_eq!(servers[0].name, wire.server);
        }
    }

    #[test]
    fn nobody_waits_for_somebody_who_comes_later() {
        for (place, daemon) in DAEMONS.iter().enumerate() {
            assert!(Name::new(daemon.name).is_ok());
            for before in daemon.after {
                assert!(DAEMONS[..place].iter().any(|other| other.name == *before), "{}", daemon.name);
            }
        }
    }
}
