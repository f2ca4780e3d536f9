//! Who speaks while a line is full: a call, and flows that fill it. Run at the two sides of a gateway, by the same program again.
//!
//! In:  a role from the environment. Out: for each packet of a call when it was sent and how long it was under way; bytes of flows.
//!
//! Both ends of a call are on one machine and have one clock, so a delay is one way; the kernel says when a packet came, so who reads late
//! measures nothing of his own.
//!
//! Source: RFC 3551 §4.5.14 (G.711: 160 bytes every 20 ms), RFC 3550 §5.1 (12 bytes before them); socket(7), `SO_TIMESTAMPNS`.

use std::fmt::Write as _;
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};

/// Says who is to be played, and how.
pub(crate) const ROLE: &str = "VOICE_LOAD_ROLE";
/// Where calls go.
pub(crate) const CALL_PORT: u16 = 4_000;
/// Where flows go.
pub(crate) const FLOW_PORT: u16 = 5_001;
/// A packet of a call, in bytes, and how often there is one.
const PACKET_BYTES: usize = 172;
pub(crate) const PACKET_EVERY: Duration = Duration::from_millis(20);
/// Expedited forwarding. Source: RFC 3246.
const EF: i32 = 46 << 2;
/// What is still under way when the last packet is sent.
const AFTER: Duration = Duration::from_secs(2);

/// Plays a role: `call ADDRESS SECONDS FILE`, `answer ADDRESS SECONDS FILE`, `sink`, `flows ADDRESS COUNT SECONDS FILE`.
pub(crate) fn play(role: &str) {
    let words: Vec<&str> = role.split(' ').collect();
    let seconds = |word: &str| Duration::from_secs(word.parse().unwrap());
    match words.as_slice() {
        ["call", address, time, file] => {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let peer = format!("{address}:{CALL_PORT}").parse().unwrap();
            std::fs::write(file, speak(&socket, Some(peer), seconds(time))).unwrap();
        }
        ["answer", address, time, file] => {
            // By this address and no other: it is the one that the connection knows.
            let socket = UdpSocket::bind((*address, CALL_PORT)).unwrap();
            std::fs::write(file, speak(&socket, None, seconds(time))).unwrap();
        }
        ["sink"] => sink(),
        ["flows", address, count, time, file] => {
            let [up, down] = flows(address, count.parse().unwrap(), seconds(time));
            std::fs::write(file, format!("{up} {down}")).unwrap();
        }
        other => unreachable!("no such role: {other:?}"),
    }
}

/// A role, at a side, by this program.
pub(crate) fn words(role: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap().display().to_string();
    let role = format!("{ROLE}={role}");
    ["env", &role, &own, "worker", "--exact", "--nocapture", "--include-ignored"].map(str::to_owned).to_vec()
}

/// Packets of one direction: what was sent, and for each that came when it was sent and its delay, in microseconds.
pub(crate) fn read(sender: &Path, receiver: &Path) -> (usize, Vec<(u64, u64)>) {
    let (sender, receiver) =
        (std::fs::read_to_string(sender).unwrap(), std::fs::read_to_string(receiver).unwrap());
    let sent = sender.lines().next().unwrap().strip_prefix("sent ").unwrap().parse().unwrap();
    let packet = |line: &str| {
        let (sent, delay) = line.split_once(' ').unwrap();
        (sent.parse().unwrap(), delay.parse().unwrap())
    };
    (sent, receiver.lines().skip(1).map(packet).collect())
}

pub(crate) fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Sends a packet every 20 ms for so long, and notes what comes: `sent N`, then a line a packet, `SENT_US DELAY_US`. Who has no peer yet
/// answers to whom speaks first.
fn speak(socket: &UdpSocket, mut peer: Option<SocketAddr>, time: Duration) -> String {
    setsockopt(socket, sockopt::Ipv4Tos, &EF).unwrap();
    setsockopt(socket, sockopt::ReceiveTimestampns, &true).unwrap();
    let (mut heard, mut sent, mut begun) = (String::new(), 0_u32, None);
    loop {
        let start = *begun.get_or_insert_with(Instant::now);
        let due = start + PACKET_EVERY * sent;
        if start.elapsed() >= time + AFTER {
            break;
        }
        let speaks = peer.filter(|_| start.elapsed() < time);
        if let Some(peer) = speaks.filter(|_| Instant::now() >= due) {
            let mut packet = [0; PACKET_BYTES];
            packet[..8].copy_from_slice(&now_us().to_be_bytes());
            let _ = socket.send_to(&packet, peer); // Full buffers are loss, too.
            sent += 1;
            continue;
        }
        let wait =
            due.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), PACKET_EVERY);
        socket.set_read_timeout(Some(wait)).unwrap();
        if let Some((from, sent_us, came_us)) = hear(socket) {
            if peer.is_none() {
                (peer, begun) = (Some(from), None);
            }
            writeln!(heard, "{sent_us} {}", came_us.saturating_sub(sent_us)).unwrap();
        } else if peer.is_none() {
            begun = None; // Nobody has spoken yet; whoever has started us ends us.
        }
    }
    format!("sent {sent}\n{heard}")
}

/// One packet: from whom, when it was sent and when it came, in microseconds.
fn hear(socket: &UdpSocket) -> Option<(SocketAddr, u64, u64)> {
    let mut packet = [0; PACKET_BYTES];
    let mut stamps = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let (from, came_us) = {
        let mut parts = [IoSliceMut::new(&mut packet)];
        let heard =
            recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut stamps), MsgFlags::empty());
        let heard = heard.ok()?;
        let stamp = heard.cmsgs().ok()?.find_map(|message| {
            let ControlMessageOwned::ScmTimestampns(stamp) = message else { return None };
            Some(Duration::from(stamp))
        });
        let from = heard.address?;
        (SocketAddr::from((from.ip(), from.port())), u64::try_from(stamp?.as_micros()).ok()?)
    };
    Some((from, u64::from_be_bytes(packet[..8].try_into().ok()?), came_us))
}

/// Serves flows until it is ended: who sends `u` is listened to, who sends `d` is sent to.
fn sink() {
    let listener = TcpListener::bind(("0.0.0.0", FLOW_PORT)).unwrap();
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) {
    let (mut word, mut block) = ([0], [0; 16 * 1024]);
    if stream.read_exact(&mut word).is_err() {
        return;
    }
    if word == *b"d" {
        while stream.write_all(&block).is_ok() {}
    } else {
        while stream.read(&mut block).is_ok_and(|length| length > 0) {}
    }
}

/// `count` flows each way for so long; returns the bytes that went and came.
fn flows(address: &str, count: u32, time: Duration) -> [u64; 2] {
    let (up, down, end) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now() + time);
    let peer: SocketAddr = format!("{address}:{FLOW_PORT}").parse().unwrap();
    std::thread::scope(|scope| {
        for number in 0..count * 2 {
            let (up, down) = (&up, &down);
            scope.spawn(move || {
                let Ok(mut stream) = TcpStream::connect_timeout(&peer, time) else { return };
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
                let (is_up, mut block) = (number % 2 == 0, [0; 16 * 1024]);
                stream.write_all(if is_up { b"u" } else { b"d" }).unwrap();
                while Instant::now() < end {
                    let moved = if is_up { stream.write(&block) } else { stream.read(&mut block) };
                    match moved {
                        Ok(0) => return,
                        Ok(bytes) => {
                            let sum = if is_up { up } else { down };
                            sum.fetch_add(u64::try_from(bytes).unwrap(), Ordering::Relaxed);
                        }
                        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        }
                        Err(_) => return,
                    }
                }
            });
        }
    });
    [up.into_inner(), down.into_inner()]
}
