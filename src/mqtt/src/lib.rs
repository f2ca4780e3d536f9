//! MQTT 3.1.1 and 5.0 as USP needs it: packets as bytes, and a client as a pure machine.
//!
//! In:  a broker's bytes, the time. Out: bytes for it, records.
//!
//! No socket, no clock: the agent on the gateway and the controller at the desk share it.
//!
//! Not here: connections and TLS (`agent`, `shg`), what is in a record (`usp`).
//!
//! Source: TR-369 §4.6; docs/decisions/0030-mqtt-client.md.
#![forbid(unsafe_code)]

pub mod client;
pub mod counts;
mod outbox;
pub mod packet;
