//! `mountinfo`, read: which mounts a process has, and how.
//!
//! In:  the kernel's text. Out: mounts, in its order. A line that is none is left out.
//!
//! Source: proc_pid_mountinfo(5).

/// One mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mount<'m> {
    /// Its number.
    pub(crate) id: u32,
    /// Where it is.
    pub(crate) place: &'m str,
    /// How it is mounted.
    pub(crate) options: &'m str,
    /// The file system.
    pub(crate) kind: &'m str,
    /// How the file system was made.
    pub(crate) made_with: &'m str,
}

impl Mount<'_> {
    /// Is it mounted with all of `wanted`?
    pub(crate) fn has(&self, wanted: &[&str]) -> bool {
        wanted.iter().all(|option| self.options.split(',').any(|has| has == *option))
    }

    /// Was its file system made with all of `wanted`?
    pub(crate) fn is_made_with(&self, wanted: &[&str]) -> bool {
        wanted.iter().all(|option| self.made_with.split(',').any(|has| has == *option))
    }
}

/// The mounts of `text`.
pub(crate) fn mounts(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let id = fields.next()?.parse().ok()?;
        let mut fields = fields.skip(3);
        let (place, options) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let (kind, made_with) = (fields.next()?, fields.nth(1)?);
        Some(Mount { id, place, options, kind, made_with })
    })
}
