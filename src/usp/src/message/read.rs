//! What is asked: values, instances, what there could be, which protocol.
//!
//! Source: TR-369 §7.5 (reading), `usp-msg-1-4.proto`.
#![allow(missing_docs, reason = "fields are called as in the schema, which TR-369 explains")]

use super::Entry;
use crate::proto::{Text, choice, message};

message! {
    /// Values of parameters.
    pub struct Get<'a> {
        param_paths: Vec<Text<'a>> = 1,
        max_depth: u32 = 2,
    }
}

message! {
    /// The values.
    pub struct GetResp<'a> {
        req_path_results: Vec<RequestedPath<'a>> = 1,
    }
}

message! {
    /// What a requested path gave.
    pub struct RequestedPath<'a> {
        requested_path: Text<'a> = 1,
        err_code: u32 = 2,
        err_msg: Text<'a> = 3,
        resolved_path_results: Vec<ResolvedPath<'a>> = 4,
    }
}

message! {
    /// An object, and its parameters' values.
    pub struct ResolvedPath<'a> {
        resolved_path: Text<'a> = 1,
        result_params: Vec<Entry<'a>> = 2,
    }
}

message! {
    /// What there could be.
    pub struct GetSupportedDm<'a> {
        obj_paths: Vec<Text<'a>> = 1,
        first_level_only: bool = 2,
        return_commands: bool = 3,
        return_events: bool = 4,
        return_params: bool = 5,
        return_unique_key_sets: bool = 6,
    }
}

message! {
    /// What there could be.
    pub struct GetSupportedDmResp<'a> {
        req_obj_results: Vec<RequestedObject<'a>> = 1,
    }
}

message! {
    /// What there could be below a path.
    pub struct RequestedObject<'a> {
        req_obj_path: Text<'a> = 1,
        err_code: u32 = 2,
        err_msg: Text<'a> = 3,
        data_model_inst_uri: Text<'a> = 4,
        supported_objs: Vec<SupportedObject<'a>> = 5,
    }
}

message! {
    /// An object that there could be.
    pub struct SupportedObject<'a> {
        supported_obj_path: Text<'a> = 1,
        access: ObjectAccess = 2,
        is_multi_instance: bool = 3,
        supported_commands: Vec<SupportedCommand<'a>> = 4,
        supported_events: Vec<SupportedEvent<'a>> = 5,
        supported_params: Vec<SupportedParam<'a>> = 6,
        divergent_paths: Vec<Text<'a>> = 7,
        unique_key_sets: Vec<UniqueKeys<'a>> = 8,
    }
}

message! {
    /// A parameter of it.
    pub struct SupportedParam<'a> {
        param_name: Text<'a> = 1,
        access: ParamAccess = 2,
        value_type: ValueType = 3,
        value_change: ValueChangeType = 4,
    }
}

message! {
    /// A command of it.
    pub struct SupportedCommand<'a> {
        command_name: Text<'a> = 1,
        input_arg_names: Vec<Text<'a>> = 2,
        output_arg_names: Vec<Text<'a>> = 3,
        command_type: CommandType = 4,
    }
}

message! {
    /// An event of it.
    pub struct SupportedEvent<'a> {
        event_name: Text<'a> = 1,
        arg_names: Vec<Text<'a>> = 2,
    }
}

message! {
    /// Parameters by which an instance is known.
    pub struct UniqueKeys<'a> {
        key_names: Vec<Text<'a>> = 1,
    }
}

choice! {
    /// Who may do what with a parameter.
    pub enum ParamAccess { ReadOnly = 0, ReadWrite = 1, WriteOnly = 2, }
}

choice! {
    /// Who may do what with a table.
    pub enum ObjectAccess { ReadOnly = 0, AddDelete = 1, AddOnly = 2, DeleteOnly = 3, }
}

choice! {
    /// What a value is.
    pub enum ValueType {
        Unknown = 0,
        Base64 = 1,
        Boolean = 2,
        DateTime = 3,
        Decimal = 4,
        HexBinary = 5,
        Int = 6,
        Long = 7,
        String = 8,
        UnsignedInt = 9,
        UnsignedLong = 10,
    }
}

impl ValueType {
    /// As data models write it. Source: TR-106 §3.2 (data types).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Base64 => "base64",
            Self::Boolean => "boolean",
            Self::DateTime => "dateTime",
            Self::Decimal => "decimal",
            Self::HexBinary => "hexBinary",
            Self::Int => "int",
            Self::Long => "long",
            Self::String => "string",
            Self::UnsignedInt => "unsignedInt",
            Self::UnsignedLong => "unsignedLong",
        }
    }
}

choice! {
    /// Whether a change of it is told.
    pub enum ValueChangeType { Unknown = 0, Allowed = 1, WillIgnore = 2, }
}

choice! {
    /// When a command is done: at once, or later.
    pub enum CommandType { Unknown = 0, Sync = 1, Async = 2, }
}

message! {
    /// Which instances there are.
    pub struct GetInstances<'a> {
        obj_paths: Vec<Text<'a>> = 1,
        first_level_only: bool = 2,
    }
}

message! {
    /// The instances.
    pub struct GetInstancesResp<'a> {
        req_path_results: Vec<RequestedInstances<'a>> = 1,
    }
}

message! {
    /// The instances below a path.
    pub struct RequestedInstances<'a> {
        requested_path: Text<'a> = 1,
        err_code: u32 = 2,
        err_msg: Text<'a> = 3,
        curr_insts: Vec<Instance<'a>> = 4,
    }
}

message! {
    /// An instance, and what it is known by.
    pub struct Instance<'a> {
        instantiated_obj_path: Text<'a> = 1,
        unique_keys: Vec<Entry<'a>> = 2,
    }
}

message! {
    /// Which protocol: with what the controller speaks.
    pub struct GetSupportedProtocol<'a> {
        controller_supported_protocol_versions: Text<'a> = 1,
    }
}

message! {
    /// What the agent speaks.
    pub struct GetSupportedProtocolResp<'a> {
        agent_supported_protocol_versions: Text<'a> = 1,
    }
}
