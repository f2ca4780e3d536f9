//! The loop: one thread, one poll.
//!
//! In:  the wire `told`, what hosts and the kernel say, questions on the wire `groups`, time. Out: queries, routes, answers.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

use contract::groups::Ask;
use contract::told::{Multicast, Told};
use contract::wires::TOLD;
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::mroute::Family;
use sys::{Errno, clock};
use wire::{Askers, Line, Listener};

use crate::Error;
use crate::answers::answers;
use crate::household::Household;
use crate::kernel::Kernel;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    line: Line<Told>,
    households: Vec<Household>,
}

impl Room {
    /// Serves `groups`. Nothing is told yet.
    #[must_use]
    pub fn new(groups: Listener) -> Self {
        Self { askers: Askers::new(groups), line: Line::new(TOLD), households: Vec::new() }
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            self.wait()?;
            let now_ms = clock::boot_ms();
            self.line.dial(now_ms);
            match self.line.hear() {
                Some((Told::Multicast(told), [four, six, ..])) => self.obey(told, [four, six], now_ms),
                Some((Told::Names(_) | Told::Voice(_) | Told::Time(_), _)) => warn!("told: not meant for us"),
                None => {}
            }
            for household in &mut self.households {
                household.turn(now_ms);
            }
            let households = &self.households;
            self.askers.turn(|Ask::Groups, client| client.send_all(answers(households, now_ms)));
        }
    }

    fn wait(&self) -> Result<(), Error> {
        let now_ms = clock::boot_ms();
        let dues = self.households.iter().map(|household| household.due_ms(now_ms));
        let left_ms = dues.chain(self.line.due_ms()).min().map(|due_ms| due_ms.saturating_sub(now_ms));
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let sockets = self.households.iter().map(|household| household.kernel().as_fd());
        let all = self.askers.descriptors().chain(self.line.descriptor()).chain(sockets);
        let mut wanted: Vec<PollFd<'_>> = all.map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Poll(errno)),
        }
    }

    /// Does as it was told. Sockets that come again are twins of those that we have: they are closed.
    fn obey(&mut self, told: Option<Multicast>, sockets: [Option<OwnedFd>; 2], now_ms: u64) {
        let Some(multicast) = told else {
            self.households.clear();
            return;
        };
        for (family, socket) in [Family::V4, Family::V6].into_iter().zip(sockets) {
            let known = self.households.iter_mut().find(|household| household.kernel().family() == family);
            match (known, socket) {
                (Some(household), _) => household.want(&multicast, now_ms),
                (None, Some(socket)) => {
                    let mut household = Household::adopt(Kernel::new(family, socket), now_ms);
                    household.want(&multicast, now_ms);
                    info!("{family:?}: {} links", household.places().len());
                    self.households.push(household);
                }
                (None, None) => warn!("{family:?}: no socket came, so nothing of it is routed"),
            }
        }
    }
}
