//! A message: one request, response or error.
//!
//! In:  the payload of a record. Out: a [`Msg`]; and bytes again. The words of the requests are in `read.rs` (asking), `write.rs`
//! (changing), `act.rs` (commands and news).
//!
//! Maps are lists of [`Entry`]; of two with the same key the later holds.
//!
//! Source: TR-369 §7 (messages), `usp-msg-1-4.proto`; 1.3 is the same without Register and Deregister's later words.
#![allow(missing_docs, reason = "fields are called as in the schema, which TR-369 explains")]

pub mod act;
pub mod read;
pub mod write;

use crate::code::Code;
use crate::proto::{self, Budget, Limits, Single, Text, Value, choice, message, one_of};

use act::{Notify, NotifyResp, Operate, OperateResp};
use read::{
    Get, GetInstances, GetInstancesResp, GetResp, GetSupportedDm, GetSupportedDmResp, GetSupportedProtocol,
    GetSupportedProtocolResp,
};
use write::{
    Add, AddResp, Delete, DeleteResp, Deregister, DeregisterResp, Register, RegisterResp, Set, SetResp,
};

message! {
    /// A message.
    pub struct Msg<'a> {
        header: Option<Header<'a>> = 1,
        body: Option<Body<'a>> = 2,
    }
}

message! {
    /// Which message it is, and of what kind.
    pub struct Header<'a> {
        msg_id: Text<'a> = 1,
        msg_type: MsgType = 2,
    }
}

choice! {
    /// The kind of a message.
    pub enum MsgType {
        Error = 0,
        Get = 1,
        GetResp = 2,
        Notify = 3,
        Set = 4,
        SetResp = 5,
        Operate = 6,
        OperateResp = 7,
        Add = 8,
        AddResp = 9,
        Delete = 10,
        DeleteResp = 11,
        GetSupportedDm = 12,
        GetSupportedDmResp = 13,
        GetInstances = 14,
        GetInstancesResp = 15,
        NotifyResp = 16,
        GetSupportedProto = 17,
        GetSupportedProtoResp = 18,
        Register = 19,
        RegisterResp = 20,
        Deregister = 21,
        DeregisterResp = 22,
    }
}

message! {
    /// What it says.
    pub struct Body<'a> {
        => kind: BodyKind<'a>,
    }
}

one_of! {
    /// A question, an answer, or why there is none.
    pub enum BodyKind<'a> {
        Request(Request<'a>) = 1,
        Response(Response<'a>) = 2,
        Error(ErrorBody<'a>) = 3,
    }
}

message! {
    /// A question.
    pub struct Request<'a> {
        => kind: RequestKind<'a>,
    }
}

one_of! {
    /// Every question.
    pub enum RequestKind<'a> {
        Get(Get<'a>) = 1,
        GetSupportedDm(GetSupportedDm<'a>) = 2,
        GetInstances(GetInstances<'a>) = 3,
        Set(Set<'a>) = 4,
        Add(Add<'a>) = 5,
        Delete(Delete<'a>) = 6,
        Operate(Operate<'a>) = 7,
        Notify(Notify<'a>) = 8,
        GetSupportedProtocol(GetSupportedProtocol<'a>) = 9,
        Register(Register<'a>) = 10,
        Deregister(Deregister<'a>) = 11,
    }
}

message! {
    /// An answer.
    pub struct Response<'a> {
        => kind: ResponseKind<'a>,
    }
}

one_of! {
    /// Every answer.
    pub enum ResponseKind<'a> {
        Get(GetResp<'a>) = 1,
        GetSupportedDm(GetSupportedDmResp<'a>) = 2,
        GetInstances(GetInstancesResp<'a>) = 3,
        Set(SetResp<'a>) = 4,
        Add(AddResp<'a>) = 5,
        Delete(DeleteResp<'a>) = 6,
        Operate(OperateResp<'a>) = 7,
        Notify(NotifyResp<'a>) = 8,
        GetSupportedProtocol(GetSupportedProtocolResp<'a>) = 9,
        Register(RegisterResp<'a>) = 10,
        Deregister(DeregisterResp<'a>) = 11,
    }
}

message! {
    /// Why a request was not done.
    pub struct ErrorBody<'a> {
        err_code: u32 = 1,
        err_msg: Text<'a> = 2,
        param_errs: Vec<ParamError<'a>> = 3,
    }
}

message! {
    /// Why a parameter, or a path, was not.
    pub struct ParamError<'a> {
        path: Text<'a> = 1,
        err_code: u32 = 2,
        err_msg: Text<'a> = 3,
    }
}

message! {
    /// Why an object was not.
    pub struct Failure<'a> {
        err_code: u32 = 1,
        err_msg: Text<'a> = 2,
    }
}

message! {
    /// An entry of a map.
    pub struct Entry<'a> {
        key: Text<'a> = 1,
        value: Text<'a> = 2,
    }
}

impl<'a> Entry<'a> {
    /// `key` and `value`.
    pub fn new(key: impl Into<Text<'a>>, value: impl Into<Text<'a>>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl<'a> Failure<'a> {
    /// `code`, and `words` to a person.
    pub fn new(code: Code, words: impl Into<Text<'a>>) -> Self {
        Self { err_code: code.number(), err_msg: words.into() }
    }
}

impl<'a> ParamError<'a> {
    /// `code` for `path`, and `words` to a person.
    pub fn new(path: impl Into<Text<'a>>, code: Code, words: impl Into<Text<'a>>) -> Self {
        Self { path: path.into(), err_code: code.number(), err_msg: words.into() }
    }
}

impl<'a> Msg<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none, or has more than `limits` allow. The peer is told 7004.
    pub fn decode(bytes: &'a [u8], limits: &Limits) -> Result<Self, proto::Error> {
        let mut budget = Budget::of(bytes, limits)?;
        Self::read(Value::Bytes(bytes), &mut budget)
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_fields(&mut out);
        out
    }

    /// A message with `id` that asks `kind`.
    pub fn request(id: impl Into<Text<'a>>, kind: RequestKind<'a>) -> Self {
        let msg_type = kind.msg_type();
        Self::of(id, msg_type, BodyKind::Request(Request { kind: Some(kind) }))
    }

    /// A message with `id` that answers `kind`.
    pub fn response(id: impl Into<Text<'a>>, kind: ResponseKind<'a>) -> Self {
        let msg_type = kind.msg_type();
        Self::of(id, msg_type, BodyKind::Response(Response { kind: Some(kind) }))
    }

    /// A message with `id` that says why there is no answer.
    pub fn error(id: impl Into<Text<'a>>, error: ErrorBody<'a>) -> Self {
        Self::of(id, MsgType::Error, BodyKind::Error(error))
    }

    fn of(id: impl Into<Text<'a>>, msg_type: MsgType, kind: BodyKind<'a>) -> Self {
        let header = Some(Header { msg_id: id.into(), msg_type });
        Self { header, body: Some(Body { kind: Some(kind) }) }
    }
}

impl RequestKind<'_> {
    /// What the header calls it.
    #[must_use]
    pub fn msg_type(&self) -> MsgType {
        match self {
            Self::Get(_) => MsgType::Get,
            Self::GetSupportedDm(_) => MsgType::GetSupportedDm,
            Self::GetInstances(_) => MsgType::GetInstances,
            Self::Set(_) => MsgType::Set,
            Self::Add(_) => MsgType::Add,
            Self::Delete(_) => MsgType::Delete,
            Self::Operate(_) => MsgType::Operate,
            Self::Notify(_) => MsgType::Notify,
            Self::GetSupportedProtocol(_) => MsgType::GetSupportedProto,
            Self::Register(_) => MsgType::Register,
            Self::Deregister(_) => MsgType::Deregister,
        }
    }
}

impl ResponseKind<'_> {
    /// What the header calls it.
    #[must_use]
    pub fn msg_type(&self) -> MsgType {
        match self {
            Self::Get(_) => MsgType::GetResp,
            Self::GetSupportedDm(_) => MsgType::GetSupportedDmResp,
            Self::GetInstances(_) => MsgType::GetInstancesResp,
            Self::Set(_) => MsgType::SetResp,
            Self::Add(_) => MsgType::AddResp,
            Self::Delete(_) => MsgType::DeleteResp,
            Self::Operate(_) => MsgType::OperateResp,
            Self::Notify(_) => MsgType::NotifyResp,
            Self::GetSupportedProtocol(_) => MsgType::GetSupportedProtoResp,
            Self::Register(_) => MsgType::RegisterResp,
            Self::Deregister(_) => MsgType::DeregisterResp,
        }
    }
}
