//! On the desk: the gateway's root, emulated gateways, what stands around them, and what is measured of them.
//!
//! In:  what `make firmware` and `src/lab/setup/*.sh` made. Out: the program `lab`, and for tests of the whole house this library.
//!
//! # A guest test
//!
//! A file `tests/tests/guest_<what>.rs`. `lab` brings everything; nothing of the host is touched.
//!
//! ```no_run
//! use lab::guest::{Guest, Options, UP_LIMIT};
//!
//! // #[test]
//! fn a_stopped_service_stays_down() {
//!     // None: it cannot run here, and has said why.
//!     let Some(mut guest) = Guest::boot(&Options::usual().unwrap()).unwrap() else { return };
//!     guest.door("stop hello").unwrap();
//!     let down = |guest: &mut Guest| Ok(guest.door("status")?.contains("down").then_some(()));
//!     guest.until("hello down", UP_LIMIT, down).unwrap();
//! }
//! ```
//!
//! With a provider and a host at home ([`guest::Around::Topology`]) the test first goes into namespaces of its own, by its full name:
//!
//! ```no_run
//! use lab::guest::{Around, Guest, Options};
//! use lab::topology::Side;
//!
//! // #[test]
//! fn the_host_at_home_gets_a_lease() {
//!     let Some(()) = lab::namespace::enter("the_host_at_home_gets_a_lease").unwrap() else { return };
//!     let options = Options { around: Around::Topology, ..Options::usual().unwrap() };
//!     let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
//!     let topology = guest.topology().unwrap();
//!     topology.lan_lease(lab::guest::UP_LIMIT).unwrap();
//!     topology.run(Side::Lan, &["busybox", "ping", "-c", "1", "192.168.1.1"]).unwrap();
//! }
//! ```
//!
//! A boot costs ten seconds and two processors, so a test file boots few guests and asks much of each. A test that fails shows
//! [`guest::Guest::last_lines`] of the console.
//!
//! Not here: what a gateway does. Nothing of the firmware is imported but `contract`; of the desk `shg`, as a person types it.
#![forbid(unsafe_code)]

pub mod command;

pub mod controller;
pub mod guest;
pub mod operator;
pub mod provider;
pub mod topology;

pub mod bench;
pub mod budget;
pub mod report;
pub mod run;
pub mod smoke;
pub mod suite;
pub mod trace;
pub mod under;

pub mod archive;
pub mod install_bench;
pub mod kernel;
pub mod peer;
pub mod room_bench;
pub mod room_guest;
pub mod root;
pub mod seal;
pub mod stick;
pub mod supervisors;
pub mod writes;

pub mod board;
pub mod door;
pub mod facts;
pub mod line;
pub mod monitor;
pub mod others;
pub mod slot;

pub mod namespace;
pub mod pump;

pub mod tally;
pub mod terminal;

pub mod error;
pub mod house;
pub mod tool;
pub mod wait;
