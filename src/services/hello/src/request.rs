//! A request: bytes from a stranger become one of a few wishes, or a refusal.
//!
//! In:  what has arrived so far, at most [`BYTES`]. Out: a wish, a refusal, or that more must come. Pure.
//!
//! Only the first line and the presence of `Host` count; a body is not read, for the connection is closed after the answer.
//!
//! Source: RFC 9112 §2 and §3, RFC 9110 §15.

/// A request's head, at most: what a browser sends is a tenth of it.
pub const BYTES: usize = 8 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The thing.
    pub wish: Wish,
    /// Only the head of the answer: the method `HEAD`.
    pub head_only: bool,
}

/// The things that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// What the service sees of itself.
    Facts(Form),
    /// As many bytes as go in a moment, to see how fast the line is.
    Stream,
}

/// What the facts look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The page.
    Page,
    /// JSON.
    Json,
}

/// Why a request is not answered with what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP.
    Bad,
    /// There is no such thing.
    NotFound,
    /// Nothing here can be changed.
    Method,
    /// It did not come in time.
    Late,
    /// More than [`BYTES`].
    Large,
    /// Not version 1.
    Version,
}

impl Refusal {
    /// The status line's number and words.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Bad => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Late => "408 Request Timeout",
            Self::Large => "431 Request Header Fields Too Large",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

/// Reads a request. `None`: its head is not complete.
///
/// # Errors
/// [`Refusal`]: whatever may still come, this is the answer.
pub fn parse(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let Some(end) = end_of_head(bytes) else {
        return if bytes.len() >= BYTES { Err(Refusal::Large) } else { Ok(None) };
    };
    if end > BYTES {
        return Err(Refusal::Large);
    }
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or(Refusal::Bad)?;
    let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Bad);
    };
    match version {
        "HTTP/1.1" if !lines.any(|line| has_name(line, "host")) => return Err(Refusal::Bad),
        "HTTP/1.1" | "HTTP/1.0" => {}
        other if other.starts_with("HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Bad),
    }
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        other if !other.is_empty() && other.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            return Err(Refusal::Method);
        }
        _ => return Err(Refusal::Bad),
    };
    match target.split('?').next() {
        Some("/") => Ok(Some(Request { wish: Wish::Facts(Form::Page), head_only })),
        Some("/facts.json") => Ok(Some(Request { wish: Wish::Facts(Form::Json), head_only })),
        Some("/stream") => Ok(Some(Request { wish: Wish::Stream, head_only })),
        Some(path) if path.starts_with('/') => Err(Refusal::NotFound),
        Some(_) | None => Err(Refusal::Bad),
    }
}

/// Where the empty line ends that closes the head. Lines may end without a carriage return: RFC 9112 §2.2.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (place, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let line = bytes.get(line_start..place)?;
        if line_start > 0 && (line.is_empty() || line == b"\r") {
            return Some(place + 1);
        }
        line_start = place + 1;
    }
    None
}

fn has_name(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(its, _)| its.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Form, Refusal, Request, Wish, parse};
    use proptest::prelude::{any, proptest};

    type Answer = Result<Option<Request>, Refusal>;

    const PAGE: Answer = Ok(Some(Request { wish: Wish::Facts(Form::Page), head_only: false }));

    #[test]
    fn what_comes_is_understood_or_refused() {
        let facts = Ok(Some(Request { wish: Wish::Facts(Form::Json), head_only: true }));
        let table: &[(&str, &str, Answer)] = &[
            ("browser", "GET / HTTP/1.1\r\nHost: gateway\r\nAccept: */*\r\n\r\n", PAGE),
            ("old", "GET / HTTP/1.0\r\n\r\n", PAGE),
            ("bare newlines", "GET / HTTP/1.1\nhost: x\n\n", PAGE),
            ("query", "GET /?a=b HTTP/1.0\r\n\r\n", PAGE),
            ("body", "GET / HTTP/1.0\r\n\r\nbody", PAGE),
            ("head", "HEAD /facts.json HTTP/1.0\r\n\r\n", facts),
            (
                "stream",
                "GET /stream HTTP/1.0\r\n\r\n",
                Ok(Some(Request { wish: Wish::Stream, head_only: false })),
            ),
            ("nothing yet", "", Ok(None)),
            ("half", "GET / HTTP/1.1\r\nHost: gate", Ok(None)),
            ("empty line first", "\r\nGET / HTTP/1.0\r\n\r\n", Err(Refusal::Bad)),
            ("no host", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", Err(Refusal::Bad)),
            ("other path", "GET /etc/passwd HTTP/1.0\r\n\r\n", Err(Refusal::NotFound)),
            ("up", "GET /../ HTTP/1.0\r\n\r\n", Err(Refusal::NotFound)),
            ("proxy form", "GET http://x/ HTTP/1.0\r\n\r\n", Err(Refusal::Bad)),
            ("post", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", Err(Refusal::Method)),
            ("lower case", "get / HTTP/1.0\r\n\r\n", Err(Refusal::Bad)),
            ("version 2", "PRI * HTTP/2.0\r\n\r\n", Err(Refusal::Version)),
            ("no version", "GET /\r\n\r\n", Err(Refusal::Bad)),
            ("two spaces", "GET  / HTTP/1.0\r\n\r\n", Err(Refusal::Bad)),
            ("TLS", "\u{16}\u{3}\u{1}\u{0}\n\n", Err(Refusal::Bad)),
        ];
        for (what, text, want) in table {
            assert_eq!(parse(text.as_bytes()), *want, "{what}");
        }
        let long = format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(BYTES));
        assert_eq!(parse(long.as_bytes()), Err(Refusal::Large), "long");
        assert_eq!(parse(&vec![b'x'; BYTES]), Err(Refusal::Large), "endless");
        assert_eq!(parse(b"GET / HTTP/1.0\r\nX: \xff\r\n\r\n"), Err(Refusal::Bad), "not UTF-8");
    }

    proptest! {
        #[test]
        fn whatever_comes_there_is_an_answer(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_request_means_the_same_however_it_is_cut(cut in 0_usize..58) {
            let whole = b"GET / HTTP/1.1\r\nHost: gateway\r\nUser-Agent: someone\r\n\r\n";
            let part = parse(&whole[..cut.min(whole.len())]);
            assert_eq!(part, if cut >= whole.len() { PAGE } else { Ok(None) });
        }
    }
}
