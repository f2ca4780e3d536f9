//! How what ends by itself is started again: pauses that grow, and when it is given up.
//!
//! In:  nothing. Out: numbers that the supervisor goes by, and that the agent tells (`ExecutionUnit.{i}.AutoRestart.`). They are the same for
//! every service.
//!
//! Not here: whether it is started again at all (`manifest::Restart`), what a pause is counted from (`src/supervisor/src/life.rs`).

use crate::manifest::Restart;

/// The first pause before a start, in milliseconds. The first two starts after an end come without one.
pub const DELAY_MS_MIN: u64 = 1_000;
/// Each pause is so many times the one before.
pub const DELAY_GROWTH: u64 = 2;
/// The longest pause before a start, in milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;
/// Ends in a row, each within [`WELL_MS`], after which a service counts as failed: with the pauses between them, minutes.
pub const CRASHES_MAX: u32 = 10;
/// Who was up for so long is well, in milliseconds: his ends are counted anew.
pub const WELL_MS: u64 = 60_000;

/// What counts where an operator has said that a service is started again when it ends by itself, or not, over its manifest's word. One that
/// its manifest would leave down is then started again when it has failed: a service that does its work and ends still ends.
#[must_use]
pub fn ordered(manifest: Restart, order: Option<bool>) -> Restart {
    match (order, manifest) {
        (Some(false), Restart::Always | Restart::OnFailure | Restart::Never) => Restart::Never,
        (Some(true), Restart::Never) => Restart::OnFailure,
        (None | Some(true), Restart::Always | Restart::OnFailure) | (None, Restart::Never) => manifest,
    }
}

#[cfg(test)]
mod tests {
    use super::ordered;
    use crate::manifest::Restart as R;

    #[test]
    fn an_order_counts_over_the_manifest() {
        for (manifest, order, counts) in [
            (R::Always, None, R::Always),
            (R::Never, None, R::Never),
            (R::Always, Some(true), R::Always),
            (R::OnFailure, Some(true), R::OnFailure),
            (R::Never, Some(true), R::OnFailure),
            (R::Always, Some(false), R::Never),
            (R::OnFailure, Some(false), R::Never),
            (R::Never, Some(false), R::Never),
        ] {
            assert_eq!(ordered(manifest, order), counts, "{manifest:?} {order:?}");
        }
    }
}
