//! What a service leaves when it goes: listed over lives of the daemon, had again, dropped.
//!
//! In:  an honest registry of our own. Out: rows, ends, what the supervisor hears.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use contract::packages::{Answer, Ask, Fault};
use stage::{Made, Shop, Stage, drops, end, enter, install, name, next, remove, unit, until};

fn diary(provider: &str, key: u8) -> Made {
    Made::with_volume("diary", provider, 1, key)
}

/// Whose volumes are kept.
fn kept(stage: &Stage) -> Vec<String> {
    stage.kept().iter().map(|one| format!("{} of {}", one.service, one.provider)).collect()
}

/// The supervisor has heard this, in the end.
fn hears(stage: &Stage, words: &[&str]) {
    until("the supervisor hears it", 10, || {
        (stage.heard.asks.lock().unwrap().len() == words.len()).then_some(())
    });
    assert_eq!(stage.heard.words(), words);
}

#[test]
fn what_stays_is_listed_until_it_goes() {
    if !enter("what_stays_is_listed_until_it_goes", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word(), 64);
    hears(&stage, &["all"]);
    shop.put("1", &diary("demo", 1));
    stage.does(&install(&shop.source("1")));
    assert_eq!(kept(&stage), Vec::<String>::new());
    let (fault, words) = stage.refuses(&drops("diary", "demo"));
    assert!(fault == Fault::Busy && words.contains("in use"), "{words}");

    let follower = stage.ask(&Ask::Follow);
    end(&follower);
    stage.does(&remove("diary"));
    assert_eq!(stage.heard.words(), ["service diary 1", "forget diary"]);
    // It is there before its service is gone.
    let (going, stays, gone) = (next(&follower), next(&follower), next(&follower));
    assert_eq!((&unit(&going).name, &gone), (&name("diary"), &Answer::Gone(name("diary"))));
    let found = stage.kept();
    assert_eq!(stays, Answer::Kept(found[0].clone()));
    let volume = &found[0].volume;
    assert_eq!((volume.size_mib, volume.at.as_str(), found[0].tag.as_str()), (3, "/kept", "a-tag"));
    stage.start();
    hears(&stage, &["all"]);
    assert_eq!(stage.kept(), found, "over lives");

    // Its service comes again, and has it.
    stage.does(&install(&shop.source("1")));
    assert_eq!(kept(&stage), Vec::<String>::new());
    stage.does(&remove("diary"));
    assert_eq!(kept(&stage), ["diary of demo"]);
    stage.heard.words();
    let follower = stage.ask(&Ask::Follow);
    end(&follower);
    stage.does(&drops("diary", "demo"));
    assert_eq!(next(&follower), Answer::Dropped(name("diary"), name("demo")));
    assert_eq!(kept(&stage), Vec::<String>::new());
    hears(&stage, &["drop diary of demo"]);
    let (fault, words) = stage.refuses(&drops("diary", "demo"));
    assert!(fault == Fault::Absent && words.contains("ctl kept"), "{words}");
    stage.start();
    hears(&stage, &["all"]);
    assert_eq!(kept(&stage), Vec::<String>::new());
}

/// Whoever takes the name of another's service neither has its data nor holds it; and what was said to go goes, though nobody could do it then.
#[test]
fn anothers_service_of_the_name_is_another() {
    if !enter("anothers_service_of_the_name_is_another", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word(), 64);
    hears(&stage, &["all"]);
    shop.put("1", &diary("demo", 1));
    shop.put("2", &diary("other", 2));
    stage.does(&install(&shop.source("1")));
    stage.does(&remove("diary"));
    stage.does(&install(&shop.source("2")));
    assert_eq!(kept(&stage), ["diary of demo"]);
    stage.start();
    assert_eq!(kept(&stage), ["diary of demo"]);
    assert_eq!(stage.refuses(&drops("diary", "other")).0, Fault::Busy);
    until("the supervisor is told", 10, || {
        stage.heard.asks.lock().unwrap().contains(&contract::installed::Ask::All).then_some(())
    });
    stage.heard.words();
    *stage.heard.refuses.lock().unwrap() = Some((Fault::Disk, "storage is gone"));
    stage.does(&drops("diary", "demo"));
    hears(&stage, &["drop diary of demo"]);
    assert_eq!(kept(&stage), Vec::<String>::new());
    *stage.heard.refuses.lock().unwrap() = None;
    stage.start();
    hears(&stage, &["service diary 1", "all", "drop diary of demo"]);
    stage.does(&remove("diary"));
    assert_eq!(kept(&stage), ["diary of other"]);
}
