//! The two sides: the home, and the operator's voice play.

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The home's phones.
    Home,
    /// The operator's platform.
    Play,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Home => Self::Play,
            Self::Play => Self::Home,
        }
    }
}
