//! Looking for a controller in DNS: a thread that asks the forwarder of our own box, and ends.
//!
//! In:  who is looked for. Out: who was found; the room's bell rings then.
//!
//! It is asked by TCP: no answer is cut, and nobody else on the box answers in its place.
//!
//! Source: RFC 7766 (DNS by TCP); RFC 1035 §4.2.2.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use super::dns::{self, Kind, Name, Record};
use super::service::{Error, Found, Sought, find};

/// The forwarder (`names`).
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 53);
/// How long it has for one step; it asks others meanwhile.
const STEP: Duration = Duration::from_secs(10);
/// The longest answer that is read: a few records of a service.
const ANSWER_BYTES_MAX: u16 = 8 * 1024;
/// What the thread needs.
const STACK_BYTES: usize = 128 * 1024;

/// A search under way.
#[derive(Debug)]
pub struct Search(Receiver<Result<Found, Error>>);

impl Search {
    /// Begins; `bell` gets a byte when it is done.
    #[must_use]
    pub fn begin(sought: Sought, bell: &UnixStream) -> Self {
        let (sender, receiver) = sync_channel(1);
        let bell = bell.try_clone();
        let work = move || {
            let _ = sender.send(find(&sought, ask));
            if let Ok(mut bell) = bell {
                let _ = bell.write(&[1]);
            }
        };
        // Where no thread can be had the sender is gone, which is an answer too.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
        Self(receiver)
    }

    /// Its outcome, once it is there.
    #[must_use]
    pub fn done(&self) -> Option<Result<Found, Error>> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Error::Unreachable("no thread".to_owned()))),
        }
    }
}

fn ask(name: &Name, kind: Kind) -> Result<Vec<Record>, Error> {
    let mut id = [0; 2];
    let _ = sys::entropy::random(&mut id);
    let id = u16::from_be_bytes(id);
    let answer = exchange(&dns::question(id, name, kind));
    let answer = answer.map_err(|error| Error::Unreachable(error.to_string()))?;
    Ok(dns::read(&answer, id, name, kind)?)
}

fn exchange(question: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&SocketAddr::from(SERVER), STEP)?;
    socket.set_read_timeout(Some(STEP))?;
    socket.set_write_timeout(Some(STEP))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    socket.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    socket.read_exact(&mut length)?;
    let length = u16::from_be_bytes(length);
    if length > ANSWER_BYTES_MAX {
        return Err(io::Error::other("too long an answer"));
    }
    let mut answer = vec![0; usize::from(length)];
    socket.read_exact(&mut answer)?;
    Ok(answer)
}
