//! Questions for a name server and its answers, as bytes: as much of DNS as looking for a service needs.
//!
//! In:  a name and a kind; a server's bytes. Out: a message; the records of that kind, or why there are none.
//!
//! Whose records they are is not looked at: a name may be another's alias, and the forwarder of our own box, which is asked, passes on what
//! answers the question and nothing else.
//!
//! Not here: forwarding, and addresses of hosts (`names`).
//!
//! Source: RFC 1035 §3.1, §3.3, §4.1, §4.1.4 (compression); RFC 2782 (SRV).

use std::fmt;

/// The longest name, in bytes, with its lengths and the root. Source: RFC 1035 §2.3.4.
const NAME_BYTES_MAX: usize = 255;
/// Records of one answer; a service has a few.
const RECORDS_MAX: u16 = 32;
/// Source: RFC 1035 §3.2.4.
const CLASS_IN: u16 = 1;
/// Flags of the header. Source: RFC 1035 §4.1.1.
const ANSWER: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RCODE: u16 = 0x000f;
/// There is no such name. Source: RFC 1035 §4.1.1.
const NO_NAME: u16 = 3;

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The server says that it cannot, with this code.
    Server(u16),
    /// It is no answer to the question.
    Form,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(code) => write!(f, "the name server's code is {code}"),
            Self::Form => f.write_str("the name server's answer is none"),
        }
    }
}

/// A name: its labels as they came, the root's left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Vec<Vec<u8>>);

impl Name {
    /// The name that a text writes; a point at its end may stand there or not. `None`: it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let labels: Vec<Vec<u8>> = text.split('.').map(|label| label.as_bytes().to_vec()).collect();
        let good = labels.iter().all(|label| (1..=63).contains(&label.len()));
        let name = Self(labels);
        (good && name.bytes().len() <= NAME_BYTES_MAX).then_some(name)
    }

    /// Its labels, the first one first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// As a message has it.
    fn bytes(&self) -> Vec<u8> {
        let label = |label: &Vec<u8>| [&[u8::try_from(label.len()).unwrap_or(0)], label.as_slice()].concat();
        let mut bytes: Vec<u8> = self.0.iter().flat_map(label).collect();
        bytes.push(0);
        bytes
    }

    /// Source: RFC 4343.
    fn is(&self, other: &Self) -> bool {
        self.bytes().eq_ignore_ascii_case(&other.bytes())
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PTR: other names.
    Pointers,
    /// SRV: where a service is.
    Servers,
    /// TXT.
    Texts,
}

impl Kind {
    /// Source: RFC 1035 §3.2.2, RFC 2782.
    fn number(self) -> u16 {
        match self {
            Self::Pointers => 12,
            Self::Texts => 16,
            Self::Servers => 33,
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How long it is believed, in seconds.
    pub ttl_s: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// PTR.
    Pointer(Name),
    /// SRV.
    Server(Server),
    /// TXT: its strings.
    Text(Vec<Vec<u8>>),
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The lowest is asked first.
    pub priority: u16,
    /// Among those, more is better.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host; without a label: the service is not there.
    pub host: Name,
}

/// The question number `id`.
#[must_use]
pub fn question(id: u16, name: &Name, kind: Kind) -> Vec<u8> {
    let mut bytes: Vec<u8> = [id, RECURSION_DESIRED, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    bytes.extend(name.bytes());
    bytes.extend([kind.number(), CLASS_IN].map(u16::to_be_bytes).concat());
    bytes
}

/// The records in the answer to [`question`]; none where there is no such name.
///
/// # Errors
/// [`Error`].
pub fn read(message: &[u8], id: u16, name: &Name, kind: Kind) -> Result<Vec<Record>, Error> {
    let mut reader = Reader { message, at: 0 };
    let head = [(); 6].map(|()| reader.word().unwrap_or_default());
    let [number, flags, questions, answers, ..] = head;
    if number != id || flags & ANSWER == 0 || flags & (OPCODE | TRUNCATED) != 0 {
        return Err(Error::Form);
    }
    match flags & RCODE {
        0 => {}
        NO_NAME => return Ok(Vec::new()),
        code => return Err(Error::Server(code)),
    }
    let asked = [reader.name(), Some(name.clone())];
    let [Some(asked), Some(wanted)] = asked else { return Err(Error::Form) };
    let same = asked.is(&wanted) && reader.word() == Some(kind.number()) && reader.word() == Some(CLASS_IN);
    if questions != 1 || !same || answers > RECORDS_MAX {
        return Err(Error::Form);
    }
    let records = (0..answers).map(|_| reader.record(kind)).collect::<Option<Vec<_>>>();
    Ok(records.ok_or(Error::Form)?.into_iter().flatten().collect())
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..)?.first_chunk()?;
        self.at = self.at.saturating_add(2);
        Some(u16::from_be_bytes(*bytes))
    }

    /// A name, which may go on at an earlier place: each time before all that was read of it, so there is an end.
    fn name(&mut self) -> Option<Name> {
        let (mut at, mut begin, mut behind) = (self.at, self.at, None);
        let (mut labels, mut length) = (Vec::new(), 1_usize);
        loop {
            let first = usize::from(*self.message.get(at)?);
            let next = at.checked_add(1)?;
            match first >> 6 {
                0 if first == 0 => {
                    self.at = behind.unwrap_or(next);
                    return Some(Name(labels));
                }
                0 => {
                    let end = next.checked_add(first)?;
                    labels.push(self.message.get(next..end)?.to_vec());
                    length = length.saturating_add(first).saturating_add(1);
                    at = end;
                }
                3 => {
                    let target = (first & 0x3f) << 8 | usize::from(*self.message.get(next)?);
                    behind.get_or_insert(next.checked_add(1)?);
                    if target >= begin {
                        return None;
                    }
                    (at, begin) = (target, target);
                }
                _ => return None, // RFC 6891 §5: reserved
            }
            if length > NAME_BYTES_MAX {
                return None;
            }
        }
    }

    /// A record; `Some(None)`: it is of another kind.
    fn record(&mut self, kind: Kind) -> Option<Option<Record>> {
        self.name()?;
        let (number, class) = (self.word()?, self.word()?);
        let ttl_s = u32::from(self.word()?) << 16 | u32::from(self.word()?);
        let length = usize::from(self.word()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let data = if number == kind.number() && class == CLASS_IN {
            let data = self.data(kind, end)?;
            (self.at == end).then_some(())?;
            Some(Record { ttl_s, data })
        } else {
            None
        };
        self.at = end;
        Some(data)
    }

    fn data(&mut self, kind: Kind, end: usize) -> Option<Data> {
        Some(match kind {
            Kind::Pointers => Data::Pointer(self.name()?),
            Kind::Servers => Data::Server(Server {
                priority: self.word()?,
                weight: self.word()?,
                port: self.word()?,
                host: self.name()?,
            }),
            Kind::Texts => {
                let mut texts = Vec::new();
                while self.at < end {
                    let (length, rest) = self.message.get(self.at..end)?.split_first()?;
                    texts.push(rest.get(..usize::from(*length))?.to_vec());
                    self.at = self.at.saturating_add(1).saturating_add(usize::from(*length));
                }
                Data::Text(texts)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Data, Error, Kind, Name, question, read};

    const NAME: &str = "_usp-ctr-ws._tcp.isp.example";

    fn answer(kind: Kind, flags: u16, data: &[u8]) -> Vec<u8> {
        let mut message = question(7, &Name::of(NAME).unwrap(), kind);
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[7] = 1;
        message.extend([0xc0, 12]); // the question's name
        for word in [kind.number(), 1, 0, 60, u16::try_from(data.len()).unwrap()] {
            message.extend(word.to_be_bytes());
        }
        message.extend(data);
        message
    }

    #[test]
    fn only_an_answer_to_the_question_is_read() {
        let name = Name::of(NAME).unwrap();
        let good = answer(Kind::Pointers, 0x8180, b"\x09self::isp\xc0\x0c");
        let bent = |place: usize, byte: u8| {
            let mut message = good.clone();
            message[place] = byte;
            message
        };
        let table = [
            ("good", good.clone(), Ok(1)),
            ("another number", bent(1, 8), Err(Error::Form)),
            ("a question", bent(2, 1), Err(Error::Form)),
            ("cut", bent(2, 0x83), Err(Error::Form)),
            ("another name", bent(14, b'x'), Err(Error::Form)),
            ("another case", bent(14, b'U'), Ok(1)),
            ("more than there is", bent(7, 2), Err(Error::Form)),
            ("no such name", bent(3, 0x83), Ok(0)),
            ("it cannot", bent(3, 0x82), Err(Error::Server(2))),
            ("a name that leads forwards", bent(good.len() - 1, 0xff), Err(Error::Form)),
            ("nothing", Vec::new(), Err(Error::Form)),
        ];
        for (what, message, count) in table {
            let found = read(&message, 7, &name, Kind::Pointers).map(|records| records.len());
            assert_eq!(found, count, "{what}");
        }
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut], 7, &name, Kind::Pointers), Err(Error::Form), "{cut} bytes");
        }
    }

    #[test]
    fn what_records_say() {
        let name = Name::of(NAME).unwrap();
        let one = |kind, data: &[u8]| {
            let mut records = read(&answer(kind, 0x8180, data), 7, &name, kind).ok()?;
            records.pop().map(|record| (record.ttl_s, record.data))
        };
        let (ttl_s, pointer) = one(Kind::Pointers, b"\x09self::isp\xc0\x0c").unwrap();
        let Data::Pointer(instance) = pointer else { unreachable!() };
        assert_eq!((ttl_s, instance.labels().next()), (60, Some(&b"self::isp"[..])));
        assert_eq!(instance.labels().count(), 5);
        let (_, Data::Server(server)) = one(Kind::Servers, b"\0\x0a\0\x05\x20\xfb\x03usp\xc0\x1d").unwrap()
        else {
            unreachable!()
        };
        assert_eq!((server.priority, server.weight, server.port), (10, 5, 8443));
        assert_eq!(server.host, Name::of("usp.isp.example.").unwrap());
        let (_, Data::Text(texts)) = one(Kind::Texts, b"\x09path=/usp\x07encrypt\0").unwrap() else {
            unreachable!()
        };
        assert_eq!(texts, [&b"path=/usp"[..], b"encrypt", b""]);
        assert_eq!(one(Kind::Texts, b"\x09path"), None, "longer than its record");
        assert_eq!(one(Kind::Pointers, b"\0\0"), None, "shorter than its record");
    }

    #[test]
    fn names_are_names() {
        for text in ["", ".", "a..b", &"a".repeat(64), &"a23456789.".repeat(26)] {
            assert_eq!(Name::of(text), None, "{text}");
        }
        assert_eq!(Name::of("isp.example."), Name::of("isp.example"));
    }
}
