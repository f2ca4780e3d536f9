//! Queues in the kernel: look at them, change them; and do without what a kernel lacks.
//!
//! In:  trees, a socket of the links' namespace. Out: queues that stand; how many changes that took.
//!
//! The board's kernel has all of it. Another one may lack a kind of queue, filter or action; it says `ENOENT` then, and we go on with the
//! next best: said once, in the log. What is lost so stands in docs/qos.md.
//!
//! Not here: what should stand (`line.rs`, `links.rs`), when (`turn.rs`).
//!
//! Source: rtnetlink(7); linux/rtnetlink.h.

use log::{info, warn};
use sys::Errno;

use super::change::{Change, plan};
use super::message::{self, Cut};
use super::observed::{Queue, Seen, class, filter, queue, segments, thrown};
use super::tree::{AT_CLSACT, AT_ROOT, Act, EGRESS, INGRESS, Leaf, ROOT, Takes, Tree};
use crate::Error;
use crate::socket::{CREATE, EXCLUSIVE, REPLACE, Request, Socket};

const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;
const GETQDISC: u16 = 38;
const NEWTCLASS: u16 = 40;
const DELTCLASS: u16 = 41;
const GETTCLASS: u16 = 42;
const NEWTFILTER: u16 = 44;
const DELTFILTER: u16 = 45;
const GETTFILTER: u16 = 46;

/// Kinds that a kernel may lack, at most: each costs one attempt more, once.
const KINDS_MAX: usize = 10;
/// The row of packets where there is no better leaf.
const ROW: Leaf = Leaf::Row { limit: 100 };

/// Queues in the kernel.
#[derive(Debug, Default)]
pub struct Queues {
    /// Kinds that this kernel lacks.
    lacks: Vec<&'static str>,
    /// Kinds that it was seen to have.
    has: Vec<&'static str>,
}

impl Queues {
    /// Brings the queues of the link with this number to what is wanted. Returns how many changes that took.
    ///
    /// # Errors
    /// [`Error::Kernel`]: the first change that was refused; the others were tried all the same.
    pub fn settle(
        &mut self,
        socket: &mut Socket,
        index: u32,
        tree: &Tree,
        adopts: bool,
    ) -> Result<u64, Error> {
        let (mut made, mut end) = (0, Ok(()));
        for _ in 0..KINDS_MAX {
            end = Ok(());
            let lacked = self.lacks.len();
            let changes = self.plan(socket, index, tree, adopts)?;
            let mut rest = changes.as_slice();
            while !rest.is_empty() && self.lacks.len() == lacked {
                let (some, others) = rest.split_at(self.together(rest));
                rest = others;
                let requests: Vec<Request> = some.iter().map(|change| request(index, change)).collect();
                for (change, said) in some.iter().zip(socket.changes(&requests)) {
                    match said {
                        Ok(()) => {
                            made += 1;
                            self.note(change);
                            info!("{}: {change}", tree.link);
                        }
                        Err(Errno::ENOENT) if self.learn(change) => {}
                        Err(errno) => {
                            end = end.and(Err(Error::kernel(format!("{}: {change}", tree.link))(errno)));
                        }
                    }
                }
            }
            if self.lacks.len() == lacked {
                break;
            }
        }
        end.map(|()| made)
    }

    /// How many of these changes can go together: up to the first that needs a kind that was not seen to be there yet, for without it
    /// the rest is another plan.
    fn together(&self, changes: &[Change]) -> usize {
        let is_new = |change: &Change| suspects(change).iter().any(|kind| !self.has.contains(kind));
        changes.iter().position(is_new).map_or(changes.len(), |place| place + 1)
    }

    /// Notes what this kernel has.
    fn note(&mut self, change: &Change) {
        for kind in suspects(change) {
            if !self.has.contains(&kind) {
                self.has.push(kind);
            }
        }
    }

    /// What would have to be changed.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it does not say what stands.
    pub fn plan(
        &self,
        socket: &mut Socket,
        index: u32,
        tree: &Tree,
        adopts: bool,
    ) -> Result<Vec<Change>, Error> {
        let seen =
            observe(socket, index).map_err(Error::kernel(format!("{}: cannot list queues", tree.link)))?;
        Ok(plan(&without(tree, &self.lacks), &seen, adopts))
    }

    /// Notes which kind is lacking that made this change impossible. Is it news?
    fn learn(&mut self, change: &Change) -> bool {
        let Some(kind) = suspects(change).into_iter().find(|kind| !self.lacks.contains(kind)) else {
            return false;
        };
        warn!("this kernel has no {kind}: queues do without");
        self.lacks.push(kind);
        true
    }
}

/// Kinds of which a kernel may lack one that makes this change impossible.
fn suspects(change: &Change) -> Vec<&'static str> {
    match change {
        Change::AddRoot(_) => vec!["htb"],
        Change::AddClsact => vec!["clsact"],
        Change::AddLeaf(_, leaf) => vec![message::leaf_kind(leaf)],
        Change::AddFilter(filter) => match filter.takes {
            Takes::Mark(_) => vec!["fw"],
            // An action is lacking sooner than the oldest of filters.
            Takes::Words(_) => filter.acts.iter().map(message::act_kind).chain(["u32"]).collect(),
        },
        Change::DropQueue(_) | Change::SetClass(_) | Change::DropClass(_) | Change::DropFilter(_) => vec![],
    }
}

/// The same queues, made without these kinds.
#[must_use]
pub fn without(tree: &Tree, lacks: &[&str]) -> Tree {
    let lacks = |kind: &str| lacks.contains(&kind);
    let mut tree = tree.clone();
    if lacks("htb") {
        (tree.default, tree.classes) = (0, Vec::new());
        tree.filters.retain(|filter| filter.parent != ROOT);
    }
    if lacks("clsact") {
        tree.hooked = false;
        tree.filters.retain(|filter| !filter.is_at_clsact());
    }
    for leaf in tree.classes.iter_mut().filter_map(|class| class.leaf.as_mut()) {
        if matches!(leaf, Leaf::Flows { .. }) && lacks("fq_codel") {
            *leaf = ROW;
        }
    }
    for filter in &mut tree.filters {
        // Without its class a packet is the Internet's; it must take the same way all the same.
        filter.acts.retain(|act| match act {
            Act::Class(_) | Act::Recall(_) => !lacks(message::act_kind(act)),
            Act::Redirect(_) | Act::AtMost { .. } => true,
        });
    }
    tree.filters.retain(|filter| {
        let takes = match filter.takes {
            Takes::Mark(_) => "fw",
            Takes::Words(_) => "u32",
        };
        !lacks(takes) && !filter.acts.iter().any(|act| lacks(message::act_kind(act)))
    });
    tree
}

/// All queues of a namespace.
///
/// # Errors
/// What the kernel says.
pub fn queues(socket: &mut Socket) -> Result<Vec<Queue>, Errno> {
    Ok(socket.dump(GETQDISC, &message::head(0, 0, 0, 0))?.iter().filter_map(|body| queue(body)).collect())
}

/// Looks at the queues of one link.
///
/// # Errors
/// What the kernel says.
pub fn observe(socket: &mut Socket, index: u32) -> Result<Seen, Errno> {
    let mut seen = Seen { index, queues: queues(socket)?, ..Seen::default() };
    seen.queues.retain(|queue| queue.link == index);
    let ours = |queue: &Queue| queue.parent == AT_ROOT && queue.handle == ROOT;
    if seen.queues.iter().any(ours) {
        let classes = socket.dump(GETTCLASS, &message::head(index, 0, ROOT, 0))?;
        seen.classes = classes.iter().filter_map(|body| class(body)).collect();
        let filters = socket.dump(GETTFILTER, &message::head(index, 0, ROOT, 0))?;
        seen.filters.extend(filters.iter().filter_map(|body| filter(body)));
    }
    if seen.queues.iter().any(|queue| queue.parent == AT_CLSACT) {
        for place in [INGRESS, EGRESS] {
            let filters = socket.dump(GETTFILTER, &message::head(index, 0, place, 0))?;
            seen.filters.extend(filters.iter().filter_map(|body| filter(body)));
            if place == EGRESS {
                seen.thrown_outward = filters.iter().map(|body| u64::from(thrown(body))).sum();
            }
        }
    }
    Ok(seen)
}

/// Sets the largest segment that a link sends or makes of what it received, in bytes. Had it another one? A kernel that does not say is left
/// alone.
///
/// # Errors
/// What the kernel says.
pub fn cut(socket: &mut Socket, index: u32, cut: Cut, bytes: u32) -> Result<bool, Errno> {
    let link = socket.get(GETLINK, &message::segments(index, None))?;
    if segments(&link, cut).is_none_or(|has| has == bytes) {
        return Ok(false);
    }
    socket.change(SETLINK, 0, &message::segments(index, Some((cut, bytes))))?;
    info!("segments of at most {bytes} bytes on link {index}");
    Ok(true)
}

/// One change on the link with this number, as the kernel wants to be told.
fn request(index: u32, change: &Change) -> Request {
    let (fresh, instead) = (CREATE | EXCLUSIVE, CREATE | REPLACE);
    let (kind, flags, body) = match change {
        Change::AddRoot(default) => (NEWQDISC, instead, message::root(index, *default)),
        Change::AddClsact => (NEWQDISC, fresh, message::clsact(index)),
        // Exclusive: one of the same kind is not changed, for it cannot be in all respects.
        Change::AddLeaf(class, leaf) => (NEWQDISC, instead | EXCLUSIVE, message::leaf(index, class, leaf)),
        Change::DropQueue(parent) => (DELQDISC, 0, message::head(index, 0, *parent, 0)),
        Change::SetClass(class) => (NEWTCLASS, CREATE, message::class(index, class)),
        Change::DropClass(minor) => (DELTCLASS, 0, message::head(index, ROOT | u32::from(*minor), 0, 0)),
        Change::AddFilter(filter) => (NEWTFILTER, fresh, message::filter(index, filter)),
        Change::DropFilter(filter) => {
            let place = message::place(filter.priority, filter.protocol);
            (DELTFILTER, 0, message::head(index, filter.handle, filter.parent, place))
        }
    };
    Request { kind, flags, body }
}

#[cfg(test)]
mod tests {
    use super::{Queues, without};
    use crate::qos::change::Change;
    use crate::qos::line::{self, SERVICE_LEAF};
    use crate::qos::tree::{INGRESS, Leaf, Takes};
    use crate::testing::with_queues;

    fn trees() -> Vec<crate::qos::tree::Tree> {
        line::trees(&with_queues(""), &[], Some(9))
    }

    #[test]
    fn what_a_kernel_lacks_is_done_without() {
        let leaves = |lacks: &[&str]| {
            let tree = without(&trees()[0], lacks);
            tree.classes.iter().filter_map(|class| class.leaf).collect::<Vec<_>>()
        };
        assert!(leaves(&[]).iter().any(|leaf| matches!(leaf, Leaf::Flows { .. })));
        assert!(leaves(&["fq_codel"]).iter().all(|leaf| matches!(leaf, Leaf::Row { .. })));
        for tree in trees() {
            assert!(without(&tree, &["htb"]).classes.is_empty());
            assert!(!without(&tree, &["fw"]).filters.iter().any(|one| matches!(one.takes, Takes::Mark(_))));
            let inward = without(&tree, &["ctinfo"]);
            assert_eq!(inward.filters.len(), tree.filters.len(), "it takes the same way without its class");
            assert!(!without(&tree, &["mirred"]).filters.iter().any(|one| one.parent == INGRESS));
        }
    }

    #[test]
    fn each_kind_is_found_to_be_lacking_once() {
        let mut queues = Queues::default();
        let class = trees()[0].classes[1];
        let leaf = Change::AddLeaf(class, SERVICE_LEAF);
        assert!(queues.learn(&leaf) && !queues.learn(&leaf));
        let redirect = trees().iter().flat_map(|tree| &tree.filters).find(|one| one.acts.len() == 2).cloned();
        let redirect = Change::AddFilter(redirect.unwrap());
        assert_eq!([0; 4].map(|_| queues.learn(&redirect)), [true, true, true, false]);
        assert_eq!(queues.lacks, ["fq_codel", "ctinfo", "mirred", "u32"]);
        assert!(!queues.learn(&Change::SetClass(class)), "a class is lacking nothing but its root");
    }
}
