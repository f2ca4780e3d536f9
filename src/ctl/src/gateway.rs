//! Commands about the gateway: what storage knows.

use contract::mount;
use contract::mount::{Disk, DiskState};
use contract::wires::{MOUNT, Wire};
use wire::Client;

use crate::command::{Out, Words};
use crate::json::Object;
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
        mount::Answer::Mounted | mount::Answer::Done | mount::Answer::Damaged { .. } => {
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
            .number("volumes_bytes", Some(disk.volumes_bytes))
            .number("promised_bytes", Some(disk.promised_bytes))
            .text("reason", &disk.reason);
        return Ok(writeln!(out, "{}", object.end())?);
    }
    let row = [
        state.to_owned(),
        disk.device.to_string(),
        format!("{} MiB", disk.size_bytes >> 20),
        format!("{} MiB", disk.free_bytes >> 20),
        format!("{} of {} MiB", disk.promised_bytes >> 20, disk.volumes_bytes >> 20),
        disk.reason.to_string(),
    ];
    table::print(["STATE", "DEVICE", "SIZE", "FREE", "PROMISED", "WHY"], &[row], out)
}
