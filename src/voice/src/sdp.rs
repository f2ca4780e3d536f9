//! SDP: where media go, and the same text with other places.
//!
//! In:  a body. Out: the address and port of each medium; the body with ours in their place.
//!
//! Only RTP over IPv4 passes; any other medium is refused by the port 0, which is SDP's word for that. What speaks of other ways
//! (ICE candidates, RTCP ports) is left out: media take the way through the relay.
//!
//! Source: RFC 8866 §5, §9; RFC 3264 §5.1 (port 0), §6; RFC 3605 (`a=rtcp`), RFC 8839 (`a=candidate`).

use std::net::{Ipv4Addr, SocketAddrV4};

/// Media of one call that are passed on: audio, and video.
pub const MEDIA_MAX: usize = 2;
/// Lines of one description.
const LINES_MAX: usize = 256;

/// One medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium {
    /// Its place among all `m=` lines.
    pub place: usize,
    /// Where its packets are to be sent.
    pub to: SocketAddrV4,
}

/// The media that can be passed on. Empty: there are none, or it is no SDP.
#[must_use]
pub fn media(body: &[u8]) -> Vec<Medium> {
    let Some(lines) = lines(body) else { return Vec::new() };
    let mut session = None;
    let mut found: Vec<(usize, u16, Option<Ipv4Addr>)> = Vec::new();
    let mut places = 0;
    let mut open = false;
    for line in lines {
        if let Some(medium) = line.strip_prefix("m=") {
            let port = port(medium);
            open = port.is_some();
            found.extend(port.map(|port| (places, port, None)));
            places += 1;
        } else if let Some(at) = line.strip_prefix("c=").map(connection) {
            match (found.last_mut(), places) {
                (_, 0) => session = at,
                (Some(medium), _) if open => medium.2 = Some(at.unwrap_or(Ipv4Addr::UNSPECIFIED)),
                (Some(_) | None, _) => {}
            }
        }
    }
    let whole = found.into_iter().filter_map(|(place, port, own)| {
        let address = own.or(session).filter(|address| !address.is_unspecified())?;
        Some(Medium { place, to: SocketAddrV4::new(address, port) })
    });
    whole.take(MEDIA_MAX).collect()
}

/// The body with our address, and with the port that `port` gives for each medium's place (`None`: the medium is refused).
#[must_use]
pub fn rewritten(body: &[u8], ours: Ipv4Addr, port: impl Fn(usize) -> Option<u16>) -> Option<Vec<u8>> {
    let mut text = String::new();
    let mut place = 0;
    for line in lines(body)? {
        let line = if let Some(medium) = line.strip_prefix("m=") {
            place += 1;
            with_port(medium, port(place - 1).unwrap_or(0))?
        } else if line.starts_with("c=") {
            format!("c=IN IP4 {ours}")
        } else if let Some(origin) = line.strip_prefix("o=") {
            let mut words: Vec<&str> = origin.split(' ').collect();
            words.truncate(3);
            format!("o={} IN IP4 {ours}", words.join(" "))
        } else if ["a=candidate:", "a=rtcp:", "a=ice-", "a=end-of-candidates", "a=rtcp-mux"]
            .iter()
            .any(|way| line.starts_with(way))
        {
            continue;
        } else {
            line.to_owned()
        };
        text.push_str(&line);
        text.push_str("\r\n");
    }
    Some(text.into_bytes())
}

fn lines(body: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(body).ok()?;
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    (lines.first() == Some(&"v=0") && lines.len() <= LINES_MAX).then_some(lines)
}

/// The port of a medium that can be passed on: RTP, and not refused. `audio 4000 RTP/AVP 0 8`.
fn port(medium: &str) -> Option<u16> {
    let mut words = medium.split(' ');
    let kind = words.next()?;
    let port = words.next()?.split('/').next()?.parse().ok().filter(|port| *port >= 1024)?;
    let passes = matches!(kind, "audio" | "video") && words.next()?.starts_with("RTP/");
    passes.then_some(port)
}

fn with_port(medium: &str, port: u16) -> Option<String> {
    let mut words = medium.split(' ');
    let kind = words.next()?;
    words.next()?;
    Some(format!("m={kind} {port} {}", words.collect::<Vec<&str>>().join(" ")))
}

/// `IN IP4 192.0.2.1`, perhaps with `/127`.
fn connection(words: &str) -> Option<Ipv4Addr> {
    words.strip_prefix("IN IP4 ")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{media, rewritten};
    use std::net::Ipv4Addr;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtcp:4001\r\na=candidate:1 1 udp 1 192.168.1.20 4000 typ host\r\n\
        m=video 4002 RTP/AVP 96\r\nc=IN IP4 192.168.1.21\r\nm=image 4004 udptl t38\r\n";

    #[test]
    fn media_are_found_and_led_elsewhere() {
        let found: Vec<String> =
            media(OFFER.as_bytes()).iter().map(|one| format!("{} {}", one.place, one.to)).collect();
        assert_eq!(found, ["0 192.168.1.20:4000", "1 192.168.1.21:4002"]);
        let ours = Ipv4Addr::new(203, 0, 113, 7);
        let text =
            rewritten(OFFER.as_bytes(), ours, |place| [Some(20_000), Some(20_004), None][place]).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("192.168."), "{text}");
        assert!(
            text.contains("m=audio 20000 RTP/AVP 0 8\r\n") && text.contains("m=image 0 udptl t38\r\n"),
            "{text}"
        );
        assert!(text.contains("a=rtpmap:0 PCMU/8000\r\n"), "what media say of themselves passes");
        let again: Vec<u16> = media(text.as_bytes()).iter().map(|one| one.to.port()).collect();
        assert_eq!(again, [20_000, 20_004]);
    }

    #[test]
    fn what_cannot_pass_is_not_found() {
        for (what, from, to) in [
            ("a hold of old phones", "c=IN IP4 192.168.1.20", "c=IN IP4 0.0.0.0"),
            ("IPv6", "c=IN IP4 192.168.1.20", "c=IN IP6 2001:db8::1"),
            ("a port of the system", "audio 4000", "audio 53"),
            ("refused", "audio 4000", "audio 0"),
            ("no RTP", "audio 4000 RTP/AVP", "audio 4000 TCP"),
            ("no SDP", "v=0", "v=1"),
        ] {
            let text = OFFER.replace(from, to);
            assert!(!media(text.as_bytes()).iter().any(|one| one.place == 0), "{what}");
        }
    }
}
