//! Media of calls: which ports stand for which, a row for each medium of a call.
//!
//! In:  descriptions of both sides, packets, time. Out: the ports to be told to the other side; for a packet where it goes.
//!
//! A side's packets are taken from where its description says, or, since many phones and platforms sit behind translators of their own,
//! from the port that it really sends from, as long as the host is one that may (`may`).
//!
//! Not here: sockets (`relay.rs`). Pure.
//!
//! Source: RFC 3550 §11 (RTCP on the next port), RFC 4961 (symmetric RTP).

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::side::Side;

/// Media at a time: eight calls with two each.
pub const MEDIA_MAX: usize = 16;
/// A medium without a packet and without a word in SIP for so long is closed, in milliseconds: a call that nobody ended.
pub const IDLE_MS: u64 = 300_000;

/// Whose sockets a medium has: the number of its pair of ports on each side.
pub type Pair = u16;

/// One of a medium's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Its pair of ports.
    pub pair: Pair,
    /// Its side.
    pub side: Side,
    /// It is the second port, for control (RTCP).
    pub control: bool,
}

/// One direction's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct End {
    /// Where packets go on this side, as its description says or as it was seen to send.
    pub to: Option<SocketAddrV4>,
    /// Where control packets go; `None`: the port after `to`.
    pub control: Option<SocketAddrV4>,
    /// Packets that came from this side.
    pub packets: u64,
}

/// One medium of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// The call.
    pub call: String,
    /// Its place in the description.
    pub place: usize,
    /// Its ports.
    pub pair: Pair,
    /// The phone's end.
    pub home: End,
    /// The operator's end.
    pub play: End,
    /// When the call began, in milliseconds after boot.
    pub began_ms: u64,
    seen_ms: u64,
}

impl Medium {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Home => &mut self.home,
            Side::Play => &mut self.play,
        }
    }
}

/// All media.
#[derive(Debug, Default)]
pub struct Media {
    rows: Vec<Medium>,
}

impl Media {
    /// All of them.
    #[must_use]
    pub fn rows(&self) -> &[Medium] {
        &self.rows
    }

    /// The pair of ports of a medium, which is opened by `open` if it is new. `None`: there is no room.
    pub fn pair(
        &mut self,
        call: &str,
        place: usize,
        now_ms: u64,
        open: &mut dyn FnMut() -> Option<Pair>,
    ) -> Option<Pair> {
        if let Some(known) = self.rows.iter_mut().find(|row| row.call == call && row.place == place) {
            known.seen_ms = now_ms;
            return Some(known.pair);
        }
        if self.rows.len() >= MEDIA_MAX {
            return None;
        }
        let pair = open()?;
        let (home, play) = (End::default(), End::default());
        self.rows.push(Medium {
            call: call.to_owned(),
            place,
            pair,
            home,
            play,
            began_ms: now_ms,
            seen_ms: now_ms,
        });
        Some(pair)
    }

    /// A side's description says where its packets are to go.
    pub fn describe(&mut self, call: &str, place: usize, side: Side, to: SocketAddrV4) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.call == call && row.place == place) {
            let end = row.end(side);
            // Said again, as it is with each description: what was learned stays.
            if end.to.is_none_or(|known| known.ip() != to.ip()) {
                (end.to, end.control) = (Some(to), None);
            }
        }
    }

    /// Where a packet goes that came to `door` from `from`.
    pub fn way(&mut self, door: Door, from: SocketAddrV4, now_ms: u64) -> Option<SocketAddrV4> {
        let Door { pair, side, control } = door;
        let row = self.rows.iter_mut().find(|row| row.pair == pair)?;
        let end = row.end(side);
        if control {
            end.control = Some(from);
        } else {
            end.to = Some(from);
            end.packets = end.packets.saturating_add(1);
        }
        row.seen_ms = now_ms;
        let other = row.end(side.other());
        match (control, other.to, other.control) {
            (false, to, _) => to,
            (true, _, Some(to)) => Some(to),
            (true, Some(to), None) => Some(SocketAddrV4::new(*to.ip(), to.port().checked_add(1)?)),
            (true, None, None) => None,
        }
    }

    /// Who is expected on `side` of `pair`.
    #[must_use]
    pub fn expected(&self, pair: Pair, side: Side) -> Option<Ipv4Addr> {
        let row = self.rows.iter().find(|row| row.pair == pair)?;
        let end = match side {
            Side::Home => &row.home,
            Side::Play => &row.play,
        };
        end.to.map(|to| *to.ip())
    }

    /// The call is over: its pairs, to be closed.
    pub fn close(&mut self, call: &str) -> Vec<Pair> {
        self.rows.extract_if(.., |row| row.call == call).map(|row| row.pair).collect()
    }

    /// Calls of which nothing was heard for [`IDLE_MS`]: their pairs, to be closed.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Pair> {
        let idle = |row: &mut Medium| now_ms.saturating_sub(row.seen_ms) >= IDLE_MS;
        self.rows.extract_if(.., idle).map(|row| row.pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Door, IDLE_MS, MEDIA_MAX, Media};
    use crate::side::Side::{self, Home, Play};
    use std::net::SocketAddrV4;

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn door(pair: u16, side: Side, control: bool) -> Door {
        Door { pair, side, control }
    }

    #[test]
    fn packets_go_both_ways() {
        let mut media = Media::default();
        assert_eq!(media.pair("call", 0, 0, &mut || Some(7)), Some(7));
        assert_eq!(media.pair("call", 0, 1, &mut || panic!()), Some(7), "the same description again");
        media.describe("call", 0, Home, at("192.168.1.20:4000"));
        let platform = at("198.51.100.9:30000");
        assert_eq!(
            media.way(door(7, Play, false), platform, 2),
            Some(at("192.168.1.20:4000")),
            "before the answer"
        );
        media.describe("call", 0, Play, platform);
        // The phone sends from another port than it says: that is where it listens.
        assert_eq!(media.way(door(7, Home, false), at("192.168.1.20:4444"), 3), Some(platform));
        assert_eq!(media.way(door(7, Play, false), platform, 4), Some(at("192.168.1.20:4444")));
        assert_eq!(
            media.way(door(7, Home, true), at("192.168.1.20:4001"), 5),
            Some(at("198.51.100.9:30001"))
        );
        assert_eq!(
            media.way(door(7, Play, true), at("198.51.100.9:30001"), 6),
            Some(at("192.168.1.20:4001"))
        );
        assert_eq!(media.way(door(8, Play, false), platform, 7), None, "nobody's pair");
        assert_eq!((media.rows()[0].home.packets, media.rows()[0].play.packets), (1, 2));
        assert_eq!(media.close("call"), [7]);
        assert_eq!(media.way(door(7, Home, false), at("192.168.1.20:4444"), 8), None);
    }

    #[test]
    fn calls_are_bounded_and_end() {
        let mut media = Media::default();
        for number in 0..40 {
            media.pair(&number.to_string(), 0, 0, &mut || Some(number));
        }
        assert_eq!(media.rows().len(), MEDIA_MAX);
        media.way(door(3, Home, false), at("192.168.1.20:4000"), 10);
        assert_eq!(media.expire(IDLE_MS).len(), MEDIA_MAX - 1);
        assert_eq!(media.expire(IDLE_MS + 10), [3]);
    }
}
