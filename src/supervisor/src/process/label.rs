//! Kinds of labels in PID 1's store: the first half of each.
//!
//! In:  nothing. Out: words. The other half is a process's name, or nothing.

/// A pidfd.
pub const PID: &str = "pid";
/// A record.
pub const RECORD: &str = "record";
/// A log's file, and the two ends of its pipe.
pub const RING: &str = "ring";
/// See [`RING`].
pub const READER: &str = "out";
/// See [`RING`].
pub const WRITER: &str = "in";
/// The two ends of the pipe for readiness.
pub const NOTE: &str = "note";
/// See [`NOTE`].
pub const NOTIFY: &str = "tell";
/// A tenant's network namespace.
pub const NETWORK: &str = "net";
/// Slices that are rented, all of them.
pub const SLICES: &str = "slices";
/// A listening wire.
pub const WIRE: &str = "wire";
/// Everything that is kept for one process.
pub const PROCESS: [&str; 8] = [RECORD, RING, READER, WRITER, NOTE, NOTIFY, NETWORK, PID];
