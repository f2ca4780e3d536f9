//! What says who somebody is: a gateway's request, certificates of peers and authorities, PEM.

use tests::fuzz::run;
use x509::{Authority, Certificate, Key, Request, issue, pem};

const ENDPOINT: &str = "os::0019CB-S%201";

fn request() -> Vec<u8> {
    Request::write(&Key::make().unwrap(), ENDPOINT).unwrap()
}

fn chain() -> Vec<u8> {
    let authority = Authority::make("Operator", issue::ALWAYS_S).unwrap();
    let asked = Request::read(&request()).unwrap();
    [&authority.sign(&asked, issue::ALWAYS_S).unwrap(), authority.certificate()].concat()
}

#[test]
fn x509_request() {
    // Whatever is bent was signed otherwise: only as it was is it taken, or what stands in for it byte by byte.
    run("x509_request", &[&request()], |bytes| {
        let Ok(asked) = Request::read(bytes) else { return };
        assert_eq!(asked.endpoint, ENDPOINT);
    });
}

#[test]
fn x509_certificates() {
    let chain = chain();
    let (own, _) = x509::der::whole(&chain).unwrap();
    run("x509_certificates", &[&chain, own], |bytes| {
        let Some(chain) = Certificate::chain(bytes) else { return };
        let (own, _) = x509::der::whole(bytes).expect("the first of a chain is there");
        assert_eq!(chain.first(), Certificate::read(own).as_ref(), "alone as in the chain");
    });
}

#[test]
fn x509_pem() {
    let text = pem::write(pem::CERTIFICATE, &chain()) + &pem::write(pem::REQUEST, &request());
    run("x509_pem", &[text.as_bytes()], |bytes| {
        let _ = (pem::request(bytes), pem::secret(bytes));
        let Ok(all) = pem::certificates(bytes) else { return };
        let again = pem::write(pem::CERTIFICATE, &all);
        assert_eq!(pem::certificates(again.as_bytes()), Ok(all), "what we write, we read");
    });
}
