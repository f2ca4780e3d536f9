//! A profile of bulk data: what is reported, how often, how, and where to.
//!
//! In:  what controllers have set (`model/bulk.rs`). Out: the same, checked; it is kept on the disk.
//!
//! Source: TR-181 2.19.1, `Device.BulkData.Profile.{i}.`, whose words these are.

use serde::{Deserialize, Serialize};

/// Profiles of all controllers.
pub const PROFILES_MAX: usize = 8;
/// References of one profile.
pub const PARAMETERS_MAX: usize = 64;
/// Further parameters of its URL.
pub const URI_PARAMETERS_MAX: usize = 8;
/// The shortest interval, in seconds: a report costs the gateway and the line something.
pub const INTERVAL_S_MIN: u32 = 5;
/// All profiles on the disk, in bytes.
pub const BYTES_MAX: usize = 96 * 1024;

/// A way for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// POST or PUT to a collector.
    #[default]
    Http,
    /// To a topic of a broker.
    Mqtt,
    /// As an event, to whoever has subscribed.
    Event,
}

/// What a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// RFC 8259.
    #[default]
    Json,
    /// RFC 4180.
    Csv,
}

impl Encoding {
    /// Source: TR-369 §A.4, §A.5 (R-BULK.7, R-BULK.8a, R-BULK.11).
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=UTF-8",
            Self::Csv => "text/csv; charset=UTF-8; header=present",
        }
    }
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Layout {
    /// One object a report, whole paths.
    #[default]
    NameValuePair,
    /// As the tree is.
    ObjectHierarchy,
}

/// How CSV is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Table {
    /// A parameter a column.
    #[default]
    ParameterPerColumn,
    /// A parameter a row.
    ParameterPerRow,
}

/// How a report says when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Timestamp {
    /// Seconds since 1970.
    #[default]
    UnixEpoch,
    /// As in the tree.
    Iso8601,
    /// It does not.
    None,
}

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reference {
    /// Its row.
    pub row: u32,
    /// What the report calls it; empty: its path.
    pub name: String,
    /// A parameter, or an object; `*` for rows.
    pub path: String,
    /// It is left out, whoever else names it.
    pub exclude: bool,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its row.
    pub row: u32,
    /// The endpoint of the controller that has made it: its rights count.
    pub controller: String,
    /// Another name.
    pub alias: String,
    /// Its name.
    pub name: String,
    /// It is wanted.
    pub enable: bool,
    /// The way.
    pub protocol: Protocol,
    /// What it is written in.
    pub encoding: Encoding,
    /// From one report to the next, in seconds.
    pub interval_s: u32,
    /// Reports fall on this moment, seconds since 1970, and whole intervals from it; 0: on none.
    pub reference_s: i64,
    /// Reports that are kept when they could not be delivered; negative: as many as there is room for.
    pub retained: i32,
    /// How JSON is laid out.
    pub layout: Layout,
    /// And says when.
    pub json_time: Timestamp,
    /// How CSV is laid out.
    pub table: Table,
    /// And says when.
    pub csv_time: Timestamp,
    /// Between fields.
    pub field_separator: String,
    /// Between rows; `&#13;` and the like stand for what they say.
    pub row_separator: String,
    /// Around fields that need it.
    pub escape: String,
    /// The collector.
    pub url: String,
    /// Who we are to it.
    pub username: String,
    /// And how we prove it.
    pub password: String,
    /// PUT in place of POST.
    pub puts: bool,
    /// It says the date.
    pub dates: bool,
    /// What is not delivered is tried again.
    pub retry: bool,
    /// The shortest wait, in seconds.
    pub retry_minimum_s: u16,
    /// By how much each is longer than the one before, in thousandths.
    pub retry_multiplier: u16,
    /// The broker: `Device.MQTT.Client.{i}`.
    pub client: String,
    /// Its topic.
    pub topic: String,
    /// What is reported.
    pub parameters: Vec<Reference>,
    /// What is said in the URL.
    pub uri: Vec<Reference>,
    /// The row that the next reference gets.
    pub next: u32,
}

impl Profile {
    /// As TR-181 has it where nothing was said.
    #[must_use]
    pub fn new(row: u32, controller: &str) -> Self {
        Self {
            row,
            controller: controller.to_owned(),
            alias: format!("cpe-{row}"),
            name: String::new(),
            enable: false,
            protocol: Protocol::Http,
            encoding: Encoding::Json,
            interval_s: 86_400,
            reference_s: 0,
            retained: 0,
            layout: Layout::NameValuePair,
            json_time: Timestamp::UnixEpoch,
            table: Table::ParameterPerColumn,
            csv_time: Timestamp::UnixEpoch,
            field_separator: ",".to_owned(),
            row_separator: "&#13;&#10;".to_owned(),
            escape: "&quot;".to_owned(),
            url: String::new(),
            username: String::new(),
            password: String::new(),
            puts: false,
            dates: true,
            retry: false,
            retry_minimum_s: 5,
            retry_multiplier: 2000,
            client: String::new(),
            topic: String::new(),
            parameters: Vec::new(),
            uri: Vec::new(),
            next: 0,
        }
    }

    /// From one report to the next, in milliseconds.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        u64::from(self.interval_s.max(INTERVAL_S_MIN)).saturating_mul(1000)
    }

    /// From now to the first, in milliseconds: to the next of the moments that it falls on, where the clock is believed.
    #[must_use]
    pub fn first_ms(&self, now_s: Option<i64>) -> u64 {
        let Some(now_s) = now_s.filter(|_| self.reference_s > 0) else { return self.interval_ms() };
        let interval_s = i64::from(self.interval_s.max(INTERVAL_S_MIN));
        let gone_s = now_s.saturating_sub(self.reference_s).rem_euclid(interval_s);
        u64::try_from(interval_s.saturating_sub(gone_s)).unwrap_or(0).saturating_mul(1000)
    }

    /// The row of its broker.
    #[must_use]
    pub fn client_row(&self) -> Option<u32> {
        self.client.strip_prefix("Device.MQTT.Client.")?.parse().ok()
    }
}

/// All of them; a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profiles {
    /// In order of their rows.
    pub profiles: Vec<Profile>,
    /// The row that the next one gets.
    pub next: u32,
}

impl Profiles {
    /// The one in `row`.
    #[must_use]
    pub fn one(&self, row: u32) -> Option<&Profile> {
        self.profiles.iter().find(|one| one.row == row)
    }

    /// The one in `row`, to be changed.
    pub fn one_mut(&mut self, row: u32) -> Option<&mut Profile> {
        self.profiles.iter_mut().find(|one| one.row == row)
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn reports_fall_on_their_moments() {
        let profile = Profile { interval_s: 300, reference_s: 1_000, ..Profile::new(1, "self::c") };
        let table = [
            (None, 300),
            (Some(1_000), 300),
            (Some(1_001), 299),
            (Some(1_299), 1),
            (Some(1_300), 300),
            (Some(990), 10),
        ];
        for (now_s, wait_s) in table {
            assert_eq!(profile.first_ms(now_s), wait_s * 1000, "{now_s:?}");
        }
        let free = Profile { reference_s: 0, ..profile };
        assert_eq!(free.first_ms(Some(1_001)), 300_000);
        let client = |text: &str| Profile { client: text.to_owned(), ..free.clone() }.client_row();
        assert_eq!(
            (client("Device.MQTT.Client.2"), client("Device.MQTT.Client.x"), client("")),
            (Some(2), None, None)
        );
    }
}
