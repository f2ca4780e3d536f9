//! What the kernel says about links, as far as a lease needs it: number, name, address, carrier.
//!
//! In:  bytes of a route-netlink socket. Out: [`News`]; and for one name a [`Watched`] link that follows them.
//!
//! A link may not be there yet, go, come back with another number, or give its name to another one: all of that is news.
//!
//! Not here: the socket (`links.rs`).
//!
//! Source: rtnetlink(7), netlink(7); linux/if_link.h, linux/if.h.

use contract::wanted::LinkName;

use crate::message::Mac;

/// Bytes of `struct nlmsghdr`, of `struct ifinfomsg`, and of an attribute's head. Source: linux/netlink.h, linux/rtnetlink.h.
const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;
/// Kinds of message. Source: linux/netlink.h, linux/rtnetlink.h.
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP`. Source: linux/netlink.h.
const REQUEST_DUMP: u16 = 0x301;
/// Attributes of a link. Source: linux/if_link.h.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
/// Leave out the counters. Source: linux/rtnetlink.h.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
/// `IFF_UP`, and `IFF_RUNNING`: it has a carrier and may be used. Source: linux/if.h, netdevice(7).
const UP_AND_RUNNING: u32 = 1 | 1 << 6;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: LinkName,
    /// Its address.
    pub mac: Mac,
    /// It is up and has a carrier.
    pub carrier: bool,
}

/// What the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This link is there, so.
    Here(Link),
    /// The link with this number is gone.
    Gone(u32),
    /// All links will be told now.
    Asked,
    /// All links have been told: what was not among them is not there.
    Complete,
}

/// The question for all links.
#[must_use]
pub fn question() -> [u8; HEADER_BYTES + LINK_BYTES + ATTRIBUTE_BYTES + 4] {
    let mut bytes = [0; HEADER_BYTES + LINK_BYTES + ATTRIBUTE_BYTES + 4];
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    let words: [(usize, &[u8]); 6] = [
        (0, &length.to_ne_bytes()),
        (4, &RTM_GETLINK.to_ne_bytes()),
        (6, &REQUEST_DUMP.to_ne_bytes()),
        (HEADER_BYTES + LINK_BYTES, &8_u16.to_ne_bytes()),
        (HEADER_BYTES + LINK_BYTES + 2, &IFLA_EXT_MASK.to_ne_bytes()),
        (HEADER_BYTES + LINK_BYTES + ATTRIBUTE_BYTES, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes()),
    ];
    for (at, word) in words {
        for (place, byte) in bytes.iter_mut().skip(at).zip(word) {
            *place = *byte;
        }
    }
    bytes
}

/// Shows every piece of news in `bytes` to `see`; what is not about an Ethernet link is passed over.
pub fn read(bytes: &[u8], mut see: impl FnMut(News)) {
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let [l0, l1, l2, l3, k0, k1, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(body) = rest.get(HEADER_BYTES..length) else { return };
        match u16::from_ne_bytes([k0, k1]) {
            NLMSG_DONE => see(News::Complete),
            kind @ (RTM_NEWLINK | RTM_DELLINK) => {
                if let Some(news) = link(kind, body) {
                    see(news);
                }
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn link(kind: u16, body: &[u8]) -> Option<News> {
    let (head, mut rest) = body.split_first_chunk::<LINK_BYTES>()?;
    let [family, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *head;
    // Another family speaks about a link's part in something else: AF_BRIDGE says "gone" of a port that left its bridge.
    if family != 0 {
        return None;
    }
    let index = u32::from_ne_bytes([i0, i1, i2, i3]);
    if kind == RTM_DELLINK {
        return Some(News::Gone(index));
    }
    let (mut name, mut mac) = (None, None);
    while let Some(&[l0, l1, k0, k1]) = rest.first_chunk::<ATTRIBUTE_BYTES>() {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(ATTRIBUTE_BYTES..length)?;
        match u16::from_ne_bytes([k0, k1]) {
            IFLA_ADDRESS => mac = value.try_into().ok(),
            IFLA_IFNAME => name = value.strip_suffix(&[0]).and_then(|name| std::str::from_utf8(name).ok()),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let carrier = u32::from_ne_bytes([f0, f1, f2, f3]) & UP_AND_RUNNING == UP_AND_RUNNING;
    Some(News::Here(Link { index, name: LinkName::from(name?), mac: mac?, carrier }))
}

/// One link that is followed by its name.
#[derive(Debug)]
pub struct Watched {
    name: LinkName,
    link: Option<Link>,
    /// It was told of since [`News::Asked`].
    seen: bool,
}

impl Watched {
    /// Nothing is known of `name` yet.
    #[must_use]
    pub fn new(name: LinkName) -> Self {
        Self { name, link: None, seen: false }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LinkName {
        &self.name
    }

    /// The link, where it is there.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Takes news in. Did anything change?
    pub fn hear(&mut self, news: &News) -> bool {
        let index = self.link.as_ref().map(|link| link.index);
        let link = match news {
            News::Here(link) if link.name == self.name => {
                self.seen = true;
                Some(link.clone())
            }
            // It was renamed.
            News::Here(link) if Some(link.index) == index => None,
            News::Gone(gone) if Some(*gone) == index => None,
            News::Complete if !self.seen => None,
            News::Asked => {
                self.seen = false;
                return false;
            }
            News::Here(_) | News::Gone(_) | News::Complete => return false,
        };
        let changed = self.link != link;
        self.link = link;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, News, Watched, question, read};
    use proptest::prelude::proptest;

    fn eth(index: u32, name: &str, carrier: bool) -> News {
        News::Here(Link { index, name: name.into(), mac: [2, 0, 0, 0, 0, 1], carrier })
    }

    #[test]
    fn a_link_is_followed_by_its_name() {
        let mut watched = Watched::new("eth0".into());
        // what, news, a change?, number of the link then
        let table = [
            ("another", eth(2, "eth1", true), false, None),
            ("it comes", eth(3, "eth0", false), true, Some(3)),
            ("once more", eth(3, "eth0", false), false, Some(3)),
            ("its carrier", eth(3, "eth0", true), true, Some(3)),
            ("another goes", News::Gone(2), false, Some(3)),
            ("all told", News::Complete, false, Some(3)),
            ("it is renamed", eth(3, "wan", true), true, None),
            ("another gets the name", eth(4, "eth0", true), true, Some(4)),
            ("it goes", News::Gone(4), true, None),
            ("it goes twice", News::Gone(4), false, None),
        ];
        for (what, news, changed, index) in table {
            assert_eq!(watched.hear(&news), changed, "{what}");
            assert_eq!(watched.link().map(|link| link.index), index, "{what}");
        }
        watched.hear(&eth(5, "eth0", true));
        watched.hear(&News::Asked);
        assert!(watched.hear(&News::Complete) && watched.link().is_none(), "it went and nobody said so");
    }

    #[test]
    fn the_question_is_whole() {
        let question = question();
        assert_eq!(question[..4], 40_u32.to_ne_bytes());
        read(&question, |news| panic!("{news:?}"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_passed_over(bytes: Vec<u8>) {
            read(&bytes, |_| ());
        }
    }
}
