//! Another network is ordered, as text and as data: on trial, kept, taken back.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use contract::show::{self, Part};
use contract::wires::SHOW;

use super::stage::{CONFIGURATION, enter, run};
use super::{Life, dial, scene, until};

/// Nothing goes along.
const NONE: Option<&str> = None;

/// Orders, and how it ended.
fn order<T: AsRef<[u8]>>(life: &Life, ask: &show::Ask, text: Option<T>) -> show::Answer {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut memory = fs::File::from(memfd_create(c"text", flags).unwrap());
    memory.write_all(text.as_ref().map_or(&[], |text| text.as_ref())).unwrap();
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    let client = dial(&life.folder, SHOW);
    let along = text.map(|_| memory.as_fd());
    client.send(ask, along.as_slice()).unwrap();
    let end = client.wait::<show::Answer>().unwrap().0;
    assert!(!matches!(end, show::Answer::Row { .. }), "it differs: {end:?}");
    end
}

#[test]
fn what_is_ordered_is_on_trial_until_it_is_confirmed() {
    if !enter("orders::what_is_ordered_is_on_trial_until_it_is_confirmed") {
        return;
    }
    let folder = scene("trial");
    fs::create_dir(folder.join("kept")).unwrap();
    fs::create_dir(folder.join("run")).unwrap();
    let other = |last: u8| CONFIGURATION.replace("\"192.168.1.1\"", &format!("\"192.168.1.{last}\""));
    let has = |last: u8| run("ip -4 address show br-lan").contains(&format!("192.168.1.{last}/24"));
    let apply = |confirm_within_s| show::Ask::Apply { confirm_within_s };
    let mut life = Life::begin(&folder);
    assert_eq!(order(&life, &apply(600), Some(&other(2))), show::Answer::Done);
    assert!(has(2) && !has(1));
    assert_eq!(order(&life, &show::Ask::Revert, NONE), show::Answer::Done);
    assert!(has(1) && !has(2));

    // Nobody confirms, and it is killed meanwhile.
    assert_eq!(order(&life, &apply(2), Some(&other(3))), show::Answer::Done);
    assert!(has(3));
    life.child.kill().unwrap();
    life.child.wait().unwrap();
    life = Life::begin(&folder);
    until("it is taken back", || has(1).then_some(()));

    // Somebody does, and another life keeps it.
    assert_eq!(order(&life, &apply(600), Some(&other(4))), show::Answer::Done);
    assert!(life.show(Part::Wanted).0.iter().any(|row| row.starts_with("on trial")));
    assert_eq!(order(&life, &show::Ask::Confirm, NONE), show::Answer::Done);
    life.child.kill().unwrap();
    life.child.wait().unwrap();
    life = Life::begin(&folder);
    until("it is up", || life.show(Part::Wanted).0.first().cloned());
    assert!(has(4));

    // What is wrong changes nothing, and is said with its line.
    let wrong = other(5).replace("lease_s = 43200", "lease_s = 1");
    let show::Answer::Refused(why) = order(&life, &apply(600), Some(&wrong)) else { panic!() };
    assert!(why.contains("line 15: lan.dhcp.lease_s"), "{why}");
    assert!(matches!(order(&life, &apply(600), NONE), show::Answer::Refused(_)), "without a text");
    assert!(has(4));
}

/// What is wanted, as data, and how long it is on trial.
fn wanted(life: &Life) -> (contract::wanted::Wanted, u32) {
    let client = dial(&life.folder, SHOW);
    client.send(&show::Ask::Wanted, &[]).unwrap();
    let (show::Answer::Wanted { trial_s }, [file, ..]) = client.wait().unwrap() else { panic!() };
    let mut bytes = Vec::new();
    let mut file = fs::File::from(file.unwrap());
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    (postcard::from_bytes(&bytes).unwrap(), trial_s)
}

#[test]
fn a_network_as_data_is_one_as_text() {
    if !enter("orders::a_network_as_data_is_one_as_text") {
        return;
    }
    let folder = scene("data");
    fs::create_dir(folder.join("kept")).unwrap();
    fs::create_dir(folder.join("run")).unwrap();
    let session = "ipv4 = \"pppoe\"\npppoe = { user = \"who\", password = \"secret-word\" }";
    fs::write(folder.join("network.toml"), CONFIGURATION.replacen("ipv4 = \"dhcp\"", session, 1)).unwrap();
    let life = Life::begin(&folder);
    let (mut now, trial_s) = wanted(&life);
    assert_eq!((trial_s, now.internet.pppoe.clone().unwrap().password.as_str()), (0, ""), "no secret");
    now.lan.address = [192, 168, 1, 7].into();
    let bytes = postcard::to_slice(&now, &mut [0; 8192]).unwrap().to_vec();
    let change = show::Ask::Change { confirm_within_s: 600 };
    assert_eq!(order(&life, &change, Some(&bytes)), show::Answer::Done);
    assert!(run("ip -4 address show br-lan").contains("192.168.1.7/24"));
    let trial = wanted(&life);
    assert!((1..=600).contains(&trial.1), "{}", trial.1);
    assert_eq!(order(&life, &show::Ask::Confirm, NONE), show::Answer::Done);
    let kept = fs::read(folder.join("kept/network.toml")).unwrap();
    assert!(kept.windows(11).any(|piece| piece == b"secret-word"), "a secret stays that was not said");
    now.lan.dhcp = now.lan.dhcp.map(|pool| contract::wanted::Pool { lease_s: 1, ..pool });
    let bytes = postcard::to_slice(&now, &mut [0; 8192]).unwrap().to_vec();
    let show::Answer::Refused(why) = order(&life, &change, Some(&bytes)) else { panic!() };
    assert!(why.contains("lan.dhcp.lease_s"), "{why}");
    assert!(matches!(order(&life, &change, Some([255; 40])), show::Answer::Refused(_)), "nonsense");
}
