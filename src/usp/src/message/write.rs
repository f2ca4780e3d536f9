//! What is changed: Add, Set, Delete; and what an application registers.
//!
//! Source: TR-369 §7.4 (changing), `usp-msg-1-4.proto`.
#![allow(missing_docs, reason = "fields are called as in the schema, which TR-369 explains")]

use super::{Entry, Failure, ParamError};
use crate::proto::{Text, message, one_of};

message! {
    /// New instances.
    pub struct Add<'a> {
        allow_partial: bool = 1,
        create_objs: Vec<CreateObject<'a>> = 2,
    }
}

message! {
    /// A new instance of a table.
    pub struct CreateObject<'a> {
        obj_path: Text<'a> = 1,
        param_settings: Vec<ParamSetting<'a>> = 2,
    }
}

message! {
    /// A parameter, and what it shall be.
    pub struct ParamSetting<'a> {
        param: Text<'a> = 1,
        value: Text<'a> = 2,
        required: bool = 3,
    }
}

message! {
    /// What became of an Add.
    pub struct AddResp<'a> {
        created_obj_results: Vec<CreatedObject<'a>> = 1,
    }
}

message! {
    /// What became of one of its objects.
    pub struct CreatedObject<'a> {
        requested_path: Text<'a> = 1,
        oper_status: Option<CreatedStatus<'a>> = 2,
    }
}

message! {
    /// Whether it was done.
    pub struct CreatedStatus<'a> {
        => kind: CreatedKind<'a>,
    }
}

one_of! {
    /// Whether it was done.
    pub enum CreatedKind<'a> {
        Failure(Failure<'a>) = 1,
        Success(Created<'a>) = 2,
    }
}

message! {
    /// A new instance.
    pub struct Created<'a> {
        instantiated_path: Text<'a> = 1,
        param_errs: Vec<ParamError<'a>> = 2,
        unique_keys: Vec<Entry<'a>> = 3,
    }
}

message! {
    /// Instances that shall go.
    pub struct Delete<'a> {
        allow_partial: bool = 1,
        obj_paths: Vec<Text<'a>> = 2,
    }
}

message! {
    /// What became of a Delete.
    pub struct DeleteResp<'a> {
        deleted_obj_results: Vec<DeletedObject<'a>> = 1,
    }
}

message! {
    /// What became of one of its paths.
    pub struct DeletedObject<'a> {
        requested_path: Text<'a> = 1,
        oper_status: Option<DeletedStatus<'a>> = 2,
    }
}

message! {
    /// Whether it was done.
    pub struct DeletedStatus<'a> {
        => kind: DeletedKind<'a>,
    }
}

one_of! {
    /// Whether it was done.
    pub enum DeletedKind<'a> {
        Failure(Failure<'a>) = 1,
        Success(Deleted<'a>) = 2,
    }
}

message! {
    /// What is gone, and what is not.
    pub struct Deleted<'a> {
        affected_paths: Vec<Text<'a>> = 1,
        unaffected_path_errs: Vec<ParamError<'a>> = 2,
    }
}

message! {
    /// New values.
    pub struct Set<'a> {
        allow_partial: bool = 1,
        update_objs: Vec<UpdateObject<'a>> = 2,
    }
}

message! {
    /// New values of an object's parameters, or of several objects'.
    pub struct UpdateObject<'a> {
        obj_path: Text<'a> = 1,
        param_settings: Vec<ParamSetting<'a>> = 2,
    }
}

message! {
    /// What became of a Set.
    pub struct SetResp<'a> {
        updated_obj_results: Vec<UpdatedObject<'a>> = 1,
    }
}

message! {
    /// What became of one of its paths.
    pub struct UpdatedObject<'a> {
        requested_path: Text<'a> = 1,
        oper_status: Option<UpdatedStatus<'a>> = 2,
    }
}

message! {
    /// Whether it was done.
    pub struct UpdatedStatus<'a> {
        => kind: UpdatedKind<'a>,
    }
}

one_of! {
    /// Whether it was done.
    pub enum UpdatedKind<'a> {
        Failure(NotUpdated<'a>) = 1,
        Success(Updated<'a>) = 2,
    }
}

message! {
    /// Nothing of it was done, and why.
    pub struct NotUpdated<'a> {
        err_code: u32 = 1,
        err_msg: Text<'a> = 2,
        updated_inst_failures: Vec<InstanceFailure<'a>> = 3,
    }
}

message! {
    /// What was wrong with an instance.
    pub struct InstanceFailure<'a> {
        affected_path: Text<'a> = 1,
        param_errs: Vec<ParamError<'a>> = 2,
    }
}

message! {
    /// What was done.
    pub struct Updated<'a> {
        updated_inst_results: Vec<UpdatedInstance<'a>> = 1,
    }
}

message! {
    /// What was done with an instance.
    pub struct UpdatedInstance<'a> {
        affected_path: Text<'a> = 1,
        param_errs: Vec<ParamError<'a>> = 2,
        updated_params: Vec<Entry<'a>> = 3,
    }
}

message! {
    /// An application brings a part of the model.
    pub struct Register<'a> {
        allow_partial: bool = 1,
        reg_paths: Vec<RegistrationPath<'a>> = 2,
    }
}

message! {
    /// A part of the model.
    pub struct RegistrationPath<'a> {
        path: Text<'a> = 1,
    }
}

message! {
    /// What became of a Register.
    pub struct RegisterResp<'a> {
        registered_path_results: Vec<RegisteredPath<'a>> = 1,
    }
}

message! {
    /// What became of one of its paths.
    pub struct RegisteredPath<'a> {
        requested_path: Text<'a> = 1,
        oper_status: Option<RegisteredStatus<'a>> = 2,
    }
}

message! {
    /// Whether it was done.
    pub struct RegisteredStatus<'a> {
        => kind: RegisteredKind<'a>,
    }
}

one_of! {
    /// Whether it was done.
    pub enum RegisteredKind<'a> {
        Failure(Failure<'a>) = 1,
        Success(Registered<'a>) = 2,
    }
}

message! {
    /// It was.
    pub struct Registered<'a> {
        registered_path: Text<'a> = 1,
    }
}

message! {
    /// An application takes parts of the model away.
    pub struct Deregister<'a> {
        paths: Vec<Text<'a>> = 1,
    }
}

message! {
    /// What became of a Deregister.
    pub struct DeregisterResp<'a> {
        deregistered_path_results: Vec<DeregisteredPath<'a>> = 1,
    }
}

message! {
    /// What became of one of its paths.
    pub struct DeregisteredPath<'a> {
        requested_path: Text<'a> = 1,
        oper_status: Option<DeregisteredStatus<'a>> = 2,
    }
}

message! {
    /// Whether it was done.
    pub struct DeregisteredStatus<'a> {
        => kind: DeregisteredKind<'a>,
    }
}

one_of! {
    /// Whether it was done.
    pub enum DeregisteredKind<'a> {
        Failure(Failure<'a>) = 1,
        Success(Deregistered<'a>) = 2,
    }
}

message! {
    /// It was.
    pub struct Deregistered<'a> {
        deregistered_path: Vec<Text<'a>> = 1,
    }
}
