//! Execution environments come, get another size and go.
//!
//! In:  a class of them, where the agent has one. Out: rows of the suite. The environment is gone at the end.
//!
//! Source: TR-181 2.19.1, `ExecEnvClass.{i}.AddExecEnv()`, `ExecEnv.{i}.ModifyConstraints()`, `Remove()` (fault 7227).

use super::{MODULES, Suite, must};
use crate::error::Error;

/// What the suite's environment is called.
const NAME: &str = "conform";
/// Its memory, and what it is then, in KiB.
const SIZES: [&str; 2] = ["65536", "98304"];
/// What nobody has: the largest number that the parameter can have, in KiB.
const TOO_MUCH: &str = "2147483647";
/// Resources exceeded; system resources exceeded.
const EXCEEDED: [u32; 2] = [7005, 7227];

impl Suite<'_, '_> {
    pub(super) fn environments(&mut self) -> Result<(), Error> {
        let classes = format!("{MODULES}ExecEnvClass.");
        let found = self.get(MODULES)?.unwrap_or_default();
        let class = found.keys().find_map(|path| path.strip_prefix(&classes)?.split_once('.'));
        let Some((class, _)) = class else {
            let rule = "an environment comes, gets another size and goes";
            self.skip("TR-181 AddExecEnv()", rule, "the agent has no ExecEnvClass");
            return Ok(());
        };
        let add = format!("{classes}{class}.AddExecEnv()");
        self.too_large(&add)?;
        let story = self.operate(&add, &[("Name", NAME), ("AllocatedMemory", SIZES[0])], false)?;
        let reference = match story.complete() {
            Some(Ok(output)) => output.get("ExecEnvRef").cloned().unwrap_or_default(),
            Some(Err(_)) | None => String::new(),
        };
        let kept = must(!reference.is_empty(), || format!("{story:?}"));
        self.note("TR-181 AddExecEnv()", "it ends with where the new environment is", kept);
        if reference.is_empty() {
            return Ok(());
        }
        let environment = reference.trim_end_matches('.').to_owned();
        let row = self.get(&format!("{environment}."))?.unwrap_or_default();
        let of = |name: &str| row.get(&format!("{environment}.{name}")).map(String::as_str);
        let kept =
            must(of("Name") == Some(NAME) && of("AllocatedMemory") == Some(SIZES[0]), || format!("{row:?}"));
        self.note("TR-181 ExecEnv", "its row has its name and its size", kept);
        self.resize_and_remove(&environment)
    }

    /// One that is too large is refused, and leaves nothing.
    fn too_large(&mut self, add: &str) -> Result<(), Error> {
        let count = format!("{MODULES}ExecEnvNumberOfEntries");
        let before = self.value(&count)?;
        let story = self.operate(add, &[("Name", NAME), ("AllocatedMemory", TOO_MUCH)], false)?;
        let ended = story.complete().and_then(|end| end.as_ref().err().copied());
        let code = story.refused.or(ended);
        let kept = must(code.is_some_and(|code| EXCEEDED.contains(&code)), || format!("{story:?}"));
        self.note("TR-181 fault 7227", "an environment larger than all there is", kept);
        let after = self.value(&count)?;
        let kept = must(before == after, || format!("{before}, then {after}"));
        self.note("TR-181 AddExecEnv()", "one that is refused leaves no row", kept);
        Ok(())
    }

    fn resize_and_remove(&mut self, environment: &str) -> Result<(), Error> {
        let command = format!("{environment}.ModifyConstraints()");
        let story = self.operate(&command, &[("AllocatedMemory", SIZES[1])], false)?;
        let kept = must(matches!(story.complete(), Some(Ok(_))), || format!("{story:?}"));
        self.note("TR-181 ModifyConstraints()", "the change of its size ends", kept);
        let found = self.becomes(&format!("{environment}.AllocatedMemory"), SIZES[1])?;
        self.note("TR-181 ExecEnv", "it has the other size", must(found == SIZES[1], || found.clone()));
        let story = self.operate(&format!("{environment}.Remove()"), &[], false)?;
        let kept = must(matches!(story.complete(), Some(Ok(_))), || format!("{story:?}"));
        self.note("TR-181 Remove()", "an empty environment goes", kept);
        let left = self.get(&format!("{environment}."))?.unwrap_or_default();
        self.note("TR-181 Remove()", "its row is gone", must(left.is_empty(), || format!("{left:?}")));
        Ok(())
    }
}
