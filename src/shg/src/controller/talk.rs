//! Questions to gateways, and news of theirs: to all that are meant at once, so that one that is silent costs one wait.
//!
//! In:  gateways, requests. Out: answers, or why there is none; news of our own subscriptions.
//!
//! Source: TR-369 §5, §7.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use usp::message::act::{Notify, NotifyResp};
use usp::message::{BodyKind, RequestKind, ResponseKind};
use usp::record::{Kind, NoSessionContext};
use usp::{Code, DESK, Msg, Record, VERSIONS};

use super::line::Line;
use super::{Fleet, Gateway};
use crate::error::Error;
use crate::options::Options;

/// How long a gateway may take, where nothing else is said, in seconds.
const TIMEOUT_S: u64 = 10;

/// What became of a question: the message that answers it, or why there is none.
pub type Asked = Result<Vec<u8>, String>;

/// A piece of news.
#[derive(Debug, Clone)]
pub struct News {
    /// Whose: the place among the gateways.
    pub gateway: usize,
    /// The message; it is a Notify.
    pub message: Vec<u8>,
}

/// What has come.
enum Heard {
    /// News: it is kept, or another's.
    News,
    /// An answer of the gateway in this place.
    Answer(usize, Vec<u8>),
}

/// Our side of conversations with some gateways.
pub struct Desk<'f> {
    fleet: &'f Fleet,
    /// Those that are meant, each with its broker's place.
    gateways: Vec<(&'f Gateway, usize)>,
    lines: Vec<(usize, Line)>,
    /// What numbers and subscriptions of this run begin with.
    run: String,
    asked: u64,
    news: VecDeque<News>,
    timeout: Duration,
}

/// An error code in words.
#[must_use]
pub fn code_words(number: u32, words: &str) -> String {
    let known = Code::new(number).map_or_else(|| format!("error {number}"), |code| code.to_string());
    let plain = Code::new(number).map_or("", Code::words);
    if words.is_empty() || words == plain { known } else { format!("{known}: {words}") }
}

impl<'f> Desk<'f> {
    /// Connects to the brokers of `gateways`.
    ///
    /// # Errors
    /// A broker says no, or nothing.
    pub fn open(fleet: &'f Fleet, gateways: &[&'f Gateway], options: &Options) -> Result<Self, Error> {
        let timeout_s = if options.has("timeout") { options.number("timeout")? } else { TIMEOUT_S };
        let with = |gateway: &&'f Gateway| (*gateway, fleet.broker_of(gateway).unwrap_or(0));
        let gateways: Vec<(&Gateway, usize)> = gateways.iter().map(with).collect();
        let mut lines: Vec<(usize, Line)> = Vec::new();
        for (_, place) in &gateways {
            let broker = fleet.broker.get(*place).filter(|_| lines.iter().all(|(other, _)| other != place));
            if let Some(broker) = broker {
                lines.push((*place, Line::open(fleet, broker)?));
            }
        }
        let run = format!("shg-{}", super::own_number());
        let (asked, news, timeout) = (0, VecDeque::new(), Duration::from_secs(timeout_s));
        Ok(Self { fleet, gateways, lines, run, asked, news, timeout })
    }

    /// What this run calls something of its own; nobody else calls anything so.
    #[must_use]
    pub fn own(&self, what: &str) -> String {
        format!("{}-{what}", self.run)
    }

    /// The endpoint id of the gateway in `place`.
    #[must_use]
    pub fn name(&self, place: usize) -> &'f str {
        self.gateways.get(place).map_or("", |(gateway, _)| gateway.endpoint.as_str())
    }

    /// How many gateways are meant.
    #[must_use]
    pub fn count(&self) -> usize {
        self.gateways.len()
    }

    fn send(&mut self, place: usize, message: &Msg<'_>) -> Result<(), Error> {
        let Some((gateway, broker)) = self.gateways.get(place).copied() else { return Ok(()) };
        let record = Record {
            version: VERSIONS.last().copied().unwrap_or("1.4").into(),
            to_id: gateway.endpoint.as_str().into(),
            from_id: self.fleet.endpoint.as_str().into(),
            kind: Some(Kind::NoSession(NoSessionContext { payload: message.encode().into() })),
            ..Record::default()
        };
        let line = self.lines.iter_mut().find(|(place, _)| *place == broker);
        line.map_or(Ok(()), |(_, line)| line.send(&gateway.topic, &record.encode()))
    }

    /// Asks each gateway for which `make` has something; the answers stand in the gateways' order.
    ///
    /// # Errors
    /// A broker has gone.
    pub fn ask<'m>(
        &mut self,
        mut make: impl FnMut(usize) -> Option<RequestKind<'m>>,
    ) -> Result<Vec<Option<Asked>>, Error> {
        let mut waits: Vec<Option<String>> = vec![None; self.count()];
        for (place, wait) in waits.iter_mut().enumerate() {
            let Some(request) = make(place) else { continue };
            self.asked += 1;
            let id = self.own(&self.asked.to_string());
            self.send(place, &Msg::request(id.clone(), request))?;
            *wait = Some(id);
        }
        let silence = format!("no answer within {} s", self.timeout.as_secs());
        let mut answers: Vec<Option<Asked>> =
            waits.iter().map(|wait| wait.as_ref().map(|_| Err(silence.clone()))).collect();
        let until = Instant::now() + self.timeout;
        while waits.iter().any(Option::is_some) {
            let Some(heard) = self.next(until)? else { break };
            let Heard::Answer(place, message) = heard else { continue };
            let Ok(read) = Msg::decode(&message, &DESK) else { continue };
            let id = read.header.as_ref().map(|header| header.msg_id.as_ref().to_owned());
            let awaited = waits.get_mut(place).filter(|wait| wait.is_some() && **wait == id);
            if let (Some(wait), Some(answer)) = (awaited, answers.get_mut(place)) {
                *wait = None;
                *answer = Some(said(&read).map(|()| message.clone()));
            }
        }
        Ok(answers)
    }

    /// The next message, until `until`. News of ours is kept and answered.
    fn next(&mut self, until: Instant) -> Result<Option<Heard>, Error> {
        loop {
            let mut heard = None;
            // Brokers are few: each has a part of the wait.
            for (_, line) in &mut self.lines {
                let part = Instant::now() + Duration::from_millis(50);
                heard = line.next(part.min(until))?;
                if heard.is_some() {
                    break;
                }
            }
            let Some(bytes) = heard else {
                if Instant::now() >= until {
                    return Ok(None);
                }
                continue;
            };
            let Ok(record) = Record::decode(&bytes, &DESK) else { continue };
            let from = self.gateways.iter().position(|(gateway, _)| gateway.endpoint == record.from_id);
            let (Some(place), Some(Kind::NoSession(inner))) = (from, &record.kind) else { continue };
            if record.to_id != self.fleet.endpoint {
                continue;
            }
            let message = inner.payload.to_vec();
            let news = self.is_news(place, &message)?;
            return Ok(Some(if news { Heard::News } else { Heard::Answer(place, message) }));
        }
    }

    /// Is it news? Ours is kept, and answered where that is wanted; another's is not ours to answer.
    fn is_news(&mut self, place: usize, message: &[u8]) -> Result<bool, Error> {
        let Ok(read) = Msg::decode(message, &DESK) else { return Ok(true) };
        let Some(notify) = notify(&read) else { return Ok(false) };
        if !notify.subscription_id.starts_with(&self.run) {
            return Ok(true);
        }
        self.news.push_back(News { gateway: place, message: message.to_vec() });
        if notify.send_resp {
            let id = read.header.as_ref().map(|header| header.msg_id.as_ref().to_owned()).unwrap_or_default();
            let subscription_id = notify.subscription_id.as_ref().to_owned().into();
            let answer = Msg::response(id, ResponseKind::Notify(NotifyResp { subscription_id }));
            self.send(place, &answer)?;
        }
        Ok(true)
    }

    /// The next news, until `until`.
    ///
    /// # Errors
    /// A broker has gone.
    pub fn news(&mut self, until: Instant) -> Result<Option<News>, Error> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(Some(news));
            }
            if self.next(until)?.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Is it news?
pub(crate) fn notify<'m>(message: &'m Msg<'_>) -> Option<&'m Notify<'m>> {
    match message.body.as_ref()?.kind.as_ref()? {
        BodyKind::Request(request) => {
            if let RequestKind::Notify(notify) = request.kind.as_ref()? {
                Some(notify)
            } else {
                None
            }
        }
        BodyKind::Response(_) | BodyKind::Error(_) => None,
    }
}

/// An Error is why there is no answer.
fn said(message: &Msg<'_>) -> Result<(), String> {
    match message.body.as_ref().and_then(|body| body.kind.as_ref()) {
        Some(BodyKind::Response(_)) => Ok(()),
        Some(BodyKind::Error(error)) => {
            let mut words = code_words(error.err_code, &error.err_msg);
            for one in &error.param_errs {
                words.push_str(&format!("; {}: {}", one.path, code_words(one.err_code, &one.err_msg)));
            }
            Err(words)
        }
        Some(BodyKind::Request(_)) | None => Err("an answer that is none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::code_words;

    #[test]
    fn a_code_is_said_in_words() {
        for (number, words, want) in [
            (7006, "", "permission denied (7006)"),
            (7006, "permission denied", "permission denied (7006)"),
            (7022, "hello: it ended", "command failure (7022): hello: it ended"),
            (9, "x", "error 9: x"),
        ] {
            assert_eq!(code_words(number, words), want);
        }
    }
}
