//! Plans the changes that turn a link's queues into those that are wanted.
//!
//! In:  a `Tree`, and what was `Seen` on its link. Out: a list of `Change`, in order. Applied, and planned again, it is empty. Pure.
//!
//! What is right is not touched: a class whose rates are others is changed where it stands, and nothing that waits in it is lost. What
//! goes, goes from the leaves upwards: filters, then classes; what comes, comes from the root: root, classes, leaves, filters. A leaf is
//! replaced, and a filter on what comes in goes when its successor stands: where that is refused, the old one serves on. A class that is to stand
//! below another one goes and comes again, with its filter: the kernel moves none.
//!
//! A root that is the kernel's own (its handle is 0) is replaced where classes are wanted; one of somebody else's too. Where none are
//! wanted only a root of ours goes.
//!
//! Source: tc-htb(8); net/sched/sch_htb.c.

use std::fmt;

use super::line::SLOTS;
use super::observed::{Kind, Seen, Shape};
use super::tree::{AT_CLSACT, AT_ROOT, Class, DEPTH_MAX, EGRESS, Filter, INGRESS, Leaf, ROOT, Tree};

/// One change on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Make our root, with its default class; it takes the place of somebody else's.
    AddRoot(u16),
    /// Make the place for filters on what comes in.
    AddClsact,
    /// Make where a class's packets wait; it takes the place of what is there.
    AddLeaf(Class, Leaf),
    /// Take away what stands at a place.
    DropQueue(u32),
    /// Make or change a class.
    SetClass(Class),
    /// Take a class away, with its leaf.
    DropClass(u16),
    /// Make a filter.
    AddFilter(Filter),
    /// Take a filter away.
    DropFilter(Filter),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddRoot(_) => f.write_str("queues made"),
            Self::AddClsact => f.write_str("place for filters made"),
            Self::AddLeaf(class, leaf) => {
                write!(f, "queue of class 1:{:x} made, {}", class.minor, super::message::leaf_kind(leaf))
            }
            Self::DropQueue(parent) => write!(f, "queue at {:x}:{:x} removed", parent >> 16, parent & 0xffff),
            Self::SetClass(class) => {
                let (rate, ceil) = (class.rate.in_kbit_s(), class.ceil.in_kbit_s());
                write!(f, "class 1:{:x} has {rate} to {ceil} kbit/s", class.minor)
            }
            Self::DropClass(minor) => write!(f, "class 1:{minor:x} removed"),
            Self::AddFilter(filter) => write!(f, "{} made", Named(filter)),
            Self::DropFilter(filter) => write!(f, "{} removed", Named(filter)),
        }
    }
}

/// A filter's words.
struct Named<'f>(&'f Filter);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Filter { parent, priority, handle, class, .. } = self.0;
        let place = match *parent {
            INGRESS => "on what comes in",
            EGRESS => "on what goes out",
            _ => "by class",
        };
        write!(f, "filter {place}, {priority} number {handle:x} to 1:{class:x}")
    }
}

/// Returns the changes that lead from `seen` to `tree`. While links of a former life wait to be asked for (`adopts`), services' classes
/// that nobody has asked for yet stay.
#[must_use]
pub fn plan(tree: &Tree, seen: &Seen, adopts: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    let at = |parent: u32| seen.queues.iter().find(|queue| queue.parent == parent);
    let root = at(AT_ROOT).filter(|queue| queue.handle != 0);
    let ours = root.is_some_and(|queue| queue.handle == ROOT && matches!(queue.kind, Kind::Root(_)));
    let wanted = tree.default != 0;
    let right =
        root.is_some_and(|queue| queue.handle == ROOT && queue.kind == Kind::Root(tree.default.into()));
    let named = root.is_some_and(|queue| queue.handle == ROOT);
    if (ours && !wanted) || (named && wanted && !right) {
        changes.push(Change::DropQueue(AT_ROOT));
    }
    if wanted && !right {
        changes.push(Change::AddRoot(tree.default));
    }
    let clsact = at(AT_CLSACT).map(|queue| queue.kind);
    if clsact.is_some() && (clsact != Some(Kind::Clsact) || !tree.hooked) {
        changes.push(Change::DropQueue(AT_CLSACT));
    }
    // What goes with its root, or its place, needs no change of its own.
    let kept = if right { seen.clone() } else { Seen::default() };
    let hooked = clsact == Some(Kind::Clsact);
    let filters = seen.filters.iter().filter(|filter| if filter.is_at_clsact() { hooked } else { right });
    let filters: Vec<&Filter> = filters.collect();
    let waits = |class: u16| adopts && class >= SLOTS;
    let moved = |filter: &Filter| filter.parent == ROOT && moves(tree, &kept, filter.class);
    let stale = filters
        .iter()
        .filter(|has| tree.hooked || !has.is_at_clsact())
        .filter(|has| moved(has) || !waits(has.class) && !tree.filters.iter().any(|filter| is(filter, has)));
    let (last, first): (Vec<&Filter>, Vec<&Filter>) = stale.partition(|has| has.is_at_clsact());
    changes.extend(first.into_iter().cloned().map(Change::DropFilter));
    changes.extend(classes(tree, &kept, waits));
    if tree.hooked && !hooked {
        changes.push(Change::AddClsact);
    }
    let stands = |filter: &Filter| filters.iter().any(|has| is(filter, has)) && !moved(filter);
    let missing = tree.filters.iter().filter(|filter| !stands(filter));
    changes.extend(missing.cloned().map(Change::AddFilter));
    changes.extend(last.into_iter().cloned().map(Change::DropFilter));
    changes
}

/// Is `has` the filter that is wanted?
fn is(wanted: &Filter, has: &Filter) -> bool {
    let handle = if wanted.handle == 0 { 0 } else { has.handle };
    *wanted == Filter { handle, ..has.clone() }
}

/// Does this class, which stands, have to stand below another one; or is one above it going to?
fn moves(tree: &Tree, seen: &Seen, minor: u16) -> bool {
    let Some(class) = tree.classes.iter().find(|class| class.minor == minor) else { return false };
    let has = seen.classes.iter().find(|has| has.minor() == minor);
    has.is_some_and(|has| has.is_elsewhere(class) || moves(tree, seen, class.parent))
}

/// How many classes stand above one of these.
fn depth(seen: &Seen, class: &Shape) -> usize {
    let above = |below: &&Shape| seen.classes.iter().find(|above| above.handle == below.parent);
    std::iter::successors(Some(class), above).take(DEPTH_MAX).count()
}

/// Changes of classes and their leaves.
fn classes(tree: &Tree, seen: &Seen, waits: impl Fn(u16) -> bool) -> Vec<Change> {
    let wanted = |minor: u16| tree.classes.iter().any(|class| class.minor == minor);
    let goes = |has: &Shape| match wanted(has.minor()) {
        true => moves(tree, seen, has.minor()),
        false => !waits(has.minor()),
    };
    let (mut stale, stay): (Vec<&Shape>, Vec<&Shape>) = seen.classes.iter().partition(|has| goes(has));
    stale.sort_by_key(|has| std::cmp::Reverse((depth(seen, has), has.minor()))); // Those below first.
    let mut changes: Vec<Change> = stale.iter().map(|has| Change::DropClass(has.minor())).collect();
    for class in &tree.classes {
        if !stay.iter().any(|has| has.is(class)) {
            changes.push(Change::SetClass(*class));
        }
        let Some(leaf) = class.leaf else { continue };
        let has = seen.queues.iter().find(|queue| queue.parent == class.handle());
        let has = has.filter(|_| !stale.iter().any(|gone| gone.handle == class.handle()));
        if has.is_some_and(|has| has.kind == Kind::Leaf(leaf)) {
            continue;
        }
        changes.push(Change::AddLeaf(*class, leaf));
    }
    changes
}

#[cfg(test)]
mod tests;
