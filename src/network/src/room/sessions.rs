//! Descriptors of PPP: what `lease` needs to make a session, and what keeps one alive without it.
//!
//! In:  what `lease` has learned, with what came along. Out: the descriptors that go with a wish.
//!
//! Opening `/dev/ppp` and making a link of it is a right over the network (`CAP_NET_ADMIN`), which `lease` has not; so we do both. What a
//! session consists of (channel, unit, socket, memory) is kept here, so that the link and its addresses outlive a death of `lease`.
//!
//! Source: drivers/net/ppp/ppp_generic.c, `ppp_open`, `ppp_unattached_ioctl`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::learn::{Learned, Wish};
use log::warn;
use sys::ppp;
use sys::seqpacket::Descriptors;

/// The number of our PPP link: `contract::wanted::PPP_LINK`.
const PPP_UNIT: u32 = 0;
/// The device.
const DEVICE: &str = "/dev/ppp";

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    kept: Vec<OwnedFd>,
    /// For this channel a PPP link is wanted.
    channel: Option<u32>,
    /// The log has said that there is no such device.
    said: bool,
}

impl Sessions {
    /// Takes in what came along. Has the wish to be sent again, with new descriptors?
    pub(super) fn hear(&mut self, learned: &Learned, along: Descriptors) -> bool {
        match learned {
            Learned::SignedIn { channel, .. } => {
                self.kept.clear();
                self.channel = Some(*channel);
                true
            }
            Learned::Session(_) => {
                let came: Vec<OwnedFd> = along.into_iter().flatten().collect();
                if !came.is_empty() {
                    self.kept = came;
                }
                false
            }
            Learned::SessionLost { .. } => {
                self.kept.clear();
                self.channel = None;
                false
            }
            Learned::Lease(_) | Learned::Lost { .. } | Learned::Ipv6(_) | Learned::Mappings { .. } => false,
        }
    }

    /// What goes along with `wish`: four that are kept, or two of a link that was just asked for, or none.
    pub(super) fn along(&mut self, wish: &Wish, then: impl FnOnce(&[BorrowedFd<'_>])) {
        if !wish.clients.iter().any(|client| client.pppoe.is_some()) {
            self.kept.clear(); // The link goes with them.
            return then(&[]);
        }
        if !self.kept.is_empty() {
            let kept: Vec<BorrowedFd<'_>> = self.kept.iter().map(AsFd::as_fd).collect();
            return then(&kept);
        }
        let Some(channel) = self.channel.take() else { return then(&[]) };
        match link(channel) {
            Ok([channel, unit]) => then(&[channel.as_fd(), unit.as_fd()]),
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!("{DEVICE}: {error}: no PPP link can be made");
                }
                then(&[]);
            }
        }
    }
}

/// Makes a PPP link of a channel: descriptors of the channel and of the unit.
fn link(channel: u32) -> io::Result<[OwnedFd; 2]> {
    let open = || File::options().read(true).write(true).open(DEVICE).map(OwnedFd::from);
    let (near, unit) = (open()?, open()?);
    ppp::attach(&near, channel)?;
    let number = ppp::new_unit(&unit, PPP_UNIT)?;
    // Nothing passes before both sides have their addresses.
    for protocol in ppp::PROTOCOLS {
        ppp::set_passing(&unit, protocol, false)?;
    }
    ppp::connect(&near, number)?;
    Ok([near, unit])
}
