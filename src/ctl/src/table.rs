//! Tables for a person: columns as wide as what is in them.

use crate::Error;
use crate::command::Out;

/// Prints `rows` under `heads`; the last column is as long as it likes.
pub(crate) fn print<const N: usize>(
    heads: [&str; N],
    rows: &[[String; N]],
    out: Out<'_>,
) -> Result<(), Error> {
    let mut widths = heads.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heads = heads.map(str::to_owned);
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
