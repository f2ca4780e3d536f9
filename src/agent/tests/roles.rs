//! Services that came with roles: what each may ask, and what it may not, however it asks.
//!
//! In:  a controller of the test's own that installs them; a service of the test's own that asks. Out: what each of them is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use contract::packages::Ask;
use stage::local::{Came, Local, line, operate, texts, word};
use stage::package::Package;
use stage::{House, Program, daemon, disk, enter, until};
use usp::Msg;
use usp::frame::{self, Value};
use usp::message::read::Get;
use usp::message::write::{Register, RegistrationPath};
use usp::message::{BodyKind, ErrorBody, RequestKind};

const DESK: &str = "self::desk";
const CAM: &str = "self::controller-cam";
const SLICE: &str = "Device.SoftwareModules.ExecEnv.1.";
const UNIT: &str = "Device.SoftwareModules.DeploymentUnit.1.";
const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
const NAME: &str = "Device.LocalAgent.EndpointID";

/// The operator's word: two roles for services, one for who installs them.
fn roles() -> String {
    word(&[(DESK, "full"), ("self::provider", "installer")])
        + "[[role]]\nname = 'tuner'\nrules = [\
           { order = 1, targets = ['Device.LocalAgent.Controller.1.PeriodicNotifInterval'], rights = 'rw-n' },\
           { order = 1, targets = ['Device.LocalAgent.Subscription.'], rights = 'rwxn' }]\n\
           [[role]]\nname = 'peek'\nrules = [{ order = 1, targets = ['Device.LocalAgent.EndpointID'], rights = 'r--n' }]\n\
           [[role]]\nname = 'parts'\nrules = [{ order = 1, targets = ['Device.X_SHG_Services.cam.'], rights = 'r---' }]\n\
           [[role]]\nname = 'installer'\nrules = [\
           { order = 1, targets = ['Device.SoftwareModules.'], rights = 'rwxn' },\
           { order = 1, targets = ['Device.LocalAgent.Subscription.'], rights = 'rwxn' }]\n"
}

/// All of them, and a desk that hears of ends; `None`: it cannot be done here.
struct Stage {
    house: House,
    package: Package,
    daemon: Option<Program>,
    desk: Local,
}

impl Stage {
    fn begin(test: &str) -> Option<Self> {
        if !enter(test) {
            return None;
        }
        disk();
        let house = House::begin();
        let package = Package::begin(&house);
        let daemon = Some(daemon(&roles()));
        let mut desk = Local::connect(DESK);
        for (id, kind, reference) in [
            ("end", "OperationComplete", "Device."),
            ("change", "Event", "Device.SoftwareModules.DUStateChange!"),
        ] {
            let line = format!(
                "Device.LocalAgent.Subscription. ID={id} NotifType={kind} ReferenceList={reference} Enable=true Persistent=true"
            );
            assert!(desk.add(false, &[&line]).contains(id));
        }
        until("the slice is known", 15, || {
            desk.get(&[&format!("{SLICE}Name")]).contains("demo").then_some(())
        });
        Some(Self { house, package, daemon, desk })
    }

    /// A command that takes its time: how it ended, and the change of a unit that it was followed by.
    fn ends(&mut self, line: &str) -> (String, String) {
        assert!(self.desk.operate(line).contains("Request."), "{line}");
        (self.desk.hear("end"), self.desk.hear("change"))
    }

    fn install(&mut self, more: &str) -> String {
        self.ends(&format!("Device.SoftwareModules.InstallDU() URL=https://registry.example/{more}")).1
    }

    /// What the slice has for its services from now on.
    fn available(&mut self, roles: &str) -> String {
        let answer = self.desk.operate(&format!("{SLICE}ModifyAvailableRoles() AvailableRoles={roles}"));
        if answer.contains(" is ") { self.desk.hear("end") } else { answer }
    }

    /// The service runs as us, and comes as the controller that it is.
    fn comes(&mut self, service: &str) -> Local {
        let mut more = self.house.more.lock().unwrap();
        more.iter_mut()
            .for_each(|one| one.uid_base = Some(if one.name.as_str() == service { 0 } else { 70_000_000 }));
        drop(more);
        let unit = format!("Device.SoftwareModules.ExecutionUnit.[EUID==\"{service}\"].AllocatedHostUID");
        until("it runs as us", 15, || self.desk.get(&[&unit]).contains("=0}").then_some(()));
        Local::connect(&format!("self::controller-{service}"))
    }

    fn value(&mut self, path: &str) -> String {
        let answer = self.desk.get(&[path]);
        answer.split_once('=').map(|(_, value)| value.trim_end_matches('}').to_owned()).unwrap_or(answer)
    }
}

/// Comes as `endpoint`, and is not let in.
fn refused(endpoint: &str) {
    let mut local = Local::early(endpoint);
    local.put(&frame::write(&Value::Handshake(endpoint.to_owned())));
    assert!(local.closed() > 0, "{endpoint}: it is told why");
}

#[test]
fn a_service_has_the_roles_that_its_slice_has_for_it() {
    let Some(mut stage) = Stage::begin("a_service_has_the_roles_that_its_slice_has_for_it") else { return };
    // Nobody has set any: who needs one is refused, wherever it is to run, and one that nobody has is refused always.
    let here = format!("ExecutionEnvRef={SLICE}");
    for more in [
        format!("{here} RequiredRoles=tuner"),
        "RequiredRoles=tuner".to_owned(),
        "RequiredRoles=king".to_owned(),
    ] {
        let change = stage.install(&format!("cam:1 {more}"));
        assert!(change.contains("Fault.FaultCode=7032") && change.contains("=Failed"), "{more}: {change}");
    }
    assert!(stage.install("cam:1 RequiredUserRoles=anna").contains("Fault.FaultCode=7037"));
    assert!(stage.package.asks().iter().all(|ask| !matches!(ask, Ask::Install(_))), "nothing was fetched");
    assert!(stage.available("tuner,king").ends_with("!7032"));
    assert!(!stage.available("tuner,peek").contains('!'));
    let references = |places: &[u32]| {
        let one = |place: &u32| format!("Device.LocalAgent.ControllerTrust.Role.{place}");
        places.iter().map(one).collect::<Vec<_>>().join(",")
    };
    assert_eq!(stage.value(&format!("{SLICE}AvailableRoles")), references(&[4, 5]));
    // What is only liked, and not there, is left out.
    let change = stage.install(&format!("cam:1 {here} RequiredRoles=tuner OptionalRoles=peek,read,king"));
    assert!(change.contains("CurrentState=Installed"), "{change}");
    let row = stage.value(&format!("{UNIT}InternalController"));
    assert_eq!(row, "Device.LocalAgent.Controller.3");
    assert_eq!(stage.value(&format!("{row}.AssignedRole")), references(&[4, 5]));
    assert_eq!(stage.value(&format!("{row}.EndpointID")), CAM);
    refused(CAM); // It is not us who runs as this service.
    let mut cam = stage.comes("cam");
    it_asks(&mut stage, &mut cam);
    roles_go(&mut stage, &mut cam, &row);
}

/// What it may, and no more.
fn it_asks(stage: &mut Stage, cam: &mut Local) {
    let period = "Device.LocalAgent.Controller.1.{PeriodicNotifInterval";
    assert_eq!(cam.get(&[PERIOD]), format!("{period}=86400}}"));
    assert_eq!(
        cam.set(false, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=700"]),
        format!("{period}=700}}")
    );
    assert_eq!(stage.value(PERIOD), "700");
    assert!(cam.get(&[NAME]).contains(stage::ENDPOINT));
    for path in
        ["Device.DeviceInfo.SerialNumber", "Device.LocalAgent.Controller.1.Enable", &format!("{UNIT}URL")]
    {
        assert_eq!(cam.get(&[path]), "!7026", "{path}");
    }
    assert!(cam.set(false, &["Device.LocalAgent.Controller.1. Enable*=false"]).contains("!7006"));
    for command in [
        "Device.Reboot()",
        &format!("{UNIT}Uninstall()"),
        &format!("{SLICE}ModifyAvailableRoles() AvailableRoles=full"),
    ] {
        assert!(cam.operate(command).contains("7006"), "{command}");
    }
    // It hears of what it may read, of its own subscriptions, and only so many; those of others are not there.
    let line = |id: &str| {
        format!(
            "Device.LocalAgent.Subscription. ID={id} NotifType=ValueChange ReferenceList={PERIOD},{NAME} Enable=true"
        )
    };
    assert!(cam.add(false, &[&line("mine")]).contains("ID=mine"));
    assert_eq!(
        cam.get(&["Device.LocalAgent.Subscription.*.ID"]),
        "Device.LocalAgent.Subscription.3.{ID=mine}"
    );
    assert_eq!(cam.get(&["Device.LocalAgent.Subscription.1.ID"]), "!7026");
    assert!(cam.set(false, &["Device.LocalAgent.Subscription.1. Enable*=false"]).contains("7006"));
    assert!(cam.delete(false, &["Device.LocalAgent.Subscription.1."]).contains("7006"));
    stage.desk.set(false, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=800"]);
    assert_eq!(cam.hear("mine"), format!("{PERIOD}=800"));
    let more: Vec<String> = (0..16).map(|id| line(&format!("more-{id}"))).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    assert_eq!(cam.add(true, &more).matches("!7005").count(), 1);
    // Who asks without end waits, and is answered.
    let asked: Vec<String> =
        (0..80).map(|_| cam.begin(RequestKind::Operate(operate("Device.Reboot()", "", true)))).collect();
    assert!(stage.desk.get(&[NAME]).contains(stage::ENDPOINT));
    let answered: Vec<String> =
        asked.iter().map(|_| cam.message().header.unwrap().msg_id.into_owned()).collect();
    assert_eq!(answered, asked);
}

/// A role that is taken away is gone at once, on the connection that stands; one that is required stays.
fn roles_go(stage: &mut Stage, cam: &mut Local, row: &str) {
    assert!(!stage.available("tuner").contains('!'));
    assert_eq!(cam.get(&[NAME]), "!7026");
    assert_eq!(cam.get(&[PERIOD]), "Device.LocalAgent.Controller.1.{PeriodicNotifInterval=800}");
    assert!(stage.available("").ends_with("!7022") && stage.available("peek").ends_with("!7022"));
    assert!(cam.get(&[PERIOD]).contains("=800"), "nothing was done");
    // An update that says nothing of roles changes none; one that says so does.
    let update = format!("{UNIT}Update() URL=https://registry.example/cam:");
    assert!(stage.ends(&format!("{update}2")).1.contains("=Installed"));
    assert!(cam.get(&[PERIOD]).contains("=800"));
    assert!(stage.ends(&format!("{update}3 RequiredRoles=peek")).1.contains("Fault.FaultCode=7032"));
    assert!(stage.ends(&format!("{update}3 RequiredRoles=")).1.contains("=Installed"));
    assert_eq!(cam.get(&[PERIOD]), "!7026");
    assert_eq!(stage.value(&format!("{row}.AssignedRole")), "");
    stage.desk.set(false, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=900"]);
    assert!(cam.set(false, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=1"]).contains("7006"));
    assert!(cam.news.is_empty(), "{:?}", cam.news);
    // What it was given before is there again when its slice has it again.
    assert!(!stage.available("peek").contains('!'));
    assert!(cam.get(&[NAME]).contains(stage::ENDPOINT));
    // The operator may switch it off.
    stage.desk.set(false, &[&format!("{row}. Enable*=false")]);
    assert!(cam.get(&[NAME]).starts_with("error 7006"));
    assert!(
        stage
            .desk
            .set(
                false,
                &[
                    "Device.LocalAgent.Controller.1. Enable*=false",
                    "Device.LocalAgent.Controller.2. Enable*=false"
                ]
            )
            .contains("!7007")
    );
    // And it goes with its bundle.
    assert!(stage.ends(&format!("{UNIT}Uninstall()")).1.contains("=Uninstalled"));
    cam.closed();
    assert_eq!(stage.value(&format!("{row}.EndpointID")), "!7026");
    assert_eq!(stage.value("Device.LocalAgent.SubscriptionNumberOfEntries"), "2");
    refused(CAM);
}

#[test]
fn nobody_gives_a_role_that_he_has_not() {
    let Some(mut stage) = Stage::begin("nobody_gives_a_role_that_he_has_not") else { return };
    let mut provider = Local::connect("self::provider");
    let modify = |roles: &str| format!("{SLICE}ModifyAvailableRoles() AvailableRoles={roles}");
    let add = |roles: &str| {
        format!("Device.SoftwareModules.ExecEnvClass.1.AddExecEnv() Name=acme AvailableRoles={roles}")
    };
    for line in [modify("full"), modify("installer,tuner"), add("full")] {
        assert!(provider.operate(&line).contains("!7006"), "{line}");
    }
    assert_eq!(stage.value(&format!("{SLICE}AvailableRoles")), "");
    assert_eq!(stage.value("Device.SoftwareModules.ExecEnvNumberOfEntries"), "1");
    // What he has, and what is there already, he may.
    assert!(provider.operate(&modify("installer")).contains(" is "));
    stage.desk.hear("end");
    assert!(!stage.available("installer,tuner").contains('!'));
    assert!(provider.operate(&modify("tuner,installer")).contains(" is "));
    stage.desk.hear("end");
    // A service with his role gives no more than he does.
    assert!(
        stage
            .install(&format!("cam:1 ExecutionEnvRef={SLICE} RequiredRoles=installer"))
            .contains("=Installed")
    );
    let mut cam = stage.comes("cam");
    assert!(cam.operate(&modify("full,installer")).contains("!7006"));
    // A slice that comes with roles, and one of the same name that comes without.
    assert!(stage.desk.operate(&add("tuner,king")).contains(" is "));
    stage.desk.hear("end");
    let acme = "Device.SoftwareModules.ExecEnv.2.";
    assert!(stage.value(&format!("{acme}AvailableRoles")).ends_with("Role.4"));
    assert!(stage.desk.operate(&format!("{acme}Remove()")).contains(" is "));
    stage.desk.hear("end");
    assert!(stage.desk.operate(&add("")).contains(" is "));
    stage.desk.hear("end");
    assert_eq!(stage.value("Device.SoftwareModules.ExecEnv.[Name==\"acme\"].AvailableRoles"), "");
}

#[test]
fn a_service_is_not_another_one() {
    let Some(mut stage) = Stage::begin("a_service_is_not_another_one") else { return };
    stage.available("tuner,peek");
    stage.install("cam:1 RequiredRoles=tuner");
    stage.install("mill:1 RequiredRoles=peek");
    let mut cam = stage.comes("cam");
    // The kernel says whose uid it is.
    refused("self::controller-mill");
    assert_eq!(cam.get(&[NAME]), "!7026");
    // A record in another's name is not looked at.
    let payload = usp::Msg::request("forged", RequestKind::Operate(operate("Device.Reboot()", "", true)))
        .encode()
        .into();
    let record = cam.record(usp::record::Kind::NoSession(usp::record::NoSessionContext { payload }));
    let record = usp::Record { from_id: DESK.into(), ..record };
    cam.send(&record);
    let (good, next) = cam.next_answered();
    assert_eq!(good, next);
    // One that comes under the same name later has what it was given, and not what the first had.
    assert!(stage.ends(&format!("{UNIT}Uninstall()")).1.contains("=Uninstalled"));
    cam.closed();
    stage.install("cam:2");
    let unit = stage.value("Device.SoftwareModules.DeploymentUnit.[Name==\"cam\"].InternalController");
    assert_eq!(unit, "");
    assert_eq!(stage.value("Device.LocalAgent.ControllerNumberOfEntries"), "3");
}

#[test]
fn roles_outlive_the_agent() {
    let Some(mut stage) = Stage::begin("roles_outlive_the_agent") else { return };
    stage.available("tuner");
    stage.install("mill:1 RequiredRoles=tuner");
    // It dies while another comes: the next one gives what was asked for.
    stage.package.hold(true);
    let line = "Device.SoftwareModules.InstallDU() URL=https://registry.example/cam:1 RequiredRoles=tuner";
    assert!(stage.desk.operate(line).contains("Request."));
    let asked = |count: usize| {
        move |asks: Vec<Ask>| asks.iter().filter(|ask| matches!(ask, Ask::Install(_))).count() == count
    };
    until("it is asked", 10, || asked(2)(stage.package.asks()).then_some(()));
    assert!(stage.available("").ends_with("!7022"), "one on its way requires it, too");
    drop(stage.daemon.take());
    stage.daemon = Some(daemon(&roles()));
    stage.desk = Local::connect(DESK);
    stage.package.hold(false);
    assert!(stage.desk.hear("change").contains("=Installed"));
    let mut cam = stage.comes("cam");
    let line = format!(
        "Device.LocalAgent.Subscription. ID=mine NotifType=ValueChange ReferenceList={PERIOD} Enable=true Persistent=true"
    );
    assert!(cam.add(false, &[&line]).contains("ID=mine"));
    // The first goes, and the agent does: the other has its row and what it has subscribed to.
    assert!(stage.ends(&format!("{UNIT}Uninstall()")).1.contains("=Uninstalled"));
    drop(stage.daemon.take());
    stage.daemon = Some(daemon(&roles()));
    stage.desk = Local::connect(DESK);
    let mut cam = stage.comes("cam");
    until("its bundle is known", 15, || cam.get(&[PERIOD]).contains("=86400").then_some(()));
    stage.desk.set(false, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=77"]);
    assert_eq!(cam.hear("mine"), format!("{PERIOD}=77"));
    assert_eq!(stage.value("Device.LocalAgent.ControllerNumberOfEntries"), "3");
    // A file of the operator's without the role grants nothing by it.
    drop(stage.daemon.take());
    stage.daemon = Some(daemon(&word(&[(DESK, "full"), ("self::provider", "read")])));
    stage.desk = Local::connect(DESK);
    let mut cam = stage.comes("cam");
    until("its bundle is known", 15, || {
        stage.value("Device.SoftwareModules.DeploymentUnitNumberOfEntries").starts_with('1').then_some(())
    });
    assert_eq!(cam.get(&[PERIOD]), "!7026");
}

/// A service that brings a part of the tree is asked by one that asks, as by any controller: after its role was looked at.
#[test]
fn a_service_brings_and_another_asks() {
    let Some(mut stage) = Stage::begin("a_service_brings_and_another_asks") else { return };
    stage.available("tuner,parts");
    stage.install("cam:1 RequiredRoles=tuner OptionalRoles=parts");
    let mut cam = stage.comes("cam");
    let mut app = Local::connect("proto::cam");
    let path = RegistrationPath { path: "Device.X_SHG_Services.cam.".into() };
    let register = Register { allow_partial: false, reg_paths: vec![path] };
    assert!(app.ask(RequestKind::Register(register)).contains("Success"));
    assert_eq!(stage.value("Device.USPServices.USPService.*.HasController"), "true");
    let get =
        || RequestKind::Get(Get { param_paths: texts(&["Device.X_SHG_Services.cam.Level"]), max_depth: 0 });
    let asked = cam.begin(get());
    // It refuses, in words of its own: nobody else has said that.
    let question = loop {
        let Came::Message(message) = app.came() else { continue };
        let id = message.header.unwrap().msg_id.into_owned();
        let Some(BodyKind::Request(request)) = message.body.unwrap().kind else { continue };
        if let Some(RequestKind::Get(_)) = request.kind {
            break id;
        }
    };
    let no = ErrorBody { err_code: 7012, err_msg: "not now".into(), param_errs: Vec::new() };
    app.say(Msg::error(question, no).encode());
    let answer = cam.message();
    assert_eq!(
        (answer.header.as_ref().unwrap().msg_id.as_ref(), line(&answer).as_str()),
        (asked.as_str(), "!7012")
    );
    // Without the role it is not asked at all.
    stage.available("tuner");
    assert_eq!(cam.ask(get()), "!7026");
}
