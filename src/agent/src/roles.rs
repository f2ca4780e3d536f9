//! Which roles a controller has now, and which a service may be given: pure functions.
//!
//! In:  the world. Out: [`Held`], a set of the operator's roles.
//!
//! A controller of the operator's file has the role that stands there, those that it has won by a word (`challenge.rs`), and the one that its
//! certificate brings (`proof.rs`). A service has what it was given, as far as its slice has that for its
//! services, and as long as its bundle is the one that it was given to. It is looked at whenever somebody asks: what is taken away is gone.
//!
//! Source: TR-369, appendix "Software Modularization and USP-Enabled Applications"; docs/decisions/0123-roles-of-services.md.

use contract::Name;
use usp::Code;
use usp::path::Path;
use usp::permission::{May, Rule, granted_throughout};

use crate::configuration::transport::{Caller, Transport};
use crate::configuration::{Configuration, Controller, ROLES_ALL_MAX, Role};
use crate::job::Job;
use crate::settings::roles::{GRANTED_MAX, Granted};
use crate::world::World;

/// What the endpoint id of a service that is a controller begins with; its name is behind it.
pub const ENDPOINT: &str = "self::controller-";
/// Entries of one list of roles.
const LIST_MAX: usize = ROLES_ALL_MAX;
/// Letters of one entry. Source: TR-181, `InstallDU().RequiredRoles`.
const LETTERS_MAX: usize = 256;

const _: () = assert!(ROLES_ALL_MAX <= 32, "a role is a bit");

/// A set of roles, by their places in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held(u32);

impl Held {
    /// This one alone.
    #[must_use]
    pub fn one(place: usize) -> Self {
        Self(u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or(0))
    }

    fn and(self, place: usize) -> Self {
        self.or(Self::one(place))
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is it in it?
    #[must_use]
    pub fn has(self, place: usize) -> bool {
        self.0 & Self::one(place).0 != 0
    }

    /// Roles, with their places.
    pub fn roles(self, configuration: &Configuration) -> impl Iterator<Item = (usize, &Role)> {
        configuration.roles.iter().enumerate().filter(move |(place, _)| self.has(*place))
    }

    /// Their rules.
    pub fn rules(self, configuration: &Configuration) -> impl Iterator<Item = &[Rule]> {
        self.roles(configuration).map(|(_, role)| role.rules.as_slice())
    }
}

/// References to these roles, as a list.
#[must_use]
pub fn references(places: impl Iterator<Item = usize>) -> String {
    let one = |place: usize| format!("Device.LocalAgent.ControllerTrust.Role.{}", place.saturating_add(1));
    places.map(one).collect::<Vec<_>>().join(",")
}

/// The controller in `row`.
fn controller(world: &World, row: u32) -> Option<&Controller> {
    world.configuration.controllers.get(usize::try_from(row.checked_sub(1)?).ok()?)
}

/// Roles of the controller in `row`: all of them.
#[must_use]
pub fn of(world: &World, row: u32) -> Held {
    assigned(world, row).or(inherited(world, row))
}

/// Those that its certificate has brought.
#[must_use]
pub fn inherited(world: &World, row: u32) -> Held {
    let place = row.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| world.links.get(place)).map(|link| link.inherited).unwrap_or_default()
}

/// All others.
#[must_use]
pub fn assigned(world: &World, row: u32) -> Held {
    let Some(controller) = controller(world, row) else { return Held::default() };
    let first = match &controller.transport {
        Transport::Local(Caller::Granted(service)) => of_service(world, service),
        Transport::Local(Caller::Nobody) => return Held::default(),
        Transport::Local(Caller::Root | Caller::Service(_))
        | Transport::Mqtt(_)
        | Transport::WebSocket(_)
        | Transport::Accepted(_) => Held::one(controller.role),
    };
    world.challenges.won(&controller.endpoint).fold(first, Held::and)
}

/// Is the controller in `row` a service that came with roles, and not one of the operator's file?
#[must_use]
pub fn is_service(world: &World, row: u32) -> bool {
    controller(world, row).is_some_and(|one| matches!(one.transport, Transport::Local(Caller::Granted(_))))
}

/// What a service was given, where its bundle is the one that it was given to.
fn grant<'w>(world: &'w World, service: &Name) -> Option<&'w Granted> {
    let granted = world.settings.roles.of_service(service)?;
    is_there(world, granted).then_some(granted)
}

/// Is the bundle there that this was given to?
#[must_use]
pub fn is_there(world: &World, granted: &Granted) -> bool {
    world.facts.bundles.iter().any(|unit| {
        let [since_s, _] = unit.installed_s;
        unit.name == granted.service && unit.provider == granted.slice && since_s == granted.since_s
    })
}

fn of_service(world: &World, service: &Name) -> Held {
    let Some(granted) = grant(world, service) else { return Held::default() };
    let available = world.settings.roles.of_slice(&granted.slice);
    let all = world.configuration.roles.iter().enumerate().filter(|(_, role)| {
        let is = |name: &String| *name == role.name;
        available.iter().any(is) && granted.required.iter().chain(&granted.optional).any(is)
    });
    all.fold(Held::default(), |held, (place, _)| held.and(place))
}

/// Reads a list of roles.
///
/// # Errors
/// 7027: too long.
pub fn list(text: &str) -> Result<Vec<String>, Code> {
    let mut list: Vec<String> = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        if list.iter().all(|other| other != one) {
            list.push(super::model::text(one, LETTERS_MAX).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?);
        }
    }
    if list.len() > LIST_MAX { Err(Code::INVALID_COMMAND_ARGUMENTS) } else { Ok(list) }
}

/// Has the operator's file this role?
#[must_use]
pub fn is_one(world: &World, name: &str) -> bool {
    world.configuration.roles.iter().any(|role| role.name == name)
}

/// Roles of a slice that the operator's file still has, by their places.
pub fn available<'w>(world: &'w World, slice: &Name) -> impl Iterator<Item = usize> + use<'w> {
    let list = world.settings.roles.of_slice(slice);
    let all = world.configuration.roles.iter().enumerate();
    all.filter(move |(_, role)| list.contains(&role.name)).map(|(place, _)| place)
}

/// Has the slice this role for its services? `None`: it is not known which slice; then each has to have it.
#[must_use]
pub fn may_require(world: &World, slice: Option<&Name>, role: &str) -> bool {
    let has = |slice: &Name| world.settings.roles.of_slice(slice).iter().any(|one| one == role);
    let mut slices = world.facts.promised.iter().filter_map(|one| one.slice.as_ref()).peekable();
    let by_all = match slice {
        Some(slice) => has(slice),
        None => slices.peek().is_some() && slices.all(has),
    };
    by_all && is_one(world, role)
}

/// Is this role required in the slice, by a service that is there or on its way?
#[must_use]
pub fn is_required(world: &World, slice: &Name, role: &str) -> bool {
    let granted = world.settings.roles.granted().iter();
    let mut of_units = granted.filter(|one| one.slice == *slice && is_there(world, one));
    let on_its_way = |job: &Job| {
        let slice_of = |service: &Name| {
            let unit = world.facts.bundles.iter().find(|unit| unit.name == *service);
            unit.is_none_or(|unit| unit.provider == *slice)
        };
        let its = job.slice.as_ref().map(|of| of == slice).or(job.service.as_ref().map(slice_of));
        its.unwrap_or(true) && job.wishes.required.iter().flatten().any(|one| one == role)
    };
    let mut jobs = world.requests.iter().filter_map(|request| request.job.as_ref());
    of_units.any(|one| one.required.iter().any(|one| one == role)) || jobs.any(|(job, _)| on_its_way(job))
}

/// Is there no place for one more service with roles? Those on their way have theirs.
#[must_use]
pub fn is_full(world: &World, service: Option<&Name>) -> bool {
    let granted = world.settings.roles.granted().iter().filter(|one| is_there(world, one));
    let others = granted.filter(|one| Some(&one.service) != service).count();
    let jobs = world.requests.iter().filter_map(|request| request.job.as_ref());
    let coming = jobs.filter(|(job, _)| job.service.as_ref() != service || service.is_none());
    others + coming.filter(|(job, _)| job.wishes.any()).count() >= GRANTED_MAX
}

/// May the controller in `row` make this role available to a slice's services? Who has it, or may do all: nobody gives what he has not.
#[must_use]
pub fn may_hand_on(world: &World, row: u32, role: &str) -> bool {
    let held = of(world, row);
    let has = held.roles(&world.configuration).any(|(_, one)| one.name == role);
    has || held.rules(&world.configuration).any(is_all)
}

/// Does a role with these rules grant everything?
fn is_all(rules: &[Rule]) -> bool {
    let Ok(root) = Path::parse("Device.") else { return false };
    let kinds: [fn(&Rule) -> May; 4] =
        [|one| one.param, |one| one.object, |one| one.instance, |one| one.command_event];
    kinds.into_iter().all(|kind| granted_throughout(rules, &root, kind) == May::ALL)
}

#[cfg(test)]
mod tests {
    use contract::Name;
    use usp::permission::{May, Rule};

    use super::{Held, is_all, list, may_require};
    use crate::testing::world;

    #[test]
    fn lists_are_read() {
        assert_eq!(list(" read ,operate,,read").unwrap(), ["read", "operate"]);
        assert_eq!(list("").unwrap(), [""; 0]);
        for bad in ["a\u{7}", &"x".repeat(257), &(0..40).map(|one| format!("{one},")).collect::<String>()] {
            assert!(list(bad).is_err());
        }
    }

    #[test]
    fn who_may_do_all_is_known() {
        let less = Rule::same(2, "Device.LocalAgent.", May { write: false, ..May::ALL });
        let table = [
            ("all", vec![Rule::same(1, "Device.", May::ALL)], true),
            ("all but", vec![Rule::same(1, "Device.", May::ALL), less.clone()], false),
            ("less, and lower", vec![Rule::same(3, "Device.", May::ALL), less], true),
            ("a part", vec![Rule::same(1, "Device.Time.", May::ALL)], false),
            (
                "no commands",
                vec![Rule { command_event: May::default(), ..Rule::same(1, "Device.", May::ALL) }],
                false,
            ),
            ("nothing", vec![], false),
        ];
        for (name, rules, want) in table {
            assert_eq!(is_all(&rules), want, "{name}");
        }
    }

    #[test]
    fn a_set_has_what_is_in_it() {
        let held = Held::one(0).and(18);
        assert_eq!((0..40).filter(|place| held.has(*place)).collect::<Vec<_>>(), [0, 18]);
    }

    #[test]
    fn where_no_slice_is_named_each_has_to_have_it() {
        let mut world = world();
        let name = |text| Name::new(text).unwrap();
        assert!(!may_require(&world, None, "read"), "no slice has nothing");
        let gateway =
            contract::control::Promised { slice: None, all: [0; 5], promised: [0; 5], rented: None };
        let slice = |text| contract::control::Promised { slice: Some(name(text)), ..gateway.clone() };
        world.facts.promised = vec![gateway.clone(), slice("one"), slice("two")];
        world.settings.roles.put_slice(&name("one"), vec!["read".to_owned(), "gone".to_owned()]);
        assert!(may_require(&world, Some(&name("one")), "read"));
        assert!(!may_require(&world, Some(&name("one")), "gone"), "the file has it no more");
        assert!(!may_require(&world, Some(&name("two")), "read"));
        assert!(!may_require(&world, None, "read"));
        world.settings.roles.put_slice(&name("two"), vec!["read".to_owned()]);
        assert!(may_require(&world, None, "read"));
    }
}
