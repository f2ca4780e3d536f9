//! The handshake of WebSocket, at both ends, as USP has it.
//!
//! In:  what is called; or bytes of whoever calls. Out: a request, and whether it was accepted; a [`Request`], and its answer.
//!
//! The endpoint id goes in the query (`eid=`); the extension of earlier versions of the standard is understood and answered, too (R-WS.10a,
//! R-WS.11a).
//!
//! Source: RFC 6455 §4; TR-369 §4.4 (R-WS.9 to R-WS.12); RFC 7617 (Basic).

use contract::base64::letters;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The head of a request or an answer, in bytes.
pub const HEAD_BYTES_MAX: usize = 4096;
const HEADERS_MAX: usize = 32;
/// USP's word among WebSocket's subprotocols (R-WS.9).
const PROTOCOL: &str = "v1.usp";
/// The extension that said the endpoint id in earlier versions.
const EXTENSION: &str = "bbf-usp-protocol";
/// Source: RFC 6455 §1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whom we call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The host, and the port where it is another than usual.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// Who we are.
    pub endpoint: &'a str,
    /// Name and password, where it wants some.
    pub credentials: Option<(&'a str, &'a str)>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path, without its query.
    pub path: String,
    /// Who it says it is.
    pub endpoint: Option<String>,
    /// What it proves that with: `Authorization`.
    pub authorization: Option<String>,
    /// It speaks of the extension of earlier versions.
    pub is_extended: bool,
    /// Its key.
    pub key: String,
    /// How long the head was.
    pub length: usize,
}

/// A key: sixteen bytes at random, in base64.
#[must_use]
pub fn key(random: [u32; 4]) -> String {
    base64(&random.map(u32::to_ne_bytes).concat())
}

fn base64(bytes: &[u8]) -> String {
    letters(bytes).collect()
}

/// What proves a name and a password. Source: RFC 7617.
#[must_use]
pub fn basic((name, password): (&str, &str)) -> String {
    format!("Basic {}", base64(format!("{name}:{password}").as_bytes()))
}

/// The request of whoever calls.
#[must_use]
pub fn request(to: &Call<'_>, key: &str) -> Vec<u8> {
    let Call { host, path, endpoint, credentials } = to;
    let mark = if path.contains('?') { '&' } else { '?' };
    let authorization =
        credentials.map(|one| format!("Authorization: {}\r\n", basic(one))).unwrap_or_default();
    let eid = escape(endpoint);
    format!(
        "GET {path}{mark}eid={eid} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\
         {authorization}\r\n"
    )
    .into_bytes()
}

/// The proof that an end has understood `key`.
fn proof(key: &str) -> String {
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes()).as_ref())
}

/// The answer to somebody who is let in; with the extension where he speaks of it: it says our `endpoint` then.
#[must_use]
pub fn answer(key: &str, endpoint: Option<&str>) -> Vec<u8> {
    let proof = proof(key);
    let extension =
        endpoint.map(|endpoint| format!("Sec-WebSocket-Extensions: {EXTENSION}; eid=\"{endpoint}\"\r\n"));
    let extension = extension.unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {proof}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n{extension}\r\n"
    )
    .into_bytes()
}

/// The answer to somebody who is not.
#[must_use]
pub fn refusal(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// How long the head of an answer is that accepts our `key`; `None`: it is not whole yet.
///
/// # Errors
/// Why it does not accept it, in words.
pub fn accepted(bytes: &[u8], key: &str) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("an answer that is too long".to_owned()),
        Err(error) => return Err(format!("its answer is no HTTP: {error}")),
    };
    if answer.code != Some(101) {
        return Err(format!("it answers {}", answer.code.unwrap_or(0)));
    }
    let header = |name: &str| value(answer.headers, name);
    if header("sec-websocket-accept") != Some(proof(key).as_str()) {
        return Err("it has not understood our key".to_owned());
    }
    if header("sec-websocket-protocol") != Some(PROTOCOL) {
        return Err("it does not speak v1.usp".to_owned()); // R-WS.12
    }
    let extensions = header("sec-websocket-extensions").unwrap_or_default();
    if !extensions.is_empty() && !extensions.starts_with(EXTENSION) {
        return Err("it uses an extension that we have not offered".to_owned());
    }
    Ok(Some(length))
}

/// Reads the request of whoever calls; `None`: it is not whole yet.
///
/// # Errors
/// The status to answer, before the connection is closed.
pub fn read(bytes: &[u8]) -> Result<Option<Request>, &'static str> {
    const BAD: &str = "400 Bad Request";
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(BAD),
    };
    let header = |name: &str| value(request.headers, name);
    let has = |name: &str, word: &str| {
        let words = header(name).unwrap_or_default().split(',');
        words.map(str::trim).any(|one| one.eq_ignore_ascii_case(word))
    };
    if request.method != Some("GET") || !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err("426 Upgrade Required");
    }
    if header("sec-websocket-version") != Some("13") {
        return Err("426 Upgrade Required\r\nSec-WebSocket-Version: 13");
    }
    if !has("sec-websocket-protocol", PROTOCOL) {
        return Err(BAD);
    }
    let key = header("sec-websocket-key").filter(|key| key.len() == 24).ok_or(BAD)?;
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let in_query = query.split('&').find_map(|one| one.strip_prefix("eid=")).map(unescape);
    let extension = header("sec-websocket-extensions").and_then(|text| text.split_once(EXTENSION));
    let in_extension = extension.and_then(|(_, rest)| {
        let eid = rest.split_once("eid=")?.1.trim_start_matches('"');
        Some(eid.split(['"', ';', ',']).next().unwrap_or_default().to_owned())
    });
    Ok(Some(Request {
        path: path.to_owned(),
        endpoint: in_query.or(in_extension),
        authorization: header("authorization").map(str::to_owned),
        is_extended: extension.is_some(),
        key: key.to_owned(),
        length,
    }))
}

fn value<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(str::trim)
}

/// Source: RFC 3986 §2.
#[must_use]
pub fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        let hex = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|_| *byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(one) => {
                bytes.push(one);
                rest = rest.get(2..).unwrap_or_default();
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Call, HEAD_BYTES_MAX, accepted, answer, basic, key, read, refusal, request};

    // Shows R-WS.10b, R-WS.10c, R-WS.11b, R-WS.11c.
    #[test]
    fn one_end_understands_the_other() {
        let key = key([1, 2, 3, 4]);
        let to =
            Call { host: "h:1", path: "/usp", endpoint: "os::00D09E-a%20b", credentials: Some(("u", "p")) };
        let bytes = request(&to, &key);
        for part in 0..bytes.len() {
            assert_eq!(read(&bytes[..part]), Ok(None));
        }
        assert!(String::from_utf8_lossy(&bytes).starts_with("GET /usp?eid=os%3A%3A00D09E-a%2520b HTTP/1.1"));
        let got = read(&bytes).unwrap().unwrap();
        assert_eq!((got.path.as_str(), got.endpoint.as_deref()), ("/usp", Some("os::00D09E-a%20b")));
        assert_eq!((got.authorization, got.length), (Some(basic(("u", "p"))), bytes.len()));
        for endpoint in [None, Some("self::c")] {
            let bytes = answer(&got.key, endpoint);
            assert_eq!(accepted(&bytes, &key), Ok(Some(bytes.len())));
        }
        let bytes = answer(&got.key, None);
        assert_eq!(accepted(&bytes[..9], &key), Ok(None));
    }

    // Shows R-WS.12, R-WS.12a.
    #[test]
    fn who_speaks_otherwise_is_refused() {
        let good = String::from_utf8(answer("k", None)).unwrap();
        let table = [
            (good.replace("101 Switching", "200"), "answers 200"),
            (good.replace("v1.usp", "mqtt"), "v1.usp"),
            (good.replace("Accept: ", "Accept: x"), "key"),
            (
                good.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
                "extension",
            ),
            ("SSH-2.0-OpenSSH\r\n".to_owned(), "no HTTP"),
            (format!("HTTP/1.1 101 x\r\nA: {}", "x".repeat(HEAD_BYTES_MAX)), "too long"),
            (String::from_utf8(refusal("401 Unauthorized")).unwrap(), "answers 401"),
        ];
        for (text, why) in table {
            let error = accepted(text.as_bytes(), "k").unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
        let to = Call { host: "h", path: "/", endpoint: "e", credentials: None };
        let good = String::from_utf8(request(&to, &key([0; 4]))).unwrap();
        for (from, to, status) in [
            ("GET", "POST", "426"),
            ("Upgrade: websocket", "Upgrade: h2c", "426"),
            ("Version: 13", "Version: 8", "426"),
            ("v1.usp", "v2.usp", "400"),
            ("Sec-WebSocket-Protocol", "X-Protocol", "400"),
            ("Key: ", "Key: x", "400"),
            ("HTTP/1.1", "HTTP/9", "400"),
        ] {
            assert!(good.contains(from));
            let error = read(good.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.starts_with(status), "{from}: {error}");
        }
        let old = good
            .replace("?eid=e", "")
            .replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: bbf-usp-protocol; eid=\"self::c\"\r\n\r\n");
        assert_eq!(read(old.as_bytes()).unwrap().unwrap().endpoint.as_deref(), Some("self::c"));
    }
}
