//! The layers of a sandbox: each is put on before a service runs and read back from outside before it counts as up.
//!
//! Not here: how a layer is put on or read back (room `sandbox`).

use serde::{Deserialize, Serialize};

/// One layer of a service's isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Layer {
    /// Own user namespace: its uid 0 is an ordinary uid range outside.
    UserNamespace,
    /// Own process ids.
    PidNamespace,
    /// Own mounts.
    MountNamespace,
    /// Own network, owned by the initial user namespace.
    NetworkNamespace,
    /// Own host name.
    UtsNamespace,
    /// Own System V and POSIX queues.
    IpcNamespace,
    /// Own view of cgroups.
    CgroupNamespace,
    /// It runs in its own cgroup.
    Cgroup,
    /// `memory.max` is what the manifest says.
    MemoryMax,
    /// `pids.max` is what the manifest says.
    PidsMax,
    /// `cpu.max` and `cpu.weight` are what the manifest says.
    Cpu,
    /// `io.bfq.weight` is what its floor of the disk needs, `io.max` is its ceilings; without either there is nothing to hold.
    Disk,
    /// The root is read-only, `nosuid`, `nodev`.
    ReadOnlyRoot,
    /// `/proc` shows only its own processes, with `hidepid`.
    PrivateProc,
    /// `/dev` holds null, zero, full, random, urandom and nothing more.
    MinimalDev,
    /// Every capability set is empty.
    NoCapabilities,
    /// `no_new_privs` is set.
    NoNewPrivileges,
    /// A seccomp filter is loaded.
    Seccomp,
    /// Nothing is open but what was meant to be.
    Descriptors,
    /// No namespace can be made below its own.
    NoNesting,
    /// Nothing is mounted but what was planned, all of it `nosuid`, and `nodev` but for the five devices; a volume is as large as it was promised.
    Mounts,
    /// Resource limits are what the manifest says; no core, no real-time priority.
    ResourceLimits,
    /// Its cgroup lets it open the five devices and make none.
    Devices,
    /// Landlock: no file but its own, whatever descriptor it holds.
    Landlock,
}

impl Layer {
    /// Every layer, in the order in which they are checked.
    pub const ALL: [Self; 24] = [
        Self::UserNamespace,
        Self::PidNamespace,
        Self::MountNamespace,
        Self::NetworkNamespace,
        Self::UtsNamespace,
        Self::IpcNamespace,
        Self::CgroupNamespace,
        Self::Cgroup,
        Self::MemoryMax,
        Self::PidsMax,
        Self::Cpu,
        Self::Disk,
        Self::ReadOnlyRoot,
        Self::PrivateProc,
        Self::MinimalDev,
        Self::NoCapabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::Descriptors,
        Self::NoNesting,
        Self::Mounts,
        Self::ResourceLimits,
        Self::Devices,
        Self::Landlock,
    ];

    /// The word for it, as `ctl status` shows it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::MountNamespace => "mount-namespace",
            Self::NetworkNamespace => "network-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::Cgroup => "cgroup",
            Self::MemoryMax => "memory.max",
            Self::PidsMax => "pids.max",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::ReadOnlyRoot => "read-only-root",
            Self::PrivateProc => "private-proc",
            Self::MinimalDev => "minimal-dev",
            Self::NoCapabilities => "no-capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Seccomp => "seccomp",
            Self::Descriptors => "descriptors",
            Self::NoNesting => "no-nesting",
            Self::Mounts => "mounts",
            Self::ResourceLimits => "resource-limits",
            Self::Devices => "devices",
            Self::Landlock => "landlock",
        }
    }
}

/// The layer of this word.
impl core::str::FromStr for Layer {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|layer| layer.word() == word).ok_or("no such layer")
    }
}

/// A set of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layers(u32);

impl Layers {
    /// No layer.
    pub const NONE: Self = Self(0);

    /// Every layer.
    #[must_use]
    pub fn all() -> Self {
        Layer::ALL.into_iter().fold(Self::NONE, Self::with)
    }

    /// This set and `layer`.
    #[must_use]
    pub fn with(self, layer: Layer) -> Self {
        Self(self.0 | 1 << layer as u8)
    }

    /// This set without `layer`.
    #[must_use]
    pub fn without(self, layer: Layer) -> Self {
        Self(self.0 & !(1 << layer as u8))
    }

    /// Is `layer` in it?
    #[must_use]
    pub fn has(self, layer: Layer) -> bool {
        self.0 & 1 << layer as u8 != 0
    }

    /// The layers of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Its layers, in the order of [`Layer::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.has(*layer))
    }
}

const _: () = assert!(Layer::ALL.len() <= u32::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_what_was_put_in() {
        for layer in Layer::ALL {
            assert!(Layers::all().has(layer), "{}", layer.word());
            assert!(!Layers::all().without(layer).has(layer), "{}", layer.word());
            assert_eq!(Layers::NONE.with(layer).iter().collect::<heapless::Vec<_, 2>>(), [layer]);
            assert_eq!(layer.word().parse(), Ok(layer));
        }
    }
}
