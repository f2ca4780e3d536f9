//! `ctl network`: what the network is, and orders that change what is wanted of it.
//!
//! In:  words. Out: rows, or JSON.
//!
//! Source: memfd_create(2), fcntl(2) `F_ADD_SEALS`.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use contract::learn::Lease;
use contract::limit::WANTED_BYTES;
use contract::show::{self, Part, Traffic};
use contract::wires::SHOW;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::command::{Out, Words};
use crate::gateway::dial;
use crate::json::{self, Object};
use crate::{Error, table};

/// Shows the network, or orders another one.
pub(crate) fn network(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let confirm_within_s = words.confirm_s()?;
    match words.plain() {
        ["apply", path] => order(&show::Ask::Apply { confirm_within_s }, Some(path), words, out),
        _ if confirm_within_s != 0 => Err(words.wrong()),
        [] => tell(words, out),
        ["confirm"] => order(&show::Ask::Confirm, None, words, out),
        ["revert"] => order(&show::Ask::Revert, None, words, out),
        _ => Err(words.wrong()),
    }
}

/// Gives an order, with a file's text where it needs one, and says what still differs.
fn order(ask: &show::Ask, path: Option<&str>, words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let failed = |error| Error::Wire(SHOW.server, error);
    let text = path.map(|path| sealed(path, WANTED_BYTES)).transpose()?;
    let client = dial(SHOW)?;
    let along: Vec<_> = text.iter().map(AsFd::as_fd).collect();
    client.send(ask, &along).map_err(failed)?;
    let mut differs = Vec::new();
    loop {
        match client.wait::<show::Answer>().map_err(failed)?.0 {
            show::Answer::Row { text, .. } => differs.push(text.to_string()),
            show::Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
            show::Answer::Done => break,
            show::Answer::Wan { .. }
            | show::Answer::Traffic(_)
            | show::Answer::Wanted { .. }
            | show::Answer::Link(_)
            | show::Answer::Address(_)
            | show::Answer::Route(_) => {}
        }
    }
    if words.json {
        let rows: Vec<String> = differs.iter().map(|row| json::string(row)).collect();
        return Ok(writeln!(out, "{}", Object::default().list("differs", &rows).end())?);
    }
    for row in &differs {
        writeln!(out, "DIFFERS   {row}")?;
    }
    let done = match ask {
        show::Ask::Apply { confirm_within_s: 0 } => "taken and kept".to_owned(),
        show::Ask::Apply { confirm_within_s } => {
            format!("taken; `ctl network confirm` within {confirm_within_s} s, or it is taken back")
        }
        show::Ask::Confirm => "kept".to_owned(),
        show::Ask::Revert => "taken back".to_owned(),
        show::Ask::Network
        | show::Ask::Traffic
        | show::Ask::Wanted
        | show::Ask::Found
        | show::Ask::Change { .. } => String::new(),
    };
    Ok(writeln!(out, "{done}")?)
}

/// The bytes of a file, at most so many, in a memory file that nobody can change any more.
pub(crate) fn sealed(path: &str, bytes_max: usize) -> Result<OwnedFd, Error> {
    let unread = |error| Error::Refused(format!("{path}: {error}"));
    let bytes = read(path, bytes_max)?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"order", flags).map_err(|errno| unread(errno.into()))?;
    let mut memory = fs::File::from(memory);
    memory.write_all(&bytes).map_err(unread)?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| unread(errno.into()))?;
    Ok(memory.into())
}

/// What is in a file.
pub(crate) fn read(path: &str, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let unread = |error| Error::Refused(format!("{path}: {error}"));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unread)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() > bytes_max {
        return Err(Error::Refused(format!("{path}: more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn tell(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let failed = |error| Error::Wire(SHOW.server, error);
    let client = dial(SHOW)?;
    client.send(&show::Ask::Network, &[]).map_err(failed)?;
    let (mut wanted, mut observed, mut differs, mut wan) = (Vec::new(), Vec::new(), Vec::new(), None);
    let mut flows = Vec::new();
    loop {
        match client.wait::<show::Answer>().map_err(failed)?.0 {
            show::Answer::Row { part: Part::Wanted, text } => wanted.push(text.to_string()),
            show::Answer::Row { part: Part::Observed, text } => observed.push(text.to_string()),
            show::Answer::Row { part: Part::Differs, text } => differs.push(text.to_string()),
            show::Answer::Wan { lease, applied_ms } => wan = Some((lease, applied_ms)),
            show::Answer::Traffic(some) => flows.extend(some),
            show::Answer::Wanted { .. }
            | show::Answer::Link(_)
            | show::Answer::Address(_)
            | show::Answer::Route(_) => {}
            show::Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
            show::Answer::Done => break,
        }
    }
    if words.json {
        let list = |rows: &[String]| rows.iter().map(|row| json::string(row)).collect::<Vec<String>>();
        let object = Object::default()
            .maybe("wan_address", wan.as_ref().map(|(lease, _)| lease.address))
            .number("wan_ms", wan.as_ref().map(|(_, applied_ms)| *applied_ms))
            .list("wanted", &list(&wanted))
            .list("observed", &list(&observed))
            .list("differs", &list(&differs))
            .list("traffic", &flows.iter().map(flow_object).collect::<Vec<String>>());
        return Ok(writeln!(out, "{}", object.end())?);
    }
    if let Some((lease, applied_ms)) = wan {
        writeln!(out, "WAN       {} by DHCP, {applied_ms} ms after boot", lease_words(&lease))?;
    }
    for (head, rows) in [("WANTED", wanted), ("OBSERVED", observed), ("DIFFERS", differs)] {
        for row in rows {
            writeln!(out, "{head:9} {row}")?;
        }
    }
    if flows.is_empty() {
        return Ok(());
    }
    const HEAD: [&str; 8] = ["LINK", "CLASS", "RATE", "CEILING", "BYTES", "PACKETS", "DROPS", "WAITING"];
    table::print(HEAD, &flows.iter().map(flow_row).collect::<Vec<_>>(), out)
}

fn flow_object(flow: &Traffic) -> String {
    let object = Object::default().text("link", &flow.link).text("class", &flow.class);
    let object = object.number("rate_kbit_s", Some(flow.rate_kbit_s.into()));
    let object = object.number("ceil_kbit_s", Some(flow.ceil_kbit_s.into()));
    let object = object.number("bytes", Some(flow.bytes)).number("packets", Some(flow.packets));
    let object = object.number("drops", Some(flow.drops.into()));
    object.number("backlog_bytes", Some(flow.backlog_bytes.into())).end()
}

fn flow_row(flow: &Traffic) -> [String; 8] {
    [
        flow.link.to_string(),
        flow.class.to_string(),
        format!("{} kbit/s", flow.rate_kbit_s),
        format!("{} kbit/s", flow.ceil_kbit_s),
        flow.bytes.to_string(),
        flow.packets.to_string(),
        flow.drops.to_string(),
        format!("{} bytes", flow.backlog_bytes),
    ]
}

fn lease_words(lease: &Lease) -> String {
    format!("{}/{} on {}", lease.address, lease.prefix_length, lease.link)
}
