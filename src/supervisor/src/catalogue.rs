//! The services that come with the image: their manifests, parsed when this program was built.
//!
//! Out: checked manifests. Bundles that are installed later will come over a wire.

use contract::frame;
use contract::manifest::Manifest;

include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// Every manifest, in the order of the names of their folders.
pub fn manifests() -> impl Iterator<Item = Manifest> {
    // They were encoded by the same types when this was built.
    MANIFESTS.iter().filter_map(|bytes| frame::decode(bytes).ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_manifest_of_the_tree_is_there() {
        assert_eq!(super::manifests().count(), super::MANIFESTS.len());
    }
}
