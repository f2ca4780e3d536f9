//! The codes of DHCPv6's options that we know.
//!
//! Source: RFC 8415 §24, RFC 3646, RFC 5908.

/// Client identifier (§21.2).
pub const CLIENT: u16 = 1;
/// Server identifier (§21.3).
pub const SERVER: u16 = 2;
/// Addresses of an association (§21.4).
pub const IA_NA: u16 = 3;
/// One address (§21.6).
pub const IA_ADDRESS: u16 = 5;
/// Options that are asked for (§21.7).
pub const WANTED: u16 = 6;
/// Preference (§21.8).
pub const PREFERENCE: u16 = 7;
/// For how long we have asked, in hundredths of a second (§21.9).
pub const ELAPSED: u16 = 8;
/// Status (§21.13).
pub const STATUS: u16 = 13;
/// At once, please (§21.14).
pub const RAPID: u16 = 14;
/// What the client is to a vendor (§21.16).
pub const VENDOR_CLASS: u16 = 16;
/// A vendor's own words (§21.17).
pub const VENDOR: u16 = 17;
/// Name servers (RFC 3646 §3).
pub const NAME_SERVERS: u16 = 23;
/// Domains (RFC 3646 §4).
pub const DOMAINS: u16 = 24;
/// Prefixes of an association (§21.21).
pub const IA_PD: u16 = 25;
/// One prefix (§21.22).
pub const IA_PREFIX: u16 = 26;
/// When to ask again (§21.23).
pub const REFRESH: u16 = 32;
/// Time servers (RFC 5908 §4), and one address among them.
pub const TIME_SERVERS: u16 = 56;
/// See [`TIME_SERVERS`].
pub const TIME_SERVER_ADDRESS: u16 = 1;
/// The longest pause between solicitations (§21.24).
pub const SOLICIT_MAX: u16 = 82;
/// The longest pause between questions for information (§21.25).
pub const INFORM_MAX: u16 = 83;
