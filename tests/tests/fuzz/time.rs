//! What `time` hears: NTP, sealed or not, agreements on keys, name servers.

use tests::fuzz::run;
use time::{agreement, dns, packet, seal};

const TOKEN: u64 = 0x0123_4567_89ab_cdef;

#[test]
fn ntp() {
    let mut sample = packet::question(TOKEN).to_vec();
    sample[0] = 0x24;
    sample[1] = 2;
    sample.copy_within(40..48, 24);
    run("ntp", &[&sample], |bytes| {
        if let Ok(answer) = packet::read(bytes, TOKEN) {
            assert!(answer.transmit_ns >= answer.receive_ns && (1..=15).contains(&answer.stratum));
            let sample = time::filter::Sample::of(
                [answer.receive_ns, answer.transmit_ns],
                [answer.receive_ns, answer.transmit_ns],
                answer.precision_ns,
                0,
            );
            assert!(sample.is_some_and(|sample| sample.offset_ns == 0));
        }
    });
}

#[test]
fn nts_seal() {
    let mut jar = seal::Jar::new([1; 32], [2; 32], vec![vec![3; 100]; 8]);
    let (sample, _) = jar.question(TOKEN).unwrap();
    run("nts_seal", &[&sample], |bytes| {
        let mut jar = seal::Jar::new([1; 32], [2; 32], Vec::new());
        // Whatever it is, it is the answer to a question of ours, as far as the identifier tells.
        let unique = bytes.get(52..84).and_then(|unique| unique.try_into().ok()).unwrap_or([0; 32]);
        assert!(jar.open(bytes, &unique).is_err(), "nobody else has the key");
    });
}

#[test]
fn nts_agreement() {
    let mut sample = agreement::question();
    let end = sample.split_off(sample.len() - 4);
    sample.extend([0, 5, 0, 4, 1, 2, 3, 4, 0, 6, 0, 1, b'x', 0, 7, 0, 2, 0, 123]);
    sample.extend(end);
    run("nts_agreement", &[&sample], |bytes| {
        if let agreement::Heard::Whole(agreement) = agreement::read(bytes) {
            assert!((1..=seal::COOKIES).contains(&agreement.cookies.len()));
        }
    });
}

fn dns_question() -> Vec<u8> {
    dns::question(7, "ntp.example", dns::Kind::A).unwrap()
}

#[test]
fn dns_addresses() {
    let mut sample = dns_question();
    sample[2] = 0x81;
    sample[7] = 1;
    sample.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, 1]);
    run("dns_addresses", &[&sample], |bytes| {
        if let Some(found) = dns::read(bytes, &dns_question()) {
            assert!(found.len() <= dns::ADDRESSES && found.iter().all(dns::is_somebody));
        }
    });
}
