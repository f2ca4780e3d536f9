//! A service's ledger: what it was promised and what it got, over a minute, an hour and a day, in bounded memory.
//!
//! In:  samples of the kernel's counters. Out: sums over each span, and a breach where one begins. Pure: no clock, no file.
//!
//! A span is a ring of twelve steps; a step is a twelfth of it. So a sample is added to three sums and never kept.
//!
//! **Starved** is: over the last minute it had less than its floor, and would have taken more. What it would have taken is at most what it
//! had and the time that some task of it waited for a turn (pressure stall information, "some"). Who sleeps is owed nothing.
//!
//! Source: Documentation/accounting/psi.rst; Documentation/admin-guide/cgroup-v2.rst, `cpu.stat`.

use contract::sla::{Breach, Cause, Window};
use serde::{Deserialize, Serialize};

/// Steps of a span.
const STEPS: usize = 12;
/// How long a step of each span is, in milliseconds: of a minute, an hour, a day.
const STEP_MS: [u32; 3] = [5_000, 300_000, 7_200_000];
/// What may be missing of processor time before it is a breach, in thousandths of a thread.
const CPU_ERROR_PERMILLE: u64 = 20;
/// What may be missing of a rate, in per cent of its floor.
const RATE_ERROR_PERCENT: u64 = 5;

/// What the kernel says of a service now. Counters go on from start to start, but where the cgroup is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When, in milliseconds after boot.
    pub at_ms: u64,
    /// It is to run.
    pub wanted: bool,
    /// It is ready.
    pub up: bool,
    /// `usage_usec` of `cpu.stat`.
    pub cpu_us: u64,
    /// `some total` of `cpu.pressure`.
    pub waited_us: u64,
    /// `memory.current`, in KiB.
    pub memory_kib: u32,
    /// `io.stat`: bytes that the data disk read and wrote.
    pub disk_bytes: u64,
}

/// What the line says of one direction of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// When, in milliseconds after boot.
    pub at_ms: u64,
    /// Bytes since its class was made.
    pub bytes: u64,
    /// Something waits.
    pub waits: bool,
}

/// A ring of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Span {
    steps: [Window; STEPS],
    now: u8,
}

impl Span {
    fn add(&mut self, more: &Window, step_ms: u32) {
        let Some(step) = self.steps.get_mut(usize::from(self.now)) else { return };
        if step.span_ms >= step_ms && more.span_ms > 0 {
            self.now = (self.now + 1) % 12;
            if let Some(next) = self.steps.get_mut(usize::from(self.now)) {
                *next = *more;
            }
            return;
        }
        sum(step, more);
    }

    fn all(&self) -> Window {
        let mut all = Window::default();
        self.steps.iter().for_each(|step| sum(&mut all, step));
        all
    }
}

fn sum(all: &mut Window, more: &Window) {
    all.span_ms = all.span_ms.saturating_add(more.span_ms);
    all.wanted_ms = all.wanted_ms.saturating_add(more.wanted_ms);
    all.up_ms = all.up_ms.saturating_add(more.up_ms);
    all.cpu_us += more.cpu_us;
    all.waited_us += more.waited_us;
    all.owed_us += more.owed_us;
    all.memory_kib = all.memory_kib.max(more.memory_kib);
    all.up_bytes += more.up_bytes;
    all.down_bytes += more.down_bytes;
    all.owed_bytes += more.owed_bytes;
    all.disk_bytes += more.disk_bytes;
}

/// The ledger of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    spans: [Span; 3],
    last: Option<Sample>,
    carried: [Carried; 2],
    starved: bool,
    /// Breaches since it was first started.
    pub breaches: u32,
    /// The last one.
    pub breach: Option<Breach>,
}

impl Ledger {
    /// The last minute, hour and day.
    #[must_use]
    pub fn windows(&self) -> [Window; 3] {
        [0, 1, 2].map(|place: usize| self.spans.get(place).map(Span::all).unwrap_or_default())
    }

    /// The last sample.
    #[must_use]
    pub fn sample(&self) -> Sample {
        self.last.unwrap_or_default()
    }

    fn add(&mut self, more: &Window) {
        for (span, step_ms) in self.spans.iter_mut().zip(STEP_MS) {
            span.add(more, step_ms);
        }
    }

    /// Takes a sample of a service with this floor. A breach that begins with it is returned.
    pub fn take(&mut self, now: Sample, floor_permille: u32) -> Option<Breach> {
        let last = self.last.replace(now).unwrap_or(Sample { at_ms: now.at_ms, ..now });
        let span_ms = u32::try_from(now.at_ms.saturating_sub(last.at_ms)).unwrap_or(u32::MAX);
        if span_ms == 0 {
            return None;
        }
        // A counter that is less than it was began anew with another cgroup.
        let since = |now: u64, last: u64| now.checked_sub(last).unwrap_or(now);
        let (cpu_us, waited_us) = (since(now.cpu_us, last.cpu_us), since(now.waited_us, last.waited_us));
        let floor_us = u64::from(span_ms) * u64::from(floor_permille);
        let owed_us = (cpu_us + waited_us).min(floor_us).saturating_sub(cpu_us);
        let while_so = |so: bool| if so { span_ms } else { 0 };
        self.add(&Window {
            span_ms,
            wanted_ms: while_so(last.wanted),
            up_ms: while_so(last.wanted && last.up),
            cpu_us,
            waited_us,
            owed_us,
            memory_kib: now.memory_kib,
            disk_bytes: since(now.disk_bytes, last.disk_bytes),
            ..Window::default()
        });
        self.judge(now.at_ms, floor_permille)
    }

    /// Is it starved, and was it not before?
    fn judge(&mut self, at_ms: u64, floor_permille: u32) -> Option<Breach> {
        let minute = self.spans.first().map(Span::all).unwrap_or_default();
        // Thousandths of a thread over milliseconds are microseconds.
        let limit_us = u64::from(minute.span_ms) * CPU_ERROR_PERMILLE;
        let is_whole = minute.span_ms >= STEP_MS.first().map_or(0, |step_ms| step_ms * 6);
        let starved = is_whole && minute.owed_us > limit_us;
        let begins = starved && !self.starved;
        self.starved = starved;
        // Of its floor, what was not owed: what it had above it at other times makes up for nothing.
        let owed = u32::try_from(minute.owed_us / u64::from(minute.span_ms.max(1))).unwrap_or(u32::MAX);
        let breach = Breach {
            at_ms,
            cause: Cause::Starved,
            promised: floor_permille,
            got: floor_permille.saturating_sub(owed),
        };
        begins.then(|| self.note(breach))
    }

    /// Takes what the line carried in one direction (0: up, 1: down) for a service with this floor, in kbit/s.
    pub fn carry(&mut self, way: usize, now: Carried, floor_kbit_s: u32) -> Option<Breach> {
        let last = std::mem::replace(self.carried.get_mut(way)?, now);
        let span_ms = now.at_ms.saturating_sub(last.at_ms);
        let bytes = now.bytes.checked_sub(last.bytes)?;
        if last.at_ms == 0 || span_ms == 0 {
            return None;
        }
        // kbit/s over milliseconds are bits.
        let floor_bytes = u64::from(floor_kbit_s) * span_ms / 8;
        let waits = last.waits && now.waits;
        let owed_bytes = if waits { floor_bytes.saturating_sub(bytes) } else { 0 };
        let (up_bytes, down_bytes) = if way == 0 { (bytes, 0) } else { (0, bytes) };
        self.add(&Window { up_bytes, down_bytes, owed_bytes, ..Window::default() });
        let breach = Breach {
            at_ms: now.at_ms,
            cause: if way == 0 { Cause::UplinkFull } else { Cause::DownlinkFull },
            promised: floor_kbit_s,
            got: u32::try_from(bytes * 8 / span_ms).unwrap_or(u32::MAX),
        };
        (owed_bytes * 100 > floor_bytes * RATE_ERROR_PERCENT).then(|| self.note(breach))
    }

    /// Writes a breach down.
    pub fn note(&mut self, breach: Breach) -> Breach {
        self.breaches = self.breaches.saturating_add(1);
        self.breach = Some(breach);
        breach
    }
}

#[cfg(test)]
mod tests {
    use super::{Carried, Cause, Ledger, Sample};

    /// Seconds of a life: processor time and waiting in each, in thousandths of a thread.
    fn live(ledger: &mut Ledger, seconds: std::ops::Range<u64>, cpu: u64, waited: u64) -> Vec<Cause> {
        let before = ledger.last.unwrap_or_default();
        let (mut cpu_us, mut waited_us) = (before.cpu_us, before.waited_us);
        let mut causes = Vec::new();
        for second in seconds {
            cpu_us += cpu * 1_000;
            waited_us += waited * 1_000;
            let now = Sample {
                at_ms: second * 1_000,
                wanted: true,
                up: second % 10 != 0,
                cpu_us,
                waited_us,
                memory_kib: 77,
                disk_bytes: second * 5_000,
            };
            causes.extend(ledger.take(now, 200).map(|breach| breach.cause));
        }
        causes
    }

    #[test]
    fn only_who_could_run_and_had_less_is_starved() {
        // name, processor, waiting, breach
        for (name, cpu, waited, breach) in [
            ("sleeps", 10, 0, false),
            ("has its floor and wants more", 200, 800, false),
            ("has a little less, within the error", 185, 800, false),
            ("wants a little more than it has, below its floor", 100, 15, false),
            ("has half of its floor and waits", 100, 900, true),
            ("has nothing", 0, 1_000, true),
        ] {
            let mut ledger = Ledger::default();
            let causes = live(&mut ledger, 1..121, cpu, waited);
            assert_eq!(
                causes,
                if breach { vec![Cause::Starved] } else { Vec::new() },
                "{name}: once, or never"
            );
        }
    }

    #[test]
    fn what_it_got_is_its_floor_without_what_is_owed() {
        let mut ledger = Ledger::default();
        // It waits with a quarter of its floor, and has more than twice of it, in turns: on the whole more than it was promised.
        for second in 1..60 {
            let (cpu, waited) = if second % 2 == 0 { (500, 0) } else { (50, 900) };
            live(&mut ledger, second..second + 1, cpu, waited);
        }
        let breach = ledger.breach.unwrap();
        assert!(breach.promised == 200 && (115..135).contains(&breach.got), "{breach:?}");
    }

    #[test]
    fn a_breach_that_ends_may_begin_again() {
        let mut ledger = Ledger::default();
        assert_eq!(live(&mut ledger, 1..100, 10, 900).len(), 1);
        assert_eq!(live(&mut ledger, 100..300, 300, 0).len(), 0);
        assert_eq!(live(&mut ledger, 300..400, 10, 900).len(), 1);
        assert_eq!(ledger.breaches, 2);
    }

    #[test]
    fn spans_forget_what_is_older() {
        let mut ledger = Ledger::default();
        live(&mut ledger, 1..100_000, 100, 0);
        let [minute, hour, day] = ledger.windows();
        for (window, span_ms) in [(minute, 60_000), (hour, 3_600_000), (day, 86_400_000)] {
            assert!(window.span_ms > span_ms * 11 / 12 && window.span_ms <= span_ms * 13 / 12, "{window:?}");
            assert_eq!(window.cpu_us, u64::from(window.span_ms) * 100);
            let up = f64::from(window.up_ms) / f64::from(window.wanted_ms);
            assert!((up - 0.9).abs() < 0.02, "{up}");
        }
    }

    #[test]
    fn counters_that_begin_anew_count_from_zero() {
        let mut ledger = Ledger::default();
        let at = |at_ms, cpu_us| Sample { at_ms, cpu_us, ..Sample::default() };
        ledger.take(at(1_000, 5_000), 0);
        ledger.take(at(2_000, 7_000), 0);
        ledger.take(at(3_000, 500), 0);
        assert_eq!(ledger.windows()[0].cpu_us, 2_500);
    }

    #[test]
    fn a_line_owes_only_what_waits() {
        // bytes in ten seconds, waits before and after, breach; the floor is 800 kbit/s: a million bytes
        for (bytes, waits, breach) in [
            (100, [false, false], false),
            (100, [true, false], false),
            (960_000, [true, true], false),
            (900_000, [true, true], true),
        ] {
            let mut ledger = Ledger::default();
            ledger.carry(0, Carried { at_ms: 5_000, bytes: 7, waits: waits[0] }, 800);
            let now = Carried { at_ms: 15_000, bytes: 7 + bytes, waits: waits[1] };
            let told = ledger.carry(0, now, 800);
            assert_eq!(
                told.map(|breach| breach.cause),
                breach.then_some(Cause::UplinkFull),
                "{bytes} {waits:?}"
            );
            assert_eq!(ledger.windows()[0].up_bytes, bytes);
        }
    }

    #[test]
    fn a_ledger_has_its_place_in_a_page() {
        let mut ledger = Ledger::default();
        live(&mut ledger, 1..200_000, 999, 999);
        let mut bytes = [0; 3_072];
        contract::frame::encode(&ledger, &mut bytes).unwrap();
        assert!(size_of::<Ledger>() <= 3_072, "{} bytes", size_of::<Ledger>());
    }
}
