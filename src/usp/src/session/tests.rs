//! Two ends of a session, and a line between them that loses, doubles and mixes.

use super::{
    HELD_MAX, Heard, PIECE_BYTES_MIN, SENT_MAX, Session, SessionContext, TRIES_MAX, WHOLE_BYTES_MAX, hear,
};
use crate::record::Sar;

/// Xorshift. Source: Marsaglia (2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn piece(session_id: u64, sequence_id: u64, payload: &[u8]) -> SessionContext<'static> {
    let payload = if payload.is_empty() { Vec::new() } else { vec![payload.to_vec().into()] };
    SessionContext { session_id, sequence_id, expected_id: 1, payload, ..SessionContext::default() }
}

/// Shows R-E2E.4, R-E2E.6, R-E2E.24.
#[test]
fn whoever_begins_is_heard() {
    let mut here = None;
    let heard = hear(&mut here, &piece(7, 1, b""));
    let answer = heard.answer.expect("who begins with an empty piece waits for a sign");
    assert_eq!((answer.session_id, answer.sequence_id, answer.expected_id), (7, 1, 2));
    assert!(!heard.restart && heard.messages.is_empty());
    let heard = hear(&mut here, &piece(7, 2, b"get"));
    assert_eq!((heard.messages, heard.answer), (vec![b"get".to_vec()], None));
    let heard = hear(&mut here, &piece(8, 1, b"set"));
    assert_eq!(heard.messages, vec![b"set".to_vec()], "another number is another session");
    for (what, wrong) in [("middle", piece(9, 5, b"x")), ("number 0", piece(0, 1, b"x"))] {
        assert!(hear(&mut here, &wrong).restart, "{what}");
    }
}

/// Shows R-E2E.20, R-E2E.21, R-E2E.22, R-E2E.25.
#[test]
fn nothing_is_taken_twice_or_in_pieces_that_do_not_fit() {
    let with = |sequence, sar, payload: &[u8]| SessionContext {
        payload_sar_state: sar,
        payloadrec_sar_state: sar,
        ..piece(7, sequence, payload)
    };
    let long = vec![0; WHOLE_BYTES_MAX];
    let uneven = SessionContext { payloadrec_sar_state: Sar::Begin, ..piece(7, 1, b"x") };
    let table: &[(&str, Vec<SessionContext<'_>>, bool, usize)] = &[
        ("doubled", vec![piece(7, 1, b"a"), piece(7, 1, b"a")], false, 1),
        ("put together", vec![with(1, Sar::Begin, b"a"), with(2, Sar::Complete, b"b")], false, 1),
        ("two begins", vec![with(1, Sar::Begin, b"a"), with(2, Sar::Begin, b"b")], true, 0),
        ("an end alone", vec![with(1, Sar::Complete, b"a")], true, 0),
        ("whole between", vec![with(1, Sar::Begin, b"a"), piece(7, 2, b"b")], true, 0),
        ("too long", vec![with(1, Sar::Begin, &long), with(2, Sar::Complete, b"b")], true, 0),
        ("uneven", vec![uneven], true, 0),
        ("near the last", vec![piece(7, 1, b"a"), piece(7, u64::MAX - 9, b"b")], true, 1),
    ];
    for (name, pieces, restart, messages) in table {
        let mut here = None;
        let heard: Vec<Heard> = pieces.iter().map(|piece| hear(&mut here, piece)).collect();
        assert_eq!(heard.iter().any(|one| one.restart), *restart, "{name}");
        assert_eq!(heard.iter().map(|one| one.messages.len()).sum::<usize>(), *messages, "{name}");
    }
}

/// Shows R-E2E.8, R-E2E.9, R-E2E.14, R-E2E.15.
#[test]
fn numbers_go_on_and_come_to_an_end() {
    let mut one = Session::begin(7);
    let sent: Vec<u64> =
        (0..3).flat_map(|_| one.send(b"news", 1024)).map(|piece| piece.sequence_id).collect();
    assert_eq!(sent, [1, 2, 3]);
    let near = u64::MAX - 10_000;
    let table = [
        ("heard, far", near, 4, false),
        ("heard, near", near + 1, 4, true),
        ("sent, near", 1, near + 1, true),
    ];
    for (name, heard, sent, restart) in table {
        let mut session = Some(Session { next: sent, expected: heard, ..Session::begin(7) });
        assert_eq!(hear(&mut session, &piece(7, heard, b"a")).restart, restart, "{name}");
    }
}

#[test]
fn memory_has_limits() {
    let mut here = None;
    hear(&mut here, &piece(7, 1, b"a"));
    let restarts = (3..200).map(|sequence| hear(&mut here, &piece(7, sequence, b"x")).restart);
    assert_eq!(restarts.filter(|restart| *restart).count(), 197 - HELD_MAX, "as many are held, and no more");
    let mut silent = Session::begin(9);
    for _ in 0..200 {
        silent.send(b"news", 1024);
    }
    assert_eq!(silent.sent.len(), SENT_MAX);
    assert!(!silent.hear(&SessionContext { retransmit_id: 150, ..piece(9, 1, b"") }).again.is_empty());
    assert!(silent.hear(&SessionContext { retransmit_id: 1, ..piece(9, 2, b"") }).restart, "forgotten");
    let mut greedy = Session::begin(9);
    greedy.send(b"news", 1024);
    let restarts: Vec<bool> = (1..=5)
        .map(|sequence| greedy.hear(&SessionContext { retransmit_id: 1, ..piece(9, sequence, b"") }).restart)
        .collect();
    assert_eq!(restarts.iter().filter(|restart| !**restart).count(), usize::from(TRIES_MAX));
}

/// Shows R-E2E.16, R-E2E.17, R-E2E.20.
/// Whatever the line does, messages come whole, once, in order, or the session says that it restarts.
#[test]
fn a_bad_line_is_made_good() {
    for seed in 1..400 {
        let mut random = Random(seed * 0x9e37_79b9);
        let (mut one, mut other) = (Some(Session::begin(77)), None);
        let messages: Vec<Vec<u8>> = (0..8_u8)
            .map(|number| vec![number; usize::try_from(1 + random.below(4 * 512)).unwrap()])
            .collect();
        let sender = one.as_mut().unwrap();
        let mut line: Vec<SessionContext<'static>> =
            messages.iter().flat_map(|message| sender.send(message, PIECE_BYTES_MIN)).collect();
        // The first piece makes the session; of the others some are lost, doubled, mixed.
        let first = line.remove(0);
        let mut got = hear(&mut other, &first).messages;
        let mut forth: Vec<SessionContext<'static>> = Vec::new();
        for piece in line {
            match random.below(10) {
                0 => {}
                1 => forth.extend([piece.clone(), piece]),
                2 => forth.insert(usize::try_from(random.below(1 + forth.len() as u64)).unwrap(), piece),
                _ => forth.push(piece),
            }
        }
        // A last word, so that what was lost at the end is missed.
        forth.push(one.as_mut().unwrap().empty());
        let mut restarted = false;
        for _ in 0..200 {
            if forth.is_empty() {
                break;
            }
            let heard = hear(&mut other, &forth.remove(0));
            restarted |= heard.restart;
            got.extend(heard.messages);
            if let Some(answer) = heard.answer {
                let back = hear(&mut one, &answer);
                restarted |= back.restart;
                forth.extend(back.again);
                assert!(back.messages.is_empty());
            }
        }
        assert!(messages.starts_with(&got), "seed {seed}: in order, whole, once");
        assert!(restarted || got == messages, "seed {seed}: {} of {}", got.len(), messages.len());
    }
}
