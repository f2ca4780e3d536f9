//! The wire `local`: a controller on the box → agent.
//!
//! A stream of frames as TR-369 has them for Unix domain sockets: a magic word, a length, values with a type and a length each. The first
//! frame of each end is a handshake with its endpoint id; records follow. The room `usp` reads and writes them (`frame.rs`).
//!
//! Who connects is known by his uid, and only who stands in the operator's word is let in.
//!
//! Source: TR-369 1.3, §4.7 (UDS binding).

/// Where a service finds it, in its own `/dev`.
pub const INSIDE: &str = "/dev/usp";
