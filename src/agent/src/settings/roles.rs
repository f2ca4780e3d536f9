//! Roles of slices and services: which a slice has for its services, and which were given to each service when it came.
//!
//! Roles are names, as the operator's file has them: one that the file does not have any more grants nothing.
//!
//! Not here: what a service may do by them now (`roles.rs`).
//!
//! Source: TR-181 2.19.1, `ExecEnv.{i}.AvailableRoles`, `InstallDU()`; docs/decisions/0123-roles-of-services.md.

use contract::Name;
use serde::{Deserialize, Serialize};

/// Services that have roles, at a time: each is a controller.
pub const GRANTED_MAX: usize = 8;
/// Slices that have some: as many as the supervisor rents.
const SLICES_MAX: usize = 32;
/// Bytes of all of it on the disk: lists of twenty names, three for each service and one for each slice.
pub const BYTES_MAX: usize = 64 * 1024;

/// Of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfSlice {
    slice: Name,
    roles: Vec<String>,
}

/// What was given to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Which.
    pub service: Name,
    /// Its slice: another provider's service of this name is another one.
    pub slice: Name,
    /// When its bundle came first, in seconds after 1970: one that comes after it has gone is another one.
    pub since_s: u64,
    /// Without these it is of no use: its slice keeps them.
    pub required: Vec<String>,
    /// And these it likes to have.
    pub optional: Vec<String>,
}

/// All of them; who has none is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roles {
    slices: Vec<OfSlice>,
    granted: Vec<Granted>,
}

impl Roles {
    /// A slice's.
    #[must_use]
    pub fn of_slice(&self, slice: &Name) -> &[String] {
        self.slices.iter().find(|one| one.slice == *slice).map_or(&[], |one| &one.roles)
    }

    /// A slice's, from now on.
    pub fn put_slice(&mut self, slice: &Name, roles: Vec<String>) {
        self.slices.retain(|one| one.slice != *slice);
        if !roles.is_empty() && self.slices.len() < SLICES_MAX {
            self.slices.push(OfSlice { slice: slice.clone(), roles });
        }
    }

    /// Who has been given some.
    #[must_use]
    pub fn granted(&self) -> &[Granted] {
        &self.granted
    }

    /// What was given to a service.
    #[must_use]
    pub fn of_service(&self, service: &str) -> Option<&Granted> {
        self.granted.iter().find(|one| one.service.as_str() == service)
    }

    /// What it has from now on.
    pub fn put_service(&mut self, of: Granted) {
        self.forget(&of.service);
        let any = !of.required.is_empty() || !of.optional.is_empty();
        if any && self.granted.len() < GRANTED_MAX {
            self.granted.push(of);
        }
    }

    /// It has gone.
    pub fn forget(&mut self, service: &Name) {
        self.granted.retain(|one| one.service != *service);
    }

    /// What was said before this was known of: it is newer.
    pub fn absorb(&mut self, newer: Self) {
        newer.slices.into_iter().for_each(|one| self.put_slice(&one.slice, one.roles));
        newer.granted.into_iter().for_each(|one| self.put_service(one));
    }
}
