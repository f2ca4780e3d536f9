//! What there is to say on the wire `calls`: which phones are registered, and which calls there are.

use std::net::Ipv4Addr;

use contract::calls::Answer;

use crate::proxy::Proxy;

/// All rows, then the word that it was all.
#[must_use]
pub fn answers(proxy: Option<&Proxy>, now_ms: u64) -> Vec<Answer> {
    proxy.into_iter().flat_map(|proxy| rows(proxy, now_ms)).chain([Answer::Done]).collect()
}

fn rows(proxy: &Proxy, now_ms: u64) -> Vec<Answer> {
    let phones = proxy.bindings().rows().iter().filter_map(|phone| {
        let until_ms = phone.registered_until_ms.filter(|until_ms| *until_ms > now_ms)?;
        Some(Answer::Phone {
            contact: phone.contact.as_str().into(),
            address: *phone.address.ip(),
            remaining_s: u32::try_from((until_ms - now_ms) / 1_000).unwrap_or(u32::MAX),
        })
    });
    let host = |end: &crate::media::End| end.to.map_or(Ipv4Addr::UNSPECIFIED, |to| *to.ip());
    let calls = proxy.media().rows().iter().map(|call| Answer::Call {
        id: call.call.as_str().into(),
        phone: host(&call.home),
        peer: host(&call.play),
        sent: call.home.packets,
        received: call.play.packets,
        age_s: u32::try_from(now_ms.saturating_sub(call.began_ms) / 1_000).unwrap_or(u32::MAX),
    });
    phones.chain(calls).collect()
}
