//! What coturn's natdiscovery says of our NAT, and of the home's port that leads inside: as RFC 4787 and RFC 5780 name it.
//!
//! In:  a STUN server with two addresses at the provider's, a host at home. Out: endpoint-independent mapping, and filtering by address and
//! port.
//!
//! Source: turnutils(1), turnserver(1); RFC 4787 REQ-1, REQ-8; RFC 5780.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stage::neighbours::Neighbours;
use stage::{Namespace, enter, folder};

/// How long a server may take to listen.
const LIMIT: Duration = Duration::from_secs(20);
/// STUN's binding request, and nothing in it. Source: RFC 8489 §5.
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// turnserver at both addresses of the provider, and both ports; it answers when this returns.
fn serve(isp: &Namespace) -> Server {
    isp.run("ip address add 203.0.113.2/24 dev isp");
    isp.run("ip link set lo up");
    let place = folder("stun");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", isp.path())).args([
        "turnserver",
        "-n",
        "--stun-only",
        "--no-tls",
        "--no-dtls",
    ]);
    command.args(["--no-cli", "-L", "203.0.113.1", "-L", "203.0.113.2", "--alt-listening-port=3479"]);
    command.arg("--log-file=stdout").arg(format!("--pidfile={}", place.join("pid").display()));
    command.arg(format!("--userdb={}", place.join("users").display()));
    let server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let socket = isp.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let began = Instant::now();
    for address in ["203.0.113.1:3478", "203.0.113.2:3479"] {
        while socket.send_to(&BINDING, address).and_then(|_| socket.recv(&mut [0; 512])).is_err() {
            assert!(began.elapsed() < LIMIT, "turnserver at {address}");
        }
    }
    server
}

#[test]
fn clients_nat_is_what_natdiscovery_finds() {
    if !enter("clients_nat_is_what_natdiscovery_finds") {
        return;
    }
    for program in ["turnserver", "turnutils_natdiscovery"] {
        if Command::new(program).arg("--version").output().is_err() {
            return println!("skipped: clients_nat_is_what_natdiscovery_finds: no {program} here (coturn)");
        }
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    let _server = serve(&all.isp);
    let said = all.home.run("turnutils_natdiscovery -m -f 203.0.113.1");
    for words in [
        "No ALG: Mapped == XOR-Mapped",
        "UDP reflexive addr: 203.0.113.7:",
        "NAT with Endpoint Independent Mapping!",
        "NAT with Address and Port Dependent Filtering!",
    ] {
        assert!(said.contains(words), "{words} in:\n{said}");
    }
}
