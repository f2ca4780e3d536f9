//! Words between rooms: names, limits, the manifest, the wanted network, one message enum per wire.
//!
//! In:  nothing; every room may import it.
//! Out: types whose bounds are part of the type, and `frame`, their only form as bytes.
//!
//! Not here: I/O, clocks, logs, allocation (but for long lists, `list`, and the feature `text`, which reads TOML).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "text")]
extern crate std;

pub mod base64;
pub mod limit;
pub mod list;
pub mod mac;
pub mod name;
pub mod prefix;

pub mod layer;
pub mod manifest;
pub mod restart;
pub mod slice;
#[cfg(feature = "text")]
pub mod text;
pub mod wanted;

pub mod frame;
pub mod keep;
pub mod wires;

pub mod attach;
pub mod calls;
pub mod clock;
pub mod control;
pub mod doctor;
pub mod groups;
pub mod identify;
pub mod installed;
pub mod learn;
pub mod leases;
pub mod local;
pub mod mount;
pub mod packages;
pub mod resolve;
pub mod show;
pub mod sla;
pub mod tenant;
pub mod told;

pub use list::List;
pub use name::{Name, Text};
