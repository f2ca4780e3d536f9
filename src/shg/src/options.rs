//! Reads a verb's words: options that it knows, and the rest.
//!
//! In:  words. Out: what was said, or what is wrong with it. `--name VALUE` and `--name=VALUE` are the same; after `--` all are words.

use crate::error::Error;

/// An option of a verb.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// `--…`
    pub name: &'static str,
    /// What its value is called; empty: it has none.
    pub value: &'static str,
    /// For the help.
    pub about: &'static str,
}

/// What was said.
#[derive(Debug, Default)]
pub struct Options {
    said: Vec<(&'static str, String)>,
    /// What is no option.
    pub words: Vec<String>,
}

impl Options {
    /// Reads `words`.
    ///
    /// # Errors
    /// [`Error::Usage`]: an option is unknown, said twice, or has no value.
    pub fn read(known: &[Known], words: &[String]) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                options.words.extend(rest.by_ref().cloned());
                break;
            }
            let Some(option) = word.strip_prefix("--") else {
                options.words.push(word.clone());
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let usage = |why: &str| Error::Usage(format!("--{name}: {why}"));
            let known =
                known.iter().find(|known| known.name == name).ok_or_else(|| usage("no such option"))?;
            let value = match (known.value.is_empty(), value) {
                (true, Some(_)) => return Err(usage("takes no value")),
                (true, None) => String::new(),
                (false, Some(value)) => value,
                (false, None) => rest.next().cloned().ok_or_else(|| usage("a value is missing"))?,
            };
            if options.has(known.name) {
                return Err(usage("said twice"));
            }
            options.said.push((known.name, value));
        }
        Ok(options)
    }

    /// Was it said?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Its value, if it was said.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.said.iter().find(|(said, _)| *said == name).map(|(_, value)| value.as_str())
    }

    /// Its value, which has to be said.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn need(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::Usage(format!("--{name} is missing")))
    }

    /// Its value as a number from 1 on.
    ///
    /// # Errors
    /// [`Error::Usage`]: it is not there, or none.
    pub fn number(&self, name: &str) -> Result<u64, Error> {
        let value = self.need(name)?;
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| Error::Usage(format!("--{name} {value}: it is a number from 1 on")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Options};

    #[test]
    fn words_are_read_or_refused() {
        let known =
            [Known { name: "key", value: "FILE", about: "" }, Known { name: "json", value: "", about: "" }];
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Options::read(&known, &words)
        };
        let options = read("a --key k --json b -- --c").unwrap();
        assert_eq!((options.get("key"), options.has("json")), (Some("k"), true));
        assert_eq!(options.words, ["a", "b", "--c"]);
        assert_eq!(read("--key=k=l").unwrap().get("key"), Some("k=l"));
        assert!(read("--key=0").unwrap().number("key").is_err());
        for (line, word) in [
            ("--kye k", "no such"),
            ("--key", "missing"),
            ("--json=1", "no value"),
            ("--json --json", "twice"),
        ] {
            let said = read(line).unwrap_err().to_string();
            assert!(said.contains(word), "{line}: {said}");
        }
    }
}
