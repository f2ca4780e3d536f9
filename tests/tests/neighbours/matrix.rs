//! What the cells of the matrix say: whether a victim was hurt, and rows for people.
//!
//! In:  `SENT LOST P50 P99` of each victim in each column, and what others had of the machine below. Out: verdicts, rows of the table, faults.
//! Pure.
//!
//! The aims are throughput within 5 %, and a p99 of at most 5 ms more, as the victim's own case at rest scales it: the emulated board is
//! slower than the real one, by a factor that is read off the victim's median at rest, a millisecond at home. Who waits for the disk waits for the
//! stick, which is as slow in reality: what is added there is at most the median at rest, once. A cell of the first column that shows no damage
//! proves nothing, and says so.
//!
//! What is late while others have the machine is void (docs/decisions/0114-what-a-busy-machine-makes-void.md); what holds, holds. Damage in the
//! first columns stands on a busy machine, too, where floors spared the same victim on it.

use std::fmt::Write as _;

use lab::others::BUSY_PERMILLE;

/// What may be lost more than at rest, in thousandths, and what the p99 may be more, in microseconds for each millisecond of the median at rest.
const LOST_PERMILLE: u64 = 50;
const ADDED_US: u64 = 5_000;
/// The same for who waits for the disk: as long again.
const ADDED_DISK_US: u64 = 1_000;
/// What is damage: so much more lost, or the p99 so many times above what may be added.
const HURT_LOST_PERMILLE: u64 = 100;
const HURT_TIMES: u64 = 2;

/// Cells whose damage without control is beyond doubt on any machine: where they show none the test proves nothing.
const MUST_HURT: [(&str, &str); 4] = [("spin", "web"), ("spin", "dns"), ("flood", "ping"), ("flood", "call")];
/// A victim that loses so much at rest says nothing: the machine below is busy.
const VOID_PERMILLE: u64 = 50;
/// Those who are no services: a steady trickle from the Internet at the gateway, at a service, and all that the line carries.
pub(crate) const OUTSIDE: [&str; 3] = ["from-outside", "service-from-outside", "line-full-from-outside"];
/// Antagonists against whom nothing is promised, and why.
const NOT_PROMISED: [(&str, &str); 1] = [(OUTSIDE[2], "what strangers send is before every control of ours")];

/// How late a victim may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Packets and processors: milliseconds, as the board's slowness scales them.
    Home,
    /// The stick, which is no slower than a real one.
    Disk,
}

impl Aim {
    /// What may be added, in microseconds for each millisecond of the median at rest.
    fn added_us(self) -> u64 {
        match self {
            Self::Home => ADDED_US,
            Self::Disk => ADDED_DISK_US,
        }
    }
}

/// What a victim noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) aim: Aim,
    pub(crate) lost_permille: u64,
    pub(crate) median_us: u64,
    pub(crate) p99_us: u64,
}

/// What became of a victim, beside itself at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Within the aims.
    Spared,
    /// Beyond an aim, and no great damage.
    Felt,
    /// Much is lost, or late.
    Hurt,
    /// Nobody knows: it is no better at rest.
    Void,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Spared => "spared",
            Self::Felt => "felt",
            Self::Hurt => "hurt",
            Self::Void => "void",
        }
    }
}

impl Cell {
    /// Reads what the victim's program said.
    pub(crate) fn parse(text: &str, aim: Aim) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [sent, lost, median_us, p99_us] = numbers[..] else { return None };
        let lost_permille = (lost * 1000).checked_div(sent)?;
        Some(Self { aim, lost_permille, median_us, p99_us })
    }

    /// What of its p99 was added, in microseconds.
    fn added_us(&self, rest: &Self) -> u64 {
        self.p99_us.saturating_sub(rest.p99_us)
    }

    /// What may be added, as the victim's own median scales it.
    fn may_add_us(rest: &Self) -> u64 {
        rest.aim.added_us() * rest.median_us.max(1_000) / 1_000
    }

    pub(crate) fn verdict(&self, rest: &Self) -> Verdict {
        if rest.lost_permille > VOID_PERMILLE {
            return Verdict::Void;
        }
        let (lost, added) = (self.lost_permille.saturating_sub(rest.lost_permille), self.added_us(rest));
        let may = Self::may_add_us(rest);
        if lost >= HURT_LOST_PERMILLE || added >= may * HURT_TIMES {
            return Verdict::Hurt;
        }
        if lost > LOST_PERMILLE || added > may { Verdict::Felt } else { Verdict::Spared }
    }

    /// The worse of two looks, in each respect.
    pub(crate) fn worse(self, other: Self) -> Self {
        Self {
            aim: self.aim,
            lost_permille: self.lost_permille.max(other.lost_permille),
            median_us: self.median_us.max(other.median_us),
            p99_us: self.p99_us.max(other.p99_us),
        }
    }

    /// The better one of two looks.
    pub(crate) fn better(self, other: Self, rest: &Self) -> Self {
        let rank = |cell: &Self| (cell.verdict(rest), cell.lost_permille, cell.p99_us);
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// One look at every victim.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) cells: Vec<Cell>,
    /// What others had of the machine below meanwhile, in thousandths.
    pub(crate) others_permille: u64,
    /// What came by the line, in packets a second.
    pub(crate) came_s: u64,
}

impl Look {
    fn is_quiet(&self) -> bool {
        self.others_permille <= BUSY_PERMILLE
    }

    /// Both looks, and of each victim the worse.
    pub(crate) fn worse(self, other: Self) -> Self {
        let cells = self.cells.iter().zip(other.cells).map(|(one, other)| one.worse(other)).collect();
        Self { cells, others_permille: self.others_permille.max(other.others_permille), ..self }
    }

    /// Both looks, and of each victim the better: as quiet as the quieter one.
    pub(crate) fn better(self, other: Self, rest: &Self) -> Self {
        let pairs = self.cells.iter().zip(other.cells).zip(&rest.cells);
        let cells = pairs.map(|((one, other), rest)| one.better(other, rest)).collect();
        Self { cells, others_permille: self.others_permille.min(other.others_permille), ..self }
    }

    /// Is every victim within the aims, or one that says nothing?
    pub(crate) fn holds(&self, rest: &Self) -> bool {
        let mut pairs = self.cells.iter().zip(&rest.cells);
        pairs.all(|(cell, rest)| [Verdict::Spared, Verdict::Void].contains(&cell.verdict(rest)))
    }
}

/// One antagonist: at rest, without control, by ceilings, by floors.
pub(crate) struct Row {
    pub(crate) antagonist: String,
    pub(crate) columns: [Look; 4],
}

pub(crate) const HEAD: &str = "Each cell: lost of a thousand, median/p99 in ms of the emulated board; `hurt`, `felt` (beyond an aim) or `spared`, beside the \
    same victim at rest; `void` where it is no better there, or others had the machine. *Others*: what they had of it, in thousandths, and what came by \
    the line, in packets a second, in each column.\n\n\
    | antagonist | victim | at rest | no control | ceilings only | floors |\n|---|---|---|---|---|---|\n";

impl Row {
    /// Each victim's cells, and verdicts on all but the first.
    fn cells(&self) -> impl Iterator<Item = ([Cell; 4], [Verdict; 3])> {
        (0..self.columns[0].cells.len()).map(|place| {
            let cells = self.columns.each_ref().map(|look| look.cells[place]);
            (cells, self.verdicts(&cells))
        })
    }

    fn verdicts(&self, cells: &[Cell; 4]) -> [Verdict; 3] {
        let [_, none, ceilings, floors] = &self.columns;
        let judge = |cell: &Cell, stands: bool| match cell.verdict(&cells[0]) {
            Verdict::Felt | Verdict::Hurt if !stands => Verdict::Void,
            other @ (Verdict::Spared | Verdict::Felt | Verdict::Hurt | Verdict::Void) => other,
        };
        let last = judge(&cells[3], floors.is_quiet());
        let spared = last == Verdict::Spared;
        [judge(&cells[1], spared || none.is_quiet()), judge(&cells[2], spared || ceilings.is_quiet()), last]
    }

    /// Lines of the table.
    pub(crate) fn text(&self, victims: &[&str]) -> String {
        let ms = |us: u64| format!("{}.{}", us / 1000, us / 100 % 10);
        let numbers =
            |cell: &Cell| format!("{} ‰, {}/{}", cell.lost_permille, ms(cell.median_us), ms(cell.p99_us));
        let mut text = String::new();
        for (victim, (cells, verdicts)) in victims.iter().zip(self.cells()) {
            let rest = numbers(&cells[0]);
            write!(text, "| {} | {victim} | {rest} |", self.antagonist).unwrap();
            for (verdict, cell) in verdicts.iter().zip(&cells[1..]) {
                write!(text, " {} ({}) |", verdict.word(), numbers(cell)).unwrap();
            }
            text.push('\n');
        }
        let others =
            self.columns.each_ref().map(|look| format!("{} ‰, {}/s", look.others_permille, look.came_s));
        writeln!(text, "| {} | *others* | {} |", self.antagonist, others.join(" | ")).unwrap();
        text
    }

    /// What does not hold.
    pub(crate) fn faults(&self, victims: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for (victim, ([rest, none, _, floors], [without, _, with])) in victims.iter().zip(self.cells()) {
            let name = format!("{} and {victim}", self.antagonist);
            let must = MUST_HURT.contains(&(self.antagonist.as_str(), victim));
            if must && without == Verdict::Spared {
                faults.push(format!("{name} proves nothing: {none:?} without control, {rest:?} at rest"));
            }
            let promised = NOT_PROMISED.iter().all(|(antagonist, _)| *antagonist != self.antagonist);
            if promised && [Verdict::Felt, Verdict::Hurt].contains(&with) {
                faults.push(format!("{name}: {floors:?} by floors, {rest:?} at rest"));
            }
        }
        faults
    }
}

/// The table that was `kept` with this row in its place, in the order of `antagonists`.
pub(crate) fn merged(kept: &str, row: &Row, victims: &[&str], antagonists: &[&str]) -> String {
    let text = row.text(victims);
    let of = |table: &str, antagonist: &str| {
        let begin = format!("| {antagonist} | ");
        let lines = table.lines().filter(|line| line.starts_with(&begin));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let lines = antagonists.iter().map(|one| of(if *one == row.antagonist { &text } else { kept }, one));
    std::iter::once(HEAD.to_owned()).chain(lines).collect()
}

#[test]
fn a_cell_is_judged_beside_itself_at_rest() {
    let cell = |lost_permille, median_us, p99_us| Cell { aim: Aim::Home, lost_permille, median_us, p99_us };
    let rest = cell(0, 2_000, 4_000); // twice the time of a real home: ten milliseconds may be added
    let table = [
        ("alike", cell(0, 2_000, 4_000), Verdict::Spared),
        ("later, within the aim", cell(0, 9_000, 14_000), Verdict::Spared),
        ("later", cell(0, 9_000, 14_001), Verdict::Felt),
        ("much later", cell(0, 9_000, 24_000), Verdict::Hurt),
        ("a few lost", cell(60, 2_000, 4_000), Verdict::Felt),
        ("many lost", cell(100, 2_000, 4_000), Verdict::Hurt),
    ];
    for (name, now, verdict) in table {
        assert_eq!(now.verdict(&rest), verdict, "{name}");
    }
    assert_eq!(cell(900, 1, 1).verdict(&cell(51, 2_000, 4_000)), Verdict::Void);
    assert_eq!(cell(0, 1, 9_000).better(cell(60, 1, 1), &rest), cell(0, 1, 9_000));
    assert_eq!(Cell::parse("100 5 7 8\n", Aim::Home), Some(cell(50, 7, 8)));
    assert_eq!(Cell::parse("0 0 7 8\n", Aim::Home), None);
    let disk = |p99_us| Cell { aim: Aim::Disk, ..cell(0, 150_000, p99_us) };
    for (p99_us, verdict) in [(350_000, Verdict::Spared), (350_001, Verdict::Felt), (500_000, Verdict::Hurt)]
    {
        assert_eq!(
            disk(p99_us).verdict(&disk(200_000)),
            verdict,
            "a record that waits for the disk {p99_us} us"
        );
    }
}

#[cfg(test)]
fn look(p99_us: u64, others_permille: u64) -> Look {
    Look {
        cells: vec![Cell { aim: Aim::Home, lost_permille: 0, median_us: 1_000, p99_us }],
        others_permille,
        came_s: 0,
    }
}

#[cfg(test)]
fn row(antagonist: &str, columns: [(u64, u64); 4]) -> Row {
    let columns = columns.map(|(p99_us, others_permille)| look(p99_us, others_permille));
    Row { antagonist: antagonist.to_owned(), columns }
}

#[test]
fn what_is_late_while_others_have_the_machine_is_void() {
    use Verdict::{Hurt, Spared, Void};
    let (well, late, quiet, busy) = (1_000, 90_000, BUSY_PERMILLE, BUSY_PERMILLE + 1);
    // None, ceilings, floors: each with what others had.
    let table = [
        ("quiet", [(late, quiet), (late, quiet), (late, quiet)], [Hurt, Hurt, Hurt]),
        ("busy", [(late, busy), (late, busy), (late, busy)], [Void, Void, Void]),
        ("holds on a busy one", [(late, busy), (well, busy), (well, busy)], [Hurt, Spared, Spared]),
        ("busy at last", [(late, quiet), (late, busy), (late, busy)], [Hurt, Void, Void]),
    ];
    for (name, [none, ceilings, floors], verdicts) in table {
        let row = row("spin", [(well, busy), none, ceilings, floors]);
        assert_eq!(row.cells().next().unwrap().1, verdicts, "{name}");
        assert_eq!(row.faults(&["tv"]).is_empty(), verdicts[2] != Hurt, "{name}");
    }
}

#[test]
fn a_row_takes_the_place_of_the_one_before() {
    let [spin, fork, again] =
        [("spin", 1_000), ("fork", 1_000), ("spin", 90_000)].map(|(name, p99)| row(name, [(p99, 0); 4]));
    let table = [&fork, &spin, &again]
        .iter()
        .fold(String::new(), |table, row| merged(&table, row, &["tv"], &["spin", "fork"]));
    assert_eq!(table, format!("{HEAD}{}{}", again.text(&["tv"]), fork.text(&["tv"])));
}
