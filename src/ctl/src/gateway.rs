//! Commands about the gateway: what storage and network know.

use contract::learn::Lease;
use contract::mount::{Disk, DiskState};
use contract::show::{Part, Traffic};
use contract::wires::{MOUNT, SHOW, Wire};
use contract::{mount, show};
use wire::Client;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, table};

pub(crate) fn dial(wire: Wire) -> Result<Client, Error> {
    Client::dial(wire).map_err(|error| Error::Wire(wire.server, error))
}

pub(crate) fn disk(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let answer = dial(MOUNT)?.call::<_, mount::Answer>(&mount::Ask::Disk, &[]);
    let disk: Disk = match answer.map_err(|error| Error::Wire(MOUNT.server, error))?.0 {
        mount::Answer::Disk(disk) => disk,
        mount::Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
        mount::Answer::Mounted | mount::Answer::Done => {
            return Err(Error::Refused("no answer to the question".to_owned()));
        }
    };
    let state = match disk.state {
        DiskState::Absent => "absent",
        DiskState::Mounted => "mounted",
        DiskState::Broken => "broken",
    };
    if words.json {
        let object = Object::default()
            .text("state", state)
            .text("device", &disk.device)
            .number("size_bytes", Some(disk.size_bytes))
            .number("free_bytes", Some(disk.free_bytes))
            .text("reason", &disk.reason);
        return Ok(writeln!(out, "{}", object.end())?);
    }
    let row = [
        state.to_owned(),
        disk.device.to_string(),
        format!("{} MiB", disk.size_bytes >> 20),
        format!("{} MiB", disk.free_bytes >> 20),
        disk.reason.to_string(),
    ];
    table::print(["STATE", "DEVICE", "SIZE", "FREE", "WHY"], &[row], out)
}

pub(crate) fn network(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
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
