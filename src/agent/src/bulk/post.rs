//! A report on its way to a collector, by HTTP(S): one request on a thread of its own, within a limit.
//!
//! In:  a request. Out: delivered or not, and why; a bell rings when that is known.
//!
//! A collector answers with a status; what else it says is not read. A redirect is a failure: where reports go is the controller's to say.
//! TLS and whom to believe as everywhere (`trust`): before the clock is believed nothing goes by HTTPS (R-BULK.6).
//!
//! Source: RFC 9110, RFC 9112; RFC 7617 (Basic); TR-369 Annex A (R-BULK.1, R-BULK.7, R-BULK.8).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use trust::rustls::{ClientConnection, StreamOwned};

use super::profile::{Encoding, Layout, Profile, Table};
use super::report;
use crate::access::Access;
use crate::stream::connect;
use crate::websocket::handshake::{basic, escape};
use crate::world::World;

/// From the first byte to the status, at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is read of an answer: its status comes first.
const ANSWER_BYTES_MAX: usize = 4096;
/// TLS computes on it, and a name is looked up.
const STACK_BYTES: usize = 256 * 1024;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The collector has it.
    Delivered,
    /// It has not, and why.
    Failed(String),
}

/// What is sent, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    host: String,
    port: u16,
    tls: bool,
    head: String,
    body: String,
}

impl Request {
    /// The report `body` of a profile; who we are stands in the URL (R-BULK.1).
    ///
    /// # Errors
    /// The URL is none.
    pub fn of(world: &World, profile: &Profile, body: String) -> Result<Self, String> {
        let (tls, host, port, path) = url(&profile.url).ok_or_else(|| format!("{}: no URL", profile.url))?;
        let mut query = String::new();
        let device = |name: &str| format!("Device.DeviceInfo.{name}");
        let fixed = [("oui", "ManufacturerOUI"), ("pc", "ProductClass"), ("sn", "SerialNumber")];
        let fixed = fixed.map(|(name, parameter)| (name.to_owned(), value(world, &device(parameter))));
        let more = profile.uri.iter().filter(|one| !one.name.is_empty());
        let more =
            more.map(|one| (one.name.clone(), report::single(world, profile, one).unwrap_or_default()));
        for (place, (name, value)) in fixed.into_iter().chain(more).enumerate() {
            let mark = if place == 0 && !path.contains('?') { '?' } else { '&' };
            query.push_str(&format!("{mark}{}={}", escape(&name), escape(&value)));
        }
        let kind = profile.encoding.media_type();
        let form = match (profile.encoding, profile.layout, profile.table) {
            (Encoding::Json, Layout::NameValuePair, _) => "NameValuePair",
            (Encoding::Json, Layout::ObjectHierarchy, _) => "ObjectHierarchy",
            (Encoding::Csv, _, Table::ParameterPerColumn) => "ParameterPerColumn",
            (Encoding::Csv, _, Table::ParameterPerRow) => "ParameterPerRow",
        };
        let method = if profile.puts { "PUT" } else { "POST" };
        let proof = match profile.username.as_str() {
            "" => String::new(),
            name => format!("Authorization: {}\r\n", basic((name, &profile.password))),
        };
        let date = world.facts.now_s.filter(|_| profile.dates);
        let date = date.map(|now_s| format!("Date: {}\r\n", http_date(now_s))).unwrap_or_default();
        let usual = if tls { 443 } else { 80 };
        let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let named = if port == usual { named } else { format!("{named}:{port}") };
        let head = format!(
            "{method} {path}{query} HTTP/1.1\r\nHost: {named}\r\nUser-Agent: shg/{}\r\nConnection: close\r\n\
             Content-Type: {kind}\r\nBBF-Report-Format: \"{form}\"\r\n{date}{proof}Content-Length: {}\r\n\r\n",
            env!("CARGO_PKG_VERSION"),
            body.len()
        );
        Ok(Self { host, port, tls, head, body })
    }
}

/// One on its way.
#[derive(Debug)]
pub struct Post(Receiver<Outcome>);

impl Post {
    /// Begins; `bell` gets a byte when the end is known.
    #[must_use]
    pub fn begin(request: Result<Request, String>, bell: &UnixStream) -> Self {
        let (sender, receiver) = sync_channel(1);
        let bell = bell.try_clone();
        let work = move || {
            let outcome = request.and_then(|request| deliver(&request));
            let _ = sender.send(outcome.map_or_else(Outcome::Failed, |()| Outcome::Delivered));
            if let Ok(mut bell) = bell {
                let _ = bell.write(&[1]);
            }
        };
        // Where no thread can be had the sender is gone, which is an answer too.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
        Self(receiver)
    }

    /// What became of it, once that is known.
    #[must_use]
    pub fn done(&self) -> Option<Outcome> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Outcome::Failed("no thread to send with".to_owned())),
        }
    }
}

fn deliver(request: &Request) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let socket = connect(&request.host, request.port).map_err(|gone| gone.to_string())?;
    let status = if request.tls {
        let words = |error: trust::Error| error.to_string();
        let config = trust::client(&[b"http/1.1"], trust::clock::Clock::Believed).map_err(words)?;
        let name = trust::server_name(&request.host).map_err(words)?;
        let tls = ClientConnection::new(config, name).map_err(|error| format!("TLS: {error}"))?;
        let mut stream = StreamOwned::new(tls, socket);
        exchange(&mut stream, |stream| &stream.sock, request, until)
    } else {
        let mut socket = socket;
        exchange(&mut socket, |socket| socket, request, until)
    };
    match status? {
        200..=299 => Ok(()),
        status => Err(format!("{}: it answers {status}", request.host)),
    }
}

fn exchange<S: Read + Write>(
    stream: &mut S,
    socket: fn(&S) -> &TcpStream,
    request: &Request,
    until: Instant,
) -> Result<u16, String> {
    let words = |error: std::io::Error| format!("{}: {error}", request.host);
    let wait = |stream: &S| {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let socket = socket(stream);
        socket.set_read_timeout(Some(left)).and_then(|()| socket.set_write_timeout(Some(left)))
    };
    for part in
        [request.head.as_bytes(), request.body.as_bytes()].iter().flat_map(|part| part.chunks(16 * 1024))
    {
        wait(stream).and_then(|()| stream.write_all(part)).map_err(words)?;
    }
    stream.flush().map_err(words)?;
    let mut answer = Vec::new();
    loop {
        if Instant::now() >= until {
            return Err(format!("{}: no answer within {} s", request.host, PATIENCE.as_secs()));
        }
        let mut bytes = [0; 1024];
        wait(stream).map_err(words)?;
        let size = stream.read(&mut bytes).map_err(words)?;
        answer.extend_from_slice(bytes.get(..size).unwrap_or_default());
        match status(&answer) {
            Some(status) => return Ok(status),
            None if size == 0 || answer.len() >= ANSWER_BYTES_MAX => {
                return Err(format!("{}: its answer is no HTTP", request.host));
            }
            None => {}
        }
    }
}

/// The status of an answer, once its first line is there. 1xx is not the end. Source: RFC 9112 §4.
fn status(answer: &[u8]) -> Option<u16> {
    let mut rest = answer;
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let (_, words) = line.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/1."))?;
        let status = words.get(..3)?.parse().ok()?;
        if !(100..200).contains(&status) {
            return Some(status);
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        rest = rest.get(end.checked_add(4)?..)?;
    }
}

/// Of `http://…` or `https://…`: TLS, host, port, path with its query.
#[must_use]
pub fn url(text: &str) -> Option<(bool, String, u16, String)> {
    let (tls, rest) = match text.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    let good = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'@');
    let (authority, path) =
        rest.split_once('/').map_or((rest, "/".to_owned()), |(one, path)| (one, format!("/{path}")));
    let (host, port) = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (good && !host.is_empty()).then(|| (tls, host.to_owned(), port, path))
}

fn value(world: &World, path: &str) -> String {
    let path = usp::path::Path::parse(path).ok();
    let found = path.and_then(|path| crate::resolve::parameters(world, Access::ours(world), (&path, 0)).ok());
    let found = found.and_then(|found| {
        let (place, parameters) = found.into_iter().next()?;
        (parameters.first()?.get)(world, &place.rows)
    });
    found.unwrap_or_default()
}

/// Source: RFC 9110 §5.6.7.
fn http_date(now_s: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // 1970 began on a Thursday
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = crate::world::date(Some(now_s)); // 2013-03-29T03:52:29Z
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1).saturating_sub(1);
    let day = usize::try_from(now_s.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
    let (day, month) = (DAYS.get(day).unwrap_or(&""), MONTHS.get(month).unwrap_or(&""));
    format!("{day}, {} {month} {} {} GMT", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::{Request, http_date, status, url};
    use crate::bulk::profile::{Profile, Reference};
    use crate::testing::world;

    #[test]
    fn a_request_says_who_we_are() {
        let mut world = world();
        world.facts.now_s = Some(784_111_777);
        let uri = vec![Reference {
            row: 1,
            name: "a b".to_owned(),
            path: "Device.LocalAgent.Controller.1.Alias".to_owned(),
            exclude: false,
        }];
        let profile = Profile {
            url: "https://c.example:8443/in?x=1".to_owned(),
            username: "u".to_owned(),
            password: "p".to_owned(),
            uri,
            ..Profile::new(1, "self::a")
        };
        let request = Request::of(&world, &profile, "{}".to_owned()).unwrap();
        for line in [
            "POST /in?x=1&oui=00D09E&pc=SHG&sn=17&a%20b=cpe-1 HTTP/1.1\r\n",
            "Host: c.example:8443\r\n",
            "BBF-Report-Format: \"NameValuePair\"\r\n",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "Authorization: Basic dTpw\r\n",
            "Content-Length: 2\r\n\r\n",
        ] {
            assert!(request.head.contains(line), "{line}: {}", request.head);
        }
        assert!(
            Request::of(&world, &Profile { url: "ftp://x".to_owned(), ..profile }, String::new()).is_err()
        );
    }

    #[test]
    fn answers_and_urls_are_read() {
        let table: &[(&[u8], Option<u16>)] = &[
            (b"HTTP/1.1 200 OK\r\n", Some(200)),
            (b"HTTP/1.0 503 x\r\nA: b\r\n", Some(503)),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n", Some(204)),
            (b"HTTP/1.1 100 Continue\r\n", None),
            (b"HTTP/1.1 20", None),
            (b"SSH-2.0\r\n", None),
            (b"HTTP/1.1 abc\r\n", None),
        ];
        for (bytes, want) in table {
            assert_eq!(status(bytes), *want, "{}", String::from_utf8_lossy(bytes));
        }
        let parts =
            |text: &str| url(text).map(|(tls, host, port, path)| format!("{tls} {host} {port} {path}"));
        assert_eq!(parts("http://h").unwrap(), "false h 80 /");
        assert_eq!(parts("https://[2001:db8::1]:9/a?b").unwrap(), "true 2001:db8::1 9 /a?b");
        assert_eq!(parts("https://[::1]/").unwrap(), "true ::1 443 /");
        for bad in
            ["h", "ftp://h/", "http://u@h/", "http:///x", "http://h:x/", "http://h/a b", "http://h/\r\nX: y"]
        {
            assert_eq!(parts(bad), None, "{bad}");
        }
        assert_eq!(http_date(86_400), "Fri, 02 Jan 1970 00:00:00 GMT");
    }
}
