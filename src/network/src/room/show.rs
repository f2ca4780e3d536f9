//! The serving end of the wire `show`: rows for people, and orders of the operator's.
//!
//! In:  one ask. Out: rows, and how it ended.
//!
//! A text comes as a sealed memory file: nobody can change it while we read.
//!
//! Not here: which rows there are (`tell.rs`), what becomes of a text (`configuration.rs`).
//!
//! Source: memfd_create(2), fcntl(2) `F_GET_SEALS`.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;

use contract::Text;
use contract::show::{Answer, Ask, Part};
use log::warn;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use sys::seqpacket::Descriptors;
use wire::Connection;

use crate::Error;
use crate::configuration::read_text;
use crate::gateway::Gateway;
use crate::tell::{tell, traffic};

/// What a text's file has to be sealed against.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SHRINK);

/// Answers. Is the client to be kept?
pub(super) fn answer(gateway: &mut Gateway, client: &Connection, ask: &Ask, along: Descriptors) -> bool {
    let rows = match ask {
        Ask::Network => tell(gateway),
        Ask::Traffic => traffic(gateway),
        Ask::Apply { confirm_within_s } => apply(gateway, *confirm_within_s, along),
        Ask::Confirm => gateway.confirm().map(|()| Vec::new()),
        Ask::Revert => gateway.revert().map(|()| differs(gateway)),
    };
    let end = match rows {
        Ok(rows) if !rows.iter().all(|row| client.send(row, &[]).is_ok()) => return false,
        Ok(_) => Answer::Done,
        Err(error) => {
            if !matches!(ask, Ask::Network | Ask::Traffic) {
                warn!("{error}");
            }
            Answer::Refused(Text::format(format_args!("{error}")))
        }
    };
    client.send(&end, &[]).is_ok()
}

fn apply(gateway: &mut Gateway, confirm_within_s: u32, along: Descriptors) -> Result<Vec<Answer>, Error> {
    let [file, ..] = along;
    let file = file.ok_or_else(|| Error::Refused("no text came along".to_owned()))?;
    gateway.take(sealed_text(file)?, confirm_within_s)?;
    Ok(differs(gateway))
}

fn sealed_text(file: OwnedFd) -> Result<String, Error> {
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(Error::kernel("the text's file"))?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS) {
        return Err(Error::Refused("the text's file is not sealed".to_owned()));
    }
    let mut file = File::from(file);
    let text = file.seek(SeekFrom::Start(0)).and_then(|_| read_text(file));
    text.map_err(Error::Read)
}

/// What is not as wanted after all.
fn differs(gateway: &Gateway) -> Vec<Answer> {
    let rows = gateway.fault().into_iter();
    rows.map(|row| Answer::Row { part: Part::Differs, text: Text::from(row) }).collect()
}
