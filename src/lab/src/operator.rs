//! The operator's side of the desk: keys, a broker, a registry, and the first service as a signed bundle in it.
//!
//! In:  a folder, kept or not. Out: what a gateway has to know of its operator, as texts for its root; where things are.
//!
//! Broker (mosquitto) and registry (docker-registry) listen on the loopback of whoever starts them, without TLS, and end with us: this is
//! a desk, and there is no line between. An emulated gateway sees that loopback as [`DESK`].
//!
//! Not here: what a controller says (`shg`).
//!
//! Source: mosquitto.conf(5); distribution's docs/configuration.md; QEMU's documentation, "Using the user mode network stack".

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use nix::fcntl::FlockArg;

use crate::error::Error;
use crate::guest::free_port;
use crate::tool::{self, Bound};
use crate::{house, root, wait};

/// This machine's loopback, as the emulator's own network has it.
pub const DESK: &str = "10.0.2.2";
/// The ports that everybody remembers; others if they are taken.
const BROKER_PORT: u16 = 1883;
const REGISTRY_PORT: u16 = 5000;
/// From the start of a program to its first answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Who the emulated gateway of a desk is, by `device.toml`, so that a controller knows it before it has spoken.
pub const GATEWAY: &str = "os::525400-desk";
const DEVICE: &str = "oui = '525400'\nserial = 'desk'\n";
/// The controller's endpoint id, and the topics on both sides.
pub const CONTROLLER: &str = "self::desk";
pub(crate) const TOPICS: (&str, &str) = ("/usp/controller", "/usp/agent");
/// What `shg` has to know to speak with the gateway: a file of the operator's folder.
pub const CONFIGURATION: &str = "controller.toml";
/// Whose keys: the operator's, and the provider's of the first service.
const KEYS: [&str; 2] = ["root", PROVIDER];
/// The provider of the first service.
pub const PROVIDER: &str = "demo";

/// Broker, registry and keys.
#[derive(Debug)]
pub struct Operator {
    folder: PathBuf,
    broker_port: u16,
    registry_port: u16,
    _programs: [Bound; 2],
}

/// A release of a service: one program at the top of its root.
#[derive(Debug, Clone, Copy)]
pub struct Release<'r> {
    /// Whose it is: the slice that it goes to, and who signs it.
    pub provider: &'r str,
    /// The service's name, and the repository's.
    pub name: &'r str,
    /// Its number, and its tag.
    pub version: u64,
    /// Its manifest.
    pub manifest: &'r str,
    /// Its program.
    pub program: &'r Path,
}

impl Operator {
    /// Starts both, with what `folder` keeps.
    ///
    /// # Errors
    /// [`Error::Missing`]: one of them is not installed. [`Error::Tool`]: it does not start.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        tool::need("mosquitto", "mosquitto")?;
        tool::need("docker-registry", "docker-registry")?;
        let folder = folder.to_path_buf();
        house::make_folder(&folder)?;
        make_keys(&folder)?;
        // Two that start at once would find the same ports free.
        let turn = house::cache().join("ports");
        house::make_folder(&turn)?;
        let _turn = house::lock(&turn, FlockArg::LockExclusive);
        let (broker_port, registry_port) = (free_port(BROKER_PORT)?, free_port(REGISTRY_PORT)?);
        let broker = format!(
            "listener {broker_port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        );
        let registry = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:{registry_port}'}}\n",
            folder.join("registry").display()
        );
        let programs = [
            begin(&folder, ("mosquitto", &["-c"]), ("broker.conf", &broker), broker_port)?,
            begin(&folder, ("docker-registry", &["serve"]), ("registry.yml", &registry), registry_port)?,
        ];
        Ok(Self { folder, broker_port, registry_port, _programs: programs })
    }

    /// Its controller.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk { configuration: self.file(CONFIGURATION).display().to_string() }
    }

    /// The broker's port.
    #[must_use]
    pub fn broker_port(&self) -> u16 {
        self.broker_port
    }

    /// A file of its folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What a gateway has to know that sees this desk at `address`: whom it obeys, from where it fetches, whose keys count, who it is. For the
    /// desk's own controller the same is in [`CONFIGURATION`].
    ///
    /// # Errors
    /// [`Error::Io`]: a key cannot be read.
    pub fn texts(&self, address: &str) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let (broker, registry) = (self.broker_port, self.registry_port);
        let agent = format!(
            "[[controller]]\nendpoint = '{CONTROLLER}'\nbroker = '{address}'\nport = {broker}\ntls = false\nin_the_clear = true\n\
             topic = '{}'\nagent_topic = '{}'\n",
            TOPICS.0, TOPICS.1
        );
        let controller = format!(
            "endpoint = '{CONTROLLER}'\ntopic = '{}'\n\n[[broker]]\nhost = '127.0.0.1'\nport = {broker}\ntls = false\n\n\
             [[gateway]]\nendpoint = '{GATEWAY}'\ntopic = '{}'\n",
            TOPICS.0, TOPICS.1
        );
        let place = self.file(CONFIGURATION);
        fs::write(&place, controller).map_err(Error::path(&place))?;
        let package = format!("plain_http = ['{address}:{registry}']\n");
        let mut files = vec![
            (root::AGENT, agent.into_bytes()),
            (root::PACKAGE, package.into_bytes()),
            (root::DEVICE, DEVICE.as_bytes().to_vec()),
        ];
        files.extend(root::keys(&self.folder)?);
        Ok(files)
    }

    /// Makes a release of the firmware's `hello`, unless that was done: where it is, for a gateway that sees this desk at `address`.
    ///
    /// # Errors
    /// As [`Operator::publish`].
    pub fn deliver(&self, address: &str) -> Result<String, Error> {
        let (program, manifest) =
            (house::firmware().join("hello"), house::top().join("src/services/hello/manifest.toml"));
        let manifest = fs::read_to_string(&manifest).map_err(Error::path(&manifest))?;
        // A release is what its bytes are; its number is the time at which they were first seen.
        let number = self.file("release");
        let last = fs::read_to_string(&number).ok().and_then(|said| said.trim().parse::<u64>().ok());
        let release = |version| Release {
            provider: PROVIDER,
            name: "hello",
            version,
            manifest: &manifest,
            program: &program,
        };
        let known = last.filter(|version| self.is_made(release(*version)));
        let version = known.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            now.max(last.unwrap_or(0) + 1)
        });
        let source = self.publish(release(version), address)?;
        fs::write(&number, version.to_string()).map_err(Error::path(&number))?;
        Ok(source)
    }

    /// Makes keys for another provider: his bundles count, too, for gateways that are made from now on ([`Operator::texts`]).
    ///
    /// # Errors
    /// [`Error::Tool`]: `shg`'s words.
    pub fn admit(&self, provider: &str) -> Result<(), Error> {
        let path = |name: &str| self.file(name).display().to_string();
        shg(&["bundle", "keygen", &path(provider)])?;
        let [first, other] =
            [PROVIDER, provider].map(|one| format!("{one}={}", path(&format!("{one}.public"))));
        let words = ["bundle", "keyring", &path("keyring"), &first, &other, "--root", &path("root.secret")];
        shg(&[&words[..], &["--serial", "2"]].concat()).map(drop)
    }

    /// Makes a bundle with one program at its top, signed by its provider, unless it is there, and puts it into the registry: where it is, for
    /// a gateway that sees this desk at `address`.
    ///
    /// # Errors
    /// [`Error::Missing`]: the program is not built. [`Error::Tool`]: `shg`'s words.
    pub fn publish(&self, release: Release<'_>, address: &str) -> Result<String, Error> {
        let program = release.program;
        let path = |what: &str| self.release_file(release, what).display().to_string();
        if !self.is_made(release) {
            let files = self.release_file(release, "files");
            house::make_folder(&files)?;
            let file = program.file_name().unwrap_or_default();
            fs::copy(program, files.join(file)).map_err(|_| Error::Missing {
                what: program.display().to_string(),
                remedy: "make firmware rehearsal builds it".to_owned(),
            })?;
            self.seal(release, &path("files"))?;
        }
        self.push(release, address)
    }

    /// As [`Operator::publish`], of an image that another maker has made: the release's program is where it is, as `FOLDER:TAG`.
    ///
    /// # Errors
    /// [`Error::Tool`]: `shg`'s words.
    pub fn publish_image(&self, release: Release<'_>, address: &str) -> Result<String, Error> {
        house::make_folder(&self.release_file(release, ""))?;
        self.seal(release, &release.program.display().to_string())?;
        self.push(release, address)
    }

    /// Makes a signed bundle of `source`.
    fn seal(&self, release: Release<'_>, source: &str) -> Result<(), Error> {
        let path = |what: &str| self.release_file(release, what).display().to_string();
        let text = self.release_file(release, "service.toml");
        fs::write(&text, release.manifest).map_err(Error::path(&text))?;
        let (manifest, number, bundle) = (path("service.toml"), release.version.to_string(), path("bundle"));
        let words = ["bundle", "build", source, "--manifest", &manifest, "--version", &number];
        shg(&[&words[..], &["--output", &bundle]].concat())?;
        let secret = self.file(&format!("{}.secret", release.provider)).display().to_string();
        shg(&["bundle", "sign", &bundle, "--key", &secret]).map(drop)
    }

    fn push(&self, release: Release<'_>, address: &str) -> Result<String, Error> {
        let bundle = self.release_file(release, "bundle").display().to_string();
        let (port, place) =
            (self.registry_port, format!("{}/{}:{}", release.provider, release.name, release.version));
        shg(&["bundle", "push", &bundle, &format!("127.0.0.1:{port}/{place}"), "--plain-http"])?;
        Ok(format!("http://{address}:{port}/{place}"))
    }

    fn release_file(&self, Release { name, version, .. }: Release<'_>, what: &str) -> PathBuf {
        self.folder.join("releases").join(format!("{name}-{version}")).join(what)
    }

    /// Is this what was made under that number?
    fn is_made(&self, release: Release<'_>) -> bool {
        let file = |what: &str| self.release_file(release, what);
        let had = file("files").join(release.program.file_name().unwrap_or_default());
        let same = fs::read(had).is_ok_and(|bytes| fs::read(release.program).is_ok_and(|is| is == bytes));
        let text = fs::read_to_string(file("service.toml")).unwrap_or_default();
        file("bundle").exists() && text == release.manifest && same
    }
}

/// Makes the keys that are missing, and the list that the operator has signed.
fn make_keys(folder: &Path) -> Result<(), Error> {
    let path = |name: &str| folder.join(name).display().to_string();
    for name in KEYS.iter().filter(|name| !folder.join(format!("{name}.public")).exists()) {
        shg(&["bundle", "keygen", &path(name)])?;
    }
    if folder.join("keyring").exists() {
        return Ok(());
    }
    let demo = format!("demo={}", path("demo.public"));
    shg(&["bundle", "keyring", &path("keyring"), &demo, "--root", &path("root.secret"), "--serial", "1"])
        .map(drop)
}

/// `shg`, as it is typed: what it says.
fn shg(words: &[&str]) -> Result<String, Error> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let failed = |why: String| Error::Tool { program: format!("shg {}", words.join(" ")), why };
    shg::progress::hush();
    let mut out = Vec::new();
    let ran = shg::command::run(&words, &mut out);
    let said = String::from_utf8_lossy(&out).into_owned();
    ran.map_err(|error| failed(format!("{error}\n{said}").trim_end().to_owned()))?;
    Ok(said)
}

/// The desk's controller, for whoever has no hold of the operator's programs.
#[derive(Debug, Clone)]
pub struct Desk {
    configuration: String,
}

impl Desk {
    /// Does the gateway answer?
    #[must_use]
    pub fn answers(&self) -> bool {
        self.say(&["gateway", "get", "Device.DeviceInfo.UpTime", "--timeout", "3"]).is_ok()
    }

    /// Installs the service at `source`, or puts it into the place of another version of `name`: what was done, in words.
    ///
    /// # Errors
    /// [`Error::Tool`]: the gateway's words.
    pub fn bring(&self, name: &str, source: &str) -> Result<String, Error> {
        let version = source.rsplit(':').next().unwrap_or_default();
        let status = self.say(&["service", "status", name, "--json"]).unwrap_or_default();
        if status.contains(&format!("\"{version}\"")) {
            return Ok(format!("{name} {version} is installed already"));
        }
        let known = status.contains(&format!("\"{name}\""));
        let (verb, words): (_, &[&str]) = if known {
            ("updated to", &["service", "update", name, source])
        } else {
            ("installed as", &["service", "install", source])
        };
        self.say(words)?;
        Ok(format!("{name} was {verb} version {version}"))
    }

    /// The last `lines` lines that a service has written.
    ///
    /// # Errors
    /// [`Error::Tool`]: the gateway's words.
    pub fn logs(&self, name: &str, lines: usize) -> Result<String, Error> {
        self.say(&["service", "logs", name, "--gateway", GATEWAY, "--lines", &lines.to_string()])
    }

    /// Holds the gateway against the rules of Software Modules, with two releases of a bundle that is not installed: a row for each rule.
    ///
    /// # Errors
    /// [`Error::Tool`]: rules were broken; the table says which.
    pub fn conforms(&self, first: &str, second: &str) -> Result<String, Error> {
        self.say(&["conform", "modules", "--gateway", GATEWAY, "--url", first, "--next", second])
    }

    fn say(&self, words: &[&str]) -> Result<String, Error> {
        shg(&[words, &["--config", &self.configuration]].concat())
    }
}

/// Starts a program with a configuration, and waits until it listens at its port of the loopback.
fn begin(
    folder: &Path,
    (program, words): (&str, &[&str]),
    (name, text): (&str, &str),
    port: u16,
) -> Result<Bound, Error> {
    let (file, log) = (folder.join(name), folder.join(format!("{program}.log")));
    fs::write(&file, text).map_err(Error::path(&file))?;
    let mut command = tool::bound(program);
    let said = fs::File::create(&log).map_err(Error::path(&log))?;
    command.args(words).arg(&file).stdout(Stdio::null()).stderr(said);
    let mut child = Bound::start(&mut command)?;
    wait::until(program, START_LIMIT, || {
        child.lives(program)?;
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok())
    })?;
    Ok(child)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::{DESK, Operator};
    use crate::error::Error;
    use crate::house::Scratch;
    use crate::root;

    #[test]
    fn desks_that_start_at_once_have_each_their_own_ports() {
        let scratch = Scratch::new().unwrap();
        let folders = ["one", "two", "three"].map(|name| scratch.file(name));
        // Programs end with the thread that has started them: all are there before one ends.
        let all_there = Barrier::new(folders.len());
        let start = |folder| {
            let desk = Operator::start(folder);
            all_there.wait();
            desk
        };
        let ports = std::thread::scope(|scope| {
            let desks = folders.each_ref().map(|folder| scope.spawn(|| start(folder)));
            let desks = desks.map(|desk| desk.join().unwrap());
            desks.map(|desk| match desk {
                Err(Error::Missing { .. }) => None,
                other => other.map(|desk| Some([desk.broker_port, desk.registry_port])).unwrap(),
            })
        });
        let Some(all) = ports.into_iter().collect::<Option<Vec<_>>>() else {
            return println!("skipped: mosquitto or docker-registry is not installed");
        };
        let mut each = all.concat();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), all.len() * 2, "{all:?}");
    }

    #[test]
    fn a_release_is_made_once_and_its_keys_are_kept() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.file("operator");
        let operator = match Operator::start(&folder) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            other => other.unwrap(),
        };
        let first = match operator.deliver(DESK) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            other => other.unwrap(),
        };
        assert!(first.starts_with("http://10.0.2.2:") && first.contains("/demo/hello:"), "{first}");
        let key = |operator: &Operator| {
            let texts = operator.texts(DESK).unwrap();
            texts.into_iter().find(|(path, _)| *path == root::ROOT_KEY).unwrap().1
        };
        let had = key(&operator);
        drop(operator);
        let again = Operator::start(&folder).unwrap();
        assert_eq!(key(&again), had);
        let tag = |source: &str| source.rsplit(':').next().map(str::to_owned);
        assert_eq!(tag(&again.deliver(DESK).unwrap()), tag(&first), "the same program is the same release");
        let version = tag(&first).unwrap();
        let place = format!("127.0.0.1:{}/demo/hello:{version}", again.registry_port);
        let (keyring, root) = (again.file("keyring"), again.file("root.public"));
        let words = ["bundle", "verify", &place, "--plain-http", "--keyring"];
        super::shg(
            &[&words[..], &[&keyring.display().to_string(), "--root", &root.display().to_string()]].concat(),
        )
        .unwrap();
        // Another program is another release.
        std::fs::write(folder.join(format!("releases/hello-{version}/files/hello")), "other").unwrap();
        assert_ne!(tag(&again.deliver(DESK).unwrap()), tag(&first));
    }
}
