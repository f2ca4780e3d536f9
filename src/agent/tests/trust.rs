//! Challenges: a controller has another role by a word that it knows, and by no other way.
//!
//! In:  words, good ones and others. Out: what each controller may do then.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use stage::local::{Local, word};
use stage::{House, daemon, daemon_said, disk, enter};

const DESK: &str = "self::desk";
const GUEST: &str = "self::guest";
const TRUST: &str = "Device.LocalAgent.ControllerTrust.";
const SERIAL: &str = "Device.DeviceInfo.SerialNumber";
/// `open-sesame` in base64.
const GOOD: &str = "b3Blbi1zZXNhbWU=";

/// Three challenges, of which the guest may see the first two.
fn roles() -> String {
    let challenge = |name: &str, role: &str| {
        format!(
            "[[challenge]]\nname = '{name}'\ndescription = 'Rights of {name}'\ninstruction = 'Say it'\n\
             value = 'open-sesame'\nrole = '{role}'\nretries = 3\nlockout_s = 86400\n"
        )
    };
    word(&[(DESK, "full"), (GUEST, "guest"), ("self::other", "guest")])
        + &challenge("one", "operate")
        + &challenge("two", "read")
        + &challenge("owner", "full")
        + "[[role]]\nname = 'guest'\nrules = [\
           { order = 1, targets = ['Device.LocalAgent.ControllerTrust.RequestChallenge()', 'Device.LocalAgent.ControllerTrust.ChallengeResponse()'], rights = '--x-' },\
           { order = 1, targets = ['Device.LocalAgent.ControllerTrust.Challenge.1.', 'Device.LocalAgent.ControllerTrust.Challenge.2.', 'Device.LocalAgent.Controller.2.AssignedRole'], rights = 'r---' }]\n"
}

/// Asks for a challenge: the number of the question, or the refusal.
fn request(local: &mut Local, row: u32) -> Result<String, String> {
    let answer = local.operate(&format!("{TRUST}RequestChallenge() ChallengeRef={TRUST}Challenge.{row}"));
    let id =
        answer.split_once("ChallengeID=").map(|(_, rest)| rest.split([' ', '}']).next().unwrap().to_owned());
    match id {
        Some(id) => {
            // "Say it"
            assert!(
                answer.contains("Instruction=U2F5IGl0 InstructionType=text/plain ValueType=text/plain"),
                "{answer}"
            );
            Ok(id)
        }
        None => Err(answer.rsplit_once('!').unwrap().1.to_owned()),
    }
}

fn say(local: &mut Local, id: &str, value: &str) -> String {
    let answer = local.operate(&format!("{TRUST}ChallengeResponse() ChallengeID={id} Value={value}"));
    answer.strip_prefix(&format!("{TRUST}ChallengeResponse()")).unwrap().to_owned()
}

/// Shows R-SEC.16, R-SEC.17, R-SEC.21.
#[test]
fn who_knows_the_word_has_the_role() {
    if !enter("who_knows_the_word_has_the_role") {
        return;
    }
    disk();
    let (_house, first) = (House::begin(), daemon(&roles()));
    let (mut desk, mut guest) = (Local::connect(DESK), Local::connect(GUEST));
    assert_eq!(guest.get(&[SERIAL]), "!7026");
    // Nobody reads the word, whatever he may.
    let all = desk.get(&["Device.LocalAgent."]);
    assert!(all.contains("Description=Rights of one") && all.contains(" Value= "), "{all}");
    for secret in ["sesame", GOOD, GOOD.trim_end_matches('=')] {
        assert!(!all.contains(secret));
    }
    assert!(guest.get(&[&format!("{TRUST}Challenge.1.")]).contains("Description=Rights of one"));
    // What it may not see, and what is not there.
    for row in [3, 9] {
        assert_eq!(request(&mut guest, row), Err("7012".to_owned()), "{row}");
    }
    let id = request(&mut guest, 1).unwrap();
    assert_eq!(request(&mut guest, 2), Err("7002".to_owned()), "one at a time");
    // Another's question is not its own, and its wrong words count all the same.
    let mut other = Local::connect("self::other");
    assert_eq!(say(&mut other, &id, GOOD), "!7004");
    let theirs = request(&mut other, 1).unwrap();
    assert_ne!(id, theirs);
    assert_eq!(say(&mut other, &theirs, "b3Blbi1zZXNhbQ=="), "!7022");
    assert_eq!(say(&mut guest, &id, "open-sesame"), "!7022");
    assert_eq!(say(&mut guest, &id, ""), "!7022");
    assert_eq!(say(&mut guest, &id, GOOD), "!7002", "nobody may try any more");
    assert_eq!(request(&mut other, 1), Err("7002".to_owned()));
    assert_eq!(guest.get(&[SERIAL]), "!7026");
    // Another challenge is another one. The first question is still open: it is the one that counts until it is answered or expires.
    assert_eq!(request(&mut guest, 2), Err("7002".to_owned()));
    let mut third = Local::connect(DESK);
    let id = request(&mut third, 2).unwrap();
    assert_eq!(say(&mut third, &id, GOOD), "{}");
    let roles_of = |local: &mut Local, row: u32| {
        let answer = local.get(&[&format!("Device.LocalAgent.Controller.{row}.AssignedRole")]);
        answer
            .split_once('=')
            .unwrap()
            .1
            .trim_end_matches('}')
            .replace("Device.LocalAgent.ControllerTrust.Role.", "")
    };
    assert_eq!(roles_of(&mut third, 1), "1,3", "it is appended");
    assert_eq!(roles_of(&mut third, 2), "4", "and only to who has said it");
    assert!(!daemon_said().contains("sesame"));
    // A restart clears what was won.
    drop(first);
    let _second = daemon(&roles());
    let mut desk = Local::connect(DESK);
    assert_eq!(roles_of(&mut desk, 1), "1");
    let mut guest = Local::connect(GUEST);
    let id = request(&mut guest, 1).unwrap();
    assert_eq!(say(&mut guest, &id, GOOD), "{}");
    assert!(guest.get(&[SERIAL]).contains("SerialNumber="));
    assert_eq!(roles_of(&mut guest, 2), "2,4");
    assert!(
        guest.set(false, &["Device.LocalAgent.Controller.1. Enable*=false"]).contains("7006"),
        "and no more than that"
    );
}
