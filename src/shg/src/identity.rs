//! `shg identity authority|sign`, `shg gateway enrol`: an authority of the operator's own, and the certificates that it gives to gateways.
//!
//! In:  a folder with the authority's key and certificate; requests, in files or from gateways. Out: certificates, in files or on gateways.
//!
//! A gateway's key never comes here. Who has a public-key infrastructure already signs the requests there, and needs none of this.
//!
//! Not here: keys and certificates as bytes (`x509`), what a gateway makes of its certificate (docs/identity.md).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use x509::{Authority, Request, pem};

use crate::command::Answer;
use crate::error::Error;
use crate::keys::{put, read};
use crate::options::Options;
use crate::service::{Task, operate};

/// How long an authority and a gateway's certificate count where nothing else is said, in days.
const AUTHORITY_DAYS: u64 = 20 * 365;
const GATEWAY_DAYS: u64 = 2 * 365;
/// More than a key or a certificate has as a text, in bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;
const DAY_S: i64 = 86_400;

/// From now, less a day for clocks that are behind, for as many days as `--days` says.
fn valid_s(options: &Options, otherwise: u64) -> Result<(i64, i64), Error> {
    let days = if options.has("days") { options.number("days")? } else { otherwise };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let end_s = i64::try_from(days).ok().and_then(|days| now_s.checked_add(days.checked_mul(DAY_S)?));
    let end_s = end_s.filter(|end_s| *end_s <= x509::issue::ALWAYS_S.1);
    end_s.map(|end_s| (now_s - DAY_S, end_s)).ok_or_else(|| Error::Usage(format!("--days {days}: too many")))
}

fn places(folder: &str) -> [PathBuf; 2] {
    ["authority.key", "authority.pem"].map(|name| Path::new(folder).join(name))
}

fn open(options: &Options) -> Result<Authority, Error> {
    let [key, certificate] = places(options.need("authority")?);
    let secret = pem::secret(&read(&key, TEXT_BYTES_MAX)?).map_err(Error::refused(key.display()))?;
    let known = pem::certificates(&read(&certificate, TEXT_BYTES_MAX)?);
    let known = known.map_err(Error::refused(certificate.display()))?;
    Authority::open(&secret, &known).map_err(Error::refused(certificate.display()))
}

/// Makes an authority.
pub(crate) fn authority(options: &Options) -> Result<Answer, Error> {
    let [name, folder] = options.words.as_slice() else {
        return Err(Error::Usage("NAME and FOLDER".to_owned()));
    };
    let made =
        Authority::make(name, valid_s(options, AUTHORITY_DAYS)?).map_err(Error::refused("authority"))?;
    fs::create_dir_all(folder).map_err(Error::file(Path::new(folder)))?;
    let [key, certificate] = places(folder);
    put(&key, 0o600, pem::write(pem::SECRET, made.secret()).as_bytes())?;
    put(&certificate, 0o644, pem::write(pem::CERTIFICATE, made.certificate()).as_bytes())?;
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    Ok(Answer {
        failed: None,
        text: format!(
            "{key}: for you alone; whoever has it makes gateways of yours\n{certificate}: for brokers and controllers\n"
        ),
        value: json!({ "key": key, "certificate": certificate }),
    })
}

/// A gateway's certificate and the authority's, in PEM.
fn certify(authority: &Authority, request: &Request, valid_s: (i64, i64)) -> Result<String, x509::Error> {
    let own = authority.sign(request, valid_s)?;
    Ok(pem::write(pem::CERTIFICATE, &own) + &pem::write(pem::CERTIFICATE, authority.certificate()))
}

/// Signs requests that are in files.
pub(crate) fn sign(options: &Options) -> Result<Answer, Error> {
    let (authority, valid_s) = (open(options)?, valid_s(options, GATEWAY_DAYS)?);
    let (mut text, mut rows) = (String::new(), Vec::new());
    for file in &options.words {
        let wrong = || Error::refused::<x509::Error>(file);
        let request = pem::request(&read(Path::new(file), TEXT_BYTES_MAX)?).map_err(wrong())?;
        let request = Request::read(&request).map_err(wrong())?;
        let certificate = certify(&authority, &request, valid_s).map_err(wrong())?;
        let place = Path::new(file).with_extension("pem");
        put(&place, 0o644, certificate.as_bytes())?;
        text.push_str(&format!("{}: {}\n", place.display(), request.endpoint));
        rows.push(json!({ "gateway": request.endpoint, "certificate": place.display().to_string() }));
    }
    Ok(Answer { text, value: Value::Array(rows), failed: None })
}

/// Has gateways ask for a certificate, signs what they ask for, and gives it to them.
pub(crate) fn enrol(options: &Options) -> Result<Answer, Error> {
    let (authority, valid_s) = (open(options)?, valid_s(options, GATEWAY_DAYS)?);
    let task = Task { what: "enrol", object: "Device.Security.", unit: false };
    let command = |name: &str| format!("{}{name}()", task.object);
    let asked = operate(options, &task, |desk| {
        Ok((0..desk.count()).map(|_| Ok((command("X_SHG_RequestCertificate"), Vec::new()))).collect())
    })?;
    let rows = asked.value.as_array().cloned().unwrap_or_default();
    let signed: BTreeMap<String, Result<String, String>> = rows
        .iter()
        .filter_map(|row| {
            let gateway = row.get("gateway")?.as_str()?.to_owned();
            let certificate = match row.get("error").and_then(Value::as_str) {
                Some(why) => Err(why.to_owned()),
                None => answer(row, &gateway).and_then(|request| {
                    certify(&authority, &request, valid_s).map_err(|why| why.to_string())
                }),
            };
            Some((gateway, certificate))
        })
        .collect();
    operate(options, &task, |desk| {
        let order = |place| {
            let certificate = signed.get(desk.name(place)).cloned();
            let certificate = certificate.unwrap_or_else(|| Err("it has asked for nothing".to_owned()))?;
            Ok((command("X_SHG_InstallCertificate"), vec![("Certificate".to_owned(), certificate)]))
        };
        Ok((0..desk.count()).map(order).collect())
    })
}

/// What a gateway has asked for; it is signed for itself only.
fn answer(row: &Value, gateway: &str) -> Result<Request, String> {
    let text = row.pointer("/result/Request").and_then(Value::as_str).unwrap_or_default();
    let der = pem::request(text.as_bytes()).map_err(|why| why.to_string())?;
    let request = Request::read(&der).map_err(|why| why.to_string())?;
    if request.endpoint == gateway { Ok(request) } else { Err(format!("it asks for {}", request.endpoint)) }
}

#[cfg(test)]
mod tests {
    use super::answer;
    use serde_json::json;
    use x509::{Key, Request, pem};

    #[test]
    fn a_gateway_asks_for_itself() {
        let request = Request::write(&Key::make().unwrap(), "os::0019CB-1").unwrap();
        let row = json!({ "result": { "Request": pem::write(pem::REQUEST, &request) } });
        assert_eq!(answer(&row, "os::0019CB-1").unwrap().endpoint, "os::0019CB-1");
        assert_eq!(answer(&row, "os::0019CB-2"), Err("it asks for os::0019CB-1".to_owned()));
        assert!(answer(&json!({ "result": {} }), "os::0019CB-1").unwrap_err().contains("request"));
    }
}
