//! The steps of the child, by name: what it tells when one fails.
//!
//! In:  a number from a pipe. Out: a step, and what it was for.

/// A step that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Waiting for the id maps.
    Maps = 1,
    /// Becoming user 0 of the own user namespace.
    User,
    /// The cgroup namespace and the host name.
    Names,
    /// No namespace below its own.
    Nesting,
    /// The root.
    Root,
    /// `/proc`.
    Proc,
    /// `/dev`.
    Dev,
    /// `/tmp`.
    Tmp,
    /// Its volume.
    Volume,
    /// Making the root the root.
    Pivot,
    /// Standard descriptors, and closing the rest.
    Descriptors,
    /// Resource limits.
    Limits,
    /// Capabilities and `no_new_privs`.
    Capabilities,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Filter,
    /// None of these.
    Unknown,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 15] = [
        Self::Maps,
        Self::User,
        Self::Names,
        Self::Nesting,
        Self::Root,
        Self::Proc,
        Self::Dev,
        Self::Tmp,
        Self::Volume,
        Self::Pivot,
        Self::Descriptors,
        Self::Limits,
        Self::Capabilities,
        Self::Landlock,
        Self::Filter,
    ];

    /// The step with this number, as the child told it.
    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|step| *step as u8 == number).unwrap_or(Self::Unknown)
    }

    /// What it was for.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Maps => "its id maps were not written",
            Self::User => "cannot become its user",
            Self::Names => "cannot set its names",
            Self::Nesting => "cannot forbid further namespaces",
            Self::Root => "cannot attach its root",
            Self::Proc => "cannot mount /proc",
            Self::Dev => "cannot make /dev",
            Self::Tmp => "cannot mount /tmp",
            Self::Volume => "cannot attach its volume",
            Self::Pivot => "cannot change to its root",
            Self::Descriptors => "cannot place its descriptors",
            Self::Limits => "cannot set its resource limits",
            Self::Capabilities => "cannot drop its capabilities",
            Self::Landlock => "cannot be fenced in by Landlock",
            Self::Filter => "cannot load its filter",
            Self::Unknown => "something failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn a_step_is_known_by_its_number() {
        for step in Step::ALL {
            assert_eq!(Step::from_number(step as u8), step);
        }
        assert_eq!(Step::from_number(0), Step::Unknown);
        assert_eq!(Step::from_number(200), Step::Unknown);
    }
}
