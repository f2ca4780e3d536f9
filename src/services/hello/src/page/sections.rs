//! The sections of the page, from who is here to the machine.
//!
//! In:  facts. Out: markup. What cannot be seen is said to be so, with the kernel's answer.
//!
//! Not here: the tries (`tried.rs`).

use std::fmt::Display;

use super::html::Html;
use super::words::{bytes, counted, duration, grouped};
use crate::facts::Facts;
use crate::kernel::links::Link;
use crate::kernel::mounts::Mount;
use crate::kernel::process::{Range, Status};
use crate::kernel::{Hidden, Listed, Seen};

/// All of them, in order.
pub(super) fn all(page: &mut Html, facts: &Facts) {
    visit(page, facts);
    identity(page, facts);
    rights(page, facts);
    processes(page, facts);
    network(page, facts);
    namespaces(page, facts);
    limits(page, facts);
    mounts(page, facts);
    machine(page, facts);
}

fn open(page: &mut Html, title: &'static str) {
    page.markup("<section>\n<h2>").markup(title).markup("</h2>\n");
}

fn close(page: &mut Html) {
    page.markup("</section>\n");
}

/// A table whose rows have a name and a value.
fn pairs(page: &mut Html, rows: impl FnOnce(&mut Html)) {
    page.markup("<table class=\"pairs\"><tbody>\n");
    rows(page);
    page.markup("</tbody></table>\n");
}

fn pair(page: &mut Html, name: &'static str, value: impl Display) {
    page.markup("<tr><th scope=\"row\">").markup(name).markup("</th><td>").text(value).markup("</td></tr>\n");
}

fn pair_seen<T>(page: &mut Html, name: &'static str, seen: &Seen<T>, say: impl FnOnce(&T) -> String) {
    match seen {
        Ok(value) => pair(page, name, say(value)),
        Err(hidden) => pair(page, name, format_args!("not to be seen ({hidden})")),
    }
}

/// A table with a heading for each column.
fn table(page: &mut Html, heads: &[&'static str], rows: impl FnOnce(&mut Html)) {
    page.markup("<table><thead><tr>");
    for head in heads {
        page.markup("<th scope=\"col\">").markup(head).markup("</th>");
    }
    page.markup("</tr></thead><tbody>\n");
    rows(page);
    page.markup("</tbody></table>\n");
}

fn unseen(page: &mut Html, hidden: Hidden) {
    page.markup("<p class=\"note\">It cannot see this. The kernel says ").text(hidden).markup(".</p>\n");
}

fn more<T>(page: &mut Html, list: &Listed<T>) {
    if list.more > 0 {
        page.markup("<p class=\"note\">And ").text(list.more).markup(" more.</p>\n");
    }
}

fn visit(page: &mut Html, facts: &Facts) {
    open(page, "You and this service");
    pairs(page, |page| {
        pair(page, "You come from", facts.peer.ip());
        pair(page, "You reached it", facts.local);
        pair(page, "It has served", counted(facts.visits, "visit, yours", "visits, yours included"));
        pair(page, "Serving for", duration(facts.uptime));
        let told = &facts.told;
        let says = if told.connected { "answers" } else { "does not answer" };
        pair(page, "Its gateway", says);
        pair(page, "Greeting that the operator has set", told.greeting.as_deref().unwrap_or("none"));
        pair(page, "Secrets that it was given", told.secrets.len());
    });
    close(page);
}

/// Which number `inside` has outside.
fn outside(ranges: &[Range], inside: u32) -> Option<u32> {
    ranges.iter().find_map(|[first, outside, count]| {
        let place = inside.checked_sub(*first).filter(|place| place < count)?;
        outside.checked_add(place)
    })
}

fn identity(page: &mut Html, facts: &Facts) {
    open(page, "Who it is");
    let id = |own: Option<u32>, map: &Seen<Vec<Range>>| {
        let Some(own) = own else { return "not known".to_owned() };
        match map.as_ref().ok().and_then(|ranges| outside(ranges, own)) {
            Some(out) if out == own => format!("{own}, inside and outside"),
            Some(out) => format!("{own} in here, {} outside", grouped(out.into())),
            None => format!("{own} in here"),
        }
    };
    let range = |ranges: &Vec<Range>| {
        let text = |[first, outside, count]: &Range| {
            let [first, outside, count] = [first, outside, count].map(|number| grouped((*number).into()));
            format!("{count} from {first} on are {outside} and up outside")
        };
        ranges.iter().map(text).collect::<Vec<_>>().join("; ")
    };
    pairs(page, |page| {
        pair_seen(page, "Host name", &facts.names, |names| names.host.clone());
        pair_seen(page, "Program", &facts.own, |own| own.name.clone());
        pair_seen(page, "User", &facts.own, |own| id(own.user, &facts.users));
        pair_seen(page, "Group", &facts.own, |own| id(own.group, &facts.groups));
        pair_seen(page, "Further groups", &facts.own, |own| {
            let groups: Vec<String> = own.groups.iter().map(ToString::to_string).collect();
            if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }
        });
        pair_seen(page, "Range of users", &facts.users, range);
    });
    close(page);
}

fn rights(page: &mut Html, facts: &Facts) {
    open(page, "What it may do");
    match &facts.own {
        Ok(own) => pairs(page, |page| {
            pair(page, "Capabilities", capabilities(own));
            let gains = match own.no_new_privileges {
                Some(true) => "cannot gain any (no_new_privs is set)",
                Some(false) => "may gain some (no_new_privs is not set)",
                None => "not known",
            };
            pair(page, "New rights", gains);
            let calls = match (own.seccomp, own.filters) {
                (Some(2), Some(count)) => {
                    format!("filtered (seccomp, {})", counted(count, "filter", "filters"))
                }
                (Some(2), None) => "filtered (seccomp)".to_owned(),
                (Some(0), _) => "not filtered (no seccomp)".to_owned(),
                (Some(mode), _) => format!("seccomp mode {mode}"),
                (None, _) => "not known".to_owned(),
            };
            pair(page, "System calls", calls);
        }),
        Err(hidden) => unseen(page, *hidden),
    }
    close(page);
}

fn capabilities(own: &Status) -> String {
    let set = |(word, set): &(&str, Option<u64>)| match set {
        Some(0) => None,
        Some(set) => Some(format!("{word} {set:x}")),
        None => Some(format!("{word} not known")),
    };
    let sets: Vec<String> = own.capabilities.iter().filter_map(set).collect();
    if sets.is_empty() {
        "none, and none to be had: all five sets are empty".to_owned()
    } else {
        sets.join("; ")
    }
}

fn processes(page: &mut Html, facts: &Facts) {
    open(page, "Processes it sees");
    match &facts.processes {
        Ok(list) => {
            table(page, &["Number", "Name", "User", "State", "Memory"], |page| {
                for (number, status) in &list.shown {
                    page.markup("<tr><td>").text(number).markup("</td>");
                    match status {
                        Ok(status) => process(page, status),
                        Err(hidden) => drop(page.markup("<td colspan=\"4\">").text(hidden).markup("</td>")),
                    }
                    page.markup("</tr>\n");
                }
            });
            more(page, list);
        }
        Err(hidden) => unseen(page, *hidden),
    }
    close(page);
}

fn process(page: &mut Html, status: &Status) {
    let user = status.user.map_or_else(|| "?".to_owned(), |user| user.to_string());
    let memory = status.memory_kib.map_or_else(|| "–".to_owned(), |kib| bytes(kib.saturating_mul(1024)));
    // `S (sleeping)`: the word is enough.
    let state =
        status.state.split_once('(').map_or(status.state.as_str(), |(_, word)| word.trim_end_matches(')'));
    page.markup("<td>").text(&status.name).markup("</td><td>").text(user);
    page.markup("</td><td>").text(state).markup("</td><td>").text(memory).markup("</td>");
}

fn network(page: &mut Html, facts: &Facts) {
    open(page, "Network");
    pairs(page, |page| {
        pair_seen(page, "Its addresses", &facts.addresses, |list| {
            let shown: Vec<String> = list.shown.iter().map(ToString::to_string).collect();
            let more = if list.more > 0 { format!(", {} more", list.more) } else { String::new() };
            if shown.is_empty() { "none".to_owned() } else { format!("{}{more}", shown.join(", ")) }
        });
    });
    match &facts.links {
        Ok(list) => {
            let (used, silent): (Vec<&Link>, Vec<&Link>) =
                list.shown.iter().partition(|link| link.received_bytes > 0 || link.sent_bytes > 0);
            table(page, &["Link", "Received", "Sent"], |page| {
                for link in used {
                    page.markup("<tr><td>")
                        .text(&link.name)
                        .markup("</td><td>")
                        .text(bytes(link.received_bytes));
                    page.markup("</td><td>").text(bytes(link.sent_bytes)).markup("</td></tr>\n");
                }
            });
            if !silent.is_empty() {
                let names: Vec<&str> = silent.iter().map(|link| link.name.as_str()).collect();
                page.markup("<p class=\"note\">Nothing has gone over: ")
                    .text(names.join(", "))
                    .markup(".</p>\n");
            }
            more(page, list);
        }
        Err(hidden) => unseen(page, *hidden),
    }
    close(page);
}

fn namespaces(page: &mut Html, facts: &Facts) {
    open(page, "Namespaces");
    page.markup("<p class=\"note\">A namespace is a view of the system. Of some the kernel fixes the number of the first one, so the service can tell its own from the machine’s.</p>\n");
    table(page, &["View of", "Whose", "Number"], |page| {
        for namespace in &facts.namespaces {
            let (file, what, _) = namespace.kind;
            let whose = match namespace.is_own() {
                Some(true) => "its own",
                Some(false) => "the machine’s",
                None => "cannot be told from inside",
            };
            page.markup("<tr><td>")
                .text(what)
                .markup(" <code class=\"quiet\">")
                .text(file)
                .markup("</code></td><td>");
            page.markup(whose).markup("</td><td>");
            match namespace.number {
                Ok(number) => page.text(number),
                Err(hidden) => page.text(hidden),
            };
            page.markup("</td></tr>\n");
        }
    });
    close(page);
}

fn limits(page: &mut Html, facts: &Facts) {
    open(page, "Limits");
    if let Some(hidden) = facts.cgroup.hidden() {
        page.markup("<p>How much memory and processor time it may use, and how many processes it may start, it cannot see: the files that would tell are not in <code>/sys/fs/cgroup</code> in here (");
        page.text(hidden).markup("). A limit that is set holds all the same.</p>\n");
    } else {
        pairs(page, |page| {
            for (_, word, says) in &facts.cgroup.files {
                pair_seen(page, word, says, Clone::clone);
            }
        });
    }
    match &facts.limits {
        Ok(limits) => {
            table(page, &["For this process", "Now", "At most"], |page| {
                for limit in limits.iter().filter(|limit| limit.soft != "unlimited") {
                    page.markup("<tr><td>").text(limit.what.trim_start_matches("Max ")).markup("</td>");
                    for value in [&limit.soft, &limit.hard] {
                        page.markup("<td>").text(amount(value, &limit.unit)).markup("</td>");
                    }
                    page.markup("</tr>\n");
                }
            });
            let free: Vec<&str> = limits
                .iter()
                .filter(|limit| limit.soft == "unlimited")
                .map(|limit| limit.what.trim_start_matches("Max "))
                .collect();
            if !free.is_empty() {
                page.markup("<p class=\"note\">No limit of its own for: ")
                    .text(free.join(", "))
                    .markup(".</p>\n");
            }
        }
        Err(hidden) => unseen(page, *hidden),
    }
    close(page);
}

fn amount(value: &str, unit: &str) -> String {
    match value.parse() {
        Ok(number) if unit == "bytes" => bytes(number),
        Ok(number) => grouped(number),
        Err(_) => value.to_owned(),
    }
}

fn mounts(page: &mut Html, facts: &Facts) {
    open(page, "File systems");
    match &facts.mounts {
        Ok(list) => {
            // Neighbours that differ only in their place, as single devices do, share a row.
            let alike = |one: &Mount, other: &Mount| {
                let without_place = |mount: &Mount| Mount { place: String::new(), ..mount.clone() };
                one.room_bytes.is_none() && without_place(one) == without_place(other)
            };
            table(page, &["Place and kind", "Access", "Used"], |page| {
                list.shown.chunk_by(alike).for_each(|mounts| mount(page, mounts));
            });
            more(page, list);
        }
        Err(hidden) => unseen(page, *hidden),
    }
    close(page);
}

fn mount(page: &mut Html, mounts: &[Mount]) {
    let Some(first) = mounts.first() else { return };
    page.markup("<tr><td>");
    for (place, mount) in mounts.iter().enumerate() {
        page.markup(if place == 0 { "" } else { " " }).markup("<code>").text(&mount.place).markup("</code>");
    }
    page.markup(" <small>").text(&first.kind).markup("</small></td><td>");
    page.markup(if first.read_only { "read only" } else { "read, write" });
    if !first.restrictions.is_empty() {
        page.markup(" <small>").text(first.restrictions.join(" ")).markup("</small>");
    }
    let used = |(size, used)| format!("{} of {}", bytes(used), bytes(size));
    page.markup("</td><td>")
        .text(first.room_bytes.map_or_else(|| "–".to_owned(), used))
        .markup("</td></tr>\n");
}

fn machine(page: &mut Html, facts: &Facts) {
    open(page, "The machine below");
    page.markup("<p class=\"note\">This much the kernel tells anybody, in a sandbox or not.</p>\n");
    pairs(page, |page| {
        pair_seen(page, "Kernel", &facts.names, |names| names.kernel.clone());
        pair_seen(page, "Built", &facts.names, |names| names.version.clone());
        pair_seen(page, "Processor", &facts.names, |names| names.machine.clone());
        pair_seen(page, "May run on", &facts.own, |own| format!("hardware threads {}", own.processors));
        pair_seen(page, "Running for", &facts.state, |state| duration(state.uptime));
        pair_seen(page, "Memory", &facts.state, |state| {
            format!("{}, {} of it unused", bytes(state.memory_bytes), bytes(state.free_bytes))
        });
        pair_seen(page, "Threads of all", &facts.state, |state| grouped(state.threads.into()));
    });
    close(page);
}

#[cfg(test)]
mod tests {
    use super::{amount, outside};

    #[test]
    fn a_user_is_someone_else_outside() {
        let ranges = [[0, 1_179_648, 65_536], [70_000, 5, 1]];
        for (inside, want) in [
            (0, Some(1_179_648)),
            (65_535, Some(1_245_183)),
            (65_536, None),
            (70_000, Some(5)),
            (70_001, None),
        ] {
            assert_eq!(outside(&ranges, inside), want, "{inside}");
        }
        assert_eq!(outside(&[[0, u32::MAX, 2]], 1), None, "no such number");
    }

    #[test]
    fn an_amount_has_its_unit() {
        for (value, unit, want) in
            [("65536", "bytes", "64\u{a0}KiB"), ("32", "files", "32"), ("unlimited", "bytes", "unlimited")]
        {
            assert_eq!(amount(value, unit), want);
        }
    }
}
