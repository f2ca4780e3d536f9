//! `Device.X_SHG_Network.`: a change of the network that is on trial.

use usp::message::read::ValueType as T;

use super::Object;
use crate::model::{Event, moving, read};

pub(super) const OBJECTS: &[Object] = &[Object {
    // It was not confirmed: its controller did not come back in time.
    events: &[Event { name: "Reverted", arguments: &["Reason"] }],
    ..Object::single(
        "Device.X_SHG_Network.",
        &[
            read("OnTrial", T::Boolean, |world, _| Some((world.network.trial_s > 0).to_string())),
            // Seconds.
            moving("RemainingTrialTime", T::UnsignedInt, |world, _| Some(world.network.trial_s.to_string())),
        ],
    )
}];
