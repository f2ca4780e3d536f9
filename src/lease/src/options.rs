//! The options of a DHCPv4 message: found, put together, and given the form that their RFCs ask for.
//!
//! In:  the bytes of a message. Out: values, or an [`Error`].
//!
//! Not here: the fixed fields, and which options a message has (`message.rs`).
//!
//! Source: RFC 2132, RFC 3396 (pieces), RFC 3442 (classless routes), RFC 3361 (SIP servers).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use contract::limit::{CLASSLESS_ROUTES, NAME_SERVERS};
use contract::prefix::Prefix;
use heapless::Vec;

/// Bytes before the options: the fixed fields and the magic cookie. Source: RFC 2131 §2.
pub const HEADER_BYTES: usize = 240;
/// What one option of ours can hold when its pieces are put together; what is longer is cut off.
const OPTION_BYTES: usize = 255;
/// What [`route_bytes`] can need: each route a length, four octets, a router.
pub const ROUTE_BYTES_MAX: usize = CLASSLESS_ROUTES * 9;

/// Classless routes, each to a prefix by a router; `0.0.0.0`: on the link.
pub type Routes = Vec<(Prefix, Ipv4Addr), CLASSLESS_ROUTES>;

/// The codes of the options that we know. Source: RFC 2132.
pub mod code {
    /// Nothing; fills up.
    pub const PAD: u8 = 0;
    /// Subnet mask (§3.3).
    pub const MASK: u8 = 1;
    /// Routers, best first (§3.5).
    pub const ROUTER: u8 = 3;
    /// Name servers, best first (§3.8).
    pub const NAME_SERVERS: u8 = 6;
    /// The client's name for itself (§3.14).
    pub const HOST: u8 = 12;
    /// The domain of local names (§3.17).
    pub const DOMAIN: u8 = 15;
    /// Time servers, best first (§8.3).
    pub const TIME_SERVERS: u8 = 42;
    /// The vendor's own (§8.4); asked for where operators want it asked for. Of it a USP controller is read.
    pub const VENDOR: u8 = 43;
    /// The address that a client asks for (§9.1).
    pub const REQUESTED: u8 = 50;
    /// How long a lease is, in seconds (§9.2).
    pub const LEASE: u8 = 51;
    /// `file` and `sname` hold options too (§9.3).
    pub const OVERLOAD: u8 = 52;
    /// What kind of message it is (§9.6).
    pub const KIND: u8 = 53;
    /// The server's address (§9.7).
    pub const SERVER: u8 = 54;
    /// What the client would like to be told (§9.8).
    pub const PARAMETERS: u8 = 55;
    /// The largest message that the client takes, in bytes with IP and UDP (§9.10).
    pub const SIZE: u8 = 57;
    /// T1, in seconds (§9.11).
    pub const RENEW: u8 = 58;
    /// T2, in seconds (§9.12).
    pub const REBIND: u8 = 59;
    /// What kind of client it is (§9.13).
    pub const VENDOR_CLASS: u8 = 60;
    /// The client's identifier (§9.14).
    pub const IDENTIFIER: u8 = 61;
    /// SIP servers (RFC 3361).
    pub const SIP_SERVERS: u8 = 120;
    /// Classless routes (RFC 3442).
    pub const ROUTES: u8 = 121;
    /// What the client is to vendors, each behind its number (RFC 3925 §3).
    pub const VENDOR_CLASSES: u8 = 124;
    /// Vendors' own, each behind its number (RFC 3925 §4).
    pub const VENDOR_SPECIFIC: u8 = 125;
    /// The end of the options (§3.2).
    pub const END: u8 = 255;
}

/// Why bytes are no message for us. Nothing of them is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Shorter than the fixed fields, or without the magic cookie: BOOTP, or nonsense.
    NotDhcp,
    /// Not for Ethernet.
    NotEthernet,
    /// No kind, an unknown kind, or one that does not fit the direction.
    Kind,
    /// The option with this code goes on after the end of its field.
    Cut(u8),
    /// The option with this code has a length that its RFC does not allow.
    Length(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDhcp => write!(f, "message: not DHCP"),
            Self::NotEthernet => write!(f, "message: not for Ethernet"),
            Self::Kind => write!(f, "message: no kind that fits"),
            Self::Cut(code) => write!(f, "message: option {code} is cut off"),
            Self::Length(code) => write!(f, "message: option {code} has a wrong length"),
        }
    }
}

impl std::error::Error for Error {}

/// The fields that hold options, in the order in which pieces of one option are put together.
pub(crate) struct Options<'b>([&'b [u8]; 3]);

impl<'b> Options<'b> {
    /// Checks that every option ends inside its field.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, Error> {
        let field = |from, to| bytes.get(from..to).unwrap_or_default();
        let options = field(HEADER_BYTES, bytes.len());
        let mut all = Self([options, &[], &[]]);
        all.walk(|_, _| ())?;
        let overload = all.fixed(code::OVERLOAD)?.map_or(0, |[fields]| fields);
        // 1: file, 2: sname, 3: both; file comes first. Source: RFC 2132 §9.3, RFC 3396 §5.
        let file = if overload & 1 == 0 { &[] } else { field(108, 236) };
        let sname = if overload & 2 == 0 { &[] } else { field(44, 108) };
        all = Self([options, file, sname]);
        all.walk(|_, _| ())?;
        Ok(all)
    }

    /// Shows every option to `see`, with its code.
    fn walk(&self, mut see: impl FnMut(u8, &'b [u8])) -> Result<(), Error> {
        for field in self.0 {
            let mut rest = field;
            while let Some((&code, after)) = rest.split_first() {
                rest = match code {
                    code::PAD => after,
                    code::END => break,
                    _ => {
                        let (&length, after) = after.split_first().ok_or(Error::Cut(code))?;
                        let (value, after) =
                            after.split_at_checked(usize::from(length)).ok_or(Error::Cut(code))?;
                        see(code, value);
                        after
                    }
                };
            }
        }
        Ok(())
    }

    /// All pieces of the option `wanted`, one after another; empty where there is none.
    pub(crate) fn all(&self, wanted: u8) -> Vec<u8, OPTION_BYTES> {
        let mut found = Vec::new();
        // `read` has walked here before and met no error.
        let _ = self.walk(|code, value| {
            if code == wanted {
                found.extend(value.iter().copied().take(OPTION_BYTES - found.len()));
            }
        });
        found
    }

    /// An option of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&self, wanted: u8) -> Result<Option<[u8; N]>, Error> {
        let found = self.all(wanted);
        if found.is_empty() {
            return Ok(None);
        }
        <[u8; N]>::try_from(found.as_slice()).map(Some).map_err(|_| Error::Length(wanted))
    }

    /// An option that is a list of addresses: the first `N` of it.
    pub(crate) fn addresses<const N: usize>(&self, wanted: u8) -> Result<Vec<Ipv4Addr, N>, Error> {
        let found = self.all(wanted);
        let (chunks, rest) = found.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(Error::Length(wanted));
        }
        Ok(chunks.iter().take(N).map(|octets| Ipv4Addr::from(*octets)).collect())
    }

    /// SIP servers, where they are told as addresses; a list of names is passed over. Source: RFC 3361 §3.
    pub(crate) fn sip_servers(&self) -> Vec<Ipv4Addr, NAME_SERVERS> {
        let found = self.all(code::SIP_SERVERS);
        let Some((1, addresses)) = found.split_first() else { return Vec::new() };
        let (chunks, rest) = addresses.as_chunks::<4>();
        if !rest.is_empty() {
            return Vec::new();
        }
        chunks.iter().take(NAME_SERVERS).map(|octets| Ipv4Addr::from(*octets)).collect()
    }

    /// Classless routes. None where any of them is wrong: then option 3 counts. Source: RFC 3442.
    pub(crate) fn routes(&self) -> Routes {
        routes(&self.all(code::ROUTES)).unwrap_or_default()
    }
}

/// Each route is the length of its prefix, as many octets of it as count, and the router. Of too many the first are taken, and the
/// default route wherever it stands.
fn routes(bytes: &[u8]) -> Option<Routes> {
    let (mut found, mut rest) = (Routes::new(), bytes);
    while let Some((&length, after)) = rest.split_first() {
        let (significant, after) = after.split_at_checked(usize::from(length.div_ceil(8)))?;
        let (router, after) = after.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets.get_mut(..significant.len())?.copy_from_slice(significant);
        let route = (Prefix::new(Ipv4Addr::from(octets).into(), length), Ipv4Addr::from(*router));
        if length > 32 {
            return None;
        }
        if found.is_full() && length == 0 {
            found.pop();
        }
        let _ = found.push(route); // Full: it is left out.
        rest = after;
    }
    Some(found)
}

/// Classless routes as option 121 holds them; without effect where there are none. Source: RFC 3442.
#[must_use]
pub fn route_bytes(routes: &Routes) -> Vec<u8, ROUTE_BYTES_MAX> {
    let mut bytes = Vec::new();
    for (prefix, router) in routes {
        let IpAddr::V4(first) = prefix.first() else { continue };
        let significant = usize::from(prefix.length().div_ceil(8));
        bytes.extend([prefix.length()]);
        bytes.extend(first.octets().into_iter().take(significant));
        bytes.extend(router.octets());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Routes, route_bytes, routes};
    use proptest::prelude::proptest;
    use std::net::Ipv4Addr;

    #[test]
    fn routes_are_read_as_the_rfc_writes_them() {
        let router = Ipv4Addr::new(10, 0, 0, 1);
        let [a, b, c, d] = router.octets();
        // what, bytes, prefix and router (RFC 3442's table: 0, 10.0.0.0/8, 10.0.0.0/24, 10.17.0.0/16, …)
        type Row<'r> = (&'r str, &'r [u8], Option<(&'r str, Ipv4Addr)>);
        let table: [Row<'_>; 7] = [
            ("default", &[0, a, b, c, d], Some(("0.0.0.0/0", router))),
            ("eight bits", &[8, 10, a, b, c, d], Some(("10.0.0.0/8", router))),
            ("25 bits", &[25, 10, 229, 0, 128, a, b, c, d], Some(("10.229.0.128/25", router))),
            (
                "a host, on the link",
                &[32, 10, 198, 122, 47, 0, 0, 0, 0],
                Some(("10.198.122.47/32", Ipv4Addr::UNSPECIFIED)),
            ),
            ("bits behind the prefix", &[9, 10, 255, a, b, c, d], Some(("10.128.0.0/9", router))),
            ("cut", &[8, 10, a, b, c], None),
            ("too long", &[33, 10, 0, 0, 0, 0, a, b, c, d], None),
        ];
        for (what, bytes, want) in table {
            let want = want.map(|(prefix, router)| (prefix.parse().unwrap(), router));
            assert_eq!(routes(bytes).map(|routes| routes[0]), want, "{what}");
        }
        let many: Vec<u8> =
            (0..40).flat_map(|n| [32, 10, 0, 0, n, a, b, c, d]).chain([0, a, b, c, d]).collect();
        let found = routes(&many).unwrap();
        assert!(
            found.is_full() && found.last().unwrap().0.length() == 0,
            "the default route is not left out"
        );
    }

    proptest! {
        #[test]
        fn routes_come_back_as_they_went(bytes: Vec<u8>) {
            let read = routes(&bytes).unwrap_or_default();
            let again: Routes = routes(&route_bytes(&read)).unwrap();
            assert_eq!(read, again);
        }
    }
}
