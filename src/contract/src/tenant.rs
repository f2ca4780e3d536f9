//! The wire `tenant`: service → agent, for a program in any language: one JSON object a line, in both directions.
//!
//! The words stand in docs/tenant.md; the agent reads and writes them (`agent`, `tenants/word.rs`). Who connects is known by the range of
//! uids that his service has, never by what he says.

/// Where a service finds it, in its own `/dev`.
pub const INSIDE: &str = "/dev/gateway";
/// A line, with its end, in bytes.
pub const LINE_BYTES: usize = 4096;
/// Metrics of one service.
pub const METRICS: usize = 32;
/// Values of a configuration, and secrets, of one service.
pub const SETTINGS: usize = 32;
/// A name of a metric, an event, a setting: letters, digits, `_`, `-`, `.`; a letter first.
pub const WORD_BYTES: usize = 48;
/// A value of a setting, in bytes.
pub const VALUE_BYTES: usize = 1024;
/// Values that come with one event.
pub const ARGUMENTS: usize = 8;
/// Connections of one service at a time: its processes, and one that is being replaced.
pub const CONNECTIONS: usize = 4;

// All that a service is told goes into a handful of lines, of which each holds at least three of its settings.
const _: () = assert!(LINE_BYTES > 3 * (VALUE_BYTES + WORD_BYTES));
