//! An image that is cut, given up, or fetched by a daemon that dies goes on where it was.
//!
//! In:  a registry of our own that cuts and halts. Out: from which byte on it is asked, ends, files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::io::Write;
use std::net::TcpStream;

use contract::packages::{Answer, Ask, Fault};
use stage::shop::{Asked, Wares, honest, is_image, say, silence};
use stage::{Made, Shop, Stage, end, enter, install, until};

/// Cuts the image's first answer in the middle.
fn cut(asked: &Asked, stream: &mut TcpStream, wares: &Wares) -> bool {
    is_image(asked, wares) && asked.from() == 0 && {
        let bytes = &wares[&asked.path];
        say(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes[..150_000]);
        true
    }
}

#[test]
fn an_image_goes_on_where_it_was_cut() {
    if !enter("an_image_goes_on_where_it_was_cut", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    let made = Made::new("hello", "demo", 1, 1);
    shop.put("1", &made);
    let from = || {
        let asked = shop.asked.lock().unwrap();
        let image = asked.iter().filter(|asked| asked.path.ends_with(&made.image().to_string()));
        image.map(Asked::from).collect::<Vec<_>>()
    };
    shop.lies(cut);
    stage.does(&install(&shop.source("1")));
    assert_eq!(from(), [0, 150_000]);
    stage.does(&stage::remove("hello"));

    // Ranges are not known there: all of it comes again, and is taken from where it was cut.
    shop.lies(|asked, stream, wares| {
        is_image(asked, wares) && {
            let bytes = &wares[&asked.path];
            let end = if asked.from() == 0 { 150_000 } else { bytes.len() };
            say(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes[..end]);
            true
        }
    });
    stage.does(&install(&shop.source("1")));
    assert_eq!(from(), [0, 150_000]);
    stage.does(&stage::remove("hello"));

    // In chunks, and without a length.
    shop.lies(|asked, stream, wares| {
        let Some(bytes) = wares.get(&asked.path) else { return false };
        say(stream, "200 OK\r\nTransfer-Encoding: chunked", b"");
        for part in bytes.chunks(10_000) {
            let head = format!("{:x}\r\n", part.len());
            stream.write_all(&[head.as_bytes(), part, b"\r\n"].concat()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        // The connection ends with it, though nothing said so.
        true
    });
    stage.does(&install(&shop.source("1")));
}

/// Sends half of an image, and then nothing.
fn halt(asked: &Asked, stream: &mut TcpStream, wares: &Wares) -> bool {
    is_image(asked, wares) && {
        let bytes = &wares[&asked.path];
        say(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes[..150_000]);
        silence(stream)
    }
}

#[test]
fn an_order_is_given_up_waited_for_and_taken_up_again() {
    if !enter("an_order_is_given_up_waited_for_and_taken_up_again", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word().replace("silence_s = 1", "silence_s = 50"), 64);
    let made = Made::new("hello", "demo", 1, 1);
    shop.put("1", &made);
    shop.lies(halt);
    let begun = |stage: &Stage| {
        let client = stage.ask(&install(&shop.source("1")));
        until("half of it is there", 10, || {
            stage.files().iter().any(|(name, size)| name.ends_with(".part") && *size == 150_000).then_some(())
        });
        client
    };
    let client = begun(&stage);
    // The wire is answered meanwhile.
    assert_eq!(stage.list(), Vec::<String>::new());
    assert_eq!(stage.refuses(&install(&shop.source("1"))).0, Fault::Busy);
    let waits = stage.ask(&Ask::Await("a-tag".into()));
    stage.does(&Ask::Cancel("a-tag".into()));
    for client in [client, waits] {
        let (_, end) = end(&client);
        assert!(matches!(end, Answer::Refused(Fault::Canceled, _)), "{end:?}");
    }
    assert_eq!(stage.files().len(), 1, "what is there may go on");

    // The daemon is killed in the middle: its next life goes on where it was.
    std::fs::remove_dir_all(stage.disk.join("bundles/images")).unwrap();
    std::fs::create_dir(stage.disk.join("bundles/images")).unwrap();
    drop(begun(&stage));
    stage.start();
    shop.lies(honest);
    stage.does(&install(&shop.source("1")));
    let asked = shop.asked.lock().unwrap();
    assert!(asked.iter().any(|asked| asked.from() == 150_000), "{asked:?}");
}
