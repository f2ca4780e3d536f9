//! What a search asks of each row: `Name=="wan"`, all of them at once with `&&`.
//!
//! In:  the text in the brackets; later a parameter's value and its kind. Out: whether it holds.
//!
//! Kinds are compared as they are: numbers by their size, times by their text where both are UTC in one form, booleans and texts by
//! equality only.
//!
//! Source: TR-369 §2.5.6 (searching by expression).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::{CONDITIONS_MAX, Error, is_name};
use crate::message::read::ValueType;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The parameter, from the row on: perhaps with objects and followed references before it.
    pub parameter: &'a str,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: Value<'a>,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    More,
    /// `~=`: the list contains it.
    Contains,
}

/// With what it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Between quotes; `%22` and `%25` are a quote and a per cent sign.
    Text(Cow<'a, str>),
    /// A number, a boolean or a time, as it was written.
    Word(&'a str),
}

/// The longest first: `<=` is no `<`.
const OPERATORS: [(&str, Operator); 7] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("~=", Operator::Contains),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// Reads what stands between the brackets.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Condition<'_>>, Error> {
    let mut conditions = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (condition, after) = parse_one(text).ok_or(Error::Condition)?;
        conditions.push(condition);
        if conditions.len() > CONDITIONS_MAX {
            return Err(Error::Long);
        }
        rest = after;
    }
    Ok(conditions)
}

/// One condition, and what comes after `&&`. Space around the operator is left out (R-ARC.9a).
fn parse_one(text: &str) -> Option<(Condition<'_>, Option<&str>)> {
    let end = text.find(|letter: char| "=!<>~".contains(letter))?;
    let (parameter, tail) = text.split_at_checked(end)?;
    let parameter = parameter.trim_matches(' ');
    let is_path = parameter.split('.').all(|step| {
        let step = step.strip_suffix('+').unwrap_or(step);
        is_name(step.split_once('#').map_or(step, |(name, _)| name)) || step.parse::<u32>().is_ok()
    });
    let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| tail.starts_with(sign))?;
    let tail = tail.get(sign.len()..)?.trim_start_matches(' ');
    let (value, tail) = if let Some(quoted) = tail.strip_prefix('"') {
        let (inner, tail) = quoted.split_once('"')?;
        (Value::Text(decoded(inner)?), tail)
    } else {
        let end = tail.find("&&").unwrap_or(tail.len());
        let (word, tail) = tail.split_at_checked(end)?;
        (Value::Word(word).checked()?, tail)
    };
    let after = match tail {
        "" => None,
        more => Some(more.strip_prefix("&&")?),
    };
    is_path.then_some((Condition { parameter, operator, value }, after))
}

impl<'a> Value<'a> {
    /// A word is a number, a boolean or a time; a text has quotes.
    fn checked(self) -> Option<Self> {
        let Self::Word(word) = self else { return Some(self) };
        let number = word.strip_prefix('-').unwrap_or(word);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = match number.split_once('.') {
            None => digits(number),
            Some((whole, part)) => digits(whole) && digits(part),
        };
        let letter = |byte: u8| byte.is_ascii_digit() || b"-:.TZ".contains(&byte);
        let is_time = word.len() >= 19 && word.bytes().all(letter);
        (is_number || is_time || ["true", "false"].contains(&word)).then_some(Self::Word(word))
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Word(word) => word,
        }
    }
}

/// Per cent signs taken away. Source: TR-369 §2.5.6: only `%22` and `%25` are needed, others are allowed.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let (digits, more) = more.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = more;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

impl Condition<'_> {
    /// Whether it holds for a parameter of `kind` that has `value`.
    #[must_use]
    pub fn holds(&self, kind: ValueType, value: &str) -> bool {
        let wanted = self.value.text();
        if self.operator == Operator::Contains {
            return value.split(',').any(|one| one.trim() == wanted);
        }
        let order = match kind {
            ValueType::Int | ValueType::Long | ValueType::UnsignedInt | ValueType::UnsignedLong => {
                let number = |text: &str| text.parse::<i128>().ok();
                number(value).zip(number(wanted)).map(|(one, other)| one.cmp(&other))
            }
            ValueType::Decimal => {
                let number = |text: &str| text.parse::<f64>().ok();
                number(value).zip(number(wanted)).and_then(|(one, other)| one.partial_cmp(&other))
            }
            ValueType::Boolean => {
                let word = |text: &str| match text {
                    "true" | "1" => Some(true),
                    "false" | "0" => Some(false),
                    _ => None,
                };
                word(value).zip(word(wanted)).map(|(one, other)| one.cmp(&other))
            }
            ValueType::Unknown
            | ValueType::Base64
            | ValueType::DateTime
            | ValueType::HexBinary
            | ValueType::String => Some(value.cmp(wanted)),
        };
        let ordered = !matches!(
            kind,
            ValueType::Boolean
                | ValueType::String
                | ValueType::Base64
                | ValueType::HexBinary
                | ValueType::Unknown
        );
        match (self.operator, order) {
            (Operator::Equal, order) => order == Some(Ordering::Equal),
            (Operator::NotEqual, order) => order.is_some_and(|order| order != Ordering::Equal),
            (Operator::AtMost, Some(order)) => ordered && order != Ordering::Greater,
            (Operator::AtLeast, Some(order)) => ordered && order != Ordering::Less,
            (Operator::Less, Some(order)) => ordered && order == Ordering::Less,
            (Operator::More, Some(order)) => ordered && order == Ordering::Greater,
            (Operator::AtMost | Operator::AtLeast | Operator::Less | Operator::More, None)
            | (Operator::Contains, _) => false,
        }
    }
}

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator);
        write!(f, "{}{}", self.parameter, sign.map_or("", |(sign, _)| sign))?;
        match &self.value {
            Value::Text(text) => write!(f, "\"{}\"", text.replace('%', "%25").replace('"', "%22")),
            Value::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_all;
    use crate::message::read::ValueType as T;

    #[test]
    fn a_condition_holds_or_not() {
        let table = [
            ("A==\"x\"", T::String, "x", true),
            ("A!=\"x\"", T::String, "x", false),
            ("A<\"x\"", T::String, "a", false),
            ("A>=9", T::UnsignedInt, "10", true),
            ("A<9", T::Int, "-10", true),
            ("A>1.5", T::Decimal, "1.75", true),
            ("A==true", T::Boolean, "true", true),
            ("A!=false", T::Boolean, "true", true),
            ("A<true", T::Boolean, "false", false),
            ("A~=\"b\"", T::String, "a, b,c", true),
            ("A~=\"d\"", T::String, "a,b,c", false),
            ("A>2026-01-01T00:00:00Z", T::DateTime, "2026-11-25T00:00:00Z", true),
            ("A==7", T::UnsignedInt, "seven", false),
            ("A!=7", T::UnsignedInt, "seven", false),
        ];
        for (text, kind, value, holds) in table {
            let conditions = parse_all(text).unwrap();
            assert_eq!(conditions[0].holds(kind, value), holds, "{text} {value}");
        }
    }
}
