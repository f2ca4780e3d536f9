//! What `multicast` hears: IGMP and MLD, and the kernel's tables.

use std::net::IpAddr;

use multicast::members::{Members, ROWS_MAX};
use multicast::message::Heard;
use multicast::{igmp, mld};
use tests::fuzz::run;

/// What Linux sends for `IP_ADD_MEMBERSHIP` of 239.1.1.1: the IPv4 header with its router alert, and IGMPv3.
const REPORT: [u8; 40] = [
    0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x00, 0x00, 0x0a, 0x09, 0x00, 0x02, //
    0xe0, 0x00, 0x00, 0x16, 0x94, 0x04, 0x00, 0x00, 0x22, 0x00, 0xe9, 0xfb, 0x00, 0x00, 0x00, 0x01, //
    0x04, 0x00, 0x00, 0x00, 0xef, 0x01, 0x01, 0x01,
];

fn table(host: IpAddr, heard: &Heard) {
    let Heard::Report(records) = heard else { return };
    let mut members = Members::default();
    for (record, now_ms) in records.iter().zip(0..) {
        let _ = members.hear(host, record, now_ms);
        let _ = members.filter(record.group);
    }
    assert!(members.rows().len() <= ROWS_MAX);
}

#[test]
fn igmp() {
    run("igmp", &[&REPORT], |bytes| {
        if let Some(igmp::Packet::From(host, heard)) = igmp::read(bytes) {
            table(host.into(), &heard);
        }
    });
}

#[test]
fn mld() {
    let mut report = vec![143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0xff, 5];
    report.extend([0; 13]);
    report.push(7);
    run("mld", &[&report], |bytes| {
        if let Some(mld::Packet::From(heard)) = mld::read(bytes) {
            table(IpAddr::from([0; 16]), &heard);
        }
    });
}
