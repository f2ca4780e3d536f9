//! What the cells of the matrix say: whether a victim was hurt, and rows for people.
//!
//! In:  `SENT LOST P50 P99` of each victim in each column. Out: verdicts, rows of the table, faults. Pure.
//!
//! The aims are throughput within 5 %, and a p99 of at most 5 ms more, as the victim's own case at rest scales it: the emulated board is
//! slower than the real one, by a factor that is read off the victim's median at rest, a millisecond at home. A cell of the first column that
//! shows no damage proves nothing, and says so.

use std::fmt::Write as _;

/// What may be lost more than at rest, in thousandths, and what the p99 may be more, in microseconds for each millisecond of the median at rest.
const LOST_PERMILLE: u64 = 50;
const ADDED_US: u64 = 5_000;
/// What is damage: so much more lost, or the p99 so many times above what may be added.
const HURT_LOST_PERMILLE: u64 = 100;
const HURT_TIMES: u64 = 2;

/// Cells whose damage without control is beyond doubt on any machine: where they show none the test proves nothing.
const MUST_HURT: [(&str, &str); 3] = [("spin", "work"), ("spin", "dns"), ("flood", "dns")];
/// A victim that loses so much at rest says nothing: the machine below is busy.
const VOID_PERMILLE: u64 = 50;
/// Cells that are not promised, and why.
const NOT_PROMISED: [(&str, &str); 1] =
    [("from-outside", "what strangers send is before every control of ours")];

/// What a victim noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
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
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [sent, lost, median_us, p99_us] = numbers[..] else { return None };
        let lost_permille = (lost * 1000).checked_div(sent)?;
        Some(Self { lost_permille, median_us, p99_us })
    }

    /// What of its p99 was added, in microseconds.
    fn added_us(&self, rest: &Self) -> u64 {
        self.p99_us.saturating_sub(rest.p99_us)
    }

    /// What may be added: five milliseconds, as the victim's own median scales them.
    fn may_add_us(rest: &Self) -> u64 {
        ADDED_US * rest.median_us.max(1_000) / 1_000
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

/// One antagonist: at rest, without control, by ceilings, by floors; a cell for each victim.
pub(crate) struct Row {
    pub(crate) antagonist: String,
    pub(crate) columns: [Vec<Cell>; 4],
}

pub(crate) const HEAD: &str = "Each cell: lost of a thousand, median/p99 in ms of the emulated board; `hurt`, `felt` (beyond an aim) or `spared`, beside the \
    same victim at rest; `void` where it is no better there.\n\n\
    | antagonist | victim | at rest | no control | ceilings only | floors |\n|---|---|---|---|---|---|\n";

impl Row {
    /// Each victim with its cells.
    fn cells(&self) -> impl Iterator<Item = [Cell; 4]> {
        (0..self.columns[0].len()).map(|place| self.columns.each_ref().map(|cells| cells[place]))
    }

    /// Lines of the table.
    pub(crate) fn text(&self, victims: &[&str]) -> String {
        let mut text = String::new();
        for (victim, cells) in victims.iter().zip(self.cells()) {
            let ms = |us: u64| format!("{}.{}", us / 1000, us / 100 % 10);
            let numbers =
                |cell: &Cell| format!("{} ‰, {}/{}", cell.lost_permille, ms(cell.median_us), ms(cell.p99_us));
            let judged = |cell: &Cell| format!("{} ({})", cell.verdict(&cells[0]).word(), numbers(cell));
            let [rest, none, ceilings, floors] = &cells;
            let [none, ceilings, floors] = [none, ceilings, floors].map(judged);
            let rest = numbers(rest);
            writeln!(text, "| {} | {victim} | {rest} | {none} | {ceilings} | {floors} |", self.antagonist)
                .unwrap();
        }
        text
    }

    /// What does not hold.
    pub(crate) fn faults(&self, victims: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for (victim, [rest, none, _, floors]) in victims.iter().zip(self.cells()) {
            let name = format!("{} and {victim}", self.antagonist);
            let must = MUST_HURT.contains(&(self.antagonist.as_str(), victim));
            if must && none.verdict(&rest) == Verdict::Spared {
                faults.push(format!("{name} proves nothing: {none:?} without control, {rest:?} at rest"));
            }
            let promised = NOT_PROMISED.iter().all(|(antagonist, _)| *antagonist != self.antagonist);
            if promised && [Verdict::Felt, Verdict::Hurt].contains(&floors.verdict(&rest)) {
                faults.push(format!("{name}: {floors:?} by floors, {rest:?} at rest"));
            }
        }
        faults
    }
}

#[test]
fn a_cell_is_judged_beside_itself_at_rest() {
    let cell = |lost_permille, median_us, p99_us| Cell { lost_permille, median_us, p99_us };
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
    assert_eq!(Cell::parse("100 5 7 8\n"), Some(cell(50, 7, 8)));
    assert_eq!(Cell::parse("0 0 7 8\n"), None);
}
