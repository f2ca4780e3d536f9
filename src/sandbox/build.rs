//! Compiles the policies of `policy/` into filters, so that nothing on the gateway reads them.
//!
//! In:  `policy/*.policy`, `policy/calls.tbl`, the target's architecture. Out: `$OUT_DIR/filters.rs`, one list of instructions for each
//! profile, without and with the right to read routes.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/bpf.rs"]
mod bpf;
#[path = "src/policy.rs"]
mod policy;

/// Name of the constant, and the texts that it is made of.
const FILTERS: [(&str, &[&str]); 4] = [
    ("STRICT", &["all", "strict"]),
    ("STRICT_ROUTES", &["all", "strict", "routes"]),
    ("GLIBC", &["all", "glibc"]),
    ("GLIBC_ROUTES", &["all", "glibc", "routes"]),
];

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=policy");
    println!("cargo:rerun-if-changed=src/bpf.rs");
    println!("cargo:rerun-if-changed=src/policy.rs");
    let target = env::var("CARGO_CFG_TARGET_ARCH").map_err(|error| error.to_string())?;
    let abi = match target.as_str() {
        "x86" => policy::Abi::I386,
        "x86_64" => policy::Abi::X86_64,
        other => return Err(format!("no policy for {other}")),
    };
    let read =
        |file: &str| fs::read_to_string(Path::new("policy").join(file)).map_err(|e| format!("{file}: {e}"));
    let table = read("calls.tbl")?;
    let mut text = String::new();
    for (name, parts) in FILTERS {
        let texts = parts.iter().map(|part| Ok((*part, read(&format!("{part}.policy"))?)));
        let texts = texts.collect::<Result<Vec<_>, String>>()?;
        let texts: Vec<(&str, &str)> = texts.iter().map(|(part, text)| (*part, text.as_str())).collect();
        let program = bpf::assemble(&policy::read(&table, &texts, abi)?)?;
        let _ = writeln!(text, "static {name}: &[Instruction] = &[");
        for (code, yes, no, operand) in program {
            let _ = writeln!(
                text,
                "    Instruction {{ code: {code}, yes: {yes}, no: {no}, operand: {operand} }},"
            );
        }
        text.push_str("];\n");
    }
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    fs::write(Path::new(&out).join("filters.rs"), text).map_err(|error| error.to_string())
}
