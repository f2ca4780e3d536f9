//! Tenants for tests, beside those of `src/services/*/rehearsal.toml`. The firmware is built without this.
//!
//! In:  the word in [`PLAY`], which only roots for tests have. Out: what that play needs.
//!
//! * Without a word: copies of the first service to fill the house, one that ends at once, a bush of processes, a pair of which one eats, one
//!   that wants more memory than it may have at once, and a bad neighbour that takes orders.
//! * `floors`: services that want all the processor, services that hold their memory, and services that want all of the disk: writers,
//!   readers, and such as make others wait.
//! * `neighbours`: a mob of four that takes orders, whose ceilings together are more than there is; a worker with the floor that it needs, and a
//!   writer. The mob and the writer have volumes.

use contract::Name;
use contract::Text;
use contract::layer::Layers;
use contract::manifest::{Audience, Cpu, Disk, Manifest, Memory, Protocol, Ready, Restart, Serve, Volume};

use super::Entry;

/// Which play is given.
const PLAY: &str = "/etc/shg/rehearsal";
/// Copies of the first service: with it and the tenant for tests the house has ten.
const COPIES: usize = 8;
/// A mob: so many, and the port before that of the first.
const MOB: u16 = 4;
const MOB_PORT: u16 = 7010;
/// Who serves pages to the home, each of them work: a floor that is enough for it, and its port.
const WORKER_PERMILLE: u32 = 250;
const WORKER_PORT: u16 = 7020;
/// Where `chatter` listens inside, whatever it does there.
const WEB_PORT: &str = "7000";
/// Who keeps a diary for the home.
const WRITER_PERMILLE: u32 = 50;
/// Its floor of the disk: most of its slice's, which is rented by the test.
const WRITER_DISK: Disk = Disk { floor_permille: 100, read_ceiling_kib_s: 0, write_ceiling_kib_s: 0 };
const WRITER_PORT: u16 = 7021;
/// The volumes of both kinds, in MiB.
const MOB_MIB: u32 = 24;
/// What each of the mob may write: together what a cheap stick carries.
const MOB_KIB_S: u32 = 1_024;
const WRITER_MIB: u32 = 4;
/// When the one of a pair begins to eat, in milliseconds after both are there.
const PAIR_MS: &str = "10000";
/// Who is slowed down: from where on, what it wants, and its ceiling, in MiB.
const GREEDY_HIGH_MIB: u32 = 8;
const GREEDY_MIB: &str = "24";
const GREEDY_CEILING_MIB: u32 = 32;
/// Services that hold their memory: more than fit.
const HOLDERS: usize = 18;
/// What each holds; its floor is a little more: its program, its page tables.
const HELD_MIB: u32 = 46;
const HOLDER_MIB: u32 = 48;
/// Services that want all the processor: name, provider, floor and ceiling in thousandths of a thread, threads.
const SPINNERS: [(&str, &str, u32, u32, &str); 4] = [
    ("spin-a", "north", 300, 2_000, "1"),
    ("spin-b", "north", 100, 2_000, "2"),
    ("spin-c", "south", 200, 2_000, "2"),
    ("spin-d", "south", 100, 150, "1"),
];
/// Services that want all of the disk: name, provider, floor in thousandths of it; the threads of each, and its volume, in MiB.
const POURERS: [(&str, &str, u32); 2] = [("pour-a", "north", 150), ("pour-b", "south", 50)];
const POURER_THREADS: &str = "3";
/// Services that read all that they can from it: name, provider, the most that they may, in KiB a second.
const DRAWERS: [(&str, &str, u32); 2] = [("draw-a", "north", 1_024), ("draw-b", "south", 0)];
/// Services that write all that they can to it, force nothing, and cut their files: name, provider, the most that they may, in KiB a second.
const CUTTERS: [(&str, &str, u32); 2] = [("cut-a", "north", 512), ("cut-b", "south", 0)];
/// Who forces notes to the same disk.
const NOTER: (&str, &str) = ("note", "barn");
const POURER_MIB: u32 = 8;

/// The services of the image, and those of the play.
pub(super) fn entries(built_in: impl Iterator<Item = Entry>) -> impl Iterator<Item = Entry> {
    let mut all: Vec<Entry> = built_in.collect();
    let play = std::fs::read_to_string(PLAY).unwrap_or_default();
    let more = match play.trim() {
        "floors" => floors(&all),
        "neighbours" => neighbours(&all),
        _ => copies(&all),
    };
    all.extend(more);
    all.into_iter()
}

/// Starts only when asked, and offers nothing, so that copies are not in each other's way.
fn copy(of: &Manifest, name: &str, provider: &str) -> Option<Manifest> {
    let (name, provider) = (Name::new(name).ok()?, Name::new(provider).ok()?);
    Some(Manifest { name, provider, autostart: false, serves: heapless::Vec::new(), ..of.clone() })
}

fn copies(all: &[Entry]) -> Vec<Entry> {
    let Some(first) = all.first() else { return Vec::new() };
    let copies = (1..=COPIES).map(|number| copy(&first.manifest, &format!("copy-{number}"), "rehearsal"));
    let chatter = all.iter().find(|entry| entry.manifest.name.as_str() == "chatter");
    let more = chatter.map(|entry| {
        let of = &entry.manifest;
        [quitter(of), bush(of), pair(of), greedy(of), tame(of)]
    });
    let all = copies.chain(more.into_iter().flatten()).flatten();
    all.map(|manifest| Entry { manifest, without: Layers::NONE }).collect()
}

/// Ends at once, with a code that can be told from others.
fn quitter(chatter: &Manifest) -> Option<Manifest> {
    let copy = copy(chatter, "quitter", "rehearsal")?;
    Some(Manifest { command: words("exit", "7"), restart: Restart::Never, ready: Ready::Running, ..copy })
}

/// Starts a thousand programs, and stays.
fn bush(chatter: &Manifest) -> Option<Manifest> {
    let mut copy = copy(chatter, "bush", "rehearsal")?;
    copy.limits.pids = 1_100;
    copy.memory.ceiling_mib = 200;
    Some(Manifest { command: words("tree", "1000"), ready: Ready::Running, ..copy })
}

/// Two programs: one does nothing, and one eats more than both may have, after a while.
fn pair(chatter: &Manifest) -> Option<Manifest> {
    let copy = copy(chatter, "pair", "rehearsal")?;
    Some(Manifest { command: words("pair", PAIR_MS), ..copy })
}

/// Holds more than that from which on it is slowed down, and less than its ceiling.
fn greedy(chatter: &Manifest) -> Option<Manifest> {
    let mut copy = copy(chatter, "greedy", "rehearsal")?;
    (copy.memory.high_mib, copy.memory.ceiling_mib) = (GREEDY_HIGH_MIB, GREEDY_CEILING_MIB);
    Some(Manifest { command: words("hold", GREEDY_MIB), ready: Ready::Running, ..copy })
}

/// A bad neighbour with ceilings that a service usually gets; it takes orders at this port of the home's.
fn tame(chatter: &Manifest) -> Option<Manifest> {
    let mut copy = copy(chatter, "tame", "rehearsal")?;
    copy.limits.pids = 32;
    copy.memory.ceiling_mib = 32;
    at_home(copy, chatter, 7002)
}

/// `copy` offers at home, at this port, what `original` offers first.
fn at_home(copy: Manifest, original: &Manifest, at: u16) -> Option<Manifest> {
    let (port, name) = (original.serves.first()?.port, Name::new("orders").ok()?);
    let serve = Serve { name, protocol: Default::default(), port, to: Audience::Home, at };
    Some(Manifest { serves: [serve].into_iter().collect(), ..copy })
}

/// It is offered to the Internet as well, by UDP, at the same port as at home.
fn in_public(mut manifest: Manifest) -> Option<Manifest> {
    let serve = Serve {
        protocol: Protocol::Udp,
        to: Audience::Internet,
        name: Name::new("public").ok()?,
        ..manifest.serves.first()?.clone()
    };
    manifest.serves.push(serve).ok()?;
    Some(manifest)
}

/// A volume of that many MiB.
fn volume(size_mib: u32) -> Option<Volume> {
    Some(Volume { size_mib, inodes: 64, at: "/data".into(), kept: false })
}

fn neighbours(all: &[Entry]) -> Vec<Entry> {
    let Some(chatter) = all.iter().find(|entry| entry.manifest.name.as_str() == "chatter") else {
        return Vec::new();
    };
    let of = &chatter.manifest;
    let at_work = |name: &str, floor_permille: u32| {
        let cpu = Cpu { floor_permille, ceiling_permille: 1_000 };
        let memory = Memory { floor_mib: 8, high_mib: 0, ceiling_mib: 16 };
        Some(Manifest { cpu, memory, ..copy(of, name, "demo")? })
    };
    let worker = at_work("worker", WORKER_PERMILLE)
        .map(|worker| Manifest { command: words("web", WEB_PORT), ..worker })
        .and_then(|worker| at_home(worker, of, WORKER_PORT));
    let writer = at_work("writer", WRITER_PERMILLE)
        .map(|writer| Manifest { volume: volume(WRITER_MIB), disk: WRITER_DISK, ..writer })
        .and_then(|writer| at_home(writer, of, WRITER_PORT));
    let mob = |number: u16| {
        let mut mob = copy(of, &format!("mob-{number}"), "rehearsal")?;
        mob.cpu.ceiling_permille = 1_000;
        mob.memory.ceiling_mib = 64;
        mob.limits.pids = 64;
        mob.limits.descriptors = 2_048;
        mob.limits.tmp_kib = 49_152;
        mob.volume = volume(MOB_MIB);
        mob.disk.write_ceiling_kib_s = MOB_KIB_S;
        let mob = at_home(mob, of, MOB_PORT + number)?;
        if number == 1 { in_public(mob) } else { Some(mob) }
    };
    let made = [worker, writer].into_iter().chain((1..=MOB).map(mob)).flatten();
    made.map(|manifest| Entry { manifest, without: Layers::NONE }).collect()
}

fn floors(all: &[Entry]) -> Vec<Entry> {
    let Some(chatter) = all.iter().find(|entry| entry.manifest.name.as_str() == "chatter") else {
        return Vec::new();
    };
    let of = &chatter.manifest;
    let spinner = |(name, provider, floor, ceiling, threads): (&str, &str, u32, u32, &str)| {
        let cpu = Cpu { floor_permille: floor, ceiling_permille: ceiling };
        let memory = Memory { floor_mib: 2, high_mib: 0, ceiling_mib: 8 };
        Some(Manifest { cpu, memory, command: words("spin", threads), ..copy(of, name, provider)? })
    };
    let holder = |number: usize| {
        let cpu = Cpu { floor_permille: 10, ceiling_permille: 2_000 };
        let memory = Memory { floor_mib: HOLDER_MIB, high_mib: 0, ceiling_mib: HOLDER_MIB };
        let command = words("hold", &HELD_MIB.to_string());
        Some(Manifest { cpu, memory, command, ..copy(of, &format!("hold-{number}"), "barn")? })
    };
    let at_disk = |(name, provider, disk, what): (&str, &str, Disk, &str)| {
        let cpu = Cpu { floor_permille: 50, ceiling_permille: 2_000 };
        let (volume, command) = (volume(POURER_MIB), words(what, POURER_THREADS));
        Some(Manifest { cpu, disk, volume, command, ..copy(of, name, provider)? })
    };
    let pourer = |(name, provider, floor_permille): (_, _, u32)| {
        at_disk((name, provider, Disk { floor_permille, ..Disk::default() }, "pour"))
    };
    let drawer = |(name, provider, read_ceiling_kib_s): (_, _, u32)| {
        at_disk((name, provider, Disk { read_ceiling_kib_s, ..Disk::default() }, "draw"))
    };
    let cutter = |(name, provider, write_ceiling_kib_s): (_, _, u32)| {
        at_disk((name, provider, Disk { write_ceiling_kib_s, ..Disk::default() }, "cut"))
    };
    let noter = |(name, provider)| at_disk((name, provider, Disk::default(), "note"));
    let made = SPINNERS.into_iter().filter_map(spinner).chain((1..=HOLDERS).filter_map(holder));
    let made =
        made.chain(POURERS.into_iter().filter_map(pourer)).chain(DRAWERS.into_iter().filter_map(drawer));
    let made = made.chain(CUTTERS.into_iter().filter_map(cutter)).chain(noter(NOTER));
    made.map(|manifest| Entry { manifest, without: Layers::NONE }).collect()
}

fn words(what: &str, amount: &str) -> heapless::Vec<Text<96>, 12> {
    ["/chatter", what, amount].into_iter().map(Text::from).collect()
}
