//! Flows that take what they get, and streams that offer so much.
//!
//! In:  two ends of a connection, or of a stream of datagrams. Out: bytes that came; datagrams that did.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Namespace;
use super::neighbours::LIMIT;

/// Between looks at the clock.
const STEP: Duration = Duration::from_millis(5);

/// Moves bytes until the end: sends them, or counts what came.
pub(crate) fn pour(mut stream: TcpStream, sends: bool, came: &AtomicU64, ends: &AtomicBool) {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut block = [0; 4_096];
    while !ends.load(Ordering::Relaxed) {
        if sends {
            let _ = stream.write(&block);
        } else if let Ok(bytes) = stream.read(&mut block) {
            came.fetch_add(u64::try_from(bytes).unwrap(), Ordering::Relaxed);
        }
    }
}

/// Waits until so much time has passed.
pub(crate) fn pass(time: Duration) {
    let begun = Instant::now();
    testbed::until("the end of a span", time.as_secs() + 60, || (begun.elapsed() >= time).then_some(()));
}

/// Datagrams of one size at a steady pace, between somebody and the provider.
pub(crate) struct Stream {
    near: UdpSocket,
    far: UdpSocket,
    /// The address of each, as the other one knows it: behind translation.
    seen: [SocketAddr; 2],
    /// Bytes in each.
    bytes: usize,
    every: Duration,
}

impl Stream {
    /// Opened by `near`, as a connection that the gateway knows.
    pub(crate) fn open(
        near: &Namespace,
        isp: &Namespace,
        to: &str,
        (bytes, every): (usize, Duration),
    ) -> Self {
        let far = isp.within(|| UdpSocket::bind(to).unwrap());
        let near = near.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        far.set_read_timeout(Some(LIMIT)).unwrap();
        near.send_to(b"here", to).unwrap();
        let (_, outside) = far.recv_from(&mut [0; 8]).unwrap();
        Self { near, far, seen: [outside, to.parse().unwrap()], bytes, every }
    }

    /// Sends for so long, up or down, and counts what comes until so long after it.
    pub(crate) fn offer(&self, up: bool, time: Duration, after: Duration) -> Offered {
        let (from, to, [outside, provider]) = (&self.near, &self.far, self.seen);
        let (from, to, peer) = if up { (from, to, provider) } else { (to, from, outside) };
        to.set_read_timeout(Some(STEP)).unwrap();
        let (begun, mut sent, mut came) = (Instant::now(), 0_u32, 0);
        let (block, mut heard) = (vec![0; self.bytes], vec![0; self.bytes]);
        while begun.elapsed() < time + after {
            if begun.elapsed() < time && begun.elapsed() >= self.every * sent {
                let _ = from.send_to(&block, peer); // A full queue is loss, too.
                sent += 1;
            } else if to.recv(&mut heard).is_ok() {
                came += 1;
            }
        }
        Offered { sent: sent.into(), came, bytes: u64::try_from(self.bytes).unwrap() }
    }
}

/// What became of a stream: datagrams, and bytes in each.
pub(crate) struct Offered {
    pub(crate) sent: u64,
    pub(crate) came: u64,
    pub(crate) bytes: u64,
}
