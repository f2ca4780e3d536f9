//! USP as bytes and words: records, messages, paths, permissions, error codes, session contexts.
//!
//! In:  a stranger's bytes, texts of paths. Out: types that can hold no nonsense; and bytes again.
//!
//! No socket, no clock, no state but what a caller holds: the agent on the gateway and the controller at the desk share it.
//!
//! Not here: transports, the tree of parameters (`agent`).
//!
//! Source: TR-369 1.4 (USP); docs/usp.md.
#![forbid(unsafe_code)]

pub mod frame;
pub mod message;
pub mod record;

pub mod outline;

pub mod path;
pub mod permission;

pub mod session;

pub mod code;

mod proto;

pub use code::Code;
pub use message::Msg;
pub use proto::{Bytes, DESK, Error, GATEWAY, Limits, Text};
pub use record::Record;

/// The versions that are spoken, best last. Source: TR-181, `Device.LocalAgent.SupportedProtocols` is this list.
pub const VERSIONS: [&str; 2] = ["1.3", "1.4"];
