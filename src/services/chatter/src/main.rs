//! The tenant `chatter`, which tests watch while they kill everything around it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chatter::{other_work, talk_until_told};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let amount = words.get(1).and_then(|word| word.parse::<usize>().ok());
    match (other_work(&words), amount) {
        (Some(work), Some(amount)) => {
            work(amount);
            ExitCode::SUCCESS
        }
        (None, Some(code)) => {
            println!("ends with {code}");
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        (_, None) => ExitCode::from(talk_until_told()),
    }
}
