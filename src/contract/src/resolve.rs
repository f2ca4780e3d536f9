//! The wire `resolve`: lease → names: local names; ctl → names: numbers.
//!
//! `lease` sends [`Ask::Local`] at once and at every change, in as many frames as it takes; nothing comes back. `ctl` sends
//! [`Ask::Show`]; the answer is any number of rows and then [`Answer::Done`].

use core::net::IpAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::name::Text;
use crate::wanted::{LinkName, Mac};

/// Names in one frame.
pub const NAMES_A_FRAME: usize = 128;

/// What may be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Names of hosts. `first`: those that were said before are forgotten. From `lease` only.
    Local {
        /// Is this the first frame of a new list?
        first: bool,
        /// The names.
        names: Vec<Local, NAMES_A_FRAME>,
    },
    /// Numbers. From `ctl` only.
    Show,
}

/// A host's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Its own name for itself, one label.
    pub name: Text<63>,
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address.
    pub mac: Mac,
    /// On which link.
    pub link: LinkName,
}

/// What `names` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A number, or a fact.
    Row {
        /// What.
        name: Text<40>,
        /// Its value.
        value: Text<96>,
    },
    /// That was all.
    Done,
}
