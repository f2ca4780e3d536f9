//! A world for tests: two controllers, the first with all rights, the second without sessions and with few.

use crate::configuration::parse;
use crate::settings::Settings;
use crate::world::World;

/// It.
pub(crate) fn world() -> World {
    let text = "[[controller]]\nendpoint = 'self::a'\nbroker = '192.0.2.1'\ntopic = '/a'\nagent_topic = '/us/a'\n\
         [[controller]]\nendpoint = 'self::b'\nbroker = '192.0.2.2'\ntopic = '/b'\nrole = 'read'\n";
    World::new(parse(text).unwrap(), "os::00D09E-17".to_owned(), Settings::default())
}
