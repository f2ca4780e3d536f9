//! The command about multicast: who watches what, which streams pass.

use contract::groups::{Answer, Ask};
use contract::wires::GROUPS;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, table};

pub(crate) fn multicast(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(GROUPS.server, error);
    let client = Client::dial(GROUPS).map_err(failed)?;
    client.send(&Ask::Groups, &[]).map_err(failed)?;
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    loop {
        match client.wait::<Answer>().map_err(failed)?.0 {
            Answer::Group { link, group, only, sources, hosts, remaining_s } => {
                let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
                let object = Object::default().text("kind", "group").text("link", &link).text("group", group);
                let mode = if only { "include" } else { "exclude" };
                let quoted: Vec<String> = sources.iter().map(|source| json::string(source)).collect();
                let object = object.text("mode", mode).list("sources", &quoted);
                let object = object.number("hosts", Some(hosts.into()));
                objects.push(object.number("remaining_s", Some(remaining_s.into())).end());
                let from = match (only, sources.is_empty()) {
                    (true, _) => format!("from {}", sources.join(" ")),
                    (false, true) => "from all".to_owned(),
                    (false, false) => format!("from all but {}", sources.join(" ")),
                };
                let what = format!("{hosts} hosts, {remaining_s} s, {from}");
                rows.push(["group".to_owned(), group.to_string(), link.to_string(), what]);
            }
            Answer::Stream { source, group, from, to, packets } => {
                let object =
                    Object::default().text("kind", "stream").text("source", source).text("group", group);
                let leaves: Vec<String> = to.iter().map(|link| json::string(link)).collect();
                let object = object.text("from", &from).list("to", &leaves);
                objects.push(object.number("packets", Some(packets)).end());
                let leaves: Vec<&str> = to.iter().map(contract::Text::as_str).collect();
                let leaves = if leaves.is_empty() { "nowhere".to_owned() } else { leaves.join(" ") };
                let what = format!("from {source}, to {leaves}, {packets} packets");
                rows.push(["stream".to_owned(), group.to_string(), from.to_string(), what]);
            }
            Answer::Done => break,
        }
    }
    if words.json {
        return Ok(writeln!(out, "{}", json::array(&objects))?);
    }
    table::print(["KIND", "GROUP", "LINK", "WHAT"], &rows, out)
}
