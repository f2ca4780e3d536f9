//! Classes of the gateway's devices that a service may use.
//!
//! In:  a word of the manifest. Out: which devices those are.
//!
//! Source: Documentation/admin-guide/devices.txt.

use serde::{Deserialize, Serialize};

/// A class of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// Serial lines on USB. Never the machine's own (`ttyS`): that is its console.
    Serial,
    /// Cameras and what else V4L2 takes for one.
    Camera,
}

impl Device {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Camera => "camera",
        }
    }

    /// What their names in `/dev` begin with, and their major numbers.
    #[must_use]
    pub fn kinds(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Serial => &[("ttyACM", 166), ("ttyUSB", 188)],
            Self::Camera => &[("video", 81)],
        }
    }
}
