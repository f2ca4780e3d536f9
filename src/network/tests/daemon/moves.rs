//! A service's link moves to another network namespace of it: whoever comes from home is answered there, and hardly waits.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use contract::attach;

use super::stage::{Namespace, enter, run};
use super::{Life, scene, until};

/// One visit may take so long: a packet that met no link is sent again only after a second.
const VISIT: Duration = Duration::from_millis(200);
/// The longest time without an answer, on a machine with other work. Alone it is some hundredths of it.
const MOMENT: Duration = Duration::from_secs(3);

/// Answers whoever comes with `word`, for as long as this process lives.
fn serve(inside: &Namespace, word: &'static str) {
    let listener = inside.within(|| TcpListener::bind("0.0.0.0:8080").unwrap());
    std::thread::spawn(move || {
        for mut visitor in listener.incoming().flatten() {
            let _ = visitor.write_all(word.as_bytes());
        }
    });
}

fn visit() -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&"192.168.1.1:80".parse().unwrap(), VISIT)?;
    stream.set_read_timeout(Some(VISIT))?;
    let mut word = String::new();
    stream.read_to_string(&mut word).map(|_| word)
}

/// Who was met, and when, in order.
type Met = Mutex<Vec<(String, Instant)>>;

fn last(met: &Met) -> Option<String> {
    met.lock().unwrap().last().map(|(word, _)| word.clone())
}

/// Visits until somebody answers `until`.
fn keep_visiting(met: &Met, until: &str) {
    let begun = Instant::now();
    while last(met).as_deref() != Some(until) && begun.elapsed() < 2 * super::LIMIT {
        if let Ok(word) = visit() {
            met.lock().unwrap().push((word, Instant::now()));
        }
    }
}

#[test]
fn a_link_moves_to_another_namespace_of_its_service_and_is_hardly_missed() {
    if !enter("moves::a_link_moves_to_another_namespace_of_its_service_and_is_hardly_missed") {
        return;
    }
    let folder = scene("moves");
    let (home, old, new) = (Namespace::make(), Namespace::make(), Namespace::make());
    run(&format!("ip link set home netns {}", home.path()));
    home.run("ip link set home up");
    home.run("ip address add 192.168.1.100/24 dev home");
    let attached = attach::Answer::Attached { address: [10, 64, 0, 2].into() };
    let life = Life::begin(&folder);
    assert_eq!(life.attach(&old, "hello", 0, 80), attached);
    serve(&old, "old");
    serve(&new, "new");
    let met = Met::default();
    std::thread::scope(|scope| {
        scope.spawn(|| home.within(|| keep_visiting(&met, "new")));
        until("the old one answers", || last(&met));
        assert_eq!(life.attach(&new, "hello", 0, 80), attached, "the same address");
        until("the new one answers", || last(&met).filter(|word| word == "new"));
    });
    let met = met.into_inner().unwrap();
    let words: Vec<&str> = met.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words.iter().filter(|word| **word == "new").count(), 1, "{words:?}");
    assert_eq!(words.first(), Some(&"old"), "{words:?}");
    let gap = met.windows(2).map(|pair| pair[1].1 - pair[0].1).max().unwrap();
    println!("figure of links: moved within {} ms", gap.as_millis());
    assert!(gap <= MOMENT, "{gap:?}");
    assert!(!old.run("ip link").contains("eth0"), "the old one has no link any more");
    assert_eq!(life.attach(&new, "hello", 0, 80), attached, "asked twice");
}
