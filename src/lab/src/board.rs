//! The emulated board: an Atom with two Ethernet ports, a USB stick and a watchdog, as QEMU is told it.
//!
//! In:  a `Board`. Out: QEMU's arguments.
//!
//! This module is pure; `guest.rs` starts the emulator.
//!
//! Sources: qemu-system-i386(1); docs/decisions/0007-root-and-kernels.md.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::root::Root;

/// The emulator.
pub const EMULATOR: &str = "qemu-system-i386";
/// Debian's package that has it.
pub const PACKAGE: &str = "qemu-system-x86";
/// Where an emulated host stands in the LAN when there is no real one: beside the gateway's own 192.168.1.1 of
/// `rootfs/etc/shg/network.toml`, outside its pool.
const LAN_HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
/// What always stands on the kernel's command line: on the console what is worth a notice or more, no links of the drivers that make some
/// by themselves.
const COMMAND_LINE: &str =
    "console=ttyS0 loglevel=6 rdinit=/sbin/init panic=5 ifb.numifbs=0 dummy.numdummies=0";

/// What one Ethernet port is plugged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Nothing.
    Unplugged,
    /// QEMU's own little Internet: what the host can reach.
    Internet,
    /// QEMU's own little LAN; this port of the host's loopback leads to the gateway's page.
    Home {
        /// The host's port.
        page_port: u16,
        /// The gateway's, where the page is.
        page_at: u16,
    },
    /// A packet pump (`pump.rs`), or another emulator: a datagram socket at each end.
    Pump {
        /// QEMU's end.
        ours: PathBuf,
        /// The pump's end.
        theirs: PathBuf,
    },
}

/// What the Ethernet ports are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nic {
    /// The board's own kind.
    E1000,
    /// The next generation, where it is about what the first one does in QEMU only.
    E1000E,
}

/// Where the first serial port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// To standard input and output of the emulator.
    Standard,
    /// Into a file.
    File(PathBuf),
}

/// One emulated board.
#[derive(Debug, Clone)]
pub struct Board {
    /// The kernel's image.
    pub kernel: PathBuf,
    /// The root.
    pub root: Root,
    /// What its clock says when it starts, in UTC; `None`: the host's time.
    pub clock: Option<String>,
    /// More words for the kernel.
    pub append: String,
    /// The stick's image.
    pub stick: Option<PathBuf>,
    /// What the stick reads and writes in a second, together, in bytes; `None`: whatever the host can.
    pub stick_bytes_s: Option<u32>,
    /// Where everything that is written to the stick is kept, in order (`writes.rs`).
    pub writes: Option<PathBuf>,
    /// Both ports.
    pub nic: Nic,
    /// eth0.
    pub wan: Port,
    /// eth1.
    pub lan: Port,
    /// The first serial port.
    pub console: Console,
    /// A socket for the second serial port.
    pub door: Option<PathBuf>,
    /// A socket for a serial adapter on USB, which is plugged in as long as somebody is connected there.
    pub serial: Option<PathBuf>,
    /// A socket for QEMU's monitor.
    pub monitor: PathBuf,
    /// A file with the whole state of a board like this one, which goes on from there.
    pub state: Option<PathBuf>,
}

impl Board {
    /// The emulator's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = Words::default();
        words.add("-nodefaults -no-user-config -display none -machine pc -cpu n270 -smp 2 -m 1024");
        // Software emulation, always: a 32-bit guest dies under some hosts' KVM, and times are comparable this way only.
        words.add("-accel tcg,thread=multi");
        words.pair("-kernel", path(&self.kernel));
        words.pair("-initrd", path(&self.root.path));
        words.pair("-append", format!("{COMMAND_LINE} {}", self.append).trim_end().to_owned());
        words.port("wan", "52:54:00:53:48:01", &self.wan, self.nic);
        words.port("lan", "52:54:00:53:48:02", &self.lan, self.nic);
        words.add("-device i6300esb -action watchdog=reset");
        if let Some(clock) = &self.clock {
            words.pair("-rtc", format!("base={clock}"));
        }
        words.add("-device usb-ehci,id=usb");
        if let Some(stick) = &self.stick {
            words.stick(stick, self.stick_bytes_s, self.writes.as_deref());
            words.add(&format!("-device {STICK}"));
        }
        match &self.console {
            Console::Standard => words.add("-chardev stdio,id=console,signal=off"),
            Console::File(file) => words.pair("-chardev", format!("file,id=console,path={}", path(file))),
        }
        words.add("-serial chardev:console");
        if let Some(door) = &self.door {
            words.pair("-chardev", format!("socket,id=door,server=on,wait=off,path={}", path(door)));
            words.add("-serial chardev:door");
        }
        if let Some(serial) = &self.serial {
            words.pair("-chardev", format!("socket,id=serial,server=on,wait=off,path={}", path(serial)));
            // It is slower than what the stick's controller takes.
            words.add("-device piix3-usb-uhci,id=slow -device usb-serial,bus=slow.0,chardev=serial");
        }
        words.pair("-qmp", format!("unix:{},server=on,wait=off", path(&self.monitor)));
        if let Some(state) = &self.state {
            words.pair("-incoming", format!("exec:cat '{}'", state.display()));
        }
        words.0
    }
}

/// A guest of Debian's programs: the provider's beside the board, whose Ethernet port leads to the board's eth0; a bench; or a router in the
/// board's place.
#[derive(Debug, Clone)]
pub struct Provider {
    /// How many processors it has, and how much memory, in MiB.
    pub size: (u8, u16),
    /// The kernel's image.
    pub kernel: PathBuf,
    /// The root.
    pub root: Root,
    /// eth0.
    pub port: Port,
    /// eth1, if it has one.
    pub lan: Option<Port>,
    /// Where the first serial port's words go.
    pub console: PathBuf,
    /// A socket for the second serial port.
    pub door: PathBuf,
}

impl Provider {
    /// The emulator's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = Words::default();
        let (processors, mib) = self.size;
        words.add("-nodefaults -no-user-config -display none -machine pc -cpu n270 -accel tcg,thread=multi");
        words.add(&format!("-smp {processors} -m {mib}"));
        words.pair("-kernel", path(&self.kernel));
        words.pair("-initrd", path(&self.root.path));
        let append = "console=ttyS0 loglevel=5 rdinit=/init panic=5 ifb.numifbs=0 dummy.numdummies=0";
        words.pair("-append", append.to_owned());
        words.port("isp", "52:54:00:53:49:01", &self.port, Nic::E1000);
        if let Some(lan) = &self.lan {
            words.port("lan", "52:54:00:53:49:02", lan, Nic::E1000);
        }
        words.pair("-chardev", format!("file,id=console,path={}", path(&self.console)));
        words.add("-serial chardev:console");
        words.pair("-chardev", format!("socket,id=door,server=on,wait=off,path={}", path(&self.door)));
        words.add("-serial chardev:door");
        words.0
    }
}

/// The stick as a device, for the command line and for plugging it in again.
pub const STICK: &str = "usb-storage,id=stick,bus=usb.0,drive=disk,removable=on";

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(str::to_owned));
    }

    fn pair(&mut self, option: &str, value: String) {
        self.0.extend([option.to_owned(), value]);
    }

    /// The block device `disk`.
    fn stick(&mut self, image: &Path, bytes_s: Option<u32>, writes: Option<&Path>) {
        let Some(writes) = writes else {
            let held = bytes_s.map(|bytes_s| format!(",throttling.bps-total={bytes_s}")).unwrap_or_default();
            return self.pair("-drive", format!("if=none,id=disk,format=raw,file={}{held}", path(image)));
        };
        for (name, file) in [("image", image), ("writes", writes)] {
            self.pair("-blockdev", format!("driver=file,node-name={name},filename={}", path(file)));
        }
        self.add("-blockdev driver=raw,node-name=bare,file=image");
        self.add("-blockdev driver=blklogwrites,node-name=disk,file=bare,log=writes");
    }

    fn port(&mut self, name: &str, address: &str, port: &Port, nic: Nic) {
        let backend = match port {
            Port::Unplugged => format!("hubport,id={name},hubid={}", if name == "wan" { 1 } else { 2 }),
            Port::Internet => format!("user,id={name},ipv6=off"),
            Port::Home { page_port, page_at } => format!(
                "user,id={name},ipv6=off,net=192.168.1.0/24,host={LAN_HOST},hostfwd=tcp:127.0.0.1:{page_port}-192.168.1.1:{page_at}"
            ),
            Port::Pump { ours, theirs } => format!(
                "dgram,id={name},local.type=unix,local.path={},remote.type=unix,remote.path={}",
                path(ours),
                path(theirs)
            ),
        };
        self.pair("-netdev", backend);
        let model = match nic {
            Nic::E1000 => "e1000",
            Nic::E1000E => "e1000e",
        };
        // Without an option ROM: nobody boots from the network.
        self.pair("-device", format!("{model},netdev={name},mac={address},romfile="));
    }
}

/// A path as a word of an option, in which QEMU doubles commas.
fn path(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board {
            kernel: "/k".into(),
            root: Root { path: "/r,1".into(), bytes: 0 },
            clock: None,
            append: "debug".to_owned(),
            stick: None,
            stick_bytes_s: None,
            writes: None,
            nic: Nic::E1000,
            wan: Port::Unplugged,
            lan: Port::Home { page_port: 8080, page_at: 80 },
            console: Console::File("/c".into()),
            door: None,
            serial: None,
            monitor: "/m".into(),
            state: None,
        }
    }

    #[test]
    fn the_board_is_the_one_that_we_promise() {
        let line = board().arguments().join(" ");
        for part in ["-cpu n270 -smp 2 -m 1024", "e1000,netdev=wan", "e1000,netdev=lan", "i6300esb", "/r,,1"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(line.find("e1000,netdev=wan") < line.find("e1000,netdev=lan"), "eth0 is the WAN");
        assert!(line.contains("127.0.0.1:8080-192.168.1.1:80"), "only the host itself reaches the page");
    }

    #[test]
    fn a_board_without_a_door_has_one_serial_port() {
        let count = |board: Board| board.arguments().iter().filter(|word| *word == "-serial").count();
        assert_eq!(count(board()), 1);
        assert_eq!(count(Board { door: Some("/d".into()), ..board() }), 2);
    }
}
