//! What the desk's verbs answer, to people and to programs.

use serde_json::Value;

use crate::desk::Desk;

/// The answer to `shg bundle LINE --json`: one value, and nothing behind it.
fn json(desk: &Desk, line: &str) -> Value {
    let said = desk.shg(&format!("{line} --json")).unwrap();
    serde_json::from_str(&said).unwrap_or_else(|why| panic!("{line}: {why}: {said}"))
}

#[test]
fn a_bundle_is_described_to_people_and_to_programs() {
    let desk = Desk::new();
    let made = json(&desk, "build @files --manifest @service.toml --version 7 --output @bundle");
    let unsigned = json(&desk, "inspect @bundle");
    assert_eq!((&unsigned["digest"], &unsigned["signer"]), (&made["digest"], &Value::Null), "{made}");
    let signed = json(&desk, "sign @bundle --key @demo.secret");
    let seen = json(&desk, "inspect @bundle");
    assert!(seen["signer"].is_string() && seen["signer"] == signed["key"], "{seen}, {signed}");
    let told = (&seen["service"], &seen["provider"], &seen["version"]);
    assert_eq!(told, (&"hello".into(), &"demo".into(), &7.into()), "{seen}");
    // People read the same, a line each.
    let text = desk.shg("inspect @bundle").unwrap();
    for key in ["digest", "service", "provider", "summary", "architecture", "root_hash", "signer"] {
        let value = seen[key].as_str().unwrap_or_else(|| panic!("{key}: {seen}"));
        assert!(text.contains(value), "{key} {value}: {text}");
    }
    let checked = json(&desk, "verify @bundle --keyring @keys --root @root-key.public");
    assert_eq!(checked["digest"], made["digest"], "{checked}");
    assert!(json(&desk, "keygen @other").is_object());
    assert!(json(&desk, "keyring @list demo=@demo.public --root @root-key.secret --serial 9").is_object());
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    let desk = Desk::new();
    for line in ["inspect @files", "inspect @nothing", "verify @nothing --key @demo.public"] {
        let said = desk.shg(line).unwrap_err().to_string();
        assert!(said.contains("no bundle is there"), "{line}: {said}");
    }
}
