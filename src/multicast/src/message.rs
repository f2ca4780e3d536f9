//! What hosts and queriers say, the same for both families.
//!
//! Source: RFC 3376 §4, RFC 3810 §5. IGMPv2's and MLDv1's words become those of their successors (RFC 3376 §7.3.2, RFC 3810 §8.3.2).

use std::net::IpAddr;

use heapless::Vec;

/// Sources of one record that are heard. IPTV names one; what is beyond is not.
pub const SOURCES_MAX: usize = 16;
/// Records of one report that are heard: more do not fit into a frame with a source each.
pub const RECORDS_MAX: usize = 64;

/// A list of sources.
pub type Sources = Vec<IpAddr, SOURCES_MAX>;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A host says what it watches.
    Report(Vec<Record, RECORDS_MAX>),
    /// Somebody asks.
    Query,
}

/// What a host says of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub kind: Kind,
    /// The group.
    pub group: IpAddr,
    /// Sources.
    pub sources: Sources,
    /// In the old protocol: such hosts keep silent when another one has reported (RFC 2236 §3), so one that leaves says nothing of others.
    pub old: bool,
}

/// What is said with sources. Source: RFC 3376 §4.2.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It watches only these: `MODE_IS_INCLUDE`.
    IsOnly,
    /// It watches all but these: `MODE_IS_EXCLUDE`.
    IsAllBut,
    /// From now on only these: `CHANGE_TO_INCLUDE_MODE`.
    ToOnly,
    /// From now on all but these: `CHANGE_TO_EXCLUDE_MODE`.
    ToAllBut,
    /// These too: `ALLOW_NEW_SOURCES`.
    Allow,
    /// These no longer: `BLOCK_OLD_SOURCES`.
    Block,
}

impl Kind {
    /// The kind with this number, the same in both families.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::IsOnly),
            2 => Some(Self::IsAllBut),
            3 => Some(Self::ToOnly),
            4 => Some(Self::ToAllBut),
            5 => Some(Self::Allow),
            6 => Some(Self::Block),
            0 | 7..=255 => None,
        }
    }
}

/// The kernel tells of a stream that has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrouted {
    /// Number of the link by which it came.
    pub from: u16,
    /// Who sends.
    pub source: IpAddr,
    /// The group.
    pub group: IpAddr,
}

/// Bytes read from the front, never beyond the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// Leaves `count` bytes out.
    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

/// The records of a report, each with addresses that `address` reads. `None`: it is cut short.
pub(crate) fn records(
    reader: &mut Reader<'_>,
    count: u16,
    address: impl Fn(&mut Reader<'_>) -> Option<IpAddr>,
) -> Option<Vec<Record, RECORDS_MAX>> {
    let mut heard = Vec::new();
    for _ in 0..count {
        let [number, auxiliary] = reader.take()?;
        let announced = u16::from_be_bytes(reader.take()?);
        let group = address(reader)?;
        let mut sources = Sources::new();
        for _ in 0..announced {
            // What is beyond the limit is read over: the next record is behind it.
            let _ = sources.push(address(reader)?);
        }
        reader.skip(usize::from(auxiliary) * 4)?;
        // A kind that we do not know is passed over. Source: RFC 3376 §4.2.12.
        let Some(kind) = Kind::of(number) else { continue };
        if heard.push(Record { kind, group, sources, old: false }).is_err() {
            break;
        }
    }
    Some(heard)
}

/// The Internet checksum of `bytes`, which is 0 where a checksum among them is right. Source: RFC 1071.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(*high) << 8 | u32::from(*low),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.fold(0, u32::wrapping_add);
    while sum >> 16 != 0 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}
