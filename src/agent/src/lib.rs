//! The USP agent: TR-181 for an operator's controllers, over MQTT, WebSocket and a Unix socket; and the services' socket.
//!
//! In:  the operator's word (`/etc/shg/agent.toml`), controllers' messages, what other rooms say. Out: answers, news, orders to the rooms
//! that can do them.
//!
//! It owns no truth but its own: subscriptions, and what controllers have said of themselves.
//!
//! Not here: bytes and words of USP (`usp`), what a service is (`supervisor`), the network (`network`).
//!
//! Source: TR-369 1.4, TR-181 2.19.1; docs/usp.md, docs/datamodel.md.
#![forbid(unsafe_code)]

pub mod configuration;
pub mod rows;
pub mod settings;
pub mod uuid;
pub mod world;

pub mod job;
pub mod network;
pub mod rental;

pub mod model;

pub mod access;
pub mod resolve;
pub mod roles;

pub mod answer;
pub mod news;
pub mod onboarding;

pub mod challenge;
pub mod log;
pub mod threshold;
pub mod timer;

pub mod backoff;
pub mod carrier;
pub mod discovery;
pub mod doctor;
pub mod doors;
pub mod fault;
pub mod peer;
pub mod proof;
pub mod stream;
pub mod websocket;

pub mod machine;
pub mod own;
pub mod packages;
pub mod rooms;
pub mod tenants;

pub mod broker;

pub mod bulk;

pub mod kept_form;

pub mod journal;

pub mod room;

#[cfg(test)]
mod testing;

use std::{fmt, io};

/// Why the daemon cannot work.
#[derive(Debug)]
pub enum Error {
    /// The system says no: to what, and why.
    System(&'static str, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}
