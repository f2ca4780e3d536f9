//! What controllers have changed: subscriptions, and a few words about each controller.
//!
//! In:  orders that were checked (`model.rs`). Out: all of it, as bytes for the disk and back. It is copied for each request that changes
//! something, so that a request that fails leaves nothing behind.
//!
//! Not here: what the operator's file says (`configuration.rs`), when it is kept (`room.rs`).

use serde::{Deserialize, Serialize};

use crate::bulk::profile::Profiles;
use crate::configuration::Controller;
use crate::kept_form;
use crate::threshold::Threshold;
use levels::Levels;
use roles::Roles;

pub mod levels;
pub mod roles;

/// Subscriptions of all controllers.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Subscriptions of one controller: none can take all.
pub const SUBSCRIPTIONS_OF_ONE_MAX: usize = 128;
/// Subscriptions of a service that came with roles: all of them together leave half to the operator.
pub const SUBSCRIPTIONS_OF_SERVICE_MAX: usize = SUBSCRIPTIONS_MAX / 2 / roles::GRANTED_MAX;
/// Bytes of all of it on the disk: the subscriptions above with references of 300 letters each.
pub const BYTES_MAX: usize = 128 * 1024;
/// The form of the file.
pub const VERSION: u16 = 2;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NotifType {
    /// A value is another one.
    #[default]
    ValueChange,
    /// A row is there.
    ObjectCreation,
    /// A row is gone.
    ObjectDeletion,
    /// A command has ended.
    OperationComplete,
    /// Something happened.
    Event,
}

impl NotifType {
    /// Every one, with its word. Source: TR-181, `Device.LocalAgent.Subscription.{i}.NotifType`.
    pub const WORDS: [(Self, &'static str); 5] = [
        (Self::ValueChange, "ValueChange"),
        (Self::ObjectCreation, "ObjectCreation"),
        (Self::ObjectDeletion, "ObjectDeletion"),
        (Self::OperationComplete, "OperationComplete"),
        (Self::Event, "Event"),
    ];
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// Its row.
    pub row: u32,
    /// The row of the controller that is told.
    pub recipient: u32,
    /// It is looked at.
    pub enable: bool,
    /// What the controller calls it.
    pub id: String,
    /// Another name.
    pub alias: String,
    /// What is told.
    pub kind: NotifType,
    /// Of which paths.
    pub references: Vec<String>,
    /// It outlives a restart.
    pub persistent: bool,
    /// When it was made, in seconds since 1970; 0: the clock was not believed.
    pub created_s: i64,
    /// For how long it holds, in seconds; 0: for ever.
    pub time_to_live_s: u32,
    /// News is sent again until it is answered.
    pub retry: bool,
    /// For how long, in seconds; 0: for ever.
    pub expiration_s: u32,
}

/// What a controller may say about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its endpoint id: the operator's file may name others by now.
    pub endpoint: String,
    /// Another name.
    pub alias: String,
    /// It is obeyed.
    pub enable: bool,
    /// How often it hears `Periodic!`, in seconds.
    pub periodic_s: u32,
    /// Retries of news: the shortest wait, in seconds.
    pub retry_minimum_s: u16,
    /// And by how much each is longer than the one before, in thousandths.
    pub retry_multiplier: u16,
    /// End-to-end sessions are allowed.
    pub session: bool,
    /// The longest piece of a session, in bytes; 0: as the broker likes.
    pub record_bytes: u32,
    /// It knows us, and has done with us what it wants to.
    pub onboarded: bool,
    /// Else it hears of us again after so many seconds; 0: it does not.
    pub onboarding_restart_s: u32,
    /// What it wants to know at a boot.
    pub boot: Vec<BootParameter>,
    /// The row that the next one of these gets.
    pub next_boot: u32,
    /// How a session of ours is begun again. It is kept in [`Settings`]: the form of the file is older.
    #[serde(skip)]
    pub session_retry: Retry,
    /// How it is called again by WebSocket; kept likewise.
    #[serde(skip)]
    pub web_retry: Retry,
}

/// How a session that we have begun is begun again, or a controller is called again. Source: TR-369, R-E2E.10, R-WS.19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The shortest wait, in seconds.
    pub minimum_s: u16,
    /// And by how much each is longer than the one before, in thousandths.
    pub multiplier: u16,
}

impl Default for Retry {
    fn default() -> Self {
        Self { minimum_s: 5, multiplier: 2000 }
    }
}

impl Retry {
    /// Both.
    #[must_use]
    pub fn pair(self) -> (u16, u16) {
        (self.minimum_s, self.multiplier)
    }
}

/// A parameter, or several, that `Boot!` tells a controller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootParameter {
    /// Its row.
    pub row: u32,
    /// Another name.
    pub alias: String,
    /// It is told.
    pub enable: bool,
    /// Which.
    pub name: String,
}

impl Said {
    /// What counts for a controller that has said nothing yet.
    #[must_use]
    pub fn of(controller: &Controller, row: u32) -> Self {
        let mut said = Self::new(&controller.endpoint, row, controller.session);
        if let Some(discovered) = &controller.discovered {
            said.retry_minimum_s = discovered.retry_minimum_s.unwrap_or(said.retry_minimum_s);
            said.retry_multiplier = discovered.retry_multiplier.unwrap_or(said.retry_multiplier);
        }
        said
    }

    /// As TR-181 has it where nothing was said.
    #[must_use]
    pub fn new(endpoint: &str, row: u32, session: bool) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            alias: format!("cpe-{row}"),
            enable: true,
            periodic_s: 86_400,
            retry_minimum_s: 5,
            retry_multiplier: 2000,
            session,
            record_bytes: 0,
            onboarded: true,
            onboarding_restart_s: 0,
            boot: Vec::new(),
            next_boot: 0,
            session_retry: Retry::default(),
            web_retry: Retry::default(),
        }
    }
}

/// A value that a service is told, or a secret of its.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Given {
    /// Its row; rows of one service count on over both kinds, and none comes twice.
    pub row: u32,
    /// Whose. It is the service itself, not a row that might be another's some day.
    pub service: String,
    /// It is kept and told to the service, and nobody reads it back.
    pub is_secret: bool,
    /// Its name; empty: it has none yet, and is told to nobody.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What services are told. It is a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Services {
    /// Values and secrets of all services.
    pub given: Vec<Given>,
    /// The row that the next one gets.
    pub next: u32,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// In order of their rows.
    pub subscriptions: Vec<Subscription>,
    /// The row that the next one gets: none comes twice.
    pub next_subscription: u32,
    /// In order of the controllers' rows.
    pub controllers: Vec<Said>,
    /// Run levels of slices and services.
    pub levels: Levels,
    /// Of controllers, by their endpoint ids, what is not as it was at first. Files of before end here, or before this.
    session_retries: Vec<(String, Retry)>,
    /// Thresholds, in order of their rows.
    pub thresholds: Vec<Threshold>,
    /// The row that the last one got: none comes twice. Files of before end before these two.
    pub next_threshold: u32,
    /// See `session_retries`. Files of before end before this.
    web_retries: Vec<(String, Retry)>,
    /// What services are told. Source: docs/tenant.md.
    #[serde(skip)]
    pub services: Services,
    /// Profiles of bulk data.
    #[serde(skip)]
    pub bulk: Profiles,
    /// Roles of slices and services.
    #[serde(skip)]
    pub roles: Roles,
}

impl Settings {
    /// What outlives a restart.
    #[must_use]
    pub fn kept(&self) -> Self {
        let mut kept = self.clone();
        kept.subscriptions.retain(|one| one.persistent);
        kept.session_retries = others(&kept.controllers, |said| said.session_retry);
        kept.web_retries = others(&kept.controllers, |said| said.web_retry);
        kept
    }

    /// As bytes; `None`: too many.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8>> {
        kept_form::write(self, BYTES_MAX)
    }

    /// From bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut settings: Self = kept_form::read_older(bytes, 4)?;
        let (sessions, web) =
            (std::mem::take(&mut settings.session_retries), std::mem::take(&mut settings.web_retries));
        for said in &mut settings.controllers {
            let of = |list: &[(String, Retry)]| {
                list.iter().find(|(endpoint, _)| *endpoint == said.endpoint).map(|(_, retry)| *retry)
            };
            said.session_retry = of(&sessions).unwrap_or_default();
            said.web_retry = of(&web).unwrap_or_default();
        }
        Some(settings)
    }

    /// What a service is told in `row`.
    #[must_use]
    pub fn given(&self, row: u32) -> Option<&Given> {
        self.services.given.iter().find(|one| one.row == row)
    }

    /// What a service is told in `row`, to be changed.
    pub fn given_mut(&mut self, row: u32) -> Option<&mut Given> {
        self.services.given.iter_mut().find(|one| one.row == row)
    }

    /// Subscription `row`.
    #[must_use]
    pub fn subscription(&self, row: u32) -> Option<&Subscription> {
        self.subscriptions.iter().find(|one| one.row == row)
    }

    /// Subscription `row`, to be changed.
    pub fn subscription_mut(&mut self, row: u32) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|one| one.row == row)
    }
}

/// Of controllers whose waits are not as they were at first: which, and what they are.
fn others(controllers: &[Said], get: fn(&Said) -> Retry) -> Vec<(String, Retry)> {
    let all = controllers.iter().map(|said| (said.endpoint.clone(), get(said)));
    all.filter(|(_, retry)| *retry != Retry::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Retry, Said, Settings, Subscription};

    #[test]
    fn what_is_to_stay_stays() {
        let one = |row, persistent| Subscription { row, persistent, ..Subscription::default() };
        let settings = Settings {
            subscriptions: vec![one(1, true), one(2, false)],
            next_subscription: 3,
            ..Settings::default()
        };
        let back = Settings::read(&settings.kept().write().unwrap()).unwrap();
        assert_eq!((back.subscriptions, back.next_subscription), (vec![one(1, true)], 3));
        assert_eq!(Settings::read(b"\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn a_file_of_before_is_read() {
        let retry = Retry { minimum_s: 7, multiplier: 1500 };
        let controllers = vec![
            Said::new("self::a", 1, true),
            Said { session_retry: retry, web_retry: retry, ..Said::new("self::b", 2, true) },
        ];
        let settings = Settings { controllers, ..Settings::default() };
        let bytes = settings.kept().write().unwrap();
        let retries = |settings: Settings| -> Vec<Retry> {
            settings.controllers.iter().map(|said| said.session_retry).collect()
        };
        let first = Retry::default();
        assert_eq!(retries(Settings::read(&bytes).unwrap()), [first, retry]);
        assert_eq!(Settings::read(&bytes).unwrap().controllers[1].web_retry, retry);
        // Without waits by WebSocket: one entry, its endpoint id with its length, two numbers of one and two bytes.
        let before = &bytes[..bytes.len() - (1 + 8 + 1 + 2)];
        let read = Settings::read(before).unwrap();
        assert_eq!(read.controllers[1].web_retry, first);
        assert_eq!(retries(read), [first, retry]);
        // Without thresholds: a list of none, and a number.
        let before = &before[..before.len() - 2];
        assert_eq!(retries(Settings::read(before).unwrap()), [first, retry]);
        // Nor with the list of sessions' waits.
        let before = &before[..before.len() - (1 + 8 + 1 + 2)];
        assert_eq!(retries(Settings::read(before).unwrap()), [first, first]);
    }
}
