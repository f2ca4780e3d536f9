//! What one controller may do.
//!
//! In:  its role, a place. Out: [`May`]. Who is not enabled may do nothing.

use usp::path::Path;
use usp::permission::{May, Rule, granted};

use crate::world::World;

/// A controller's rights.
#[derive(Debug, Clone, Copy)]
pub struct Access<'w>(&'w [Rule]);

impl<'w> Access<'w> {
    /// Those of the controller in `row`.
    #[must_use]
    pub fn of(world: &'w World, row: u32) -> Self {
        let place = usize::try_from(row).unwrap_or(0).checked_sub(1);
        let role = place.and_then(|place| {
            let enabled = world.settings.controllers.get(place).is_some_and(|said| said.enable);
            let role = world.configuration.controllers.get(place)?.role;
            world.configuration.roles.get(role).filter(|_| enabled)
        });
        Self(role.map(|role| role.rules.as_slice()).unwrap_or_default())
    }

    /// At `path`, which is plain.
    #[must_use]
    pub fn at(&self, path: &str) -> May {
        Path::parse(path).map(|path| granted([self.0], &path)).unwrap_or_default()
    }
}
