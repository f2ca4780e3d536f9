//! Draws the noisy-neighbour matrix: a panel for each antagonist and victim, in it a bar for each way in which the machine was divided.
//!
//! In:  the table that the suite wrote. Out: SVG. Pure.
//!
//! A bar is the victim's p99, on a logarithmic scale; a line across its panel is the p99 at rest. What was lost stands beside it.

use std::fmt::Write as _;

/// The ends of the scale, in ms: a wired packet, and what is lost for being late.
const SCALE_MS: [f64; 2] = [0.1, 2_000.0];
/// Sizes in pixels: a letter of a name at most, the margin above, a panel, the bars in it.
const LETTER: usize = 7;
const TOP: usize = 70;
const WIDTH: usize = 170;
const HEIGHT: usize = 62;
const BAR: usize = 12;
/// Room for what stands beside a bar.
const BESIDE: usize = 46;

/// A way to divide the machine, as the table's head calls it.
const COLUMNS: [&str; 3] = ["no control", "ceilings only", "floors"];

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Row<'t> {
    antagonist: &'t str,
    victim: &'t str,
    rest_ms: f64,
    bars: [Bar<'t>; 3],
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar<'t> {
    verdict: &'t str,
    lost_permille: u32,
    p99_ms: f64,
}

/// Reads `N ‰, MEDIAN/P99`.
fn numbers(text: &str) -> Option<(u32, f64)> {
    let (lost, times) = text.split_once(" ‰, ")?;
    let (_, p99) = times.split_once('/')?;
    Some((lost.parse().ok()?, p99.parse().ok()?))
}

/// Reads `VERDICT (N ‰, MEDIAN/P99)`.
fn bar(text: &str) -> Option<Bar<'_>> {
    let (verdict, rest) = text.split_once(" (")?;
    let (lost_permille, p99_ms) = numbers(rest.strip_suffix(')')?)?;
    Some(Bar { verdict, lost_permille, p99_ms })
}

/// Reads a line of the table; `None`: it is none.
fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let [antagonist, victim, rest, none, ceilings, floors] = cells[..] else { return None };
    let (_, rest_ms) = numbers(rest)?;
    Some(Row { antagonist, victim, rest_ms, bars: [bar(none)?, bar(ceilings)?, bar(floors)?] })
}

/// The colour of a verdict: they differ in lightness, too.
fn colour(verdict: &str) -> &'static str {
    match verdict {
        "spared" => "#2a7f62",
        "felt" => "#e0a030",
        "hurt" => "#b02a30",
        _ => "#9a9a9a",
    }
}

/// Where a time is on the scale, in pixels.
fn place(ms: f64) -> f64 {
    let [low, high] = SCALE_MS;
    let part = (ms.clamp(low, high) / low).ln() / (high / low).ln();
    part * f64::from(u32::try_from(WIDTH - BESIDE).unwrap_or(0))
}

fn text(svg: &mut String, (x, y): (usize, usize), how: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" {how}>{words}</text>");
}

/// The names in a column, each once, in order.
fn each<'t>(rows: &[Row<'t>], name: fn(&Row<'t>) -> &'t str) -> Vec<&'t str> {
    let mut all = Vec::new();
    for row in rows {
        if !all.contains(&name(row)) {
            all.push(name(row));
        }
    }
    all
}

/// Draws the table; `None`: it has no row.
#[must_use]
pub(super) fn svg(table: &str) -> Option<String> {
    let rows: Vec<Row<'_>> = table.lines().filter_map(row).collect();
    let (antagonists, victims) = (each(&rows, |row| row.antagonist), each(&rows, |row| row.victim));
    if rows.is_empty() {
        return None;
    }
    let left = 20 + LETTER * antagonists.iter().map(|name| name.len()).max().unwrap_or(0);
    let (width, height) = (left + WIDTH * victims.len() + 10, TOP + HEIGHT * antagonists.len() + 30);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let [low, high] = SCALE_MS;
    text(&mut svg, (10, 18), "font-size=\"14\"", "What the home notices of bad neighbours");
    let head = format!(
        "bars: p99 from {low} to {high} ms, logarithmic; from above: {}; the line: at rest; ‰: lost",
        COLUMNS.join(", ")
    );
    text(&mut svg, (10, 34), "fill=\"#555555\"", &head);
    for (number, verdict) in ["spared", "felt", "hurt", "void"].into_iter().enumerate() {
        let x = width.saturating_sub(240) + 60 * number;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"9\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            colour(verdict)
        );
        text(&mut svg, (x + 14, 18), "", verdict);
    }
    for (number, victim) in victims.iter().enumerate() {
        text(&mut svg, (left + WIDTH * number, TOP - 10), "font-weight=\"bold\"", victim);
    }
    for (number, antagonist) in antagonists.iter().enumerate() {
        let y = TOP + HEIGHT * number;
        text(&mut svg, (10, y + HEIGHT / 2), "font-weight=\"bold\"", antagonist);
        for one in rows.iter().filter(|one| one.antagonist == *antagonist) {
            let place = victims.iter().position(|victim| *victim == one.victim).unwrap_or(0);
            panel(&mut svg, (left + WIDTH * place, y), one);
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn panel(svg: &mut String, (x, y): (usize, usize), row: &Row<'_>) {
    let rest = place(row.rest_ms);
    for (number, bar) in row.bars.iter().enumerate() {
        let top = y + 4 + number * (BAR + 4);
        let (long, fill) = (place(bar.p99_ms).max(1.0), colour(bar.verdict));
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{long:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>"
        );
        if bar.lost_permille > 0 {
            let (beside, y) =
                (f64::from(u32::try_from(x).unwrap_or(0)) + long.max(rest) + 4.0, top + BAR - 2);
            let lost = bar.lost_permille;
            let _ = writeln!(svg, "<text x=\"{beside:.1}\" y=\"{y}\" fill=\"#555555\">{lost} ‰</text>");
        }
    }
    let at = rest + f64::from(u32::try_from(x).unwrap_or(0));
    let (from, to) = (y + 1, y + 3 * (BAR + 4) + 3);
    let _ =
        writeln!(svg, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{from}\" y2=\"{to}\" stroke=\"#000000\"/>");
}

#[cfg(test)]
mod tests {
    use super::{Bar, SCALE_MS, place, row, svg};

    const TABLE: &str = "2026-11-26, `make test`:\n\n| antagonist | victim | at rest | no control | ceilings only | floors |\n\
        |---|---|---|---|---|---|\n\
        | spin | ping | 0 ‰, 1.0/2.0 | hurt (120 ‰, 4.0/900.5) | felt (0 ‰, 2.0/30.1) | spared (0 ‰, 1.1/2.2) |\n\
        | spin | dns | 0 ‰, 1.0/2.0 | void (0 ‰, 4.0/9.5) | felt (0 ‰, 2.0/30.1) | spared (0 ‰, 1.1/2.2) |\n";

    #[test]
    fn a_line_of_the_table_is_a_row_or_nothing() {
        let rows: Vec<_> = TABLE.lines().filter_map(row).collect();
        assert_eq!(rows.len(), 2, "heads are none");
        assert_eq!((rows[0].antagonist, rows[1].victim), ("spin", "dns"));
        assert_eq!(rows[0].bars[0], Bar { verdict: "hurt", lost_permille: 120, p99_ms: 900.5 });
    }

    #[test]
    fn every_cell_is_drawn() {
        let drawn = svg(TABLE).unwrap();
        assert_eq!(drawn.matches("height=\"12\"").count(), 6, "{drawn}");
        assert_eq!(drawn.matches("<line").count(), 2);
        assert!(drawn.contains(">120 ‰<") && drawn.ends_with("</svg>\n"));
        assert_eq!(svg("not run here\n"), None);
    }

    #[test]
    fn words_stand_beside_what_they_are_about() {
        let long = "a-neighbour-with-a-long-name";
        let drawn = svg(&TABLE.replace("spin", long)).unwrap();
        let x_of = |part: &str| {
            let line = drawn.lines().find(|line| line.contains(part)).unwrap();
            let (_, rest) = line.split_once("x=\"").unwrap();
            rest.split_once('"').unwrap().0.parse::<f64>().unwrap()
        };
        let (bars, lost) = (x_of("height=\"12\""), x_of("120 ‰"));
        assert!(x_of(long) + 6.6 * 28.0 < bars, "the name ends before the bars begin");
        assert!((3.9..4.1).contains(&(lost - bars - place(900.5))), "what was lost stands at its bar's end");
    }

    #[test]
    fn a_longer_time_is_a_longer_bar() {
        let all = [0.01, SCALE_MS[0], 1.0, 100.0, SCALE_MS[1], 1e9].map(place);
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1]) && all[0] == 0.0 && all[4] == all[5]);
    }
}
