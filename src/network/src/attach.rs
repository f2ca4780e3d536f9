//! Attaching a service to the gateway's network, and taking it off again.
//!
//! In:  what the supervisor asks. Out: a link, and a firewall that knows it; or why not.
//!
//! A service is attached when its link is routed and the firewall with its rules is read back from the kernel: it must not run a moment
//! earlier.
//!
//! Not here: the pair of links itself (`service.rs`), a turn (`gateway.rs`).

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use contract::Name;
use contract::attach::{Carried, Rates};
use contract::limit::SERVICES;
use contract::manifest::{Audience, Serve};
use contract::prefix::Prefix;
use contract::wanted::{Forward, Wanted};
use log::info;
use sys::clock;

use crate::gateway::Gateway;
use crate::qos::line::{admit, can_share};
use crate::qos::queues;
use crate::qos::tree::AT_CLSACT;
use crate::service::Service;
use crate::target::{self, Attachment, service_link};
use crate::view::View;
use crate::{Error, firewall, kernel};

impl Gateway {
    /// Attaches a service. Asked twice it changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`]: something that it asks for is another one's, or the firewall does not stand. [`Error::Kernel`].
    pub fn attach(
        &mut self,
        attachment: Attachment,
        namespace: &OwnedFd,
        inside: OwnedFd,
    ) -> Result<Ipv4Addr, Error> {
        self.configuration.read(clock::boot_ms());
        let refused = self.configuration.refused().unwrap_or("no configuration").to_owned();
        let wanted = self.configuration.shared().ok_or(Error::Refused(refused))?;
        self.judge(&wanted, &attachment)?;
        admit(&wanted, &self.attachments(), &attachment).map_err(Error::Refused)?;
        let (slot, name) = (attachment.slot, attachment.service.clone());
        let (slice, slice_rates) = (attachment.slice.clone(), attachment.slice_rates);
        let mut service = Service::new(attachment, inside);
        if !service.stands(&kernel::observe(&mut self.route, &[])?)? {
            if self.adopts() {
                return Err(Error::Refused(
                    "network: it adopts links of a former life; ask again".to_owned(),
                ));
            }
            service.make(&mut self.route, namespace)?;
            self.changes += 1;
        }
        let view = View::of(&wanted, &self.known, &[], clock::boot_ms());
        self.changes += service.settle(&mut self.route, &view)?;
        self.changes += service.settle_queues(&mut self.queues, &wanted)?;
        self.services.retain(|other| other.attachment.slot != slot && other.attachment.service != name);
        self.services.push(service);
        self.services.sort_by_key(|service| service.attachment.slot);
        self.share(&slice, slice_rates);
        self.turn();
        let address = target::service_address(&wanted, slot);
        let to = Prefix::host(address.into());
        let routed = kernel::observe(&mut self.route, &[])?.routes.iter().any(|route| route.to == to);
        if routed && (self.adopts() || self.is_protected(&wanted)?) {
            return Ok(address);
        }
        Err(Error::Refused(self.fault().unwrap_or("network: not as wanted yet").to_owned()))
    }

    /// A slice has another size: its services share that from now on. Asked twice it changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`]: the line does not keep it, though it is wanted from now on. [`Error::Kernel`].
    pub fn resize(&mut self, slice: &Name, rates: Rates) -> Result<(), Error> {
        self.share(slice, rates);
        self.turn();
        let Some(wanted) = self.configuration.shared() else { return Ok(()) };
        can_share(&wanted, slice, &rates).map_err(Error::Refused)?;
        let links = self.observe()?;
        match self.queue_differences(&wanted, &links)?.first() {
            Some(missing) => Err(Error::Refused(format!("slice {slice}: not as wanted yet: {missing}"))),
            None => Ok(()),
        }
    }

    /// The last word about a slice counts for all its services.
    fn share(&mut self, slice: &Name, rates: Rates) {
        let attachments = self.services.iter_mut().map(|service| &mut service.attachment);
        attachments.filter(|one| one.slice == *slice).for_each(|one| one.slice_rates = rates);
    }

    /// May this be asked?
    fn judge(&self, wanted: &Wanted, asked: &Attachment) -> Result<(), Error> {
        if usize::from(asked.slot) >= SERVICES {
            return Err(Error::Refused(format!("slot {}: there are {SERVICES}", asked.slot)));
        }
        for serve in asked.serves.iter().filter(|serve| serve.at != 0) {
            let at = |other: &&Serve| other.at == serve.at && other.protocol == serve.protocol;
            let others = self.services.iter().map(|service| &service.attachment);
            let others = others.filter(|other| other.service != asked.service && other.slot != asked.slot);
            let holder = others
                .filter(|other| other.serves.iter().any(|other| at(&other)))
                .map(|other| &*other.service);
            let managed = wanted.management.iter().any(|one| one.port == serve.at);
            let ours = managed || firewall::OWN_PORTS.contains(&serve.at);
            let ours = ours.then_some("the gateway itself");
            let forward = wanted
                .forward
                .iter()
                .filter(|forward| serve.to == Audience::Internet && leads(forward, serve));
            let holder = holder.chain(ours).chain(forward.map(|forward| &*forward.name)).next();
            if let Some(holder) = holder {
                return Err(Error::Refused(format!("port {} of our address: {holder} has it", serve.at)));
            }
        }
        Ok(())
    }

    /// What a service's link has carried.
    ///
    /// # Errors
    /// [`Error::Refused`]: it is not attached. [`Error::Kernel`]: the kernel does not say.
    pub fn carried(&mut self, service: &str) -> Result<Carried, Error> {
        let place = self.services.iter().position(|has| has.attachment.service.as_str() == service);
        let Some(attached) = place.and_then(|place| self.services.get_mut(place)) else {
            return Err(Error::Refused(format!("{service}: not attached")));
        };
        let link = service_link(attached.attachment.slot);
        let own = attached.drops()?;
        let failed = || Error::kernel(format!("{link}: does not say what it has carried"));
        let (index, counts) = kernel::counts(&mut self.route, &link).map_err(failed())?;
        let seen = queues::observe(&mut self.route, index).map_err(failed())?;
        let drops = |at_clsact: bool| -> u64 {
            let of = seen.queues.iter().filter(|queue| (queue.parent == AT_CLSACT) == at_clsact);
            // A queue counts what its leaves have thrown away, too.
            of.map(|queue| u64::from(queue.drops)).max().unwrap_or(0)
        };
        // `clsact` counts both ways together.
        let outward = seen.thrown_outward;
        // Our end receives what the service sends.
        let [up_packets, down_packets, up_bytes, down_bytes] = counts;
        let (up_drops, down_drops) = (drops(true).saturating_sub(outward) + own, drops(false) + outward);
        Ok(Carried { up_bytes, up_packets, up_drops, down_bytes, down_packets, down_drops })
    }

    /// Takes a service's link away.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it was refused.
    pub fn detach(&mut self, service: &str) -> Result<(), Error> {
        let place = self.services.iter().position(|has| has.attachment.service.as_str() == service);
        let Some(place) = place else { return Ok(()) };
        let gone = self.services.remove(place);
        kernel::drop_link(&mut self.route, &service_link(gone.attachment.slot))?;
        self.changes += 1;
        info!("{service}: detached");
        self.turn();
        Ok(())
    }
}

/// Does the operator lead that port elsewhere?
fn leads(forward: &Forward, serve: &Serve) -> bool {
    forward.protocol == serve.protocol && (forward.port..=forward.last.max(forward.port)).contains(&serve.at)
}
