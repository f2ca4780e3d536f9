//! A service brings a part of the tree: what controllers make of it, and what it cannot do with it.
//!
//! In:  Register of a service of the test's own, over the agent's socket; what controllers ask. Out: what each of them is told, in one line
//! each (`stage/local.rs`). The test answers for the service, so nothing depends on how fast it is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::time::{Duration, Instant};

use stage::local::{Came, Local, begin, line, operate, texts, word};
use stage::{House, Program, until};
use usp::message::act::{
    CompleteKind, Event, Notify, NotifyKind, OperateResp, OperationComplete, OperationKind, OperationResult,
    OutputArgs, ValueChange,
};
use usp::message::read::{
    Get, GetInstancesResp, GetResp, GetSupportedDm, GetSupportedDmResp, Instance, RequestedInstances,
    RequestedObject, RequestedPath, ResolvedPath, SupportedObject, SupportedParam,
};
use usp::message::write::{
    Deregister, Register, RegistrationPath, SetResp, Updated, UpdatedInstance, UpdatedKind, UpdatedObject,
    UpdatedStatus,
};
use usp::message::{BodyKind, Entry, RequestKind, ResponseKind};
use usp::{Code, Msg};

const DESK: &str = "self::desk";
const READER: &str = "self::reader";
const APP: &str = "proto::lamp";
const PART: &str = "Device.X_SHG_Services.hello.";
const LEVEL: &str = "Device.X_SHG_Services.hello.Lamp.1.Level";
const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";

/// Two controllers, and a service that is not there yet; `None`: it cannot be done here.
fn stage(test: &str, more: &str) -> Option<(Local, House, Program)> {
    let word = word(&[(DESK, "full"), (READER, "read")]) + more;
    let (house, daemon) = begin(test, &word)?;
    house.hello.lock().unwrap().uid_base = Some(0); // we are root, and the service
    let mut desk = Local::connect(DESK);
    until("the service is known", 15, || {
        let units = desk.get(&["Device.SoftwareModules.ExecutionUnit.*.Name"]);
        units.contains("hello").then_some(())
    });
    Some((desk, house, daemon))
}

/// The service, played by the test.
struct App(Local);

impl App {
    /// It has come, and brings its part.
    fn register() -> Self {
        let mut app = Self(Local::connect(APP));
        let answer = app.0.ask(register(false, &[PART]));
        assert!(answer.contains("Success"), "{answer}");
        app.subscribed();
        app
    }

    /// It is asked to tell all that happens.
    fn subscribed(&mut self) {
        let (id, RequestKind::Add(add)) = self.asked() else { panic!("no subscription") };
        let text = format!("{add:?}");
        assert!(text.contains(PART) && text.contains("OperationComplete") && text.contains("ValueChange"));
        self.answer(id, ResponseKind::Add(usp::message::write::AddResp::default()));
    }

    /// The next question.
    fn asked(&mut self) -> (String, RequestKind<'static>) {
        loop {
            let Came::Message(message) = self.0.came() else { continue };
            let id = message.header.unwrap().msg_id.into_owned();
            if let Some(BodyKind::Request(request)) = message.body.unwrap().kind {
                return (id, request.kind.unwrap());
            }
        }
    }

    fn answer(&mut self, id: String, kind: ResponseKind<'_>) {
        self.0.say(Msg::response(id, kind).encode());
    }

    /// Is asked for values, and has these; of which paths it was asked.
    fn values(&mut self, values: &[(&str, &str, &str)]) -> Vec<String> {
        let (id, RequestKind::Get(get)) = self.asked() else { panic!("no Get") };
        let one = |(object, name, value): &(&str, &str, &str)| ResolvedPath {
            resolved_path: object.to_string().into(),
            result_params: vec![Entry::new(name.to_string(), value.to_string())],
        };
        let results = RequestedPath {
            requested_path: get.param_paths[0].clone(),
            resolved_path_results: values.iter().map(one).collect(),
            ..RequestedPath::default()
        };
        self.answer(id, ResponseKind::Get(GetResp { req_path_results: vec![results] }));
        get.param_paths.iter().map(ToString::to_string).collect()
    }

    /// Tells news, and waits until it was taken.
    fn tell(&mut self, kind: NotifyKind<'static>) {
        let notify = Notify { subscription_id: "broker-1".into(), send_resp: true, kind: Some(kind) };
        let answer = self.0.ask(RequestKind::Notify(notify));
        assert!(answer.contains("broker-1"), "{answer}");
    }
}

fn register(allow_partial: bool, paths: &[&str]) -> RequestKind<'static> {
    let one = |path: &&str| RegistrationPath { path: path.to_string().into() };
    RequestKind::Register(Register { allow_partial, reg_paths: paths.iter().map(one).collect() })
}

fn get(paths: &[&str]) -> RequestKind<'static> {
    RequestKind::Get(Get { param_paths: texts(paths), max_depth: 0 })
}

/// The answer to a question that was begun.
fn end(local: &mut Local, id: &str) -> String {
    let message = local.message();
    assert_eq!(message.header.as_ref().unwrap().msg_id, id, "R-MSG.9");
    line(&message)
}

/// Shows R-REG.0, R-REG.1, R-REG.2, R-DEREG.1, R-DEREG.2, R-DEREG.4.
#[test]
fn a_service_registers() {
    let Some((mut desk, _house, _daemon)) = stage("a_service_registers", "") else { return };
    let mut app = App(Local::connect(APP));
    const SERVICES: &str = "Device.USPServices.USPService.*.";
    assert_eq!(desk.get(&[SERVICES]), "", "it has come, and brings nothing");
    for (path, code) in [
        ("Device.Time.", "7029"),
        ("Device.", "7029"),
        ("Device.X_SHG_Services.camera.", "7006"),
        ("Device.X_SHG_Services.hello.Lamp.1.", "7004"),
    ] {
        let answer = app.0.ask(register(false, &[path]));
        assert!(answer.starts_with(&format!("error {code}")), "{path}: {answer}");
    }
    let partly = app.0.ask(register(true, &["Device.Time.", PART]));
    assert!(partly.contains("7029") && partly.contains("Success"), "{partly}");
    app.subscribed();
    let there = desk.get(&[SERVICES]);
    for word in [
        "EndpointID=proto::lamp",
        "Protocol=UDS",
        "DataModelPaths=Device.X_SHG_Services.hello.",
        "ExecutionUnitRef=Device.SoftwareModules.ExecutionUnit.1",
        "HasController=false",
    ] {
        assert!(there.contains(word), "{word}: {there}");
    }
    // It asks for nothing of ours: it is no controller.
    assert_eq!(app.0.get(&["Device.LocalAgent.EndpointID"]), "error 7006");
    let foreign = app.0.ask(RequestKind::Deregister(Deregister { paths: texts(&["Device.Time."]) }));
    assert!(foreign.contains("7030"), "{foreign}");
    assert!(app.0.ask(RequestKind::Deregister(Deregister { paths: texts(&[""]) })).contains(PART));
    assert_eq!(desk.get(&[LEVEL]), "!7026");
    assert_eq!(desk.get(&[SERVICES]), "");
    // It comes again, and its older connection ends; when it goes, so does what it brought.
    let again = App::register();
    app.0.closed();
    assert!(desk.get(&[SERVICES]).contains(PART));
    drop(again);
    until("it is gone", 15, || desk.get(&[SERVICES]).is_empty().then_some(()));
}

/// Nobody comes as somebody else.
#[test]
fn a_service_is_nobody_else() {
    let Some((_desk, _house, _daemon)) =
        stage("a_service_is_nobody_else", "[[controller]]\nendpoint = 'self::far'\nlocal = 'camera'\n")
    else {
        return;
    };
    for name in [stage::ENDPOINT, "self::far", "self::controller-hello", "no name", "a::\u{e4}"] {
        let mut local = Local::early(name);
        local.put(&usp::frame::write(&usp::frame::Value::Handshake(name.to_owned())));
        assert!(local.closed() > 0, "{name}: it is told why");
    }
}

/// Reading: its places and no others, as far as they may be read.
#[test]
fn its_values_are_read() {
    let Some((mut desk, _house, _daemon)) = stage(
        "its_values_are_read",
        "[[controller]]\nendpoint = 'self::less'\nlocal = 'root'\nrole = 'less'\n\
         [[role]]\nname = 'less'\nrules = [{ order = 1, targets = ['Device.'], rights = 'rwxn' },\n\
         { order = 2, targets = ['Device.X_SHG_Services.hello.Lamp.*.Key'], rights = '----' }]\n",
    ) else {
        return;
    };
    let mut app = App::register();
    let lamp = "Device.X_SHG_Services.hello.Lamp.1.";
    // One parameter; and several places in one request, ours among them, in the order of the question.
    let id = desk.begin(get(&[LEVEL]));
    assert_eq!(app.values(&[(lamp, "Level", "7")]), [LEVEL]);
    assert_eq!(end(&mut desk, &id), format!("{lamp}{{Level=7}}"));
    let id = desk.begin(get(&["Device.LocalAgent.EndpointID", LEVEL, "Device.Nothing"]));
    app.values(&[(lamp, "Level", "7")]);
    let ours = format!("Device.LocalAgent.{{EndpointID={}}}", stage::ENDPOINT);
    assert_eq!(end(&mut desk, &id), format!("{ours} {lamp}{{Level=7}} !7026"));
    // Above it: the rest of the tree, and what it brings.
    let id = desk.begin(get(&["Device."]));
    assert_eq!(app.values(&[(lamp, "Level", "7")]), [PART]);
    let all = end(&mut desk, &id);
    assert!(all.contains("EndpointID=") && all.contains("Lamp.1.{Level=7}"), "{all}");
    // It says nothing of anybody else's places, whatever it says.
    let id = desk.begin(get(&[PART]));
    app.values(&[
        ("Device.DeviceInfo.", "SerialNumber", "forged"),
        ("Device.X_SHG_Services.camera.", "On", "true"),
        (lamp, "Level", "8"),
        ("Device.X_SHG_Services.hello.[", "Level", "9"),
    ]);
    assert_eq!(end(&mut desk, &id), format!("{lamp}{{Level=8}}"));
    // What a role may not read it does not, neither by a search.
    let mut less = Local::connect("self::less");
    let id = less.begin(get(&[PART]));
    app.values(&[(lamp, "Level", "7"), (lamp, "Key", "sesame")]);
    assert_eq!(end(&mut less, &id), format!("{lamp}{{Level=7}}"));
    assert_eq!(less.get(&["Device.X_SHG_Services.hello.Lamp.[Key==\"sesame\"].Level"]), "!7026");
    rows_and_model(&mut desk, &mut app);
}

fn rows_and_model(desk: &mut Local, app: &mut App) {
    let id = desk.begin(RequestKind::GetInstances(usp::message::read::GetInstances {
        obj_paths: texts(&["Device.X_SHG_Services.hello.Lamp."]),
        first_level_only: true,
    }));
    let (asked, RequestKind::GetInstances(_)) = app.asked() else { panic!("no GetInstances") };
    let rows = ["Device.X_SHG_Services.hello.Lamp.1.", "Device.NAT.PortMapping.1."];
    let rows = rows.map(|path| Instance { instantiated_obj_path: path.into(), unique_keys: Vec::new() });
    let rows = RequestedInstances { curr_insts: rows.into(), ..RequestedInstances::default() };
    app.answer(asked, ResponseKind::GetInstances(GetInstancesResp { req_path_results: vec![rows] }));
    assert_eq!(end(desk, &id), "Device.X_SHG_Services.hello.Lamp.1.{}");
    // The model: what it has, and nobody else's.
    let ask =
        GetSupportedDm { obj_paths: texts(&["Device."]), return_params: true, ..GetSupportedDm::default() };
    let id = desk.begin(RequestKind::GetSupportedDm(ask));
    let (asked, RequestKind::GetSupportedDm(ask)) = app.asked() else { panic!("no GetSupportedDM") };
    assert_eq!(ask.obj_paths, [PART]);
    let object = |path: &'static str| SupportedObject {
        supported_obj_path: path.into(),
        supported_params: vec![SupportedParam { param_name: "Level".into(), ..SupportedParam::default() }],
        ..SupportedObject::default()
    };
    let objects = vec![object("Device.X_SHG_Services.hello.Lamp.{i}."), object("Device.Forged.")];
    let results = RequestedObject { supported_objs: objects, ..RequestedObject::default() };
    app.answer(asked, ResponseKind::GetSupportedDm(GetSupportedDmResp { req_obj_results: vec![results] }));
    let all = end(desk, &id);
    assert!(all.contains("hello.Lamp.{i}.") && all.contains("Device.LocalAgent."), "{all}");
    assert!(!all.contains("Device.Forged."));
}

/// Changing and doing: after rights, and as a whole in one place only.
#[test]
fn it_is_changed() {
    let Some((mut desk, _house, _daemon)) = stage("it_is_changed", "") else { return };
    let mut app = App::register();
    let lamp = "Device.X_SHG_Services.hello.Lamp.1.";
    let set = |partly| {
        let one = usp::message::write::UpdateObject {
            obj_path: lamp.into(),
            param_settings: vec![usp::message::write::ParamSetting {
                param: "Level".into(),
                value: "9".into(),
                required: true,
            }],
        };
        RequestKind::Set(usp::message::write::Set { allow_partial: partly, update_objs: vec![one] })
    };
    let done = || {
        let updated = UpdatedInstance {
            affected_path: lamp.into(),
            updated_params: vec![Entry::new("Level", "9")],
            ..UpdatedInstance::default()
        };
        let success = UpdatedKind::Success(Updated { updated_inst_results: vec![updated] });
        let oper_status = Some(UpdatedStatus { kind: Some(success) });
        let one = UpdatedObject { requested_path: lamp.into(), oper_status };
        ResponseKind::Set(SetResp { updated_obj_results: vec![one] })
    };
    for partly in [false, true] {
        let id = desk.begin(set(partly));
        let (asked, RequestKind::Set(_)) = app.asked() else { panic!("no Set") };
        app.answer(asked, done());
        assert_eq!(end(&mut desk, &id), format!("{lamp}{{Level=9}}"));
    }
    // What it refuses is refused.
    let id = desk.begin(set(false));
    let (asked, _) = app.asked();
    let error = usp::message::ErrorBody { err_code: Code::INVALID_VALUE.number(), ..Default::default() };
    app.0.say(Msg::error(asked, error).encode());
    assert_eq!(end(&mut desk, &id), "error 7012");
    // Of two places as a whole: refused. In part: each for itself.
    let both =
        [&format!("{lamp} Level=9") as &str, "Device.LocalAgent.Controller.1. PeriodicNotifInterval=77"];
    assert_eq!(desk.set(false, &both), "error 7002");
    assert!(desk.get(&[PERIOD]).contains("86400"));
    let id = desk.begin(RequestKind::Set(usp::message::write::Set {
        allow_partial: true,
        update_objs: both.map(update).into(),
    }));
    let (asked, _) = app.asked();
    app.answer(asked, done());
    let answer = end(&mut desk, &id);
    assert!(answer.starts_with(lamp) && answer.contains("PeriodicNotifInterval=77"), "{answer}");
    // Who may only read: the service does not hear of it.
    let mut reader = Local::connect(READER);
    assert_eq!(reader.set(false, &[&format!("{lamp} Level=1")]), "error 7006");
    assert_eq!(reader.set(true, &[&format!("{lamp} Level=1")]), "!7006[]");
    assert_eq!(reader.add(false, &["Device.X_SHG_Services.hello.Lamp."]), "error 7006");
    assert_eq!(reader.delete(false, &[lamp]), "error 7006");
    assert_eq!(reader.operate(&format!("{lamp}Blink()")), "error 7006");
    let id = desk.begin(get(&[LEVEL]));
    assert_eq!(app.values(&[]), [LEVEL], "the next question is this one");
    assert_eq!(end(&mut desk, &id), "!7026");
}

fn update(line: &str) -> usp::message::write::UpdateObject<'static> {
    let (path, wish) = line.split_once(' ').unwrap();
    let (param, value) = wish.split_once('=').unwrap();
    usp::message::write::UpdateObject {
        obj_path: path.to_owned().into(),
        param_settings: vec![usp::message::write::ParamSetting {
            param: param.to_owned().into(),
            value: value.to_owned().into(),
            required: true,
        }],
    }
}

/// Commands that take their time, and news.
#[test]
fn it_tells_what_happens() {
    let Some((mut desk, _house, _daemon)) = stage("it_tells_what_happens", "") else { return };
    let mut app = App::register();
    for (id, kind, reference) in [
        ("value", "ValueChange", LEVEL),
        ("event", "Event", PART),
        ("done", "OperationComplete", "Device."),
        ("stolen", "ValueChange", "Device.DeviceInfo."),
    ] {
        let row = format!(
            "Device.LocalAgent.Subscription. ID={id} NotifType={kind} ReferenceList={reference} Enable=true"
        );
        assert!(desk.add(false, &[&row]).contains("Subscription."));
    }
    let change = |path: &'static str, value: &'static str| {
        NotifyKind::ValueChange(ValueChange { param_path: path.into(), param_value: value.into() })
    };
    // Of others' places it says nothing; nor of a place that nobody has subscribed to.
    app.tell(change("Device.DeviceInfo.SerialNumber", "forged"));
    app.tell(change("Device.X_SHG_Services.hello.Lamp.2.Level", "1"));
    app.tell(change(LEVEL, "3"));
    assert_eq!(desk.hear("value"), format!("{LEVEL}=3"));
    assert!(desk.news.is_empty(), "{:?}", desk.news);
    let event = Event {
        obj_path: "Device.X_SHG_Services.hello.".into(),
        event_name: "Rang!".into(),
        params: vec![Entry::new("Times", "2")],
    };
    app.tell(NotifyKind::Event(event));
    assert_eq!(desk.hear("event"), format!("{PART}Rang!{{Times=2}}"));
    // A command: its row is ours, and its end is told under the controller's own key.
    let command = format!("{PART}Blink()");
    let id = desk.begin(RequestKind::Operate(operate(&format!("{command} Times=3"), "mine", true)));
    let (asked, RequestKind::Operate(begun)) = app.asked() else { panic!("no Operate") };
    assert!(begun.command == command && begun.command_key != "mine", "its own key is the broker's");
    let kind = Some(OperationKind::Request("Device.LocalAgent.Request.77.".into()));
    let result = OperationResult { executed_command: command.clone().into(), kind };
    app.answer(asked, ResponseKind::Operate(OperateResp { operation_results: vec![result] }));
    let answer = end(&mut desk, &id);
    let row = answer.strip_prefix(&format!("{command} is ")).unwrap().to_owned();
    assert!(row.starts_with("Device.LocalAgent.Request.") && !row.contains("77"), "{answer}");
    assert!(desk.get(&[&row]).contains("CommandKey=mine"));
    let end_of = |key: &str| {
        NotifyKind::OperationComplete(OperationComplete {
            obj_path: PART.into(),
            command_name: "Blink()".into(),
            command_key: key.to_owned().into(),
            kind: Some(CompleteKind::Output(OutputArgs { output_args: vec![Entry::new("Blinked", "3")] })),
        })
    };
    app.tell(end_of("mine"));
    assert!(desk.get(&[&row]).contains("CommandKey=mine"), "the controller's key says nothing to us");
    app.tell(end_of(&begun.command_key));
    assert_eq!(desk.hear("done"), format!("{command} mine{{Blinked=3}}"));
    assert_eq!(desk.get(&[&row]), "!7026");
    // It goes before it has ended another one.
    let id = desk.begin(RequestKind::Operate(operate(&command, "next", true)));
    let (asked, _) = app.asked();
    let kind = Some(OperationKind::Request("Device.LocalAgent.Request.78.".into()));
    let result = OperationResult { executed_command: command.clone().into(), kind };
    app.answer(asked, ResponseKind::Operate(OperateResp { operation_results: vec![result] }));
    assert!(end(&mut desk, &id).contains("Request."));
    drop(app);
    assert_eq!(desk.hear("done"), format!("{command} next!7022"));
}

/// One that does not answer fails its own path, and nobody waits for it.
#[test]
fn a_silent_one_delays_nobody() {
    let Some((mut desk, _house, _daemon)) = stage("a_silent_one_delays_nobody", "") else { return };
    // One that goes while it is asked is not waited for.
    let mut app = App::register();
    let id = desk.begin(get(&[LEVEL]));
    app.asked();
    drop(app);
    assert_eq!(end(&mut desk, &id), "!7003");
    // One that stays, and says nothing.
    let mut app = App::register();
    let begun = Instant::now();
    let id = desk.begin(get(&[LEVEL, "Device.LocalAgent.EndpointID"]));
    let all = desk.begin(get(&["Device.LocalAgent.", PART]));
    app.asked();
    // Whoever asks for something else is answered before, also he who waits.
    for _ in 0..20 {
        let next = desk.begin(get(&["Device.LocalAgent.EndpointID"]));
        assert!(end(&mut desk, &next).contains(stage::ENDPOINT));
    }
    assert!(end(&mut desk, &id).starts_with("!7003 Device.LocalAgent.{EndpointID="));
    assert!(begun.elapsed() >= Duration::from_millis(agent::broker::ANSWER_MS));
    let all = end(&mut desk, &all);
    assert!(all.ends_with("!7003") && all.contains("EndpointID="), "{all}");
    // It has lost its connection and its part, and does not come back at once.
    app.0.closed();
    assert_eq!(desk.get(&[LEVEL]), "!7026");
    let mut again = Local::early(APP);
    again.put(&usp::frame::write(&usp::frame::Value::Handshake(APP.to_owned())));
    again.closed();
}
