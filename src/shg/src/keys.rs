//! `shg bundle keygen`, `shg bundle keyring`: keys, and lists of them.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bundle::envelope;
use bundle::key::{FILE_BYTES_MAX, Public, Secret};
use bundle::keyring::{self, Entry, Keyring};
use contract::Name;
use serde_json::json;

use crate::command::Answer;
use crate::error::Error;
use crate::options::Options;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::file(path))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::file(path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(Error::Refused(format!("{}: more than {limit} bytes", path.display())))
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let bytes = read(path, FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(Error::refused(path.display()))
}

/// A public key's file.
pub(crate) fn public(path: &str) -> Result<Public, Error> {
    Public::parse(&text(Path::new(path))?).map_err(Error::refused(format!("{path}: a public key was wanted")))
}

/// A secret key's file.
pub(crate) fn secret(path: &str) -> Result<Secret, Error> {
    Secret::parse(&text(Path::new(path))?).map_err(Error::refused(format!("{path}: a secret key was wanted")))
}

/// Whom `--key`, or `--keyring` and `--root`, say to believe. A single key may speak for any provider: `provider` is the bundle's own.
pub(crate) fn believed(options: &Options, provider: &Name) -> Result<Keyring, Error> {
    match (options.get("key"), options.get("keyring"), options.get("root")) {
        (Some(key), None, None) => {
            let key = public(key)?;
            let entry = Entry { provider: provider.clone(), key: key.clone() };
            Ok(Keyring { entries: vec![entry], ..Keyring::new(key) })
        }
        (None, Some(list), Some(root)) => {
            let bytes = read(Path::new(list), envelope::BYTES_MAX)?;
            Keyring::new(public(root)?).update(&bytes).map_err(Error::refused(list))
        }
        _ => {
            Err(Error::Usage("say whom to believe: --key FILE, or --keyring FILE and --root FILE".to_owned()))
        }
    }
}

/// Writes a file that may not be there yet.
pub(crate) fn put(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|cause| {
        if cause.kind() == ErrorKind::AlreadyExists {
            return Error::Refused(format!("{}: it is there already, and stays as it is", path.display()));
        }
        Error::file(path)(cause)
    })
}

/// Makes a key.
pub(crate) fn generate(options: &Options) -> Result<Answer, Error> {
    let name = options.words.first().map(String::as_str).unwrap_or_default();
    let (secret_path, public_path) =
        (PathBuf::from(format!("{name}.secret")), PathBuf::from(format!("{name}.public")));
    let secret = Secret::generate().map_err(Error::refused("key"))?;
    let public = secret.public().map_err(Error::refused("key"))?;
    put(&secret_path, 0o600, secret.text().as_bytes())?;
    // Half a key is none: nobody is to find a secret that no public key belongs to.
    put(&public_path, 0o644, public.text().as_bytes())
        .inspect_err(|_| drop(fs::remove_file(&secret_path)))?;
    let id = public.id().to_string();
    let (secret_path, public_path) = (secret_path.display().to_string(), public_path.display().to_string());
    Ok(Answer {
        failed: None,
        text: format!(
            "key {id}\n{secret_path}: for you alone; whoever has it signs in your name\n{public_path}: for everybody\n"
        ),
        value: json!({ "id": id, "secret": secret_path, "public": public_path }),
    })
}

/// Makes a list of keys.
pub(crate) fn ring(options: &Options) -> Result<Answer, Error> {
    let (file, pairs) =
        options.words.split_first().ok_or_else(|| Error::Usage("FILE is missing".to_owned()))?;
    let root = secret(options.need("root")?)?;
    let serial = options.number("serial")?;
    let next = options.get("next-root").map(public).transpose()?;
    let mut entries = Vec::new();
    for pair in pairs {
        let (provider, path) =
            pair.split_once('=').ok_or_else(|| Error::Usage(format!("{pair}: it is PROVIDER=PUBLIC")))?;
        let provider = Name::new(provider).map_err(|why| Error::Usage(format!("{provider}: {why}")))?;
        entries.push(Entry { provider, key: public(path)? });
    }
    let list = keyring::seal(&root, serial, next.as_ref(), &entries).map_err(Error::refused("keyring"))?;
    fs::write(file, &list).map_err(Error::file(Path::new(file)))?;
    let keys: Vec<_> = entries
        .iter()
        .map(|entry| json!({ "provider": entry.provider.as_str(), "id": entry.key.id().to_string() }))
        .collect();
    Ok(Answer {
        failed: None,
        text: format!("{file}: list {serial} with {} keys\n", keys.len()),
        value: json!({ "file": file, "serial": serial, "keys": keys }),
    })
}

#[cfg(test)]
mod tests {
    use super::generate;
    use crate::options::Options;
    use std::fs;

    #[test]
    fn a_key_is_made_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("shg-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let name = folder.join("key").display().to_string();
        let (secret, public) = (format!("{name}.secret"), format!("{name}.public"));
        let options = Options::read(&[], &[name]).unwrap();
        fs::write(&public, "another's").unwrap();
        let why = generate(&options).err().unwrap().to_string();
        assert!(why.contains(&public) && why.contains("stays as it is"), "{why}");
        assert!(fs::metadata(&secret).is_err(), "no secret is left");
        assert_eq!(fs::read_to_string(&public).unwrap(), "another's");
        // And where the secret is there it stays.
        fs::remove_file(&public).unwrap();
        fs::write(&secret, "mine").unwrap();
        assert!(generate(&options).err().unwrap().to_string().contains(&secret));
        assert_eq!(fs::read_to_string(&secret).unwrap(), "mine");
        assert!(fs::metadata(&public).is_err());
        fs::remove_file(&secret).unwrap();
        generate(&options).unwrap();
        assert!(fs::metadata(&secret).is_ok() && fs::metadata(&public).is_ok());
        fs::remove_dir_all(folder).unwrap();
    }
}
