//! A service's connection: records over the Unix socket, in both directions.
//!
//! In:  bytes of a stranger. Out: what it has said ([`Said`]); Register and Deregister are answered here.
//!
//! A service says what it says in a bucket of its own: where that is empty nothing more is read of it, and it waits. Answers to us are not
//! counted. A session context is not spoken on the box: frames come whole and in order (7106).
//!
//! Source: TR-369 §4.6 (R-UDS), §5 (records).

use std::os::fd::{AsFd, BorrowedFd};

use contract::Name;
use nix::poll::PollFlags;
use usp::message::act::{Notify, NotifyResp};
use usp::message::write::{Add, CreateObject, ParamSetting};
use usp::message::{BodyKind, ErrorBody, RequestKind, ResponseKind};
use usp::record::{Disconnect, Kind, NoSessionContext, PayloadSecurity};
use usp::{Code, GATEWAY, Msg, Record, VERSIONS};

use super::register::{deregister, register};
use crate::carrier::{Carrier, News};
use crate::doors::Application;
use crate::settings::NotifType;
use crate::stream::Stream;
use crate::tenants::bucket::Bucket;

/// Messages of a service's own in a second, and at once.
const MESSAGES: (u64, u64) = (10, 50);
/// What a record of it may have, in bytes.
const RECORD_BYTES_MAX: usize = 64 * 1024;
/// What a piece of news may have: each may go to every controller, and waits until it is taken.
const NEWS_BYTES_MAX: usize = 4 * 1024;

/// What a service has said.
#[derive(Debug)]
pub enum Said {
    /// An answer: to which message, and its bytes.
    Answer(String, Vec<u8>),
    /// News.
    News(Notify<'static>),
    /// It brings something else from now on.
    Changed,
}

/// One of them.
#[derive(Debug)]
pub struct Service {
    row: u32,
    name: Name,
    endpoint: String,
    ours: String,
    stream: Stream,
    carrier: Carrier,
    /// It has just come, and what came with it was not looked at.
    fresh: bool,
    bucket: Bucket,
    version: &'static str,
    over: bool,
    /// Subscriptions that we have asked it for.
    subscriptions: u32,
}

impl Service {
    /// It has come; `ours` is who we are.
    #[must_use]
    pub fn new(row: u32, came: Application, ours: &str, now_ms: u64) -> Self {
        let mut service = Self {
            row,
            name: came.service,
            endpoint: came.endpoint,
            ours: ours.to_owned(),
            stream: came.stream,
            carrier: came.carrier,
            fresh: true,
            bucket: Bucket::full(MESSAGES.0, MESSAGES.1, now_ms),
            version: VERSIONS.last().copied().unwrap_or("1.4"),
            over: false,
            subscriptions: 0,
        };
        service.flush(now_ms);
        service
    }

    /// Its row.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// Which service it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// It is gone, or has to go.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// It has to go.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> (BorrowedFd<'_>, PollFlags) {
        let read = if self.bucket.is_empty() { PollFlags::empty() } else { PollFlags::POLLIN };
        let write = if self.stream.wants_to_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
        (self.stream.as_fd(), read | write)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        if self.fresh || self.over {
            return Some(0);
        }
        if self.bucket.is_empty() { Some(self.bucket.due_ms()) } else { self.stream.stuck_at() }
    }

    /// Sends a message; `false`: it takes nothing any more.
    pub fn say(&mut self, message: Vec<u8>, now_ms: u64) -> bool {
        self.put(Kind::NoSession(NoSessionContext { payload: message.into() }));
        self.flush(now_ms);
        !self.over
    }

    fn put(&mut self, kind: Kind<'_>) {
        let record = Record {
            version: self.version.into(),
            to_id: self.endpoint.as_str().into(),
            from_id: self.ours.as_str().into(),
            kind: Some(kind),
            ..Record::default()
        };
        // Who reads nothing of what he is told is gone.
        self.over |= !self.carrier.send("", record.encode());
    }

    fn flush(&mut self, now_ms: u64) {
        let bytes = self.carrier.take_out(now_ms);
        self.over |= self.stream.put(&bytes, now_ms).is_err();
    }

    /// One turn: it is read once. `paths` are what it has registered.
    pub fn turn(&mut self, paths: &mut Vec<String>, now_ms: u64) -> Vec<Said> {
        self.fresh = false;
        let mut said = Vec::new();
        if self.over || !self.bucket.has(now_ms) {
            return said;
        }
        let bytes = self.stream.read();
        self.over |= bytes.is_err();
        match self.carrier.hear(&bytes.unwrap_or_default(), now_ms) {
            Ok(news) => {
                for one in news {
                    if let News::Record(record, _) = one {
                        said.extend(self.record(&record, paths, now_ms));
                    }
                }
            }
            Err(_) => self.over = true,
        }
        self.flush(now_ms);
        said
    }

    fn record(&mut self, bytes: &[u8], paths: &mut Vec<String>, now_ms: u64) -> Option<Said> {
        let record = Record::decode(bytes, &GATEWAY).ok().filter(|_| bytes.len() <= RECORD_BYTES_MAX);
        let Some(record) = record else {
            self.carrier.refuse("a record that is none, or too long"); // R-UDS.23
            self.over = true;
            return None;
        };
        if record.to_id != self.ours || record.from_id != self.endpoint {
            return None; // R-E2E.1
        }
        if let Some(known) = VERSIONS.iter().find(|version| **version == record.version) {
            self.version = known;
        }
        match record.kind {
            _ if record.payload_security != PayloadSecurity::Plaintext => {
                self.disconnect(Code::SECURE_SESSION_NOT_SUPPORTED);
                None
            }
            Some(Kind::NoSession(NoSessionContext { payload })) => self.message(&payload, paths, now_ms),
            Some(Kind::Session(_)) => {
                self.disconnect(Code::SESSION_NOT_ALLOWED);
                None
            }
            Some(Kind::Disconnect(_)) => {
                self.over = true;
                None
            }
            Some(
                Kind::WebSocketConnect(_)
                | Kind::MqttConnect(_)
                | Kind::StompConnect(_)
                | Kind::UdsConnect(_),
            )
            | None => None,
        }
    }

    fn disconnect(&mut self, code: Code) {
        self.put(Kind::Disconnect(Disconnect { reason: code.words().into(), reason_code: code.number() }));
    }

    fn message(&mut self, bytes: &[u8], paths: &mut Vec<String>, now_ms: u64) -> Option<Said> {
        let message = Msg::decode(bytes, &GATEWAY).ok();
        let id =
            message.as_ref().and_then(|message| Some(message.header.as_ref()?.msg_id.clone().into_owned()));
        let kind = message.and_then(|message| message.body?.kind);
        if let (Some(id), Some(BodyKind::Response(_) | BodyKind::Error(_))) = (&id, &kind) {
            return Some(Said::Answer(id.clone(), bytes.to_vec()));
        }
        if !self.bucket.take(now_ms) {
            return None; // It says more than it may.
        }
        let (Some(id), Some(BodyKind::Request(request))) = (id, kind) else { return None };
        let before = paths.len();
        let (answer, said) = self.request(&id, request.kind, (bytes.len(), paths));
        if let Some(answer) = answer {
            self.put(Kind::NoSession(NoSessionContext { payload: answer.encode().into() }));
        }
        self.subscribe(paths.get(before..).unwrap_or_default(), now_ms);
        said
    }

    fn request(
        &self,
        id: &str,
        kind: Option<RequestKind<'_>>,
        (length, paths): (usize, &mut Vec<String>),
    ) -> (Option<Msg<'static>>, Option<Said>) {
        let respond = |kind| Some(Msg::response(id.to_owned(), kind));
        match kind {
            Some(RequestKind::Register(request)) => match register(&self.name, paths, &request) {
                Ok(answer) => (respond(ResponseKind::Register(answer)), Some(Said::Changed)),
                Err(error) => (Some(Msg::error(id.to_owned(), error)), None),
            },
            Some(RequestKind::Deregister(request)) => {
                let answer = deregister(paths, &request);
                (respond(ResponseKind::Deregister(answer)), Some(Said::Changed))
            }
            Some(RequestKind::Notify(notify)) => {
                let subscription_id = notify.subscription_id.clone().into_owned().into();
                let answer = ResponseKind::Notify(NotifyResp { subscription_id });
                let answer = notify.send_resp.then(|| Msg::response(id.to_owned(), answer));
                let kept = (length <= NEWS_BYTES_MAX).then(|| Said::News(super::news::owned(notify)));
                (answer, kept)
            }
            Some(_) | None => {
                let code = Code::PERMISSION_DENIED;
                let words = "a service that is no controller brings a part of the tree, and asks for none";
                let error =
                    ErrorBody { err_code: code.number(), err_msg: words.into(), param_errs: Vec::new() };
                (Some(Msg::error(id.to_owned(), error)), None)
            }
        }
    }

    /// We hear of all that happens in what it brings; which controller hears of it is decided here, not there.
    fn subscribe(&mut self, paths: &[String], now_ms: u64) {
        for path in paths {
            let one = |(_, kind): &(NotifType, &'static str)| {
                let wish = |param: &'static str, value: &str| ParamSetting {
                    param: param.into(),
                    value: value.to_owned().into(),
                    required: true,
                };
                self.subscriptions = self.subscriptions.saturating_add(1);
                let id = format!("broker-{}", self.subscriptions);
                let wishes =
                    [("ID", id.as_str()), ("Enable", "true"), ("NotifType", kind), ("ReferenceList", path)];
                CreateObject {
                    obj_path: "Device.LocalAgent.Subscription.".into(),
                    param_settings: wishes.map(|(param, value)| wish(param, value)).into(),
                }
            };
            let create_objs = NotifType::WORDS.iter().map(one).collect();
            let number = format!("BROKER@{now_ms}-S{}", self.subscriptions);
            let add = RequestKind::Add(Add { allow_partial: true, create_objs });
            let payload = Msg::request(number, add).encode().into();
            self.put(Kind::NoSession(NoSessionContext { payload }));
        }
    }
}
