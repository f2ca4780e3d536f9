//! Somebody else's codec (rusp-lib) and ours say the same of the same bytes: of what we write, of what it writes, and of what was bent.
//!
//! In:  messages of every kind with texts and numbers at random, records around them. Out: a difference, with the bytes.
//!
//! `LONG=1` bends ten million.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod samples;

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use rusp_lib::usp_decoder::{try_decode_msg, try_decode_record};
use usp::{GATEWAY, Msg, Record};

use samples::{Draw, message, record};

/// Texts of every kind, for the generator.
const TEXT: &str = "[ -~äß€𝄞]{0,40}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_write_it_reads_and_the_other_way_round(
        kind in 0..samples::KINDS,
        texts in proptest::collection::vec(TEXT, 1..20),
        numbers in proptest::collection::vec(proptest::num::u64::ANY, 1..20),
    ) {
        let ours = message(kind, &mut Draw::new(&texts, &numbers));
        let bytes = ours.encode();
        let theirs = try_decode_msg(&bytes).unwrap();
        // Its maps come in any order: what is compared is what it makes of ours.
        let written = theirs.to_vec().unwrap();
        let back = Msg::decode(&written, &GATEWAY).unwrap();
        prop_assert_eq!(&Msg::decode(&bytes, &GATEWAY).unwrap(), &ours);
        prop_assert!(try_decode_msg(&back.encode()).unwrap() == theirs);
    }

    #[test]
    fn so_with_records(
        kind in 0..samples::RECORDS,
        texts in proptest::collection::vec(TEXT, 1..20),
        numbers in proptest::collection::vec(proptest::num::u64::ANY, 1..20),
    ) {
        let ours = record(kind, &mut Draw::new(&texts, &numbers));
        let bytes = ours.encode();
        let theirs = try_decode_record(&bytes).unwrap();
        let written = theirs.to_vec().unwrap();
        prop_assert_eq!(&Record::decode(&written, &GATEWAY).unwrap(), &ours);
        prop_assert_eq!(&Record::decode(&bytes, &GATEWAY).unwrap(), &ours);
    }
}

/// What both take of bent bytes is the same; how many both took.
fn bent(count: u64, seed: u64) -> u64 {
    let texts: Vec<String> = ["Device.", "", "1.4", "ä", "Enable"].map(str::to_owned).into();
    let numbers = [0, 1, 7004, u64::MAX, 1 << 32];
    let mut pool = Vec::new();
    for kind in 0..samples::KINDS {
        pool.push((true, message(kind, &mut Draw::new(&texts, &numbers)).encode()));
    }
    for kind in 0..samples::RECORDS {
        pool.push((false, record(kind, &mut Draw::new(&texts, &numbers)).encode()));
    }
    let mut random = samples::Random(seed | 1);
    let mut taken = 0;
    for _ in 0..count {
        let (is_message, sample) = &pool[random.below(pool.len())];
        let mut bytes = sample.clone();
        for _ in 0..=random.below(3) {
            random.bend(&mut bytes);
        }
        // It panics on some of what we refuse (a field longer than the rest): it is asked about what we take.
        let same = if *is_message {
            let Ok(ours) = Msg::decode(&bytes, &GATEWAY) else { continue };
            try_decode_msg(&bytes).ok().map(|theirs| try_decode_msg(&ours.encode()).unwrap() == theirs)
        } else {
            let Ok(ours) = Record::decode(&bytes, &GATEWAY) else { continue };
            try_decode_record(&bytes).ok().map(|theirs| try_decode_record(&ours.encode()).unwrap() == theirs)
        };
        assert_ne!(same, Some(false), "seed {seed}: {bytes:02x?}");
        taken += u64::from(same.is_some());
    }
    taken
}

// Shows R-MSG.5, R-MSG.6, R-MSG.7, R-ENC.0, R-ENC.1.
#[test]
fn of_bent_bytes_both_take_the_same() {
    let long = std::env::var_os("LONG").is_some();
    let count = if long { 10_000_000 } else { 200_000 };
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = u64::try_from(seed & u128::from(u64::MAX)).unwrap();
    let taken = bent(count, seed);
    println!("{count} bent, {taken} taken by both, seed {seed}");
    assert!(taken > count / 20, "most of them are refused: nothing was compared");
}

/// What the long run taught: a key of more than 32 bits is another field to whom cuts it off.
#[test]
fn a_key_has_32_bits() {
    // session_context { session_id: 1, key 0x8_0000_0020: 499 }
    let bytes = [0x42, 0x0a, 0x08, 0x01, 0xa0, 0x80, 0x80, 0x80, 0x80, 0x10, 0xf3, 0x03];
    assert!(try_decode_record(&bytes).is_ok(), "it sees field 4");
    assert!(Record::decode(&bytes, &GATEWAY).is_err());
}
