//! `lab smoke`: the gateway between a provider and a host at home that we did not write, without a terminal.
//!
//! In:  a kernel. Out: one line a fact, `name value`; an error if one of them is not as it should be.
//!
//! Each fact of the form "… cannot …" has its control: the same listener answers from where it may.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use crate::command::Words;
use crate::error::Error;
use crate::guest::{Around, Guest, Options, UP_LIMIT};
use crate::kernel::Kernel;
use crate::root::{self, Variant};
use crate::topology::{Side, WAN_ADDRESS, WEB_ADDRESS, WEB_PAGE};
use crate::{facts, namespace, peer, wait};

/// The gateway at home. Source: rootfs/etc/shg/network.toml.
const GATEWAY: &str = "192.168.1.1";
/// Its LAN, as a route.
const LAN: &str = "192.168.1.0/24";
/// Its services, as a route, and the first of them.
const SERVICES: (&str, &str) = ("10.64.0.0/24", "10.64.0.2");
/// Where the host at home listens.
const LISTENER_PORT: &str = "8000";
/// One try to fetch a page through an emulated gateway.
const FETCH: Duration = Duration::from_secs(10);
/// One try that should come to nothing: a firewall that drops lets it run out.
const BLOCKED: Duration = Duration::from_secs(3);
/// Ports where gateways listen: FTP, SSH, Telnet, DNS, HTTP, HTTPS, TR-069's connection request, HTTP again.
const PORTS: [u16; 8] = [21, 22, 23, 53, 80, 443, 7547, 8080];
/// From PID 1's first line to a service being ready, beyond what a bare init takes, in milliseconds.
pub const ABOVE_BARE_MS_MAX: u64 = 3000;

/// The facts as they come.
pub struct Report<'o> {
    out: &'o mut dyn Write,
    failed: usize,
}

impl<'o> Report<'o> {
    /// An empty one.
    pub fn new(out: &'o mut dyn Write) -> Self {
        Self { out, failed: 0 }
    }

    /// Prints a fact, and counts it if it is not as it should be.
    fn fact(&mut self, name: &str, held: Result<String, String>) -> Result<(), Error> {
        let value = held.unwrap_or_else(|why| {
            self.failed += 1;
            format!("FAILED ({why})")
        });
        writeln!(self.out, "{name} {value}").and_then(|()| self.out.flush()).map_err(Error::io("output"))
    }
}

/// Prints every fact.
///
/// # Errors
/// [`Error::Short`]: some do not hold. [`Error::Missing`]: it cannot run here.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    if !namespace::inside() {
        let arguments: Vec<OsString> = words.all.iter().map(OsString::from).collect();
        let status = namespace::again(&arguments)?;
        let failed = Error::Tool { program: "smoke".to_owned(), why: format!("{status} (see above)") };
        return if status.success() { Ok(()) } else { Err(failed) };
    }
    let mut report = Report::new(out);
    let bare = peer::measure(words.kernel)?;
    let options = Options { around: Around::Topology, ..Options::new(words.kernel) };
    let mut guest = Guest::boot_or_say(&options)?;
    let outcome = inspect(&mut guest, &mut report, words.kernel, bare);
    if outcome.is_err() || report.failed > 0 {
        eprintln!("{}", guest.last_lines());
    }
    outcome?;
    match report.failed {
        0 => Ok(()),
        count => Err(Error::Short { what: "facts", count }),
    }
}

fn inspect(
    guest: &mut Guest,
    report: &mut Report<'_>,
    kernel: Kernel,
    bare: peer::Bare,
) -> Result<(), Error> {
    let up = facts::wait_all_up(guest);
    report.fact("processes_up", up.map(|()| "yes".to_owned()).map_err(|error| error.to_string()))?;
    let wan = guest.until("an address on the WAN", UP_LIMIT, facts::wan);
    let (applied_ms, wan) = wan.map_or((0, Err("none".to_owned())), |(ms, address)| (ms, Ok(address)));
    let expected = |address: String| {
        if address.starts_with(WAN_ADDRESS) {
            Ok(address)
        } else {
            Err(format!("{address}, not {WAN_ADDRESS}"))
        }
    };
    report.fact("wan_address", wan.and_then(expected))?;
    through(guest, report)?;
    blocked(guest, report)?;
    let door = root::paths(kernel, Variant::Shipped)?.iter().any(|path| path.ends_with("/door"));
    report.fact(
        "shipped_root_has_no_door",
        if door { Err("it has".to_owned()) } else { Ok("yes".to_owned()) },
    )?;
    times(guest, report, applied_ms, bare)
}

/// What the host at home gets.
fn through(guest: &mut Guest, report: &mut Report<'_>) -> Result<(), Error> {
    let topology = guest.topology()?;
    let lease = topology.lan_lease(UP_LIMIT);
    report.fact("lan_address", lease.map_err(|_| "no lease".to_owned()))?;
    let mut get = |name: &str, url: String, word: &str| {
        let mut last = String::new();
        let got = wait::until(name, UP_LIMIT, || {
            Ok(match topology.fetch(Side::Lan, &url, FETCH)? {
                Ok(page) if page.contains(word) => Some(page.len()),
                Ok(page) => {
                    last = format!("another page: {}", page.lines().next().unwrap_or_default());
                    None
                }
                Err(why) => {
                    last = why;
                    None
                }
            })
        });
        report.fact(name, got.map(|bytes| format!("yes ({bytes} bytes)")).map_err(|_| last.clone()))
    };
    get("lan_host_gets_isp_page_through_nat", format!("http://{WEB_ADDRESS}/"), WEB_PAGE.trim_end())?;
    get("lan_host_gets_service_page", format!("http://{GATEWAY}/"), "<html")
}

/// What the provider's side does not get. Nobody translates the host's address for it, so it has to route to it, and it does.
fn blocked(guest: &mut Guest, report: &mut Report<'_>) -> Result<(), Error> {
    let topology = guest.topology()?;
    for route in [LAN, SERVICES.0] {
        topology.run(Side::Isp, &["ip", "route", "replace", route, "via", WAN_ADDRESS])?;
    }
    let mut open = Vec::new();
    let targets = PORTS.iter().map(|port| format!("{WAN_ADDRESS}:{port}"));
    let more = [format!("{GATEWAY}:80"), format!("{}:80", SERVICES.1)];
    for target in targets.chain(more) {
        match topology.fetch(Side::Isp, &format!("http://{target}/"), BLOCKED)? {
            Err(why) if why == "refused" || why == "timeout" => {}
            _ => open.push(target),
        }
    }
    let none_open = || Ok(format!("yes ({} ports tried)", PORTS.len() + 2));
    report
        .fact("wan_to_gateway_blocked", if open.is_empty() { none_open() } else { Err(open.join(", ")) })?;

    let page = topology.file("home");
    crate::house::make_folder(&page)?;
    std::fs::write(page.join("index.html"), "a page at home\n").map_err(Error::path(&page))?;
    let page = page.display().to_string();
    topology.start(Side::Lan, &["busybox", "httpd", "-f", "-p", LISTENER_PORT, "-h", &page])?;
    let Some(host) = topology.address(Side::Lan)? else {
        return report.fact("wan_to_lan_blocked", Err("the host at home has no address".to_owned()));
    };
    let url = format!("http://{host}:{LISTENER_PORT}/");
    let control =
        wait::until("the listener at home", FETCH, || Ok(topology.fetch(Side::Lan, &url, FETCH)?.ok()));
    let tried = topology.fetch(Side::Isp, &url, BLOCKED)?;
    report.fact(
        "wan_to_lan_blocked",
        match (control, tried) {
            (Err(_), _) => Err("the listener does not even answer at home".to_owned()),
            (Ok(_), Err(why)) if why == "refused" || why == "timeout" => Ok(format!("yes ({why})")),
            (Ok(_), other) => Err(format!("{other:?}")),
        },
    )
}

/// Times from PID 1's first line on, as the gateway tells them, against the bare init's of the same run.
fn times(guest: &mut Guest, report: &mut Report<'_>, wan_ms: u64, bare: peer::Bare) -> Result<(), Error> {
    let moments = match facts::moments(guest) {
        Ok(moments) => moments,
        Err(error) => return report.fact("service_ready_ms", Err(error.to_string())),
    };
    let since = |moment: u64| moment.saturating_sub(moments.init_ms);
    let ready_ms = since(moments.services_ms);
    let above_ms = ready_ms.saturating_sub(bare.loaded_ms);
    let verdict = if above_ms <= ABOVE_BARE_MS_MAX { "ok" } else { "short" };
    for (name, value) in [
        ("kernel_ms", moments.init_ms.to_string()),
        ("init_ms", since(moments.loop_ms).to_string()),
        ("wan_ms", since(wan_ms).to_string()),
        ("service_ready_ms", ready_ms.to_string()),
        ("bare_init_ms", bare.loaded_ms.to_string()),
        ("above_bare_ms", format!("{above_ms} goal <= {ABOVE_BARE_MS_MAX} {verdict}")),
    ] {
        report.fact(name, Ok(value))?;
    }
    Ok(())
}
