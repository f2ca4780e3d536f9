//! `shg`, the command of the desk: makes, signs, checks, looks at, pushes and pulls bundles; and speaks with gateways as a USP controller.
//!
//! In:  a command line; folders, images, registries. Out: bundles as OCI layouts, lines for a person or (`--json`) one JSON value for a
//! program.
//!
//! Not here: what a bundle is (`bundle`). Nothing of this room is on a gateway.
//!
//! Source: docs/bundles.md, docs/controller.md.
#![forbid(unsafe_code)]

pub mod command;
pub mod error;
pub mod options;

pub mod build;
pub mod keys;
pub mod look;
pub mod transfer;

pub mod controller;
pub mod gateway;
pub mod identity;
pub mod logs;
pub mod service;

pub mod conform;

pub mod progress;
pub mod registry;
pub mod source;
