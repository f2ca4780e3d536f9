//! Who may do what: a role's permissions on paths, as pure functions.
//!
//! In:  rules as TR-181's `ControllerTrust.Role.{i}.Permission.{i}.` has them, a plain path. Out: [`May`].
//!
//! Of the rules of one role that cover a path the one with the highest order holds, alone. What one of several roles grants is granted.
//! What no rule covers is not granted.
//!
//! Source: TR-369 §6.6.5 (roles); TR-181 2.19.1, `Device.LocalAgent.ControllerTrust.Role.{i}.Permission.{i}.`.

use crate::path::{Leaf, Path, Step};

/// Four rights: read, write, execute, notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct May {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `x`
    pub execute: bool,
    /// `n`
    pub notify: bool,
}

impl May {
    /// All four.
    pub const ALL: Self = Self { read: true, write: true, execute: true, notify: true };

    /// Reads `rwxn`, with `-` for what is not granted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut may = [false; 4];
        let letters = text.as_bytes();
        if letters.len() != 4 {
            return None;
        }
        for ((flag, letter), granted) in may.iter_mut().zip(letters).zip(b"rwxn") {
            match letter {
                b'-' => {}
                letter if letter == granted => *flag = true,
                _ => return None,
            }
        }
        let [read, write, execute, notify] = may;
        Some(Self { read, write, execute, notify })
    }

    /// As [`May::parse`] reads it.
    #[must_use]
    pub fn text(self) -> String {
        let letter = |granted, letter| if granted { letter } else { '-' };
        [(self.read, 'r'), (self.write, 'w'), (self.execute, 'x'), (self.notify, 'n')]
            .map(|(granted, word)| letter(granted, word))
            .iter()
            .collect()
    }

    /// What either grants.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            execute: self.execute || other.execute,
            notify: self.notify || other.notify,
        }
    }

    /// What both grant.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            read: self.read && other.read,
            write: self.write && other.write,
            execute: self.execute && other.execute,
            notify: self.notify && other.notify,
        }
    }
}

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A disabled one is not looked at.
    pub enable: bool,
    /// Of several that cover a path the highest holds.
    pub order: u32,
    /// Paths, as the text of the parameter has them: each covers all below it.
    pub targets: Vec<String>,
    /// On parameters.
    pub param: May,
    /// On objects and tables: `w` is to add.
    pub object: May,
    /// On rows: `w` is to delete.
    pub instance: May,
    /// On commands (`x`) and events (`n`).
    pub command_event: May,
}

impl Rule {
    /// All of it, or nothing, for `target`.
    #[must_use]
    pub fn same(order: u32, target: &str, may: May) -> Self {
        let targets = vec![target.to_owned()];
        Self { enable: true, order, targets, param: may, object: may, instance: may, command_event: may }
    }

    fn covers(&self, path: &Path<'_>) -> bool {
        self.enable && self.targets.iter().any(|target| covers(target, path))
    }

    fn on(&self, path: &Path<'_>) -> May {
        match (path.leaf, path.steps.last()) {
            (Leaf::Parameter(_), _) => self.param,
            (Leaf::Command(_) | Leaf::Event(_), _) => self.command_event,
            (Leaf::Object, Some(Step::Instance(_))) => self.instance,
            (Leaf::Object, _) => self.object,
        }
    }
}

/// A target may be written without its last dot, as TR-369's examples do.
fn covers(target: &str, path: &Path<'_>) -> bool {
    let is = |text: &str| Path::parse(text).is_ok_and(|pattern| pattern.covers(path));
    is(target) || (!target.ends_with(['.', ')', '!']) && is(&format!("{target}.")))
}

/// What a controller with `roles`, each a list of rules, may do at `path`, which is plain.
pub fn granted<'r>(roles: impl IntoIterator<Item = &'r [Rule]>, path: &Path<'_>) -> May {
    roles.into_iter().fold(May::default(), |may, rules| {
        let rule = rules.iter().filter(|rule| rule.covers(path)).max_by_key(|rule| rule.order);
        may.or(rule.map(|rule| rule.on(path)).unwrap_or_default())
    })
}

/// What a role with `rules` may do at every place of one `kind` at and below `part`, an object that is in no row.
///
/// It is asked where nobody here knows which places there are: a search in somebody else's part of the tree, a row that is yet to be made. A
/// rule that speaks of less than the whole part takes away and never adds: what is not certain is not granted.
pub fn granted_throughout(rules: &[Rule], part: &Path<'_>, kind: fn(&Rule) -> May) -> May {
    let of_whole = rules.iter().filter(|rule| rule.covers(part)).max_by_key(|rule| rule.order);
    let Some(of_whole) = of_whole else { return May::default() };
    let begin = part.to_string();
    let inside = rules.iter().filter(|rule| rule.enable && rule.order >= of_whole.order);
    let inside = inside.filter(|rule| rule.targets.iter().any(|target| target.starts_with(&begin)));
    inside.fold(kind(of_whole), |may, rule| may.and(kind(rule)))
}

/// Whether a role with `rules` may read anything at and below `part`, an object that is in no row, as far as nobody can say that it may not.
///
/// It is asked before somebody else is: where it is false nothing of the answer would be seen.
#[must_use]
pub fn may_read_within(rules: &[Rule], part: &Path<'_>) -> bool {
    let begin = part.to_string();
    let reads =
        |rule: &&Rule| rule.param.read || rule.object.read || rule.instance.read || rule.command_event.read;
    let of_whole = rules.iter().filter(|rule| rule.covers(part)).max_by_key(|rule| rule.order);
    let inside = |rule: &&Rule| rule.enable && rule.targets.iter().any(|target| target.starts_with(&begin));
    of_whole.iter().any(reads) || rules.iter().filter(inside).any(|rule| reads(&rule))
}

#[cfg(test)]
mod tests {
    use super::{May, Rule, granted, granted_throughout, may_read_within};
    use crate::path::Path;

    #[test]
    fn rights_are_four_letters() {
        for text in ["rwxn", "----", "r--n", "-w--"] {
            assert_eq!(May::parse(text).map(May::text).as_deref(), Some(text));
        }
        for text in ["", "rwx", "wr--", "rwxnn", "R---", "r-n-"] {
            assert_eq!(May::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_highest_order_holds_and_roles_add_up() {
        let read = May { read: true, ..May::default() };
        let whole = [
            Rule::same(1, "Device", May::ALL),
            Rule::same(2, "Device.LocalAgent.ControllerTrust", May::default()),
            Rule { enable: false, ..Rule::same(9, "Device.", May::default()) },
        ];
        let reader = [
            Rule::same(1, "Device.LocalAgent.", read),
            Rule { instance: May::default(), ..Rule::same(2, "Device.A.*.", May::ALL) },
        ];
        let table: &[(&str, &[&[Rule]], &str)] = &[
            ("Device.Time.Enable", &[&whole], "rwxn"),
            ("Device.LocalAgent.ControllerTrust.Role.1.Name", &[&whole], "----"),
            ("Device.LocalAgent.ControllerTrust.Role.1.Name", &[&whole, &reader], "r---"),
            ("Device.Time.Enable", &[&reader], "----"),
            ("Device.A.1.", &[&reader], "----"),
            ("Device.A.1.B", &[&reader], "rwxn"),
            ("Device.A.1.C.", &[&reader], "rwxn"),
            ("Device.Time.Enable", &[], "----"),
        ];
        for (path, roles, may) in table {
            let got = granted(roles.iter().copied(), &Path::parse(path).unwrap());
            assert_eq!(got.text(), *may, "{path}");
        }
    }

    #[test]
    fn what_is_granted_throughout_is_granted_everywhere() {
        let read = May { read: true, ..May::default() };
        let set = May { write: true, ..read };
        let whole = Rule::same(1, "Device.X.hello", May::ALL);
        let table: &[(&str, Vec<Rule>, &str)] = &[
            ("of all", vec![Rule::same(1, "Device.", May::ALL)], "rwxn"),
            ("less inside", vec![whole.clone(), Rule::same(2, "Device.X.hello.Lamp.*.", read)], "r---"),
            (
                "inside, and lower",
                vec![Rule { order: 3, ..whole.clone() }, Rule::same(2, "Device.X.hello.A.", read)],
                "rwxn",
            ),
            (
                "more inside",
                vec![Rule::same(1, "Device.", read), Rule::same(2, "Device.X.hello.A.", set)],
                "r---",
            ),
            ("a part alone", vec![Rule::same(2, "Device.X.hello.A.", May::ALL)], "----"),
            ("somebody else", vec![whole.clone(), Rule::same(2, "Device.X.hellos.", May::default())], "rwxn"),
            (
                "not enabled",
                vec![whole, Rule { enable: false, ..Rule::same(2, "Device.X.hello.A.", read) }],
                "rwxn",
            ),
            ("nothing", vec![], "----"),
        ];
        let part = Path::parse("Device.X.hello.").unwrap();
        for (name, rules, may) in table {
            assert_eq!(granted_throughout(rules, &part, |rule| rule.param).text(), *may, "{name}");
        }
    }

    #[test]
    fn who_may_read_nothing_of_a_part_is_known() {
        let read = May { read: true, ..May::default() };
        let all = Rule::same(1, "Device.", May::ALL);
        let table: &[(&str, Vec<Rule>, bool)] = &[
            ("all of it", vec![all.clone()], true),
            ("a row of it", vec![Rule::same(1, "Device.X.hello.Lamp.*.Key", read)], true),
            (
                "commands of it",
                vec![Rule { command_event: read, ..Rule::same(1, "Device.X.hello.", May::default()) }],
                true,
            ),
            ("all but it", vec![all.clone(), Rule::same(2, "Device.X.hello.", May::default())], false),
            (
                "all but it, and a part",
                vec![
                    all,
                    Rule::same(2, "Device.X.hello.", May::default()),
                    Rule::same(3, "Device.X.hello.A.", read),
                ],
                true,
            ),
            ("somebody else's", vec![Rule::same(1, "Device.X.hellos.", read)], false),
            ("not enabled", vec![Rule { enable: false, ..Rule::same(1, "Device.X.hello.A.", read) }], false),
            (
                "only written",
                vec![Rule::same(1, "Device.X.hello.", May { write: true, ..May::default() })],
                false,
            ),
            ("nothing", vec![], false),
        ];
        let part = Path::parse("Device.X.hello.").unwrap();
        for (name, rules, want) in table {
            assert_eq!(may_read_within(rules, &part), *want, "{name}");
        }
    }
}
