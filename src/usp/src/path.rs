//! Paths into the tree of parameters: parse, print, match.
//!
//! In:  a controller's text. Out: a [`Path`], which prints as it was read.
//!
//! ```text
//! Device.LocalAgent.                          an object
//! Device.DeviceInfo.UpTime                    a parameter
//! Device.Reboot()   Device.Boot!              a command, an event
//! Device.IP.Interface.2.   .*.   .{i}.        an instance, each instance, a table's row as the model has it
//! Device.IP.Interface.[Name=="wan"&&Enable==true].Stats.      each instance for which all of this holds
//! Device.IP.Interface.1.LowerLayers#2+.Name   what the second path of the list in that parameter leads to
//! ```
//!
//! Not here: which instances there are, and what they hold (`agent`).
//!
//! Source: TR-369 §2.5 (path names), its grammar in `path.abnf`'s words; TR-106 §3.2.3 (references).

pub mod condition;

use std::fmt;

use condition::Condition;

/// Bytes of a path. A list of paths in a parameter has at most 1 024 of them (TR-181).
pub const BYTES_MAX: usize = 1024;
/// Steps of a path.
pub const STEPS_MAX: usize = 32;
/// Conditions in one step.
pub const CONDITIONS_MAX: usize = 16;

/// Why a text is no path. What a controller is told: 7008.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It has more than [`BYTES_MAX`], [`STEPS_MAX`] or [`CONDITIONS_MAX`].
    Long,
    /// It does not begin with a name.
    Begin,
    /// A step is none.
    Step,
    /// Something stands after the end.
    End,
    /// A condition is none.
    Condition,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "path: too long",
            Self::Begin => "path: does not begin with a name",
            Self::Step => "path: a step is no name, number, *, {i} or [condition]",
            Self::End => "path: something stands after its end",
            Self::Condition => "path: a condition is not NAME OPERATOR VALUE",
        })
    }
}

impl std::error::Error for Error {}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// An object, or a table.
    Name(&'a str),
    /// A row of a table.
    Instance(u32),
    /// Each row.
    Each,
    /// A row, as the model speaks of it: `{i}`.
    Row,
    /// Each row for which all of this holds.
    Search(Vec<Condition<'a>>),
    /// What the parameter leads to; of a list the `n`th (from 1), `None`: all of it.
    Follow(&'a str, Follow),
}

/// Which paths of a parameter's list are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The first: `+`.
    First,
    /// The one in this place, from 1: `#2+`.
    Place(u32),
    /// Each: `#*+`.
    Each,
}

/// What a path ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// Nothing: it is an object's.
    Object,
    /// A parameter.
    Parameter(&'a str),
    /// A command, without its brackets.
    Command(&'a str),
    /// An event, without its mark.
    Event(&'a str),
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// From the root on.
    pub steps: Vec<Step<'a>>,
    /// At the end.
    pub leaf: Leaf<'a>,
}

/// A name: of an object, a parameter, a command. Source: TR-106 §3.1 (XML names, without the colon).
pub(crate) fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl<'a> Path<'a> {
    /// Reads a path.
    ///
    /// # Errors
    /// It is none: 7008.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            return Err(Error::Long);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        let leaf = loop {
            let (piece, after) = cut(rest)?;
            let Some(after) = after else { break leaf(piece)? };
            steps.push(step(piece)?);
            if steps.len() > STEPS_MAX {
                return Err(Error::Long);
            }
            rest = after;
        };
        match (steps.first(), leaf) {
            (Some(Step::Name(_)), _) | (None, Leaf::Parameter(_)) => Ok(Self { steps, leaf }),
            _ => Err(Error::Begin),
        }
    }

    /// It names one place and no more: no `*`, search, reference or `{i}`.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Name(_) | Step::Instance(_)))
    }

    /// This pattern covers the place `plain` and all below it. What a pattern searches for or follows covers nothing: only a tree
    /// knows where that leads.
    #[must_use]
    pub fn covers(&self, plain: &Path<'_>) -> bool {
        if self.steps.len() > plain.steps.len() {
            return false;
        }
        let steps = self.steps.iter().zip(&plain.steps).all(|(pattern, step)| match (pattern, step) {
            (Step::Name(one), Step::Name(other)) => one == other,
            (Step::Instance(one), Step::Instance(other)) => one == other,
            (Step::Each | Step::Row, Step::Instance(_) | Step::Row) => true,
            _ => false,
        });
        let same_leaf = self.steps.len() == plain.steps.len() && self.leaf == plain.leaf;
        steps && (self.leaf == Leaf::Object || same_leaf)
    }
}

/// Splits at the first dot that is not in brackets; the second is `None` where there is no dot.
fn cut(text: &str) -> Result<(&str, Option<&str>), Error> {
    let (mut inside, mut quoted) = (false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if inside => quoted = !quoted,
            b'[' if !quoted => inside = true,
            b']' if !quoted => inside = false,
            b'.' if !inside => {
                let (piece, rest) = text.split_at(place);
                return Ok((piece, rest.get(1..)));
            }
            _ => {}
        }
    }
    if inside { Err(Error::Condition) } else { Ok((text, None)) }
}

fn step(text: &str) -> Result<Step<'_>, Error> {
    if text == "*" {
        return Ok(Step::Each);
    }
    if text == "{i}" {
        return Ok(Step::Row);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(Error::Condition)?;
        return condition::parse_all(inner).map(Step::Search);
    }
    if let Some(followed) = text.strip_suffix('+') {
        let (name, which) = match followed.split_once('#') {
            None => (followed, Follow::First),
            Some((name, "*")) => (name, Follow::Each),
            Some((name, place)) => (name, Follow::Place(number(place).ok_or(Error::Step)?)),
        };
        return if is_name(name) { Ok(Step::Follow(name, which)) } else { Err(Error::Step) };
    }
    match number(text) {
        Some(instance) => Ok(Step::Instance(instance)),
        None if is_name(text) => Ok(Step::Name(text)),
        None => Err(Error::Step),
    }
}

/// A number from 1 on, written in one way only.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

fn leaf(text: &str) -> Result<Leaf<'_>, Error> {
    if text.is_empty() {
        return Ok(Leaf::Object);
    }
    let (name, leaf) = if let Some(name) = text.strip_suffix("()") {
        (name, Leaf::Command(name))
    } else if let Some(name) = text.strip_suffix('!') {
        (name, Leaf::Event(name))
    } else {
        (text, Leaf::Parameter(text))
    };
    if is_name(name) { Ok(leaf) } else { Err(Error::End) }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{step}.")?;
        }
        match self.leaf {
            Leaf::Object => Ok(()),
            Leaf::Parameter(name) => f.write_str(name),
            Leaf::Command(name) => write!(f, "{name}()"),
            Leaf::Event(name) => write!(f, "{name}!"),
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Instance(number) => write!(f, "{number}"),
            Self::Each => f.write_str("*"),
            Self::Row => f.write_str("{i}"),
            Self::Search(conditions) => {
                for (place, condition) in conditions.iter().enumerate() {
                    write!(f, "{}{condition}", if place == 0 { "[" } else { "&&" })?;
                }
                f.write_str("]")
            }
            Self::Follow(name, Follow::First) => write!(f, "{name}+"),
            Self::Follow(name, Follow::Place(place)) => write!(f, "{name}#{place}+"),
            Self::Follow(name, Follow::Each) => write!(f, "{name}#*+"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Leaf, Path};

    #[test]
    fn a_path_prints_as_it_was_read() {
        let table = [
            "Device.",
            "Device.LocalAgent.Controller.12.EndpointID",
            "Device.Reboot()",
            "Device.Boot!",
            "Device.IP.Interface.*.Stats.",
            "Device.IP.Interface.{i}.IPv4Address.{i}.",
            "Device.A.[Name==\"a.b]c\"&&Enable==true].X",
            "Device.A.[B.C>=7].",
            "Device.A.[X~=\"%22%25\"].",
            "Device.A.1.Lower#2+.Name",
            "Device.A.1.Lower#*+.",
            "Device.A.1.Lower+.Name",
            "Device.A.[Ref+.Name==\"x\"].",
            "Enable",
            "Device.X_EXAMPLE-1_Y.",
        ];
        for text in table {
            assert_eq!(Path::parse(text).map(|path| path.to_string()).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(Path::parse("Device.Reboot()").map(|path| path.leaf), Ok(Leaf::Command("Reboot")));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("Device.{}", "a.".repeat(40));
        let table = [
            ("", Error::Begin),
            (".", Error::Step),
            ("1.", Error::Begin),
            ("*.Name", Error::Begin),
            ("Reboot()", Error::Begin),
            ("Device..", Error::Step),
            ("Device.0.", Error::Step),
            ("Device.01.", Error::Step),
            ("Device.4294967296.", Error::Step),
            ("Device.a b.", Error::Step),
            ("Device.ä.", Error::Step),
            ("Device.A().B", Error::Step),
            ("Device.A!x", Error::End),
            ("Device.A.*", Error::End),
            ("Device.A.1", Error::End),
            ("Device.A.[Name==\"x].", Error::Condition),
            ("Device.A.[].", Error::Condition),
            ("Device.A.[Name=\"x\"].", Error::Condition),
            ("Device.A.[Name==x].", Error::Condition),
            (&long, Error::Long),
        ];
        for (text, error) in table {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_below_it() {
        let table = [
            ("Device.", "Device.A.1.B", true),
            ("Device.A.", "Device.A.1.", true),
            ("Device.A.*.B", "Device.A.7.B", true),
            ("Device.A.{i}.", "Device.A.7.C.2.D", true),
            ("Device.A.*.B", "Device.A.7.B.C", false),
            ("Device.A.1.", "Device.A.2.", false),
            ("Device.A.1.", "Device.A.", false),
            ("Device.B!", "Device.B!", true),
            ("Device.B!", "Device.B", false),
            ("Device.A.[X==1].", "Device.A.1.", false),
        ];
        for (pattern, plain, covered) in table {
            let (pattern, plain) = (Path::parse(pattern).unwrap(), Path::parse(plain).unwrap());
            assert_eq!(pattern.covers(&plain), covered, "{pattern} {plain}");
        }
    }
}
