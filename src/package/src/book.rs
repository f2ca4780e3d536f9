//! What outlives the daemon beside the bundles themselves: slices that were rented, what was ordered of each service, and volumes of services
//! that are gone.
//!
//! In:  orders, the supervisor's word. Out: bytes for the state room; and back.
//!
//! Pure: `keep.rs` has the file. What makes no sense in it any more is left out.

use contract::limit::{KEPT, SERVICES, SLICES, SOURCE_BYTES, TAG_BYTES};
use contract::name::{Name, Text};
use contract::packages::Kept;
use contract::slice::Slice;
use serde::{Deserialize, Serialize};

/// The form of the bytes: JSON.
pub const VERSION: u16 = 1;
/// The most bytes: each row has some hundred.
pub const BYTES_MAX: usize = 2048 * (SERVICES + SLICES + KEPT);
/// Volumes that are still to go, at most.
const DROPS_MAX: usize = SERVICES + KEPT;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Slices.
    slices: Vec<Slice>,
    /// Services.
    services: Vec<Entry>,
    /// Services that are gone, and whose volumes are still to go.
    #[serde(default)]
    drops: Vec<Dropped>,
    /// Those whose volumes stay.
    #[serde(default)]
    kept: Vec<Kept>,
}

/// A volume that is still to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Whose.
    pub service: Name,
    /// And whose service that was.
    pub provider: Name,
}

/// What was ordered of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub name: Name,
    /// Where its bundle came from.
    pub source: Text<SOURCE_BYTES>,
    /// What the asker calls it.
    pub tag: Text<TAG_BYTES>,
    /// It starts by itself, or not; `None`: as its manifest says.
    pub autostart: Option<bool>,
    /// It is started again when it ends by itself, or not; `None`: as its manifest says.
    #[serde(default)]
    pub restarts: Option<bool>,
    /// When it was first installed, and when last updated, in seconds after 1970; 0: the clock was not known.
    pub installed_s: [u64; 2],
}

impl Book {
    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Book::bytes`] writes. `None`: it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut book: Self = serde_json::from_slice(bytes).ok()?;
        book.slices.retain(|slice| slice.fault().is_none());
        book.slices.truncate(SLICES);
        book.services.truncate(SERVICES);
        book.drops.truncate(DROPS_MAX);
        book.kept.truncate(KEPT);
        Some(book)
    }

    /// Slices that were rented.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// A slice was rented, or has another size. False: it is not in the book, for that is full.
    pub fn rent(&mut self, slice: Slice) -> bool {
        match self.slices.iter().position(|old| old.name == slice.name) {
            Some(place) => self.slices.splice(place..=place, [slice]).for_each(drop),
            None if self.slices.len() < SLICES => self.slices.push(slice),
            None => return false,
        }
        true
    }

    /// A slice was given back.
    pub fn release(&mut self, name: &Name) {
        self.slices.retain(|slice| slice.name != *name);
    }

    /// What was ordered of `name`.
    #[must_use]
    pub fn entry(&self, name: &Name) -> Option<&Entry> {
        self.services.iter().find(|entry| entry.name == *name)
    }

    /// `name` was installed, or updated, at `now_s`.
    pub fn install(&mut self, name: &Name, source: &Text<SOURCE_BYTES>, tag: &Text<TAG_BYTES>, now_s: u64) {
        let mut entry = self.take(name);
        let [first, _] = entry.installed_s;
        let first = if entry.source.is_empty() { now_s } else { first };
        (entry.source, entry.tag, entry.installed_s) = (source.clone(), tag.clone(), [first, now_s]);
        self.services.push(entry);
    }

    /// From now on `name` starts by itself, or not.
    pub fn autostart(&mut self, name: &Name, starts: bool) {
        let entry = Entry { autostart: Some(starts), ..self.take(name) };
        self.services.push(entry);
    }

    /// From now on `name` is started again when it ends by itself, or not.
    pub fn restarts(&mut self, name: &Name, restarts: bool) {
        let entry = Entry { restarts: Some(restarts), ..self.take(name) };
        self.services.push(entry);
    }

    /// Takes the row of `name` out; an empty one, where there was none.
    fn take(&mut self, name: &Name) -> Entry {
        let place = self.services.iter().position(|entry| entry.name == *name);
        let empty = || Entry {
            name: name.clone(),
            source: "".into(),
            tag: "".into(),
            autostart: None,
            restarts: None,
            installed_s: [0, 0],
        };
        place.map_or_else(empty, |place| self.services.remove(place))
    }

    /// This volume stays though its service goes. Whoever lets that go has looked whether there is room.
    pub fn keep_volume(&mut self, volume: Kept) {
        self.has_again(&volume.service, &volume.provider);
        if self.kept.len() < KEPT {
            self.kept.push(volume);
        }
    }

    /// Volumes of services that are gone.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// A service has it again.
    pub fn has_again(&mut self, service: &Name, provider: &Name) {
        self.kept.retain(|volume| !volume.is_of(service, provider));
    }

    /// This volume is to go once its bundle is gone; of more than there can be the eldest stays.
    pub fn drop_volume(&mut self, volume: Dropped) {
        self.has_again(&volume.service, &volume.provider);
        self.dropped(&volume);
        if self.drops.len() >= DROPS_MAX {
            self.drops.remove(0);
        }
        self.drops.push(volume);
    }

    /// This volume is gone.
    pub fn dropped(&mut self, volume: &Dropped) {
        self.drops.retain(|other| other != volume);
    }

    /// Volumes that are still to go.
    #[must_use]
    pub fn volumes_dropped(&self) -> &[Dropped] {
        &self.drops
    }

    /// `name` is not installed any more.
    pub fn forget(&mut self, name: &Name) {
        self.services.retain(|entry| entry.name != *name);
    }

    /// Only these are installed, and only these volumes are in use; `None`: nobody knows. What was to stay is not forgotten: it is not listed as long
    /// as a service has it.
    pub fn retain(
        &mut self,
        is_installed: impl Fn(&Name) -> bool,
        is_used: impl Fn(&Name, &Name) -> Option<bool>,
    ) {
        self.services.retain(|entry| is_installed(&entry.name));
        // One whose bundle is there was not removed after all.
        self.drops.retain(|volume| is_used(&volume.service, &volume.provider) == Some(false));
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Book, Dropped};
    use contract::Name;
    use contract::limit::{KEPT, SERVICES, SLICES};
    use contract::manifest::{Cpu, Memory, Volume};
    use contract::name::Text;
    use contract::packages::Kept;
    use contract::slice::Slice;

    fn slice(name: &str, floor_mib: u32) -> Slice {
        Slice {
            name: Name::new(name).unwrap(),
            cpu: Cpu { floor_permille: 1, ceiling_permille: 1000 },
            memory: Memory { floor_mib, high_mib: 0, ceiling_mib: 64 },
            disk: Default::default(),
            uplink: Default::default(),
            downlink: Default::default(),
        }
    }

    #[test]
    fn what_was_ordered_comes_back() {
        let name = Name::new("hello").unwrap();
        let mut book = Book::default();
        book.rent(slice("demo", 8));
        book.rent(slice("demo", 16));
        book.rent(slice("bad", 65)); // a floor above its ceiling
        book.rent(slice("back", 1));
        book.release(&Name::new("back").unwrap());
        book.install(&name, &"https://a/b:1".into(), &"one".into(), 5);
        book.autostart(&name, true);
        book.restarts(&name, false);
        book.install(&name, &"https://a/b:2".into(), &"two".into(), 9);
        let read = Book::parse(&book.bytes()).unwrap();
        assert_eq!(read.slices(), [slice("demo", 16)]);
        let entry = read.entry(&name).unwrap();
        assert_eq!((entry.tag.as_str(), entry.installed_s), ("two", [5, 9]));
        assert_eq!((entry.autostart, entry.restarts), (Some(true), Some(false)));
        let volume = Dropped { service: name.clone(), provider: Name::new("demo").unwrap() };
        book.drop_volume(volume.clone());
        book.drop_volume(volume.clone());
        assert_eq!(Book::parse(&book.bytes()).unwrap().volumes_dropped(), std::slice::from_ref(&volume));
        book.retain(|_| true, |_, _| Some(true));
        assert!(book.volumes_dropped().is_empty(), "its bundle is there");
        book.drop_volume(volume.clone());
        book.retain(|_| false, |_, _| Some(false));
        book.dropped(&volume);
        assert!(book.volumes_dropped().is_empty());
        book.forget(&name);
        assert_eq!(book.entry(&name), None);
        // Of a book of before, in which nobody has said whether it is started again.
        let before = "{\"slices\":[],\"services\":[{\"name\":\"hello\",\"source\":\"https://a/b:1\",\"tag\":\"one\",\
            \"autostart\":true,\"installed_s\":[5,5]}]}";
        let entry = Book::parse(before.as_bytes()).unwrap().entry(&name).cloned().unwrap();
        assert_eq!((entry.autostart, entry.restarts), (Some(true), None));
        assert!(Book::parse(before.as_bytes()).unwrap().kept().is_empty());
        for bad in ["", "{}", "[]", "{\"slices\":7,\"services\":[]}"] {
            assert_eq!(Book::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    fn kept(service: &Name, at: &str) -> Kept {
        let volume = Volume { size_mib: u32::MAX, inodes: u32::MAX, at: at.into(), kept: true };
        let (service, provider) = (service.clone(), service.clone());
        Kept { service, provider, tag: "\u{1}".repeat(48).as_str().into(), volume, since_s: [u64::MAX; 2] }
    }

    #[test]
    fn what_stays_is_written_down_until_it_goes_or_is_had_again() {
        let (one, other) = (Name::new("one").unwrap(), Name::new("other").unwrap());
        let mut book = Book::default();
        book.keep_volume(kept(&one, "/data"));
        book.keep_volume(kept(&one, "/kept"));
        book.keep_volume(kept(&other, "/data"));
        let of_another = Kept { provider: other.clone(), ..kept(&one, "/data") };
        book.keep_volume(of_another.clone());
        let mut book = Book::parse(&book.bytes()).unwrap();
        assert_eq!(book.kept(), [kept(&one, "/kept"), kept(&other, "/data"), of_another.clone()]);
        book.retain(|_| true, |_, _| Some(true));
        assert_eq!(book.kept().len(), 3, "nothing is forgotten");
        book.drop_volume(Dropped { service: other.clone(), provider: other.clone() });
        assert_eq!((book.kept().len(), book.volumes_dropped().len()), (2, 1));
        book.has_again(&one, &one);
        assert_eq!(book.kept(), [of_another], "it is another's");
    }

    #[test]
    fn the_fullest_book_fits() {
        let mut book = Book::default();
        for number in 0..SLICES.max(SERVICES) {
            let name = Name::new(&format!("{:x<24}", format!("n{number}"))).unwrap();
            assert_eq!(book.rent(Slice { name: name.clone(), ..slice("x", 8) }), number < SLICES);
            // The letters that JSON writes longest.
            let (source, tag) =
                (Text::from("\u{1}".repeat(256).as_str()), Text::from("\u{1}".repeat(48).as_str()));
            book.install(&name, &source, &tag, u64::MAX);
            book.autostart(&name, false);
            book.restarts(&name, false);
            book.drop_volume(Dropped { service: name.clone(), provider: name });
        }
        for number in 0..=KEPT {
            let name = Name::new(&format!("{:x<24}", format!("k{number}"))).unwrap();
            book.keep_volume(kept(&name, &"\u{1}".repeat(96)));
        }
        assert_eq!(book.kept().len(), KEPT);
        assert!(book.bytes().len() <= BYTES_MAX, "{} bytes", book.bytes().len());
    }
}
