//! A service's link: a pair, one end here, the other in the service's own network namespace.
//!
//! In:  an attachment, its namespace, a socket that was opened inside. Out: a link that stands, configured at its inner end.
//!
//! We never enter a namespace: the socket works inside, whoever holds it. A pair that stands is kept, whichever life of ours made it;
//! so a service does not notice that we were killed.
//!
//! Not here: our own end's address and route (`target::gateway`), the firewall.
//!
//! Source: veth(4), network_namespaces(7).

use std::os::fd::{AsFd, OwnedFd};

use contract::wanted::Wanted;
use log::info;

use crate::Error;
use crate::kernel;
use crate::neighbours;
use crate::observed::Observed;
use crate::plan::plan;
use crate::qos::links;
use crate::qos::message::Cut;
use crate::qos::queues::{self, Queues};
use crate::socket::Socket;
use crate::target::{self, Attachment, INSIDE_LINK, service_link};
use crate::view::View;

/// A service that is attached.
#[derive(Debug)]
pub struct Service {
    /// What was asked.
    pub attachment: Attachment,
    inside: Socket,
}

impl Service {
    /// A service, and the socket inside its namespace.
    #[must_use]
    pub fn new(attachment: Attachment, inside: OwnedFd) -> Self {
        Self { attachment, inside: Socket::adopt(inside) }
    }

    /// Does its pair stand, one end among `outside`, the other in its namespace?
    ///
    /// # Errors
    /// [`Error::Kernel`]: the namespace does not say.
    pub fn stands(&mut self, outside: &Observed) -> Result<bool, Error> {
        let within = kernel::observe(&mut self.inside, &[])?;
        let ends = outside.link(&service_link(self.attachment.slot)).zip(within.link(INSIDE_LINK));
        // Each names the other's number; a number alone could be that of another pair.
        Ok(ends.is_some_and(|(here, there)| here.peer == there.index && there.peer == here.index))
    }

    /// Makes its pair anew. What had its name goes.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it was refused.
    pub fn make(&mut self, ours: &mut Socket, namespace: &OwnedFd) -> Result<(), Error> {
        let name = service_link(self.attachment.slot);
        kernel::drop_link(ours, &name)?;
        kernel::drop_link(&mut self.inside, INSIDE_LINK)?;
        kernel::add_pair(ours, &name, namespace.as_fd())?;
        info!("{}: {name} made", self.attachment.service);
        Ok(())
    }

    /// Sees to it that the inner end is as it should be. Returns how many changes that took.
    ///
    /// # Errors
    /// [`Error::Kernel`]: one was refused.
    pub fn settle(&mut self, ours: &mut Socket, view: &View<'_>) -> Result<u64, Error> {
        let target = target::inside(view, self.attachment.slot);
        let mut made = 0;
        let observed = kernel::observe(&mut self.inside, &[])?;
        let changes = plan(&target, &observed);
        let said = kernel::apply(&mut self.inside, &observed, &changes);
        for (change, said) in changes.iter().zip(said) {
            said?;
            info!("{}: inside: {change}", self.attachment.service);
            made += 1;
        }
        Ok(made + self.settle_neighbours(ours, view)?)
    }

    /// Our end is the only neighbour there.
    fn settle_neighbours(&mut self, ours: &mut Socket, view: &View<'_>) -> Result<u64, Error> {
        let failed = || Error::kernel(format!("{}: its neighbour is not set", self.attachment.service));
        let hardware = kernel::hardware(ours, &service_link(self.attachment.slot)).map_err(failed())?;
        let Some(link) = kernel::observe(&mut self.inside, &[])?.link(INSIDE_LINK).map(|link| link.index)
        else {
            return Ok(0);
        };
        let neighbour = target::neighbour(view);
        let end = neighbours::End { link, neighbour: &neighbour, hardware: &hardware };
        neighbours::settle(&mut self.inside, end).map_err(failed())
    }

    /// Sees to it that what it sends has its ceiling, and comes in pieces that the line can take. Returns how many changes that took.
    ///
    /// # Errors
    /// [`Error::Kernel`]: one was refused.
    pub fn settle_queues(&mut self, queues: &mut Queues, wanted: &Wanted) -> Result<u64, Error> {
        let tree = links::inside(&self.attachment);
        let links = kernel::observe(&mut self.inside, &[])?;
        let Some(link) = links.link(INSIDE_LINK) else { return Ok(0) };
        let cut = queues::cut(&mut self.inside, link.index, Cut::Sent, links::segment_bytes(wanted));
        let cut = cut.map_err(Error::kernel(format!("{}: segments not cut", self.attachment.service)))?;
        Ok(queues.settle(&mut self.inside, link.index, &tree, false)? + u64::from(cut))
    }

    /// Packets that were thrown away at the inner end, where its ceiling is.
    ///
    /// # Errors
    /// [`Error::Kernel`]: the namespace does not say.
    pub fn drops(&mut self) -> Result<u64, Error> {
        let links = kernel::observe(&mut self.inside, &[])?;
        let Some(link) = links.link(INSIDE_LINK) else { return Ok(0) };
        let seen = queues::observe(&mut self.inside, link.index);
        let seen = seen.map_err(Error::kernel(format!("{}: cannot list queues", self.attachment.service)))?;
        // A queue counts what its leaves have thrown away, too.
        let most = seen.queues.iter().map(|queue| u64::from(queue.drops)).max();
        Ok(most.unwrap_or(0))
    }
}
