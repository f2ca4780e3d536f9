//! `shg service logs`.
//!
//! In:  a service's name. Out: the last lines that it has written on each gateway that is meant; with `--follow` what it writes from then on.
//!
//! A gateway answers with a bounded piece, and the byte after its last: who follows asks for what came after that, once a second. Lines
//! are a stranger's: what would speak to a terminal is written out.
//!
//! Source: docs/decisions/0133-logs-by-a-command.md.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use usp::message::act::{Operate, OperationKind};
use usp::message::{Entry, RequestKind, ResponseKind};

use crate::controller::{Asked, Desk, Fleet, code_words};
use crate::error::Error;
use crate::gateway::{gather, response};
use crate::options::Options;
use crate::service::{MODULES, named};

/// How often it is asked for more.
const EVERY: Duration = Duration::from_secs(1);

/// What one gateway has said.
struct Piece {
    lines: Vec<String>,
    from: u64,
    next: u64,
}

/// A line as a terminal can take it.
fn shown(line: &str) -> String {
    let one = |letter: char| match letter {
        '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_unicode().to_string(),
        letter => letter.to_string(),
    };
    line.chars().map(one).collect()
}

fn operate<'p>(command: &'p str, arguments: &'p [(&'static str, String)]) -> RequestKind<'p> {
    let entries = arguments.iter().map(|(name, value)| Entry::new(*name, value.as_str()));
    RequestKind::Operate(Operate {
        command: command.into(),
        command_key: "".into(),
        send_resp: true,
        input_args: entries.collect(),
    })
}

/// The piece in an answer.
fn piece(answer: &Asked, service: &str) -> Result<Piece, String> {
    let bytes = answer.as_ref().map_err(Clone::clone)?;
    let Some(ResponseKind::Operate(operate)) = response(bytes) else {
        return Err("not an answer to Operate".to_owned());
    };
    // A search that finds nothing is no error to USP.
    let one = operate.operation_results.first().ok_or_else(|| format!("service {service}: not there"))?;
    match &one.kind {
        Some(OperationKind::Output(output)) => {
            let of = |key: &str| output.output_args.iter().find(|one| one.key == key).map(|one| &*one.value);
            let number = |key: &str| of(key).and_then(|value| value.parse().ok());
            let (Some(log), Some(from), Some(next)) = (of("Log"), number("From"), number("Next")) else {
                return Err("an answer without a log".to_owned());
            };
            Ok(Piece { lines: log.lines().map(str::to_owned).collect(), from, next })
        }
        Some(OperationKind::Failure(failure)) => Err(code_words(failure.err_code, &failure.err_msg)),
        Some(OperationKind::Request(_)) | None => Err("it takes its time, which was not expected".to_owned()),
    }
}

fn line(desk: &Desk<'_>, place: usize, line: &str, options: &Options) -> String {
    let gateway = desk.name(place);
    if options.has("json") {
        json!({ "gateway": gateway, "line": line }).to_string()
    } else if desk.count() > 1 {
        format!("{gateway}: {}", shown(line))
    } else {
        shown(line)
    }
}

/// Shows the last lines of a service's log.
pub(crate) fn logs(options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    let service = options.words.first().map(String::as_str).unwrap_or_default();
    let command = format!("{MODULES}{}X_SHG_Log()", named("ExecutionUnit", service)?);
    let lines = if options.has("lines") { Some(options.number("lines")?) } else { None };
    let seconds = if options.has("seconds") { Some(options.number("seconds")?) } else { None };
    if seconds.is_some() && !options.has("follow") {
        return Err(Error::Usage("--seconds: without --follow it means nothing".to_owned()));
    }
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let arguments: Vec<_> = lines.into_iter().map(|lines| ("Lines", lines.to_string())).collect();
    let answers = desk.ask(|_| Some(operate(&command, &arguments)))?;
    let pieces: Vec<Result<Piece, String>> =
        answers.iter().flatten().map(|answer| piece(answer, service)).collect();
    if options.has("follow") {
        let until = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        return follow(&mut desk, (&command, service), pieces, until, (options, out));
    }
    let outcomes = pieces.into_iter().enumerate().map(|(place, piece)| {
        let outcome = piece.map(|Piece { lines, from, next }| {
            let text: String = lines.iter().map(|line| shown(line) + "\n").collect();
            (text, json!({ "lines": lines, "from": from, "next": next }))
        });
        (desk.name(place), outcome)
    });
    gather(outcomes.collect()).say(options, out)
}

/// Shows what comes, until it is late, or a gateway does not answer, or has that service no more.
fn follow(
    desk: &mut Desk<'_>,
    (command, service): (&str, &str),
    mut pieces: Vec<Result<Piece, String>>,
    until: Option<Instant>,
    (options, out): (&Options, &mut dyn Write),
) -> Result<(), Error> {
    loop {
        let mut next = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let piece = piece.as_ref();
            let piece =
                piece.map_err(|why| Error::Refused(format!("gateway {}: {why}", desk.name(place))))?;
            for one in &piece.lines {
                writeln!(out, "{}", line(desk, place, one, options))?;
            }
            next.push([("From", piece.next.to_string()), ("Lines", "1000".to_owned())]);
        }
        out.flush()?;
        let look = Instant::now() + EVERY;
        if until.is_some_and(|until| look > until) {
            return Ok(());
        }
        // Nothing is subscribed to: this is how long it is waited.
        while Instant::now() < look {
            desk.news(look)?;
        }
        let answers = desk.ask(|place| Some(operate(command, next.get(place)?)))?;
        pieces = answers.iter().flatten().map(|answer| piece(answer, service)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_line_does_not_speak_to_the_terminal() {
        for (line, said) in [
            ("good\tmorning ä", "good\tmorning ä"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\rb\u{9b}c", "a\\u{d}b\\u{9b}c"),
        ] {
            assert_eq!(shown(line), said);
        }
    }
}
