//! What one controller may do.
//!
//! In:  its roles, a place. Out: [`May`]. Who is not enabled may do nothing.

use usp::path::Path;
use usp::permission::{May, Rule, granted, granted_throughout};

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

    /// Is it obeyed at all?
    #[must_use]
    pub fn is_enabled(self) -> bool {
        let said = self
            .row
            .and_then(|row| self.world.settings.controllers.get(usize::try_from(row).ok()?.checked_sub(1)?));
        self.row.is_none() || said.is_some_and(|said| said.enable)
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

    /// At every place of one `kind` at and below `part`, as far as that is certain.
    #[must_use]
    pub fn throughout(self, part: &str, kind: fn(&Rule) -> May) -> May {
        let Ok(path) = Path::parse(part) else { return May::default() };
        match (self.row, self.rules()) {
            (None, _) => May::ALL,
            (Some(_), Some(rules)) => granted_throughout(rules, &path, kind),
            (Some(_), None) => May::default(),
        }
    }
}
