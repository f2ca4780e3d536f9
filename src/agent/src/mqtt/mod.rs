//! MQTT: packets, and a client of one broker. A decision of ours: docs/decisions/0030-mqtt-client.md.

pub mod client;
pub mod packet;
