//! A controller that stands in DNS: instances of the service, where each is, by which path.
//!
//! In:  a domain, and a way to ask for records. Out: the controller that comes first, as a DHCP server would name it, and where it stands by;
//! for how long that holds.
//!
//! WebSocket alone is looked for: a broker proves who the broker is, and not who the controller behind it is (`discovery.rs`). It is called by
//! TLS, whether `encrypt` stands there or not.
//!
//! Source: TR-369 §3 (R-DIS.7, R-DIS.8, R-DIS.11); RFC 6763 §4, §6; RFC 2782.

use std::cmp::Reverse;
use std::fmt;

use contract::leases::Controller;

use super::dns::{self, Data, Kind, Name, Record, Server};

/// The service of controllers by WebSocket. Source: TR-369, "IANA-Registered USP Service Names".
const SERVICE: &str = "_usp-ctr-ws._tcp";
/// Instances that are looked at.
const INSTANCES_MAX: usize = 8;
/// Servers of one instance that are called.
const SERVERS_MAX: usize = 4;

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Where.
    pub domain: String,
    /// Nobody but this one; `None`: whoever is there.
    pub endpoint: Option<String>,
}

/// Why nobody was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is no domain.
    Domain,
    /// The name server cannot be asked.
    Unreachable(String),
    /// Its answer is none.
    Answer(dns::Error),
    /// There is no controller, or it is not the one.
    Nobody,
}

impl From<dns::Error> for Error {
    fn from(error: dns::Error) -> Self {
        Self::Answer(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain => f.write_str("it is no domain"),
            Self::Unreachable(why) => write!(f, "the name server cannot be asked: {why}"),
            Self::Answer(error) => write!(f, "{error}"),
            Self::Nobody => write!(f, "no controller there ({SERVICE})"),
        }
    }
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The controller.
    pub controller: Controller,
    /// Hosts and ports where it is called when it does not answer there, in their order (RFC 2782).
    pub standby: Vec<(String, u16)>,
    /// How long that is believed, in seconds.
    pub ttl_s: u32,
}

/// Looks for it; `ask` has a name server asked.
///
/// # Errors
/// [`Error`]; the first one of `ask`.
pub fn find(
    sought: &Sought,
    mut ask: impl FnMut(&Name, Kind) -> Result<Vec<Record>, Error>,
) -> Result<Found, Error> {
    let service = Name::of(&format!("{SERVICE}.{}", sought.domain)).ok_or(Error::Domain)?;
    let mut best: Option<((u16, Reverse<u16>), Found)> = None;
    for pointer in ask(&service, Kind::Pointers)?.into_iter().take(INSTANCES_MAX) {
        let Data::Pointer(instance) = pointer.data else { continue };
        let Some(endpoint) = endpoint(&instance) else { continue };
        if sought.endpoint.as_ref().is_some_and(|wanted| wanted != endpoint) {
            continue;
        }
        let servers = ask(&instance, Kind::Servers)?;
        let servers = in_order(servers);
        let Some((server, _)) = servers.first() else { continue };
        let texts = ask(&instance, Kind::Texts)?;
        let ttls = texts.iter().map(|text| text.ttl_s).chain(servers.iter().map(|(_, ttl_s)| *ttl_s));
        let ttl_s = ttls.fold(pointer.ttl_s, u32::min);
        let Some(url) = url(server, &path(texts)) else { continue };
        let rank = (server.priority, Reverse(server.weight));
        if best.as_ref().is_none_or(|(other, _)| rank < *other) {
            let controller = Controller { url, endpoint: endpoint.into(), ..Controller::default() };
            let standby =
                servers.iter().skip(1).filter_map(|(one, _)| Some((host(one)?, one.port))).collect();
            best = Some((rank, Found { controller, standby, ttl_s }));
        }
    }
    best.map(|(_, found)| found).ok_or(Error::Nobody)
}

/// The instance's own label is the endpoint id (R-DIS.8).
fn endpoint(instance: &Name) -> Option<&str> {
    let label = str::from_utf8(instance.labels().next()?).ok()?;
    (!label.chars().any(char::is_control)).then_some(label)
}

/// Servers as they are to be called, each with how long it is believed.
fn in_order(records: Vec<Record>) -> Vec<(Server, u32)> {
    let server = |record: Record| match record.data {
        Data::Server(server) => Some((server, record.ttl_s)),
        Data::Pointer(_) | Data::Text(_) => None,
    };
    let mut servers: Vec<(Server, u32)> = records.into_iter().filter_map(server).collect();
    servers.sort_by_key(|(server, _)| (server.priority, Reverse(server.weight)));
    servers.truncate(SERVERS_MAX);
    servers
}

/// `path`, the first one; its key in any case. Source: RFC 6763 §6.4.
fn path(records: Vec<Record>) -> String {
    const KEY: &[u8] = b"path=";
    let texts = records.into_iter().filter_map(|record| match record.data {
        Data::Text(texts) => Some(texts),
        Data::Pointer(_) | Data::Server(_) => None,
    });
    let value = |text: Vec<u8>| {
        let (key, value) = text.split_at_checked(KEY.len())?;
        let value = String::from_utf8(value.to_vec()).ok()?;
        key.eq_ignore_ascii_case(KEY).then_some(value)
    };
    let path = texts.flatten().find_map(value).unwrap_or_default();
    if path.starts_with('/') { path } else { format!("/{path}") }
}

/// Where it is called. `None`: it is not there, by the root's name, or nothing that can be called.
fn url<const N: usize>(server: &Server, path: &str) -> Option<contract::name::Text<N>> {
    let url = format!("wss://{}:{}{path}", host(server)?, server.port);
    (url.len() <= N).then(|| url.as_str().into())
}

/// Its host's name. `None`: it is the root's, or none that a host has.
fn host(server: &Server) -> Option<String> {
    let labels: Option<Vec<&str>> = server.host.labels().map(|label| str::from_utf8(label).ok()).collect();
    let labels = labels.filter(|labels| !labels.is_empty())?;
    let is_host =
        |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    labels.iter().all(|label| is_host(label)).then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::{Error, Found, Sought, find};
    use crate::discovery::dns::{self, Data, Kind, Name, Record, Server};

    fn record(data: Data) -> Record {
        Record { ttl_s: if matches!(data, Data::Text(_)) { 30 } else { 60 }, data }
    }

    fn server(priority: u16, weight: u16, host: &str) -> Record {
        let host = Name::of(host).unwrap();
        record(Data::Server(Server { priority, weight, port: 8443, host }))
    }

    /// A zone: instances, the servers of each, its text.
    type Zone<'z> = [(&'z str, Vec<Record>, &'z str)];

    fn look(zone: &Zone<'_>, endpoint: Option<&str>) -> Result<Found, Error> {
        let instance = |name: &str| Name::of(&format!("{name}._usp-ctr-ws._tcp.isp.example")).unwrap();
        let sought = Sought { domain: "isp.example".to_owned(), endpoint: endpoint.map(str::to_owned) };
        find(&sought, |name, kind| {
            let row = zone.iter().find(|(row, ..)| instance(row) == *name);
            Ok(match (kind, row) {
                (Kind::Pointers, None) => {
                    assert_eq!(Some(name), Name::of("_usp-ctr-ws._tcp.isp.example").as_ref());
                    zone.iter().map(|(row, ..)| record(Data::Pointer(instance(row)))).collect()
                }
                (Kind::Servers, Some((_, servers, _))) => servers.clone(),
                (Kind::Texts, Some((.., text))) => {
                    vec![record(Data::Text(text.split(' ').map(|text| text.as_bytes().to_vec()).collect()))]
                }
                (Kind::Pointers | Kind::Servers | Kind::Texts, _) => Vec::new(),
            })
        })
    }

    // Shows R-DIS.8.
    #[test]
    fn the_first_of_those_that_are_there() {
        let one = |zone: &Zone<'_>, endpoint: Option<&str>| {
            look(zone, endpoint).map(|found| {
                (found.controller.endpoint.to_string(), found.controller.url.to_string(), found.ttl_s)
            })
        };
        let said = |endpoint: &str, url: &str| Ok((endpoint.to_owned(), url.to_owned(), 30));
        let a =
            ("self::a", vec![server(5, 0, "late.isp.example"), server(1, 0, "a.isp.example")], "PATH=/usp x");
        let b = ("self::b", vec![server(1, 9, "b.isp.example")], "encrypt path=b path=c");
        let none = (
            "self::c",
            vec![record(Data::Server(Server { priority: 0, weight: 0, port: 1, host: root() }))],
            "",
        );
        let bare = ("self::d", vec![server(0, 0, "d.isp.example")], "encrypt");
        let bad = ("self::e", vec![server(0, 0, "e@f.isp.example")], "path=/");
        let both = [a.clone(), b.clone()];
        let a_is = said("self::a", "wss://a.isp.example:8443/usp");
        let b_is = said("self::b", "wss://b.isp.example:8443/b");
        let table = [
            ("one", &both[..1], None, a_is.clone()),
            ("the one with more weight", &both[..], None, b_is),
            ("the one that is wanted", &both[..], Some("self::a"), a_is),
            ("another than is wanted", &both[..], Some("self::z"), Err(Error::Nobody)),
            ("one that is not there", &[none][..], None, Err(Error::Nobody)),
            ("one without a path", &[bare][..], None, said("self::d", "wss://d.isp.example:8443/")),
            ("one that is no host", &[bad][..], None, Err(Error::Nobody)),
            ("nobody", &[][..], None, Err(Error::Nobody)),
        ];
        for (what, zone, endpoint, found) in table {
            assert_eq!(one(zone, endpoint), found, "{what}");
        }
        let standby = |zone: &Zone<'_>| look(zone, None).unwrap().standby;
        assert_eq!(standby(&both[..1]), [("late.isp.example".to_owned(), 8443)]);
        let many = (0..9).map(|one| server(9 - one, 0, &format!("h{one}.isp.example"))).collect();
        let hosts: Vec<String> =
            standby(&[("self::f", many, "")]).into_iter().map(|(host, _)| host).collect();
        assert_eq!(hosts, ["h7.isp.example", "h6.isp.example", "h5.isp.example"], "in order, and no more");
        let sought = Sought { domain: "isp..example".to_owned(), endpoint: None };
        assert_eq!(find(&sought, |_, _| unreachable!()), Err(Error::Domain));
        let sought = Sought { domain: "isp.example".to_owned(), endpoint: None };
        assert_eq!(find(&sought, |_, _| Err(dns::Error::Form.into())), Err(Error::Answer(dns::Error::Form)));
    }

    /// A host without a label, as a message has it.
    fn root() -> Name {
        let mut message = dns::question(7, &Name::of("x").unwrap(), Kind::Servers);
        message[2..4].copy_from_slice(&0x8180_u16.to_be_bytes());
        message[7] = 1;
        message.extend(b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x07\0\0\0\0\0\x01\0");
        let mut records = dns::read(&message, 7, &Name::of("x").unwrap(), Kind::Servers).unwrap();
        let Some(Record { data: Data::Server(server), .. }) = records.pop() else { unreachable!() };
        server.host
    }
}
