//! A message and a record of every kind, with texts and numbers from outside.

use usp::Text;
use usp::message::act::{
    CompleteKind, Event, Notify, NotifyKind, NotifyResp, ObjectCreation, ObjectDeletion, OnBoardRequest,
    Operate, OperateResp, OperationComplete, OperationKind, OperationResult, OutputArgs, ValueChange,
};
use usp::message::read::{
    CommandType, Get, GetInstances, GetInstancesResp, GetResp, GetSupportedDm, GetSupportedDmResp,
    GetSupportedProtocol, GetSupportedProtocolResp, Instance, ObjectAccess, ParamAccess, RequestedInstances,
    RequestedObject, RequestedPath, ResolvedPath, SupportedCommand, SupportedEvent, SupportedObject,
    SupportedParam, UniqueKeys, ValueChangeType, ValueType,
};
use usp::message::write::{
    Add, AddResp, CreateObject, Created, CreatedKind, CreatedObject, CreatedStatus, Delete, DeleteResp,
    Deleted, DeletedKind, DeletedObject, DeletedStatus, Deregister, DeregisterResp, Deregistered,
    DeregisteredKind, DeregisteredPath, DeregisteredStatus, InstanceFailure, NotUpdated, ParamSetting,
    Register, RegisterResp, Registered, RegisteredKind, RegisteredPath, RegisteredStatus, RegistrationPath,
    Set, SetResp, UpdateObject, Updated, UpdatedInstance, UpdatedKind, UpdatedObject, UpdatedStatus,
};
use usp::message::{Entry, ErrorBody, Failure, Msg, ParamError, RequestKind as Q, ResponseKind as A};
use usp::record::{
    Disconnect, Empty, Kind, MqttConnect, MqttVersion, NoSessionContext, PayloadSecurity, Record, Sar,
    SessionContext, StompConnect,
};

/// Messages that [`message`] knows.
pub(crate) const KINDS: usize = 30;
/// Records that [`record`] knows.
pub(crate) const RECORDS: usize = 7;

/// Random numbers. Source: Marsaglia, "Xorshift RNGs" (2003).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// Bends `bytes` in one place.
    pub(crate) fn bend(&mut self, bytes: &mut Vec<u8>) {
        let (place, byte) = (self.below(bytes.len()), u8::try_from(self.below(256)).unwrap());
        match self.below(5) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, byte),
            2 if !bytes.is_empty() => drop(bytes.remove(place)),
            3 => bytes.iter_mut().skip(place).take(1).for_each(|old| *old ^= 1 << (byte & 7)),
            _ => bytes.iter_mut().skip(place).take(1).for_each(|old| *old = byte),
        }
    }
}

/// Texts and numbers, one after another, round and round.
pub(crate) struct Draw<'a> {
    texts: &'a [String],
    numbers: &'a [u64],
    turn: usize,
}

impl<'a> Draw<'a> {
    /// Of these.
    pub(crate) fn new(texts: &'a [String], numbers: &'a [u64]) -> Self {
        Self { texts, numbers, turn: 0 }
    }

    fn t(&mut self) -> Text<'a> {
        self.turn += 1;
        Text::Borrowed(&self.texts[self.turn % self.texts.len()])
    }

    fn n(&mut self) -> u64 {
        self.turn += 1;
        self.numbers[self.turn % self.numbers.len()]
    }

    fn u(&mut self) -> u32 {
        u32::try_from(self.n() & 0xffff_ffff).unwrap()
    }

    fn b(&mut self) -> bool {
        self.n() & 1 == 1
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.n() % 4).map(|_| one(self)).collect()
    }

    /// A map: no key is there twice, as of two the later holds.
    fn map(&mut self) -> Vec<Entry<'a>> {
        let mut map = self.list(|d| Entry { key: d.t(), value: d.t() });
        map.sort_by(|one, other| one.key.cmp(&other.key));
        map.dedup_by(|one, other| one.key == other.key);
        map
    }

    fn failure(&mut self) -> Failure<'a> {
        Failure { err_code: self.u(), err_msg: self.t() }
    }

    fn param_error(&mut self) -> ParamError<'a> {
        ParamError { path: self.t(), err_code: self.u(), err_msg: self.t() }
    }

    fn settings(&mut self) -> Vec<ParamSetting<'a>> {
        self.list(|d| ParamSetting { param: d.t(), value: d.t(), required: d.b() })
    }
}

/// A message of kind `kind` (below [`KINDS`]).
pub(crate) fn message<'a>(kind: usize, d: &mut Draw<'a>) -> Msg<'a> {
    let id = d.t();
    match kind {
        0..=10 => Msg::request(id, request(kind, d)),
        11..=21 => Msg::response(id, response(kind - 11, d)),
        22..=27 => Msg::request(id, Q::Notify(notify(kind - 22, d))),
        28 => {
            let (err_code, err_msg) = (d.u(), d.t());
            Msg::error(id, ErrorBody { err_code, err_msg, param_errs: d.list(Draw::param_error) })
        }
        _ => Msg::default(),
    }
}

fn notify<'a>(kind: usize, d: &mut Draw<'a>) -> Notify<'a> {
    let kind = match kind {
        0 => NotifyKind::Event(Event { obj_path: d.t(), event_name: d.t(), params: d.map() }),
        1 => NotifyKind::ValueChange(ValueChange { param_path: d.t(), param_value: d.t() }),
        2 => NotifyKind::ObjectCreation(ObjectCreation { obj_path: d.t(), unique_keys: d.map() }),
        3 => NotifyKind::ObjectDeletion(ObjectDeletion { obj_path: d.t() }),
        4 => NotifyKind::OperationComplete(OperationComplete {
            obj_path: d.t(),
            command_name: d.t(),
            command_key: d.t(),
            kind: Some(match d.b() {
                true => CompleteKind::Output(OutputArgs { output_args: d.map() }),
                false => CompleteKind::Failure(d.failure()),
            }),
        }),
        _ => NotifyKind::OnBoardRequest(OnBoardRequest {
            oui: d.t(),
            product_class: d.t(),
            serial_number: d.t(),
            agent_supported_protocol_versions: d.t(),
        }),
    };
    Notify { subscription_id: d.t(), send_resp: d.b(), kind: Some(kind) }
}

fn request<'a>(kind: usize, d: &mut Draw<'a>) -> Q<'a> {
    match kind {
        0 => Q::Get(Get { param_paths: d.list(Draw::t), max_depth: d.u() }),
        1 => Q::GetSupportedDm(GetSupportedDm {
            obj_paths: d.list(Draw::t),
            first_level_only: d.b(),
            return_commands: d.b(),
            return_events: d.b(),
            return_params: d.b(),
            return_unique_key_sets: d.b(),
        }),
        2 => Q::GetInstances(GetInstances { obj_paths: d.list(Draw::t), first_level_only: d.b() }),
        3 => Q::Set(Set {
            allow_partial: d.b(),
            update_objs: d.list(|d| UpdateObject { obj_path: d.t(), param_settings: d.settings() }),
        }),
        4 => Q::Add(Add {
            allow_partial: d.b(),
            create_objs: d.list(|d| CreateObject { obj_path: d.t(), param_settings: d.settings() }),
        }),
        5 => Q::Delete(Delete { allow_partial: d.b(), obj_paths: d.list(Draw::t) }),
        6 => {
            Q::Operate(Operate { command: d.t(), command_key: d.t(), send_resp: d.b(), input_args: d.map() })
        }
        7 => Q::Notify(notify(usize::try_from(d.n() % 6).unwrap(), d)),
        8 => Q::GetSupportedProtocol(GetSupportedProtocol { controller_supported_protocol_versions: d.t() }),
        9 => Q::Register(Register {
            allow_partial: d.b(),
            reg_paths: d.list(|d| RegistrationPath { path: d.t() }),
        }),
        _ => Q::Deregister(Deregister { paths: d.list(Draw::t) }),
    }
}

fn response<'a>(kind: usize, d: &mut Draw<'a>) -> A<'a> {
    match kind {
        0 => A::Get(GetResp {
            req_path_results: d.list(|d| RequestedPath {
                requested_path: d.t(),
                err_code: d.u(),
                err_msg: d.t(),
                resolved_path_results: d
                    .list(|d| ResolvedPath { resolved_path: d.t(), result_params: d.map() }),
            }),
        }),
        1 => A::GetSupportedDm(supported(d)),
        2 => A::GetInstances(GetInstancesResp {
            req_path_results: d.list(|d| RequestedInstances {
                requested_path: d.t(),
                err_code: d.u(),
                err_msg: d.t(),
                curr_insts: d.list(|d| Instance { instantiated_obj_path: d.t(), unique_keys: d.map() }),
            }),
        }),
        3 => A::Set(SetResp { updated_obj_results: d.list(updated) }),
        4 => A::Add(AddResp { created_obj_results: d.list(created) }),
        5 => A::Delete(DeleteResp { deleted_obj_results: d.list(deleted) }),
        6 => A::Operate(OperateResp {
            operation_results: d.list(|d| OperationResult {
                executed_command: d.t(),
                kind: Some(match d.n() % 3 {
                    0 => OperationKind::Request(d.t()),
                    1 => OperationKind::Output(OutputArgs { output_args: d.map() }),
                    _ => OperationKind::Failure(d.failure()),
                }),
            }),
        }),
        7 => A::Notify(NotifyResp { subscription_id: d.t() }),
        8 => A::GetSupportedProtocol(GetSupportedProtocolResp { agent_supported_protocol_versions: d.t() }),
        9 => A::Register(RegisterResp {
            registered_path_results: d.list(|d| RegisteredPath {
                requested_path: d.t(),
                oper_status: Some(RegisteredStatus {
                    kind: Some(match d.b() {
                        true => RegisteredKind::Success(Registered { registered_path: d.t() }),
                        false => RegisteredKind::Failure(d.failure()),
                    }),
                }),
            }),
        }),
        _ => A::Deregister(DeregisterResp {
            deregistered_path_results: d.list(|d| DeregisteredPath {
                requested_path: d.t(),
                oper_status: Some(DeregisteredStatus {
                    kind: Some(match d.b() {
                        true => {
                            DeregisteredKind::Success(Deregistered { deregistered_path: d.list(Draw::t) })
                        }
                        false => DeregisteredKind::Failure(d.failure()),
                    }),
                }),
            }),
        }),
    }
}

fn supported<'a>(d: &mut Draw<'a>) -> GetSupportedDmResp<'a> {
    let object = |d: &mut Draw<'a>| SupportedObject {
        supported_obj_path: d.t(),
        access: [ObjectAccess::ReadOnly, ObjectAccess::AddDelete, ObjectAccess::AddOnly][usize::from(d.b())],
        is_multi_instance: d.b(),
        supported_commands: d.list(|d| SupportedCommand {
            command_name: d.t(),
            input_arg_names: d.list(Draw::t),
            output_arg_names: d.list(Draw::t),
            command_type: [CommandType::Sync, CommandType::Async][usize::from(d.b())],
        }),
        supported_events: d.list(|d| SupportedEvent { event_name: d.t(), arg_names: d.list(Draw::t) }),
        supported_params: d.list(|d| SupportedParam {
            param_name: d.t(),
            access: [ParamAccess::ReadOnly, ParamAccess::WriteOnly][usize::from(d.b())],
            value_type: [ValueType::Boolean, ValueType::UnsignedLong][usize::from(d.b())],
            value_change: [ValueChangeType::Allowed, ValueChangeType::WillIgnore][usize::from(d.b())],
        }),
        divergent_paths: d.list(Draw::t),
        unique_key_sets: d.list(|d| UniqueKeys { key_names: d.list(Draw::t) }),
    };
    GetSupportedDmResp {
        req_obj_results: d.list(|d| RequestedObject {
            req_obj_path: d.t(),
            err_code: d.u(),
            err_msg: d.t(),
            data_model_inst_uri: d.t(),
            supported_objs: d.list(object),
        }),
    }
}

fn updated<'a>(d: &mut Draw<'a>) -> UpdatedObject<'a> {
    let kind = match d.b() {
        true => UpdatedKind::Success(Updated {
            updated_inst_results: d.list(|d| UpdatedInstance {
                affected_path: d.t(),
                param_errs: d.list(Draw::param_error),
                updated_params: d.map(),
            }),
        }),
        false => UpdatedKind::Failure(NotUpdated {
            err_code: d.u(),
            err_msg: d.t(),
            updated_inst_failures: d
                .list(|d| InstanceFailure { affected_path: d.t(), param_errs: d.list(Draw::param_error) }),
        }),
    };
    UpdatedObject { requested_path: d.t(), oper_status: Some(UpdatedStatus { kind: Some(kind) }) }
}

fn created<'a>(d: &mut Draw<'a>) -> CreatedObject<'a> {
    let kind = match d.b() {
        true => CreatedKind::Success(Created {
            instantiated_path: d.t(),
            param_errs: d.list(Draw::param_error),
            unique_keys: d.map(),
        }),
        false => CreatedKind::Failure(d.failure()),
    };
    CreatedObject { requested_path: d.t(), oper_status: Some(CreatedStatus { kind: Some(kind) }) }
}

fn deleted<'a>(d: &mut Draw<'a>) -> DeletedObject<'a> {
    let kind = match d.b() {
        true => DeletedKind::Success(Deleted {
            affected_paths: d.list(Draw::t),
            unaffected_path_errs: d.list(Draw::param_error),
        }),
        false => DeletedKind::Failure(d.failure()),
    };
    DeletedObject { requested_path: d.t(), oper_status: Some(DeletedStatus { kind: Some(kind) }) }
}

/// A record of kind `kind` (below [`RECORDS`]).
pub(crate) fn record<'a>(kind: usize, d: &mut Draw<'a>) -> Record<'a> {
    let bytes = |text: Text<'a>| text.into_owned().into_bytes().into();
    let what = match kind {
        0 => Kind::NoSession(NoSessionContext { payload: bytes(d.t()) }),
        1 => Kind::Session(SessionContext {
            session_id: d.n(),
            sequence_id: d.n(),
            expected_id: d.n(),
            retransmit_id: d.n(),
            payload_sar_state: [Sar::None, Sar::InProcess][usize::from(d.b())],
            payloadrec_sar_state: [Sar::Begin, Sar::Complete][usize::from(d.b())],
            payload: d.list(|d| d.t().into_owned().into_bytes().into()),
        }),
        2 => Kind::WebSocketConnect(Empty {}),
        3 => Kind::MqttConnect(MqttConnect { version: MqttVersion::V5, subscribed_topic: d.t() }),
        4 => Kind::StompConnect(StompConnect { subscribed_destination: d.t(), ..StompConnect::default() }),
        5 => Kind::Disconnect(Disconnect { reason: d.t(), reason_code: d.u() }),
        _ => Kind::UdsConnect(Empty {}),
    };
    Record {
        version: d.t(),
        to_id: d.t(),
        from_id: d.t(),
        payload_security: [PayloadSecurity::Plaintext, PayloadSecurity::Tls12][usize::from(d.b())],
        mac_signature: bytes(d.t()),
        sender_cert: bytes(d.t()),
        kind: Some(what),
    }
}
