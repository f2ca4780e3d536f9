//! What one controller may do.
//!
//! In:  its roles, a place. Out: [`May`]. Who is not enabled may do nothing.

use usp::path::Path;
use usp::permission::{May, Rule, granted};

use crate::world::World;

/// A controller's rights.
#[derive(Debug, Clone, Copy)]
pub struct Access<'w> {
    world: &'w World,
    /// Its row; `None`: it is we ourselves.
    row: Option<u32>,
}

impl<'w> Access<'w> {
    /// Those of the controller in `row`.
    #[must_use]
    pub fn of(world: &'w World, row: u32) -> Self {
        Self { world, row: Some(row) }
    }

    /// Our own: all.
    #[must_use]
    pub fn ours(world: &'w World) -> Self {
        Self { world, row: None }
    }

    fn rules(self) -> Option<&'w [Rule]> {
        let place = usize::try_from(self.row?.checked_sub(1)?).ok()?;
        let enabled = self.world.settings.controllers.get(place).is_some_and(|said| said.enable);
        let role = self.world.configuration.controllers.get(place)?.role;
        self.world.configuration.roles.get(role).filter(|_| enabled).map(|role| role.rules.as_slice())
    }

    /// At `path`, which is plain.
    #[must_use]
    pub fn at(self, path: &str) -> May {
        if self.row.is_none() {
            return May::ALL;
        }
        Path::parse(path).map(|path| granted(self.rules(), &path)).unwrap_or_default()
    }
}
