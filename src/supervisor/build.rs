//! Parses the manifests of the services that come with the image, so that no parser of text runs beside the supervisor's rights.
//!
//! In:  `src/services/*/manifest.toml` and `src/services/slices.toml`; with the feature `rehearsal` also `rehearsal.toml` and
//! `rehearsal-slices.toml`. Out: `$OUT_DIR/manifests.rs`, tables of encoded manifests and slices.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use contract::{frame, limit, manifest, slice};

fn main() -> Result<(), String> {
    let services = Path::new("../services");
    println!("cargo:rerun-if-changed={}", services.display());
    let mut folders: Vec<PathBuf> = fs::read_dir(services)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    let names: &[&str] = match env::var_os("CARGO_FEATURE_REHEARSAL") {
        Some(_) => &["manifest.toml", "rehearsal.toml"],
        None => &["manifest.toml"],
    };
    let paths = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let mut table = String::from("const MANIFESTS: &[&[u8]] = &[\n");
    for path in paths.filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let manifest = manifest::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut buffer = [0; limit::MANIFEST_BYTES];
        let bytes =
            frame::encode(&manifest, &mut buffer).map_err(|error| format!("{}: {error}", path.display()))?;
        writeln!(table, "    &{bytes:?},").map_err(|error| error.to_string())?;
    }
    table.push_str("];\n");
    table.push_str(&slices(services, names)?);
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    fs::write(Path::new(&out).join("manifests.rs"), table).map_err(|error| error.to_string())
}

/// The table of slices: a file for each kind of manifest.
fn slices(services: &Path, kinds: &[&str]) -> Result<String, String> {
    let mut table = String::from("const SLICES: &[&[u8]] = &[\n");
    for kind in kinds {
        let file = if *kind == "manifest.toml" { "slices.toml" } else { "rehearsal-slices.toml" };
        let path = services.join(file);
        println!("cargo:rerun-if-changed={}", path.display());
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let slices = slice::parse(&text).map_err(|error| failed(&error))?;
        let mut buffer = [0; limit::MANIFEST_BYTES];
        let bytes = frame::encode(&slices, &mut buffer).map_err(|error| failed(&error))?;
        writeln!(table, "    &{bytes:?},").map_err(|error| error.to_string())?;
    }
    table.push_str("];\n");
    Ok(table)
}
