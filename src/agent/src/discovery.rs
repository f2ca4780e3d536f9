//! A controller that nobody has configured: whom a DHCP server names, or DNS.
//!
//! In:  what `lease` has heard, the operator's word on what such a controller may do. Out: where it is looked for; a [`Controller`] like those
//! of the file, or why not.
//!
//! Anybody on the operator's link may answer DHCP and DNS, so their word makes nobody a controller: it says where to call. Who answers there
//! has to have a certificate from an anchor, for the host that was called and for the endpoint id (`stream.rs`); so it is WebSocket by TLS,
//! where the controller itself is at the other end, and not a broker. A controller of the file's own is never replaced.
//!
//! Source: TR-369 §3 (R-DIS.1 to R-DIS.1c, R-DIS.7), §5 (R-SEC.0a, R-SEC.3); docs/decisions/0097-whom-dhcp-names.md,
//! docs/decisions/0119-whom-dns-names.md.

pub mod dns;
pub mod search;
pub mod service;

use std::fmt;

use contract::leases::{self, Answer};

use crate::configuration::transport::{Transport, of_url};
use crate::configuration::{Controller, Discovered};
use service::Sought;

/// Why a name leads to no controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It does not say who it is.
    Endpoint,
    /// It is to be called in another way than by WebSocket over TLS.
    Url(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => write!(f, "a controller without an endpoint id: it is not called"),
            Self::Url(url) => write!(f, "controller {url}: it is no wss:// URL: it is not called"),
        }
    }
}

/// Whom the rows of `lease` name: DHCPv4 first.
fn named(rows: &[Answer]) -> Option<&leases::Controller> {
    let four = rows
        .iter()
        .find_map(|row| if let Answer::Client { controller, .. } = row { controller.as_ref() } else { None });
    let mut six = rows
        .iter()
        .filter_map(|row| if let Answer::Ipv6 { controller, .. } = row { controller.as_ref() } else { None });
    four.or_else(|| six.next())
}

/// The domain that a DHCP server says, DHCPv4 first; empty: none does.
fn domain(rows: &[Answer]) -> &str {
    let four = rows
        .iter()
        .filter_map(|row| if let Answer::Client { domain, .. } = row { Some(domain) } else { None });
    let six =
        rows.iter().filter_map(|row| if let Answer::Ipv6 { domain, .. } = row { Some(domain) } else { None });
    four.chain(six).find(|domain| !domain.is_empty()).map_or("", |domain| domain.as_str())
}

/// Who says where the controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointed {
    /// A DHCP server says all of it.
    Named(leases::Controller),
    /// DNS is to be asked for it.
    Sought(Sought),
}

/// Who says where the controller is: a DHCP server; or DNS, below the name that it says in place of a URL (R-DIS.7), in the domain of the
/// operator's file, or in the one that a DHCP server says for local names. `None`: nobody.
#[must_use]
pub fn pointed(rows: &[Answer], domain: &str) -> Option<Pointed> {
    let endpoint =
        |named: &leases::Controller| (!named.endpoint.is_empty()).then(|| named.endpoint.to_string());
    match named(rows) {
        Some(named) if named.url.contains("://") => Some(Pointed::Named(named.clone())),
        Some(named) => {
            Some(Pointed::Sought(Sought { domain: named.url.to_string(), endpoint: endpoint(named) }))
        }
        None => {
            let of_lease = self::domain(rows);
            let domain = if domain.is_empty() { of_lease } else { domain };
            let sought = || Pointed::Sought(Sought { domain: domain.to_owned(), endpoint: None });
            (!domain.is_empty()).then(sought)
        }
    }
}

/// The controller of this name, with the role that the operator gives to such a one.
///
/// # Errors
/// [`Error`].
pub fn controller(named: &leases::Controller, role: usize) -> Result<Controller, Error> {
    if named.endpoint.is_empty() {
        return Err(Error::Endpoint);
    }
    let url = of_url(&named.url).ok().filter(|url| url.tls);
    let url = url.ok_or_else(|| Error::Url(named.url.to_string()))?;
    let number = |text: &str, least: u16| text.parse().ok().filter(|number| *number >= least);
    Ok(Controller {
        endpoint: named.endpoint.to_string(),
        transport: Transport::WebSocket(url),
        role,
        session: true,
        discovered: Some(Discovered {
            provisioning_code: named.provisioning_code.to_string(),
            retry_minimum_s: number(&named.retry_minimum_s, 1),
            retry_multiplier: number(&named.retry_multiplier, 1000),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::service::Sought;
    use super::{Error, Pointed, controller, pointed};
    use contract::leases::{self, Answer};

    #[test]
    fn who_says_more_goes_before_who_says_less() {
        let client = |domain: &str, url: &str| Answer::Client {
            link: "wan".into(),
            state: "BOUND".into(),
            lease: None,
            remaining_s: 0,
            controller: (!url.is_empty())
                .then(|| leases::Controller { url: url.into(), ..leases::Controller::default() }),
            domain: domain.into(),
        };
        let sought =
            |domain: &str| Some(Pointed::Sought(Sought { domain: domain.to_owned(), endpoint: None }));
        let table = [
            ("nobody", vec![client("", "")], "", None),
            (
                "a domain for local names",
                vec![client("", ""), client("isp.example", "")],
                "",
                sought("isp.example"),
            ),
            ("the operator's file", vec![client("isp.example", "")], "file.example", sought("file.example")),
            (
                "a name of its own",
                vec![client("isp.example", "usp.example")],
                "file.example",
                sought("usp.example"),
            ),
        ];
        for (what, rows, file, want) in table {
            assert_eq!(pointed(&rows, file), want, "{what}");
        }
    }

    #[test]
    fn a_name_leads_to_a_controller_or_to_none() {
        let named = |url: &str, endpoint: &str| leases::Controller {
            url: url.into(),
            endpoint: endpoint.into(),
            retry_minimum_s: "10".into(),
            retry_multiplier: "7".into(),
            ..leases::Controller::default()
        };
        let good = controller(&named("wss://usp.isp.example/usp", "self::isp"), 2).unwrap();
        assert_eq!((good.transport.to_string().as_str(), good.role), ("wss://usp.isp.example:443/usp", 2));
        let found = good.discovered.unwrap();
        assert_eq!((found.retry_minimum_s, found.retry_multiplier), (Some(10), None), "7 is no multiplier");
        for url in ["ws://usp.isp.example/usp", "isp.example", "https://isp.example/", "wss://u@isp.example/"]
        {
            assert_eq!(controller(&named(url, "self::isp"), 0), Err(Error::Url(url.to_owned())));
        }
        assert_eq!(controller(&named("wss://usp.isp.example/", ""), 0), Err(Error::Endpoint));
    }
}
