//! The command about who this gateway is.

use contract::identify::{Answer, Ask, Who};
use contract::wires::IDENTIFY;
use wire::Client;

use crate::Error;
use crate::command::{Out, Words};
use crate::json::Object;

pub(crate) fn identity(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(IDENTIFY.server, error);
    let answer = Client::dial(IDENTIFY).and_then(|client| client.call::<_, Answer>(&Ask::Who, &[]));
    let who: Who = match answer.map_err(failed)?.0 {
        Answer::Who(who) => who,
        Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
        Answer::Signature(_) => return Err(Error::Refused("no answer to the question".to_owned())),
    };
    if words.json {
        let object = Object::default()
            .text("endpoint", &who.endpoint)
            .text("kept", if who.kept { "disk" } else { "boot" })
            .text("reason", &who.reason)
            .text("public_key", base64(&who.public_key))
            .text("certificate", base64(&who.certificate));
        return Ok(writeln!(out, "{}", object.end())?);
    }
    writeln!(out, "ENDPOINT  {}", who.endpoint)?;
    match who.kept {
        true => writeln!(out, "KEPT      on the data disk")?,
        false => writeln!(out, "KEPT      for this boot only: {}", who.reason)?,
    }
    for (kind, bytes) in [("PUBLIC KEY", &who.public_key[..]), ("CERTIFICATE", &who.certificate[..])] {
        write!(out, "{}", pem(kind, bytes))?;
    }
    Ok(())
}

/// Source: RFC 7468 §2.
fn pem(kind: &str, bytes: &[u8]) -> String {
    const LINE: usize = 64;
    let mut text = format!("-----BEGIN {kind}-----\n");
    for (place, letter) in base64(bytes).chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + &format!("\n-----END {kind}-----\n")
}

/// Source: RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3)
            .fold(0, |number, place| number << 8 | group.get(place).copied().map_or(0_usize, usize::from));
        for place in 0..4 {
            let letter = LETTERS.get(number >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, pem};

    #[test]
    fn bytes_become_letters() {
        // RFC 4648 §10, and bits of each kind.
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xff, 0xef, 0xbe], "/+++"),
        ];
        for (bytes, want) in table {
            assert_eq!(base64(bytes), *want);
        }
        let text = pem("X", &[0; 49]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [17, 64, 4, 15]);
    }
}
