//! What a controller's broker and we have said to each other, in numbers: over connections, until the controller is enabled anew.
//!
//! Source: TR-181 2.19.1, `Device.MQTT.Client.{i}.Stats.`.

use mqtt::counts::Counts;

use super::{Line, Peer};
use crate::carrier::Carrier;

/// The numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets, and when.
    pub counts: Counts,
    /// Connections that were tried in vain, or lost.
    pub connection_errors: u32,
    /// The controller is enabled.
    is_enabled: bool,
}

impl Peer {
    /// The numbers as they are now.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.line {
            Line::Up(_, carrier) => match &**carrier {
                Carrier::Mqtt(client) => Traffic { counts: client.counts(), ..self.traffic },
                Carrier::Web(_) | Carrier::Frames(_) => self.traffic,
            },
            Line::Down(_) | Line::Dialling(_) | Line::Awaited => self.traffic,
        }
    }

    /// A connection was tried in vain, or is lost.
    pub(super) fn count_error(&mut self) {
        self.traffic = self.traffic();
        self.traffic.connection_errors = self.traffic.connection_errors.saturating_add(1);
    }

    /// Who is enabled anew is counted anew.
    pub(super) fn look_whether_enabled(&mut self, enable: bool) {
        if enable && !self.traffic.is_enabled {
            if let Line::Up(_, carrier) = &mut self.line
                && let Carrier::Mqtt(client) = &mut **carrier
            {
                client.forget_counts();
            }
            self.traffic = Traffic::default();
        }
        self.traffic.is_enabled = enable;
    }
}
