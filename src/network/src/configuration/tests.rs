//! Tests of the configuration: texts that are wrong, trials, disks that come late, deaths.

use super::{Configuration, Places};
use std::fs;
use std::path::PathBuf;

const PLAIN: &str = include_str!("../../../../rootfs/etc/shg/network.toml");

fn scene(name: &str, folders: &[&str]) -> Places {
    let top = std::env::temp_dir().join(format!("shg-network-configuration-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&top);
    for folder in folders {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    fs::create_dir_all(&top).unwrap();
    fs::write(top.join("network.toml"), PLAIN).unwrap();
    Places::beside(top.join("network.toml"))
}

fn end(places: &Places) {
    fs::remove_dir_all(places.shipped.parent().unwrap()).unwrap();
}

fn other(last: u8) -> String {
    PLAIN.replace("\"192.168.1.1\"", &format!("\"192.168.1.{last}\""))
}

fn last(configuration: &mut Configuration, now_ms: u64) -> u8 {
    configuration.read(now_ms);
    configuration.wanted().unwrap().lan.address.octets()[3]
}

#[test]
fn what_is_wrong_is_refused_with_its_line_and_what_was_there_stays() {
    let places = scene("wrong", &[]);
    let path: PathBuf = places.shipped.clone();
    fs::remove_file(&path).unwrap();
    let mut configuration = Configuration::new(places.clone(), 0);
    assert!(!configuration.read(0));
    assert!(configuration.wanted().is_none() && configuration.refused().is_some(), "no file");
    fs::write(&path, PLAIN).unwrap();
    assert!(configuration.read(0), "the first one is new");
    assert!(!configuration.read(0) && configuration.refused().is_none());
    let before = configuration.wanted().cloned();
    fs::write(&path, PLAIN.replace("[lan]", "[lan]\ncolour = 1")).unwrap();
    assert!(!configuration.read(0));
    let why = configuration.refused().unwrap();
    assert!(why.contains("line") && why.contains("colour") && !why.contains('\n'), "{why}");
    fs::write(&path, PLAIN.replace("lease_s = 43200", "lease_s = 1")).unwrap();
    assert!(!configuration.read(0));
    let why = configuration.refused().unwrap();
    assert!(why.contains("line 15: lan.dhcp.lease_s: at least 120"), "{why}");
    assert_eq!(configuration.wanted(), before.as_ref());
    fs::write(&path, format!("{PLAIN}\n# {}", "x".repeat(70_000))).unwrap();
    assert!(!configuration.read(0));
    assert!(configuration.refused().unwrap().contains("more than"));
    fs::write(&path, format!("{PLAIN}\n# a word")).unwrap();
    assert!(!configuration.read(0) && configuration.refused().is_none(), "other words, the same meaning");
    fs::write(&path, other(2)).unwrap();
    assert!(configuration.read(0));
    end(&places);
}

#[test]
fn what_nobody_confirms_is_taken_back_in_its_time() {
    let places = scene("unconfirmed", &["kept", "run"]);
    let mut configuration = Configuration::new(places.clone(), 0);
    assert_eq!(last(&mut configuration, 0), 1);
    configuration.take(other(2), 10, 1_000).unwrap();
    assert_eq!((last(&mut configuration, 1_000), configuration.due_ms()), (2, Some(11_000)));
    // A death in between changes nothing.
    let mut next = Configuration::new(places.clone(), 5_000);
    assert_eq!((last(&mut next, 10_999), next.due_ms()), (2, Some(11_000)));
    assert_eq!((last(&mut next, 11_000), next.due_ms()), (1, None));
    assert!(next.confirm().is_err(), "it is too late");
    // And one that died over its time finds that it is over.
    next.take(other(3), 10, 20_000).unwrap();
    let mut late = Configuration::new(places.clone(), 40_000);
    assert_eq!(last(&mut late, 40_000), 1);
    // A reboot empties the folder.
    late.take(other(4), 1_000, 50_000).unwrap();
    fs::remove_dir_all(&places.run).unwrap();
    fs::create_dir(&places.run).unwrap();
    assert_eq!(last(&mut Configuration::new(places.clone(), 0), 0), 1);
    end(&places);
}

#[test]
fn what_is_confirmed_is_kept_and_what_is_taken_back_is_not() {
    let places = scene("confirmed", &["kept", "run"]);
    let mut configuration = Configuration::new(places.clone(), 0);
    configuration.take(other(2), 10, 0).unwrap();
    configuration.confirm().unwrap();
    assert_eq!(last(&mut configuration, 1_000_000), 2);
    let mut next = Configuration::new(places.clone(), 0);
    assert_eq!((last(&mut next, 0), next.due_ms()), (2, None));
    next.take(other(3), 10, 0).unwrap();
    assert_eq!(last(&mut next, 0), 3);
    next.revert().unwrap();
    assert_eq!(last(&mut next, 0), 2);
    assert!(next.revert().is_err() && next.confirm().is_err());
    next.take(other(4), 0, 0).unwrap();
    assert_eq!(last(&mut Configuration::new(places.clone(), 0), 0), 4, "without a trial it is kept at once");
    assert!(next.take("nonsense".to_owned(), 10, 0).is_err());
    assert!(next.take(other(5), super::TRIAL_S_MAX + 1, 0).is_err());
    assert_eq!(last(&mut next, 0), 4);
    end(&places);
}

#[test]
fn a_disk_that_comes_late_is_read_and_one_that_comes_later_is_written() {
    let places = scene("late", &["run"]);
    let mut configuration = Configuration::new(places.clone(), 0);
    configuration.take(other(2), 0, 0).unwrap();
    assert!(!configuration.is_kept(), "there is no disk");
    assert_eq!(last(&mut configuration, 0), 2);
    fs::create_dir(&places.kept).unwrap();
    configuration.look_again();
    assert_eq!((last(&mut configuration, 0), configuration.is_kept()), (2, true));
    // Another life, the disk again later than we.
    let away = places.kept.with_file_name("away");
    fs::rename(&places.kept, &away).unwrap();
    let mut next = Configuration::new(places.clone(), 0);
    assert_eq!(last(&mut next, 0), 1, "what is shipped");
    fs::rename(&away, &places.kept).unwrap();
    next.look_again();
    assert_eq!(last(&mut next, 0), 2);
    end(&places);
}
