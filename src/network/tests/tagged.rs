//! Frames with VLAN tags at the home's bridge: what a port of the LAN must not carry is thrown away there, and guests are heard by guests only.
//!
//! In:  frames from a packet socket, each with tags of our own writing, at a host of the home, at one on another port, at the gateway. Out:
//! who heard them; passed, failed, or `skipped: ` and why: one takes a kernel whose bridges filter VLANs (`tests/tests/guest_rooms.rs`).
//!
//! Source: IEEE 802.1Q; docs/decisions/0021-guests.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use network::gateway::{ADOPT_MS, Gateway};
use stage::{CONFIGURATION, Namespace, folder, plug_in, run};
use sys::packet;

/// What the kernel has to have: for tags inside tags; for VLANs.
const FRAMES: &str = "ip link add trial type bridge && nft add table bridge trial";
const VLANS: &str = "ip link add trial type bridge vlan_filtering 1 && ip link add link lo name lo.2 type vlan id 2 && nft add table inet trial";
/// Guests are in a VLAN on both ports of the home.
const GUESTS: Tag = (ETH_P_8021Q, 100);
const GUEST: &str = "\n[guest]\nvlan = 100\naddress = \"192.168.2.1\"\nprefix_length = 24\n\
dhcp = { first = \"192.168.2.100\", last = \"192.168.2.199\", lease_s = 3600 }\n";
/// A VLAN that nobody has told the gateway of; a tag with a priority, 5, and no VLAN; the VLAN that frames without a tag are in.
const NOBODYS: Tag = (ETH_P_8021Q, 200);
const PRIORITY: Tag = (ETH_P_8021Q, 5 << 13);
const HOME: Tag = (ETH_P_8021Q, 1);
/// A provider's tag with the guests' number, and one with none.
const OUTER_GUESTS: Tag = (ETH_P_8021AD, 100);
const OUTER: Tag = (ETH_P_8021AD, 0);
/// Source: linux/if_ether.h: VLAN tags, all protocols, one for experiments.
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const ETH_P_ALL: u16 = 3;
const ETH_P_802_EX1: u16 = 0x88b5;
/// What our words begin with.
const MARK: &str = "say: ";
const EVERYBODY: [u8; 6] = [0xff; 6];
/// How long a sign may take on a busy machine, in seconds.
const LIMIT_S: u64 = 15;

/// Its protocol; priority and number.
type Tag = (u16, u16);

/// Somebody at a link, who speaks, and hears all that comes and goes by it.
struct Host {
    name: &'static str,
    index: u32,
    mouth: OwnedFd,
    ear: OwnedFd,
}

impl Host {
    fn at(place: &Namespace, name: &'static str) -> Self {
        let said = place.run(&format!("ip -o link show dev {name}"));
        let index = said.split(':').next().unwrap().parse().unwrap();
        let open = || place.within(|| packet::open().unwrap());
        let (mouth, ear) = (open(), open());
        packet::bind(&ear, index, ETH_P_ALL).unwrap();
        Self { name, index, mouth, ear }
    }

    /// Says a word to everybody behind these tags, the outer one first.
    fn say(&self, tags: &[Tag], word: &str) {
        // The kernel writes the header, whose protocol is that of the first tag; behind each tag stands what follows it.
        let protocol = |tags: &[Tag]| tags.first().map_or(ETH_P_802_EX1, |tag| tag.0);
        let mut frame = Vec::new();
        for (place, (_, tag)) in (1..).zip(tags) {
            frame.extend(tag.to_be_bytes());
            frame.extend(protocol(&tags[place..]).to_be_bytes());
        }
        frame.extend(format!("{MARK}{word:<46}").into_bytes()); // No frame is shorter.
        packet::send(self.mouth.as_fd(), self.index, protocol(tags), EVERYBODY, &frame).unwrap();
    }

    /// The next word here, and whether it had a tag that the kernel has taken off.
    fn hear(&self) -> Option<(String, bool)> {
        let mut frame = [0; 256];
        while let Ok((length, status)) = packet::receive(self.ear.as_fd(), &mut frame) {
            let text = String::from_utf8_lossy(&frame[..length]).into_owned();
            if let Some((_, word)) = text.split_once(MARK) {
                return Some((word.trim_end().to_owned(), status.tagged));
            }
        }
        None
    }
}

/// Who listens: bridges at the gateway, a host on each port of the home.
struct Town {
    hosts: Vec<Host>,
    words: u32,
}

impl Town {
    fn named(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).unwrap()
    }

    /// Who else hears what is said behind these tags; `+`: with a tag. Another word that `home` says behind it, once to the home and once to
    /// guests, ends it: so silence needs no waiting.
    fn who_hears(&mut self, speaker: &str, tags: &[Tag]) -> String {
        self.words += 1;
        let (word, end) = (format!("word {}", self.words), format!("end {}", self.words));
        self.named(speaker).say(tags, &word);
        [[].as_slice(), &[GUESTS]].into_iter().for_each(|tags| self.named("home").say(tags, &end));
        let mut heard = Vec::new();
        for host in &self.hosts {
            testbed::until(host.name, LIMIT_S, || {
                let (said, tagged) = host.hear()?;
                if said == word && host.name != speaker {
                    heard.push(format!("{}{}", host.name, if tagged { "+" } else { "" }));
                }
                (said == end).then_some(())
            });
        }
        heard.join(" ")
    }
}

/// A gateway with another port of the home, and a host at each; wanted is what is shipped, and this. `here`: bridges that listen, too.
fn town(wanted: &str, here: &[&'static str]) -> (Gateway, Town) {
    plug_in();
    run("ip link add eth2 type veth peer name den");
    let [home, den] = ["home", "den"].map(|cable| {
        let at = Namespace::make();
        run(&format!("ip link set {cable} netns {}", at.path()));
        at.run(&format!("ip link set {cable} up"));
        at
    });
    let path = folder("tagged").join("network.toml");
    let text = CONFIGURATION.replace("ports = [\"eth1\"]", "ports = [\"eth1\", \"eth2\"]");
    fs::write(&path, format!("{text}{wanted}")).unwrap();
    let mut gateway = Gateway::open(path, ADOPT_MS).unwrap();
    gateway.turn();
    assert_eq!(gateway.fault(), None);
    let gateways = here.iter().map(|name| Host::at(&Namespace::here(), name));
    let hosts = gateways.chain([Host::at(&home, "home"), Host::at(&den, "den")]).collect();
    (gateway, Town { hosts, words: 0 })
}

#[test]
fn a_frame_with_a_tag_inside_another_one_goes_nowhere() {
    if !testbed::enter("a_frame_with_a_tag_inside_another_one_goes_nowhere", &["ip", "nft"], FRAMES) {
        return;
    }
    let (mut gateway, mut town) = town("", &["br-lan"]);
    // Whether the kernel has taken the last tag off differs with its bridges.
    let mut hears = |tags: &[Tag]| town.who_hears("home", tags).replace('+', "");
    let table: [(&str, &[Tag], &str); 8] = [
        ("without a tag", &[], "br-lan den"),
        ("a priority only", &[PRIORITY], "br-lan den"),
        ("guests behind a priority", &[PRIORITY, GUESTS], ""),
        ("guests behind the home's own VLAN", &[HOME, GUESTS], ""),
        ("guests behind two", &[PRIORITY, PRIORITY, GUESTS], ""),
        ("a provider's tag", &[OUTER_GUESTS], ""),
        ("guests behind a provider's tag", &[OUTER, GUESTS], ""),
        ("a provider's tag behind a priority", &[PRIORITY, OUTER_GUESTS], ""),
    ];
    for (what, tags, hear) in table {
        assert_eq!(hears(tags), hear, "{what}");
    }
    // The control: without the rules such a frame is everybody's; and that is mended.
    run("nft flush chain bridge shg frames");
    for (what, tags, _) in table {
        assert_eq!(hears(tags), "br-lan den", "{what}, without the rules");
    }
    gateway.turn();
    assert_eq!(gateway.fault(), None);
    assert_eq!(hears(&[PRIORITY, GUESTS]), "", "mended");
}

#[test]
fn a_frame_with_a_tag_passes_where_its_vlan_does() {
    if !testbed::enter("a_frame_with_a_tag_passes_where_its_vlan_does", &["ip", "nft"], VLANS) {
        return;
    }
    let (mut gateway, mut town) = town(GUEST, &["br-lan", "br-guest"]);

    // what, who speaks, tags, who hears it
    let table: [(&str, &str, &[Tag], &str); 10] = [
        ("without a tag: the home", "home", &[], "br-lan den"),
        ("a priority only is no VLAN", "home", &[PRIORITY], "br-lan den"),
        ("guests: the gateway, and not each other", "home", &[GUESTS], "br-guest"),
        ("a VLAN of nobody's", "home", &[NOBODYS], ""),
        ("the last one", "home", &[(ETH_P_8021Q, 4_094)], ""),
        ("nobody's, among guests", "home", &[GUESTS, NOBODYS], ""),
        ("guests behind a priority", "home", &[PRIORITY, GUESTS], ""),
        ("guests behind the home's own VLAN", "home", &[HOME, GUESTS], ""),
        ("the gateway to the home", "br-lan", &[], "home den"),
        ("the gateway to guests", "br-guest", &[], "home+ den+"),
    ];
    for (what, speaker, tags, hear) in table {
        assert_eq!(town.who_hears(speaker, tags), hear, "{what}");
    }
    // The controls: without the filter, or the rules, such a frame is everybody's; and that is mended.
    for (without, tag) in [
        ("ip link set br-lan type bridge vlan_filtering 0", &[NOBODYS][..]),
        ("nft flush chain bridge shg frames", &[PRIORITY, GUESTS]),
    ] {
        run(without);
        assert_eq!(town.who_hears("home", tag), "br-lan+ den+", "{without}");
        gateway.turn();
        assert_eq!(gateway.fault(), None);
        assert_eq!(town.who_hears("home", tag), "", "mended: {without}");
    }
}
