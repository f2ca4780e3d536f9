//! The tenant `hostile`, which tries what a service must not be able to do.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [run, name] = words.as_slice() else {
        eprintln!("hostile: its words are RUN ATTACK");
        return ExitCode::from(2);
    };
    if name == "report" {
        hostile::report().lines().for_each(|line| println!("report {run} {line}"));
        return ExitCode::SUCCESS;
    }
    match hostile::attack(name) {
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
