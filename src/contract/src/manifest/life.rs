//! How a service lives: how one sees that it is well, how another version takes its place.
//!
//! In:  what the provider wrote. Out: plain values, bounded.
//!
//! Source: docs/manifest.md.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{ARGUMENT_BYTES, PATH_BYTES, PROBE_WORDS};
use crate::name::Text;

/// How one sees that a service is well, while it is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// What is tried.
    pub probe: Probe,
    /// The port inside, for [`Probe::Tcp`] and [`Probe::Http`].
    #[serde(default)]
    pub port: u16,
    /// What is asked for, for [`Probe::Http`].
    #[serde(default)]
    pub path: Text<PATH_BYTES>,
    /// The program and its arguments, for [`Probe::Exec`], as seen from inside.
    #[serde(default)]
    pub command: Vec<Text<ARGUMENT_BYTES>, PROBE_WORDS>,
    /// Between two tries, in milliseconds.
    #[serde(default = "every_ms")]
    pub every_ms: u32,
    /// How long one may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u32,
    /// So many that fail in a row end the service.
    #[serde(default = "fails")]
    pub fails: u8,
}

const fn every_ms() -> u32 {
    10_000
}

const fn timeout_ms() -> u32 {
    2_000
}

const fn fails() -> u8 {
    3
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// It says a line at `NOTIFY_FD`, at least so often.
    Notify,
    /// It takes a connection.
    Tcp,
    /// It answers a request with a code from 200 to 399.
    Http,
    /// A program of its own that its reaper runs inside ends with 0.
    Exec,
}

/// How another version takes a service's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// The old one ends, then the new one starts.
    #[default]
    Replace,
    /// The new one starts beside the old one, and takes its place once it is well: where both versions say so.
    Overlap,
}

/// Rules of [`Update::Overlap`] that are broken where the first of a pair is true: what there is once, two cannot have.
#[cfg(feature = "text")]
pub(super) fn update_rules(manifest: &super::Manifest) -> [(bool, &'static str); 3] {
    let overlaps = manifest.update == Update::Overlap;
    [
        (overlaps && manifest.volume.is_some(), "update: overlap: two versions cannot write to one volume"),
        (
            overlaps && !manifest.devices.is_empty(),
            "update: overlap: a device is used by one version at a time",
        ),
        (
            overlaps && manifest.again_s != 0,
            "update: overlap: for services that stay up; again_s is for those that end",
        ),
    ]
}

/// Rules that are broken where the first of a pair is true.
#[cfg(feature = "text")]
pub(super) fn health_rules(health: Option<&Health>, reaps: bool) -> [(bool, &'static str); 9] {
    let is = |broken: fn(&Health) -> bool| health.is_some_and(broken);
    [
        (
            is(|health| matches!(health.probe, Probe::Tcp | Probe::Http) != (health.port != 0)),
            "health.port: for tcp and http, and only for them",
        ),
        (
            is(|health| (health.probe == Probe::Http) != health.path.starts_with('/')),
            "health.path: for http, and only for it; it begins with a slash",
        ),
        (
            is(|health| health.path.bytes().any(|byte| !byte.is_ascii_graphic())),
            "health.path: plain letters, no space",
        ),
        (
            is(|health| {
                (health.probe == Probe::Exec)
                    != health.command.first().is_some_and(|program| program.starts_with('/'))
            }),
            "health.command: for exec, and only for it; an absolute path comes first",
        ),
        (is(|health| health.command.iter().any(|word| word.contains('\0'))), "health.command: no NUL"),
        (
            reaps && is(|health| health.probe == Probe::Exec),
            "health.probe: exec is run by the reaper, which `reaps` leaves out",
        ),
        (is(|health| !(1_000..=3_600_000).contains(&health.every_ms)), "health.every_ms: 1000 to 3600000"),
        (is(|health| !(100..=60_000).contains(&health.timeout_ms)), "health.timeout_ms: 100 to 60000"),
        (is(|health| health.fails == 0), "health.fails: 1 to 255"),
    ]
}
