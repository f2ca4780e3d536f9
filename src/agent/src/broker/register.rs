//! Which part of the tree a service may bring: Register and Deregister, as pure functions.
//!
//! In:  a service's name, what it has registered before, its request. Out: what it has registered now, and the answer.
//!
//! A service brings objects at and below `Device.X_SHG_Services.<its name>.` and nowhere else: the name is the kernel's word about who speaks,
//! so nobody can take another's place, or stand in for the gateway.
//!
//! Source: TR-369 §7.5.4 (R-REG), §7.5.5 (R-DEREG); docs/decisions/0116-services-bring-a-part.md.

use usp::message::write::{
    Deregister, DeregisterResp, Deregistered, DeregisteredKind, DeregisteredPath, DeregisteredStatus,
    Register, RegisterResp, Registered, RegisteredKind, RegisteredPath, RegisteredStatus,
};
use usp::message::{ErrorBody, Failure, ParamError};
use usp::path::{Leaf, Path, Step};
use usp::{Code, Text};

use crate::model::objects;

/// Below it is what services bring.
pub const ROOT: &str = "Device.X_SHG_Services.";
/// Paths that one service may have registered.
pub const PATHS_MAX: usize = 16;
/// Paths of one request that are looked at.
const ASKED_MAX: usize = 2 * PATHS_MAX;

/// Where a service may bring something.
#[must_use]
pub fn place_of(service: &str) -> String {
    format!("{ROOT}{service}.")
}

/// May `service`, which has registered `before`, register `text`?
fn check(service: &str, before: &[String], text: &str) -> Result<(), Code> {
    let path = Path::parse(text).map_err(|_| Code::INVALID_PATH_SYNTAX)?;
    let plain = path.steps.iter().all(|step| matches!(step, Step::Name(_)));
    if !plain || path.leaf != Leaf::Object {
        return Err(Code::INVALID_ARGUMENTS); // R-REG.2; and objects are all that is taken.
    }
    if !text.starts_with(&place_of(service)) {
        let ours = objects().any(|object| object.path.starts_with(text));
        return Err(if ours { Code::ALREADY_IN_USE } else { Code::PERMISSION_DENIED });
    }
    if before.iter().any(|other| other.starts_with(text) || text.starts_with(other.as_str())) {
        return Err(Code::ALREADY_IN_USE);
    }
    if before.len() >= PATHS_MAX { Err(Code::RESOURCES_EXCEEDED) } else { Ok(()) }
}

/// Registers what `service` asks for: `paths` are what it has registered.
///
/// # Errors
/// Without `allow_partial` one path that cannot be registered fails all, and `paths` is as before (R-REG.1).
pub fn register(
    service: &str,
    paths: &mut Vec<String>,
    request: &Register<'_>,
) -> Result<RegisterResp<'static>, ErrorBody<'static>> {
    let mut now = paths.clone();
    let mut results = Vec::new();
    for wish in request.reg_paths.iter().take(ASKED_MAX) {
        let requested_path: Text<'static> = wish.path.clone().into_owned().into();
        let kind = match check(service, &now, &wish.path) {
            Ok(()) => {
                now.push(wish.path.clone().into_owned());
                RegisteredKind::Success(Registered { registered_path: requested_path.clone() })
            }
            Err(code) if !request.allow_partial => {
                return Err(ErrorBody {
                    err_code: code.number(),
                    err_msg: format!("{requested_path}: {}", code.words()).into(),
                    param_errs: vec![ParamError::new(requested_path, code, code.words())],
                });
            }
            Err(code) => RegisteredKind::Failure(Failure::new(code, code.words())),
        };
        let oper_status = Some(RegisteredStatus { kind: Some(kind) });
        results.push(RegisteredPath { requested_path, oper_status });
    }
    *paths = now;
    Ok(RegisterResp { registered_path_results: results })
}

/// Takes back what a service asks to have taken back; each path for itself (R-DEREG.4). An empty path is all (R-DEREG.2).
pub fn deregister(paths: &mut Vec<String>, request: &Deregister<'_>) -> DeregisterResp<'static> {
    let one = |wish: &Text<'_>| {
        let gone: Vec<Text<'static>> =
            paths.extract_if(.., |path| wish.is_empty() || path == wish).map(Text::from).collect();
        let kind = if gone.is_empty() && !wish.is_empty() {
            DeregisteredKind::Failure(Failure::new(
                Code::DEREGISTER_FAILURE,
                "it is not registered by this service",
            ))
        } else {
            DeregisteredKind::Success(Deregistered { deregistered_path: gone })
        };
        let oper_status = Some(DeregisteredStatus { kind: Some(kind) });
        DeregisteredPath { requested_path: wish.clone().into_owned().into(), oper_status }
    };
    let all = [Text::from("")];
    let wishes = if request.paths.is_empty() { &all[..] } else { &request.paths };
    DeregisterResp { deregistered_path_results: wishes.iter().take(ASKED_MAX).map(one).collect() }
}

#[cfg(test)]
mod tests {
    use usp::message::write::{Deregister, DeregisteredKind, Register, RegisteredKind, RegistrationPath};

    use super::{PATHS_MAX, deregister, register};

    const OWN: &str = "Device.X_SHG_Services.hello.";

    fn wishes(allow_partial: bool, paths: &[&str]) -> Register<'static> {
        let one = |path: &&str| RegistrationPath { path: path.to_string().into() };
        Register { allow_partial, reg_paths: paths.iter().map(one).collect() }
    }

    /// What became of each: 0, or a code.
    fn codes(paths: &mut Vec<String>, wishes: &[&str]) -> Vec<u32> {
        let answer = register("hello", paths, &self::wishes(true, wishes)).unwrap();
        let results = answer.registered_path_results.into_iter();
        let one = |kind| match kind {
            RegisteredKind::Success(_) => 0,
            RegisteredKind::Failure(failure) => failure.err_code,
        };
        results.map(|result| one(result.oper_status.unwrap().kind.unwrap())).collect()
    }

    // Shows R-REG.0, R-REG.2.
    #[test]
    fn a_service_brings_its_own_part_and_nobody_elses() {
        let inside = format!("{OWN}Lamp.");
        let row = format!("{OWN}Lamp.1.");
        let schema = format!("{OWN}Lamp.{{i}}.");
        let parameter = format!("{OWN}On");
        let table: &[(&str, &str, u32)] = &[
            ("its own part", OWN, 0),
            ("an object in it", &inside, 0),
            ("a row", &row, 7004),
            ("rows", &schema, 7004),
            ("a parameter", &parameter, 7004),
            ("no path", "Device..", 7008),
            ("the gateway's", "Device.Time.", 7029),
            ("all of it", "Device.", 7029),
            ("all services'", "Device.X_SHG_Services.", 7029),
            ("another service's", "Device.X_SHG_Services.hell.", 7006),
            ("one whose name begins so", "Device.X_SHG_Services.hello-2.", 7006),
            ("below the gateway's", "Device.Time.X_ACME_Clock.", 7006),
            ("another vendor's", "Device.X_ACME_Lamp.", 7006),
        ];
        for (name, path, want) in table {
            assert_eq!(codes(&mut Vec::new(), &[path]), [*want], "{name}");
        }
        let mut paths = Vec::new();
        assert_eq!(codes(&mut paths, &["Device.Time.", &inside, OWN, &inside]), [7029, 0, 7029, 7029]);
        assert_eq!(paths, [inside], "each for itself; of two that hold each other the first");
        let many: Vec<String> = (0..=PATHS_MAX).map(|number| format!("{OWN}P{number}.")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(codes(&mut Vec::new(), &many).last(), Some(&7005));
    }

    // Shows R-REG.1.
    #[test]
    fn without_allow_partial_all_or_nothing() {
        let mut paths = Vec::new();
        let error = register("hello", &mut paths, &wishes(false, &[OWN, "Device.Time."])).unwrap_err();
        assert_eq!((error.err_code, error.param_errs[0].path.as_ref()), (7029, "Device.Time."));
        assert!(paths.is_empty());
        register("hello", &mut paths, &wishes(false, &[OWN])).unwrap();
        assert_eq!(paths, [OWN]);
    }

    // Shows R-DEREG.1, R-DEREG.2, R-DEREG.3, R-DEREG.4.
    #[test]
    fn what_was_registered_is_taken_back() {
        let three = ["A.", "B.", "C."].map(|name| format!("{OWN}{name}"));
        let mut paths = three.to_vec();
        let mut gone = |wishes: &[&str]| {
            let request = Deregister { paths: wishes.iter().map(|wish| wish.to_string().into()).collect() };
            let results = deregister(&mut paths, &request).deregistered_path_results;
            let one = |kind| match kind {
                DeregisteredKind::Success(done) => Ok(done.deregistered_path.len()),
                DeregisteredKind::Failure(failure) => Err(failure.err_code),
            };
            results
                .into_iter()
                .map(|one_of| one(one_of.oper_status.unwrap().kind.unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(&["Device.Time.", &three[0], &three[0]]), [Err(7030), Ok(1), Err(7030)]);
        assert_eq!(gone(&[""]), [Ok(2)]);
        assert_eq!(gone(&[]), [Ok(0)], "all of nothing");
    }
}
