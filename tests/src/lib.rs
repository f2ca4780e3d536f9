//! The house as its rules see it: where it stands, and its files as text.
//!
//! In:  the work tree. Out: paths and texts. The rules themselves are in `tests/`.
#![forbid(unsafe_code)]

pub mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};

/// Where the repository begins.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

/// One text file of the house.
#[derive(Debug)]
pub struct Source {
    /// Its path from the root.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Every file below `folders` whose name ends in one of `endings`, in order of path. Build products are left out, and what is not
/// UTF-8.
#[must_use]
pub fn sources(folders: &[&str], endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), endings, &mut found);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !["target", "vendor", "data", ".git"].contains(&name.as_str()) {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}
