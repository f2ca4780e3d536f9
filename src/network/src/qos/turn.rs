//! The part of a turn that is about queues.
//!
//! In:  the gateway's wanted network and attachments. Out: queues that stand; what differs, and what they have carried.
//!
//! Not here: how (`queues.rs`).

use contract::wanted::Wanted;
use log::info;

use super::line::{self, IFB};
use super::links;
use super::message::{self, Cut};
use super::queues;
use super::traffic;
use super::tree::Tree;
use crate::gateway::Gateway;
use crate::observed::Observed;
use crate::socket::{CREATE, EXCLUSIVE};
use crate::{Error, kernel};

const NEWLINK: u16 = 16;
/// More differences of one link are told as their number: all rows must fit into a socket's queue.
const DIFFERENCES_MAX: usize = 2;

impl Gateway {
    /// Brings all queues of our own namespace to what is wanted.
    ///
    /// # Errors
    /// [`Error::Kernel`]: the first change that was refused; the others were tried all the same.
    pub(crate) fn settle_queues(&mut self, wanted: &Wanted, links: &Observed) -> Result<(), Error> {
        let made = wanted.qos.is_some() && self.settle_ifb(true, links)?;
        let again = if made { Some(self.observe()?) } else { None };
        let links = again.as_ref().unwrap_or(links);
        self.settle_segments(wanted, links)?;
        let (adopts, mut end) = (self.adopts(), Ok(()));
        for tree in self.queue_trees(wanted, links) {
            let Some(link) = links.link(&tree.link) else { continue };
            match self.queues.settle(&mut self.route, link.index, &tree, adopts) {
                Ok(made) => self.changes += made,
                Err(error) => end = end.and(Err(error)),
            }
        }
        if end.is_ok() && wanted.qos.is_none() {
            // The last to go: what is still sent to a link that has gone is lost.
            self.settle_ifb(false, links)?;
        }
        end
    }

    /// The link that what comes in goes through is there if it is wanted.
    ///
    /// Returns whether something was changed.
    fn settle_ifb(&mut self, is_wanted: bool, links: &Observed) -> Result<bool, Error> {
        let there = links.link(IFB).is_some();
        if is_wanted == there {
            return Ok(false);
        }
        if is_wanted {
            let made = self.route.change(NEWLINK, CREATE | EXCLUSIVE, &message::ifb(IFB));
            made.map_err(Error::kernel(format!("{IFB}: not made")))?;
        } else {
            kernel::drop_link(&mut self.route, IFB)?;
        }
        self.changes += 1;
        info!("{IFB} {}", if there { "removed" } else { "made" });
        Ok(true)
    }

    /// What comes in by the line and from the home is put together to pieces that the line can take.
    fn settle_segments(&mut self, wanted: &Wanted, links: &Observed) -> Result<(), Error> {
        let bytes = links::segment_bytes(wanted);
        let guests = wanted.guest.iter().flat_map(|guest| &guest.ports);
        let ports = wanted.lan.ports.iter().chain(guests).chain([&wanted.wan.link]);
        for link in ports.filter_map(|port| links.link(port)) {
            let cut = queues::cut(&mut self.route, link.index, Cut::Received, bytes);
            self.changes +=
                u64::from(cut.map_err(Error::kernel(format!("{}: segments not cut", link.name)))?);
        }
        Ok(())
    }

    fn queue_trees(&self, wanted: &Wanted, links: &Observed) -> Vec<Tree> {
        let attachments = self.attachments();
        let mut trees = line::trees(wanted, &attachments, links.link(IFB).map(|link| link.index));
        let packets_s = wanted.services.packets_s;
        trees.extend(attachments.iter().map(|service| links::outside(service, packets_s)));
        trees
    }

    /// What would have to be changed of queues, in words.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it does not say what stands.
    pub(crate) fn queue_differences(
        &mut self,
        wanted: &Wanted,
        links: &Observed,
    ) -> Result<Vec<String>, Error> {
        let (mut rows, adopts) = (Vec::new(), self.adopts());
        if wanted.qos.is_some() && links.link(IFB).is_none() {
            rows.push(format!("{IFB} made"));
        }
        for tree in self.queue_trees(wanted, links) {
            let Some(link) = links.link(&tree.link) else { continue };
            let changes = self.queues.plan(&mut self.route, link.index, &tree, adopts)?;
            match changes.len() {
                0..=DIFFERENCES_MAX => {
                    rows.extend(changes.iter().map(|change| format!("{}: {change}", tree.link)));
                }
                many => rows.push(format!("{}: {many} changes of queues", tree.link)),
            }
        }
        Ok(rows)
    }

    /// What each class has carried.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it does not say.
    pub(crate) fn traffic(
        &mut self,
        wanted: &Wanted,
        links: &Observed,
    ) -> Result<Vec<contract::show::Traffic>, Error> {
        let (mut rows, attachments) = (Vec::new(), self.attachments());
        for tree in self.queue_trees(wanted, links).iter().filter(|tree| tree.default != 0) {
            let Some(link) = links.link(&tree.link) else { continue };
            let seen = super::queues::observe(&mut self.route, link.index);
            let seen = seen.map_err(Error::kernel(format!("{}: cannot list queues", tree.link)))?;
            rows.extend(traffic::rows(&tree.link, &seen, &attachments));
        }
        Ok(rows)
    }
}
