//! The daemon between phones and a platform: baresip and sipp, with media both ways.
//!
//! In:  namespaces. Out: who registers, who rings, whose packets arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use contract::calls::Answer;
use stage::{
    HOME_ADDRESS, PHONE, PLATFORM_ADDRESS, PLAY_ADDRESS, Stage, Talker, begin, daemon, enter, media,
    platform, rows, until,
};

/// A phone: baresip with a tone for a microphone. It takes every call, or makes the one to `dials`.
fn baresip(dials: Option<&str>) -> Talker {
    let folder = "/run/baresip";
    fs::create_dir_all(folder).unwrap();
    let modules = "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule ausine.so\nmodule aubridge.so\n\
        module_tmp account.so\nmodule_app menu.so\naudio_source ausine,400\nausrc_srate 48000\nauplay_srate 48000\nausrc_channels 2\nauplay_channels 2\naudio_player aubridge,x\naudio_alert aubridge,y\n";
    fs::write(format!("{folder}/config"), format!("{modules}sip_listen {PHONE}:5062\n")).unwrap();
    let account = format!(
        "<sip:alice@isp.example>;outbound=\"sip:{HOME_ADDRESS}\";regint=60;answermode=auto;audio_codecs=PCMU/8000/1\n"
    );
    fs::write(format!("{folder}/accounts"), account).unwrap();
    fs::write(format!("{folder}/contacts"), "").unwrap();
    let mut words = vec!["baresip", "-f", folder, "-t", "60"];
    let line = dials.map(|whom| format!("/dial {whom}"));
    words.extend(line.iter().flat_map(|line| ["-e", line]));
    Talker::start("phone", &words)
}

#[test]
fn a_phone_is_called_and_calls() {
    if !enter("a_phone_is_called_and_calls") {
        return;
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let mut platform = platform();
    let phone = baresip(None);
    let registered = platform.hears("registered");
    assert!(registered.contains(PLAY_ADDRESS) && !registered.contains("192.168."), "{registered}");
    until("ctl knows the phone", 5, || {
        let known =
            |row: &Answer| matches!(row, Answer::Phone { address, .. } if address.to_string() == PHONE);
        rows().iter().any(known).then_some(())
    });
    // The platform calls: the phone answers, and both hear.
    platform.tell("call");
    platform.hears("up");
    let (sent, _) = until("a second of media both ways", 15, || {
        Some(media()).filter(|(sent, received)| *sent >= 50 && *received >= 50)
    });
    platform.tell("stats");
    let stats = platform.hears("stats");
    let numbers: Vec<u64> = stats.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
    assert!(numbers[0] + 5 >= sent && numbers[1] == 0, "what the phone sends arrives: {sent}, {stats}");
    platform.tell("hangup");
    platform.hears("over");
    until("the media are closed", 5, || (media() == (0, 0)).then_some(()));
    drop(phone);
    // And the phone calls, and ends it itself.
    let phone = baresip(Some(&format!("sip:bob@{PLATFORM_ADDRESS}")));
    platform.hears("up");
    until("media both ways", 15, || Some(media()).filter(|(sent, received)| *sent >= 50 && *received >= 50));
    phone.ends();
    platform.hears("over");
    until("the media are closed", 5, || (media() == (0, 0)).then_some(()));
}

#[test]
fn sipp_calls_sipp() {
    if !enter("sipp_calls_sipp") {
        return;
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let server =
        ["sipp", "-sn", "uas", "-i", PLATFORM_ADDRESS, "-rtp_echo", "-mi", PLATFORM_ADDRESS, "-nostdin"];
    let _server = begin("platform", &server);
    let proxy = format!("{HOME_ADDRESS}:5060");
    let calls =
        ["-m", "4", "-r", "2", "-l", "4", "-d", "1500", "-nostdin", "-timeout", "40", "-timeout_error"];
    let words = ["sipp", "-sn", "uac", "-i", PHONE, "-mi", PHONE, "-rsa", &proxy, PLATFORM_ADDRESS];
    let mut client = begin("phone", &[&words[..], &calls].concat());
    let status = until("all calls", 60, || client.0.try_wait().unwrap());
    assert!(status.success(), "sipp: {status}");
    until("the media are closed", 5, || {
        rows().iter().all(|row| matches!(row, Answer::Phone { .. })).then_some(())
    });
}

#[test]
fn nobody_else_is_served() {
    if !enter("nobody_else_is_served") {
        return;
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let mut platform = platform();
    // A token that nobody has.
    platform.tell(&format!("call sip:nobody@{PLAY_ADDRESS}:5060"));
    assert_eq!(platform.hears("refused"), "refused 404");
    // A stranger in the play gets no answer at all; what follows shows that the daemon has had its turn.
    let ask = format!(
        "OPTIONS sip:x@{PLAY_ADDRESS} SIP/2.0\\r\\nVia: SIP/2.0/UDP 198.51.100.66;branch=z9hG4bKs\\r\\nFrom: <sip:x@x>;tag=1\\r\\n\
        To: <sip:x@x>\\r\\nCall-ID: s\\r\\nCSeq: 1 OPTIONS\\r\\n\\r\\n"
    );
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('198.51.100.66', 5060))\n\
        s.sendto(b\"{ask}\", ('{PLAY_ADDRESS}', 5060))\ns.settimeout(1)\n\
        try:\n    print('answered', s.recv(2048), flush=True)\nexcept TimeoutError:\n    print('silence', flush=True)\n"
    );
    Talker::start("platform", &["python3", "-c", &script]).hears("silence");
    platform.tell(&format!("call sip:nobody@{PLAY_ADDRESS}:5060"));
    platform.hears("refused");
    // The play is gone: a phone is told so.
    stage.order.play = None;
    stage.tell_again();
    let socket = UdpSocket::bind((HOME_ADDRESS, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let register = script
        .replace("198.51.100.66", PHONE)
        .replace(PLAY_ADDRESS, HOME_ADDRESS)
        .replace("OPTIONS", "REGISTER");
    Talker::start("phone", &["python3", "-c", &register]).hears("503");
}
