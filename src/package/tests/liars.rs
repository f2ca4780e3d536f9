//! Registries that lie: each is refused, with its reason, and nothing stays on the disk but an image that may go on.
//!
//! In:  a registry of our own that lies (`stage/shop.rs`). Out: faults, words, files.
//!
//! Bundles that lie are in `bent.rs`, images that are cut in `resume.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use contract::packages::{Answer, Ask, Fault, Install};
use stage::shop::{Lie, answer, honest, is_image, say, silence};
use stage::{Made, Shop, Stage, enter, install, order};

/// The other registry's port, for a lie that sends there.
static OTHER: AtomicU16 = AtomicU16::new(0);

/// Sends `bytes` for as long as somebody takes them.
fn endless(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    while stream.write_all(bytes).is_ok() {}
    true
}

/// A lie, when it is told, and what is said then; whether a part of the image stays.
type Row = (&'static str, Lie, Fault, &'static str, bool);

const LIES: &[Row] = &[
    (
        "another manifest than its digest",
        |asked, stream, wares| {
            let manifest = wares.iter().find(|(path, _)| path.ends_with("/manifests/2")).unwrap().1;
            asked.count == 0 && {
                say(stream, &format!("200 OK\r\nContent-Length: {}", manifest.len()), manifest);
                true
            }
        },
        Fault::Form,
        "manifest: it sent something else",
        false,
    ),
    (
        "a flipped bit in the image",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                let mut bent = wares[&asked.path].to_vec();
                bent[100_000] ^= 1;
                say(stream, &format!("200 OK\r\nContent-Length: {}", bent.len()), &bent);
                true
            }
        },
        Fault::Form,
        "image: it is not sha256:",
        false,
    ),
    (
        "an image of another length",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                say(stream, "200 OK\r\nContent-Length: 7", b"1234567");
                true
            }
        },
        Fault::Form,
        "another length",
        false,
    ),
    (
        "an image that goes on and on",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                say(stream, "200 OK", b"");
                endless(stream, &[7; 4096])
            }
        },
        Fault::Form,
        "more than its",
        true,
    ),
    (
        "a manifest that goes on and on",
        |_, stream, _| {
            say(stream, "200 OK\r\nTransfer-Encoding: chunked", b"");
            endless(stream, b"4\r\n[[[[\r\n")
        },
        Fault::Form,
        "more than 16384 bytes",
        false,
    ),
    (
        "a head that goes on and on",
        |_, stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            endless(stream, b"X-More: more\r\n")
        },
        Fault::Unreachable,
        "head",
        false,
    ),
    (
        "answers that say that an answer will come",
        |_, stream, _| endless(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        Fault::Unreachable,
        "HTTP/1.1",
        false,
    ),
    ("no word at all", |_, stream, _| silence(stream), Fault::Unreachable, "silent for 1 s", false),
    (
        "a silence in the middle",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                let bytes = &wares[&asked.path];
                say(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes[..150_000]);
                silence(stream)
            }
        },
        Fault::Unreachable,
        "silent for 1 s",
        true,
    ),
    (
        "a byte now and then",
        |_, stream, _| {
            say(stream, "200 OK\r\nContent-Length: 9000", b"");
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap(); // more often than a silence is
            let (mut nothing, mut is_there) = ([0; 16], true);
            while is_there && stream.write_all(b"[").is_ok() {
                is_there = stream.read(&mut nothing).map_err(|error| error.kind()) != Ok(0);
            }
            true
        },
        Fault::Unreachable,
        "too slow",
        false,
    ),
    (
        "no HTTP",
        |_, stream, _| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").is_ok(),
        Fault::Unreachable,
        "does not speak HTTP/1.1",
        false,
    ),
    (
        "two lengths",
        |_, stream, _| {
            say(stream, "200 OK\r\nContent-Length: 3\r\nContent-Length: 4", b"abcd");
            true
        },
        Fault::Unreachable,
        "contradicts itself",
        false,
    ),
    (
        "a redirect of a manifest",
        |_, stream, _| {
            say(stream, "302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0", b"");
            true
        },
        Fault::Unreachable,
        "elsewhere",
        false,
    ),
    (
        "a redirect to a file",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                say(stream, "307 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0", b"");
                true
            }
        },
        Fault::Unreachable,
        "elsewhere",
        false,
    ),
    (
        "a redirect to plain HTTP that nobody has allowed",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                say(stream, "307 x\r\nLocation: http://blobs.example/x\r\nContent-Length: 0", b"");
                true
            }
        },
        Fault::Unreachable,
        "plain HTTP is not allowed",
        false,
    ),
    (
        "redirects without an end",
        |asked, stream, wares| {
            (is_image(asked, wares) || asked.path == "/again") && {
                say(stream, "307 x\r\nLocation: /again\r\nContent-Length: 0", b"");
                true
            }
        },
        Fault::Unreachable,
        "more than 3 redirects",
        false,
    ),
    (
        "a part that was not asked for",
        |asked, stream, wares| {
            is_image(asked, wares) && {
                let whole = wares[&asked.path].len();
                say(
                    stream,
                    &format!("206 x\r\nContent-Range: bytes 5-6/{whole}\r\nContent-Length: 2"),
                    b"ab",
                );
                true
            }
        },
        Fault::Form,
        "another part",
        false,
    ),
    (
        "a question for a name, again and again",
        |_, stream, _| {
            say(stream, "401 x\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0", b"");
            true
        },
        Fault::Forbidden,
        "none was given",
        false,
    ),
    (
        "a question in a way that nobody knows",
        |_, stream, _| {
            say(stream, "401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0", b"");
            true
        },
        Fault::Forbidden,
        "not known",
        false,
    ),
    (
        "tokens that do not help",
        |asked, stream, _| {
            match asked.path.starts_with("/token") {
                true => say(stream, "200 OK\r\nContent-Length: 13", b"{\"token\":\"x\"}"),
                false => {
                    say(
                        stream,
                        "401 x\r\nWWW-Authenticate: Bearer realm=\"/token\"\r\nContent-Length: 0",
                        b"",
                    );
                }
            }
            true
        },
        Fault::Forbidden,
        "does not let us in",
        false,
    ),
    (
        "a token that is no token",
        |asked, stream, _| {
            match asked.path.starts_with("/token") {
                true => say(stream, "200 OK\r\nContent-Length: 22", b"{\"token\":\"a\\r\\nHost: b\"}"),
                false => {
                    say(
                        stream,
                        "401 x\r\nWWW-Authenticate: Bearer realm=\"/token\"\r\nContent-Length: 0",
                        b"",
                    );
                }
            }
            true
        },
        Fault::Forbidden,
        "no token was",
        false,
    ),
    (
        "a door that is shut",
        |_, stream, _| {
            say(stream, "403 x\r\nContent-Length: 0", b"");
            true
        },
        Fault::Forbidden,
        "(403)",
        false,
    ),
    (
        "a registry that is out of order",
        |_, stream, _| {
            say(stream, "503 x\r\nContent-Length: 0", b"");
            true
        },
        Fault::Unreachable,
        "out of order",
        false,
    ),
    ("connections that end at once", |_, _, _| true, Fault::Unreachable, "without an answer", false),
];

#[test]
fn a_registry_that_lies_is_refused() {
    if !enter("a_registry_that_lies_is_refused", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    let made = Made::new("hello", "demo", 1, 1);
    shop.put("1", &made);
    shop.put("2", &Made::new("hello", "demo", 2, 1));
    let part = format!("{}.part", made.image().hex());
    for (what, lie, fault, word, stays) in LIES {
        shop.lies(*lie);
        let (had, words) = stage.refuses(&install(&shop.source(&made.digest().to_string())));
        assert!(had == *fault && words.contains(word), "{what}: {had:?}: {words}");
        assert!(shop.paths().len() <= 12, "{what}: it is asked a few times: {:?}", shop.paths());
        let files = stage.files();
        assert_eq!(files.len(), usize::from(*stays), "{what}: {files:?}");
        assert!(files.iter().all(|(name, _)| *name == part), "{what}: {files:?}");
        // What stays is of no use where it was a lie; the next try but one is good.
        shop.lies(honest);
        let source = shop.source(&made.digest().to_string());
        if let Answer::Refused(fault, words) = stage.order(&install(&source)).1 {
            assert!(*stays && fault == Fault::Form && words.contains("image: it is not"), "{what}: {words}");
            stage.does(&install(&source));
        }
        assert_eq!(stage.list(), ["hello 1"], "{what}");
        stage.does(&stage::remove("hello"));
        assert_eq!(stage.files(), [], "{what}");
    }
}

#[test]
fn a_password_goes_to_the_registry_alone() {
    if !enter("a_password_goes_to_the_registry_alone", &[]) {
        return;
    }
    let (shop, other) = (Shop::open(), Shop::open());
    OTHER.store(other.port, Ordering::Relaxed);
    let word =
        format!("plain_http = ['127.0.0.1:{}', '127.0.0.1:{}']\nsilence_s = 1\n", shop.port, other.port);
    let stage = Stage::new(&word, 64);
    let made = Made::new("hello", "demo", 1, 1);
    [&shop, &other].iter().for_each(|shop| shop.put("1", &made));
    let as_user = |password: &str| {
        let order = order(&shop.source("1"));
        Ask::Install(Install { username: "user".into(), password: password.into(), ..order })
    };
    // printf user:word | base64
    shop.lies(|asked, stream, wares| {
        if asked.field("authorization") != Some("Basic dXNlcjp3b3Jk") {
            say(stream, "401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2", b"no");
        } else if asked.path.contains("/blobs/") {
            let place = format!("http://127.0.0.1:{}{}", OTHER.load(Ordering::Relaxed), asked.path);
            say(stream, &format!("307 x\r\nLocation: {place}\r\nContent-Length: 0"), b"");
        } else {
            answer(asked, stream, wares);
        }
        true
    });
    let (fault, words) = stage.refuses(&as_user("other"));
    assert!(fault == Fault::Forbidden && words.contains("(401)"), "{words}");
    stage.does(&as_user("word"));
    let asked = other.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.field("authorization").is_none()), "{asked:?}");
    assert_eq!(asked[0].field("host"), Some(format!("127.0.0.1:{}", other.port).as_str()));
    stage.does(&stage::remove("hello"));

    // A token, which is given by the other one.
    other.lies(|asked, stream, _| {
        assert_eq!(asked.path, "/token?service=shop&scope=repository%3Ademo%2Fhello%3Apull");
        let good = asked.field("authorization") == Some("Basic dXNlcjp3b3Jk");
        let (status, body) = if good { ("200 OK", "{\"token\":\"abc\"}") } else { ("401 x", "{}") };
        say(stream, &format!("{status}\r\nContent-Length: {}", body.len()), body.as_bytes());
        true
    });
    shop.lies(|asked, stream, wares| {
        if asked.field("authorization") == Some("Bearer abc") {
            return false;
        }
        let realm = format!("http://127.0.0.1:{}/token", OTHER.load(Ordering::Relaxed));
        let challenge =
            format!("Bearer realm=\"{realm}\",service=\"shop\",scope=\"repository:demo/hello:pull\"");
        let _ = wares;
        say(stream, &format!("401 x\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0"), b"");
        true
    });
    let (fault, words) = stage.refuses(&as_user("other"));
    assert!(fault == Fault::Forbidden && words.contains("no token was given"), "{words}");
    stage.does(&as_user("word"));
}
