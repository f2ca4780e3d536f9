//! Upstreams that a test plays, on the gateway's own loopback: each answers as a function says.
//!
//! In:  a function from a question to what happens. Out: a port, and how often it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions that were heard.
pub(crate) type Count = Arc<AtomicUsize>;

/// Hears questions by UDP and lets `act` do something with each, until the process ends.
pub(crate) fn udp(act: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> (u16, Count) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, count) = (socket.local_addr().unwrap().port(), Count::default());
    let heard = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            heard.fetch_add(1, Ordering::Relaxed);
            act(&socket, &buffer[..length], from);
        }
    });
    (port, count)
}

/// Hears connections on `port` and lets `act` do something with each question, until the process ends.
pub(crate) fn tcp(port: u16, act: impl Fn(&mut TcpStream, &[u8]) + Send + 'static) -> Count {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let count = Count::default();
    let heard = Arc::clone(&count);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                if stream.read_exact(&mut query).is_err() {
                    break;
                }
                heard.fetch_add(1, Ordering::Relaxed);
                act(&mut stream, &query);
            }
        }
    });
    count
}

/// The question of a query, its type and class included.
pub(crate) fn question(query: &[u8]) -> &[u8] {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    &query[12..end]
}

/// An answer with these flags and so many records of 16 bytes, each with `ttl` seconds to live.
pub(crate) fn answer(query: &[u8], flags: u16, count: u8, ttl: u8) -> Vec<u8> {
    let mut answer = query[..2].to_vec();
    answer.extend_from_slice(&flags.to_be_bytes());
    answer.extend_from_slice(&[0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend_from_slice(question(query));
    for number in 0..count {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, 198, 51, 100, number]);
    }
    answer
}

/// An answer that there is nothing, believed for a minute.
pub(crate) fn nothing(query: &[u8]) -> Vec<u8> {
    let mut answer = answer(query, 0x8183, 0, 0);
    answer[9] = 1;
    answer.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0]);
    answer.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 60]);
    answer
}

/// Sends `message` on a stream.
pub(crate) fn say(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap();
    let _ = stream.write_all(&[&length.to_be_bytes(), message].concat());
}
