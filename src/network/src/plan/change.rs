//! One change of a namespace, and its words.

use std::fmt;

use crate::target::{Address, Bridge, Port, Route, Rule, Setting, Vlan, Way};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Ask no table for somebody any more.
    DropRule(Rule),
    /// Remove a route.
    DropRoute(Route),
    /// Remove an address.
    DropAddress(Address),
    /// Take a link away that we have made.
    DropLink(String),
    /// Let go of a link that is not ours to take away: it leaves its bridge, is down, and bears no mark of ours.
    Release(String),
    /// Make a bridge.
    AddBridge(String, Bridge),
    /// Make a VLAN on another link.
    AddVlan(String, Vlan),
    /// Change what a bridge does.
    SetBridge(String, Bridge),
    /// Change the priority of what leaves by a VLAN.
    SetPriority(String, Vlan),
    /// Mark a link as ours.
    Mark(String),
    /// Change the largest packet of a link, in bytes.
    SetMtu(String, u32),
    /// Make a link a bridge's port.
    Join {
        /// The port.
        link: String,
        /// Its bridge.
        bridge: String,
    },
    /// Make a link nobody's port.
    Leave(String),
    /// Change what a port does.
    SetPort(String, Port),
    /// Change a setting.
    Set(Setting),
    /// Bring a link up.
    SetUp(String),
    /// Add an address.
    AddAddress(Address),
    /// Change how long an address holds.
    SetLife(Address),
    /// Add a route.
    AddRoute(Route),
    /// Ask a table for somebody.
    AddRule(Rule),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropRule(rule) => write!(f, "rule {rule} removed"),
            Self::DropRoute(route) => write!(f, "route {route} removed"),
            Self::DropAddress(address) => write!(f, "address {address} removed"),
            Self::DropLink(link) => write!(f, "{link} removed: nobody wants it any more"),
            Self::Release(link) => write!(f, "{link} taken down: nobody wants it any more"),
            Self::AddBridge(bridge, _) => write!(f, "bridge {bridge} made"),
            Self::AddVlan(link, vlan) => {
                write!(f, "{link} made: VLAN {}, priority {}, on {}", vlan.id, vlan.priority, vlan.parent)
            }
            Self::SetBridge(bridge, _) => write!(f, "bridge {bridge} set"),
            Self::SetPriority(link, vlan) => write!(f, "{link}: priority {}", vlan.priority),
            Self::Mark(link) => write!(f, "{link} marked as ours"),
            Self::SetMtu(link, mtu) => write!(f, "{link}: packets of {mtu} bytes"),
            Self::Join { link, bridge } => write!(f, "{link} made a port of {bridge}"),
            Self::Leave(link) => write!(f, "{link} made nobody's port"),
            Self::SetPort(link, _) => write!(f, "{link} set as a port"),
            Self::Set(setting) => write!(f, "{} = {}", setting.path, setting.value),
            Self::SetUp(link) => write!(f, "{link} brought up"),
            Self::AddAddress(address) => write!(f, "address {address} added"),
            Self::SetLife(address) => match address.life.preferred_s {
                0 => write!(f, "address {address} given up"),
                preferred_s => write!(f, "address {address} preferred for {preferred_s} s"),
            },
            Self::AddRoute(route) => write!(f, "route {route} added"),
            Self::AddRule(rule) => write!(f, "rule {rule} added"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.length, self.link)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {}", self.to)?;
        match &self.way {
            Way::By(link, Some(via)) => write!(f, " via {via} on {link}")?,
            Way::By(link, None) => write!(f, " on {link}")?,
            Way::Unreachable => write!(f, " unreachable")?,
        }
        match self.table {
            crate::target::MAIN => Ok(()),
            table => write!(f, " in table {table}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        write!(f, " by table {}", self.table)
    }
}
