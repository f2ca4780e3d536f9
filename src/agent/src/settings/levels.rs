//! Run levels: which services of a slice start by themselves, and whether the slice is on.
//!
//! A service starts by itself where its slice is on, its own word is yes, and its level is not above its slice's. At boot that is the slice's
//! initial level. `package` keeps one word for each service, for the supervisor to start by before we are there: [`Levels::starts`] at the
//! initial level.
//!
//! Only services of bundles have a level: those of the image are on level 0.
//!
//! Source: TR-181 2.19.1, `ExecEnv.{i}.CurrentRunLevel`, `ExecutionUnit.{i}.RunLevel`; docs/decisions/0102-run-levels.md.

use contract::Name;
use serde::{Deserialize, Serialize};

/// The highest level. Source: TR-181, `RunLevel`.
pub const LEVEL_MAX: u16 = u16::MAX;

/// Of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfSlice {
    /// Which.
    pub slice: Name,
    /// Its services may run.
    pub enable: bool,
    /// The level after a start of the machine or of the slice.
    pub initial: u16,
    /// The level now.
    pub current: u16,
    /// The level that a new service gets.
    pub of_units: u16,
}

/// Of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfService {
    /// Which.
    pub service: Name,
    /// It starts from this level on.
    pub level: u16,
    /// It starts by itself at all.
    pub starts: bool,
}

/// All of them; what nobody has changed is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Levels {
    slices: Vec<OfSlice>,
    services: Vec<OfService>,
}

impl Levels {
    /// A slice's.
    #[must_use]
    pub fn slice(&self, slice: &Name) -> OfSlice {
        let known = self.slices.iter().find(|one| one.slice == *slice).cloned();
        known.unwrap_or(OfSlice { slice: slice.clone(), enable: true, initial: 0, current: 0, of_units: 0 })
    }

    /// A slice's, from now on.
    pub fn put_slice(&mut self, of: OfSlice) {
        self.slices.retain(|one| one.slice != of.slice);
        self.slices.push(of);
    }

    /// A service's, of which `package` says that it starts by itself, or not.
    #[must_use]
    pub fn service(&self, service: &Name, starts: bool) -> OfService {
        let known = self.services.iter().find(|one| one.service == *service).cloned();
        known.unwrap_or(OfService { service: service.clone(), level: 0, starts })
    }

    /// A service's, from now on.
    pub fn put_service(&mut self, of: OfService) {
        self.services.retain(|one| one.service != of.service);
        self.services.push(of);
    }

    /// Is there a word about this service?
    #[must_use]
    pub fn knows(&self, service: &Name) -> bool {
        self.services.iter().any(|one| one.service == *service)
    }

    /// Slices and services that are there no more are forgotten.
    pub fn keep(&mut self, slice: impl Fn(&Name) -> bool, service: impl Fn(&Name) -> bool) {
        self.slices.retain(|one| slice(&one.slice));
        self.services.retain(|one| service(&one.service));
    }

    /// The machine, or a slice, begins anew: `None`: all slices.
    pub fn begin(&mut self, slice: Option<&Name>) {
        let its = self.slices.iter_mut().filter(|one| slice.is_none_or(|slice| one.slice == *slice));
        its.for_each(|one| one.current = one.initial);
    }

    /// Does it start by itself at this level of its slice?
    #[must_use]
    pub fn starts(&self, service: &OfService, slice: &OfSlice, level: u16) -> bool {
        slice.enable && service.starts && service.level <= level
    }
}

#[cfg(test)]
mod tests {
    use super::{Levels, OfService, OfSlice};
    use contract::Name;

    #[test]
    fn who_starts_at_which_level() {
        let name = |text| Name::new(text).unwrap();
        let mut levels = Levels::default();
        let (slice, service) = (levels.slice(&name("demo")), levels.service(&name("cam"), true));
        assert!(levels.starts(&service, &slice, 0), "nobody has said anything");
        let table = [
            ("its level", true, true, 3, 3, true),
            ("above it", true, true, 4, 3, false),
            ("not by itself", true, false, 0, 3, false),
            ("its slice is off", false, true, 0, 3, false),
        ];
        for (what, enable, starts, level, at, want) in table {
            let slice = OfSlice { enable, ..slice.clone() };
            let service = OfService { starts, level, ..service.clone() };
            assert_eq!(levels.starts(&service, &slice, at), want, "{what}");
        }
        levels.put_slice(OfSlice { initial: 2, current: 9, ..slice });
        levels.begin(None);
        assert_eq!(levels.slice(&name("demo")).current, 2);
        levels.put_service(service);
        levels.keep(|_| true, |_| false);
        assert!(!levels.knows(&name("cam")));
    }
}
