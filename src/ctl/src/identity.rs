//! Commands about who this gateway is: shown, asked to be certified, certified.
//!
//! In:  words; certificates in a file. Out: what `identity` says, with keys, requests and certificates in PEM.

use contract::base64::letters;
use contract::identify::{Answer, Ask, Who};
use contract::wires::IDENTIFY;
use x509::{Certificate, pem};

use crate::Error;
use crate::command::{Out, Words};
use crate::gateway::dial;
use crate::json::Object;
use crate::network::read;

/// More than certificates in PEM have, in bytes; identity says which of them are too many.
const FILE_BYTES_MAX: usize = 64 * 1024;

fn ask(ask: &Ask) -> Result<Answer, Error> {
    let failed = |error| Error::Wire(IDENTIFY.server, error);
    match dial(IDENTIFY)?.call::<_, Answer>(ask, &[]).map_err(failed)?.0 {
        Answer::Refused(why) => Err(Error::Refused(why.to_string())),
        answer @ (Answer::Who(_) | Answer::Signature(_) | Answer::Request(_) | Answer::Enrolled) => {
            Ok(answer)
        }
    }
}

pub(crate) fn identity(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    match (words.plain(), words.json) {
        ([], json) => show(json, out),
        (["request"], false) => request(out),
        (["enrol", path], false) => enrol(path, out),
        _ => Err(words.wrong()),
    }
}

fn show(json: bool, out: Out<'_>) -> Result<(), Error> {
    let who: Who = match ask(&Ask::Who)? {
        Answer::Who(who) => who,
        Answer::Signature(_) | Answer::Request(_) | Answer::Enrolled | Answer::Refused(_) => {
            return Err(other());
        }
    };
    let issuer = Certificate::chain(&who.certificates).and_then(|chain| Some(chain.first()?.issuer.clone()));
    let issuer = issuer.unwrap_or_default();
    if json {
        let object = Object::default()
            .text("endpoint", &who.endpoint)
            .text("kept", if who.kept { "disk" } else { "boot" })
            .text("reason", &who.reason)
            .text("issuer", &issuer)
            .text("public_key", letters(&who.public_key).collect::<String>())
            .text("certificates", letters(&who.certificates).collect::<String>());
        return Ok(writeln!(out, "{}", object.end())?);
    }
    writeln!(out, "ENDPOINT  {}", who.endpoint)?;
    match who.kept {
        true => writeln!(out, "KEPT      on the data disk")?,
        false => writeln!(out, "KEPT      for this boot only: {}", who.reason)?,
    }
    match issuer == who.endpoint.as_str() {
        true => writeln!(out, "ENROLLED  no: the certificate is signed by the key itself")?,
        false => writeln!(out, "ENROLLED  by {issuer}")?,
    }
    write!(out, "{}", pem::write(pem::PUBLIC, &who.public_key))?;
    let mut rest = &who.certificates[..];
    while let Some((one, behind)) = x509::der::whole(rest) {
        write!(out, "{}", pem::write(pem::CERTIFICATE, one))?;
        rest = behind;
    }
    Ok(())
}

fn request(out: Out<'_>) -> Result<(), Error> {
    match ask(&Ask::Request)? {
        Answer::Request(request) => Ok(write!(out, "{}", pem::write(pem::REQUEST, &request))?),
        Answer::Who(_) | Answer::Signature(_) | Answer::Enrolled | Answer::Refused(_) => Err(other()),
    }
}

fn enrol(path: &str, out: Out<'_>) -> Result<(), Error> {
    let refused = |error: x509::Error| Error::Refused(format!("{path}: {error}"));
    let certificates = pem::certificates(&read(path, FILE_BYTES_MAX)?).map_err(refused)?;
    let many = |()| {
        Error::Refused(format!(
            "{path}: certificates of more than {} bytes",
            contract::identify::CERTIFICATES_BYTES
        ))
    };
    let certificates = heapless::Vec::from_slice(&certificates).map_err(|_| many(()))?;
    ask(&Ask::Enrol { certificates })?;
    Ok(writeln!(out, "{path}: taken; from now on this is who the gateway is")?)
}

fn other() -> Error {
    Error::Refused("no answer to the question".to_owned())
}
