//! `ctl leases`: what was got on the operator's side, and what was given at home.
//!
//! In:  rows of the wire `leases`. Out: a table, or JSON: a row or an object each.

use contract::learn::{Lease, Session};
use contract::leases::{Answer, Ask};
use contract::mac::Mac;
use contract::wires::LEASES;

use crate::command::{Out, Words};
use crate::gateway::dial;
use crate::json::{self, Object};
use crate::{Error, six, table};

/// A row: link, what it is, address, whose, its name, what remains.
pub(crate) type Row = [String; 6];

pub(crate) fn leases(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(LEASES.server, error);
    let client = dial(LEASES)?;
    client.send(&Ask::Leases, &[]).map_err(failed)?;
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    while let Some((row, object)) = line(&client.wait::<Answer>().map_err(failed)?.0) {
        rows.push(row);
        objects.push(object.end());
    }
    if words.json {
        return Ok(writeln!(out, "{}", json::array(&objects))?);
    }
    table::print(["LINK", "WHAT", "ADDRESS", "CLIENT", "HOST", "REMAINS"], &rows, out)
}

/// One answer, in both forms; `None`: it was the last.
fn line(answer: &Answer) -> Option<(Row, Object)> {
    Some(match answer {
        Answer::Client { link, state, lease, remaining_s, .. } => {
            let address = lease.as_ref().map_or_else(|| "-".to_owned(), address);
            let object = Object::default().text("role", "client").text("link", link).text("state", state);
            let object = object.maybe("address", lease.as_ref().map(|lease| lease.address));
            let row = [
                link.to_string(),
                format!("DHCP {state}"),
                address,
                nothing(),
                nothing(),
                seconds(*remaining_s),
            ];
            (row, object.number("remaining_s", Some((*remaining_s).into())))
        }
        Answer::Session { link, state, session, up_s, reason } => {
            let words = session.as_ref().map_or_else(|| "-".to_owned(), session_words);
            let object = Object::default().text("role", "session").text("link", link).text("state", state);
            let object = session_numbers(object, session.as_ref(), *up_s).text("reason", reason);
            let up = format!("{up_s} s up");
            ([link.to_string(), format!("PPPoE {state}"), words, nothing(), reason.to_string(), up], object)
        }
        Answer::Given { link, address, mac, host, remaining_s } => {
            let mac = Mac(*mac);
            let object = Object::default().text("role", "server").text("link", link);
            let object = object.text("address", address).text("mac", mac).text("host", host);
            let row = [link, "given", &address.to_string(), &mac.to_string(), host, &seconds(*remaining_s)];
            (row.map(str::to_owned), object.number("remaining_s", Some((*remaining_s).into())))
        }
        Answer::Kept { link, address, mac, name } => {
            let object = Object::default().text("role", "reservation").text("link", link);
            let object = object.text("address", address).text("mac", mac).text("host", name);
            ([link, "kept", &address.to_string(), &mac.to_string(), name, ""].map(str::to_owned), object)
        }
        Answer::Mapping { link, mapping, remaining_s } => {
            let protocol = format!("{:?}", mapping.protocol).to_lowercase();
            let object = Object::default().text("role", "mapping").text("link", link);
            let object = object.text("protocol", &protocol);
            let object = object.number("external_port", Some(mapping.external_port.into()));
            let object = object.text("address", mapping.host).number("port", Some(mapping.port.into()));
            let what = format!("{protocol} port {}", mapping.external_port);
            let to = format!("{}, port {}", mapping.host, mapping.port);
            let row = [link.to_string(), what, to, nothing(), nothing(), seconds(*remaining_s)];
            (row, object.number("remaining_s", Some((*remaining_s).into())))
        }
        Answer::Ipv6 { .. } | Answer::Told { .. } | Answer::Given6 { .. } => return six::line(answer),
        Answer::Done => return None,
    })
}

fn nothing() -> String {
    String::new()
}

fn seconds(seconds: u32) -> String {
    format!("{seconds} s")
}

fn address(lease: &Lease) -> String {
    format!("{}/{}", lease.address, lease.prefix_length)
}

fn session_words(session: &Session) -> String {
    format!("{} on {}, peer {}, mtu {}", session.address, session.ppp, session.peer, session.mtu)
}

fn session_numbers(object: Object, session: Option<&Session>, up_s: u32) -> Object {
    object
        .maybe("address", session.map(|session| session.address))
        .maybe("peer", session.map(|session| session.peer))
        .number("mtu", session.map(|session| session.mtu.into()))
        .maybe("identifier", session.map(|session| format!("{:016x}", session.identifier)))
        .number("up_s", session.map(|_| up_s.into()))
}
