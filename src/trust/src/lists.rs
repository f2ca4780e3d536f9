//! Who is no longer to be believed: lists of revoked certificates (CRL), in two files beside those of the anchors.
//!
//! In:  PEM texts with any number of lists, or one list in DER. Out: lists for rustls, the newest first; which of them should have been replaced.
//!
//! A file that is there and cannot be read is an error, and not as if there was none: who was revoked would be believed again. It is read for
//! each connection, so a new one counts for the next.
//!
//! Not here: fetching lists, or asking anybody about one certificate (OCSP): docs/decisions/0126-lists-of-revoked-certificates.md.
//!
//! Source: RFC 5280 §5; RFC 7468 §6.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer as Der;
use rustls::pki_types::pem::PemObject;
use x509::List;

use crate::Error;

/// The image's. It may be absent.
pub const SHIPPED: &str = "/etc/shg/revoked.pem";
/// The operator's, on the data disk. It may be absent.
pub const GIVEN: &str = "/data/state/revoked.pem";

/// What is read of one file, in bytes: 1 700 certificates. Each connection by TLS holds as much again three times over.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Lists of both files.
const LISTS_MAX: usize = 16;
/// How a sequence of DER begins, and no line of a text.
const DER: u8 = 0x30;

/// Lists of revoked certificates.
#[derive(Debug, Clone, Default)]
pub struct Lists(Arc<[(List, Der<'static>)]>);

/// By which it is seen that a file is another one: device and inode, size, when it was written (s, ns). `None`: it is not there.
pub type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

/// What both files are now.
#[must_use]
pub fn stamp() -> Stamp {
    [SHIPPED, GIVEN].map(|path| {
        let one = fs::metadata(path).ok()?;
        Some((one.dev(), one.ino(), one.size(), one.mtime(), one.mtime_nsec()))
    })
}

/// Those of both files. A file that is not there holds none.
///
/// # Errors
/// [`Error::List`]: one is there and cannot be used.
pub fn read() -> Result<Lists, Error> {
    read_at(&[Path::new(GIVEN), Path::new(SHIPPED)])
}

/// Those of these files.
///
/// # Errors
/// As [`read`].
pub fn read_at(paths: &[&Path]) -> Result<Lists, Error> {
    let mut all = Vec::new();
    for path in paths {
        let bad = |why: String| Error::List(format!("{}: {why}", path.display()));
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(bad(error.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(bad(format!("more than {FILE_BYTES_MAX} bytes")));
        }
        all.extend(parse(&bytes).ok_or_else(|| bad("no list of revoked certificates in it".to_owned()))?);
    }
    if all.len() > LISTS_MAX {
        return Err(Error::List(format!("more than {LISTS_MAX} lists of revoked certificates")));
    }
    // rustls takes the first list of an authority: of two of one's the newer counts.
    all.sort_by_key(|(list, _)| std::cmp::Reverse(list.this_update_s));
    Ok(Lists(all.into()))
}

/// Those of one file; `None`: there is none in it, or one that is none.
fn parse(bytes: &[u8]) -> Option<Vec<(List, Der<'static>)>> {
    let ders: Vec<Der<'static>> = if bytes.first() == Some(&DER) {
        vec![Der::from(bytes.to_vec())]
    } else {
        Der::pem_slice_iter(bytes).take(LISTS_MAX + 1).collect::<Result<_, _>>().ok()?
    };
    let lists = ders.into_iter().map(|der| Some((List::read(&der)?, der)));
    let lists: Vec<_> = lists.collect::<Option<_>>()?;
    (!lists.is_empty()).then_some(lists)
}

impl Lists {
    /// Those that should have been replaced by now, in seconds since 1970. They go on counting.
    pub fn overdue(&self, now_s: i64) -> impl Iterator<Item = &List> {
        let all = self.0.iter().map(|(list, _)| list);
        all.filter(move |list| list.next_update_s.is_some_and(|next_s| next_s < now_s))
    }

    /// As rustls wants them.
    pub(crate) fn ders(&self) -> impl Iterator<Item = Der<'static>> {
        self.0.iter().map(|(_, der)| der.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::{FILE_BYTES_MAX, Lists, read_at};
    use crate::anchors::Anchors;
    use crate::clock::Clock;
    use crate::signer::signer;

    /// Made by openssl 3.0: `leaf` (DNS:usp.isp.example), signed by `sub`, signed by `root`, in this order; and lists (`ca -gencrl`) of `sub` in which
    /// is nobody, and `leaf`; of `root` with `sub`; of `sub` with `leaf`, which ended in February 2025; one with `sub` that another `root` signed.
    const CHAIN: &[u8] = include_bytes!("../tests/data/lists/chain.pem");
    const NOW: Clock = Clock::Supposed(1_800_000_000);

    fn list(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lists").join(name)
    }

    fn lists(names: &[&str]) -> Lists {
        let paths: Vec<PathBuf> = names.iter().map(|name| list(name)).collect();
        read_at(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>()).unwrap()
    }

    // Shows R-MTP.4a, R-SEC.24a.
    #[test]
    fn who_is_in_a_list_is_not_believed() {
        let chain: Vec<CertificateDer> = CertificateDer::pem_slice_iter(CHAIN).map(Result::unwrap).collect();
        let [leaf, sub, root] = chain.as_slice() else { unreachable!() };
        let host = crate::server_name("usp.isp.example").unwrap();
        for (what, names, good) in [
            ("no list", &[][..], true),
            ("nobody in it", &["none.pem"], true),
            ("it is in it", &["leaf-gone.pem"], false),
            ("the newer list counts", &["none.pem", "leaf-gone.pem"], false),
            ("wherever it stands", &["leaf-gone.pem", "none.pem"], false),
            ("who has signed it is in one", &["none.pem", "sub-gone.pem"], false),
            ("one that should have been replaced counts", &["overdue.pem"], false),
            ("one that the authority has not signed", &["forged.pem"], false),
        ] {
            let mut anchors = Anchors::default();
            anchors.add(root.clone());
            let anchors = [anchors.but(lists(names))];
            let shown = [leaf.clone(), sub.clone()];
            let want = good.then_some(0);
            assert_eq!(signer(&anchors, &shown, Some(&host), NOW), want, "{what}");
            assert_eq!(signer(&anchors, &shown, None, NOW), want, "{what}: it calls");
        }
        let overdue = lists(&["none.pem", "overdue.pem"]);
        let names: Vec<&str> = overdue.overdue(1_800_000_000).map(|one| one.issuer.as_str()).collect();
        assert_eq!(names, ["sub"]);
        assert_eq!(overdue.overdue(1_737_000_000).count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_not_as_if_there_was_none() {
        let folder = std::env::temp_dir().join(format!("lists-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("revoked.pem");
        let good = fs::read_to_string(list("none.pem")).unwrap();
        let der = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(good.as_bytes()).unwrap();
        let cut = good.trim_end().len() - 30;
        for (what, bytes, want) in [
            ("one", good.clone().into_bytes(), Ok(1)),
            ("two and words", format!("# of sub\n{good}{good}").into_bytes(), Ok(2)),
            ("DER", der.to_vec(), Ok(1)),
            ("nothing", Vec::new(), Err("no list")),
            ("words", b"nobody\n".to_vec(), Err("no list")),
            ("cut", good.as_bytes()[..cut].to_vec(), Err("no list")),
            ("DER, cut", der[..der.len() - 1].to_vec(), Err("no list")),
            ("a certificate", CHAIN.to_vec(), Err("no list")),
            (
                "too long",
                vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1],
                Err("more than 65536 bytes"),
            ),
            ("too many", good.repeat(17).into_bytes(), Err("more than 16 lists")),
        ] {
            fs::write(&file, bytes).unwrap();
            let found = read_at(&[&file]).map(|lists| lists.0.len()).map_err(|error| error.to_string());
            match (found, want) {
                (Ok(found), Ok(want)) => assert_eq!(found, want, "{what}"),
                (Err(found), Err(want)) => assert!(found.contains(want), "{what}: {found}"),
                (found, want) => unreachable!("{what}: {found:?}, not {want:?}"),
            }
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(read_at(&[&file]).unwrap().0.len(), 0, "none is there");
        assert!(read_at(&[&folder]).is_err(), "a folder is none");
        fs::remove_dir(&folder).unwrap();
    }
}
