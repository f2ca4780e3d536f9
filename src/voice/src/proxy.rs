//! The proxy: what becomes of each message.
//!
//! In:  a message from one side, time. Out: messages to be sent. Pure but for the ports of media, which `Ports` opens and closes.
//!
//! | from the home | from the operator |
//! |---|---|
//! | `Contact` becomes a token at our address in the play | the request's URI, a token, becomes the phone's own contact |
//! | media are to come to us, in the play | media are to come to us, at home |
//! | goes to the first `Route` behind the play, or the registrar | goes to the phone; we are in its route (`Record-Route`) |
//!
//! Who speaks is checked first: at home an address of the home's, in the play one of `reaches`. What passes neither is not answered.
//!
//! Source: RFC 3261 §16 (proxies), §10 (registrars), §12 (dialogues); RFC 3581.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use contract::told::Voice;

use crate::bindings::Bindings;
use crate::media::{Door, Media, Pair};
use crate::message::{Message, Start};
use crate::side::Side;
use crate::transactions::Transactions;
use crate::{sdp, uri};

/// How often a message may be passed on, where it does not say. Source: RFC 3261 §16.6.
const HOPS: u8 = 70;
/// When a phone may ask again where there is no way to the operator, in seconds.
const RETRY_S: u32 = 30;

/// Ports for media. A pair is an even port and the next one, on both sides.
pub trait Ports {
    /// Opens a pair.
    fn open(&mut self) -> Option<Pair>;
    /// Closes one.
    fn close(&mut self, pair: Pair);
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    /// By which side's socket.
    pub side: Side,
    /// To whom.
    pub to: SocketAddrV4,
    /// What.
    pub bytes: Vec<u8>,
}

/// A refusal: code and reason.
type Refusal = (u16, &'static str);

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    told: Voice,
    transactions: Transactions,
    bindings: Bindings,
    media: Media,
}

impl Proxy {
    /// A proxy that nobody has spoken to yet.
    #[must_use]
    pub fn new(told: Voice) -> Self {
        Self {
            told,
            transactions: Transactions::default(),
            bindings: Bindings::default(),
            media: Media::default(),
        }
    }

    /// From now on these links. Phones and calls stay.
    pub fn tell(&mut self, told: Voice) {
        self.told = told;
    }

    /// What it was told.
    #[must_use]
    pub fn told(&self) -> &Voice {
        &self.told
    }

    /// Phones.
    #[must_use]
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Calls.
    #[must_use]
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// Our own address on a side, with SIP's port.
    #[must_use]
    pub fn own(&self, side: Side) -> Option<SocketAddrV4> {
        let address = match side {
            Side::Home => Some(self.told.home.1),
            Side::Play => self.told.play.as_ref().map(|(_, address)| *address),
        };
        address.map(|address| SocketAddrV4::new(address, uri::PORT))
    }

    /// May `address` speak to us on `side`?
    #[must_use]
    pub fn may(&self, side: Side, address: Ipv4Addr) -> bool {
        match side {
            Side::Home => self.told.prefix.holds(address.into()) && address != self.told.home.1,
            Side::Play => {
                IpAddr::from(address) == self.told.registrar.0
                    || self.told.reaches.iter().any(|prefix| prefix.holds(address.into()))
            }
        }
    }

    /// Hears a datagram.
    pub fn hear(
        &mut self,
        side: Side,
        from: SocketAddrV4,
        bytes: &[u8],
        (ports, now_ms): (&mut dyn Ports, u64),
    ) -> Vec<Out> {
        if !self.may(side, *from.ip()) {
            return Vec::new();
        }
        let Some(message) = Message::read(bytes) else { return Vec::new() };
        let call = (ports, now_ms);
        let out = match message.start.clone() {
            Start::Request { method, .. } => match self.request(side, from, message.clone(), call) {
                Ok(out) => out,
                // An `ACK` is never answered. Source: RFC 3261 §17.1.1.3.
                Err(_) if method == "ACK" => None,
                Err(refusal) => self.refuse(side, from, &message, refusal),
            },
            Start::Response { .. } => self.response(side, from, message, call),
        };
        out.into_iter().collect()
    }

    fn refuse(&self, side: Side, from: SocketAddrV4, message: &Message, refusal: Refusal) -> Option<Out> {
        let (code, reason) = refusal;
        let mut seen = message.clone();
        let mut vias = seen.all("Via");
        *vias.first_mut()? = uri::received(vias.first()?, from);
        seen.replace("Via", vias);
        let mut answer = seen.answer(code, reason, "shg");
        if code == 503 {
            answer.push("Retry-After", RETRY_S.to_string());
        }
        let _ = self.own(side)?;
        Some(Out { side, to: from, bytes: answer.write() })
    }

    /// Passes a request on.
    fn request(
        &mut self,
        side: Side,
        from: SocketAddrV4,
        mut message: Message,
        (ports, now_ms): (&mut dyn Ports, u64),
    ) -> Result<Option<Out>, Refusal> {
        let vias = message.all("Via");
        let Some(via) = vias.first().cloned() else { return Err((400, "No Via")) };
        for name in ["From", "To", "Call-ID", "CSeq"] {
            if message.first(name).is_none() {
                return Err((400, "A header is missing"));
            }
        }
        let out = side.other();
        let Some(own) = self.own(out) else { return Err((503, "The voice platform is not reached")) };
        fewer_hops(&mut message)?;
        let to = match side {
            Side::Home => self.leaves(&mut message, from, now_ms)?,
            Side::Play => self.comes(&mut message)?,
        };
        self.lead_media(side, &mut message, (ports, now_ms));
        if message.method() == "BYE" {
            self.end(&message, ports);
        }
        let branch = self.transactions.begin(side, from, &via, now_ms);
        let mut vias = message.all("Via");
        if let Some(first) = vias.first_mut() {
            *first = uri::received(first, from);
        }
        vias.insert(0, format!("SIP/2.0/UDP {own};branch={branch};rport"));
        message.replace("Via", vias);
        Ok(Some(Out { side: out, to, bytes: message.write() }))
    }

    /// A phone's request on its way out: where it goes.
    fn leaves(
        &mut self,
        message: &mut Message,
        from: SocketAddrV4,
        now_ms: u64,
    ) -> Result<SocketAddrV4, Refusal> {
        self.hide_contact(message, from, now_ms)?;
        let ours = |route: &String| uri::uri(route).and_then(uri::address).map(|address| *address.ip());
        let home = self.told.home.1;
        let routes: Vec<String> =
            message.all("Route").into_iter().filter(|route| ours(route) != Some(home)).collect();
        message.replace("Route", routes.clone());
        let registrar = registrar(&self.told).ok_or((503, "The registrar has no IPv4 address"))?;
        if message.method() == "REGISTER" {
            return Ok(registrar);
        }
        let Start::Request { uri: whom, .. } = &message.start else { return Err((400, "No request")) };
        let next = match routes.first() {
            Some(route) => uri::uri(route).and_then(uri::address),
            None => uri::address(whom).filter(|_| message.is_in_dialogue()),
        };
        Ok(next.filter(|next| self.may(Side::Play, *next.ip())).unwrap_or(registrar))
    }

    /// An operator's request on its way in: which phone it is for.
    fn comes(&mut self, message: &mut Message) -> Result<SocketAddrV4, Refusal> {
        let Start::Request { uri: whom, method } = &message.start else { return Err((400, "No request")) };
        let phone = uri::user(whom).and_then(|token| self.bindings.of(token)).ok_or((404, "Not Found"))?;
        let to = phone.address;
        message.start = Start::Request { method: method.clone(), uri: phone.contact.clone() };
        let own = self.own(Side::Play).map(|own| *own.ip());
        let ours =
            |route: &String| uri::uri(route).and_then(uri::address).map(|address| *address.ip()) == own;
        let routes = message.all("Route").into_iter().filter(|route| !ours(route)).collect();
        message.replace("Route", routes);
        if matches!(message.method(), "INVITE" | "SUBSCRIBE" | "REFER") && !message.is_in_dialogue() {
            message.put_first("Record-Route", self.record_route());
        }
        Ok(to)
    }

    fn record_route(&self) -> String {
        format!("<sip:{}:{};lr>", self.told.home.1, uri::PORT)
    }

    /// A phone's contacts become tokens at our address.
    fn hide_contact(
        &mut self,
        message: &mut Message,
        from: SocketAddrV4,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let Some(own) = self.own(Side::Play) else { return Err((503, "The voice platform is not reached")) };
        let mut hidden = Vec::new();
        for contact in message.all("Contact") {
            // "*" takes all registrations back. Source: RFC 3261 §10.2.2.
            let Some(whom) = uri::uri(&contact).filter(|whom| *whom != "*") else {
                hidden.push(contact);
                continue;
            };
            let token = self.bindings.token(whom, from, now_ms).ok_or((503, "Too many phones"))?;
            hidden.push(format!("<sip:{token}@{own}>{}", uri::behind(&contact)));
        }
        message.replace("Contact", hidden);
        Ok(())
    }

    /// Passes an answer on, to whom the request came from.
    fn response(
        &mut self,
        side: Side,
        from: SocketAddrV4,
        mut message: Message,
        (ports, now_ms): (&mut dyn Ports, u64),
    ) -> Option<Out> {
        let mut vias = message.all("Via");
        let request = self.transactions.of(vias.first()?, side, now_ms)?;
        let (back, to) = (request.side, request.from);
        vias.remove(0);
        if vias.is_empty() {
            return None; // It would be for us, and we ask nothing.
        }
        message.replace("Via", vias);
        match side {
            Side::Play => self.answer_comes(&mut message, now_ms),
            Side::Home => {
                self.hide_contact(&mut message, from, now_ms).ok()?;
                let ours = self.record_route();
                let kept = message.all("Record-Route").into_iter().filter(|route| *route != ours).collect();
                message.replace("Record-Route", kept);
            }
        }
        self.lead_media(side, &mut message, (&mut *ports, now_ms));
        if let Start::Response { code: 300.., .. } = message.start
            && message.method() == "INVITE"
            && !message.is_in_call(&self.media)
        {
            self.end(&message, ports);
        }
        Some(Out { side: back, to, bytes: message.write() })
    }

    /// An answer of the operator's: the phone finds its own contact in it again, and us in its route.
    fn answer_comes(&mut self, message: &mut Message, now_ms: u64) {
        let general: Option<u32> = message.first("Expires").and_then(|expires| expires.parse().ok());
        let ok = matches!(message.start, Start::Response { code: 200..300, .. });
        let registers = message.method() == "REGISTER";
        let mut contacts = Vec::new();
        for contact in message.all("Contact") {
            let phone = uri::uri(&contact).and_then(uri::user).and_then(|token| self.bindings.of(token));
            let Some((token, own)) = phone.map(|phone| (phone.token.clone(), phone.contact.clone())) else {
                contacts.push(contact);
                continue;
            };
            let expires =
                uri::parameter(&contact, "expires").and_then(|expires| expires.parse().ok()).or(general);
            if registers && ok {
                self.bindings.register(&token, expires.unwrap_or(3_600), now_ms); // RFC 3261 §10.2.1.1
            }
            contacts.push(format!("<{own}>{}", uri::behind(&contact)));
        }
        message.replace("Contact", contacts);
        let begins = matches!(message.start, Start::Response { code: 101..300, .. });
        if begins && matches!(message.method(), "INVITE" | "SUBSCRIBE" | "REFER") {
            let mut routes = message.all("Record-Route");
            routes.push(self.record_route());
            message.replace("Record-Route", routes);
        }
    }

    /// Media are led through us: the other side is told our address and our ports.
    fn lead_media(&mut self, side: Side, message: &mut Message, (ports, now_ms): (&mut dyn Ports, u64)) {
        let sdp = message.first("Content-Type").is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/sdp"))
        });
        let Some(call) = message.first("Call-ID").map(str::to_owned) else { return };
        let Some(own) = self.own(side.other()).filter(|_| sdp) else { return };
        let mut pairs = Vec::new();
        for medium in sdp::media(&message.body) {
            // Only to where that side may send: nobody has us send media to a third.
            if !self.may(side, *medium.to.ip()) {
                continue;
            }
            let pair = self.media.pair(&call, medium.place, now_ms, &mut || ports.open());
            if let Some(pair) = pair {
                self.media.describe(&call, medium.place, side, medium.to);
                pairs.push((medium.place, pair));
            }
        }
        let port = |place| pairs.iter().find(|(has, _)| *has == place).map(|(_, pair)| *pair);
        message.body = sdp::rewritten(&message.body, *own.ip(), port).unwrap_or_default();
    }

    fn end(&mut self, message: &Message, ports: &mut dyn Ports) {
        let call = message.first("Call-ID").unwrap_or_default().to_owned();
        self.media.close(&call).into_iter().for_each(|pair| ports.close(pair));
    }

    /// Where a packet of media goes: the side and the address.
    pub fn way(&mut self, door: Door, from: SocketAddrV4, now_ms: u64) -> Option<SocketAddrV4> {
        let welcome = match door.side {
            Side::Home => self.media.expected(door.pair, door.side).is_none_or(|host| host == *from.ip()),
            Side::Play => true,
        };
        let welcome = welcome && self.may(door.side, *from.ip());
        welcome.then(|| self.media.way(door, from, now_ms)).flatten()
    }

    /// Ends calls of which nothing is heard.
    pub fn expire(&mut self, ports: &mut dyn Ports, now_ms: u64) {
        self.media.expire(now_ms).into_iter().for_each(|pair| ports.close(pair));
    }
}

impl Message {
    /// Does a call with this message's Call-ID have media from both sides already? Then a refusal is of a change, not of the call.
    fn is_in_call(&self, media: &Media) -> bool {
        let call = self.first("Call-ID").unwrap_or_default();
        media.rows().iter().any(|row| row.call == call && row.home.to.is_some() && row.play.to.is_some())
    }
}

/// Source: RFC 3261 §16.3 step 3, §16.6 step 3.
fn fewer_hops(message: &mut Message) -> Result<(), Refusal> {
    let hops = match message.first("Max-Forwards") {
        None => HOPS,
        Some(hops) => hops.parse().map_err(|_| (400, "Max-Forwards is no number"))?,
    };
    let fewer = hops.checked_sub(1).ok_or((483, "Too Many Hops"))?;
    message.replace("Max-Forwards", vec![fewer.to_string()]);
    Ok(())
}

fn registrar(told: &Voice) -> Option<SocketAddrV4> {
    match SocketAddr::from(told.registrar) {
        SocketAddr::V4(registrar) => Some(registrar),
        SocketAddr::V6(_) => None,
    }
}
