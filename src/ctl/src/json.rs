//! A small writer of JSON objects, one a line's worth.
//!
//! In:  names and values. Out: text.
//!
//! Source: RFC 8259.

use std::fmt::{Display, Write as _};

/// An object in the making.
#[derive(Debug, Default)]
pub struct Object {
    text: String,
}

impl Object {
    fn key(&mut self, key: &str) {
        self.text.push_str(if self.text.is_empty() { "{" } else { "," });
        quote(key, &mut self.text);
        self.text.push(':');
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        quote(&value.to_string(), &mut self.text);
        self
    }

    /// Adds yes or no.
    #[must_use]
    pub fn flag(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.text.push_str(if value { "true" } else { "false" });
        self
    }

    /// Adds a number; `null` where there is none.
    #[must_use]
    pub fn number(mut self, key: &str, value: Option<u64>) -> Self {
        self.key(key);
        match value {
            Some(value) => drop(write!(self.text, "{value}")), // Writing into a String does not fail.
            None => self.text.push_str("null"),
        }
        self
    }

    /// Adds a text; `null` where there is none.
    #[must_use]
    pub fn maybe(mut self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => {
                self.key(key);
                self.text.push_str("null");
                self
            }
        }
    }

    /// Adds a list of what is JSON already.
    #[must_use]
    pub fn list(mut self, key: &str, values: &[String]) -> Self {
        self.key(key);
        self.text.push_str(&array(values));
        self
    }

    /// The object.
    #[must_use]
    pub fn end(mut self) -> String {
        self.text.push_str(if self.text.is_empty() { "{}" } else { "}" });
        self.text
    }
}

/// A list of what is JSON already.
#[must_use]
pub fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// A text as JSON.
#[must_use]
pub fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quote(text, &mut quoted);
    quoted
}

/// Source: RFC 8259 §7.
fn quote(text: &str, into: &mut String) {
    into.push('"');
    for letter in text.chars() {
        match letter {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\t' => into.push_str("\\t"),
            control if control < ' ' => drop(write!(into, "\\u{:04x}", u32::from(control))),
            plain => into.push(plain),
        }
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::{Object, array};

    #[test]
    fn what_is_written_is_json() {
        let object = Object::default()
            .text("name", "a \"quoted\" \\ line\n\u{1}")
            .number("pid", Some(7))
            .number("none", None)
            .maybe("address", None::<u8>)
            .list("layers", &["1".to_owned(), "2".to_owned()])
            .end();
        let wanted =
            r#"{"name":"a \"quoted\" \\ line\n\u0001","pid":7,"none":null,"address":null,"layers":[1,2]}"#;
        assert_eq!(object, wanted);
        assert_eq!(array(&[]), "[]");
        assert_eq!(Object::default().end(), "{}");
    }
}
