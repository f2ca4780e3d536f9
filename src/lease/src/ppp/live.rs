//! A session from the concentrator's word that there is one to its end: LCP, who we are, addresses, echoes.
//!
//! In:  control packets, time. Out: actions; or why the session is over.
//!
//! Pure: the time comes in. Not here: discovery and what comes after the end (`session.rs`).
//!
//! Source: RFC 1661 §3; RFC 2516 §6.

use contract::learn;
use contract::wanted::LinkName;

use super::auth::{self, Word};
use super::echo::{Due, Echo};
use super::ipcp::Ipcp;
use super::ipv6cp::Ipv6cp;
use super::layer::{Layer, Out, Outs, code};
use super::lcp::{Lcp, MRU_USUAL, Way};
use super::memory::Memory;
use super::packet::{self, CHAP, IPCP, IPV4, IPV6, IPV6CP, LCP, PAP, Packet};
use super::session::{Action, Actions, Wants};

/// PAP's request is repeated so often, and after so many milliseconds. Source: RFC 1334 §2.2 leaves both open; as LCP's.
const PAP_TRIES: u8 = 10;
const PAP_EVERY_MS: u64 = 3_000;
/// From the session's beginning, or the loss of its addresses, until it must have some, in milliseconds: LCP's tries, CHAP's, IPCP's.
const SETTLE_MS: u64 = 90_000;
/// How long the loop may take to bind the session to a PPP link: `network` may have to be asked for descriptors.
const BIND_MS: u64 = 15_000;

/// How far it has come. Source: RFC 1661 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// LCP agrees.
    Linking,
    /// We say who we are.
    SigningIn,
    /// We are in; the kernel's PPP link is made.
    Binding,
    /// Addresses are agreed, or up.
    Addressing,
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer does not let us in.
    Refused(String),
    /// Anything else.
    Lost(String),
}

fn lost(why: &str) -> End {
    End::Lost(why.to_owned())
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its number.
    pub session: u16,
    /// The concentrator.
    pub peer: [u8; 6],
    stage: Stage,
    lcp: Layer<Lcp>,
    ipcp: Layer<Ipcp>,
    ipv6cp: Option<Layer<Ipv6cp>>,
    echo: Option<Echo>,
    /// PAP's request: its identifier, which counts, and when to repeat it.
    pap: Option<(u8, u64)>,
    /// When it must have come further.
    deadline_ms: Option<u64>,
    /// Since when it has been up, in milliseconds after boot.
    up_ms: Option<u64>,
    rejects: u8,
}

impl Live {
    /// A session that was just given.
    ///
    /// * `mru` — the largest packet that it carries, in bytes; `mac` is our link-layer address, `magic` any number.
    #[must_use]
    pub fn new(place: (u16, [u8; 6]), mru: u16, magic: u32, mac: [u8; 6]) -> Self {
        Self {
            session: place.0,
            peer: place.1,
            stage: Stage::Linking,
            lcp: Layer::new(Lcp::new(mru, magic)),
            ipcp: Layer::new(Ipcp::default()),
            ipv6cp: Some(Layer::new(Ipv6cp::new(mac))),
            echo: None,
            pap: None,
            deadline_ms: None,
            up_ms: None,
            rejects: 0,
        }
    }

    /// A session of an earlier life, which is up; whether it still is the next echoes tell.
    #[must_use]
    pub fn adopted(memory: &Memory, now_ms: u64) -> Self {
        let ipv6cp = Ipv6cp { identifier: memory.told.identifier.max(1), peer: memory.told.peer_identifier };
        let ipv6cp = if memory.told.identifier == 0 { Layer::new(ipv6cp) } else { Layer::opened(ipv6cp) };
        let mut names = memory.told.name_servers.iter().copied();
        let mut echo = Echo::new(now_ms);
        echo.doubt(now_ms);
        Self {
            stage: Stage::Addressing,
            lcp: Layer::opened(memory.lcp()),
            ipcp: Layer::opened(Ipcp {
                address: memory.told.address,
                name_servers: [names.next(), names.next()],
                peer: memory.told.peer,
            }),
            ipv6cp: Some(ipv6cp),
            echo: Some(echo),
            up_ms: Some(memory.up_ms),
            ..Self::new((memory.session, memory.peer), memory.told.mtu, memory.magic, [0; 6])
        }
    }

    /// What is to be remembered of it.
    #[must_use]
    pub fn memory(&self, told: learn::Session, user: &str) -> Memory {
        let lcp = &self.lcp.options;
        Memory {
            told,
            session: self.session,
            peer: self.peer,
            magic: lcp.magic,
            peer_magic: lcp.peer_magic,
            up_ms: self.up_ms.unwrap_or_default(),
            chap: lcp.way == Some(Way::Chap),
            user: user.into(),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The largest packet that it receives, in bytes.
    #[must_use]
    pub fn mru(&self) -> u16 {
        self.lcp.options.mru.max(MRU_USUAL)
    }

    /// Since when it has been up, in milliseconds after boot.
    #[must_use]
    pub fn up_ms(&self) -> Option<u64> {
        self.up_ms.filter(|_| self.ipcp.is_up())
    }

    /// What `network` has to know, once it is up.
    #[must_use]
    pub fn told(&self, link: &LinkName, ppp: &LinkName) -> Option<learn::Session> {
        self.up_ms()?;
        let ipcp = &self.ipcp.options;
        let servers = ipcp.name_servers.into_iter().flatten().filter(|server| !server.is_unspecified());
        let ipv6 = self.ipv6cp.as_ref().filter(|ipv6cp| ipv6cp.is_up()).map(|ipv6cp| &ipv6cp.options);
        Some(learn::Session {
            link: link.clone(),
            ppp: ppp.clone(),
            address: ipcp.address,
            peer: ipcp.peer,
            name_servers: servers.collect(),
            mtu: self.lcp.options.mtu(),
            identifier: ipv6.map_or(0, |ipv6| ipv6.identifier),
            peer_identifier: ipv6.map_or(0, |ipv6| ipv6.peer),
        })
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let ipv6cp = self.ipv6cp.as_ref().and_then(Layer::due_ms);
        let echo = self.echo.map(|echo| echo.due_ms);
        let pap = self.pap.map(|(_, due_ms)| due_ms);
        [self.lcp.due_ms(), self.ipcp.due_ms(), ipv6cp, echo, pap, self.deadline_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// It begins.
    ///
    /// # Errors
    /// None: what begins has not ended.
    pub fn begin(&mut self, wants: &Wants, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        self.deadline_ms = Some(now_ms.saturating_add(SETTLE_MS));
        if !wants.ipv6 {
            self.ipv6cp = None;
        }
        let outs = self.lcp.lower_up(now_ms);
        self.link(outs, wants, now_ms, out)
    }

    /// There is doubt whether the peer is still there.
    pub fn doubt(&mut self, now_ms: u64) {
        if let Some(echo) = &mut self.echo {
            echo.doubt(now_ms);
        }
    }

    /// The last words of it: LCP asks to end.
    pub fn close(&mut self, now_ms: u64, out: &mut Actions) {
        for said in self.lcp.close(now_ms) {
            if let Out::Send(bytes) = said {
                out.push(Action::Control(bytes));
            }
        }
    }

    /// The kernel has bound it to a PPP link: addresses come next.
    ///
    /// # Errors
    /// None at once.
    pub fn bound(&mut self, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        if self.stage != Stage::Binding {
            return Ok(());
        }
        self.stage = Stage::Addressing;
        self.deadline_ms = Some(now_ms.saturating_add(SETTLE_MS));
        let outs = self.ipcp.lower_up(now_ms);
        self.ipv4(outs, now_ms, out)?;
        let outs = self.ipv6cp.as_mut().map(|ipv6cp| ipv6cp.lower_up(now_ms)).unwrap_or_default();
        self.ipv6(outs, out);
        Ok(())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// Why it is over.
    pub fn time(&mut self, wants: &Wants, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        if self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            return Err(lost(match self.stage {
                Stage::Linking => "the peer does not come to terms (LCP)",
                Stage::SigningIn => "the peer does not say whether we may come in",
                Stage::Binding => "there is no PPP link: network makes none",
                Stage::Addressing => "the peer gives no address (IPCP)",
            }));
        }
        let outs = self.lcp.time(now_ms);
        self.link(outs, wants, now_ms, out)?;
        if let Some((id, _)) = self.pap.filter(|(_, due_ms)| *due_ms <= now_ms) {
            self.say_pap(id.wrapping_add(1), wants, now_ms, out)?;
        }
        let outs = self.ipcp.time(now_ms);
        self.ipv4(outs, now_ms, out)?;
        let outs = self.ipv6cp.as_mut().map(|ipv6cp| ipv6cp.time(now_ms)).unwrap_or_default();
        self.ipv6(outs, out);
        match self.echo.as_mut().map_or(Due::Nothing, |echo| echo.time(now_ms)) {
            Due::Nothing => Ok(()),
            Due::Gone => Err(lost("the peer does not answer echoes")),
            Due::Ask(id) => {
                let magic = self.lcp.options.magic.to_be_bytes();
                out.push(Action::Control(packet::write(&Packet {
                    protocol: LCP,
                    code: code::ECHO,
                    id,
                    body: &magic,
                })));
                Ok(())
            }
        }
    }

    /// A packet came. What does not belong to the stage is as if it had not come. Source: RFC 1661 §3.5, §3.6.
    ///
    /// # Errors
    /// Why the session is over.
    pub fn control(
        &mut self,
        bytes: &[u8],
        wants: &Wants,
        now_ms: u64,
        out: &mut Actions,
    ) -> Result<(), End> {
        let Some(protocol) = packet::protocol(bytes) else { return Ok(()) };
        if matches!(protocol, IPV4 | IPV6) {
            return Ok(()); // Too early: nobody is there yet.
        }
        let Some(packet) = packet::read(bytes) else { return Ok(()) };
        let way = self.lcp.options.way.filter(|_| self.lcp.is_up() && self.stage != Stage::Linking);
        match (protocol, way) {
            (LCP, _) => self.hear_lcp(&packet, wants, now_ms, out),
            (PAP, Some(Way::Pap)) => {
                let word = self.pap.and_then(|(id, _)| auth::hear_pap(&packet, id));
                self.word(word, now_ms, out)
            }
            (CHAP, Some(Way::Chap)) => {
                let word = auth::hear_chap(&packet, &wants.pppoe.user, &wants.pppoe.password);
                self.word(word, now_ms, out)
            }
            (PAP | CHAP, _) => Ok(()),
            _ if self.stage != Stage::Addressing => Ok(()),
            (IPCP, _) => {
                let outs = self.ipcp.receive(&packet, now_ms);
                self.ipv4(outs, now_ms, out)
            }
            (IPV6CP, _) if self.ipv6cp.is_some() => {
                let outs = self.ipv6cp.as_mut().map(|ipv6cp| ipv6cp.receive(&packet, now_ms));
                self.ipv6(outs.unwrap_or_default(), out);
                Ok(())
            }
            _ => {
                self.rejects = self.rejects.wrapping_add(1);
                let reject =
                    Packet { protocol: LCP, code: code::PROTOCOL_REJECT, id: self.rejects, body: bytes };
                out.push(Action::Control(packet::write(&reject)));
                Ok(())
            }
        }
    }

    fn hear_lcp(
        &mut self,
        packet: &Packet<'_>,
        wants: &Wants,
        now_ms: u64,
        out: &mut Actions,
    ) -> Result<(), End> {
        match packet.code {
            code::PROTOCOL_REJECT if self.lcp.is_up() => match packet::protocol(packet.body) {
                Some(IPCP) => {
                    let outs = self.ipcp.rejected(now_ms);
                    return self.ipv4(outs, now_ms, out);
                }
                Some(IPV6CP) => {
                    let outs = self.ipv6cp.as_mut().map(|ipv6cp| ipv6cp.rejected(now_ms));
                    self.ipv6(outs.unwrap_or_default(), out);
                }
                Some(LCP) => return Err(lost("the peer rejects LCP")),
                Some(_) | None => {}
            },
            code::ECHO_REPLY if self.lcp.is_up() => {
                let ours = self.lcp.options.magic;
                let magic = packet.body.first_chunk().map(|magic| u32::from_be_bytes(*magic));
                // Our own number: the line leads back to us. Source: RFC 1661 §6.4.
                if magic.is_some_and(|magic| ours == 0 || magic != ours)
                    && let Some(echo) = &mut self.echo
                {
                    echo.heard(now_ms);
                }
            }
            _ => {}
        }
        let outs = self.lcp.receive(packet, now_ms);
        self.link(outs, wants, now_ms, out)
    }

    /// What LCP has come to.
    fn link(&mut self, outs: Outs, wants: &Wants, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        let mut end = None;
        for said in outs {
            match said {
                Out::Send(bytes) => out.push(Action::Control(bytes)),
                Out::Up => self.linked(wants, now_ms, out)?,
                // The answer to its words goes out first. A peer that wants other terms gets a new session.
                Out::Down => end = Some(lost("the peer has ended the session (LCP)")),
                Out::Finished => end = end.or(Some(lost("the peer does not come to terms (LCP)"))),
            }
        }
        end.map_or(Ok(()), Err)
    }

    fn linked(&mut self, wants: &Wants, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        self.echo = Some(Echo::new(now_ms));
        match self.lcp.options.way {
            None => self.bind(now_ms, out),
            Some(Way::Chap) => self.stage = Stage::SigningIn,
            Some(Way::Pap) => {
                self.stage = Stage::SigningIn;
                return self.say_pap(1, wants, now_ms, out);
            }
        }
        Ok(())
    }

    fn say_pap(&mut self, id: u8, wants: &Wants, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        if id > PAP_TRIES {
            return Err(lost("the peer does not say whether we may come in (PAP)"));
        }
        self.pap = Some((id, now_ms.saturating_add(PAP_EVERY_MS)));
        out.push(Action::Control(auth::pap(id, &wants.pppoe.user, &wants.pppoe.password)));
        Ok(())
    }

    /// What the peer says to who we are.
    fn word(&mut self, word: Option<Word>, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        match word {
            None => {}
            Some(Word::Answer(bytes)) => out.push(Action::Control(bytes)),
            Some(Word::TurnedAway(said)) => return Err(End::Refused(said)),
            Some(Word::LetIn) => {
                self.pap = None;
                if self.stage == Stage::SigningIn {
                    self.bind(now_ms, out);
                }
            }
        }
        Ok(())
    }

    fn bind(&mut self, now_ms: u64, out: &mut Actions) {
        self.stage = Stage::Binding;
        self.deadline_ms = Some(now_ms.saturating_add(BIND_MS));
        out.push(Action::Bind);
    }

    /// What IPCP has come to.
    fn ipv4(&mut self, outs: Outs, now_ms: u64, out: &mut Actions) -> Result<(), End> {
        for said in outs {
            match said {
                Out::Send(bytes) => out.push(Action::Control(bytes)),
                Out::Up if self.ipcp.options.address.is_unspecified() => {
                    return Err(lost("the peer gives no address (IPCP)"));
                }
                Out::Up => {
                    self.up_ms = self.up_ms.or(Some(now_ms));
                    self.deadline_ms = None;
                    out.extend([self.pass(), Action::Up]);
                }
                Out::Down => {
                    self.deadline_ms = Some(now_ms.saturating_add(SETTLE_MS));
                    out.push(self.pass());
                }
                Out::Finished => return Err(lost("the peer gives no address (IPCP)")),
            }
        }
        Ok(())
    }

    /// What IPV6CP has come to. A session without IPv6 is one, too.
    fn ipv6(&mut self, outs: Outs, out: &mut Actions) {
        for said in outs {
            match said {
                Out::Send(bytes) => out.push(Action::Control(bytes)),
                Out::Up | Out::Down => {
                    out.push(self.pass());
                    if self.ipcp.is_up() {
                        out.push(Action::Up);
                    }
                }
                Out::Finished => {}
            }
        }
    }

    fn pass(&self) -> Action {
        let ipv6 = self.ipv6cp.as_ref().is_some_and(Layer::is_up);
        Action::Pass { ipv4: self.ipcp.is_up(), ipv6 }
    }
}
