//! `lab under`: runs a program under policies, for who makes a service.
//!
//! In:  policies (docs/policies.md), a program and its words. Out: what the program says, on its own standard output and error.
//!
//! The filter is the one that the gateway would have of these texts, for this machine's ABI. Else the program is as free as whoever calls: of
//! a service's layers this is the one that can be tried without a gateway.
//!
//! Not here: what a policy means and how it becomes a filter (`sandbox`), writing one (`trace.rs`).
//!
//! Source: bwrap(1), `--seccomp`; linux/filter.h, `struct sock_filter`.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use crate::command::Words;
use crate::error::Error;
use crate::house::{self, Scratch};
use crate::tool;

/// It gets the filter at descriptor 9.
const SCRIPT: &str =
    "filter=$1; shift; exec bwrap --die-with-parent --dev-bind / / --seccomp 9 -- \"$@\" 9<\"$filter\"";

/// Runs a program.
///
/// # Errors
/// [`Error::Usage`]: no policy, no program. [`Error::Answer`]: a policy is wrong. [`Error::Missing`]: no bwrap. [`Error::Tool`]: the program failed.
pub fn run(words: &Words, _: &mut dyn Write) -> Result<(), Error> {
    let [policies, program, arguments @ ..] = words.rest.as_slice() else {
        return Err(Error::Usage("lab under POLICY[,POLICY]… [--] PROGRAM [WORD]…".to_owned()));
    };
    tool::need("bwrap", "bubblewrap")?;
    let read = |name: &str| {
        let path = path(name);
        fs::read_to_string(&path).map_err(Error::path(&path)).map(|text| (name.to_owned(), text))
    };
    let texts: Vec<(String, String)> = policies.split(',').map(read).collect::<Result<_, Error>>()?;
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let filter = sandbox::compile(&texts).map_err(|why| Error::Answer { who: policies.clone(), why })?;
    let scratch = Scratch::new()?;
    let file = scratch.file("filter");
    File::create(&file).and_then(|mut file| file.write_all(&filter)).map_err(Error::path(&file))?;
    let mut shell = tool::command("sh");
    shell.args(["-c", SCRIPT, "sh"]).arg(&file).arg(program).args(arguments);
    let status = shell.status().map_err(Error::io(program))?;
    let failed = || Error::Tool { program: program.clone(), why: status.to_string() };
    status.success().then_some(()).ok_or_else(failed)
}

/// A policy: one of the gateway's by its name, or a file.
fn path(name: &str) -> PathBuf {
    if name.contains(['/', '.']) {
        return name.into();
    }
    house::top().join(format!("src/sandbox/policy/{name}.policy"))
}

#[cfg(test)]
mod tests {
    use crate::command::Words;
    use crate::error::Error;
    use crate::house::Scratch;
    use crate::kernel::Kernel;
    use crate::trace;

    fn words(rest: &[&str]) -> Words {
        let rest = rest.iter().map(|word| (*word).to_owned()).collect();
        Words { kernel: Kernel::Board, test_root: false, keys: None, rest, all: Vec::new() }
    }

    fn under(policies: &str, program: &[&str]) -> Result<(), Error> {
        super::run(&words(&[&[policies], program].concat()), &mut Vec::new())
    }

    #[test]
    fn a_program_runs_under_what_was_written_of_it_and_under_nothing_less() {
        let program = ["sh", "-c", "read line </proc/self/status; cat /dev/null; true | cat"];
        let mut text = Vec::new();
        trace::run(&words(&program), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let scratch = Scratch::new().unwrap();
        let policy = |name: &str, text: &str| {
            std::fs::write(scratch.file(name), text).unwrap();
            scratch.file(name).display().to_string()
        };
        let (whole, broken) =
            (policy("whole.policy", &text), policy("broken.policy", &format!("{text}permit read\n")));
        // What starts it is not what it does.
        let start = policy("start.policy", "allow execve\n");
        let all = format!("{whole},{start}");
        match under(&all, &program) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            done => done.unwrap(),
        }
        for name in ["openat", "read", "mmap"] {
            let less = text.split(' ').filter(|word| word.trim() != name).collect::<Vec<_>>().join(" ");
            assert_ne!(less, text, "{name} was not called");
            let less = policy("less.policy", &less);
            assert!(
                matches!(under(&format!("{less},{start}"), &program), Err(Error::Tool { .. })),
                "without {name}"
            );
        }
        // Something else that it did not do when it was looked at.
        assert!(matches!(under(&all, &["mkdir", "/proc/self/nowhere"]), Err(Error::Tool { .. })));
        let wrong = under(&broken, &program).unwrap_err().to_string();
        assert!(wrong.contains("begins with allow, refuse or on"), "{wrong}");
    }

    #[test]
    fn the_gateways_own_policies_go_by_their_names() {
        match under("all,strict", &["true"]) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            done => done.unwrap(),
        }
        // A namespace of its own is for no service.
        assert!(matches!(under("all,strict", &["unshare", "--user", "true"]), Err(Error::Tool { .. })));
        assert!(matches!(under("none", &["true"]), Err(Error::Io { .. })));
        assert!(matches!(under("all,strict", &[]), Err(Error::Usage(_))));
    }
}
