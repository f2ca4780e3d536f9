//! Where things are: `https://HOST[:PORT]/…`, from an order, or from a registry that sends us elsewhere.
//!
//! In:  texts of strangers. Out: an [`Url`] whose parts can be put into a request as they are.
//!
//! Source: RFC 3986; RFC 9110 §4.2 (`http`, `https`), §10.2.2 (`Location`).

use std::fmt;

/// A URL, in bytes: signed ones of content networks have one or two thousand.
const URL_BYTES_MAX: usize = 8 * 1024;
/// Source: RFC 1035 §2.3.4.
const HOST_BYTES_MAX: usize = 255;

/// Whom a connection is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// By TLS.
    pub tls: bool,
    /// A name, or an address (IPv6 without its brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Both, as they were written.
    pub authority: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whom to ask.
    pub origin: Origin,
    /// For what: a path, and what follows it.
    pub target: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

impl Origin {
    /// The one of `HOST[:PORT]`.
    #[must_use]
    pub fn parse(tls: bool, authority: &str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(plain) {
            return None;
        }
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let (host, authority) = (host.to_ascii_lowercase(), authority.to_ascii_lowercase());
        (port != 0).then_some(Self { tls, host, port, authority })
    }
}

impl Url {
    /// Reads `text`, which stood in an answer of `base`. `None`: it is none that we follow.
    #[must_use]
    pub fn parse(text: &str, base: Option<&Origin>) -> Option<Self> {
        let text = text.split('#').next().unwrap_or_default();
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let scheme = |name: &str| {
            let (found, rest) = text.split_once("://")?;
            found.eq_ignore_ascii_case(name).then_some(rest)
        };
        let (tls, rest) = match (scheme("https"), scheme("http"), text.strip_prefix("//")) {
            (Some(rest), _, _) => (true, rest),
            (None, Some(rest), _) => (false, rest),
            (None, None, Some(rest)) => (base?.tls, rest),
            (None, None, None) if text.starts_with('/') => {
                return Some(Self { origin: base?.clone(), target: text.to_owned() });
            }
            (None, None, None) => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let origin = Origin::parse(tls, authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Some(Self { origin, target })
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Url};

    #[test]
    fn urls_are_read_or_refused() {
        let base = Origin::parse(true, "registry.example:5000").unwrap();
        let table = [
            ("https://A.example/v2/x?y=z#w", Some("https a.example 443 /v2/x?y=z")),
            ("http://a.example:8080", Some("http a.example 8080 /")),
            ("https://a.example?x", Some("https a.example 443 /?x")),
            ("https://[2001:db8::1]:7/x", Some("https 2001:db8::1 7 /x")),
            ("/x", Some("https registry.example 5000 /x")),
            ("//b.example/x", Some("https b.example 443 /x")),
            ("x", None),
            ("", None),
            ("ftp://a.example/", None),
            ("file:///etc/passwd", None),
            ("https://user:word@a.example/", None),
            ("https:///x", None),
            ("https://a.example:0/", None),
            ("https://a.example:99999/", None),
            ("https://a.example:+7/", None),
            ("https://[x]/", None),
            ("https://a.example/a b", None),
            ("https://a.example/\r\nHost: b", None),
        ];
        for (text, want) in table {
            let had = Url::parse(text, Some(&base)).map(|url| {
                let scheme = if url.origin.tls { "https" } else { "http" };
                format!("{scheme} {} {} {}", url.origin.host, url.origin.port, url.target)
            });
            assert_eq!(had.as_deref(), want, "{text}");
        }
        assert_eq!(Url::parse("/x", None), None);
    }
}
