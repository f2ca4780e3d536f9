//! HTTP/1.1 as a registry speaks it: heads and bodies, as bytes.
//!
//! In:  bytes of strangers, as they come. Out: a [`Head`], pieces of a body; or why it is none.
//!
//! Pure: `link.rs` has the socket. What a body may be long is known to who asks for it.
//!
//! Source: RFC 9112 §4 (status line), §6 (length of a body), §7.1 (chunks); RFC 9110 §14.4 (`Content-Range`).

use std::fmt;

/// A head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a head: registries behind a content network send thirty.
const FIELDS_MAX: usize = 96;
/// The line before a chunk, and all that may follow the last one, in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 1024;
const TRAILER_BYTES_MAX: usize = 4096;

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// More than a head may have.
    Long,
    /// Not HTTP/1.1.
    Head,
    /// It says in two ways how long the body is.
    Length,
    /// A chunk is none.
    Chunk,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "its head is longer than 16 KiB, or has too many fields",
            Self::Head => "it does not speak HTTP/1.1",
            Self::Length => "it contradicts itself about the length of what it sends",
            Self::Chunk => "its chunks are none",
        })
    }
}

/// What stands before a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// How long the body is, where it says so.
    pub length: Option<u64>,
    /// The body comes in chunks.
    pub chunked: bool,
    /// The connection ends with this answer.
    pub closes: bool,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// What is asked of us.
    pub challenge: Option<String>,
    /// Of a part: its first byte, and the length of the whole.
    pub range: Option<(u64, u64)>,
}

/// Reads a head and says how many bytes it has. `None`: it has not ended yet.
///
/// # Errors
/// [`Fault`].
pub fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let size = match answer.parse(bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes)) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(Fault::Long),
        Err(_) => return Err(Fault::Head),
    };
    let mut head = Head { status: answer.code.unwrap_or(0), ..Head::default() };
    head.closes = answer.version == Some(0);
    let mut is_coded = false;
    for field in answer.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let text = std::str::from_utf8(field.value).unwrap_or_default().trim();
        if is("content-length") {
            let length = number(text).ok_or(Fault::Length)?;
            if head.length.replace(length).is_some_and(|before| before != length) {
                return Err(Fault::Length);
            }
        } else if is("transfer-encoding") {
            is_coded = true;
            head.chunked = text.eq_ignore_ascii_case("chunked");
        } else if is("connection") {
            head.closes |= text.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"));
        } else if is("location") {
            head.location = Some(text.to_owned());
        } else if is("www-authenticate") && head.challenge.is_none() {
            head.challenge = Some(text.to_owned());
        } else if is("content-range") {
            head.range = range(text);
        }
    }
    // One that is coded in a way that was not asked for, or that is of two lengths, is none.
    if (is_coded && !head.chunked) || (head.chunked && head.length.is_some()) {
        return Err(Fault::Length);
    }
    Ok(Some((head, size)))
}

/// Digits, and nothing else. Source: RFC 9110 §8.6.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

/// `bytes 7-99/100`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (part, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last, whole) = (number(first)?, number(last)?, number(whole)?);
    (first <= last && last < whole).then_some((first, whole))
}

/// Where a body is in its course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// The line before a chunk comes.
    Line,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The end of a chunk's line comes.
    ChunkEnd,
    /// The last chunk was there; of what may follow so many bytes were.
    Trailer(usize),
    /// It ends with the connection.
    ToEnd,
    /// It has ended.
    Done,
}

impl Body {
    /// The body behind `head`. Source: RFC 9112 §6.3.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        match (head.chunked, head.length) {
            _ if matches!(head.status, 204 | 304) => Self::Done,
            (true, _) => Self::Line,
            (false, Some(0)) => Self::Done,
            (false, Some(length)) => Self::Length(length),
            (false, None) => Self::ToEnd,
        }
    }

    /// Takes from `bytes`: how many of them are done with, and which are of the body. None of either: more have to come.
    ///
    /// # Errors
    /// [`Fault::Chunk`].
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, &'b [u8]), Fault> {
        let cut = |left: u64| {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            (
                size,
                bytes.get(..size).unwrap_or_default(),
                left.saturating_sub(u64::try_from(size).unwrap_or(left)),
            )
        };
        match *self {
            Self::Done => Ok((0, &[])),
            Self::ToEnd => Ok((bytes.len(), bytes)),
            Self::Length(left) => {
                let (size, part, left) = cut(left);
                *self = if left == 0 { Self::Done } else { Self::Length(left) };
                Ok((size, part))
            }
            Self::Chunk(left) => {
                let (size, part, left) = cut(left);
                *self = if left == 0 { Self::ChunkEnd } else { Self::Chunk(left) };
                Ok((size, part))
            }
            Self::Line => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((size, 0))) => {
                    *self = Self::Trailer(0);
                    Ok((size, &[]))
                }
                Ok(httparse::Status::Complete((size, length))) => {
                    *self = Self::Chunk(length);
                    Ok((size, &[]))
                }
                Ok(httparse::Status::Partial) if bytes.len() < CHUNK_LINE_BYTES_MAX => Ok((0, &[])),
                Ok(httparse::Status::Partial) | Err(_) => Err(Fault::Chunk),
            },
            Self::ChunkEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    *self = Self::Line;
                    Ok((2, &[]))
                }
                [] | [b'\r'] => Ok((0, &[])),
                _ => Err(Fault::Chunk),
            },
            Self::Trailer(had) => {
                let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
                    let is_long = had.saturating_add(bytes.len()) > TRAILER_BYTES_MAX;
                    return if is_long { Err(Fault::Chunk) } else { Ok((0, &[])) };
                };
                let had = had.saturating_add(at + 1);
                let is_last = matches!(bytes.get(..at), Some([] | [b'\r']));
                *self = if is_last { Self::Done } else { Self::Trailer(had) };
                if had > TRAILER_BYTES_MAX { Err(Fault::Chunk) } else { Ok((at + 1, &[])) }
            }
        }
    }

    /// Is all of it there, if the connection ends now?
    #[must_use]
    pub fn ends_with_the_connection(self) -> bool {
        matches!(self, Self::ToEnd | Self::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Fault, Head, head};

    #[test]
    fn heads_are_read_or_refused() {
        let plain = |status| Head { status, ..Head::default() };
        let table: &[(&str, Result<Option<Head>, Fault>)] = &[
            ("HTTP/1.1 200 OK\r\n", Ok(None)),
            ("HTTP/1.1 200 OK\r\n\r\n", Ok(Some(plain(200)))),
            ("HTTP/1.0 200 OK\r\n\r\n", Ok(Some(Head { closes: true, ..plain(200) }))),
            (
                "HTTP/1.1 206 Partial\r\nContent-Length: 93\r\ncontent-range: bytes 7-99/100\r\n\r\n",
                Ok(Some(Head { length: Some(93), range: Some((7, 100)), ..plain(206) })),
            ),
            ("HTTP/1.1 206 x\r\nContent-Range: bytes 7-100/100\r\n\r\n", Ok(Some(plain(206)))),
            (
                "HTTP/1.1 307 x\r\nLocation: /x\r\nConnection: keep-alive, Close\r\n\r\n",
                Ok(Some(Head { location: Some("/x".into()), closes: true, ..plain(307) })),
            ),
            (
                "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n",
                Ok(Some(Head { challenge: Some("Basic".into()), chunked: true, ..plain(401) })),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Err(Fault::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", Err(Fault::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", Err(Fault::Length)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(Fault::Length),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Err(Fault::Length)),
            ("SSH-2.0-OpenSSH\r\n", Err(Fault::Head)),
        ];
        for (text, want) in table {
            let had = head(text.as_bytes()).map(|found| found.map(|(head, _)| head));
            assert_eq!(had, *want, "{text}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(17_000));
        assert_eq!(head(long.as_bytes()), Err(Fault::Long));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(97));
        assert_eq!(head(many.as_bytes()), Err(Fault::Long));
    }

    /// The body of `bytes` that come `piece` at a time, and how many were left.
    fn read(mut body: Body, bytes: &[u8], piece: usize) -> Result<(String, usize), Fault> {
        let (mut got, mut have, mut rest) = (Vec::new(), Vec::new(), bytes);
        while body != Body::Done {
            let (size, part) = body.take(&have)?;
            got.extend_from_slice(part);
            have.drain(..size);
            if size == 0 {
                let (now, after) = rest.split_at(piece.min(rest.len()));
                if now.is_empty() {
                    break;
                }
                have.extend_from_slice(now);
                rest = after;
            }
        }
        assert!(body == Body::Done || body.ends_with_the_connection(), "{body:?}");
        Ok((String::from_utf8(got).unwrap(), have.len() + rest.len()))
    }

    #[test]
    fn bodies_end_where_they_should() {
        type Row = (Body, &'static str, Result<(&'static str, usize), Fault>);
        let table: &[Row] = &[
            (Body::Length(3), "abcdef", Ok(("abc", 3))),
            (Body::ToEnd, "abcdef", Ok(("abcdef", 0))),
            (
                Body::Line,
                "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nHTTP",
                Ok(("abc0123456789", 4)),
            ),
            (Body::Line, "0\r\n\r\n", Ok(("", 0))),
            (Body::Line, "x\r\n", Err(Fault::Chunk)),
            (Body::Line, "-1\r\n", Err(Fault::Chunk)),
            (Body::Line, "fffffffffffffffff\r\n", Err(Fault::Chunk)),
            (Body::Line, "1\r\nab\r\n", Err(Fault::Chunk)),
        ];
        for (body, text, want) in table {
            for piece in [1, 2, 7, 1000] {
                let had = read(*body, text.as_bytes(), piece);
                assert_eq!(had, want.map(|(text, left)| (text.to_owned(), left)), "{text} by {piece}");
            }
        }
        let endless = format!("1;{}", "x".repeat(2000));
        assert_eq!(read(Body::Line, endless.as_bytes(), 1000), Err(Fault::Chunk));
        let trailer = format!("0\r\n{}", "X: x\r\n".repeat(1000));
        assert_eq!(read(Body::Line, trailer.as_bytes(), 1000), Err(Fault::Chunk));
    }
}
