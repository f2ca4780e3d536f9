//! The folders that every data disk has, and who owns them.
//!
//! In:  the top of a mounted disk. Out: folders, each with its owner and mode.
//!
//! ```text
//! bundles   0700  package's: images and records, 0700, its own too
//! state     0711  one folder for each daemon that keeps something: its own, 0700
//! services  0711  one folder for each service
//! ```
//!
//! A disk comes from outside: what stands in a folder's place (a link, a file) is refused, not followed. Each folder is opened from the one
//! above, by its descriptor; whoever owns what is below has no way to move what is above.
//!
//! Source: openat(2), `O_PATH`, `O_NOFOLLOW`; fchownat(2), `AT_EMPTY_PATH`.

use std::os::fd::OwnedFd;
use std::path::Path;

use contract::mount::VOLUMES;
use contract::wires::uid;
use log::warn;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};

use crate::Error;

/// Folders at the top that are ours, and who may enter.
const TOP: [(&str, Mode); 2] = [(STATE, PASSING), (VOLUMES, PASSING)];
/// The one with the bundles, and what is in it: the gateway's packages belong to `package`, and here they are only read.
pub(crate) const BUNDLES: &str = "bundles";
const IN_BUNDLES: [&str; 2] = ["images", "records"];
/// The one with the daemons' folders.
pub(crate) const STATE: &str = "state";
/// Daemons that keep something, each by its uid.
const DAEMONS: [(&str, u32); 9] = [
    ("network", uid::NETWORK),
    ("lease", uid::LEASE),
    ("names", uid::NAMES),
    ("voice", uid::VOICE),
    ("time", uid::TIME),
    ("multicast", uid::MULTICAST),
    ("identity", uid::IDENTITY),
    ("agent", uid::AGENT),
    ("package", uid::PACKAGE),
];

/// The owner alone.
const OWN: Mode = Mode::S_IRWXU;
/// Others pass through, to what is theirs.
const PASSING: Mode = OWN.union(Mode::S_IXGRP).union(Mode::S_IXOTH);

/// Makes what is missing below `top`, and mends owners and modes. On a disk that is read-only nothing is made or mended.
///
/// # Errors
/// [`Error::System`]: something else stands in the place of one at the top; the disk is full or fails; we may not.
pub fn make(top: &Path, read_only: bool) -> Result<(), Error> {
    let folder = openat(AT_FDCWD, top, PLACE, Mode::empty())
        .map_err(|errno| Error::system("folder", "the top cannot be opened", errno))?;
    let mut state = None;
    for (name, mode) in TOP {
        let made = make_one(&folder, name, mode, None, read_only)?;
        if name == STATE {
            state = made;
        }
    }
    make_bundles(&folder, read_only).unwrap_or_else(|error| warn!("{error}"));
    // A disk that was never ours to write on has none.
    let Some(state) = state else { return Ok(()) };
    for (name, owner) in DAEMONS {
        // A daemon without its folder keeps nothing; that is no reason to be without the disk.
        let made = make_one(&state, name, OWN, Some(owner), read_only);
        drop(made.inspect_err(|error| warn!("{error}")));
    }
    Ok(())
}

/// Makes the folder of bundles. A gateway without it installs nothing; that is no reason to be without the disk.
fn make_bundles(top: &OwnedFd, read_only: bool) -> Result<(), Error> {
    let Some(bundles) = make_one(top, BUNDLES, OWN, None, read_only)? else { return Ok(()) };
    for name in IN_BUNDLES {
        // Where the one above is package's already and this one is not there, package makes it.
        let made = make_one(&bundles, name, OWN, Some(uid::PACKAGE), read_only);
        drop(made.inspect_err(|error| warn!("{error}")));
    }
    make_one(top, BUNDLES, OWN, Some(uid::PACKAGE), read_only).map(drop)
}

/// The name of a folder, and no way in. What is no folder, or a link to one, has none.
const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Makes `name` in `above` if need be, with this owner (ours: `None`) and mode. `None`: it is not there, and nothing can be made.
fn make_one(
    above: &OwnedFd,
    name: &str,
    mode: Mode,
    owner: Option<u32>,
    read_only: bool,
) -> Result<Option<OwnedFd>, Error> {
    let failed = |step| move |errno| Error::system(&format!("folder {name}"), step, errno);
    match mkdirat(above, name, mode) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(Errno::EROFS) if read_only => {}
        Err(errno) => return Err(failed("cannot be made")(errno)),
    }
    let place = match openat(above, name, PLACE, Mode::empty()) {
        Ok(place) => place,
        Err(Errno::ENOENT) if read_only => return Ok(None),
        Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) => {
            return Err(failed("something else is there")(errno));
        }
        Err(errno) => return Err(failed("cannot be opened")(errno)),
    };
    if !read_only && let Some(owner) = owner {
        let found = fstat(&place).map_err(failed("cannot be read"))?;
        if !has_mode(&found, mode) {
            // Only an owner changes a mode without a right of his own: so we are it for a moment.
            give(&place, Uid::effective().as_raw()).map_err(failed("has another owner"))?;
            let way_in = PLACE.difference(OFlag::O_PATH);
            let inside = openat(above, name, way_in, Mode::empty()).map_err(failed("cannot be opened"))?;
            fchmod(&inside, mode).map_err(failed("has another mode"))?;
        }
        let found = fstat(&place).map_err(failed("cannot be read"))?;
        if (found.st_uid, found.st_gid) != (owner, owner) {
            give(&place, owner).map_err(failed("has another owner"))?;
        }
    }
    Ok(Some(place))
}

/// A mode's bits, without the kind of file.
fn has_mode(found: &FileStat, mode: Mode) -> bool {
    found.st_mode & 0o7777 == mode.bits()
}

/// Gives the folder at `place` to `owner`, user and group.
fn give(place: &OwnedFd, owner: u32) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(owner), Gid::from_raw(owner));
    fchownat(place, "", Some(user), Some(group), AtFlags::AT_EMPTY_PATH)
}

#[cfg(test)]
mod tests {
    use super::{DAEMONS, make};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    fn top(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("shg-storage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(&top).unwrap();
        top
    }

    #[test]
    fn folders_are_made_and_what_stands_in_their_place_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return println!("skipped: needs root, to give folders away");
        }
        let top = top("folders");
        make(&top, false).unwrap();
        make(&top, false).unwrap();
        assert!(top.join("services").is_dir());
        let daemons = DAEMONS.map(|(name, owner)| (format!("state/{name}"), owner));
        let bundles = ["bundles", "bundles/images", "bundles/records"].map(|name| (name.to_owned(), 110));
        for (name, owner) in daemons.into_iter().chain(bundles) {
            let found = fs::metadata(top.join(&name)).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (owner, owner, 0o700), "{name}");
        }
        fs::remove_dir_all(top.join("state")).unwrap();
        symlink("/", top.join("state")).unwrap();
        let refused = make(&top, false).unwrap_err().to_string();
        assert!(refused.starts_with("folder state: something else is there"), "{refused}");
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn owners_and_modes_are_mended_and_links_are_not_followed() {
        if !nix::unistd::geteuid().is_root() {
            return println!("skipped: needs root, to give folders away");
        }
        let top = top("mended");
        make(&top, false).unwrap();
        let (lease, time) = (top.join("state/lease"), top.join("state/time"));
        chown(&lease, Some(4711), Some(0)).unwrap();
        fs::set_permissions(&time, fs::Permissions::from_mode(0o2777)).unwrap();
        fs::write(lease.join("table"), "kept").unwrap();
        make(&top, true).unwrap();
        assert_eq!(fs::metadata(&lease).unwrap().uid(), 4711, "nothing is mended on a read-only disk");
        make(&top, false).unwrap();
        let found = [&lease, &time].map(|path| fs::metadata(path).unwrap());
        assert_eq!(found.each_ref().map(|found| found.mode() & 0o7777), [0o700; 2]);
        assert_eq!(found.each_ref().map(MetadataExt::uid), [103, 106]);
        assert_eq!(fs::read(lease.join("table")).unwrap(), b"kept", "what is in it stays");
        let victim = top.join("victim");
        fs::create_dir(&victim).unwrap();
        fs::remove_dir_all(&time).unwrap();
        symlink(&victim, &time).unwrap();
        fs::set_permissions(&lease, fs::Permissions::from_mode(0o755)).unwrap();
        let images = top.join("bundles/images");
        fs::remove_dir_all(&images).unwrap();
        symlink(&victim, &images).unwrap();
        chown(top.join("bundles"), Some(0), Some(0)).unwrap();
        fs::set_permissions(top.join("bundles"), fs::Permissions::from_mode(0o755)).unwrap();
        make(&top, false).unwrap();
        assert_eq!(fs::metadata(&victim).unwrap().uid(), 0, "what the links led to");
        let bundles = fs::metadata(top.join("bundles")).unwrap();
        assert_eq!((bundles.uid(), bundles.mode() & 0o7777), (110, 0o700), "as an earlier release made it");
        assert_eq!(fs::metadata(&lease).unwrap().mode() & 0o7777, 0o700, "the others are as they should be");
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn a_disk_that_cannot_be_written_on_is_taken_as_it_is() {
        // Nothing there, and nothing can be made: as read-only, nothing is asked of it. (The kernel would answer EROFS, not make it.)
        let top = top("empty");
        fs::create_dir(top.join("state")).unwrap();
        make(&top, true).unwrap();
        fs::remove_dir_all(&top).unwrap();
    }
}
