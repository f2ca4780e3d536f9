//! The tables of the machine's network as lines: the firewall, queues with their classes and filters, addresses, routes.
//!
//! In:  the kernel, by the sockets of the room `network`. Out: a line for each thing that is there, by its place and its kind.
//!
//! Numbers that the kernel gives, and counts, are left out: a rule that was made anew in the same place is the same line.
//!
//! `leak` leaves something behind on purpose, to show that it is seen.
//!
//! Source: rtnetlink(7); linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h; linux/rtnetlink.h, `struct tcmsg`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;

use contract::wires::CALLS;
use ctl::Error;
use network::bytes::{Writer, attribute, attributes, message, text, u32_at};
use network::socket::{ACK, CREATE, REQUEST, Socket};
use nix::errno::Errno;
use wire::Client;

/// `struct nfgenmsg` and `struct tcmsg`, in bytes.
const NFGEN: usize = 4;
const TC: usize = 20;
/// The subsystem of nftables: `NFNL_SUBSYS_NFTABLES`.
const NFT: u16 = 10 << 8;
const NEW_TABLE: u16 = NFT;
const NEW_CHAIN: u16 = NFT | 3;
const GET_CHAIN: u16 = NFT | 4;
const NEW_RULE: u16 = NFT | 6;
const GET_RULE: u16 = NFT | 7;
const GET_SET: u16 = NFT | 10;
const GET_ELEMENT: u16 = NFT | 13;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH: [u16; 2] = [16, 17];
/// `NFPROTO_INET`.
const INET: u8 = 1;
const GET_ADDRESS: u16 = 22;
const NEW_QUEUE: u16 = 36;
const GET_QUEUE: u16 = 38;
const GET_CLASS: u16 = 42;
const GET_FILTER: u16 = 46;
/// `TC_H_ROOT`; the two sides of `clsact`.
const ROOT: u32 = u32::MAX;
const SIDES: [u32; 2] = [0xffff_fff2, 0xffff_fff3];
/// The loopback: nobody's to mend.
const LOOPBACK: u32 = 1;

/// All of it.
pub(crate) fn lines() -> io::Result<Vec<String>> {
    let mut lines = firewall()?;
    let links = links();
    let mut socket = Socket::route()?;
    for body in socket.dump(GET_QUEUE, &head(0, 0))? {
        lines.push(format!("queue {}", queue(&links, &body)));
    }
    for (number, name) in &links {
        for body in socket.dump(GET_CLASS, &head(*number, 0)).unwrap_or_default() {
            lines.push(format!("class {} {:x}", queue(&links, &body), u32_at(&body, 8).unwrap_or(0)));
        }
        for side in SIDES.into_iter().chain([ROOT]) {
            // A link without queues has no filters either.
            for body in socket.dump(GET_FILTER, &head(*number, side)).unwrap_or_default() {
                lines.push(format!("filter {name} {side:x} {}", kind(&body)));
            }
        }
    }
    for body in socket.dump(GET_ADDRESS, &[0; 8])? {
        // struct ifaddrmsg: the family, the prefix, and the link's number at 4.
        let name = u32_at(&body, 4).and_then(|link| links.get(&link));
        let address = body.get(8..).and_then(|attributes| attribute(attributes, 1)).unwrap_or_default();
        lines.push(format!("address {} {address:?}", name.map_or("?", String::as_str)));
    }
    // Destination, gateway, mask; of the newer kind the link is last. The counts of use are left out.
    for (file, columns) in [("route", [0, 1, 2, 7].as_slice()), ("ipv6_route", &[0, 1, 4, 9])] {
        for line in fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let words: Vec<&str> = columns.iter().filter_map(|at| words.get(*at).copied()).collect();
            lines.push(format!("{file} {}", words.join(" ")));
        }
    }
    Ok(lines)
}

/// Services' links and their queues, with the numbers that each has for as long as it lives.
pub(crate) fn links_and_queues() -> io::Result<Vec<String>> {
    let mut links = links();
    links.retain(|_, name| name.starts_with("svc-"));
    let mut lines: Vec<String> = links.iter().map(|(number, name)| format!("link {name} {number}")).collect();
    for body in Socket::route()?.dump(GET_QUEUE, &head(0, 0))? {
        if u32_at(&body, 4).is_some_and(|link| links.contains_key(&link)) {
            lines.push(format!("queue {} {:x}", queue(&links, &body), u32_at(&body, 8).unwrap_or(0)));
        }
    }
    Ok(lines)
}

/// Every link's number and name.
fn links() -> BTreeMap<u32, String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: &String| {
        fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
    };
    names.filter_map(|name| Some((number(&name)?, name))).collect()
}

/// `struct tcmsg` about a link, and something below `parent`.
fn head(link: u32, parent: u32) -> Vec<u8> {
    [0, link, 0, parent, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// What a message says of its kind: `TCA_KIND`.
fn kind(body: &[u8]) -> &str {
    body.get(TC..).and_then(|attributes| attribute(attributes, 1)).and_then(text).unwrap_or("?")
}

/// The link, the kind, and whose child it is.
fn queue(links: &BTreeMap<u32, String>, body: &[u8]) -> String {
    let name = u32_at(body, 4).and_then(|link| links.get(&link)).map_or("?", String::as_str);
    format!("{name} {} {:x}", kind(body), u32_at(body, 12).unwrap_or(0))
}

/// Chains, rules, sets and their elements, of all families.
fn firewall() -> io::Result<Vec<String>> {
    let mut socket = Socket::filter()?;
    let mut lines = Vec::new();
    let word = |body: &[u8], number| {
        let value = body.get(NFGEN..).and_then(|attributes| attribute(attributes, number));
        value.and_then(text).unwrap_or("?").to_owned()
    };
    // Tables are attribute 1 of all; the chain's own name is 3, a rule's chain 2.
    for body in socket.dump(GET_CHAIN, &[0; NFGEN])? {
        lines.push(format!("chain {} {}", word(&body, 1), word(&body, 3)));
    }
    for body in socket.dump(GET_RULE, &[0; NFGEN])? {
        lines.push(format!("rule {} {}", word(&body, 1), word(&body, 2)));
    }
    for set in socket.dump(GET_SET, &[0; NFGEN])? {
        let (table, name) = (word(&set, 1), word(&set, 2));
        let family = set.first().copied().unwrap_or_default();
        let names = Writer::default().put_text(1, &table).put_text(2, &name).end();
        for body in socket.dump(GET_ELEMENT, &[[family, 0, 0, 0].as_slice(), &names].concat())? {
            let list = body.get(NFGEN..).and_then(|all| attribute(all, 3)).unwrap_or_default();
            lines.extend(attributes(list).map(|_| format!("element {table} {name}")));
        }
        lines.push(format!("set {table} {name}"));
    }
    Ok(lines)
}

/// Leaves something behind: a `rule`, a `queue`, a `descriptor` that a daemon holds for somebody who asks nothing, or a `process` that sleeps
/// for an hour.
pub(crate) fn leak(what: &str) -> Result<(), Error> {
    let refused = |errno: Errno| Error::Refused(format!("{what}: {}", errno.desc()));
    match what {
        "rule" => rule().map_err(refused),
        "queue" => {
            let body = [head(LOOPBACK, ROOT), Writer::default().put_text(1, "pfifo").end()].concat();
            Socket::route().and_then(|mut socket| socket.change(NEW_QUEUE, CREATE, &body)).map_err(refused)
        }
        "descriptor" => {
            std::mem::forget(Client::dial(CALLS).map_err(|error| Error::Refused(error.to_string()))?);
            Ok(())
        }
        "process" => {
            std::mem::forget(Command::new(std::env::current_exe()?).args(["nap", "3600000"]).spawn()?);
            Ok(())
        }
        _ => Err(Error::Usage("leak rule|queue|descriptor|process".to_owned())),
    }
}

/// A table with a chain with a rule that does nothing.
fn rule() -> Result<(), Errno> {
    const NAME: &str = "leak";
    let mut socket = Socket::filter()?;
    let table = Writer::default().put_text(1, NAME).end();
    let chain = Writer::default().put_text(1, NAME).put_text(3, NAME).end();
    let rule = Writer::default().put_text(1, NAME).put_text(2, NAME).end();
    let [begin, end] = BATCH;
    let first = socket.numbers(5);
    let frame = [0, 0, 0, 10]; // the subsystem, in network order
    let about = |attributes: &[u8]| [[INET, 0, 0, 0].as_slice(), attributes].concat();
    let steps = [
        (begin, 0, frame.to_vec()),
        (NEW_TABLE, CREATE, about(&table)),
        (NEW_CHAIN, CREATE, about(&chain)),
        (NEW_RULE, CREATE | ACK, about(&rule)),
        (end, 0, frame.to_vec()),
    ];
    let numbered = (first..).zip(steps);
    let bytes =
        numbered.flat_map(|(number, (kind, flags, body))| message(kind, REQUEST | flags, number, &body));
    socket.batch(&bytes.collect::<Vec<u8>>(), first, first + 3)
}
