//! Links, addresses and routes in the kernel: look at them, change them. The only module that knows the crates `rtnetlink` and
//! `netlink-packet-route`.
//!
//! In:  a socket of some namespace, a `Change`. Out: an `Observed`; the change, done.
//!
//! Theirs are the words in which bridges and pairs are asked for; ours are those for all else (`kernel/words.rs`), the socket (theirs
//! needs an async runtime) and the decoder (theirs loses every link on i386, see `bytes.rs`).
//!
//! Source: rtnetlink(7), veth(4).

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::Emitable;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use sys::Errno;

use crate::Error;
use crate::bytes::{attribute, u32_at};
use crate::observed::Observed;
use crate::plan::Change;
use crate::socket::{CREATE, EXCLUSIVE, REPLACE, Request, Socket};
use crate::target::{Bridge, INSIDE_LINK, Route, Setting};

mod words;

/// Stations that a bridge remembers: a home has a tenth, and without a limit one host that makes addresses up would have all memory. What
/// is beyond it still gets its frames, and so do all others. Since Linux 6.7; older kernels pass over it.
const STATIONS_MAX: u32 = 2_048;
/// Where settings are. The rights over the network are enough to write them (net/sysctl_net.c, `net_ctl_permissions`).
const SETTINGS: &str = "/proc/sys/net";

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;
const NEWRULE: u16 = 32;
const DELRULE: u16 = 33;
const GETRULE: u16 = 34;

/// Looks at everything; of settings at these, which are of our own namespace.
///
/// # Errors
/// [`Error::Kernel`]: it does not say.
pub fn observe(socket: &mut Socket, settings: &[Setting]) -> Result<Observed, Error> {
    // A body of zeros asks for all families.
    let failed = |what: &str| Error::kernel(format!("cannot list {what}"));
    let mut observed = Observed::default();
    for body in socket.dump(GETLINK, &[0; 16]).map_err(failed("links"))? {
        observed.take_link(&body);
    }
    for body in socket.dump(GETADDR, &[0; 8]).map_err(failed("addresses"))? {
        observed.take_address(&body);
    }
    for body in socket.dump(GETROUTE, &[0; 12]).map_err(failed("routes"))? {
        observed.take_route(&body);
    }
    for body in socket.dump(GETRULE, &[0; 12]).map_err(failed("rules"))? {
        observed.take_rule(&body);
    }
    for path in settings.iter().map(|setting| &setting.path) {
        if let Ok(says) = fs::read_to_string(format!("{SETTINGS}/{path}")) {
            observed.settings.push((path.clone(), says.trim().to_owned()));
        }
    }
    Ok(observed)
}

/// Makes changes in one namespace, in their order, where this was observed. One that is refused does not keep the others back. Returns
/// what became of each.
///
/// They go together, in as few packets as can be: what waits is sent when what follows needs the number of a link that it makes.
pub fn apply(socket: &mut Socket, observed: &Observed, changes: &[Change]) -> Vec<Result<(), Error>> {
    let numbers = observed.links.iter().map(|link| (link.name.clone(), link.index)).collect();
    let said = vec![Ok(()); changes.len()];
    let mut hand = Hand { socket, numbers, place: 0, waiting: Vec::new(), said };
    for (place, change) in changes.iter().enumerate() {
        hand.place = place;
        if let Err(errno) = prepare(&mut hand, change) {
            hand.note(place, errno);
        }
    }
    hand.send();
    let said = hand.said.into_iter().zip(changes);
    said.map(|(said, change)| said.map_err(Error::kernel(change.to_string()))).collect()
}

/// Changes on their way. It knows the numbers of links that were observed, and asks for those of new ones.
#[derive(Debug)]
struct Hand<'s> {
    socket: &'s mut Socket,
    numbers: HashMap<String, u32>,
    /// Which change is being prepared.
    place: usize,
    waiting: Vec<Waiting>,
    said: Vec<Result<(), Errno>>,
}

/// One request that was not sent yet.
#[derive(Debug)]
struct Waiting {
    /// Which change it belongs to.
    place: usize,
    request: Request,
    /// The answer that means that it is as wanted already.
    already: Option<Errno>,
}

impl Hand<'_> {
    fn ask(&mut self, kind: u16, flags: u16, body: Vec<u8>) {
        let request = Request { kind, flags, body };
        self.waiting.push(Waiting { place: self.place, request, already: None });
    }

    /// As [`Hand::ask`]; this answer means that it is as wanted already.
    fn ask_or(&mut self, already: Errno, kind: u16, flags: u16, body: Vec<u8>) {
        let request = Request { kind, flags, body };
        self.waiting.push(Waiting { place: self.place, request, already: Some(already) });
    }

    fn set(&mut self, name: &str, words: impl FnOnce(u32) -> Vec<u8>) -> Result<(), Errno> {
        let link = self.number(name)?;
        self.ask(SETLINK, 0, words(link));
        Ok(())
    }

    /// Sends what waits.
    fn send(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let notes = waiting.iter().map(|one| (one.place, one.already)).collect::<Vec<_>>();
        let requests: Vec<Request> = waiting.into_iter().map(|one| one.request).collect();
        for ((place, already), said) in notes.into_iter().zip(self.socket.changes(&requests)) {
            match said {
                Err(errno) if already != Some(errno) => self.note(place, errno),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// The first error of a change counts.
    fn note(&mut self, place: usize, errno: Errno) {
        if let Some(said @ Ok(())) = self.said.get_mut(place) {
            *said = Err(errno);
        }
    }

    /// The number of a link.
    fn number(&mut self, name: &str) -> Result<u32, Errno> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        self.send();
        let number = index(self.socket, name)?;
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    fn link_of(&mut self, route: &Route) -> Result<Option<u32>, Errno> {
        route.link().map(|link| self.number(link)).transpose()
    }
}

fn prepare(hand: &mut Hand<'_>, change: &Change) -> Result<(), Errno> {
    match change {
        Change::DropRule(rule) => hand.ask_or(Errno::ENOENT, DELRULE, 0, words::rule(rule)),
        Change::DropRoute(route) => {
            let link = hand.link_of(route)?;
            // A route may have gone with its address.
            hand.ask_or(Errno::ESRCH, DELROUTE, 0, words::stale_route(route, link));
        }
        Change::DropAddress(address) => {
            let link = hand.number(&address.link)?;
            hand.ask_or(Errno::EADDRNOTAVAIL, DELADDR, 0, words::address(address, link));
        }
        Change::DropLink(link) => {
            hand.send();
            try_drop_link(hand.socket, link)?;
            hand.numbers.remove(link);
        }
        Change::AddBridge(name, bridge) => add_bridge(hand, name, *bridge)?,
        Change::AddVlan(name, vlan) => {
            let parent = hand.number(&vlan.parent)?;
            hand.ask(NEWLINK, CREATE | EXCLUSIVE, words::vlan(name, vlan, parent, 0));
            hand.numbers.remove(name);
        }
        Change::SetPriority(name, vlan) => {
            let link = hand.number(name)?;
            hand.ask(NEWLINK, 0, words::vlan(name, vlan, 0, link));
        }
        Change::SetBridge(name, bridge) => {
            let link = hand.number(name)?;
            set_bridge(hand, link, *bridge)?;
        }
        Change::Release(link) => hand.set(link, words::release)?,
        Change::Mark(link) => hand.set(link, words::mark)?,
        Change::SetMtu(link, mtu) => hand.set(link, |link| words::mtu(link, *mtu))?,
        Change::Leave(link) => hand.set(link, |link| words::master(link, 0))?,
        Change::SetPort(name, port) => {
            let link = hand.number(name)?;
            hand.ask(NEWLINK, 0, words::port(link, *port));
        }
        Change::Join { link, bridge } => {
            let bridge = hand.number(bridge)?;
            hand.set(link, |link| words::master(link, bridge))?;
        }
        Change::Set(setting) => {
            hand.send();
            write(setting)?;
        }
        Change::SetUp(link) => hand.set(link, |link| body(&LinkUnspec::new_with_index(link).up().build()))?,
        Change::AddAddress(address) | Change::SetLife(address) => {
            let link = hand.number(&address.link)?;
            hand.ask(NEWADDR, CREATE | REPLACE, words::address(address, link));
        }
        Change::AddRoute(route) => {
            let link = hand.link_of(route)?;
            hand.ask(NEWROUTE, CREATE | REPLACE, words::route(route, link));
        }
        Change::AddRule(rule) => {
            hand.ask_or(Errno::EEXIST, NEWRULE, CREATE | EXCLUSIVE, words::rule(rule));
        }
    }
    Ok(())
}

/// What is as wanted already is no fault.
fn or_gone(done: Result<(), Errno>, already: Errno) -> Result<(), Errno> {
    if done == Err(already) { Ok(()) } else { done }
}

fn add_bridge(hand: &mut Hand<'_>, name: &str, bridge: Bridge) -> Result<(), Errno> {
    let made = LinkBridge::new(name).fdb_max_learned(STATIONS_MAX).build();
    hand.ask(NEWLINK, CREATE | EXCLUSIVE, body(&made));
    hand.numbers.remove(name);
    let link = hand.number(name)?;
    hand.ask(SETLINK, 0, words::mark(link));
    set_bridge(hand, link, bridge)
}

/// A kernel that does not filter VLANs does the rest; so it is asked at once.
fn set_bridge(hand: &mut Hand<'_>, link: u32, bridge: Bridge) -> Result<(), Errno> {
    let words = |filters| words::bridge(link, bridge.snoops, filters);
    if bridge.filters.is_none() {
        hand.ask(NEWLINK, 0, words(None));
        return Ok(());
    }
    hand.send();
    match hand.socket.change(NEWLINK, 0, &words(bridge.filters)) {
        Err(Errno::EOPNOTSUPP) => hand.socket.change(NEWLINK, 0, &words(None)),
        done => done,
    }
}

/// A setting that this kernel does not have is passed over: a kernel without IPv6.
fn write(setting: &Setting) -> Result<(), Errno> {
    match fs::write(format!("{SETTINGS}/{}", setting.path), setting.value) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        Ok(()) => Ok(()),
    }
}

/// Makes a pair of links: `name` here, [`INSIDE_LINK`] in `namespace`.
///
/// # Errors
/// [`Error::Kernel`]: `EEXIST`: there is such a link here or there.
pub fn add_pair(socket: &mut Socket, name: &str, namespace: BorrowedFd<'_>) -> Result<(), Error> {
    let peer = LinkUnspec::new_with_name(INSIDE_LINK).setns_by_fd(namespace.as_raw_fd()).build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth).name(name);
    let pair = pair.set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
    socket
        .change(NEWLINK, CREATE | EXCLUSIVE, &body(&pair))
        .map_err(Error::kernel(format!("{name}: not made")))
}

/// Takes a link away; the other end of a pair goes with it.
///
/// # Errors
/// [`Error::Kernel`], but not for a link that is not there.
pub fn drop_link(socket: &mut Socket, name: &str) -> Result<(), Error> {
    try_drop_link(socket, name).map_err(Error::kernel(format!("{name}: not removed")))
}

fn try_drop_link(socket: &mut Socket, name: &str) -> Result<(), Errno> {
    let dropped = index(socket, name)
        .and_then(|link| socket.change(DELLINK, 0, &body(&LinkUnspec::new_with_index(link).build())));
    or_gone(dropped, Errno::ENODEV)
}

fn body<M: Emitable>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// A link's number, and what it has carried: packets received and sent, bytes received and sent.
///
/// # Errors
/// What the kernel says. Source: linux/if_link.h, `struct rtnl_link_stats64`.
pub fn counts(socket: &mut Socket, name: &str) -> Result<(u32, [u64; 4]), Errno> {
    const IFINFOMSG: usize = 16;
    const IFLA_STATS64: u16 = 23;
    let answer = socket.get(GETLINK, &body(&LinkUnspec::new_with_name(name).build()))?;
    let stats = attribute(answer.get(IFINFOMSG..).unwrap_or_default(), IFLA_STATS64).ok_or(Errno::EBADMSG)?;
    let (numbers, _) = stats.as_chunks::<8>();
    let number = |at: usize| numbers.get(at).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    Ok((u32_at(&answer, 4).ok_or(Errno::EBADMSG)?, [0, 1, 2, 3].map(number)))
}

/// A link's hardware address.
///
/// # Errors
/// What the kernel says.
pub fn hardware(socket: &mut Socket, name: &str) -> Result<Vec<u8>, Errno> {
    const IFINFOMSG: usize = 16;
    const IFLA_ADDRESS: u16 = 1;
    let answer = socket.get(GETLINK, &body(&LinkUnspec::new_with_name(name).build()))?;
    let address = attribute(answer.get(IFINFOMSG..).unwrap_or_default(), IFLA_ADDRESS);
    address.map(<[u8]>::to_vec).ok_or(Errno::EBADMSG)
}

fn index(socket: &mut Socket, name: &str) -> Result<u32, Errno> {
    let answer = socket.get(GETLINK, &body(&LinkUnspec::new_with_name(name).build()))?;
    u32_at(&answer, 4).ok_or(Errno::EBADMSG)
}

#[cfg(test)]
mod tests {
    use super::body;
    use crate::bytes::attribute;
    use rtnetlink::{LinkBridge, LinkUnspec};
    use std::fs;
    use std::path::Path;

    fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.is_dir() { files(&file, found) } else { found.push(file) }
        }
    }

    #[test]
    fn nobody_else_knows_their_crates() {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        for file in found {
            let text = fs::read_to_string(&file).unwrap();
            let imports = text.lines().any(|line| {
                let line = line.trim_start();
                ["use rtnetlink", "use netlink_packet"].iter().any(|word| line.starts_with(word))
            });
            assert_eq!(imports, file.ends_with("kernel.rs"), "{}", file.display());
        }
    }

    // What ip(8) 6.1 sends (strace), behind `struct nlmsghdr`.
    #[test]
    #[cfg(target_endian = "little")]
    fn bodies_are_what_iproute2_sends() {
        let up = [0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(body(&LinkUnspec::new_with_index(3).up().build()), up, "ip link set … up");
        let port = [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 10, 0, 7, 0, 0, 0];
        assert_eq!(super::words::master(3, 7), port, "ip link set … master");
        let bridge = body(&LinkBridge::new("br").build());
        assert_eq!(attribute(&bridge[16..], 3), Some(b"br\0".as_slice()), "ip link add br type bridge");
        assert!(
            attribute(&bridge[16..], 18).is_some_and(|info| info.windows(6).any(|word| word == b"bridge"))
        );
    }
}
