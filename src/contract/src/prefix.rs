//! A prefix: addresses that begin alike, of either family. Checked where it comes in.
//!
//! In:  `192.0.2.0/24`, `2001:db8::/56`, or a single address, which is its own prefix. Out: first address and length.
//!
//! Source: RFC 4632 §3.1 (IPv4), RFC 4291 §2.3 (IPv6).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::Text;

/// The longest prefix as text: an IPv6 address, a stroke, three digits.
const TEXT_BYTES: usize = 45 + 1 + 3;

/// Addresses of one family that begin alike. The bits behind the prefix are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    first: IpAddr,
    length: u8,
}

/// A text that is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPrefix;

impl fmt::Display for NoPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no prefix: an address, a '/', and a length in bits that leaves only zeros behind it")
    }
}

impl core::error::Error for NoPrefix {}

/// The bits that a prefix of `length` fixes, of an address of `bits`, as the upper ones of 128.
const fn mask(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// An address as the upper bits of 128, so that both families are shifted alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Prefix {
    /// The prefix of `length` bits that holds `address`; a length beyond the family's is the family's.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        let cut = |length| bits(address) & mask(length);
        match address {
            IpAddr::V4(_) => {
                let length = length.min(32);
                // The lower 96 bits are zero; what is left fits.
                let first = u32::try_from(cut(length) >> 96).unwrap_or(0);
                Self { first: Ipv4Addr::from_bits(first).into(), length }
            }
            IpAddr::V6(_) => {
                let length = length.min(128);
                Self { first: Ipv6Addr::from_bits(cut(length)).into(), length }
            }
        }
    }

    /// One address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, 128)
    }

    /// Its first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Its length, in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Is it of IPv4?
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Is `address` one of its addresses?
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && bits(address) & mask(self.length) == bits(self.first)
    }

    /// Have the two an address in common?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.holds(other.first) || other.holds(self.first)
    }

    /// Number `number` of the prefixes of `length` bits in it; `None` where there is none.
    #[must_use]
    pub fn subnet(&self, length: u8, number: u32) -> Option<Self> {
        let longest = if self.is_ipv4() { 32 } else { 128 };
        let spare = length.checked_sub(self.length)?;
        if length > longest || (spare < 32 && number >> spare != 0) {
            return None;
        }
        let added = u128::from(number).checked_shl(128 - u32::from(length)).unwrap_or(0);
        let first = bits(self.first) | added;
        Some(match self.first {
            IpAddr::V4(_) => {
                Self { first: Ipv4Addr::from_bits(u32::try_from(first >> 96).ok()?).into(), length }
            }
            IpAddr::V6(_) => Self { first: Ipv6Addr::from_bits(first).into(), length },
        })
    }
}

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| NoPrefix)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoPrefix)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        let prefix = Self::new(address, length);
        if length > longest || prefix.first != address {
            return Err(NoPrefix);
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Text::<TEXT_BYTES>::format(format_args!("{self}")))
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = heapless::String::<TEXT_BYTES>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn a_prefix_is_checked_where_it_comes_in() {
        let good = ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "::/0", "2001:db8::/56", "2001:db8::1/128"];
        for text in good {
            let prefix: Prefix = text.parse().unwrap();
            let back: heapless::String<64> = heapless::format!("{prefix}").unwrap();
            assert_eq!(back.as_str(), text);
        }
        assert_eq!("192.0.2.1".parse::<Prefix>().unwrap().length(), 32, "an address is its own prefix");
        for text in ["", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/64", "::/129", "a/8", "192.0.2.0/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_holds_its_own_family_only_and_is_divided() {
        let prefix: Prefix = "2001:db8:0:100::/56".parse().unwrap();
        assert!(prefix.holds("2001:db8:0:1ff::1".parse().unwrap()));
        assert!(!prefix.holds("2001:db8:0:200::1".parse().unwrap()));
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(!all.holds("::".parse().unwrap()));
        assert_eq!(prefix.subnet(64, 255), "2001:db8:0:1ff::/64".parse().ok());
        assert_eq!(prefix.subnet(64, 256), None, "there are 256");
        assert_eq!(prefix.subnet(48, 0), None, "a part is not larger than the whole");
        let home: Prefix = "192.168.0.0/16".parse().unwrap();
        assert_eq!(home.subnet(24, 3), "192.168.3.0/24".parse().ok());
        assert!(home.overlaps(&"192.168.3.0/24".parse().unwrap()) && !home.overlaps(&prefix));
    }
}
