//! The command about voice: phones that are registered, and calls.

use contract::calls::{Answer, Ask};
use contract::wires::CALLS;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, table};

pub(crate) fn calls(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(CALLS.server, error);
    let client = Client::dial(CALLS).map_err(failed)?;
    client.send(&Ask::Calls, &[]).map_err(failed)?;
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    loop {
        match client.wait::<Answer>().map_err(failed)?.0 {
            Answer::Phone { contact, address, remaining_s } => {
                let object = Object::default().text("kind", "phone").text("contact", &contact);
                let object = object.text("address", address).number("remaining_s", Some(remaining_s.into()));
                objects.push(object.end());
                let what = format!("{contact}, registered for {remaining_s} s");
                rows.push(["phone".to_owned(), address.to_string(), "-".to_owned(), what]);
            }
            Answer::Call { id, phone, peer, sent, received, age_s } => {
                let object = Object::default().text("kind", "call").text("id", &id).text("phone", phone);
                let object =
                    object.text("peer", peer).number("sent", Some(sent)).number("received", Some(received));
                objects.push(object.number("age_s", Some(age_s.into())).end());
                let what = format!("{age_s} s, {sent} packets sent, {received} received");
                rows.push(["call".to_owned(), phone.to_string(), peer.to_string(), what]);
            }
            Answer::Done => break,
        }
    }
    if words.json {
        return Ok(writeln!(out, "{}", json::array(&objects))?);
    }
    table::print(["KIND", "PHONE", "PEER", "WHAT"], &rows, out)
}
