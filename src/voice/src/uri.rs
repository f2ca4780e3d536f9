//! Addresses in SIP: name-addr, URI, Via; their parameters. Text in, parts of it out.
//!
//! Source: RFC 3261 §19.1, §20.10, §20.42, §25.1.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The port of SIP. Source: RFC 3261 §19.1.2.
pub const PORT: u16 = 5060;

/// The URI in a header's value: within angle brackets, or all up to the first parameter.
#[must_use]
pub fn uri(value: &str) -> Option<&str> {
    if let Some((_, rest)) = unquoted(value).split_once('<') {
        return rest.split_once('>').map(|(uri, _)| uri);
    }
    let uri = value.split(';').next()?.trim();
    (!uri.is_empty()).then_some(uri)
}

/// A value without the name in quotes that may stand before it.
fn unquoted(value: &str) -> &str {
    let Some(rest) = value.trim_start().strip_prefix('"') else { return value };
    let mut escaped = false;
    let end = rest.char_indices().find_map(|(place, letter)| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(place + 1)
    });
    end.and_then(|end| rest.get(end..)).unwrap_or_default()
}

/// What is behind the URI in a header's value: its parameters.
#[must_use]
pub fn behind(value: &str) -> &str {
    match value.rsplit_once('>') {
        Some((_, rest)) => rest,
        None => value.find(';').and_then(|place| value.get(place..)).unwrap_or_default(),
    }
}

/// A parameter behind a header's value: `Some("")` where it has no value.
#[must_use]
pub fn parameter<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    behind(value).split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The user of a SIP URI.
#[must_use]
pub fn user(uri: &str) -> Option<&str> {
    let rest =
        uri.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("sip:")).and_then(|_| uri.get(4..))?;
    rest.split_once('@').map(|(user, _)| user.split(':').next().unwrap_or(user))
}

/// Where a SIP URI leads, if it names an IPv4 address; without a port to [`PORT`].
#[must_use]
pub fn address(uri: &str) -> Option<SocketAddrV4> {
    let rest =
        uri.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("sip:")).and_then(|_| uri.get(4..))?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    socket(host.split([';', '?']).next()?)
}

/// `192.0.2.1` or `192.0.2.1:5062`.
fn socket(host: &str) -> Option<SocketAddrV4> {
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host, port.trim().parse().ok().filter(|port| *port != 0)?),
        None => (host, PORT),
    };
    Some(SocketAddrV4::new(host.trim().parse::<Ipv4Addr>().ok()?, port))
}

/// A `Via` with what we know of whom it came from: `received`, and `rport` where it is asked for. Source: RFC 3581 §4.
#[must_use]
pub fn received(via: &str, from: SocketAddrV4) -> String {
    let kept = via.split(';').filter(|pair| {
        let key = pair.split('=').next().unwrap_or_default().trim();
        !key.eq_ignore_ascii_case("received") && !key.eq_ignore_ascii_case("rport")
    });
    let mut whole = kept.collect::<Vec<&str>>().join(";");
    whole.push_str(&format!(";received={}", from.ip()));
    if parameter(via, "rport").is_some() {
        whole.push_str(&format!(";rport={}", from.port()));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::{address, behind, parameter, received, uri, user};

    #[test]
    fn addresses_are_taken_apart() {
        let table = [
            ("\"A\" <sip:a@192.0.2.1:5062;transport=udp>;expires=60", "sip:a@192.0.2.1:5062;transport=udp"),
            ("\"A <b> \\\"c\" <sip:a@192.0.2.1>;tag=7", "sip:a@192.0.2.1"),
            ("<sip:a@192.0.2.1>;tag=7", "sip:a@192.0.2.1"),
            ("sip:a@192.0.2.1;tag=7", "sip:a@192.0.2.1"),
            ("*", "*"),
        ];
        for (value, want) in table {
            assert_eq!(uri(value), Some(want), "{value}");
        }
        assert_eq!(parameter("<sip:a@b;x=1>;expires=60;q", "expires"), Some("60"));
        assert_eq!(parameter("<sip:a@b;x=1>;expires=60;q", "q"), Some(""));
        assert_eq!(parameter("<sip:a@b;x=1>;expires=60", "x"), None, "that is the URI's own");
        assert_eq!(behind("sip:a@b;tag=7"), ";tag=7");
        assert_eq!(user("sip:alice:secret@isp.example"), Some("alice"));
        assert_eq!(user("sip:isp.example"), None);
        let text = |uri| address(uri).map(|address| address.to_string());
        assert_eq!(text("sip:a@192.0.2.1"), Some("192.0.2.1:5060".to_owned()));
        assert_eq!(text("SIP:192.0.2.1:5070;lr"), Some("192.0.2.1:5070".to_owned()));
        assert_eq!(text("sip:a@isp.example"), None, "a name");
        assert_eq!(text("sips:a@192.0.2.1"), None);
        assert_eq!(text("sip:a@192.0.2.1:0"), None);
    }

    #[test]
    fn a_via_says_whom_it_came_from() {
        let from = "192.0.2.9:1024".parse().unwrap();
        let via = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport";
        assert_eq!(
            received(via, from),
            "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;received=192.0.2.9;rport=1024"
        );
        let lies = "SIP/2.0/UDP 10.0.0.1;received=203.0.113.1;branch=z9hG4bK1";
        assert_eq!(received(lies, from), "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.9");
    }
}
