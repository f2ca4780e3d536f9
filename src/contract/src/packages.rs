//! The wire `packages`: ctl, agent → package.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then one of [`Answer::Done`], [`Answer::Refused`]. Who follows is asked
//! nothing more on that connection.

use serde::{Deserialize, Serialize};

use crate::limit::{ARGUMENT_BYTES, REASON_BYTES, SERVES, SOURCE_BYTES, TAG_BYTES, VARIABLES};
use crate::list::List;
use crate::manifest::{Audience, Manifest, Serve, Volume};
use crate::name::{Name, Text};

/// What may be asked of package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// An [`Answer::Unit`] for each bundle that is installed or on its way, an [`Answer::Kept`] for each volume whose service is gone.
    List,
    /// As [`Ask::List`] with its [`Answer::Done`], and from then on a row for each change: [`Answer::Unit`], [`Answer::Gone`],
    /// [`Answer::Kept`], [`Answer::Dropped`]. What takes the place of something else is said before that goes.
    Follow,
    /// Fetch a bundle, check it, install it or put it in the place of an older one. [`Answer::Progress`] comes meanwhile; the end comes when
    /// it is installed and the supervisor knows it. It goes on if the asker goes.
    Install(Install),
    /// Stop the service and take its bundle away, and with `drop_data` what it has kept. The end comes when it is gone.
    Remove {
        /// Which.
        service: Name,
        /// Its volumes go, too.
        drop_data: bool,
    },
    /// From now on this connection hears what the asker of [`Ask::Install`] with this tag hears: for one who has asked and come back.
    /// Refused with [`Fault::Absent`] where nothing is being done with it (any more); [`Ask::List`] says what became of it.
    ///
    /// Frames of different connections are taken in the order in which they were sent where the connections are taken in the order in
    /// which they were made, each emptied before the next: so what an asker has sent before it died is known when it asks this.
    Await(Text<TAG_BYTES>),
    /// Give up what [`Ask::Install`] with this tag is doing.
    Cancel(Text<TAG_BYTES>),
    /// From now on it starts by itself at boot, or not; over the manifest's word.
    Autostart {
        /// Which.
        service: Name,
        /// Does it?
        starts: bool,
    },
    /// From now on it is started again when it ends by itself, or not; over the manifest's word ([`crate::restart::ordered`]).
    Restarts {
        /// Which.
        service: Name,
        /// Is it?
        restarts: bool,
    },
    /// Take a newer list of keys; the frame carries it as a sealed memory file.
    Keyring,
    /// The volume of a service that is gone goes, and all that is in it. The end comes when that is written down: from then on it is listed no
    /// more, and goes whatever happens. Refused with [`Fault::Busy`] where a service has it, with [`Fault::Absent`] where none is kept.
    Drop {
        /// Whose.
        service: Name,
        /// And whose service that was.
        provider: Name,
    },
}

/// What is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// Where it is: `https://HOST[:PORT]/REPOSITORY:TAG` or `…@sha256:DIGEST` (docs/bundles.md).
    pub source: Text<SOURCE_BYTES>,
    /// Who may fetch it; empty: anybody.
    pub username: Text<64>,
    /// And by which word. It is kept nowhere.
    pub password: Text<128>,
    /// What the asker calls it: kept beside the bundle and said in its row (an operator's UUID). Empty: nothing.
    pub tag: Text<TAG_BYTES>,
    /// The service whose bundle it has to be. `None`: a service that is not installed yet, whatever its name.
    pub update: Option<Name>,
    /// The slice whose service it has to be.
    pub slice: Option<Name>,
}

/// What package answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A bundle.
    Unit(Unit),
    /// This one is there no more.
    Gone(Name),
    /// So many bytes of so many have come.
    Progress {
        /// Those that have come.
        bytes: u64,
        /// All of them; 0: it is not known yet.
        of: u64,
    },
    /// That was all.
    Done,
    /// It was not done.
    Refused(Fault, Text<REASON_BYTES>),
    /// A volume whose service is gone.
    Kept(Kept),
    /// It is kept no more: it goes, or its service is there again. Whose it was, and whose service that was.
    Dropped(Name, Name),
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its service.
    pub name: Name,
    /// Whose it is: the slice that it runs in.
    pub provider: Name,
    /// One line for a person.
    pub summary: Text<96>,
    /// Its version.
    pub version: u64,
    /// Where it came from.
    pub source: Text<SOURCE_BYTES>,
    /// What the asker called it.
    pub tag: Text<TAG_BYTES>,
    /// SHA-256 of the sealed image.
    pub image: [u8; 32],
    /// Its size, in bytes.
    pub image_bytes: u64,
    /// It starts by itself at boot.
    pub autostart: bool,
    /// What is being done with it.
    pub state: State,
    /// When it was first installed, and when last updated, in seconds after 1970; 0: the clock was not known.
    pub installed_s: [u64; 2],
    /// What it uses of the gateway.
    pub uses: Uses,
}

/// A volume whose service is gone, as that has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whose.
    pub service: Name,
    /// And whose service that was: if it comes again, it has it again.
    pub provider: Name,
    /// What the asker called its bundle.
    pub tag: Text<TAG_BYTES>,
    /// What its manifest said of it. Nothing can be put into it now, and only what is in it is counted against the disk.
    pub volume: Volume,
    /// When the service was first installed, and when it went, in seconds after 1970; 0: the clock was not known.
    pub since_s: [u64; 2],
}

impl Kept {
    /// Is it this one's?
    #[must_use]
    pub fn is_of(&self, service: &Name, provider: &Name) -> bool {
        self.service == *service && self.provider == *provider
    }
}

/// What a service uses of the gateway, as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uses {
    /// What it keeps on the data disk.
    pub volume: Option<Volume>,
    /// What it offers.
    pub serves: List<Serve, SERVES>,
    /// It reaches the Internet, or some of it, or is reached from there.
    pub internet: bool,
    /// The same of the home.
    pub home: bool,
    /// `NAME=value`, each: what it finds in its environment beside what every service has.
    pub environment: List<Text<ARGUMENT_BYTES>, VARIABLES>,
}

impl Uses {
    /// Those of `manifest`.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let (serves, reaches) = (&manifest.serves, &manifest.reaches);
        let offers = |audience| serves.iter().any(|serve| serve.to == audience);
        Self {
            volume: manifest.volume.clone(),
            serves: serves.iter().cloned().collect(),
            internet: reaches.internet || !reaches.provider.is_empty() || offers(Audience::Internet),
            home: !reaches.home.is_empty() || reaches.ssdp || reaches.mdns || offers(Audience::Home),
            environment: manifest.environment.iter().cloned().collect(),
        }
    }
}

/// What is being done with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is installed.
    Installed,
    /// A newer one is on its way; this one runs.
    Updating,
    /// It is being taken away.
    Removing,
}

/// Why something was not done, as a kind; the words say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// What was asked makes no sense.
    Ask,
    /// Nobody answers there, or too slowly, or not over a connection that is believed.
    Unreachable,
    /// Who asks is not let in there.
    Forbidden,
    /// There is no such thing there.
    Missing,
    /// It is no bundle, or not what it says.
    Form,
    /// No key that counts signed it.
    Signature,
    /// One that is as new is installed.
    Older,
    /// Another provider's service has this name, or it is another service than the one to be updated.
    Foreign,
    /// It is installed already.
    Duplicate,
    /// Its programs are for other processors.
    Architecture,
    /// The slice that it should run in is not rented, or is another.
    Slice,
    /// What it needs is not there: disk, or a floor beside what was promised to others.
    Resources,
    /// No such service is installed.
    Absent,
    /// It did not become ready, or not well, in its time; what was there before is there again.
    NotReady,
    /// Something else is being done with it.
    Busy,
    /// It was given up when somebody asked for that.
    Canceled,
    /// The data disk is not there, or fails.
    Disk,
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::Uses;
    use std::format;

    const PLAIN: &str = "version = 2\nname = 'hello'\nprovider = 'demo'\nsummary = ''\nimage = 'x'\ncommand = ['/x']\nenvironment = ['A=1']\n\
        [cpu]\nfloor_permille = 1\nceiling_permille = 10\n[memory]\nfloor_mib = 1\nceiling_mib = 2\n[limits]\npids = 9\n";

    #[test]
    fn what_a_manifest_says_is_used() {
        let serve = |to: &str| format!("[[serves]]\nname = 'a'\nport = 80\nto = '{to}'\n");
        // more of the manifest; the Internet, the home
        for (more, internet, home) in [
            (serve("slice"), true, false),
            ("[reaches]\ninternet = false\n".into(), false, false),
            ("[reaches]\ninternet = false\nprovider = ['192.0.2.0/24']\n".into(), true, false),
            ("[reaches]\ninternet = false\nhome = ['tcp/80']\n".into(), false, true),
            ("[reaches]\ninternet = false\nmdns = true\n".into(), false, true),
            (format!("[reaches]\ninternet = false\n{}", serve("internet")), true, false),
            (format!("[reaches]\ninternet = false\n{}", serve("home")), false, true),
            (format!("[reaches]\ninternet = false\n{}", serve("portal")), false, false),
        ] {
            let uses = Uses::of(&crate::manifest::parse(&format!("{PLAIN}{more}")).unwrap());
            assert_eq!((uses.internet, uses.home), (internet, home), "{more}");
            assert_eq!((uses.environment.len(), uses.volume), (1, None));
        }
    }
}
