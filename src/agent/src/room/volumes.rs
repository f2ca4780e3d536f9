//! Volumes that services have left, for who wants them gone: `package` is told while the answer is made.
//!
//! In:  which ones, beside an answer to Operate. Out: that answer, with the reason where one stays.
//!
//! Not here: which ones there are (`model/uses.rs`).

use contract::Name;
use contract::packages::Ask;
use sys::clock::boot_ms;
use usp::Code;
use usp::message::act::OperationKind;
use usp::message::{Failure, Msg};

use super::Room;
use super::logs::results;
use crate::answer::Drops;

/// How long one message may hold up others, in milliseconds: `package` writes a small file for each.
const PATIENCE_MS: u64 = 1_000;

impl Room {
    /// What a service was told goes with what it has kept, unless another of its name is there.
    fn forget_given(&mut self, service: &Name) {
        if !self.world.facts.bundles.iter().any(|unit| unit.name == *service) {
            self.world.settings.services.given.retain(|one| one.service != service.as_str());
            self.kept.dirty = true;
        }
    }

    /// Has volumes taken away. Of those that are too many for one message the rest is not.
    pub(super) fn drop_volumes(
        &mut self,
        mut answer: Option<&mut Msg<'static>>,
        drops: Vec<Drops>,
        now_ms: u64,
    ) {
        for Drops { command, service, provider } in drops {
            let dropped = if boot_ms() > now_ms.saturating_add(PATIENCE_MS) {
                Err("it takes too long; ask again".to_owned())
            } else {
                let (service, provider) = (service.clone(), provider.clone());
                self.rooms.packages.at_once(&Ask::Drop { service, provider })
            };
            match dropped {
                Ok(()) => {
                    // Whoever reads next does not see it any more.
                    self.world.forget_volume(&service, &provider);
                    self.forget_given(&service);
                    self.stale = true;
                }
                Err(why) => {
                    let Some(results) = results(answer.as_deref_mut()) else { continue };
                    let mut its = results.iter_mut().filter(|one| one.executed_command == command);
                    if let Some(result) = its.next() {
                        result.kind = Some(OperationKind::Failure(Failure::new(Code::COMMAND_FAILURE, why)));
                    }
                }
            }
        }
    }
}
