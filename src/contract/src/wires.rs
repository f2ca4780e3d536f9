//! The table of wires: which socket, who serves it, who may connect.
//!
//! A wire is a listening `SOCK_SEQPACKET` socket that the supervisor binds at [`Wire::path`], keeps in PID 1's store and hands to
//! the daemon that serves it; clients connect, and reconnect on end of file. So either side may die and come back.
//!
//! The same table stands in `docs/architecture.md`; the tidy test holds the two together.

/// Who a process is: its uid and gid. Tenants have ranges from [`TENANT_UID_BASE`] on.
pub mod uid {
    /// init, supervisor, storage: the ones that hold rights over the machine.
    pub const ROOT: u32 = 0;
    /// The daemon `network`.
    pub const NETWORK: u32 = 102;
    /// The daemon `lease`.
    pub const LEASE: u32 = 103;
    /// The daemon `names`.
    pub const NAMES: u32 = 104;
    /// The daemon `voice`.
    pub const VOICE: u32 = 105;
    /// The daemon `time`.
    pub const TIME: u32 = 106;
    /// The daemon `multicast`.
    pub const MULTICAST: u32 = 107;
    /// The daemon `identity`.
    pub const IDENTITY: u32 = 108;
    /// The daemon `agent`.
    pub const AGENT: u32 = 109;
    /// The daemon `package`.
    pub const PACKAGE: u32 = 110;
}

/// The first uid of the first tenant's range.
pub const TENANT_UID_BASE: u32 = 0x0010_0000;
/// Uids in a tenant's range.
pub const TENANT_UID_COUNT: u32 = 0x0001_0000;

/// One wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Its name: the module of this room that holds its words.
    pub name: &'static str,
    /// The daemon that serves it.
    pub server: &'static str,
    /// The uids that may connect (`SO_PEERCRED`).
    pub clients: &'static [u32],
    /// The socket.
    pub path: &'static str,
}

/// ctl, agent → supervisor: ask, start, stop, restart, log, end.
pub const CONTROL: Wire = Wire {
    name: "control",
    server: "supervisor",
    clients: &[uid::ROOT, uid::AGENT],
    path: "/run/wire/control",
};
/// supervisor → storage: mount a sealed image, release it, hear of damaged ones; ctl → storage: the disk's state.
pub const MOUNT: Wire =
    Wire { name: "mount", server: "storage", clients: &[uid::ROOT], path: "/run/wire/mount" };
/// supervisor → network: attach, detach a service.
pub const ATTACH: Wire =
    Wire { name: "attach", server: "network", clients: &[uid::ROOT], path: "/run/wire/attach" };
/// lease → network: what is wanted of leases; what was learned.
pub const LEARN: Wire =
    Wire { name: "learn", server: "network", clients: &[uid::LEASE], path: "/run/wire/learn" };
/// ctl, supervisor, agent → network: what classes carry; ctl, agent: show; another wanted network, confirmed or taken back.
pub const SHOW: Wire =
    Wire { name: "show", server: "network", clients: &[uid::ROOT, uid::AGENT], path: "/run/wire/show" };
/// ctl, agent → lease: show.
pub const LEASES: Wire =
    Wire { name: "leases", server: "lease", clients: &[uid::ROOT, uid::AGENT], path: "/run/wire/leases" };

/// names, voice, time, multicast → network: what each is told.
pub const TOLD: Wire = Wire {
    name: "told",
    server: "network",
    clients: &[uid::NAMES, uid::VOICE, uid::TIME, uid::MULTICAST],
    path: "/run/wire/told",
};
/// lease → names: local names; ctl → names: numbers.
pub const RESOLVE: Wire =
    Wire { name: "resolve", server: "names", clients: &[uid::LEASE, uid::ROOT], path: "/run/wire/resolve" };
/// ctl → multicast: who watches what.
pub const GROUPS: Wire =
    Wire { name: "groups", server: "multicast", clients: &[uid::ROOT], path: "/run/wire/groups" };
/// ctl → voice: phones and calls.
pub const CALLS: Wire =
    Wire { name: "calls", server: "voice", clients: &[uid::ROOT], path: "/run/wire/calls" };

/// ctl, agent → time: what the clock says, and who says so.
pub const CLOCK: Wire =
    Wire { name: "clock", server: "time", clients: &[uid::ROOT, uid::AGENT], path: "/run/wire/clock" };
/// ctl, agent → identity: who this gateway is; its signature. lease → identity: who it is, and no more.
pub const IDENTIFY: Wire = Wire {
    name: "identify",
    server: "identity",
    clients: &[uid::ROOT, uid::AGENT, uid::LEASE],
    path: "/run/wire/identify",
};

/// ctl, agent → package: bundles, installed and removed.
pub const PACKAGES: Wire = Wire {
    name: "packages",
    server: "package",
    clients: &[uid::ROOT, uid::AGENT],
    path: "/run/wire/packages",
};
/// package → supervisor: the services whose bundles are installed.
pub const INSTALLED: Wire =
    Wire { name: "installed", server: "supervisor", clients: &[uid::PACKAGE], path: "/run/wire/installed" };

/// tenant → agent: metrics, events, health; configuration, secrets.
pub const TENANT: Wire = Wire { name: "tenant", server: "agent", clients: &[], path: "/run/wire/tenant" };
/// ctl, tenant → agent: a controller on the box speaks USP (TR-369, Unix domain sockets).
pub const LOCAL: Wire = Wire { name: "local", server: "agent", clients: &[], path: "/run/wire/local" };
/// ctl → agent: how it stands with each controller.
pub const DOCTOR: Wire =
    Wire { name: "doctor", server: "agent", clients: &[uid::ROOT], path: "/run/wire/doctor" };

impl Wire {
    /// Bytes in a row, for programs that are not of this house, in place of frames. Anybody may connect: the server looks who it is
    /// (`SO_PEERCRED`) and what he may.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.clients.is_empty()
    }
}

/// Every wire but `keep`, which is a pair and has no path.
pub const ALL: [Wire; 17] = [
    CONTROL, MOUNT, ATTACH, LEARN, SHOW, LEASES, TOLD, RESOLVE, GROUPS, CALLS, CLOCK, IDENTIFY, PACKAGES,
    INSTALLED, TENANT, LOCAL, DOCTOR,
];
