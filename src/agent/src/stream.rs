//! A connection: TCP, or TLS over it; or a Unix socket.
//!
//! In:  an address or a name, bytes. Out: bytes. Nothing here waits, but for the thread that looks the name up and connects.
//!
//! Source: RFC 8446 (TLS 1.3).

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use trust::rustls::server::ServerConfig;
use trust::rustls::{ClientConnection, Connection, ServerConnection};

use mqtt::packet::PACKET_BYTES_MAX;

use crate::own::Own;
use crate::proof::Wanted;
use crate::roles::Held;

/// How long one address is tried.
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// What the thread needs: a name is looked up on it.
const STACK_BYTES: usize = 128 * 1024;
/// What waits to be sent: an end that takes less is given up.
const OUT_BYTES_MAX: usize = 4 * PACKET_BYTES_MAX;
/// How long the other end may take nothing of what waits, in seconds: who is there takes some of it.
const STUCK_S: u64 = 60;
/// What one turn reads: the rest comes in the next, after the others' turns.
const READ_BYTES: usize = 32 * 1024;

/// Why a connection is over, or was none.
#[derive(Debug)]
pub enum Gone {
    /// The name has no address.
    Name(String),
    /// It could not be made.
    Connect(String),
    /// The other end has closed it.
    Closed,
    /// The system says so.
    System(io::Error),
    /// The other end has closed it before TLS came about.
    Handshake,
    /// TLS says so.
    Tls(trust::rustls::Error),
    /// Its certificate does not speak for this endpoint id.
    Foreign(String),
    /// Nobody can be believed, or the clock is not.
    Trust(String),
    /// Who is no longer to be believed is not known.
    List(String),
    /// The other end takes too little: no more can wait.
    Full,
    /// It takes nothing for too long.
    Stuck,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) | Self::Connect(why) | Self::Trust(why) | Self::List(why) => write!(f, "{why}"),
            Self::Handshake => write!(f, "TLS: closed by the other end before it came about"),
            Self::Foreign(endpoint) => write!(f, "the certificate does not bear {}{endpoint}", x509::URN),
            Self::Closed => write!(f, "closed by the other end"),
            Self::System(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Full => write!(f, "the other end does not read: {OUT_BYTES_MAX} bytes wait for it"),
            Self::Stuck => write!(f, "the other end does not read: it has taken nothing for {STUCK_S} s"),
        }
    }
}

/// A connection in the making.
#[derive(Debug)]
pub struct Dial(Receiver<Result<TcpStream, Gone>>);

impl Dial {
    /// Begins to connect; `bell` gets a byte when that is done.
    #[must_use]
    pub fn begin(host: &str, port: u16, bell: &UnixStream) -> Self {
        let (sender, receiver) = sync_channel(1);
        let (host, bell) = (host.to_owned(), bell.try_clone());
        let work = move || {
            let _ = sender.send(connect(&host, port));
            if let Ok(mut bell) = bell {
                let _ = bell.write(&[1]);
            }
        };
        // Where no thread can be had the sender is gone, which is an answer too.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
        Self(receiver)
    }

    /// The connection, once it is there.
    ///
    /// # Errors
    /// [`Gone::Connect`].
    pub fn done(&self) -> Option<Result<TcpStream, Gone>> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(Gone::Connect("no thread to connect with".to_owned())))
            }
        }
    }
}

/// A connection to the first of a name's addresses that takes it.
///
/// # Errors
/// [`Gone::Name`], [`Gone::Connect`].
pub(crate) fn connect(host: &str, port: u16) -> Result<TcpStream, Gone> {
    let found = (host, port).to_socket_addrs();
    let addresses = found.map_err(|error| Gone::Name(format!("{host}: no address: {error}")))?;
    let mut why = Gone::Name(format!("{host}: no address"));
    for address in addresses.take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => return Ok(socket),
            Err(error) => why = Gone::Connect(format!("{address}: {error}")),
        }
    }
    Err(why)
}

/// What a connection is made of.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// On the box.
    Unix(UnixStream),
}

impl Socket {
    /// From now on it does not wait.
    ///
    /// # Errors
    /// The descriptor is none.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(bytes),
            Self::Unix(socket) => socket.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // neither keeps anything back
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    tls: Option<Box<Connection>>,
    /// What the other end's certificate has to prove yet.
    wanted: Option<Wanted>,
    /// The role that it has brought.
    inherited: Held,
    out: Vec<u8>,
    /// The other end has taken something since that was last looked at.
    moved: bool,
    /// Since when it has taken nothing of what waits, in milliseconds after boot; `None`: nothing waits.
    stuck_ms: Option<u64>,
    /// The last read filled its buffer.
    more: bool,
}

impl Stream {
    /// Takes a socket that is connected, as it is.
    ///
    /// # Errors
    /// [`Gone::System`].
    pub fn of(socket: Socket) -> Result<Self, Gone> {
        socket.set_nonblocking().map_err(Gone::System)?;
        if let Socket::Tcp(socket) = &socket {
            socket.set_nodelay(true).map_err(Gone::System)?;
        }
        Ok(Self {
            socket,
            tls: None,
            wanted: None,
            inherited: Held::default(),
            out: Vec::new(),
            moved: false,
            stuck_ms: None,
            more: false,
        })
    }

    /// Takes a socket that we have connected, with TLS where the other end has to prove something, and who we are, where it wants to know;
    /// `protocol` is what is spoken inside (ALPN). Before it is proved nothing is said.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn new(
        socket: TcpStream,
        by_tls: Option<(Wanted, &Arc<Own>)>,
        protocol: &[u8],
    ) -> Result<Self, Gone> {
        let stream = Self::of(Socket::Tcp(socket))?;
        let Some((wanted, own)) = by_tls else { return Ok(stream) };
        let host = wanted.host.clone().ok_or_else(|| Gone::Foreign(wanted.endpoint.clone()))?;
        let config = trust::client_as(own.clone(), &wanted.anchors(), &[protocol]);
        let config = config.map_err(|error| match error {
            trust::Error::List(_) => Gone::List(error.to_string()),
            trust::Error::NoAnchor | trust::Error::Name(_) | trust::Error::Tls(_) => {
                Gone::Trust(error.to_string())
            }
        })?;
        let tls = ClientConnection::new(config, host).map_err(Gone::Tls)?;
        Ok(Self { tls: Some(Box::new(Connection::Client(tls))), wanted: Some(wanted), ..stream })
    }

    /// Takes a socket of somebody who has called us, and speaks TLS with him.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn called(socket: Socket, config: &Arc<ServerConfig>) -> Result<Self, Gone> {
        let tls = ServerConnection::new(config.clone()).map_err(Gone::Tls)?;
        Ok(Self { tls: Some(Box::new(Connection::Server(tls))), ..Self::of(socket)? })
    }

    /// Does the certificate that was shown prove this?
    ///
    /// # Errors
    /// [`Gone::Foreign`].
    pub fn prove(&mut self, wanted: &Wanted) -> Result<(), Gone> {
        let shown = self.tls.as_ref().and_then(|tls| tls.peer_certificates());
        self.inherited = wanted.judge(shown.unwrap_or_default())?;
        Ok(())
    }

    /// The role that the other end's certificate has brought.
    #[must_use]
    pub fn inherited(&self) -> Held {
        self.inherited
    }

    /// Has more come than one turn reads? What TLS has taken off the socket wakes nobody.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Has it something to write?
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        !self.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends bytes, now or in a later turn, and looks whether the other end takes any.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn put(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), Gone> {
        if self.out.len().saturating_add(bytes.len()) > OUT_BYTES_MAX {
            return Err(Gone::Full);
        }
        self.out.extend_from_slice(bytes);
        self.write()?;
        let moved = std::mem::take(&mut self.moved);
        if !self.wants_to_write() {
            self.stuck_ms = None;
        } else if moved || self.stuck_ms.is_none() {
            self.stuck_ms = Some(now_ms);
        }
        if self.stuck_at().is_some_and(|at_ms| now_ms >= at_ms) { Err(Gone::Stuck) } else { Ok(()) }
    }

    /// When the other end has taken nothing for too long, in milliseconds after boot; `None`: nothing waits for it.
    #[must_use]
    pub fn stuck_at(&self) -> Option<u64> {
        self.stuck_ms.map(|since_ms| since_ms.saturating_add(STUCK_S * 1000))
    }

    /// Moves bytes to the other end, as many as go.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn write(&mut self) -> Result<(), Gone> {
        let Some(tls) = &mut self.tls else {
            let written = write_some(&mut self.socket, &self.out)?;
            self.out.drain(..written);
            self.moved |= written > 0;
            return Ok(());
        };
        // What rustls does not take now (it has a limit of its own) stays in `out`.
        let taken = tls.writer().write(&self.out).map_err(Gone::System)?;
        self.out.drain(..taken);
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(Gone::Closed),
                Ok(_) => self.moved = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Gone::System(error)),
            }
        }
        Ok(())
    }

    /// What has come.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn read(&mut self) -> Result<Vec<u8>, Gone> {
        // On the stack: a fresh piece of memory of this size for each read would cost more than the read.
        let mut bytes = [0; READ_BYTES];
        self.read_tls()?;
        let size = match &mut self.tls {
            None => read_some(&mut self.socket, &mut bytes)?,
            Some(tls) => read_some(&mut tls.reader(), &mut bytes)?,
        };
        self.more = size == bytes.len();
        if self.tls.is_some() {
            self.write()?; // TLS has words of its own.
        }
        Ok(bytes.get(..size).unwrap_or_default().to_vec())
    }

    /// Takes off the socket what is TLS's. Once it stands the other end has to prove who it is, before anything is heard or said.
    fn read_tls(&mut self) -> Result<(), Gone> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        match tls.read_tls(&mut self.socket) {
            Ok(0) if tls.is_handshaking() => return Err(Gone::Handshake),
            Ok(0) => return Err(Gone::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) if tls.is_handshaking() => return Err(Gone::Handshake),
            Err(error) => return Err(Gone::System(error)),
        }
        tls.process_new_packets().map_err(Gone::Tls)?;
        if !tls.is_handshaking()
            && let Some(wanted) = self.wanted.take()
        {
            self.prove(&wanted)?;
        }
        Ok(())
    }
}

/// As many bytes as there are; 0: none now.
fn read_some(from: &mut impl Read, bytes: &mut [u8]) -> Result<usize, Gone> {
    match from.read(bytes) {
        Ok(0) => Err(Gone::Closed),
        Ok(size) => Ok(size),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => Ok(0),
        Err(error) => Err(Gone::System(error)),
    }
}

fn write_some(to: &mut impl Write, bytes: &[u8]) -> Result<usize, Gone> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match to.write(bytes) {
        Ok(size) => Ok(size),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => Ok(0),
        Err(error) => Err(Gone::System(error)),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::{Gone, OUT_BYTES_MAX, Socket, Stream};

    /// A stream, and its other end.
    fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::of(Socket::Unix(ours)).unwrap(), theirs)
    }

    #[test]
    fn who_takes_nothing_is_given_up_by_time() {
        let (mut stream, mut other) = pair();
        stream.put(b"a word", 0).unwrap();
        assert_eq!(stream.stuck_at(), None, "the kernel has taken it");
        stream.put(&vec![0; OUT_BYTES_MAX], 1_000).unwrap();
        assert_eq!(stream.stuck_at(), Some(61_000));
        stream.put(&[], 60_999).unwrap();
        // Some of it is taken: it begins anew.
        other.read_exact(&mut [0; 100_000]).unwrap();
        stream.put(&[], 60_999).unwrap();
        assert_eq!(stream.stuck_at(), Some(120_999));
        assert!(matches!(stream.put(&[], 120_999), Err(Gone::Stuck)));
    }

    #[test]
    fn who_takes_too_little_is_given_up_by_size() {
        let (mut stream, mut other) = pair();
        let mut put = 0;
        let gone = loop {
            match stream.put(&[7; 50_000], 0) {
                Ok(()) => put += 50_000,
                Err(gone) => break gone,
            }
        };
        assert!(matches!(gone, Gone::Full), "{gone}");
        assert!(put < 3 * OUT_BYTES_MAX, "{put} bytes, the kernel's among them");
        // Who reads after all has all of it.
        let mut taken = 0;
        while taken < put {
            taken += other.read(&mut [0; 64 * 1024]).unwrap();
            stream.put(&[], 0).unwrap();
        }
        assert!(!stream.wants_to_write() && stream.stuck_at().is_none());
    }
}
