//! A SIP message: bytes ↔ start line, headers, body.
//!
//! In:  one UDP datagram. Out: a [`Message`], or nothing: what breaks a limit or the grammar is not SIP for us.
//!
//! Headers stay as they came, in their order, but for those that a proxy has to change; what we do not know passes. The body's length is
//! no header here: it is what the body has.
//!
//! Source: RFC 3261 §7, §7.3.3 (compact forms), §18.3 (framing), §20.

/// The largest message, in bytes: what phones and platforms send fits in 4 KiB.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Headers of one message.
pub const HEADERS_MAX: usize = 96;
/// One header, in bytes.
const HEADER_BYTES_MAX: usize = 2 * 1024;
/// The protocol. Source: RFC 3261 §7.1.
const VERSION: &str = "SIP/2.0";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Somebody asks.
    Request {
        /// What.
        method: String,
        /// Whom.
        uri: String,
    },
    /// Somebody answers.
    Response {
        /// 100 to 699.
        code: u16,
        /// In words.
        reason: String,
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its first line.
    pub start: Start,
    /// At most [`HEADERS_MAX`] when it was read; without `Content-Length`.
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a datagram. `None`: it is no SIP, or breaks a limit.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..bytes.len()).filter(|bytes| bytes.len() <= MESSAGE_BYTES_MAX)?;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        if head.bytes().any(|byte| byte == 0) {
            return None;
        }
        let mut lines = head.split("\r\n");
        let start = start(lines.next()?)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                // A line that goes on. Source: RFC 3261 §7.3.1.
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
            } else {
                let (name, value) = line.split_once(':')?;
                headers.push((name.trim_end().to_owned(), value.trim().to_owned()));
            }
            if headers.len() > HEADERS_MAX + 1 || headers.last()?.1.len() > HEADER_BYTES_MAX {
                return None;
            }
        }
        if headers.iter().any(|(name, _)| name.is_empty() || !name.bytes().all(is_token)) {
            return None;
        }
        let (lengths, headers): (Vec<_>, Vec<_>) =
            headers.into_iter().partition(|(name, _)| is(name, "Content-Length"));
        if headers.len() > HEADERS_MAX {
            return None;
        }
        let rest = bytes.get(end + 4..)?;
        // What is behind the body is thrown away; a body that is shorter than it says is broken. Source: RFC 3261 §18.3.
        let length = match lengths.as_slice() {
            [] => rest.len(),
            [(_, length)] => digits(length)?,
            // Two lengths are two messages to two readers.
            [..] => return None,
        };
        Some(Self { start, headers, body: rest.get(..length)?.to_vec() })
    }

    /// As bytes, with the body's length. A message near the limits may be longer than what [`Message::read`] takes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} {VERSION}\r\n"),
            Start::Response { code, reason } => format!("{VERSION} {code} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// The first value of a header; of several in one line the first.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        let value =
            self.headers.iter().find(|(header, _)| is(header, name)).map(|(_, value)| value.as_str())?;
        Some(value.get(..comma(value).unwrap_or(value.len())).unwrap_or(value).trim())
    }

    /// All values of a header, in order, those of one line apart.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(header, _)| is(header, name));
        values.flat_map(|(_, value)| parts(value)).collect()
    }

    /// Puts `values` in the place of all that a header has: none, and it is gone.
    pub fn replace(&mut self, name: &str, values: Vec<String>) {
        let place = self.headers.iter().position(|(header, _)| is(header, name));
        self.headers.retain(|(header, _)| !is(header, name));
        let place = place.unwrap_or(self.headers.len()).min(self.headers.len());
        let lines = values.into_iter().map(|value| (name.to_owned(), value));
        self.headers.splice(place..place, lines);
    }

    /// Puts one value before all others of a header.
    pub fn put_first(&mut self, name: &str, value: String) {
        let place = self.headers.iter().position(|(header, _)| is(header, name)).unwrap_or(0);
        self.headers.insert(place, (name.to_owned(), value));
    }

    /// The method: of a response that of its request (`CSeq`).
    #[must_use]
    pub fn method(&self) -> &str {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => {
                self.first("CSeq").and_then(|sequence| sequence.split_whitespace().nth(1)).unwrap_or_default()
            }
        }
    }

    /// Is it within a dialogue that stands: does `To` carry a tag? Source: RFC 3261 §12.
    #[must_use]
    pub fn is_in_dialogue(&self) -> bool {
        self.first("To").is_some_and(|to| crate::uri::parameter(to, "tag").is_some())
    }

    /// The answer of a server to this request. Source: RFC 3261 §8.2.6.
    #[must_use]
    pub fn answer(&self, code: u16, reason: &str, tag: &str) -> Self {
        let kept = ["Via", "From", "To", "Call-ID", "CSeq"];
        let mut headers: Vec<(String, String)> = Vec::new();
        for name in kept {
            for value in self.all(name) {
                let tagged = name == "To" && crate::uri::parameter(&value, "tag").is_none();
                headers.push((name.to_owned(), if tagged { format!("{value};tag={tag}") } else { value }));
            }
        }
        Self { start: Start::Response { code, reason: reason.to_owned() }, headers, body: Vec::new() }
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: &str, value: String) {
        self.headers.push((name.to_owned(), value));
    }
}

fn start(line: &str) -> Option<Start> {
    if let Some(rest) = line.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix(' ')) {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = code.parse().ok().filter(|code| (100..700).contains(code))?;
        return Some(Start::Response { code, reason: reason.to_owned() });
    }
    let (method, rest) = line.split_once(' ')?;
    let (uri, version) = rest.split_once(' ')?;
    let good = !method.is_empty() && method.bytes().all(is_token) && !uri.is_empty() && version == VERSION;
    good.then(|| Start::Request { method: method.to_owned(), uri: uri.to_owned() })
}

/// A number and nothing else: no sign. Source: RFC 3261 §20.14.
fn digits(text: &str) -> Option<usize> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Source: RFC 3261 §25.1, `token`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Is `header` the one that is called `name`, in its long form or its short one?
fn is(header: &str, name: &str) -> bool {
    const SHORT: [(&str, &str); 8] = [
        ("v", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("l", "Content-Length"),
        ("c", "Content-Type"),
        ("k", "Supported"),
    ];
    header.eq_ignore_ascii_case(name)
        || SHORT.iter().any(|(short, long)| header.eq_ignore_ascii_case(short) && *long == name)
}

/// Where the first comma is that parts two values: none within quotes or angle brackets.
fn comma(value: &str) -> Option<usize> {
    let (mut quoted, mut deep, mut escaped) = (false, false, false);
    value.char_indices().find_map(|(place, letter)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match letter {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => deep = true,
            '>' if !quoted => deep = false,
            ',' if !quoted && !deep => return Some(place),
            _ => {}
        }
        None
    })
}

fn parts(value: &str) -> Vec<String> {
    let (mut rest, mut found) = (value, Vec::new());
    while let Some(place) = comma(rest) {
        let (head, tail) = rest.split_at(place);
        found.push(head.trim().to_owned());
        rest = tail.get(1..).unwrap_or_default();
    }
    found.push(rest.trim().to_owned());
    found.retain(|part| !part.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::{Message, Start};

    pub(crate) const INVITE: &str = "INVITE sip:bob@198.51.100.10 SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.168.1.20:5062;branch=z9hG4bK77;rport, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n\
        Max-Forwards: 70\r\n\
        From: \"Alice, at home\" <sip:alice@isp.example>;tag=1\r\n\
        To: <sip:bob@isp.example>\r\n\
        Call-ID: a84b4c76e66710\r\n\
        CSeq: 314159 INVITE\r\n\
        m: <sip:alice@192.168.1.20:5062>\r\n\
        Subject: a long\r\n  word\r\n\
        Content-Length: 4\r\n\r\nbodyand more";

    #[test]
    fn a_message_comes_back_as_it_was() {
        let message = Message::read(INVITE.as_bytes()).unwrap();
        assert_eq!(message.method(), "INVITE");
        assert_eq!(message.body, b"body", "what is behind it is thrown away");
        assert_eq!(message.all("Via").len(), 2, "two in one line");
        assert_eq!(message.first("Via"), Some("SIP/2.0/UDP 192.168.1.20:5062;branch=z9hG4bK77;rport"));
        assert_eq!(message.all("From").len(), 1, "a comma in quotes parts nothing");
        assert_eq!(message.first("Subject"), Some("a long word"));
        assert_eq!(message.first("Contact"), Some("<sip:alice@192.168.1.20:5062>"));
        assert_eq!(Message::read(&message.write()).as_ref(), Some(&message));
    }

    #[test]
    fn headers_are_changed_in_their_place() {
        let mut message = Message::read(INVITE.as_bytes()).unwrap();
        message.put_first("Via", "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKx".to_owned());
        assert_eq!(message.all("Via").len(), 3);
        assert!(message.first("Via").unwrap().contains("203.0.113.7"));
        message.replace("Contact", vec!["<sip:x@203.0.113.7>".to_owned()]);
        assert_eq!(message.all("Contact"), ["<sip:x@203.0.113.7>"]);
        let answer = message.answer(404, "Not Found", "t");
        assert_eq!(answer.first("To"), Some("<sip:bob@isp.example>;tag=t"));
        assert_eq!((answer.method(), answer.all("Via").len()), ("INVITE", 3));
    }

    #[test]
    fn what_is_no_sip_is_not_read() {
        let long = format!("OPTIONS sip:a SIP/2.0\r\nX: {}\r\n\r\n", "x".repeat(3000));
        let many = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\n", "X: 1\r\n".repeat(97));
        for (what, text) in [
            ("nothing", ""),
            ("no end", "OPTIONS sip:a SIP/2.0\r\n"),
            ("another version", "OPTIONS sip:a SIP/3.0\r\n\r\n"),
            ("no code", "SIP/2.0 99 x\r\n\r\n"),
            ("a body that is too short", "OPTIONS sip:a SIP/2.0\r\nl: 5\r\n\r\nfour"),
            ("no length", "OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n"),
            ("a length with a sign", "OPTIONS sip:a SIP/2.0\r\nl: +1\r\n\r\nx"),
            ("two lengths", "OPTIONS sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nxy"),
            ("two lengths in one line", "OPTIONS sip:a SIP/2.0\r\nl: 1, 2\r\n\r\nxy"),
            ("a header without a name", "OPTIONS sip:a SIP/2.0\r\n: 1\r\n\r\n"),
            ("goes on before it begins", "OPTIONS sip:a SIP/2.0\r\n x\r\n\r\n"),
            ("a NUL", "OPTIONS sip:a\0 SIP/2.0\r\n\r\n"),
            ("a long header", &long),
            ("many headers", &many),
        ] {
            assert_eq!(Message::read(text.as_bytes()), None, "{what}");
        }
        let full = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\nbody", "X: 1\r\n".repeat(96));
        let full = Message::read(full.as_bytes()).unwrap();
        assert_eq!(
            Message::read(&full.write()),
            Some(full),
            "the length that is written takes nobody's place"
        );
        let ping = Message::read(b"OPTIONS sip:a SIP/2.0\r\n\r\n").unwrap();
        assert!(matches!(ping.start, Start::Request { .. }));
    }
}
