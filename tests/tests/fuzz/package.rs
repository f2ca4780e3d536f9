//! What `package` reads of registries that it does not know: heads, bodies, addresses, challenges, tokens; and what lies on a disk.

use package::book::Book;
use package::http::{self, Body};
use package::operator;
use package::registry::Source;
use package::url::{Origin, Url};

use bundle::distribution::{Challenge, token};
use tests::fuzz::run;

const HEADS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n\r\nhello",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-99/100\r\nContent-Length: 93\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://blobs.example/x?y=z\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"https://a/\",scope=\"x\"\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
];

#[test]
fn package_http() {
    run("package http", HEADS, |bytes| {
        let Ok(Some((head, size))) = http::head(bytes) else { return };
        assert!(size <= bytes.len() && size <= http::HEAD_BYTES_MAX);
        let (mut body, mut rest, mut total) = (Body::of(&head), &bytes[size..], 0);
        while body != Body::Done {
            let Ok((taken, part)) = body.take(rest) else { return };
            assert!(taken >= part.len() && taken <= rest.len());
            total += part.len();
            if taken == 0 || rest.is_empty() {
                break;
            }
            rest = &rest[taken..];
        }
        assert!(total <= bytes.len() - size);
        if let (Some(length), Body::Done) = (head.length, body) {
            assert!(matches!(head.status, 204 | 304) || length == u64::try_from(total).unwrap());
        }
    });
}

#[test]
fn package_addresses() {
    let samples: &[&[u8]] = &[
        b"https://registry.example:5000/demo/hello:1",
        b"https://[2001:db8::1]/a/b@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"http://127.0.0.1:5000/demo/hello:1",
        b"/v2/x?y#z",
        b"//a.example/x",
    ];
    run("package addresses", samples, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        // What goes into a request has no line's end in it, and no space.
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let base = Origin::parse(true, "registry.example").unwrap();
        if let Some(url) = Url::parse(&text, Some(&base)) {
            assert!(
                url.target.starts_with('/') && plain(&url.target) && plain(&url.origin.authority),
                "{text}"
            );
        }
        if let Ok(source) = Source::parse(&text, &["127.0.0.1:5000".to_owned()]) {
            assert!(plain(&source.reference.to_string()) && plain(&source.origin.authority), "{text}");
            assert!(source.origin.tls || source.origin.authority == "127.0.0.1:5000", "{text}");
        }
    });
}

#[test]
fn package_challenges() {
    let samples: &[&[u8]] = &[
        b"Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a/b:pull\"",
        b"Negotiate oYH1Mw==, Basic realm=\"a \\\" b\"",
        b"{\"token\":\"abc\",\"access_token\":\"def\",\"expires_in\":300}",
    ];
    run("package challenges", samples, |bytes| {
        if let Some(Challenge::Bearer(bearer)) = Challenge::parse(&String::from_utf8_lossy(bytes)) {
            assert!(bearer.url().bytes().all(|byte| byte.is_ascii_graphic()), "{bearer:?}");
        }
        if let Some(token) = token(bytes) {
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    });
}

#[test]
fn package_files() {
    let slice = "{\"name\":\"demo\",\"cpu\":{\"floor_permille\":1,\"ceiling_permille\":1000},\"memory\":{\"floor_mib\":8,\"high_mib\":0,\
        \"ceiling_mib\":64},\"uplink\":{\"floor_kbit_s\":0},\"downlink\":{\"floor_kbit_s\":7,\"ceiling_kbit_s\":8}}";
    let entry = "{\"name\":\"hello\",\"source\":\"https://a/b:1\",\"tag\":\"x\",\"autostart\":true,\"installed_s\":[1,2]}";
    let book = format!("{{\"slices\":[{slice}],\"services\":[{entry}]}}");
    assert!(Book::parse(book.as_bytes()).is_some_and(|book| book.slices().len() == 1));
    let samples: &[&[u8]] = &[book.as_bytes(), b"plain_http = ['127.0.0.1:5000']\nsilence_s = 30\n"];
    run("package files", samples, |bytes| {
        if let Some(book) = Book::parse(bytes) {
            assert_eq!(Book::parse(&book.bytes()), Some(book));
        }
        let _ = operator::parse(&String::from_utf8_lossy(bytes));
    });
}
