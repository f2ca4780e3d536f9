//! PID 1: mounts, reaps, keeps the supervisor and the descriptors, feeds the watchdog, ends the machine.
//!
//! In:  signals, the power button, frames of `contract::keep` from the supervisor.
//! Out: a running supervisor, whatever happens to it; and in the end a machine that was stopped in order.
//!
//! It parses nothing that a stranger wrote, asks for no memory after boot, never touches a disk. What is missing (a module, a mount,
//! a watchdog) is logged, and the box goes on.
//!
//! Not here: what runs and why (`supervisor`), disks (`storage`).
#![forbid(unsafe_code)]

pub mod boot;
pub mod console;
pub mod modules;

pub mod inbox;
pub mod keeper;
pub mod store;

pub mod machine;
pub mod power;

use std::ffi::CStr;

use contract::keep;

/// How long things may take, and where the supervisor is. Tests run with shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The program that is kept alive.
    pub supervisor: &'static CStr,
    /// It is taken for hung after this long without a word, in milliseconds.
    pub alive_ms: u64,
    /// It may take this long to stop everything, in milliseconds: the longest `stop_grace_ms` of a sane service, and unmounting.
    pub stop_ms: u64,
    /// The pause before its next life from the third death within [`Limits::crowd_ms`] on, in milliseconds.
    pub pause_ms: u64,
    /// See [`Limits::pause_ms`].
    pub crowd_ms: u64,
    /// The hardware watchdog's limit, in seconds. It covers boot, too: the emulated board needs half a minute under load.
    pub watchdog_s: u16,
}

/// What the gateway runs with.
pub const LIMITS: Limits = Limits {
    supervisor: c"/sbin/supervisor",
    alive_ms: keep::ALIVE_LIMIT_MS,
    stop_ms: 15_000,
    pause_ms: 1_000,
    crowd_ms: 10_000,
    watchdog_s: 60,
};

const _: () = assert!(keep::ALIVE_LIMIT_MS > 3 * keep::ALIVE_EVERY_MS);
