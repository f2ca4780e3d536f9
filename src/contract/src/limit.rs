//! Every limit that more than one room must know, in one place, each with its reason.
//!
//! Not here: limits that only one room keeps (they stand at the head of its `lib.rs` or `main.rs`).

/// A name of a service, provider, daemon: it becomes a folder, a cgroup, a log tag.
pub const NAME_BYTES: usize = 24;
/// Services on one gateway: what 1 GiB and two threads can hold with a floor that means something.
pub const SERVICES: usize = 32;
/// Volumes that stay though their services are gone: two for each service that there can be.
pub const KEPT: usize = 2 * SERVICES;
/// Events that the supervisor remembers: whoever comes late, or was away for a moment, still learns of them.
pub const EVENTS: usize = 32;
/// Slices of one gateway: each has a service or two.
pub const SLICES: usize = 16;
/// Core daemons: those that the house has, and room for the house to grow.
pub const DAEMONS: usize = 16;
/// Everything that the supervisor keeps alive.
pub const PROCESSES: usize = SERVICES + DAEMONS;

/// One frame on a wire; larger things go by sealed memfd.
pub const FRAME_BYTES: usize = 64 * 1024;
/// One piece of a log in one frame: small enough to lie on a stack.
pub const LOG_CHUNK_BYTES: usize = 4096;
/// One process's log ring, in bytes: a minute of a talkative daemon.
pub const LOG_RING_BYTES: usize = 64 * 1024;
/// Descriptors that one frame may carry.
pub const FRAME_DESCRIPTORS: usize = 4;
/// Why something was refused: one line of a terminal, or two.
pub const REASON_BYTES: usize = 160;
/// A path inside the root.
pub const PATH_BYTES: usize = 96;
/// Where a bundle comes from: a host's name, a repository's, a digest.
pub const SOURCE_BYTES: usize = 256;
/// What an operator calls a bundle: a UUID, or a little more.
pub const TAG_BYTES: usize = 48;

/// Arguments of a service's command, the program included.
pub const ARGUMENTS: usize = 12;
/// One argument, or one `NAME=value` of the environment.
pub const ARGUMENT_BYTES: usize = 96;
/// Variables of a service's environment.
pub const VARIABLES: usize = 12;
/// Words of the program that tries whether a service is well, the program included.
pub const PROBE_WORDS: usize = 4;
/// Classes of the gateway's devices.
pub const DEVICE_CLASSES: usize = 2;
/// Services that one waits for.
pub const AFTER: usize = 4;
/// Times of the day at which one service is started: every six hours. More often than that is `again_s`.
pub const START_TIMES: usize = 4;
/// Ports that one service offers.
pub const SERVES: usize = 8;
/// Ports, and prefixes, that one service reaches.
pub const REACHES: usize = 8;
/// A manifest as text, in bytes.
pub const MANIFEST_BYTES: usize = 16 * 1024;
/// The wanted network as text, in bytes.
pub const WANTED_BYTES: usize = 64 * 1024;

/// Descriptors that PID 1 keeps: a process needs seven (pid, record, ring, the two ends of its log's pipe and of its readiness's), a
/// service one more (network namespace), one service at a time has all of it twice while its versions change; then there are the wires and the
/// supervisor's own facts and slices.
pub const STORE_SLOTS: usize = 400;
/// A label in PID 1's store: a prefix, a point, a name.
pub const LABEL_BYTES: usize = 32;

/// Name servers that we take from one lease.
pub const NAME_SERVERS: usize = 3;
/// Ports of the LAN bridge.
pub const BRIDGE_PORTS: usize = 8;
/// Forwarded ports: what a large household of players asks for, ten times.
pub const FORWARDS: usize = 256;
/// Pinholes in IPv6.
pub const PINHOLES: usize = 64;
/// From where the gateway itself may be managed.
pub const MANAGEMENT: usize = 8;
/// Addresses that are kept for somebody.
pub const RESERVATIONS: usize = 128;
/// Of these, hosts that have a class: each of them is a row of the firewall's for each port of each service that asks for its class.
pub const DEVICES: usize = 32;
/// Prefixes behind one play: the operator's platforms.
pub const PLAY_PREFIXES: usize = 16;
/// Names that may lead into the home.
pub const REBIND_NAMES: usize = 16;
/// Hosts with a policy of their own.
pub const CLIENT_POLICIES: usize = 16;
/// Names that one host does not get.
pub const DENIED_NAMES: usize = 8;
/// Time servers of each kind.
pub const TIME_SERVERS: usize = 4;
/// Classes of traffic in one frame.
pub const FLOWS: usize = 8;
/// What a class of traffic is called: a name, and what kind it is of.
pub const CLASS_BYTES: usize = NAME_BYTES + 6;
/// Plays: Internet, voice, TV.
pub const PLAYS: usize = 3;
/// Networks at home: LAN and guests.
pub const HOMES: usize = 2;
/// Routes that we take from one lease (option 121).
pub const CLASSLESS_ROUTES: usize = 16;
/// IPv6 prefixes and addresses of one link: those in use and those that are given up.
pub const IPV6_PREFIXES: usize = 8;
/// Ports that hosts have asked for (PCP).
pub const MAPPINGS: usize = 256;
/// Names of hosts of the home.
pub const LOCAL_NAMES: usize = 1_024;

const _: () = assert!(STORE_SLOTS >= SERVICES * 8 + DAEMONS * 7 + 8 + 24);
const _: () = assert!(LABEL_BYTES > NAME_BYTES);
const _: () = assert!(LOG_CHUNK_BYTES + 64 < FRAME_BYTES);
