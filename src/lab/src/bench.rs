//! `lab bench`: figures against a peer that is measured in the same run.
//!
//! In:  a bench's name, or none for all. Out: one line a figure, `name ours peer ratio goal ok|short`.
//!
//! A bench is a row of the table and a function that returns figures. The goal is for the ratio of ours to the peer's, at most or at
//! least: emulated time is not the board's, but a ratio is.

use std::io::Write;

use crate::command::Words;
use crate::error::Error;
use crate::guest::{Guest, Options, UP_LIMIT};
use crate::kernel::Kernel;
use crate::{facts, peer};

/// Which side of the goal is good, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Ours is at most so much of the peer's.
    AtMost(u64),
    /// Ours is at least so much of the peer's.
    AtLeast(u64),
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What was measured, its unit last: `boot_to_service_ms`.
    pub name: String,
    /// Our value.
    pub ours: u64,
    /// The peer's, of the same run.
    pub peer: u64,
    /// What is good.
    pub goal: Goal,
}

impl Figure {
    /// Ours as thousandths of the peer's.
    fn permille(&self) -> u64 {
        self.ours.saturating_mul(1000) / self.peer.max(1)
    }

    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtMost(permille) => self.permille() <= permille,
            Goal::AtLeast(permille) => self.permille() >= permille,
        }
    }

    fn line(&self) -> String {
        let decimal = |permille: u64| format!("{}.{:03}", permille / 1000, permille % 1000);
        let goal = match self.goal {
            Goal::AtMost(permille) => format!("<={}", decimal(permille)),
            Goal::AtLeast(permille) => format!(">={}", decimal(permille)),
        };
        let verdict = if self.is_met() { "ok" } else { "short" };
        format!("{} {} {} {} {goal} {verdict}", self.name, self.ours, self.peer, decimal(self.permille()))
    }
}

/// A bench.
struct Bench {
    name: &'static str,
    measure: fn(Kernel) -> Result<Vec<Figure>, Error>,
}

/// Every bench; another room's is one row more.
const BENCHES: [Bench; 10] = [
    Bench { name: "boot", measure: boot },
    Bench { name: "dns", measure: dns },
    Bench { name: "dhcp", measure: dhcp },
    Bench { name: "apply", measure: apply },
    Bench { name: "nat", measure: nat },
    Bench { name: "sandbox", measure: sandbox },
    Bench { name: "cost", measure: cost },
    Bench { name: "usp", measure: usp },
    Bench { name: "install", measure: install },
    Bench { name: "supervisor", measure: crate::supervisors::measure },
];

/// Runs one bench, or all.
///
/// # Errors
/// [`Error::Usage`]: there is none of that name. [`Error::Short`]: a goal is not met. [`Error::Missing`]: it cannot run here.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    let wanted = words.rest.first();
    let benches: Vec<&Bench> =
        BENCHES.iter().filter(|bench| wanted.is_none_or(|name| bench.name == name)).collect();
    if benches.is_empty() {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Error::Usage(format!("benches are: {}", names.join(" "))));
    }
    let mut short = 0;
    for bench in benches {
        for figure in (bench.measure)(words.kernel)? {
            short += usize::from(!figure.is_met());
            writeln!(out, "{}", figure.line()).map_err(Error::io("output"))?;
        }
    }
    if short == 0 { Ok(()) } else { Err(Error::Short { what: "benches", count: short }) }
}

/// Ten thousand cached names against dnsmasq, with the firmware's own program.
fn dns(_: Kernel) -> Result<Vec<Figure>, Error> {
    crate::room_bench::run("names", "bench", "SHG_NAMES")
}

/// Four-way exchanges against dnsmasq and Kea, and what 250 leases take of memory, with the firmware's own program.
fn dhcp(_: Kernel) -> Result<Vec<Figure>, Error> {
    crate::room_bench::run("lease", "bench", "SHG_LEASE")
}

/// A whole network from nothing, against `ip`, `nft` and `tc` in batches, in one guest.
fn apply(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    crate::room_bench::run_in_guest(kernel, ("network", "bench"), "network", "SHG_NETWORK")
}

/// A stream through our firewall and through the least that translates: on this machine, and in one guest.
fn nat(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let here = crate::room_bench::run("network", "bench_nat", "SHG_NETWORK")?;
    let there = crate::room_bench::run_in_guest(kernel, ("network", "bench_nat"), "network", "SHG_NETWORK")?;
    Ok(here.into_iter().chain(there).collect())
}

/// A Get against a bare echo by the same broker, news, the whole model, memory, with the firmware's own program.
fn usp(_: Kernel) -> Result<Vec<Figure>, Error> {
    crate::room_bench::run("agent", "bench", "SHG_AGENT")
}

/// A bundle of 20 MB: on this machine (`src/package/tests/bench.rs`), and on the gateway.
fn install(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let mut figures = crate::room_bench::run("package", "bench", "SHG_PACKAGE")?;
    figures.extend(crate::install_bench::measure(kernel)?);
    Ok(figures)
}

/// A start of a sandbox against crun, bwrap and the kernel's own steps.
fn sandbox(_: Kernel) -> Result<Vec<Figure>, Error> {
    crate::room_bench::run_library("sandbox")
}

/// What a sandbox costs a service that works: on this machine, and in one guest.
fn cost(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let here = crate::room_bench::run_cost()?;
    let there = crate::room_bench::run_in_guest(kernel, ("sandbox", "cost"), "hello", "SHG_HELLO")?;
    Ok(here.into_iter().chain(there).collect())
}

/// From the kernel's begin to the first service being ready, against a bare init that only loads the same modules. The goal is the
/// issue's: 3 s more than the bare one, which on an emulated board takes 3 s with the quick-start kernel.
fn boot(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let bare = peer::measure(kernel)?;
    let options = Options::new(kernel);
    let mut guest = Guest::boot_or_say(&options)?;
    let moments = guest.until("services ready", UP_LIMIT, |guest| Ok(facts::moments(guest).ok()))?;
    let whole = bare.init_ms + bare.loaded_ms;
    let goal = Goal::AtMost((whole + crate::smoke::ABOVE_BARE_MS_MAX) * 1000 / whole.max(1));
    let figure = |name: &str, ours, peer, goal| Figure { name: name.to_owned(), ours, peer, goal };
    Ok(vec![
        figure("kernel_to_init_ms", moments.init_ms, bare.init_ms, Goal::AtMost(1200)),
        figure("boot_to_service_ms", moments.services_ms, whole, goal),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line() {
        let table = [
            ("good", 1500, 1000, Goal::AtMost(2000), "x_ms 1500 1000 1.500 <=2.000 ok"),
            ("bad", 2001, 1000, Goal::AtMost(2000), "x_ms 2001 1000 2.001 <=2.000 short"),
            ("more is better", 500, 1000, Goal::AtLeast(600), "x_ms 500 1000 0.500 >=0.600 short"),
            ("no peer", 5, 0, Goal::AtMost(1), "x_ms 5 0 5.000 <=0.001 short"),
        ];
        for (name, ours, peer, goal, wanted) in table {
            assert_eq!(Figure { name: "x_ms".to_owned(), ours, peer, goal }.line(), wanted, "{name}");
        }
    }
}
