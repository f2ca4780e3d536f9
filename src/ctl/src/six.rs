//! What `lease` says of IPv6, as rows of `ctl leases`.
//!
//! In:  an answer of the wire `leases`. Out: a row for a person, an object for a program.

use contract::learn::Ipv6;
use contract::leases::Answer;
use contract::mac::Mac;

use crate::json::Object;
use crate::leases::Row;

/// The row and the object of an answer about IPv6; `None`: it is about something else.
pub(crate) fn line(answer: &Answer) -> Option<(Row, Object)> {
    match answer {
        Answer::Ipv6 { state, known, .. } => Some((client_row(state, known), client_object(state, known))),
        Answer::Told { link, prefix, preferred_s, valid_s } => {
            let object = Object::default().text("role", "told").text("link", link).text("prefix", prefix);
            let object = object.number("preferred_s", Some((*preferred_s).into()));
            let what = if *preferred_s == 0 { "given up" } else { "told" };
            let row = [link, what, &prefix.to_string(), "", "", &left(*valid_s)].map(str::to_owned);
            Some((row, object.number("valid_s", Some((*valid_s).into()))))
        }
        Answer::Given6 { link, address, mac, remaining_s } => {
            let mac = Mac(*mac);
            let object = Object::default().text("role", "server").text("link", link);
            let object = object.text("address", address).text("mac", mac);
            let row = [link, "given", &address.to_string(), &mac.to_string(), "", &left(*remaining_s)];
            Some((row.map(str::to_owned), object.number("remaining_s", Some((*remaining_s).into()))))
        }
        Answer::Client { .. }
        | Answer::Session { .. }
        | Answer::Given { .. }
        | Answer::Kept { .. }
        | Answer::Mapping { .. }
        | Answer::Done => None,
    }
}

fn left(seconds: u32) -> String {
    if seconds == u32::MAX { "for ever".to_owned() } else { format!("{seconds} s") }
}

/// All addresses and prefixes, and what remains of the one that ends first.
fn client_row(state: &str, known: &Ipv6) -> Row {
    let addresses = known.addresses.iter().map(|own| format!("{}/{}", own.address, own.prefix_length));
    let prefixes = known.prefixes.iter().map(|prefix| format!("{} for the home", prefix.prefix));
    let all = addresses.chain(prefixes).collect::<Vec<_>>().join(", ");
    let all = if all.is_empty() { "-".to_owned() } else { all };
    let router = known.router.map(|router| format!("by {router}")).unwrap_or_default();
    let ends = known.addresses.iter().map(|own| own.valid_s);
    let end = ends.chain(known.prefixes.iter().map(|prefix| prefix.valid_s)).min();
    let end = end.map(left).unwrap_or_default();
    [known.link.to_string(), format!("IPv6 {state}"), all, router, String::new(), end]
}

fn client_object(state: &str, known: &Ipv6) -> Object {
    let joined = |texts: Vec<String>| Some(texts.join(" ")).filter(|text| !text.is_empty());
    let addresses = known.addresses.iter().map(|own| format!("{}/{}", own.address, own.prefix_length));
    let prefixes = known.prefixes.iter().map(|prefix| prefix.prefix.to_string());
    let ends = known.prefixes.iter().map(|prefix| u64::from(prefix.valid_s)).min();
    Object::default()
        .text("role", "ipv6")
        .text("link", &known.link)
        .text("state", state)
        .maybe("router", known.router)
        .maybe("addresses", joined(addresses.collect()))
        .maybe("prefixes", joined(prefixes.collect()))
        .number("prefix_valid_s", ends)
}
