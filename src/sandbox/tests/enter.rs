//! Real sandboxes: they are put on, looked at, weakened by one layer after the other, and lived in.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use contract::layer::{Layer, Layers};
use nix::sys::wait::WaitStatus;
use sandbox::Report;
use stage::{Stage, end, enter_stage, manifest, without_controllers};

/// What cannot be there where a layer is not, because it is made of it.
fn hangs_on(layer: Layer) -> &'static [Layer] {
    match layer {
        Layer::MountNamespace => {
            &[Layer::ReadOnlyRoot, Layer::PrivateProc, Layer::MinimalDev, Layer::Mounts, Layer::Landlock]
        }
        Layer::PidNamespace => &[Layer::PrivateProc],
        Layer::NoNewPrivileges => &[Layer::Seccomp, Layer::Landlock],
        Layer::UserNamespace => &[Layer::NoNesting],
        Layer::Mounts => &[Layer::ReadOnlyRoot],
        Layer::NetworkNamespace
        | Layer::UtsNamespace
        | Layer::IpcNamespace
        | Layer::CgroupNamespace
        | Layer::Cgroup
        | Layer::MemoryMax
        | Layer::PidsMax
        | Layer::Cpu
        | Layer::Disk
        | Layer::ReadOnlyRoot
        | Layer::PrivateProc
        | Layer::MinimalDev
        | Layer::NoCapabilities
        | Layer::Seccomp
        | Layer::Descriptors
        | Layer::NoNesting
        | Layer::ResourceLimits
        | Layer::Devices
        | Layer::Landlock => &[],
    }
}

fn names(layers: Layers) -> Vec<&'static str> {
    layers.iter().map(Layer::word).collect()
}

#[test]
fn each_layer_is_seen_and_one_that_is_left_out_is_named() {
    if !enter_stage("each_layer_is_seen_and_one_that_is_left_out_is_named") {
        return;
    }
    let unseen = without_controllers();
    let all = Layers::all().iter().filter(|layer| !unseen.has(*layer)).fold(Layers::NONE, Layers::with);
    for without in [None].into_iter().chain(Layer::ALL.map(Some)) {
        // The cgroup and its files are the caller's.
        let mut plain = manifest("exit 0");
        let weakened = without.filter(|layer| unseen.has(*layer)).is_none();
        match without {
            Some(Layer::MemoryMax) => plain.memory.ceiling_mib += 1,
            Some(Layer::PidsMax) => plain.limits.pids += 1,
            Some(Layer::Cpu) => plain.cpu.ceiling_permille += 10,
            _ => {}
        }
        let mut stage = Stage::new(&plain);
        stage.plan = sandbox::Plan::new(&manifest("exit 0"), 2).unwrap();
        if without == Some(Layer::Disk) {
            stage.plan.weigh(sandbox::cgroup::disk_weight(77, true));
        }
        let (entered, report) = stage.enter(without.into_iter().fold(Layers::NONE, Layers::with));
        assert!(matches!(report, Report::Applied(_)), "{report:?} without {:?}", without.map(Layer::word));
        let seen = stage.seen(&entered, report);
        let want = without.iter().flat_map(|layer| hangs_on(*layer).iter().chain([layer]));
        let want = want.fold(all, |set, layer| set.without(*layer));
        if weakened {
            assert_eq!(names(seen), names(want), "without {:?}", without.map(Layer::word));
        }
        assert!(matches!(end(entered), WaitStatus::Exited(_, 126)), "it ends where nobody says go");
    }
}
