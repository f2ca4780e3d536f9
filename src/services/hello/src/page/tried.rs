//! The last section: what was tried, and what the kernel said.
//!
//! In:  answers. Out: markup. What got through is said as plainly as what did not.

use super::html::Html;
use crate::facts::Facts;
use crate::probe::{Answer, Field, Outcome};

/// Fields, in order, with what they are called here.
const FIELDS: [(Field, &str); 4] = [
    (Field::Files, "Files"),
    (Field::Processes, "Processes, rights and limits"),
    (Field::Network, "Network"),
    (Field::Machine, "The machine"),
];

pub(super) fn section(page: &mut Html, facts: &Facts) {
    page.markup("<section class=\"tried\">\n<h2>");
    match &facts.answers {
        Ok(answers) => {
            let through = answers.iter().filter(|answer| answer.outcome == Outcome::Through).count();
            if through == 0 {
                page.markup("What it tried in vain</h2>\n<p>A service has no business with any of these. So it tried them all, for you, a moment ago. Here is what the kernel said.</p>\n");
            } else {
                page.markup("What it tried, not all in vain</h2>\n<p class=\"warning\">A service has no business with any of these, and it got through with ");
                page.text(through).markup(" of them.</p>\n");
            }
            page.markup("<div class=\"columns\">\n");
            for (field, title) in FIELDS {
                page.markup("<section>\n<h3>").markup(title).markup("</h3>\n<table><thead><tr><th scope=\"col\">Tried</th><th scope=\"col\">Answer</th></tr></thead><tbody>\n");
                answers
                    .iter()
                    .filter(|answer| answer.tried.field == field)
                    .for_each(|answer| row(page, answer));
                page.markup("</tbody></table>\n</section>\n");
            }
            page.markup("</div>\n");
        }
        Err(hidden) => {
            page.markup("What it could not even try</h2>\n<p>Its tries are made by a child, and it could not start one. The kernel says ");
            page.text(hidden).markup(".</p>\n");
        }
    }
    page.markup("</section>\n");
}

fn row(page: &mut Html, answer: &Answer) {
    page.markup("<tr><td>").markup(answer.tried.what).markup(" <small>");
    page.markup(answer.tried.call).markup("</small></td><td>");
    match answer.outcome {
        Outcome::Refused(errno) => {
            page.markup("<b class=\"no\">").text(format_args!("{errno:?}")).markup("</b> <small>");
            page.text(errno.desc()).markup("</small>")
        }
        Outcome::Through => page.markup("<b class=\"yes\">got through</b>"),
        Outcome::Ended => {
            page.markup("<b class=\"no\">no answer</b> <small>the process that asked was ended</small>")
        }
    };
    page.markup("</td></tr>\n");
}
