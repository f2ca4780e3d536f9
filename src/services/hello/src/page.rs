//! `/`: the page for people.
//!
//! In:  facts. Out: one HTML document that needs nothing else: no script, no picture, no font from anywhere.
//!
//! Not here: what each part says (`page/sections.rs`, `page/tried.rs`), how text is made harmless (`page/html.rs`).
//!
//! Source: the HTML standard, whatwg.org; WCAG 2.2 for contrast and headings.

mod html;
mod sections;
mod tried;
mod words;

use crate::facts::Facts;
use crate::kernel::Listed;
use crate::probe::Outcome;
use html::Html;

const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n",
    "<title>Hello from a sandbox on your gateway</title>\n",
    "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E",
    "%3Crect x='1' y='1' width='14' height='14' rx='3' fill='%230b6e62'/%3E",
    "%3Crect x='5' y='5' width='6' height='6' rx='1.5' fill='%23fff'/%3E%3C/svg%3E\">\n",
    "<style>\n",
    include_str!("page/style.css"),
    "</style>\n</head>\n<body>\n",
);

/// A box in a box.
const EMBLEM: &str = "<svg class=\"emblem\" viewBox=\"0 0 48 48\" aria-hidden=\"true\" focusable=\"false\">\
    <rect x=\"2\" y=\"2\" width=\"44\" height=\"44\" rx=\"10\"/><rect x=\"10\" y=\"10\" width=\"28\" height=\"28\" rx=\"6\"/>\
    <circle cx=\"24\" cy=\"24\" r=\"5\"/></svg>";

/// The page.
#[must_use]
pub fn of(facts: &Facts) -> String {
    let mut page = Html::default();
    page.markup(HEAD);
    header(&mut page, facts);
    page.markup("<main>\n");
    glance(&mut page, facts);
    page.markup("<div class=\"columns\">\n");
    sections::all(&mut page, facts);
    page.markup("</div>\n");
    tried::section(&mut page, facts);
    page.markup("</main>\n");
    footer(&mut page);
    page.markup("</body>\n</html>\n");
    page.finish()
}

fn header(page: &mut Html, facts: &Facts) {
    page.markup("<header>\n").markup(EMBLEM).markup("<p class=\"eyebrow\">Service Hosting Gateway");
    if let Ok(names) = &facts.names {
        page.markup(" <span aria-hidden=\"true\">·</span> service <b>").text(&names.host).markup("</b>");
    }
    if facts.is_confined() {
        page.markup(
            "</p>\n<h1>Hello from inside the box</h1>\n\
            <p class=\"lede\">This page is served by a service in its own sandbox on your gateway. \
            Below stands what the service can see from in there, and what it tried in vain. \
            It asked the kernel just now, for this visit.</p>\n</header>\n",
        );
    } else {
        page.markup(
            "</p>\n<h1>Hello, and mind: there is no box</h1>\n\
            <p class=\"lede warning\">This service should run in its own sandbox on your gateway, and it does not look like one: \
            it has rights, or could get some, or its system calls are not filtered. \
            Below stands what it can see. It asked the kernel just now, for this visit.</p>\n</header>\n",
        );
    }
}

/// The figures that say most.
fn glance(page: &mut Html, facts: &Facts) {
    page.markup("<ul class=\"tiles\" aria-label=\"At a glance\">\n");
    let tile = |page: &mut Html, figure: String, says: &'static str| {
        page.markup("<li><b>").text(figure).markup("</b> <span>").markup(says).markup("</span></li>\n");
    };
    let unknown = || "?".to_owned();
    let processes = facts.processes.as_ref().map(Listed::count);
    tile(page, processes.map_or_else(|_| unknown(), |count| count.to_string()), "processes in its sight");
    let rights = facts.own.as_ref().ok().and_then(|own| own.any_capability());
    let rights = rights.map_or_else(unknown, |set| set.count_ones().to_string());
    tile(page, rights, "capabilities, the special rights of root");
    let own = facts.namespaces.iter().filter(|namespace| namespace.is_own() == Some(true)).count();
    tile(page, own.to_string(), "namespaces that are surely its own");
    let tries = facts.answers.as_ref().map_or_else(
        |_| unknown(),
        |answers| {
            let through = answers.iter().filter(|answer| answer.outcome == Outcome::Through).count();
            format!("{through} of {}", answers.len())
        },
    );
    tile(page, tries, "forbidden things worked when it tried");
    page.markup("</ul>\n");
}

fn footer(page: &mut Html) {
    page.markup(
        "<footer>\n<p>The same for programs: <a href=\"/facts.json\">facts.json</a>. \
        This page has no script and no cookie, and fetches nothing from anywhere else; of your visit it keeps only the count.</p>\n</footer>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::facts::Facts;
    use crate::kernel::process::Status;
    use crate::kernel::{Hidden, Listed};
    use crate::probe::ask_nobody;
    use nix::errno::Errno;
    use std::time::Duration;

    fn here() -> Facts {
        let (local, peer) = ("192.0.2.7:80".parse().unwrap(), "192.0.2.1:50000".parse().unwrap());
        Facts { answers: Ok(ask_nobody()), ..Facts::look_only(local, peer, Duration::from_secs(61), 3) }
    }

    /// Fails where tags do not close in order, or a tag is not one of ours.
    fn assert_well_formed(page: &str) {
        const OURS: &str = "a b body caption circle code div dl dt dd em footer h1 h2 h3 head header html li link main meta p rect \
                            section small span style svg table tbody td th thead title tr ul";
        const EMPTY: [&str; 4] = ["circle", "link", "meta", "rect"];
        let mut open = Vec::new();
        for part in page.split('<').skip(2) {
            let tag = part.split('>').next().unwrap();
            let name = tag.split([' ', '\n']).next().unwrap();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else {
                assert!(OURS.split_whitespace().any(|our| our == name), "{tag}");
                if !EMPTY.contains(&name) {
                    open.push(name);
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_page_is_whole_and_says_what_it_must() {
        let page = of(&here());
        assert_well_formed(&page);
        for word in [
            "<html lang=\"en\">",
            "name=\"viewport\"",
            "<title>",
            "prefers-color-scheme",
            "192.0.2.1",
            "in vain",
        ] {
            assert!(page.contains(word), "{word}");
        }
        for word in ["<script", "http://", "https://", "@import", "url("] {
            let page = page.replace("xmlns='http://www.w3.org/2000/svg'", "");
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn it_says_sandbox_only_where_there_is_one() {
        let none = Status { seccomp: Some(0), ..Status::default() };
        let all = Status {
            capabilities: [("effective", Some(0)); 5],
            no_new_privileges: Some(true),
            seccomp: Some(2),
            ..Status::default()
        };
        for (what, own, is) in
            [("none", Ok(none), false), ("not seen", Err(Hidden::Unclear), false), ("all", Ok(all), true)]
        {
            let page = of(&Facts { own, ..here() });
            assert_eq!(page.contains("served by a service in its own sandbox on your gateway"), is, "{what}");
            assert_well_formed(&page);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_invented() {
        let hidden = Hidden::Refused(Errno::EACCES);
        let mut facts = Facts {
            own: Err(hidden),
            users: Err(hidden),
            groups: Err(hidden),
            processes: Err(hidden),
            limits: Err(hidden),
            mounts: Err(hidden),
            links: Err(hidden),
            addresses: Err(hidden),
            names: Err(hidden),
            state: Err(hidden),
            answers: Err(hidden),
            ..here()
        };
        facts.cgroup.path = Err(hidden);
        for (_, _, says) in &mut facts.cgroup.files {
            *says = Err(hidden);
        }
        let page = of(&facts);
        assert_well_formed(&page);
        assert!(page.matches("EACCES: Permission denied").count() >= 9, "{page}");
    }

    #[test]
    fn a_hostile_system_cannot_write_the_page() {
        let evil = "<script>alert('x')</script>\"&".to_owned();
        let mut facts = here();
        let status = Status { name: evil.clone(), state: evil.clone(), ..Status::default() };
        facts.own = Ok(status.clone());
        facts.processes = Ok(Listed { shown: vec![(7, Ok(status))], more: 2 });
        facts.cgroup.path = Ok(evil.clone());
        facts.cgroup.files = vec![("memory.max", "Memory, at most", Ok(evil))];
        let page = of(&facts);
        assert_well_formed(&page);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;") && page.contains("2 more"));
    }
}
