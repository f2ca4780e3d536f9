//! The kernel's small machine, for one packet: it runs the bytes that we send to the kernel, rule by rule.
//!
//! In:  a `Table`, a packet, what the routes say. Out: what becomes of the packet.
//!
//! It knows the expressions that our rules have and no other: one that it does not know fails the test. Rates and counts are never
//! reached here; the long way is always taken.
//!
//! Source: linux/netfilter/nf_tables.h; net/netfilter/nf_tables_core.c, `nft_do_chain`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::bytes::{attribute, attributes, text};
use network::ruleset::{Hook, Table};

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The link that it came by; empty: the gateway's own.
    pub(crate) by: String,
    /// The link that it goes by; empty: not known yet.
    pub(crate) to: String,
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    pub(crate) protocol: u8,
    /// Its source port; of ICMP its type.
    pub(crate) from_port: u16,
    pub(crate) port: u16,
    /// How far it may go.
    pub(crate) hops: u8,
    /// Bits of `NFT_CT_STATE`; 8 is new.
    pub(crate) state: u32,
    /// It was led elsewhere.
    pub(crate) led: bool,
    /// It leaves with our address.
    pub(crate) masked: bool,
    pub(crate) uid: u32,
    pub(crate) mark: u32,
    pub(crate) priority: u32,
    pub(crate) dscp: Option<u8>,
}

/// What a chain says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Refuse,
}

/// What the routes say of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// It is our own.
    Local,
    /// It is behind this link.
    Link(String),
    Nowhere,
}

/// A rule's step, decoded once.
enum Step {
    Test(Test),
    Act(Act),
}

/// What loads, compares or writes.
enum Test {
    Meta {
        to: usize,
        key: u32,
    },
    SetMeta {
        from: usize,
        key: u32,
    },
    Payload {
        to: usize,
        base: u32,
        offset: usize,
        length: usize,
    },
    Write {
        from: usize,
    },
    Compare {
        at: usize,
        how: u32,
        value: Vec<u8>,
    },
    Bits {
        at: usize,
        mask: Vec<u8>,
        flip: Vec<u8>,
    },
    Lookup {
        at: usize,
        set: String,
        to: Option<usize>,
    },
    Ct {
        to: usize,
        key: u32,
    },
    Fib {
        to: usize,
        result: u32,
        flags: u32,
    },
    Put {
        to: usize,
        value: Vec<u8>,
    },
    /// It is true, whatever comes: a rate that is kept to.
    Nothing,
    /// It is false, whatever comes: a rate that is exceeded.
    Never,
}

/// What ends a rule.
enum Act {
    Say { code: u32, chain: String },
    Lead { address: usize, port: Option<usize> },
    Mask,
    Refuse,
}

/// A set's elements: key, data, is it an end.
type Elements = (bool, Vec<(Vec<u8>, Vec<u8>, bool)>);

/// The machine with one table in it.
pub(crate) struct Machine {
    chains: BTreeMap<String, Vec<Vec<Step>>>,
    hooks: Vec<(String, Hook, i32, bool)>,
    sets: BTreeMap<String, Elements>,
}

enum End {
    Verdict(Verdict),
    Return,
}

fn number(data: &[u8], kind: u16) -> Option<u32> {
    attribute(data, kind).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
}

/// Where a register begins.
fn register(data: &[u8], kind: u16) -> usize {
    let number = usize::try_from(number(data, kind).unwrap()).unwrap();
    if number < 8 { (number - 1) * 16 } else { (number - 8) * 4 }
}

fn value(data: &[u8], kind: u16) -> Vec<u8> {
    attribute(attribute(data, kind).unwrap(), 1).unwrap().to_vec()
}

fn step(expression: &[u8]) -> Step {
    let name = text(attribute(expression, 1).unwrap()).unwrap();
    let data = attribute(expression, 2).unwrap_or_default();
    let has = |kind| attribute(data, kind).is_some();
    let length = |kind| usize::try_from(number(data, kind).unwrap()).unwrap();
    match name {
        "immediate" if number(data, 1) == Some(0) => {
            let verdict = attribute(attribute(data, 2).unwrap(), 2).unwrap();
            let chain = attribute(verdict, 2).and_then(text).unwrap_or_default().to_owned();
            return Step::Act(Act::Say { code: number(verdict, 1).unwrap(), chain });
        }
        "nat" => {
            return Step::Act(Act::Lead {
                address: register(data, 3),
                port: has(5).then(|| register(data, 5)),
            });
        }
        "masq" => return Step::Act(Act::Mask),
        "reject" => return Step::Act(Act::Refuse),
        _ => {}
    }
    Step::Test(match name {
        "meta" if has(1) => Test::Meta { to: register(data, 1), key: number(data, 2).unwrap() },
        "meta" => Test::SetMeta { from: register(data, 3), key: number(data, 2).unwrap() },
        "payload" if has(1) => Test::Payload {
            to: register(data, 1),
            base: number(data, 2).unwrap(),
            offset: length(3),
            length: length(4),
        },
        "payload" => Test::Write { from: register(data, 5) },
        "cmp" => {
            Test::Compare { at: register(data, 1), how: number(data, 2).unwrap(), value: value(data, 3) }
        }
        "bitwise" => Test::Bits { at: register(data, 1), mask: value(data, 4), flip: value(data, 5) },
        "lookup" => Test::Lookup {
            at: register(data, 2),
            set: text(attribute(data, 1).unwrap()).unwrap().to_owned(),
            to: has(3).then(|| register(data, 3)),
        },
        "ct" if has(1) => Test::Ct { to: register(data, 1), key: number(data, 2).unwrap() },
        "fib" => Test::Fib {
            to: register(data, 1),
            result: number(data, 2).unwrap(),
            flags: number(data, 3).unwrap(),
        },
        "immediate" => Test::Put { to: register(data, 1), value: value(data, 2) },
        "limit" if number(data, 5) == Some(1) => Test::Never,
        "connlimit" => Test::Never,
        "limit" | "ct" | "rt" | "byteorder" | "exthdr" | "flow_offload" => Test::Nothing,
        other => panic!("{other}: the machine does not know it"),
    })
}

impl Machine {
    pub(crate) fn new(table: &Table) -> Self {
        let mut chains: BTreeMap<String, Vec<Vec<Step>>> = BTreeMap::new();
        for chain in &table.chains {
            chains.insert(chain.name.to_owned(), Vec::new());
        }
        for rule in &table.rules {
            let bytes = rule.expressions.clone().end();
            chains.get_mut(rule.chain).unwrap().push(attributes(&bytes).map(|(_, one)| step(one)).collect());
        }
        let hooks = table.chains.iter().filter_map(|chain| {
            chain.base.as_ref().map(|base| (chain.name.to_owned(), base.hook, base.priority, base.accepts))
        });
        let mut hooks: Vec<_> = hooks.collect();
        hooks.sort_by_key(|(_, _, priority, _)| *priority);
        let sets = table.sets.iter().map(|set| {
            let elements = set.elements.iter();
            let elements = elements.map(|one| (one.key.clone(), one.data.clone(), one.ends)).collect();
            (set.name.to_owned(), (set.runs, elements))
        });
        Self { chains, hooks, sets: sets.collect() }
    }

    /// Runs all chains of one hook.
    pub(crate) fn meet(&self, hook: Hook, packet: &mut Packet, routes: &dyn Fn(IpAddr) -> Route) -> Verdict {
        for (name, _, _, accepts) in self.hooks.iter().filter(|(_, at, _, _)| *at == hook) {
            let end = self.chain(name, packet, routes);
            let verdict = match end {
                End::Verdict(verdict) => verdict,
                End::Return if *accepts => Verdict::Accept,
                End::Return => Verdict::Drop,
            };
            if verdict != Verdict::Accept {
                return verdict;
            }
        }
        Verdict::Accept
    }

    fn chain(&self, name: &str, packet: &mut Packet, routes: &dyn Fn(IpAddr) -> Route) -> End {
        for rule in &self.chains[name] {
            let mut registers = [0_u8; 64];
            for step in rule {
                let act = match step {
                    Step::Test(test) if self.holds(test, packet, &mut registers, routes) => continue,
                    Step::Test(_) => break,
                    Step::Act(act) => act,
                };
                match act {
                    Act::Say { code, chain } => match code.cast_signed() {
                        0 => return End::Verdict(Verdict::Drop),
                        1 => return End::Verdict(Verdict::Accept),
                        -3 => match self.chain(chain, packet, routes) {
                            End::Return => {}
                            end @ End::Verdict(_) => return end,
                        },
                        -4 => return self.chain(chain, packet, routes),
                        -5 => return End::Return,
                        other => panic!("verdict {other}"),
                    },
                    Act::Refuse => return End::Verdict(Verdict::Refuse),
                    // Of another family: the rule says nothing.
                    Act::Lead { .. } if packet.target.is_ipv6() => break,
                    Act::Lead { address, port } => {
                        let at: [u8; 4] = registers[*address..address + 4].try_into().unwrap();
                        packet.target = at.into();
                        if let Some(port) = port {
                            packet.port = u16::from_be_bytes([registers[*port], registers[port + 1]]);
                        }
                        packet.led = true;
                        return End::Verdict(Verdict::Accept);
                    }
                    Act::Mask => {
                        packet.masked = true;
                        return End::Verdict(Verdict::Accept);
                    }
                }
            }
        }
        End::Return
    }

    /// What a set says of the key with which these registers begin.
    fn look_up(&self, set: &str, registers: &[u8]) -> Option<Vec<u8>> {
        let (runs, elements) = &self.sets[set];
        let has = &registers[..elements.first()?.0.len()];
        let found = if *runs {
            // The last one that is not behind it; of two at one place the end comes first.
            let before = elements.iter().filter(|(key, _, _)| key.as_slice() <= has);
            before
                .max_by(|one, other| one.0.cmp(&other.0).then(other.2.cmp(&one.2)))
                .filter(|(_, _, ends)| !ends)
        } else {
            elements.iter().find(|(key, _, _)| key == has)
        };
        found.map(|(_, data, _)| data.clone())
    }

    /// Does this step hold? It may load a register or write on the packet.
    fn holds(
        &self,
        test: &Test,
        packet: &mut Packet,
        registers: &mut [u8; 64],
        routes: &dyn Fn(IpAddr) -> Route,
    ) -> bool {
        match test {
            Test::Meta { to, key } => put(registers, *to, &meta(packet, *key)),
            Test::SetMeta { from, key } => {
                let said = u32::from_ne_bytes(registers[*from..from + 4].try_into().unwrap());
                if *key == 3 { packet.mark = said } else { packet.priority = said }
            }
            Test::Payload { to, base, offset, length } => {
                let header = if *base == 1 { network(packet) } else { transport(packet) };
                let Some(bytes) = header.get(*offset..offset + length) else { return false };
                put(registers, *to, bytes);
            }
            Test::Write { from } => {
                let both = u16::from_be_bytes([registers[*from], registers[from + 1]]);
                let shift = if packet.target.is_ipv4() { 2 } else { 6 };
                packet.dscp = Some(u8::try_from(both >> shift & 0x3f).unwrap());
            }
            Test::Compare { at, how, value } => {
                let has = &registers[*at..at + value.len()];
                return match how {
                    0 => has == value,
                    1 => has != value,
                    3 => has <= value.as_slice(),
                    5 => has >= value.as_slice(),
                    other => panic!("comparison {other}"),
                };
            }
            Test::Bits { at, mask, flip } => {
                for (place, (mask, flip)) in mask.iter().zip(flip).enumerate() {
                    registers[at + place] = registers[at + place] & mask ^ flip;
                }
            }
            Test::Lookup { at, set, to } => {
                let Some(data) = self.look_up(set, &registers[*at..]) else { return false };
                if let Some(to) = to {
                    put(registers, *to, &data);
                }
            }
            Test::Ct { to, key } => {
                let status = if packet.led { 0x20_u32 } else { 0 };
                put(registers, *to, &if *key == 0 { packet.state } else { status }.to_ne_bytes());
            }
            Test::Fib { to, result, flags } => {
                let route = routes(if flags & 1 != 0 { packet.source } else { packet.target });
                put(registers, *to, &fib(packet, *result, route));
            }
            Test::Put { to, value } => put(registers, *to, value),
            Test::Nothing => {}
            Test::Never => return false,
        }
        true
    }
}

/// Puts bytes into registers; what is left of the last one is zero.
fn put(registers: &mut [u8; 64], at: usize, bytes: &[u8]) {
    registers[at..at + bytes.len().next_multiple_of(4)].fill(0);
    registers[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What the routes say, as a register has it.
fn fib(packet: &Packet, result: u32, route: Route) -> Vec<u8> {
    match (result, route) {
        (1, route) => u32::from(route == Route::Link(packet.by.clone())).to_ne_bytes().to_vec(),
        (2, Route::Link(link)) => name(&link).to_vec(),
        (2, Route::Local | Route::Nowhere) => vec![0; 16],
        (_, Route::Local) => 2_u32.to_ne_bytes().to_vec(),
        (_, Route::Link(_) | Route::Nowhere) => 1_u32.to_ne_bytes().to_vec(),
    }
}

fn meta(packet: &Packet, key: u32) -> Vec<u8> {
    match key {
        3 => packet.mark.to_ne_bytes().to_vec(),
        6 => name(&packet.by).to_vec(),
        7 => name(&packet.to).to_vec(),
        10 => packet.uid.to_ne_bytes().to_vec(),
        15 => vec![if packet.target.is_ipv4() { 2 } else { 10 }],
        16 => vec![packet.protocol],
        other => panic!("meta {other}"),
    }
}

fn name(link: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..link.len()].copy_from_slice(link.as_bytes());
    bytes
}

/// The network header, as far as rules look.
fn network(packet: &Packet) -> Vec<u8> {
    match (packet.source, packet.target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let head = [0x45, 0, 0, 40, 0, 0, 0, 0, packet.hops, packet.protocol, 0, 0];
            [&head[..], &source.octets(), &target.octets()].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let head = [0x60, 0, 0, 0, 0, 20, packet.protocol, packet.hops];
            [&head[..], &source.octets(), &target.octets()].concat()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    }
}

/// The transport header: ports, or type and code.
fn transport(packet: &Packet) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    if matches!(packet.protocol, 6 | 17) {
        bytes[..2].copy_from_slice(&packet.from_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&packet.port.to_be_bytes());
        bytes[13] = 2; // It begins a connection.
    } else {
        bytes[0] = u8::try_from(packet.from_port).unwrap();
    }
    bytes
}
