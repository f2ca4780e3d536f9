//! A controller of a test's own on the box: records over the Unix socket, bit by bit as the test wants them; and answers as one line.
//!
//! In:  records, messages. Out: what came back, written short: `path{name=value name!code}`, `!code` for what was not done.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use contract::wires::LOCAL;
use usp::frame::{self, Value};
use usp::message::act::{CompleteKind, Notify, NotifyKind, NotifyResp, Operate, OperationKind};
use usp::message::read::{Get, GetInstances};
use usp::message::write::{
    Add, CreateObject, CreatedKind, Delete, DeletedKind, ParamSetting, Set, UpdateObject, UpdatedKind,
};
use usp::message::{BodyKind, Entry, ParamError, RequestKind, ResponseKind};
use usp::record::{Disconnect, Kind, NoSessionContext, PayloadSecurity};
use usp::{DESK, Msg, Record};

use super::{ENDPOINT, House, Program, daemon, enter, until};

/// A controller.
pub(crate) struct Local {
    socket: UnixStream,
    input: Vec<u8>,
    endpoint: String,
    /// The number of the next message.
    next: u32,
    /// News that has come while something else was waited for.
    pub(crate) news: Vec<(String, Notify<'static>)>,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Came {
    /// It is there.
    Connect,
    /// A message.
    Message(Msg<'static>),
    /// It goes, or ends a session: its code.
    Disconnect(u32),
    /// A piece of a session.
    Piece(usp::record::SessionContext<'static>),
}

/// The operator's word about controllers on the box, each with its role.
pub(crate) fn word(controllers: &[(&str, &str)]) -> String {
    let one = |(endpoint, role): &(&str, &str)| {
        format!("[[controller]]\nendpoint = '{endpoint}'\nlocal = 'root'\nrole = '{role}'\n")
    };
    controllers.iter().map(one).collect()
}

/// A supervisor, and the daemon that obeys these controllers; `None`: it cannot be done here.
pub(crate) fn begin(test: &str, word: &str) -> Option<(House, Program)> {
    enter(test).then(|| (House::begin(), daemon(word)))
}

impl Local {
    /// Comes by the socket, once it is there.
    pub(crate) fn connect(endpoint: &str) -> Self {
        let mut local = Self::early(endpoint);
        local.put(&frame::write(&Value::Handshake(endpoint.to_owned())));
        local.shaken();
        local
    }

    /// The same, and it has not said who it is.
    pub(crate) fn early(endpoint: &str) -> Self {
        let socket = until("the socket", 10, || UnixStream::connect(LOCAL.path).ok());
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, input: Vec::new(), endpoint: endpoint.to_owned(), next: 1, news: Vec::new() }
    }

    /// The agent says who it is.
    pub(crate) fn shaken(&mut self) {
        let Value::Handshake(who) = self.value() else { panic!("no handshake") };
        assert_eq!(who, ENDPOINT);
    }

    /// The agent ends it; so many bytes have come before.
    pub(crate) fn closed(&mut self) -> usize {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).unwrap();
        self.input.len() + bytes.len()
    }

    /// Bytes, as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    fn value(&mut self) -> Value {
        loop {
            if let Some((mut values, length)) = frame::read(&self.input, 1 << 20).unwrap() {
                self.input.drain(..length);
                return values.remove(0);
            }
            let mut bytes = [0; 64 * 1024];
            let size = self.socket.read(&mut bytes).unwrap();
            assert!(size > 0, "the agent has closed");
            self.input.extend_from_slice(&bytes[..size]);
        }
    }

    /// The next record, as bytes.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let Value::Record(bytes) = self.value() else { panic!("not a record") };
        bytes
    }

    /// A record around `kind`, to the agent.
    pub(crate) fn record<'k>(&self, kind: Kind<'k>) -> Record<'k> {
        Record {
            version: "1.4".into(),
            to_id: ENDPOINT.into(),
            from_id: self.endpoint.clone().into(),
            kind: Some(kind),
            ..Record::default()
        }
    }

    pub(crate) fn send(&mut self, record: &Record<'_>) {
        self.put(&frame::write(&Value::Record(record.encode())));
    }

    /// A message of which the bytes are these.
    pub(crate) fn say(&mut self, message: Vec<u8>) {
        let record = self.record(Kind::NoSession(NoSessionContext { payload: message.into() }));
        self.send(&record);
    }

    /// Asks, and does not wait; the number of the message.
    pub(crate) fn begin(&mut self, kind: RequestKind<'_>) -> String {
        let id = format!("m{}", self.next);
        self.next += 1;
        self.say(Msg::request(id.clone(), kind).encode());
        id
    }

    /// The next record.
    pub(crate) fn came(&mut self) -> Came {
        let record = Record::decode(self.bytes().leak(), &DESK).unwrap();
        assert_eq!((record.version.as_ref(), record.payload_security), ("1.4", PayloadSecurity::Plaintext));
        assert_eq!((record.to_id.as_ref(), record.from_id.as_ref()), (self.endpoint.as_str(), ENDPOINT));
        match record.kind.unwrap() {
            Kind::NoSession(NoSessionContext { payload }) => {
                Came::Message(Msg::decode(payload.into_owned().leak(), &DESK).unwrap())
            }
            Kind::UdsConnect(_) => Came::Connect,
            Kind::Disconnect(Disconnect { reason_code, reason }) => {
                assert!(!reason.is_empty(), "it says why");
                Came::Disconnect(reason_code)
            }
            Kind::Session(piece) => Came::Piece(piece),
            other @ (Kind::WebSocketConnect(_) | Kind::MqttConnect(_) | Kind::StompConnect(_)) => {
                panic!("{other:?}")
            }
        }
    }

    /// The next message that is no news; news is put aside, and answered where it asks for that.
    pub(crate) fn message(&mut self) -> Msg<'static> {
        loop {
            let Came::Message(message) = self.came() else { continue };
            let id = message.header.as_ref().unwrap().msg_id.to_string();
            match message.body.clone().unwrap().kind.unwrap() {
                BodyKind::Request(request) => {
                    let Some(RequestKind::Notify(notify)) = request.kind else {
                        panic!("{id}: an agent asks")
                    };
                    if notify.send_resp {
                        let answer = NotifyResp { subscription_id: notify.subscription_id.clone() };
                        self.say(Msg::response(id.clone(), ResponseKind::Notify(answer)).encode());
                    }
                    self.news.push((id, notify));
                }
                BodyKind::Response(_) | BodyKind::Error(_) => return message,
            }
        }
    }

    /// Asks; the answer in one line. The answer has to be the question's.
    pub(crate) fn ask(&mut self, kind: RequestKind<'_>) -> String {
        let id = self.begin(kind);
        let answer = self.message();
        assert_eq!(answer.header.as_ref().unwrap().msg_id, id, "R-MSG.9");
        line(&answer)
    }

    pub(crate) fn get(&mut self, paths: &[&str]) -> String {
        self.ask(RequestKind::Get(Get { param_paths: texts(paths), max_depth: 0 }))
    }

    pub(crate) fn instances(&mut self, path: &str) -> String {
        let get = GetInstances { obj_paths: texts(&[path]), first_level_only: true };
        self.ask(RequestKind::GetInstances(get))
    }

    /// Sets: `path name=value name=value`, a line each; a name with `*` is required.
    pub(crate) fn set(&mut self, allow_partial: bool, lines: &[&str]) -> String {
        let one = |line: &&str| {
            let (path, param_settings) = wishes(line);
            UpdateObject { obj_path: path.into(), param_settings }
        };
        self.ask(RequestKind::Set(Set { allow_partial, update_objs: lines.iter().map(one).collect() }))
    }

    /// Adds, written as in [`Local::set`].
    pub(crate) fn add(&mut self, allow_partial: bool, lines: &[&str]) -> String {
        let one = |line: &&str| {
            let (path, param_settings) = wishes(line);
            CreateObject { obj_path: path.into(), param_settings }
        };
        self.ask(RequestKind::Add(Add { allow_partial, create_objs: lines.iter().map(one).collect() }))
    }

    pub(crate) fn delete(&mut self, allow_partial: bool, paths: &[&str]) -> String {
        self.ask(RequestKind::Delete(Delete { allow_partial, obj_paths: texts(paths) }))
    }

    /// Operates, written as in [`Local::set`].
    pub(crate) fn operate(&mut self, line: &str) -> String {
        let command = operate(line, "key", true);
        self.ask(RequestKind::Operate(command))
    }

    /// A good question behind what came before: its number, and that of the next message that comes. They differ where what came before was
    /// answered.
    pub(crate) fn next_answered(&mut self) -> (String, String) {
        let get = Get { param_paths: texts(&["Device.LocalAgent.EndpointID"]), max_depth: 0 };
        let good = self.begin(RequestKind::Get(get));
        let message = self.message();
        (good, message.header.unwrap().msg_id.into_owned())
    }

    /// The next news of subscription `id` in one line.
    pub(crate) fn hear(&mut self, id: &str) -> String {
        until(&format!("news of {id}"), 15, || {
            let place = self.news.iter().position(|(_, one)| one.subscription_id == id);
            if place.is_none() {
                // A question whose answer is waited for: what was told before has come by then.
                self.get(&["Device.LocalAgent.EndpointID"]);
            }
            place.map(|place| news(&self.news.remove(place).1))
        })
    }
}

/// A command, written as in [`Local::set`].
pub(crate) fn operate(line: &str, key: &str, send_resp: bool) -> Operate<'static> {
    let (command, wishes) = wishes(line);
    let input_args = wishes.into_iter().map(|one| Entry::new(one.param, one.value)).collect();
    Operate { command: command.into(), command_key: key.to_owned().into(), send_resp, input_args }
}

pub(crate) fn texts(all: &[&str]) -> Vec<usp::Text<'static>> {
    all.iter().map(|one| one.to_string().into()).collect()
}

/// A path, and names with their values. `~` is a space.
fn wishes(line: &str) -> (String, Vec<ParamSetting<'static>>) {
    let mut words = line.split(' ');
    let path = words.next().unwrap().to_owned();
    let one = |word: &str| {
        let (name, value) = word.split_once('=').unwrap();
        ParamSetting {
            param: name.trim_end_matches('*').to_owned().into(),
            value: value.replace('~', " ").into(),
            required: name.ends_with('*'),
        }
    };
    (path, words.map(one).collect())
}

fn entries(all: &[Entry<'_>]) -> Vec<String> {
    let mut all: Vec<String> = all.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
    all.sort();
    all
}

fn errors(all: &[ParamError<'_>]) -> Vec<String> {
    all.iter().map(|one| format!("{}!{}", one.path, one.err_code)).collect()
}

fn object(path: &str, parts: [Vec<String>; 2]) -> String {
    format!("{path}{{{}}}", parts.concat().join(" "))
}

/// An answer in one line.
pub(crate) fn line(answer: &Msg<'_>) -> String {
    let response = match answer.body.as_ref().unwrap().kind.as_ref().unwrap() {
        BodyKind::Error(error) => {
            let paths = errors(&error.param_errs);
            return format!("error {}", [vec![error.err_code.to_string()], paths].concat().join(" "));
        }
        BodyKind::Response(response) => response.kind.as_ref().unwrap(),
        BodyKind::Request(_) => panic!("a request"),
    };
    let parts: Vec<String> = match response {
        ResponseKind::Get(get) => {
            let one = |one: &usp::message::read::RequestedPath<'_>| match one.err_code {
                0 => {
                    let all = one.resolved_path_results.iter();
                    all.map(|one| object(&one.resolved_path, [entries(&one.result_params), Vec::new()]))
                        .collect()
                }
                code => vec![format!("!{code}")],
            };
            get.req_path_results.iter().flat_map(one).collect()
        }
        ResponseKind::GetInstances(get) => {
            let one = |one: &usp::message::read::RequestedInstances<'_>| match one.err_code {
                0 => {
                    let all = one.curr_insts.iter();
                    all.map(|one| object(&one.instantiated_obj_path, [entries(&one.unique_keys), Vec::new()]))
                        .collect()
                }
                code => vec![format!("!{code}")],
            };
            get.req_path_results.iter().flat_map(one).collect()
        }
        ResponseKind::Set(set) => set.updated_obj_results.iter().map(updated).collect(),
        ResponseKind::Add(add) => add.created_obj_results.iter().map(created).collect(),
        ResponseKind::Delete(delete) => delete.deleted_obj_results.iter().map(deleted).collect(),
        ResponseKind::Operate(operate) => {
            let one = |one: &usp::message::act::OperationResult<'_>| match one.kind.as_ref().unwrap() {
                OperationKind::Request(row) => format!("{} is {row}", one.executed_command),
                OperationKind::Output(output) => {
                    object(&one.executed_command, [entries(&output.output_args), Vec::new()])
                }
                OperationKind::Failure(failure) => format!("{}!{}", one.executed_command, failure.err_code),
            };
            operate.operation_results.iter().map(one).collect()
        }
        ResponseKind::GetSupportedDm(_)
        | ResponseKind::Notify(_)
        | ResponseKind::GetSupportedProtocol(_)
        | ResponseKind::Register(_)
        | ResponseKind::Deregister(_) => vec![format!("{response:?}")],
    };
    parts.join(" ")
}

fn created(one: &usp::message::write::CreatedObject<'_>) -> String {
    match one.oper_status.as_ref().unwrap().kind.as_ref().unwrap() {
        CreatedKind::Failure(failure) => format!("!{}", failure.err_code),
        CreatedKind::Success(one) => {
            object(&one.instantiated_path, [entries(&one.unique_keys), errors(&one.param_errs)])
        }
    }
}

fn deleted(one: &usp::message::write::DeletedObject<'_>) -> String {
    match one.oper_status.as_ref().unwrap().kind.as_ref().unwrap() {
        DeletedKind::Failure(failure) => format!("!{}", failure.err_code),
        DeletedKind::Success(one) => {
            let gone = one.affected_paths.iter().map(ToString::to_string).collect();
            object("", [gone, errors(&one.unaffected_path_errs)])
        }
    }
}

fn updated(one: &usp::message::write::UpdatedObject<'_>) -> String {
    match one.oper_status.as_ref().unwrap().kind.as_ref().unwrap() {
        UpdatedKind::Failure(failure) => {
            let all = failure.updated_inst_failures.iter();
            let all: Vec<String> =
                all.map(|one| object(&one.affected_path, [errors(&one.param_errs), Vec::new()])).collect();
            format!("!{}[{}]", failure.err_code, all.join(" "))
        }
        UpdatedKind::Success(updated) => {
            let all = updated.updated_inst_results.iter();
            let one = |one: &usp::message::write::UpdatedInstance<'_>| {
                object(&one.affected_path, [entries(&one.updated_params), errors(&one.param_errs)])
            };
            all.map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

/// News in one line.
pub(crate) fn news(notify: &Notify<'_>) -> String {
    match notify.kind.as_ref().unwrap() {
        NotifyKind::Event(event) => {
            object(&format!("{}{}", event.obj_path, event.event_name), [entries(&event.params), Vec::new()])
        }
        NotifyKind::ValueChange(change) => format!("{}={}", change.param_path, change.param_value),
        NotifyKind::ObjectCreation(made) => object(&made.obj_path, [entries(&made.unique_keys), Vec::new()]),
        NotifyKind::ObjectDeletion(gone) => format!("gone {}", gone.obj_path),
        NotifyKind::OperationComplete(complete) => {
            let end = match complete.kind.as_ref().unwrap() {
                CompleteKind::Output(output) => object("", [entries(&output.output_args), Vec::new()]),
                CompleteKind::Failure(failure) => format!("!{}", failure.err_code),
            };
            format!("{}{} {}{end}", complete.obj_path, complete.command_name, complete.command_key)
        }
        NotifyKind::OnBoardRequest(one) => {
            format!("on board {} {} {}", one.oui, one.serial_number, one.agent_supported_protocol_versions)
        }
    }
}
