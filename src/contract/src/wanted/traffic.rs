//! Queues: what leaves and comes in by the WAN link, in which order and how much.
//!
//! Voice goes first and is bounded; TV has its guarantee; the Internet play and hosted services share the rest.
//!
//! Source: tc-htb(8), tc-fq_codel(8), RFC 4594 (service classes), RFC 8325.

use serde::{Deserialize, Serialize};

/// Queues on the WAN link. Rates are of the line, in kbit/s (1000 bit/s) of frames with their Ethernet headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qos {
    /// What the line carries to the operator.
    pub up_kbit_s: u32,
    /// What it carries to the home.
    pub down_kbit_s: u32,
    /// The most that voice takes, in each direction.
    #[serde(default = "voice_kbit_s")]
    pub voice_kbit_s: u32,
    /// What TV is guaranteed, to the home.
    #[serde(default)]
    pub tv_kbit_s: u32,
    /// What hosted services together are guaranteed, in each direction.
    #[serde(default)]
    pub services_kbit_s: u32,
    /// What each frame takes on the line beside itself, in bytes (PPPoE, VLAN, ATM or PTM framing).
    #[serde(default)]
    pub overhead_bytes: u8,
}

const fn voice_kbit_s() -> u32 {
    1_000 // Ten calls of 64 kbit/s with their headers.
}
