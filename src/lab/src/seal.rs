//! Seals a service: its program in an EROFS image.
//!
//! In:  `src/services/<name>/manifest.toml` and the service's static program. Out: the image's bytes, the same for the same input.
//!
//! Not here: signatures and verity; they come with bundles.
//!
//! Source: mkfs.erofs(1).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use contract::manifest::{self, Manifest};

use crate::error::Error;
use crate::house::{self, Scratch};
use crate::tool;

/// Every image has the same name for the kernel; what it is called on the gateway is the manifest's business.
const UUID: &str = "53484700-0000-4000-8000-000000000001";

/// A service of the tree.
#[derive(Debug)]
pub struct Service {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its program, here.
    pub program: PathBuf,
}

/// The services of the tree whose manifests have this file name, in order of name: `manifest.toml` goes to every gateway, `rehearsal.toml`
/// only to roots for tests.
///
/// # Errors
/// [`Error::Io`]: a manifest cannot be read. [`Error::Answer`]: it is not well formed. [`Error::Missing`]: its program is not built.
pub fn services(file: &str) -> Result<Vec<Service>, Error> {
    let folder = house::top().join("src/services");
    let mut found = Vec::new();
    let entries = fs::read_dir(&folder).map_err(Error::path(&folder))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for path in folders.iter().map(|folder| folder.join(file)).filter(|path| path.exists()) {
        let text = fs::read_to_string(&path).map_err(Error::path(&path))?;
        let manifest = manifest::parse(&text)
            .map_err(|error| Error::Answer { who: path.display().to_string(), why: error.to_string() })?;
        let room = path.parent().and_then(Path::file_name).unwrap_or_default();
        found.push(Service { program: house::firmware().join(room), manifest });
    }
    Ok(found)
}

/// Makes the image of one service.
///
/// # Errors
/// [`Error::Missing`]: its program is not built. [`Error::Tool`]: mkfs.erofs. [`Error::Io`]: a file.
pub fn image(service: &Service) -> Result<Vec<u8>, Error> {
    let scratch = Scratch::new()?;
    let stage = scratch.file("stage");
    house::make_folder(&stage)?;
    let volume = service.manifest.volume.as_ref().map(|volume| volume.at.trim_start_matches('/'));
    for place in manifest::FOLDERS.into_iter().chain(volume) {
        house::make_folder(&stage.join(place))?;
    }
    let command = service.manifest.command.first().map(|word| word.trim_start_matches('/').to_owned());
    let place = stage.join(command.unwrap_or_default());
    if let Some(parent) = place.parent() {
        house::make_folder(parent)?;
    }
    if !service.program.exists() {
        let what = service.program.display().to_string();
        return Err(Error::Missing { what, remedy: "make firmware rehearsal".to_owned() });
    }
    fs::copy(&service.program, &place).map_err(Error::path(&place))?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).map_err(Error::path(&place))?;
    let image = scratch.file("image");
    let (image_word, stage_word) = (image.display().to_string(), stage.display().to_string());
    tool::need("mkfs.erofs", "erofs-utils")?;
    let words = ["--quiet", "-T0", "-U", UUID, "--all-root", &image_word, &stage_word];
    tool::run("mkfs.erofs", &words)?;
    fs::read(&image).map_err(Error::path(&image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_same_again() {
        let text = "version = 2\nname = \"x\"\nprovider = \"y\"\nsummary = \"z\"\nimage = \"x.erofs\"\ncommand = [\"/bin/x\"]\n\
                    [cpu]\nceiling_permille = 100\n[memory]\nceiling_mib = 8\n[limits]\npids = 8\n";
        let program = house::top().join("Cargo.toml");
        let service = Service { manifest: manifest::parse(text).unwrap(), program };
        let one = match image(&service) {
            Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
            other => other.unwrap(),
        };
        assert_eq!(one, image(&service).unwrap());
        // The superblock's magic number at byte 1024. Source: Documentation/filesystems/erofs.rst, erofs_fs.h.
        assert_eq!(one[1024..1028], 0xE0F5_E1E2_u32.to_le_bytes());
    }
}
