//! The queue of the data disk: who is served next follows from weights of cgroups.
//!
//! In:  a device that is mounted. Out: its disk's queue, kept by BFQ, with nobody preferred and no longer than BFQ can order.
//!
//! The number of requests is set twice. BFQ counts what of the queue writes may have, three quarters or a half of it, from the number that
//! was there before: with 64 said once it ordered one write at a time, which is no order. More than 64 wait in the disk's own queue, where
//! no weight counts (docs/decisions/0121-floors-of-the-disk.md).
//!
//! Not here: the weights (`supervisor`).
//!
//! Source: Documentation/block/bfq-iosched.rst, Documentation/ABI/stable/sysfs-block; `blk_mq_update_nr_requests`, Linux 6.12.

use std::fs;
use std::path::{Path, PathBuf};

use crate::uevent::Device;
use crate::{Error, errno};

/// What is written, in this order, and what it fails at.
const STEPS: [(&str, &str, &str); 4] = [
    ("scheduler", "bfq", "this kernel has no scheduler that keeps weights (bfq)"),
    ("iosched/low_latency", "0", "short requests cannot be kept from going first"),
    ("nr_requests", "128", "the queue cannot be made longer"),
    ("nr_requests", "64", "the queue cannot be made shorter"),
];

/// Lets weights count at the disk of `device`. Done twice, it changes nothing more.
///
/// # Errors
/// [`Error::System`]: what could not be set; floors of the disk are no more than words then.
pub fn order(descriptions: &Path, device: &Device) -> Result<(), Error> {
    let queue = queue(descriptions, device);
    for (file, value, step) in STEPS {
        fs::write(queue.join(file), value)
            .map_err(|error| Error::system("queue of the data disk", step, errno(&error)))?;
    }
    Ok(())
}

/// The folder of a disk's queue; a partition has that of the disk that it is on.
fn queue(descriptions: &Path, device: &Device) -> PathBuf {
    let own = descriptions.join(device.as_str());
    // The link leads to the partition's folder, which lies in its disk's.
    let disk = if own.join("partition").exists() { own.join("..") } else { own };
    disk.join("queue")
}

#[cfg(test)]
mod tests {
    use super::order;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_queue_of_the_whole_disk_is_set_and_what_is_missing_is_said() {
        let top = std::env::temp_dir().join(format!("shg-storage-queue-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let class = top.join("class");
        fs::create_dir_all(&class).unwrap();
        fs::create_dir_all(top.join("devices/sda/sda1")).unwrap();
        fs::create_dir_all(top.join("devices/sda/queue/iosched")).unwrap();
        fs::write(top.join("devices/sda/sda1/partition"), "1\n").unwrap();
        for (name, place) in [("sda", "../devices/sda"), ("sda1", "../devices/sda/sda1")] {
            symlink(place, class.join(name)).unwrap();
        }
        for device in ["sda", "sda1"] {
            order(&class, &device.into()).unwrap();
            for (file, value) in [("scheduler", "bfq"), ("iosched/low_latency", "0"), ("nr_requests", "64")] {
                let file = top.join("devices/sda/queue").join(file);
                assert_eq!(fs::read_to_string(&file).unwrap(), value, "{device}");
                fs::remove_file(file).unwrap();
            }
        }
        fs::remove_dir_all(top.join("devices/sda/queue")).unwrap();
        let why = order(&class, &"sda1".into()).unwrap_err().to_string();
        assert!(why.contains("bfq") && why.contains("No such file"), "{why}");
        fs::remove_dir_all(&top).unwrap();
    }
}
