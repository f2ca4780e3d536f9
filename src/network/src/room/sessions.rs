//! Descriptors of PPP: what `lease` needs to make a session, and what keeps one alive without it.
//!
//! In:  what `lease` has learned, with what came along. Out: the descriptors that go with a wish.
//!
//! Opening `/dev/ppp` and making a link of it is a right over the network (`CAP_NET_ADMIN`), which `lease` has not; so we open it. What a
//! session consists of (channel, unit, socket, memory) is kept here, so that the link and its addresses outlive a death of `lease`.
//!
//! Source: drivers/net/ppp/ppp_generic.c, `ppp_open`.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::learn::{Learned, Wish};
use log::warn;
use sys::seqpacket::Descriptors;

/// The device.
const DEVICE: &str = "/dev/ppp";

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    kept: Vec<OwnedFd>,
    /// The log has said that there is no such device.
    said: bool,
}

impl Sessions {
    /// Takes in what came along. Has the wish to be sent again, with new descriptors?
    pub(super) fn hear(&mut self, learned: &Learned, along: Descriptors) -> bool {
        match learned {
            Learned::Session(_) => {
                let came: Vec<OwnedFd> = along.into_iter().flatten().collect();
                if !came.is_empty() {
                    self.kept = came;
                }
                false
            }
            Learned::SessionLost { .. } => {
                self.kept.clear();
                true
            }
            Learned::Lease(_) | Learned::Lost { .. } | Learned::Ipv6(_) | Learned::Mappings { .. } => false,
        }
    }

    /// What goes along with `wish`: four that are kept, or two new ones, or none.
    pub(super) fn along(&mut self, wish: &Wish, then: impl FnOnce(&[BorrowedFd<'_>])) {
        if !wish.clients.iter().any(|client| client.pppoe.is_some()) {
            self.kept.clear(); // The link goes with them.
            return then(&[]);
        }
        if !self.kept.is_empty() {
            let kept: Vec<BorrowedFd<'_>> = self.kept.iter().map(AsFd::as_fd).collect();
            return then(&kept);
        }
        let open = || File::options().read(true).write(true).open(DEVICE);
        match open().and_then(|channel| Ok([channel, open()?])) {
            Ok([channel, unit]) => then(&[channel.as_fd(), unit.as_fd()]),
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!("{DEVICE}: {error}: no session can be made");
                }
                then(&[]);
            }
        }
    }
}
