//! What a hand does to a gateway: its buttons, its plugs, the mains.
//!
//! In:  a running guest. Out: what the emulator was told.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use super::{END_LIMIT, Guest, SERIAL, STICK, WRITES};
use crate::board::EMULATOR;
use crate::door::Answer;
use crate::error::Error;
use crate::line::Lines;
use crate::{stick, wait};

impl Guest {
    /// Pulls the cable out of eth0 of the gateway, or plugs it in.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute).
    pub fn plug_wan(&mut self, plugged: bool) -> Result<(), Error> {
        self.monitor.execute("set_link", json!({ "name": "wan", "up": plugged })).map(drop)
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute).
    pub fn power_button(&mut self) -> Result<(), Error> {
        self.monitor.execute("system_powerdown", json!({})).map(drop)
    }

    /// Presses the reset button: the guest boots again, its stick keeps what was written. [`Guest::wait_ready`] comes next.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute).
    pub fn reset(&mut self) -> Result<(), Error> {
        self.monitor.execute("system_reset", json!({})).map(drop)
    }

    /// Begins `ctl <request>`, and cuts the mains under it after `instant`, or as soon as it is answered: then that is returned. [`Guest::cut`]
    /// says what stays.
    ///
    /// # Errors
    /// As [`Guest::ask`].
    pub fn cut_under(&mut self, request: &str, instant: Duration) -> Result<Option<Answer>, Error> {
        let answer = self.its_door()?.ask_by(request, Instant::now() + instant)?;
        self.cut();
        Ok(answer)
    }

    /// As [`Guest::cut_under`], and nothing is asked.
    pub fn cut_after(&mut self, instant: Duration) {
        thread::sleep(instant);
        self.cut();
    }

    /// Cuts the mains: the emulator is killed. What the guest wrote to its stick is in the file, flushed or not; [`WRITES`], if it was kept, says which.
    pub fn cut(&mut self) {
        let _ = self.emulator.0.kill();
        let _ = self.emulator.0.wait();
    }

    /// Stops the processor's clock (`stop`) or lets it go on (`cont`).
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute).
    pub fn freeze(&mut self, frozen: bool) -> Result<(), Error> {
        self.monitor.execute(if frozen { "stop" } else { "cont" }, json!({})).map(drop)
    }

    /// Pulls the stick out, and returns when it is gone.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute) and [`Monitor::event`](crate::monitor::Monitor::event).
    pub fn unplug_stick(&mut self) -> Result<(), Error> {
        self.monitor.execute("device_del", json!({ "id": "stick" }))?;
        self.monitor.event("DEVICE_DELETED", END_LIMIT).map(drop)
    }

    /// Plugs a fresh, empty stick in.
    ///
    /// # Errors
    /// As [`Monitor::execute`](crate::monitor::Monitor::execute); [`Error::Tool`]: the stick cannot be made.
    pub fn plug_stick(&mut self) -> Result<(), Error> {
        let path = self.scratch.file("another-stick.img");
        stick::fresh(&path)?;
        let image = json!({ "driver": "file", "filename": path });
        self.plug(json!({ "driver": "raw", "node-name": "another", "file": image }))
    }

    /// Plugs a copy of the stick `image` in, as [`STICK`]; what is written to it is kept in [`WRITES`].
    ///
    /// # Errors
    /// As [`Guest::plug_stick`].
    pub fn plug_recorded(&mut self, image: &Path) -> Result<(), Error> {
        let (copy, log) = (self.scratch.file(STICK), self.scratch.file(WRITES));
        stick::copy(image, &copy)?;
        fs::File::create(&log).map_err(Error::path(&log))?;
        // This machine keeps its power: what is flushed need not reach its own disk.
        let cache = json!({ "no-flush": true });
        let file = |path| json!({ "driver": "file", "filename": path, "cache": cache });
        let image = json!({ "driver": "raw", "file": file(copy), "cache": cache });
        self.plug(
            json!({ "driver": "blklogwrites", "node-name": "another", "file": image, "log": file(log) }),
        )
    }

    /// Plugs in the stick that is the block device `another`.
    fn plug(&mut self, another: Value) -> Result<(), Error> {
        self.monitor.execute("blockdev-add", another)?;
        let device = json!({ "driver": "usb-storage", "id": "stick", "bus": "usb.0", "drive": "another" });
        self.monitor.execute("device_add", device).map(drop)
    }

    /// Plugs a serial adapter into USB, of a guest with [`Options::serial`](super::Options::serial); it is pulled out when what is returned
    /// goes: the other end of its line.
    ///
    /// # Errors
    /// [`Error::Late`]: the guest has none.
    pub fn plug_serial(&mut self) -> Result<Lines, Error> {
        Lines::connect("the serial adapter", &self.scratch.file(SERIAL), END_LIMIT, || Ok(()))
    }

    /// Waits until the emulator has ended by itself, because the guest switched off.
    ///
    /// # Errors
    /// [`Error::Late`] with the console's last lines.
    pub fn wait_off(&mut self, limit: Duration) -> Result<(), Error> {
        let emulator = &mut self.emulator.0;
        let outcome = wait::until("the guest's end", limit, || {
            emulator.try_wait().map(|status| status.map(drop)).map_err(Error::io(EMULATOR))
        });
        outcome.map_err(|error| Error::Answer { who: error.to_string(), why: self.last_lines() })
    }
}
