//! Commands about bundles: which are installed, and orders that install, update and remove them.
//!
//! In:  words. Out: rows, or JSON; how far it is, where somebody looks on.
//!
//! Not here: what a bundle is (docs/bundles.md).

use std::io::{IsTerminal, Write, stderr};
use std::os::fd::{AsFd, BorrowedFd};

use contract::Name;
use contract::packages::{Answer, Ask, Install, Kept, State, Unit};
use contract::wires::PACKAGES;

use crate::command::{Out, Words};
use crate::gateway::dial;
use crate::json::{self, Object};
use crate::network::sealed;
use crate::{Error, table};

/// More than any list of keys has, in bytes; package says which of them is too long.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Gives an order and takes each row before its end. It may take as long as it takes: who does not want to wait goes, and it goes on.
fn ask(ask: &Ask, along: &[BorrowedFd<'_>], mut each: impl FnMut(Answer)) -> Result<(), Error> {
    let failed = |error| Error::Wire(PACKAGES.server, error);
    let client = dial(PACKAGES)?;
    client.send(ask, along).map_err(failed)?;
    loop {
        match client.wait::<Answer>() {
            Ok((Answer::Done, _)) => return Ok(()),
            Ok((Answer::Refused(_, why), _)) => return Err(Error::Refused(why.to_string())),
            Ok((
                row @ (Answer::Unit(_)
                | Answer::Gone(_)
                | Answer::Kept(_)
                | Answer::Dropped(..)
                | Answer::Progress { .. }),
                _,
            )) => each(row),
            Err(wire::Error::Silent) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn units() -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    ask(&Ask::List, &[], |row| {
        if let Answer::Unit(unit) = row {
            units.push(unit);
        }
    })?;
    Ok(units)
}

pub(crate) fn packages(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let units = units()?;
    if words.json {
        let rows: Vec<String> = units.iter().map(unit_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 7]> = units.iter().map(unit_row).collect();
    table::print(["NAME", "VERSION", "PROVIDER", "STATE", "AUTOSTART", "SIZE", "SOURCE"], &rows, out)
}

pub(crate) fn kept(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let mut kept = Vec::new();
    ask(&Ask::List, &[], |row| {
        if let Answer::Kept(one) = row {
            kept.push(one);
        }
    })?;
    if words.json {
        let rows: Vec<String> = kept.iter().map(kept_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let row = |one: &Kept| {
        let tag = if one.tag.is_empty() { "-" } else { one.tag.as_str() };
        [one.service.to_string(), one.provider.to_string(), size(one.volume.bytes()), tag.to_owned()]
    };
    let rows: Vec<[String; 4]> = kept.iter().map(row).collect();
    table::print(["NAME", "PROVIDER", "LIMIT", "TAG"], &rows, out)
}

fn kept_json(one: &Kept) -> String {
    let [installed, removed] = one.since_s.map(|seconds| Some(seconds).filter(|seconds| *seconds != 0));
    Object::default()
        .text("name", &one.service)
        .text("provider", &one.provider)
        .text("tag", &one.tag)
        .number("limit_bytes", Some(one.volume.bytes()))
        .number("limit_files", Some(one.volume.inodes.into()))
        .number("installed_s", installed)
        .number("removed_s", removed)
        .end()
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Installed => "installed",
        State::Updating => "updating",
        State::Removing => "removing",
    }
}

fn unit_row(unit: &Unit) -> [String; 7] {
    [
        unit.name.to_string(),
        unit.version.to_string(),
        unit.provider.to_string(),
        state_word(unit.state).to_owned(),
        if unit.autostart { "on" } else { "off" }.to_owned(),
        size(unit.image_bytes),
        if unit.source.is_empty() { "-".to_owned() } else { unit.source.to_string() },
    ]
}

/// In the largest unit in which it is not nothing.
fn size(bytes: u64) -> String {
    if bytes >> 20 == 0 { format!("{} KiB", bytes.div_ceil(1024)) } else { format!("{} MiB", bytes >> 20) }
}

fn unit_json(unit: &Unit) -> String {
    let [first, last] = unit.installed_s;
    let known = |seconds: u64| Some(seconds).filter(|seconds| *seconds != 0);
    let image: String = unit.image.iter().map(|byte| format!("{byte:02x}")).collect();
    Object::default()
        .text("name", &unit.name)
        .text("provider", &unit.provider)
        .text("summary", &unit.summary)
        .number("version", Some(unit.version))
        .text("state", state_word(unit.state))
        .flag("autostart", unit.autostart)
        .text("source", &unit.source)
        .text("tag", &unit.tag)
        .text("image", format!("sha256:{image}"))
        .number("image_bytes", Some(unit.image_bytes))
        .number("installed_s", known(first))
        .number("updated_s", known(last))
        .end()
}

pub(crate) fn install(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let [source] = words.plain() else { return Err(words.wrong()) };
    let slice = words.option("--slice").map(|slice| name(words, slice)).transpose()?;
    fetch(order(words, source, None, slice)?, words, out)
}

pub(crate) fn update(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let [service, source] = words.plain() else { return Err(words.wrong()) };
    fetch(order(words, source, Some(name(words, service)?), None)?, words, out)
}

fn name(words: &Words<'_>, text: &str) -> Result<Name, Error> {
    Name::new(text).map_err(|_| words.wrong())
}

/// A text that is not cut silently.
fn whole<const N: usize>(what: &str, text: &str) -> Result<contract::Text<N>, Error> {
    let taken = contract::Text::from(text);
    let too_long = || Error::Usage(format!("{what}: at most {N} bytes"));
    Some(taken).filter(|taken: &contract::Text<N>| taken.as_str() == text).ok_or_else(too_long)
}

fn order(
    words: &Words<'_>,
    source: &str,
    update: Option<Name>,
    slice: Option<Name>,
) -> Result<Install, Error> {
    let said = |variable: &str| std::env::var(variable).unwrap_or_default();
    let source = if source.contains("://") { source.to_owned() } else { format!("https://{source}") };
    Ok(Install {
        source: whole("SOURCE", &source)?,
        username: whole("SHG_REGISTRY_USER", &said("SHG_REGISTRY_USER"))?,
        password: whole("SHG_REGISTRY_PASSWORD", &said("SHG_REGISTRY_PASSWORD"))?,
        tag: whole("--tag", words.option("--tag").unwrap_or_default())?,
        update,
        slice,
    })
}

fn fetch(order: Install, words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let looks_on = stderr().is_terminal() && !words.json;
    let mut was_shown = false;
    let outcome = ask(&Ask::Install(order.clone()), &[], |row| {
        if let Answer::Progress { bytes, of } = row
            && looks_on
        {
            was_shown = true;
            // Who looks on and cannot be shown it misses nothing.
            let _ = write!(stderr(), "\r\x1b[K{} of {}", size(bytes), size(of));
        }
    });
    if was_shown {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    outcome?;
    let newest = |unit: &&Unit| unit.source == order.source && unit.tag == order.tag;
    match units()?.iter().find(newest) {
        Some(unit) if words.json => Ok(writeln!(out, "{}", unit_json(unit))?),
        Some(unit) => Ok(writeln!(out, "{}: version {} is installed", unit.name, unit.version)?),
        // Somebody has changed it since.
        None => Ok(writeln!(out, "installed")?),
    }
}

pub(crate) fn remove(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let service = words.name()?;
    let drop_data = words.option("--drop-data").is_some();
    ask(&Ask::Remove { service: service.clone(), drop_data }, &[], |_| {})?;
    Ok(writeln!(out, "{service}: removed")?)
}

pub(crate) fn drop_kept(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let [service, provider] = words.plain() else { return Err(words.wrong()) };
    let (service, provider) = (name(words, service)?, name(words, provider)?);
    ask(&Ask::Drop { service: service.clone(), provider }, &[], |_| {})?;
    Ok(writeln!(out, "{service}: what it had kept goes")?)
}

pub(crate) fn cancel(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let tag = match words.plain() {
        [] => "",
        [tag] => tag,
        _ => return Err(words.wrong()),
    };
    ask(&Ask::Cancel(whole("TAG", tag)?), &[], |_| {})?;
    Ok(writeln!(out, "given up; what was fetched goes on next time")?)
}

pub(crate) fn autostart(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    let (service, starts) = match words.name_and_word()? {
        (service, Some("on")) => (service, true),
        (service, Some("off")) => (service, false),
        (_, Some(_) | None) => return Err(words.wrong()),
    };
    ask(&Ask::Autostart { service, starts }, &[], |_| {})
}

pub(crate) fn keyring(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let [path] = words.plain() else { return Err(words.wrong()) };
    let list = sealed(path, LIST_BYTES_MAX)?;
    ask(&Ask::Keyring, &[list.as_fd()], |_| {})?;
    Ok(writeln!(out, "{path}: taken; from now on these keys count")?)
}

#[cfg(test)]
mod tests {
    use super::{kept_json, size, unit_json, unit_row, whole};
    use contract::manifest::Volume;
    use contract::packages::{Kept, State, Unit};

    #[test]
    fn a_row_says_what_is_installed() {
        let unit = Unit {
            name: contract::Name::new("hello").unwrap(),
            provider: contract::Name::new("demo").unwrap(),
            summary: "Says \"hello\"".into(),
            version: 2,
            source: "https://registry.example/demo/hello:2".into(),
            tag: "".into(),
            image: [0xab; 32],
            image_bytes: 5 << 20,
            autostart: true,
            state: State::Updating,
            installed_s: [0, 9],
            uses: contract::packages::Uses::default(),
        };
        let row = unit_row(&unit).join(" ");
        assert_eq!(row, "hello 2 demo updating on 5 MiB https://registry.example/demo/hello:2");
        let image = "ab".repeat(32);
        let want = format!(
            "{{\"name\":\"hello\",\"provider\":\"demo\",\"summary\":\"Says \\\"hello\\\"\",\"version\":2,\"state\":\"updating\",\
             \"autostart\":true,\"source\":\"https://registry.example/demo/hello:2\",\"tag\":\"\",\"image\":\"sha256:{image}\",\
             \"image_bytes\":5242880,\"installed_s\":null,\"updated_s\":9}}"
        );
        assert_eq!(unit_json(&unit), want);
        let volume = Volume { size_mib: 3, inodes: 64, at: "/data".into(), kept: true };
        let (service, provider, tag) = (unit.name, unit.provider, "one".into());
        assert_eq!(
            kept_json(&Kept { service, provider, tag, volume, since_s: [0, 9] }),
            "{\"name\":\"hello\",\"provider\":\"demo\",\"tag\":\"one\",\"limit_bytes\":3145728,\"limit_files\":64,\
             \"installed_s\":null,\"removed_s\":9}"
        );
    }

    #[test]
    fn texts_are_not_cut_and_sizes_are_not_nothing() {
        assert_eq!(whole::<4>("TAG", "abcd").unwrap().as_str(), "abcd");
        assert!(whole::<4>("TAG", "abcde").unwrap_err().to_string().contains("TAG: at most 4 bytes"));
        for (bytes, want) in [(0, "0 KiB"), (1, "1 KiB"), (1 << 20, "1 MiB"), ((5 << 20) - 1, "4 MiB")] {
            assert_eq!(size(bytes), want);
        }
    }
}
