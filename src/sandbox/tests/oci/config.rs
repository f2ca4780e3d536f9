//! `config.json`, read: what the sandbox can do of it, or the key that it refuses.
//!
//! In:  a bundle's folder. Out: a `Container`. Pure, but for the file.
//!
//! Source: Open Container Initiative, runtime specification 1.0.2, config.md and config-linux.md.

use std::ffi::CString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use contract::Name;
use contract::manifest::Manifest;
use serde_json::Value;

use crate::stage::manifest;

/// What a container is, in the sandbox's words.
pub(crate) struct Container {
    pub(crate) manifest: Manifest,
    pub(crate) root: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

/// Where something is mounted in every sandbox; another place is refused.
const PLACES: [&str; 3] = ["/proc", "/dev", "/tmp"];
/// Namespaces that every sandbox has.
const NAMESPACES: [&str; 7] = ["user", "pid", "mount", "ipc", "uts", "cgroup", "network"];

/// Objects, and their keys that are read. One more that asks for something is refused: whoever asks for less than all, or more, is told.
const KEYS: [(&str, &[&str]); 6] = [
    ("", &["ociVersion", "process", "root", "mounts", "linux", "annotations", "hooks"]),
    ("/process", &["args", "env", "cwd", "terminal", "user", "capabilities", "noNewPrivileges"]),
    ("/root", &["path", "readonly"]),
    ("/linux", &["namespaces", "resources"]),
    ("/linux/resources", &["pids"]),
    ("/linux/resources/pids", &["limit"]),
];

/// The first key that is not read, and has a value.
fn unread(config: &Value) -> Option<String> {
    let asks = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    KEYS.iter().find_map(|(place, keys)| {
        let map = config.pointer(place)?.as_object()?;
        let (key, _) = map.iter().find(|(key, value)| !keys.contains(&key.as_str()) && asks(value))?;
        let path = format!("{place}/{key}").replace('/', ".");
        Some(format!("{}: it is not offered", path.trim_start_matches('.')))
    })
}

/// Keys and what they have to say, if they are there.
fn refused(config: &Value) -> Option<String> {
    let process = &config["process"];
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let rights = process["capabilities"].as_object().into_iter().flatten().all(|(_, set)| empty(set));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places =
        list(&config["mounts"]).iter().all(|one| PLACES.contains(&text(&one["destination"]).as_str()));
    let namespaces = list(&config["linux"]["namespaces"]);
    let own = |one: &Value| NAMESPACES.contains(&text(&one["type"]).as_str()) && one["path"].is_null();
    let zero = |value: &Value| value.as_u64().is_none_or(|id| id == 0);
    let rows = [
        ("ociVersion: 1.0 to 1.2", text(&config["ociVersion"]).starts_with("1.")),
        ("process.args: a program's path", text(&process["args"][0]).starts_with('/')),
        ("process.cwd: it is /", process["cwd"] == "/"),
        ("process.terminal: there is none", process["terminal"] != true),
        (
            "process.user: 0, in its own namespace",
            zero(&process["user"]["uid"]) && zero(&process["user"]["gid"]),
        ),
        ("process.capabilities: none", rights),
        ("process.noNewPrivileges: true", process["noNewPrivileges"] == true),
        ("root.readonly: true", config["root"]["readonly"] == true),
        ("mounts: /proc, /dev, /tmp", places),
        ("linux.namespaces: its own, of the seven kinds", namespaces.iter().all(own)),
        ("hooks: none", config["hooks"].is_null()),
    ];
    rows.iter().find(|(_, holds)| !holds).map(|(what, _)| (*what).to_owned()).or_else(|| unread(config))
}

/// A container's name in the sandbox, which is short and begins with a letter: an id may be a UUID, and need not.
pub(crate) fn called(id: &str) -> String {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("c-{:016x}", hasher.finish())
}

impl Container {
    /// Reads the `config.json` of a bundle.
    pub(crate) fn read(id: &str, bundle: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(bundle.join("config.json"))
            .map_err(|error| format!("config.json: {error}"))?;
        let config: Value = serde_json::from_str(&text).map_err(|error| format!("config.json: {error}"))?;
        if let Some(what) = refused(&config) {
            return Err(format!("config.json: {what}"));
        }
        let name = |text: &str| Name::new(text).map_err(|error| format!("{text}: {error}"));
        let mut manifest = manifest("");
        manifest.name = name(&called(id))?;
        manifest.provider = name("oci")?;
        if let Some(pids) = config["linux"]["resources"]["pids"]["limit"].as_u64() {
            manifest.limits.pids = u32::try_from(pids).map_err(|_| "linux.resources.pids.limit")?;
        }
        let root = bundle.join(config["root"]["path"].as_str().unwrap_or("rootfs"));
        Ok(Self {
            manifest,
            root: word(&root.display().to_string())?,
            arguments: list(&config["process"]["args"])?,
            environment: list(&config["process"]["env"])?,
        })
    }
}

fn word(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text}: a NUL"))
}

fn list(value: &Value) -> Result<Vec<CString>, String> {
    let words = value.as_array().into_iter().flatten();
    words.map(|one| word(one.as_str().unwrap_or_default())).collect()
}
