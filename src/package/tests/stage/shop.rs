//! A registry of our own, that can lie in every way.
//!
//! In:  bundles; what it does in place of answering as it should. Out: a port; what it was asked.
//!
//! Source: OCI distribution-spec 1.1.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bundle::digest::Digest;

use super::Made;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The fields, as lines in lower case.
    pub(crate) fields: String,
    /// How many came before it.
    pub(crate) count: usize,
}

impl Asked {
    /// A field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// From which byte on.
    pub(crate) fn from(&self) -> usize {
        let range = self.field("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.strip_suffix('-')).map_or(0, |from| from.parse().unwrap())
    }
}

/// What is there, by path.
pub(crate) type Wares = BTreeMap<String, Arc<Vec<u8>>>;

/// What is done in place of an answer as it should be. `false`: nothing, answer as you should.
pub(crate) type Lie = fn(&Asked, &mut TcpStream, &Wares) -> bool;

/// A registry.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) port: u16,
    pub(crate) wares: Arc<Mutex<Wares>>,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    lie: Arc<Mutex<Lie>>,
}

/// No lie.
pub(crate) fn honest(_: &Asked, _: &mut TcpStream, _: &Wares) -> bool {
    false
}

impl Shop {
    /// Opens; it ends with the process.
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shop = Self {
            port,
            wares: Arc::default(),
            asked: Arc::default(),
            lie: Arc::new(Mutex::new(honest as Lie)),
        };
        let served = shop.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let served = served.clone();
                thread::spawn(move || served.serve(stream));
            }
        });
        shop
    }

    /// `plain_http` for it.
    pub(crate) fn word(&self) -> String {
        format!("plain_http = ['127.0.0.1:{}']\nsilence_s = 1\n", self.port)
    }

    /// The source of `demo/hello` under a tag or digest.
    pub(crate) fn source(&self, which: &str) -> String {
        let mark = if which.contains(':') { '@' } else { ':' };
        format!("http://127.0.0.1:{}/demo/hello{mark}{which}", self.port)
    }

    /// Puts a bundle under a tag.
    pub(crate) fn put(&self, tag: &str, made: &Made) {
        let mut wares = self.wares.lock().unwrap();
        let manifest = |which: &str| format!("/v2/demo/hello/manifests/{which}");
        for (which, bytes) in [
            (tag.to_owned(), &made.bundle.manifest),
            (made.digest().to_string(), &made.bundle.manifest),
            (made.signature_tag(), &made.signature_manifest),
        ] {
            wares.insert(manifest(&which), Arc::new(bytes.clone()));
        }
        for blob in made.blobs() {
            wares.insert(format!("/v2/demo/hello/blobs/{}", Digest::of(blob)), Arc::new(blob.to_vec()));
        }
    }

    /// From now on it lies so.
    pub(crate) fn lies(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
        self.asked.lock().unwrap().clear();
    }

    /// What it was asked, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut have = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            while !have.windows(4).any(|part| part == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => have.extend(&buffer[..count]),
                    _ => return,
                }
            }
            let end = have.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
            let text = String::from_utf8(have.drain(..end).collect()).unwrap();
            let (line, fields) = text.split_once("\r\n").unwrap();
            let path = line.split(' ').nth(1).unwrap().to_owned();
            assert!(line.starts_with("GET ") && line.ends_with(" HTTP/1.1"), "{line}");
            let fields: Vec<String> = fields
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
                .collect();
            let fields = fields.join("\n");
            let asked = {
                let mut all = self.asked.lock().unwrap();
                let asked = Asked { path, fields, count: all.len() };
                all.push(asked.clone());
                asked
            };
            let wares = self.wares.lock().unwrap().clone();
            let lie = *self.lie.lock().unwrap();
            if lie(&asked, &mut stream, &wares) {
                return;
            }
            answer(&asked, &mut stream, &wares);
        }
    }
}

/// As it should be.
pub(crate) fn answer(asked: &Asked, stream: &mut TcpStream, wares: &Wares) {
    let Some(bytes) = wares.get(&asked.path) else {
        return say(stream, "404 Not Found\r\nContent-Length: 0", b"");
    };
    match asked.from() {
        0 => say(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), bytes),
        from => {
            let rest = bytes.get(from..).unwrap_or_default();
            let (last, whole) = (bytes.len() - 1, bytes.len());
            let head = format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{whole}");
            say(stream, &format!("{head}\r\nContent-Length: {}", rest.len()), rest);
        }
    }
}

/// A head and a body.
pub(crate) fn say(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
}

/// Is the image asked for?
pub(crate) fn is_image(asked: &Asked, wares: &Wares) -> bool {
    wares.get(&asked.path).is_some_and(|bytes| bytes.len() > 100_000)
}

/// Says nothing more until it is given up.
pub(crate) fn silence(stream: &mut TcpStream) -> bool {
    let mut nothing = [0; 16];
    while stream.read(&mut nothing).is_ok_and(|count| count > 0) {}
    true
}

/// A memory file, perhaps sealed.
pub(crate) fn memory(bytes: &[u8], is_sealed: bool) -> std::os::fd::OwnedFd {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let memory = memfd_create(c"list", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let mut file = std::fs::File::from(memory);
    file.write_all(bytes).unwrap();
    if is_sealed {
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    }
    file.into()
}
