//! What a broker sends to the agent, and the operator's word.

use mqtt::client::Client;
use mqtt::packet::{self, Hello, Version};
use tests::fuzz::run;

const CONNACK: [u8; 11] = [0x20, 9, 0, 0, 6, 0x22, 0, 10, 0x21, 0, 20];
const SUBACK: [u8; 6] = [0x90, 4, 0, 1, 0, 1];

#[test]
fn agent_mqtt() {
    let publish = packet::publish(7, "us", "them", b"record", Version::V5);
    let life = [CONNACK.as_slice(), &SUBACK, &publish].concat();
    let old =
        [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 1], &packet::publish(7, "us", "them", b"x", Version::V311)]
            .concat();
    run("agent_mqtt", &[&life, &old, &publish], |bytes| {
        for version in [Version::V5, Version::V311] {
            let mut client = Client::begin(&Hello::default(), version, &["us".to_owned()], 0);
            let half = bytes.len() / 2;
            let first = client.hear(&bytes[..half], 1);
            if first.is_ok() && client.hear(&bytes[half..], 2).is_ok() {
                let _ = client.send("them", b"answer".to_vec());
            }
            assert!(client.take_out(3).len() <= 16 * bytes.len() + 1024, "nothing grows out of little");
        }
    });
}

#[test]
fn agent_configuration() {
    let sample = b"[[controller]]\nendpoint = 'self::c'\nbroker = '192.0.2.1'\ntopic = '/c'\nrole = 'r'\n\
        [[role]]\nname = 'r'\nrules = [{ order = 1, targets = ['Device.'], rights = 'r--n' }]\n";
    run("agent_configuration", &[sample], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let _ = agent::configuration::parse(text);
    });
}
