//! What of commands outlives a restart: those under way, news of those that have ended, the rows that controllers know.
//!
//! In:  the world, news that waits. Out: bytes for the disk; and a world again. It is written before another room is asked for an operation
//! (`job.rs`), and before news of its end is sent, so both are told once: whatever is sent again after a crash has the number that it had.
//!
//! Not here: when it is written (`room/kept.rs`).

use contract::Name;
use serde::{Deserialize, Serialize};

use crate::job::{Job, Phase, Wishes};
use crate::kept_form;
use crate::network::Places;
use crate::rental::{self, Wish};
use crate::rows::Rows;
use crate::timer::Timer;
use crate::world::{Request, Tables, World};

/// The form of the file.
pub const VERSION: u16 = 2;
/// Its bytes: every request with the longest of names, and news.
pub const BYTES_MAX: usize = 256 * 1024;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Journal {
    next_request: u32,
    tables: Tables,
    places: Places,
    requests: Vec<Kept>,
    outbox: Vec<Outgoing>,
    /// Roles that services of operations under way shall have, by the operation's row. It stands last: a file of before ends here.
    wishes: Vec<(u32, Wishes)>,
    /// Timers, by their rows; behind that, too, files have ended.
    timers: Vec<(u32, Timer)>,
    /// Rows of operations that `package` was not asked for, and that can be asked for as they stand here. A file of before has none.
    waiting: Vec<u32>,
    /// Operations on slices, by their rows; and behind that.
    slices: Vec<(u32, Wish)>,
    /// Whether services of operations under way are started again when they end by themselves; a file of before has none of these, either.
    restarts: Vec<(u32, bool)>,
    /// Rows of volumes. In files of before volumes had the rows of their bundles.
    volumes: Rows,
}

/// A command that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    row: u32,
    /// The controller's endpoint: its row may be another one by then.
    originator: String,
    command: String,
    key: String,
    unit: Option<(Name, bool)>,
    begun: bool,
    job: Option<Job>,
    empties: Option<(Name, bool)>,
}

/// A piece of news that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The endpoint of its controller.
    pub controller: String,
    /// The row of the subscription.
    pub subscription: u32,
    /// The number of the message.
    pub id: String,
    /// The message.
    pub message: Vec<u8>,
    /// It is sent again until it is answered.
    pub retry: bool,
}

impl Journal {
    /// Of `world`, and news that waits.
    #[must_use]
    pub fn of(world: &World, outbox: Vec<Outgoing>) -> Self {
        let requests = world.requests.iter().filter_map(|request| {
            Some(Kept {
                row: request.row,
                originator: endpoint(world, request.originator)?.to_owned(),
                command: request.command.clone(),
                key: request.key.clone(),
                unit: request.unit.clone(),
                begun: request.begun,
                empties: request.empties.clone(),
                job: request.job.as_ref().map(|(job, _)| Job {
                    username: String::new(),
                    password: String::new(),
                    ..job.clone()
                }),
            })
        });
        let wishes = world.requests.iter().filter_map(|request| {
            let (job, _) = request.job.as_ref()?;
            (job.wishes != Wishes::default()).then(|| (request.row, job.wishes.clone()))
        });
        let restarts = world.requests.iter().filter_map(|request| {
            let (job, _) = request.job.as_ref()?;
            Some((request.row, job.restarts?))
        });
        let timers = world.requests.iter().filter_map(|one| Some((one.row, one.timer.clone()?)));
        let waiting = world.requests.iter().filter(|one| {
            // What was found on the disk without its words is not whole, though it has none.
            let waits = |(job, phase): &(Job, Phase)| {
                *phase == Phase::Waiting && Phase::found(one.begun, job.is_whole()) == Phase::Waiting
            };
            one.job.as_ref().is_some_and(waits)
        });
        let slices = world.requests.iter().filter_map(|one| Some((one.row, one.slice.as_ref()?.0.clone())));
        Self {
            next_request: world.next_request,
            tables: world.tables.clone(),
            places: world.network.rows.lasting(),
            requests: requests.collect(),
            outbox,
            wishes: wishes.collect(),
            timers: timers.collect(),
            waiting: waiting.map(|one| one.row).collect(),
            slices: slices.collect(),
            restarts: restarts.collect(),
            volumes: world.tables.volumes.clone(),
        }
    }

    /// It says that nothing is under way, with the rows of this world.
    #[must_use]
    pub fn is_idle(&self, world: &World) -> bool {
        let rows = self.next_request == world.next_request && self.tables == world.tables;
        rows && self.requests.is_empty() && self.outbox.is_empty()
    }

    /// As bytes; `None`: too many.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8>> {
        kept_form::write(self, BYTES_MAX)
    }

    /// From bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut journal: Self = kept_form::read_older(bytes, 8)?;
        if journal.volumes == Rows::default() {
            journal.volumes = journal.tables.bundles.clone();
        }
        journal.tables.volumes = journal.volumes.clone();
        Some(journal)
    }

    /// Puts it into `world`, where a command may have begun before the disk was there. A command that waits for a state of a service has
    /// until `until_ms`; an operation has what is left of its day.
    #[must_use]
    pub fn restore(self, world: &mut World, until_ms: u64, now_ms: u64) -> Vec<Outgoing> {
        world.tables = self.tables;
        world.network.rows = self.places;
        let begun_since = std::mem::take(&mut world.requests);
        world.next_request = self.next_request.max(1);
        for kept in self.requests {
            let Some(originator) = row(world, &kept.originator) else { continue };
            let job_until_ms =
                kept.job.as_ref().map(|job| now_ms.saturating_add(left_ms(job, world.facts.now_s)));
            let timer = self.timers.iter().find(|(row, _)| *row == kept.row).map(|(_, timer)| timer.clone());
            let clock = (world.facts.boot.as_slice(), now_ms);
            let timer = timer.map(|timer| timer.resume(world.facts.now_s, clock));
            let slice = self.slices.iter().find(|(row, _)| *row == kept.row).map(|(_, wish)| wish.clone());
            let day_ms = now_ms.saturating_add(crate::job::LONGEST_S.saturating_mul(1000));
            let until_ms = if slice.is_some() { day_ms } else { until_ms };
            let wishes = self.wishes.iter().find(|(row, _)| *row == kept.row);
            let wishes = wishes.map(|(_, wishes)| wishes.clone()).unwrap_or_default();
            let phase = Phase::found(!self.waiting.contains(&kept.row), true);
            let restarts = self.restarts.iter().find(|(row, _)| *row == kept.row).map(|(_, said)| *said);
            world.requests.push(Request {
                row: kept.row,
                originator,
                command: kept.command,
                key: kept.key,
                unit: kept.unit,
                until_ms: timer.as_ref().map(Timer::until_ms).or(job_until_ms).unwrap_or(until_ms),
                timer,
                begun: kept.begun,
                job: kept.job.map(|job| (Job { wishes, restarts, ..job }, phase)),
                progress: (0, 0),
                canceled: false,
                empties: kept.empties,
                slice: slice.map(|wish| (wish, rental::Phase::default())),
            });
        }
        for mut request in begun_since {
            request.row = world.next_request;
            world.next_request = world.next_request.saturating_add(1);
            world.requests.push(request);
        }
        self.outbox
    }
}

fn left_ms(job: &Job, now_s: Option<i64>) -> u64 {
    let now_s = now_s.and_then(|now_s| u64::try_from(now_s).ok()).filter(|_| job.begun_s > 0);
    let gone_s = now_s.map_or(0, |now_s| now_s.saturating_sub(job.begun_s));
    crate::job::LONGEST_S.saturating_sub(gone_s).saturating_mul(1000)
}

/// The endpoint of the controller in `row`.
#[must_use]
pub fn endpoint(world: &World, row: u32) -> Option<&str> {
    let place = usize::try_from(row.checked_sub(1)?).ok()?;
    world.settings.controllers.get(place).map(|said| said.endpoint.as_str())
}

/// The row of the controller with this endpoint id.
#[must_use]
pub fn row(world: &World, endpoint: &str) -> Option<u32> {
    let place = world.settings.controllers.iter().position(|said| said.endpoint == endpoint)?;
    u32::try_from(place).ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::{Journal, Outgoing};
    use crate::job::{Job, Phase, What, Wishes};
    use crate::rental::{self, Wish};
    use crate::testing::world;
    use crate::timer::Timer;
    use crate::world::Request;

    fn request(row: u32, job: Option<Job>) -> Request {
        Request {
            row,
            originator: 2,
            command: "Device.SoftwareModules.InstallDU()".to_owned(),
            key: "k".to_owned(),
            unit: None,
            until_ms: 7,
            begun: true,
            job: job.map(|job| (job, Phase::Asked)),
            progress: (1, 2),
            canceled: false,
            empties: None,
            slice: None,
            timer: None,
        }
    }

    fn job(username: &str, password: &str) -> Job {
        Job {
            what: What::Install,
            service: None,
            uuid: "u".to_owned(),
            tag: "t".to_owned(),
            url: "https://r/x:1".to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            slice: None,
            drop_data: false,
            image: [0; 32],
            version: 0,
            begun_s: 100,
            wishes: Wishes { required: Some(vec!["read".to_owned()]), optional: None },
            restarts: None,
        }
    }

    /// What was asked for may be under way; what was not is asked for, where it can be; and a file of before does not say which is which.
    #[test]
    fn what_only_waited_waits_on() {
        let mut before = world();
        let waits =
            |row, job| Request { job: Some((job, Phase::Waiting)), begun: false, ..request(row, None) };
        before.requests = vec![
            request(1, Some(job("", ""))),
            waits(2, job("", "")),
            waits(3, job("who", "")),
            waits(4, job("", "word")),
            waits(5, job("", "")),
        ];
        let bytes = Journal::of(&before, Vec::new()).write().unwrap();
        let phases = |bytes: &[u8]| -> (Vec<Phase>, Vec<u8>) {
            let mut after = world();
            let _ = Journal::read(bytes).unwrap().restore(&mut after, 60, 0);
            let phases = after.requests.iter().map(|one| one.job.as_ref().unwrap().1).collect();
            (phases, Journal::of(&after, Vec::new()).write().unwrap())
        };
        let (lost, waiting) = (Phase::Lost, Phase::Waiting);
        let (first, again) = phases(&bytes);
        assert_eq!(first, [lost, waiting, lost, lost, waiting]);
        assert_eq!(phases(&again).0, first, "nor is one without its word whole in the life after");
        // A list of two, two empty ones, rows of volumes.
        let (first, again) = phases(&bytes[..bytes.len() - 8]);
        assert_eq!((first, phases(&again).0), (vec![lost; 5], vec![lost; 5]));
    }

    #[test]
    fn what_is_under_way_is_taken_up_again_without_secrets() {
        let mut before = world();
        let job = Job { restarts: Some(false), ..job("who", "secret-word") };
        before.next_request = 6;
        before.requests = vec![request(5, Some(job.clone()))];
        let outgoing = Outgoing {
            controller: "self::b".to_owned(),
            subscription: 3,
            id: "n".to_owned(),
            message: vec![1],
            retry: true,
        };
        let bytes = Journal::of(&before, vec![outgoing.clone()]).write().unwrap();
        assert!(!bytes.windows(11).any(|piece| piece == b"secret-word"), "the word is nowhere");
        let mut after = world();
        after.next_request = 2;
        after.requests = vec![request(1, None)];
        after.facts.now_s = Some(1_100);
        let outbox = Journal::read(&bytes).unwrap().restore(&mut after, 60, 1_000_000);
        assert_eq!(outbox, [outgoing]);
        let rows: Vec<u32> = after.requests.iter().map(|request| request.row).collect();
        assert_eq!((rows, after.next_request), (vec![5, 6], 7), "no row comes twice");
        let kept = &after.requests[0];
        assert_eq!(kept.until_ms, 1_000_000 + (86_400 - 1_000) * 1_000, "what is left of the day");
        let job = Job { username: String::new(), password: String::new(), ..job };
        assert_eq!(kept.job, Some((job, Phase::Lost)));
        assert!(Journal::read(b"\xff\xff\xff\xff\xff\xff").is_none());
    }

    #[test]
    fn a_slice_that_was_asked_for_is_asked_for_again() {
        let mut before = world();
        let wish = Wish::Release(contract::Name::new("acme").unwrap());
        let asked = rental::Phase::Asked { again: false };
        before.requests = vec![Request { slice: Some((wish.clone(), asked)), ..request(5, None) }];
        let bytes = Journal::of(&before, Vec::new()).write().unwrap();
        let mut after = world();
        let _ = Journal::read(&bytes).unwrap().restore(&mut after, 60, 1_000);
        let kept = &after.requests[0];
        assert_eq!((&kept.slice, kept.until_ms), (&Some((wish, rental::Phase::Lost)), 1_000 + 86_400_000));
    }

    #[test]
    fn a_timer_goes_on_and_a_file_of_before_is_read() {
        let mut before = world();
        before.facts.boot = b"one".to_vec();
        before.facts.now_s = Some(1_000);
        let timer = Timer::begin(60, before.facts.now_s, (b"one", 0));
        before.requests = vec![Request { timer: Some(timer), ..request(1, None) }];
        let bytes = Journal::of(&before, Vec::new()).write().unwrap();
        let mut after = world();
        after.facts.boot = b"two".to_vec();
        after.facts.now_s = Some(1_040);
        let _ = Journal::read(&bytes).unwrap().restore(&mut after, 7, 5_000);
        assert_eq!(after.requests[0].until_ms, 25_000, "what is left of it");
        // Five lists were not there before, and rows of volumes, which are three numbers.
        let bytes = Journal::of(&world(), Vec::new()).write().unwrap();
        for cut in 1..=8 {
            assert_eq!(
                Journal::read(&bytes[..bytes.len() - cut]).unwrap(),
                Journal::of(&world(), Vec::new())
            );
        }
    }

    #[test]
    fn a_volume_keeps_its_row() {
        let mut before = world();
        before.tables.bundles.keep(["hello", "cam"].into_iter());
        let again = |bytes: &[u8]| {
            let mut after = world();
            let _ = Journal::read(bytes).unwrap().restore(&mut after, 60, 0);
            after.tables.volumes
        };
        let bytes = Journal::of(&before, Vec::new()).write().unwrap();
        assert_eq!(again(&bytes[..bytes.len() - 3]).row("cam"), Some(2), "before, it was its bundle's");
        before.tables.volumes.keep(["cam"].into_iter());
        let bytes = Journal::of(&before, Vec::new()).write().unwrap();
        assert_eq!(again(&bytes), before.tables.volumes);
    }
}
