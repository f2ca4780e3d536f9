//! The wire `calls`: ctl → voice.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`].

use core::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::name::Text;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Phones that are registered, and calls.
    Calls,
}

/// What voice answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A phone that is registered with the operator.
    Phone {
        /// Its own address for itself (Contact).
        contact: Text<96>,
        /// Where it is.
        address: Ipv4Addr,
        /// How long it is registered, in seconds.
        remaining_s: u32,
    },
    /// A call.
    Call {
        /// Its Call-ID, as much as fits.
        id: Text<64>,
        /// The phone's side of its media.
        phone: Ipv4Addr,
        /// The other side.
        peer: Ipv4Addr,
        /// Media packets from the phone.
        sent: u64,
        /// Media packets to the phone.
        received: u64,
        /// How long it has been, in seconds.
        age_s: u32,
    },
    /// That was all.
    Done,
}
