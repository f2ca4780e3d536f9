//! Agrees on keys with a server, by TLS.
//!
//! In:  a server's name and addresses, whom we trust. Out: a jar of keys and cookies, or why there is none.
//!
//! A handshake takes as long as the server likes, so it has a thread of its own, one at a time; each of its steps has a limit, and the
//! loop is woken by a socket when it is done.
//!
//! The server's certificate is judged by the clock. Before that is set there is no better one than the image's time, to which every newer
//! certificate is not good yet: so then it is supposed to be as late as the certificate says at least. One that has run out
//! in truth is taken for good until the clock is set.
//!
//! Not here: what is said (`agreement.rs`), TLS itself (`trust`). Source: RFC 8915 §4, §8.5.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use contract::Text;
use log::warn;
use trust::anchors::Anchors;
use trust::clock::Clock;
use trust::rustls::{self, CertificateError, ClientConfig, ClientConnection, Stream};

use crate::agreement::{self, Agreement, Heard};
use crate::seal::{Jar, KEY_BYTES};

/// How long the server may take to be reached, and for each of its words.
const STEP: Duration = Duration::from_secs(5);
/// Words that are waited for.
const WORDS_MAX: usize = 64;
/// Certificates of one chain that may each be newer than the image.
const CERTIFICATES_MAX: usize = 4;
/// What the thread needs: the handshake's buffers lie on the heap. In bytes.
const STACK_BYTES: usize = 256 * 1024;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The name that its certificate must bear.
    pub name: Text<63>,
    /// Where it may be.
    pub addresses: Vec<IpAddr>,
    /// What the clock says, in seconds since 1970.
    pub now_s: u64,
    /// It was set by somebody: a certificate that is not good yet is none.
    pub believed: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Who was asked.
    pub name: Text<63>,
    /// At which address; and its keys, or why there are none.
    pub answer: Result<(IpAddr, Jar, Agreement), String>,
}

/// One agreement under way, at most.
#[derive(Debug)]
pub struct Keyed {
    /// `None`: the images' and the operator's anchors, read anew each time.
    anchors: Option<Anchors>,
    port: u16,
    under_way: Option<(UnixStream, Receiver<Outcome>)>,
}

impl Default for Keyed {
    fn default() -> Self {
        Self { anchors: None, port: agreement::PORT, under_way: None }
    }
}

impl Keyed {
    /// One that trusts `anchors`: for tests.
    #[must_use]
    pub fn trusting(anchors: Anchors) -> Self {
        Self { anchors: Some(anchors), ..Self::default() }
    }

    /// Is one under way?
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.under_way.as_ref().map(|(wake, _)| wake.as_fd())
    }

    /// Begins one. While another is under way nothing happens.
    ///
    /// # Errors
    /// Why it cannot begin, in words.
    pub fn begin(&mut self, wish: Wish) -> Result<(), String> {
        if self.is_busy() {
            return Ok(());
        }
        let anchors = self.anchors.clone().unwrap_or_else(trust::anchors::read);
        // Without anybody whom we trust no thread is needed to say so.
        configuration(&anchors, wish.now_s)?;
        let (wake, waker) = UnixStream::pair().map_err(|error| error.to_string())?;
        let (sender, receiver): (Sender<Outcome>, _) = channel();
        let port = self.port;
        let work = move || {
            let answer = agree(&wish, &anchors, port);
            // If nobody listens any more, nobody wants it.
            let _ = sender.send(Outcome { name: wish.name, answer });
            drop(waker);
        };
        let thread = thread::Builder::new().name("nts".to_owned()).stack_size(STACK_BYTES).spawn(work);
        thread.map_err(|error| error.to_string())?;
        self.under_way = Some((wake, receiver));
        Ok(())
    }

    /// What came of it, once it is done.
    pub fn turn(&mut self) -> Option<Outcome> {
        let (_, receiver) = self.under_way.as_ref()?;
        match receiver.try_recv() {
            Ok(outcome) => {
                self.under_way = None;
                Some(outcome)
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => None,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                warn!("nts: an agreement ended without a word");
                self.under_way = None;
                None
            }
        }
    }
}

/// How TLS is spoken, if it is `now_s`.
fn configuration(anchors: &Anchors, now_s: u64) -> Result<Arc<ClientConfig>, String> {
    let config = trust::client_with(anchors, &[agreement::PROTOCOL], Clock::Supposed(now_s));
    config.map_err(|error| error.to_string())
}

/// Asks at each address in turn.
fn agree(wish: &Wish, anchors: &Anchors, port: u16) -> Result<(IpAddr, Jar, Agreement), String> {
    let mut why = "it has no address".to_owned();
    for address in &wish.addresses {
        let mut now_s = wish.now_s;
        for _ in 0..CERTIFICATES_MAX {
            match agree_at((*address, port).into(), &wish.name, &configuration(anchors, now_s)?) {
                Ok((jar, agreement)) => return Ok((*address, jar, agreement)),
                Err(Failure { why: words, good_from_s }) => {
                    why = format!("{address}: {words}");
                    match good_from_s.filter(|good_from_s| !wish.believed && *good_from_s > now_s) {
                        Some(good_from_s) => now_s = good_from_s,
                        None => break,
                    }
                }
            }
        }
    }
    Err(why)
}

/// Why there was no agreement.
#[derive(Debug)]
struct Failure {
    why: String,
    /// The certificate would have been good from then on, in seconds since 1970.
    good_from_s: Option<u64>,
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self { why: why.to_owned(), good_from_s: None }
    }
}

impl From<rustls::Error> for Failure {
    fn from(error: rustls::Error) -> Self {
        Self { why: error.to_string(), good_from_s: good_from_s(&error) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self { why: error.to_string(), good_from_s: tls.and_then(good_from_s) }
    }
}

/// From when on the certificate is good, where that is what is wrong with it.
fn good_from_s(error: &rustls::Error) -> Option<u64> {
    if let rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) = error
    {
        return Some(not_before.as_secs());
    }
    None
}

fn agree_at(to: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<(Jar, Agreement), Failure> {
    let mut socket = TcpStream::connect_timeout(&to, STEP)?;
    socket.set_read_timeout(Some(STEP))?;
    socket.set_write_timeout(Some(STEP))?;
    let name = trust::server_name(name).map_err(|error| Failure::from(error.to_string().as_str()))?;
    let mut session = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(&agreement::question())?;
    let mut heard = Vec::new();
    let mut buffer = [0; 2048];
    for _ in 0..WORDS_MAX {
        let length = stream.read(&mut buffer)?;
        heard.extend_from_slice(buffer.get(..length).unwrap_or_default());
        match agreement::read(&heard) {
            Heard::Whole(agreement) => return finish(&session, agreement),
            Heard::Refused(why) => return Err(why.into()),
            Heard::Part if length == 0 || heard.len() > agreement::BYTES_MAX => break,
            Heard::Part => {}
        }
    }
    Err("its answer has no end".into())
}

/// Makes the keys. Source: RFC 8915 §5.1.
fn finish(session: &ClientConnection, agreement: Agreement) -> Result<(Jar, Agreement), Failure> {
    if session.alpn_protocol() != Some(agreement::PROTOCOL) {
        return Err("it does not speak of keys".into());
    }
    let key =
        |context: &[u8]| session.export_keying_material([0; KEY_BYTES], agreement::EXPORTER, Some(context));
    let (ours, theirs) = (key(&agreement::TO_SERVER)?, key(&agreement::FROM_SERVER)?);
    Ok((Jar::new(ours, theirs, agreement.cookies.clone()), agreement))
}
