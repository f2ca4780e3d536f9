//! Each layer is seen where it is, and named where it is not.

use super::{layers, rows};
use crate::mountinfo::mounts;
use crate::plan::tests::manifest;
use crate::seen::{Moment, NAMESPACES, Open, Seen};
use crate::{Plan, cgroup, limits};
use contract::layer::{Layer, Layers};

fn open(number: u32, closes: bool, leads_to: &str, mount: u32) -> Open {
    Open { number, closes, leads_to: leads_to.to_owned(), mount }
}

/// The mount at `place` in what was captured.
fn at(place: &str) -> u32 {
    let all = include_str!("../../tests/data/mountinfo");
    mounts(all).find(|mount| mount.place == place).unwrap().id
}

/// What a whole sandbox looks like; mountinfo (`WRITE_DATA=1 make test T=attacks`) and status are from the board kernel.
fn whole(plan: &Plan) -> Seen {
    let mut number = 0;
    let namespaces = NAMESPACES.map(|(kind, _)| {
        number += 1;
        (format!("{kind}:[40265321{number}]"), format!("{kind}:[4026531{number}]"))
    });
    let limit = |(_, name, limit)| format!("{name:<26}{limit:<21}{limit:<21}units\n");
    Seen {
        moment: Moment::Waiting,
        network: namespaces[3].0.clone(),
        namespaces,
        maps: ["         0    1048576      65536\n", "         0    1048576      65536\n"].map(str::to_owned),
        status: include_str!("../../tests/data/status").to_owned(),
        mounts: include_str!("../../tests/data/mountinfo").to_owned(),
        limits: limits::all(plan).map(limit).concat(),
        cgroup: "0::/slices/demo/hello/life\n".to_owned(),
        cgroup_files: plan.cgroup_files.iter().map(|setting| setting.value.to_string()).collect(),
        descriptors: Some(vec![
            open(0, false, "/dev/null", at("/dev/null")),
            open(3, false, "pipe:[7]", 15),
            open(7, true, "/", 2),
        ]),
        guarded: true,
        host: Vec::new(),
        volume: None,
        told: Layers::NONE.with(Layer::NoNesting).with(Layer::Landlock),
    }
}

/// Of a service that has a floor of everything.
fn planned() -> Plan {
    let mut plan = Plan::new(&manifest(), 0).unwrap();
    plan.weigh(cgroup::disk_weight(300, true));
    plan
}

#[test]
fn a_whole_sandbox_has_every_layer() {
    let plan = planned();
    let missing: Vec<_> = rows(&whole(&plan), &plan).into_iter().filter(|row| !row.holds).collect();
    assert_eq!(missing, []);
    assert_eq!(layers(&Seen::default(), &plan), Layers::NONE, "what cannot be seen is not there");
    let mut promised_nothing = planned();
    promised_nothing.weigh(cgroup::disk_weight(10, false));
    assert_eq!(
        layers(&Seen::default(), &promised_nothing),
        Layers::NONE.with(Layer::Disk),
        "of the disk it needs nothing"
    );
    promised_nothing.lacks_ceiling = true;
    let rows = rows(&Seen::default(), &promised_nothing);
    let disk = rows.iter().find(|row| row.layer == Layer::Disk).unwrap();
    assert!(disk.holds && disk.found.contains("keeps no ceiling"), "{disk:?}");
}

#[test]
fn a_ceiling_of_the_disk_is_a_layer_until_there_is_none() {
    let mut plan = planned();
    plan.weigh(cgroup::disk_ceilings((8, 0), 2_048, 512));
    let mut seen = whole(&plan);
    assert!(layers(&seen, &plan).has(Layer::Disk));
    let place = plan.cgroup_files.iter().position(|setting| setting.file == cgroup::IO_MAX).unwrap();
    seen.cgroup_files[place] = String::new();
    assert!(!layers(&seen, &plan).has(Layer::Disk), "the kernel keeps none");
    plan.weigh(cgroup::disk_ceilings((8, 0), 0, 0));
    assert!(layers(&seen, &plan).has(Layer::Disk), "and none is asked for");
}

#[test]
fn each_layer_that_is_missing_is_named_and_no_other() {
    let plan = planned();
    let same = |seen: &mut Seen, place: usize| seen.namespaces[place].0 = seen.namespaces[place].1.clone();
    let swap = |text: &mut String, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        *text = text.replace(from, to);
    };
    let unset = |seen: &mut Seen, layer: Layer| {
        let place = plan.cgroup_files.iter().position(|setting| setting.layer == Some(layer)).unwrap();
        seen.cgroup_files[place] = "max".to_owned();
    };
    for layer in Layer::ALL {
        let mut seen = whole(&plan);
        match layer {
            Layer::UserNamespace => same(&mut seen, 0),
            Layer::PidNamespace => same(&mut seen, 1),
            Layer::MountNamespace => same(&mut seen, 2),
            Layer::NetworkNamespace => seen.namespaces[3].0 = "net:[1]".to_owned(),
            Layer::UtsNamespace => same(&mut seen, 4),
            Layer::IpcNamespace => same(&mut seen, 5),
            Layer::CgroupNamespace => same(&mut seen, 6),
            Layer::Cgroup => seen.cgroup = "0::/gateway/supervisor\n".to_owned(),
            Layer::MemoryMax | Layer::PidsMax | Layer::Cpu | Layer::Disk => unset(&mut seen, layer),
            Layer::ReadOnlyRoot => swap(&mut seen.mounts, " / / ro,", " / / rw,"),
            Layer::PrivateProc => swap(&mut seen.mounts, "hidepid=invisible,", ""),
            Layer::MinimalDev => swap(&mut seen.mounts, "/dev ro,", "/dev rw,"),
            Layer::NoCapabilities => {
                swap(&mut seen.status, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400")
            }
            Layer::NoNewPrivileges => swap(&mut seen.status, "NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            Layer::Seccomp => swap(&mut seen.status, "Seccomp:\t2", "Seccomp:\t0"),
            Layer::Descriptors => seen.descriptors = Some(vec![open(4, false, "pipe:[9]", 15)]),
            Layer::NoNesting | Layer::Landlock => seen.told = seen.told.without(layer),
            Layer::Mounts => seen.mounts.push_str("70 61 0:9 / /more rw,nosuid,nodev - tmpfs tmpfs rw\n"),
            Layer::ResourceLimits => {
                swap(&mut seen.limits, "Max core file size        0 ", "Max core file size        9 ")
            }
            Layer::Devices => seen.guarded = false,
        }
        let found = layers(&seen, &plan);
        assert_eq!(found, Layers::all().without(layer), "{}", layer.word());
    }
}

#[test]
fn the_gateways_sockets_may_be_there_and_nothing_else() {
    let plan = Plan::new(&manifest(), 0).unwrap();
    let harmless = "ro,nosuid,nodev,noexec,relatime";
    let table = [
        ("/dev/gateway", harmless, Layers::all()),
        ("/dev/usp", harmless, Layers::all()),
        ("/dev/gateway", "rw,nosuid,nodev,noexec,relatime", Layers::all().without(Layer::Mounts)),
        ("/dev/log", harmless, Layers::all().without(Layer::Mounts).without(Layer::MinimalDev)),
    ];
    for (place, options, want) in table {
        let mut seen = whole(&plan);
        seen.mounts.push_str(&format!("69 63 0:24 /wire/any {place} {options} - tmpfs run rw\n"));
        assert_eq!(layers(&seen, &plan), want, "{place} {options}");
    }
}

#[test]
fn what_a_service_opens_by_itself_is_no_leak_and_what_leads_out_is() {
    let plan = Plan::new(&manifest(), 0).unwrap();
    let table = [
        ("a file of its image", open(9, false, "/hello", at("/")), true),
        ("a socket", open(9, false, "socket:[8]", 9), true),
        ("a folder of the gateway's", open(9, false, "/sys/fs/cgroup", 29), false),
    ];
    for (what, descriptor, holds) in table {
        let descriptors = Some(vec![descriptor]);
        let seen = Seen { moment: Moment::Running, descriptors, ..whole(&plan) };
        assert_eq!(layers(&seen, &plan).has(Layer::Descriptors), holds, "{what}");
    }
}

#[test]
fn a_volume_is_where_it_should_be_and_no_larger_than_promised() {
    let mut manifest = manifest();
    manifest.volume =
        Some(contract::manifest::Volume { size_mib: 4, inodes: 100, at: "/data".into(), kept: true });
    let plan = Plan::new(&manifest, 0).unwrap();
    let line =
        "69 61 8:0 /services/hello /data rw,nosuid,nodev,noexec,relatime,idmapped - ext4 /dev/sda rw\n";
    let with = |line: &str, volume| {
        let mut seen = Seen { volume, ..whole(&plan) };
        seen.mounts.push_str(line);
        layers(&seen, &plan).has(Layer::Mounts)
    };
    assert!(with(line, Some((4 << 20, 100))));
    for (what, line, volume) in [
        ("not there", "", Some((4 << 20, 100))),
        ("it can be run", &*line.replace("noexec,", ""), Some((4 << 20, 100))),
        ("no limit", line, Some((256 << 20, 100))),
        ("too many files", line, Some((4 << 20, 101))),
        ("not seen", line, None),
    ] {
        assert!(!with(line, volume), "{what}");
    }
    assert!(!layers(&Seen { volume: None, ..whole(&plan) }, &plan).has(Layer::Mounts));
    manifest.volume = None;
    let none = Plan::new(&manifest, 0).unwrap();
    let mut seen = whole(&none);
    seen.mounts.push_str(line);
    assert!(!layers(&seen, &none).has(Layer::Mounts), "nobody planned one");
}

#[test]
fn devices_of_the_gateways_are_there_where_they_were_granted() {
    let mut manifest = manifest();
    let none = Plan::new(&manifest, 0).unwrap();
    manifest.devices = [contract::manifest::Device::Serial].into_iter().collect();
    let plan = Plan::new(&manifest, 0).unwrap();
    let line = "69 63 0:31 / /dev/host ro,nosuid,noexec,relatime - tmpfs none rw\n";
    let bad = Layers::all().without(Layer::Devices);
    let table = [
        ("a serial line", &plan, line.to_owned(), vec![("ttyUSB0", Some((188, 0)))], Layers::all()),
        ("none", &plan, line.to_owned(), vec![], bad),
        (
            "a camera, too",
            &plan,
            line.to_owned(),
            vec![("ttyUSB0", Some((188, 0))), ("video0", Some((81, 0)))],
            bad,
        ),
        ("a disk by that name", &plan, line.to_owned(), vec![("ttyUSB0", None)], bad),
        (
            "it can be written",
            &plan,
            line.replace(" ro,", " rw,"),
            vec![("ttyUSB0", Some((188, 0)))],
            Layers::all().without(Layer::Mounts),
        ),
        (
            "nobody granted it",
            &none,
            line.to_owned(),
            vec![("ttyUSB0", Some((188, 0)))],
            bad.without(Layer::Mounts).without(Layer::MinimalDev),
        ),
    ];
    for (what, plan, line, host, want) in table {
        let host = host.into_iter().map(|(name, number)| (name.to_owned(), number)).collect();
        let mut seen = Seen { host, ..whole(plan) };
        seen.mounts.push_str(&line);
        assert_eq!(layers(&seen, plan), want, "{what}");
    }
}

#[test]
fn the_machines_numbers_are_for_whom_they_were_granted() {
    let mut manifest = manifest();
    let mut seen = whole(&Plan::new(&manifest, 0).unwrap());
    seen.mounts = seen.mounts.replace(",subset=pid", "");
    assert!(!layers(&seen, &Plan::new(&manifest, 0).unwrap()).has(Layer::PrivateProc));
    manifest.proc = contract::manifest::Proc::Full;
    assert!(layers(&seen, &Plan::new(&manifest, 0).unwrap()).has(Layer::PrivateProc));
}
