//! What one controller may do.
//!
//! In:  its roles, a place. Out: [`May`]. Who is not enabled may do nothing.
//!
//! A service that came with roles has none over what others have subscribed to: that is not there for it.

use usp::path::{Path, Step};
use usp::permission::{May, Rule, granted, granted_throughout, may_read_within};

use crate::roles::{self, Held};
use crate::world::World;

/// A controller's rights.
#[derive(Debug, Clone, Copy)]
pub struct Access<'w> {
    world: &'w World,
    /// Its row; `None`: it is we ourselves.
    row: Option<u32>,
    held: Held,
    /// Subscriptions of others are not there for it.
    is_service: bool,
}

impl<'w> Access<'w> {
    /// Those of the controller in `row`.
    #[must_use]
    pub fn of(world: &'w World, row: u32) -> Self {
        let mut access =
            Self { world, row: Some(row), held: Held::default(), is_service: roles::is_service(world, row) };
        if access.is_enabled() {
            access.held = roles::of(world, row);
        }
        access
    }

    /// Our own: all.
    #[must_use]
    pub fn ours(world: &'w World) -> Self {
        Self { world, row: None, held: Held::default(), is_service: false }
    }

    /// Is it obeyed at all?
    #[must_use]
    pub fn is_enabled(self) -> bool {
        let said = self
            .row
            .and_then(|row| self.world.settings.controllers.get(usize::try_from(row).ok()?.checked_sub(1)?));
        self.row.is_none() || said.is_some_and(|said| said.enable)
    }

    /// At `path`, which is plain.
    #[must_use]
    pub fn at(self, path: &str) -> May {
        if self.row.is_none() {
            return May::ALL;
        }
        let Ok(path) = Path::parse(path) else { return May::default() };
        if self.is_service && self.is_anothers(&path) {
            return May::default();
        }
        granted(self.held.rules(&self.world.configuration), &path)
    }

    /// Is it what another has subscribed to?
    fn is_anothers(self, path: &Path<'_>) -> bool {
        let [_, Step::Name("LocalAgent"), Step::Name("Subscription"), Step::Instance(row), ..] =
            path.steps.as_slice()
        else {
            return false;
        };
        let subscription = self.world.settings.subscription(*row);
        subscription.is_some_and(|one| Some(one.recipient) != self.row)
    }

    /// May it read anything at and below `part`, as far as nobody can say that it may not?
    #[must_use]
    pub fn reads_within(self, part: &str) -> bool {
        let Ok(path) = Path::parse(part) else { return false };
        self.row.is_none()
            || self.held.rules(&self.world.configuration).any(|rules| may_read_within(rules, &path))
    }

    /// At every place of one `kind` at and below `part`, as far as that is certain.
    #[must_use]
    pub fn throughout(self, part: &str, kind: fn(&Rule) -> May) -> May {
        let Ok(path) = Path::parse(part) else { return May::default() };
        if self.row.is_none() {
            return May::ALL;
        }
        let all = self.held.rules(&self.world.configuration);
        all.map(|rules| granted_throughout(rules, &path, kind)).fold(May::default(), May::or)
    }
}
