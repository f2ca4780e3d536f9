//! Bundles: makes, signs and checks them; the same code at the desk and on the gateway.
//!
//! In:  bytes of strangers: registries' manifests, sealed images, signatures; at the desk folders and OCI images.
//! Out: types that cannot hold nonsense, or an error that says what is wrong and with what.
//!
//! A bundle is an OCI image manifest with an artifact type, a configuration (the service's manifest) and one layer: a sealed EROFS image
//! with its dm-verity tree behind it. Beside it lies a signature over a [`sign::Statement`], which names the manifest's digest and the root
//! hash, so that whoever mounts the image needs to read neither JSON nor TOML.
//!
//! Not here: sockets, mounts, what a manifest's words mean (`contract::manifest`).
//!
//! Source: docs/bundles.md.
#![forbid(unsafe_code)]

pub mod digest;
pub mod verity;

pub mod tree;

pub mod erofs;

pub mod envelope;
pub mod key;
pub mod keyring;
pub mod sign;

pub mod form;
pub mod record;

pub mod distribution;
pub mod reference;

#[cfg(feature = "make")]
pub mod import;
#[cfg(feature = "make")]
pub mod layout;
#[cfg(feature = "make")]
pub mod make;
#[cfg(feature = "make")]
pub mod program;

/// A block of the file system and of the tree of hashes, in bytes. Source: EROFS on i386 takes a page at most.
pub const BLOCK_BYTES: usize = 4096;
/// A sealed image without its tree, in bytes: a quarter of the machine's memory, more than any service of the portfolio.
pub const IMAGE_BYTES_MAX: u64 = 256 << 20;
/// Files, folders and links of an image: a distribution's base has a tenth of it. Their number of links has 16 bits.
pub const INODES_MAX: usize = 65_000;
/// A name in a folder, in bytes. Source: EROFS_NAME_LEN.
pub const NAME_BYTES_MAX: usize = 255;
/// A path, and what a symbolic link says, in bytes. Source: PATH_MAX, which counts a NUL.
pub const PATH_BYTES_MAX: usize = 4095;
/// Folders within folders.
pub const DEPTH_MAX: usize = 64;
