//! One sealed image: of the root, opened safely and put behind a loop device; of whatever device, mounted for one tenant.
//!
//! In:  a name below [`contract::mount::ROOT_IMAGES`]; a block device. Out: a detached mount, read-only, whose owner 0 is shown as the tenant's.
//!
//! Images in the root are sealed with it and believed.
//!
//! Not here: bundles' images (`installed.rs`, `verity.rs`), which images are open, and for whom (`shelf.rs`).
//!
//! Source: fsopen(2); mount_setattr(2).

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sys::Errno;
use sys::loop_device::{self, Loop};
use sys::mount::{Draft, attribute, set_attributes};

use crate::erofs::{self, Fault};
use crate::owner::Owners;
use crate::{Error, errno, plain};

fn bad(name: &str, fault: Fault) -> Error {
    Error::Image { image: name.to_owned(), fault }
}

/// Opens the image `name` in `folder` and checks that it is one.
///
/// # Errors
/// [`Error::Name`]: it could lead elsewhere. [`Error::Image`]: it is no image. [`Error::System`]: it is not there.
pub fn open(folder: &Path, name: &str) -> Result<File, Error> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(Error::Name { image: name.to_owned() });
    }
    let fail = |step, errno| Error::system(&format!("image {name}"), step, errno);
    let file = plain::open(folder, name).map_err(|errno| fail("cannot be opened", errno))?;
    let file = file.ok_or_else(|| bad(name, Fault::Kind))?;
    let about = file.metadata().map_err(|error| fail("cannot be read", errno(&error)))?;
    let mut bytes = [0; erofs::BYTES];
    match file.read_exact_at(&mut bytes, erofs::OFFSET) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(bad(name, Fault::Foreign));
        }
        Err(error) => return Err(fail("cannot be read", errno(&error))),
    }
    erofs::parse(&bytes, about.len()).map_err(|fault| bad(name, fault))?;
    Ok(file)
}

/// Puts `file`, the image `name`, behind a loop device. That is free again once it is dropped here and the last mount of it is gone.
///
/// # Errors
/// [`Error::System`]: no loop device is free, or it does not take the file.
pub fn attach(name: &str, file: &File) -> Result<Loop, Error> {
    loop_device::attach(file).map_err(|error| {
        Error::system(&format!("image {name}"), "cannot stand behind a loop device", errno(&error))
    })
}

/// Mounts what is on the block device `source`, the image `name`, detached and for `owners`.
///
/// # Errors
/// [`Error::System`]: the kernel does not know EROFS, or cannot map its owners. [`Error::Image`]: it finds the image damaged.
pub fn mount(name: &str, source: &Path, owners: Owners) -> Result<OwnedFd, Error> {
    let fail = |step| move |errno| Error::system(&format!("image {name}"), step, errno);
    let path = CString::new(source.as_os_str().as_bytes()).unwrap_or_default();
    let draft = Draft::new(c"erofs").map_err(fail("the kernel has no EROFS"))?;
    draft.set(c"source", &path).map_err(fail("its device cannot be a source"))?;
    draft.flag(c"ro").map_err(fail("cannot be read-only"))?;
    let attributes = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV;
    let mount = draft.mount(attributes).map_err(|errno| {
        // A wrong checksum, a wrong structure, an unknown feature: the kernel's log says which.
        let refused = [Errno::EBADMSG, Errno::EUCLEAN, Errno::EINVAL].contains(&errno);
        if refused { bad(name, Fault::Refused) } else { fail("cannot be mounted")(errno) }
    })?;
    let namespace = owners.namespace()?;
    set_attributes(mount.as_fd(), attributes, Some(namespace.as_fd()))
        .map_err(fail("its owners cannot be mapped"))?;
    Ok(mount)
}
