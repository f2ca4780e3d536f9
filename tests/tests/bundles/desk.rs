//! A provider's desk: a folder with a service, keys, and `shg` as it is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::house::Scratch;
use shg::error::Error;

/// The manifest of the service `hello` of the provider `demo`.
pub(crate) const SERVICE: &str = include_str!("../../../src/services/hello/manifest.toml");

/// A desk.
pub(crate) struct Desk(Scratch);

/// The head of an ELF program for i386, which is all that making looks at. Source: elf(5).
pub(crate) fn program() -> Vec<u8> {
    let mut bytes = vec![0; 5000];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1]);
    bytes[16..20].copy_from_slice(&[2, 0, 3, 0]);
    bytes
}

impl Desk {
    /// With the service's files in `files`, its manifest, the keys `demo` and `root`, and the list `keys` that the root signed.
    pub(crate) fn new() -> Self {
        let desk = Self(Scratch::new().unwrap());
        fs::create_dir(desk.path("files")).unwrap();
        fs::write(desk.path("files/hello"), program()).unwrap();
        fs::set_permissions(desk.path("files/hello"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(desk.path("service.toml"), SERVICE).unwrap();
        desk.shg("keygen @demo").unwrap();
        desk.shg("keygen @root-key").unwrap();
        desk.shg("keyring @keys demo=@demo.public --root @root-key.secret --serial 1").unwrap();
        desk
    }

    /// A file on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// `shg bundle LINE`, where `@` before a name means a file on the desk. What it says.
    pub(crate) fn shg(&self, line: &str) -> Result<String, Error> {
        let folder = format!("{}/", self.path("x").parent().unwrap().display());
        let words = format!("bundle {}", placed(line, &folder));
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut out = Vec::new();
        shg::command::run(&words, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Makes the bundle `name` of `source`, and signs it.
    pub(crate) fn bundle(&self, source: &str, name: &str, version: u64) {
        self.shg(&format!("build {source} --manifest @service.toml --version {version} --output @{name}"))
            .unwrap();
        self.shg(&format!("sign @{name} --key @demo.secret")).unwrap();
    }

    /// Is what `name` says taken?
    pub(crate) fn verify(&self, name: &str) -> Result<String, Error> {
        self.shg(&format!("verify {name} --keyring @keys --root @root-key.public"))
    }
}

/// `line` with `@` at the beginning of a word, or of what follows `=` or `:`, put into `folder`.
pub(crate) fn placed(line: &str, folder: &str) -> String {
    let line = format!(" {line}");
    [" ", "=", ":"]
        .iter()
        .fold(line, |line, before| line.replace(&format!("{before}@"), &format!("{before}{folder}")))
}

/// The bytes of every file below `folder`, by path.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inner = path.file_name().map(PathBuf::from).unwrap();
            found.extend(contents(&path).into_iter().map(|(name, bytes)| (inner.join(name), bytes)));
        } else {
            found.push((path.file_name().map(PathBuf::from).unwrap(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}
