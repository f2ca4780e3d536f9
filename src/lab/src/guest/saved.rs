//! A guest's whole state in a file, and guests that go on from there: what a boot costs is paid once.
//!
//! In:  a guest that runs. Out: a file; guests whose memory, processors and devices are as they were.
//!
//! What stands outside is not in the file. Connections through the emulator's own Internet are gone, as after a cut of the line; the guest's
//! clock goes on where it was. A stick that was plugged in would be a lie: its file goes on without the guest. So there may be none.
//!
//! Source: QEMU's docs/devel/migration.rst; its QMP reference, `migrate`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Guest, Options};
use crate::error::Error;
use crate::root::Root;
use crate::wait;

/// Some hundred megabytes to or from a file of this machine.
const FILE_LIMIT: Duration = Duration::from_secs(120);
/// How fast the state may be written, in bytes a second: nobody else wants the line.
const BANDWIDTH: u64 = 64 << 30;

impl Guest {
    /// Writes the state to `path`, for [`Options::state`]. The guest stands still from then on.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute); [`Error::Answer`]: a device of it cannot be saved.
    pub fn save(&mut self, path: &Path) -> Result<(), Error> {
        self.freeze(true)?;
        self.monitor.execute("migrate-set-parameters", json!({ "max-bandwidth": BANDWIDTH }))?;
        self.monitor.execute("migrate", json!({ "uri": format!("exec:cat >'{}'", path.display()) }))?;
        wait::until("the guest's state in a file", FILE_LIMIT, || {
            let said = self.monitor.execute("query-migrate", json!({}))?;
            match said["status"].as_str() {
                Some("completed") => Ok(Some(())),
                Some("failed" | "cancelled") => {
                    Err(Error::Answer { who: "migrate".to_owned(), why: said.to_string() })
                }
                _ => Ok(None),
            }
        })
    }

    /// A guest that goes on from [`Options::state`], with the same root: it does not boot.
    ///
    /// # Errors
    /// As [`Guest::start`]; [`Error::Late`]: the state is another board's.
    pub fn resume(options: &Options, root: Root) -> Result<Self, Error> {
        let mut guest = Self::start(options, root)?;
        wait::until("the guest's state from its file", FILE_LIMIT, || {
            let said = guest.monitor.execute("query-status", json!({}))?;
            Ok((said["status"] == "paused").then_some(()))
        })?;
        // It stood still when it was saved.
        guest.freeze(false)?;
        Ok(guest)
    }
}
