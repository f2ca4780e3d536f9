//! `lab report`: the tables that suites wrote, each with its kernel, its date and the command that makes it anew.
//!
//! In:  `target/lab/report`. Out: one page on standard output, and drawings beside the tables. A suite that has not run here is named.
//!
//! Not here: running suites (`make test T=…`); what a table means (the page that quotes it).

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::command::Words;
use crate::error::Error;
use crate::house;
use crate::kernel::Kernel;

mod plot;

/// Suites that write a table.
const SUITES: [&str; 2] = ["attacks", "neighbours"];

fn folder() -> PathBuf {
    house::built().join("report")
}

fn path(suite: &str, kernel: Kernel) -> PathBuf {
    folder().join(format!("{suite}-{}.md", kernel.word()))
}

/// Keeps the table of `suite` for the report.
///
/// # Errors
/// [`Error::Io`]: it cannot be written.
pub fn keep(suite: &str, kernel: Kernel, table: &str) -> Result<(), Error> {
    house::make_folder(&folder())?;
    let day = Command::new("date").args(["-u", "+%F"]).output().map_err(Error::io("date"))?;
    let day = String::from_utf8_lossy(&day.stdout).trim().to_owned();
    let text = format!("{day}, `make test T={suite} KERNEL={}`:\n\n{table}", kernel.word());
    let path = path(suite, kernel);
    fs::write(&path, text).map_err(Error::path(&path))
}

/// The table of `suite` that was kept, with what stands before it; `None`: it has not run here.
#[must_use]
pub fn kept(suite: &str, kernel: Kernel) -> Option<String> {
    fs::read_to_string(path(suite, kernel)).ok()
}

/// Prints what was kept, and draws what can be drawn of it.
///
/// # Errors
/// [`Error::Io`]: the output, a drawing.
pub fn run(_words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    for suite in SUITES {
        for kernel in [Kernel::Board, Kernel::Quick] {
            let text = kept(suite, kernel)
                .unwrap_or_else(|| format!("not run here: `make test T={suite} KERNEL={}`\n", kernel.word()));
            writeln!(out, "## {suite}, kernel {}\n\n{text}", kernel.word()).map_err(Error::io("output"))?;
            if let Some(drawn) = plot::svg(&text) {
                let path = path(suite, kernel).with_extension("svg");
                fs::write(&path, drawn).map_err(Error::path(&path))?;
                writeln!(out, "drawn: {}\n", path.display()).map_err(Error::io("output"))?;
            }
        }
    }
    Ok(())
}
