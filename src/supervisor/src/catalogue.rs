//! The services that come with the image: their manifests, parsed when this program was built.
//!
//! Out: checked manifests. Those of bundles come over a wire (`installed.rs`).
//!
//! With the feature `rehearsal`, which the firmware is built without, there are more (`catalogue/rehearsal.rs`).

use contract::frame;
use contract::layer::Layers;
use contract::manifest::Manifest;
use contract::mount::ROOT_IMAGES;
use contract::slice::{Slice, Slices};

include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// A service of the image.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is and needs.
    pub manifest: Manifest,
    /// The layers that it goes without: for rehearsals; none in the firmware, where nothing would heed it.
    pub without: Layers,
}

/// Every service, in the order of the names of their folders; their places follow from it.
pub fn entries() -> impl Iterator<Item = Entry> {
    // They were encoded by the same types when this was built.
    let built_in = MANIFESTS.iter().filter_map(|bytes| frame::decode(bytes).ok());
    let built_in = built_in.map(|manifest| Entry { manifest, without: Layers::NONE });
    #[cfg(feature = "rehearsal")]
    let built_in = rehearsal::entries(built_in);
    built_in
}

/// Is its image in this root? A root without it leaves the name to a bundle.
pub fn is_there(entry: &Entry) -> bool {
    std::path::Path::new(ROOT_IMAGES).join(entry.manifest.image.as_str()).exists()
}

/// Every slice, in the order in which they are rented.
pub fn slices() -> impl Iterator<Item = Slice> {
    SLICES.iter().filter_map(|bytes| frame::decode::<Slices>(bytes).ok()).flat_map(|slices| slices.slice)
}

#[cfg(feature = "rehearsal")]
mod rehearsal;

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(not(feature = "rehearsal"))]
    fn all_that_starts_by_itself_is_admitted_on_the_smallest_box() {
        use crate::admission::{Books, Floors, Measured, capacity};
        let small = Measured { threads: 2, memory_mib: 480, line_kbit_s: [0; 2], divides_disk: false };
        let mut books = Books::new(capacity(small));
        for slice in super::slices() {
            books.rent(&slice.name, Floors::from(&slice)).unwrap();
        }
        for entry in super::entries().filter(|entry| entry.manifest.autostart) {
            let manifest = &entry.manifest;
            books.admit(&manifest.name, &manifest.provider, Floors::from(manifest)).unwrap();
        }
    }

    #[test]
    fn every_manifest_of_the_tree_is_there() {
        let names: std::collections::BTreeSet<_> =
            super::entries().map(|entry| entry.manifest.name.to_string()).collect();
        assert!(names.contains("hello"));
        assert_eq!(names.len(), super::entries().count(), "no two have the same name");
        #[cfg(not(feature = "rehearsal"))]
        assert!(
            super::entries().all(|entry| entry.without == contract::layer::Layers::NONE)
                && super::entries().count() == super::MANIFESTS.len()
        );
    }
}
