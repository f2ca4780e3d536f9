//! The pure part of a client of OCI registries: what a registry asks of who comes, and what is shown to it.
//!
//! In:  the words of a `WWW-Authenticate`, a token's answer. Out: what is to be shown, or nothing.
//!
//! Not here: sockets; limits of what is read (whoever reads it).
//!
//! Source: RFC 9110 §11 (authentication); RFC 7617 (`Basic`); the token specification of the CNCF's distribution (`Bearer`).

use contract::base64::letters;
use serde::Deserialize;

/// What a token's answer has at most, in bytes.
pub const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A name and a password.
    Basic,
    /// A token.
    Bearer(Bearer),
}

/// Where a token is given, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bearer {
    /// Where.
    pub realm: String,
    /// By whom it will be looked at.
    pub service: String,
    /// What it allows.
    pub scope: String,
}

impl Challenge {
    /// Reads the value of `WWW-Authenticate`: the first challenge of a kind that is known. `None`: there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut found) = (text, None);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token_of(rest);
            if word.is_empty() {
                return found.and_then(Self::whole);
            }
            let after = after.trim_start_matches([' ', '\t']);
            if let Some(value) = after.strip_prefix('=') {
                let (value, after) = value_of(value.trim_start_matches([' ', '\t']))?;
                if let Some(Self::Bearer(bearer)) = &mut found {
                    bearer.take(word, value);
                }
                rest = after;
                continue;
            }
            // A word without a value begins the next challenge.
            if let Some(whole) = found.take().and_then(Self::whole) {
                return Some(whole);
            }
            found = match word {
                _ if word.eq_ignore_ascii_case("basic") => Some(Self::Basic),
                _ if word.eq_ignore_ascii_case("bearer") => Some(Self::Bearer(Bearer::default())),
                _ => None,
            };
            rest = after;
        }
    }

    fn whole(self) -> Option<Self> {
        match self {
            Self::Bearer(bearer) if bearer.realm.is_empty() => None,
            known @ (Self::Basic | Self::Bearer(_)) => Some(known),
        }
    }
}

impl Bearer {
    fn take(&mut self, word: &str, value: String) {
        // A realm is put into a request as it is.
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
        match word {
            _ if word.eq_ignore_ascii_case("realm") && is_plain => self.realm = value,
            _ if word.eq_ignore_ascii_case("service") => self.service = value,
            _ if word.eq_ignore_ascii_case("scope") => self.scope = value,
            _ => {}
        }
    }

    /// Where the token is asked for.
    #[must_use]
    pub fn url(&self) -> String {
        let mark = if self.realm.contains('?') { '&' } else { '?' };
        format!("{}{mark}service={}&scope={}", self.realm, escaped(&self.service), escaped(&self.scope))
    }
}

/// The token in front of `text`, and what is behind it. Source: RFC 9110 §5.6.2.
fn token_of(text: &str) -> (&str, &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    text.split_at(text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len()))
}

/// The value in front of `text`, and what is behind it. Source: RFC 9110 §5.6.4.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = token_of(text);
        // The padding of a token68.
        return Some((word.to_owned(), after.trim_start_matches('=')));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

/// What `Authorization` says of a name and a password. Source: RFC 7617 §2.
#[must_use]
pub fn basic(user: &str, password: &str) -> String {
    let pair = format!("{user}:{password}");
    format!("Basic {}", letters(pair.as_bytes()).collect::<String>())
}

#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

/// The token in a token's answer. `None`: there is none that could be shown.
#[must_use]
pub fn token(bytes: &[u8]) -> Option<String> {
    let given: Given = serde_json::from_slice(bytes).ok()?;
    let token = given.token.or(given.access_token)?;
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(token)
}

/// `text` as a part of a URL. Source: RFC 3986 §2.1.
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Bearer, Challenge, escaped, token};

    #[test]
    fn a_part_of_a_url_is_escaped() {
        assert_eq!(escaped("repository:a/b:pull,push"), "repository%3Aa%2Fb%3Apull%2Cpush");
    }

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: &str, scope: &str| {
            let [realm, service, scope] = [realm, service, scope].map(str::to_owned);
            Some(Challenge::Bearer(Bearer { realm, service, scope }))
        };
        let table = [
            // Docker Hub's, and docker-registry's.
            (
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
                bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull"),
            ),
            ("Basic realm=\"Registry Realm\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Negotiate, Basic realm=x", Some(Challenge::Basic)),
            ("Negotiate oYH1Mw==, Bearer realm=\"https://a/\"", bearer("https://a/", "", "")),
            ("Bearer error_realm=\"x\", realm = \"https://a/\"", bearer("https://a/", "", "")),
            ("Bearer realm=\"https://a/\\\"\"", bearer("https://a/\"", "", "")),
            ("Bearer service=\"x\"", None),
            ("Bearer realm=\"a b\"", None),
            ("Bearer realm=\"https://a", None),
            ("Digest realm=\"a\"", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(Challenge::parse(text), want, "{text}");
        }
    }

    #[test]
    fn a_token_is_one_word() {
        let table = [
            (r#"{"token":"abc"}"#, Some("abc")),
            (r#"{"access_token":"abc","expires_in":300}"#, Some("abc")),
            (r#"{"token":""}"#, None),
            (r#"{"token":"a\r\nHost: b"}"#, None),
            ("{}", None),
            ("[", None),
        ];
        for (text, want) in table {
            assert_eq!(token(text.as_bytes()).as_deref(), want, "{text}");
        }
    }
}
