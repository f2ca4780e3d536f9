//! A user namespace that is only a map: owner 0 of an image becomes a tenant's first uid.
//!
//! In:  a tenant's range. Out: a descriptor of the namespace, for mount_setattr(2). No process lives in it.
//!
//! Source: user_namespaces(7), `uid_map`; mount_setattr(2), `MOUNT_ATTR_IDMAP`.

use std::os::fd::OwnedFd;

use contract::limit::SERVICES;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use sys::userns;

use crate::Error;

/// A tenant's range of uids and gids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    base: u32,
    count: u32,
}

impl Owners {
    /// Takes `count` from `base` on, if that is a tenant's range, or a first part of one.
    ///
    /// # Errors
    /// [`Error::Owners`]: it is not. Whoever asks cannot have an image shown as the gateway's own.
    pub fn new(base: u32, count: u32) -> Result<Self, Error> {
        let offset = base.checked_sub(TENANT_UID_BASE);
        let slot =
            offset.filter(|offset| offset % TENANT_UID_COUNT == 0).map(|offset| offset / TENANT_UID_COUNT);
        let known = slot.and_then(|slot| usize::try_from(slot).ok()).is_some_and(|slot| slot < SERVICES);
        if known && (1..=TENANT_UID_COUNT).contains(&count) {
            Ok(Self { base, count })
        } else {
            Err(Error::Owners { base, count })
        }
    }

    /// A user namespace with this map for users and groups.
    ///
    /// # Errors
    /// [`Error::System`]: no more processes or namespaces, or we lack `CAP_SETUID`, `CAP_SETGID`.
    pub fn namespace(self) -> Result<OwnedFd, Error> {
        userns::mapped(self.base, self.count)
            .map_err(|errno| Error::system("user namespace", "cannot be made or mapped", errno))
    }
}

#[cfg(test)]
mod tests {
    use super::Owners;
    use contract::limit::SERVICES;
    use contract::wires::{TENANT_UID_BASE as BASE, TENANT_UID_COUNT as COUNT};

    #[test]
    fn only_a_tenants_range_will_do() {
        let slots = u32::try_from(SERVICES).unwrap();
        let table = [
            ("first", BASE, COUNT, true),
            ("a part", BASE, 1, true),
            ("last", BASE + (slots - 1) * COUNT, COUNT, true),
            ("one too many", BASE + slots * COUNT, COUNT, false),
            ("root", 0, COUNT, false),
            ("before", BASE - COUNT, COUNT, false),
            ("askew", BASE + 1, COUNT, false),
            ("two ranges", BASE, COUNT + 1, false),
            ("none", BASE, 0, false),
            ("the end of numbers", u32::MAX, COUNT, false),
        ];
        for (name, base, count, good) in table {
            assert_eq!(Owners::new(base, count).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_namespace_is_a_map_and_nothing_lives_in_it() {
        let owners = Owners::new(BASE, COUNT).unwrap();
        match owners.namespace() {
            Ok(namespace) => {
                let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&namespace));
                let name = std::fs::read_link(link).unwrap();
                assert!(name.to_string_lossy().starts_with("user:["), "{name:?}");
                assert_ne!(name, std::fs::read_link("/proc/self/ns/user").unwrap());
            }
            Err(error) if nix::unistd::geteuid().is_root() => panic!("{error}"),
            Err(error) => println!("skipped: needs root: {error}"),
        }
    }
}
