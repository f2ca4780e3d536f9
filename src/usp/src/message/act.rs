//! Commands, and news: Operate and Notify.
//!
//! Source: TR-369 §7.6 (notifications), §7.7 (operations), `usp-msg-1-4.proto`.
#![allow(missing_docs, reason = "fields are called as in the schema, which TR-369 explains")]

use super::{Entry, Failure};
use crate::proto::{Text, message, one_of};

message! {
    /// A command.
    pub struct Operate<'a> {
        command: Text<'a> = 1,
        command_key: Text<'a> = 2,
        send_resp: bool = 3,
        input_args: Vec<Entry<'a>> = 4,
    }
}

message! {
    /// What became of it.
    pub struct OperateResp<'a> {
        operation_results: Vec<OperationResult<'a>> = 1,
    }
}

message! {
    /// What became of it on one object.
    pub struct OperationResult<'a> {
        executed_command: Text<'a> = 1,
        => kind: OperationKind<'a>,
    }
}

one_of! {
    /// Under way, done, or not done.
    pub enum OperationKind<'a> {
        Request(Text<'a>) = 2,
        Output(OutputArgs<'a>) = 3,
        Failure(Failure<'a>) = 4,
    }
}

message! {
    /// What a command gave.
    pub struct OutputArgs<'a> {
        output_args: Vec<Entry<'a>> = 1,
    }
}

message! {
    /// News for a subscription.
    pub struct Notify<'a> {
        subscription_id: Text<'a> = 1,
        send_resp: bool = 2,
        => kind: NotifyKind<'a>,
    }
}

one_of! {
    /// What is new.
    pub enum NotifyKind<'a> {
        Event(Event<'a>) = 3,
        ValueChange(ValueChange<'a>) = 4,
        ObjectCreation(ObjectCreation<'a>) = 5,
        ObjectDeletion(ObjectDeletion<'a>) = 6,
        OperationComplete(OperationComplete<'a>) = 7,
        OnBoardRequest(OnBoardRequest<'a>) = 8,
    }
}

message! {
    /// Something happened.
    pub struct Event<'a> {
        obj_path: Text<'a> = 1,
        event_name: Text<'a> = 2,
        params: Vec<Entry<'a>> = 3,
    }
}

message! {
    /// A value is another one.
    pub struct ValueChange<'a> {
        param_path: Text<'a> = 1,
        param_value: Text<'a> = 2,
    }
}

message! {
    /// An instance is there.
    pub struct ObjectCreation<'a> {
        obj_path: Text<'a> = 1,
        unique_keys: Vec<Entry<'a>> = 2,
    }
}

message! {
    /// An instance is gone.
    pub struct ObjectDeletion<'a> {
        obj_path: Text<'a> = 1,
    }
}

message! {
    /// A command that took its time has ended.
    pub struct OperationComplete<'a> {
        obj_path: Text<'a> = 1,
        command_name: Text<'a> = 2,
        command_key: Text<'a> = 3,
        => kind: CompleteKind<'a>,
    }
}

one_of! {
    /// How it ended.
    pub enum CompleteKind<'a> {
        Output(OutputArgs<'a>) = 4,
        Failure(Failure<'a>) = 5,
    }
}

message! {
    /// A gateway asks to be taken into the operator's fleet.
    pub struct OnBoardRequest<'a> {
        oui: Text<'a> = 1,
        product_class: Text<'a> = 2,
        serial_number: Text<'a> = 3,
        agent_supported_protocol_versions: Text<'a> = 4,
    }
}

message! {
    /// The news has come.
    pub struct NotifyResp<'a> {
        subscription_id: Text<'a> = 1,
    }
}
