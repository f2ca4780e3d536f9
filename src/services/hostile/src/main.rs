//! The tenant `hostile`, which tries what a service must not be able to do.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (run, name, at) = match words.as_slice() {
        [run, "report"] => {
            hostile::report().lines().for_each(|line| println!("report {run} {line}"));
            return ExitCode::SUCCESS;
        }
        [run, way @ ("30-deaf" | "30-hears")] => {
            let deaf = if *way == "30-deaf" { hostile::be_deaf() } else { Ok(()) };
            println!("attack {run} {way}: {deaf:?}");
            hostile::wait()
        }
        [run, name] => (run, name, None),
        [run, name, pid] if pid.parse::<i32>().is_ok() => (run, name, pid.parse().ok()),
        _ => {
            eprintln!("hostile: its words are RUN ATTACK [PID]");
            return ExitCode::from(2);
        }
    };
    match hostile::attack(name, at) {
        Some(outcome) => {
            println!("attack {run} {name}: {outcome}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("hostile: there is no attack {name}");
            ExitCode::FAILURE
        }
    }
}
