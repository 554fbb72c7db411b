//! Short texts from outside: requests on the admin sockets, tokens, requests for certificates.

use aggregator::admin::socket::Request;
use shared::enroll::{EnrollRequest, Reply, Token, TokenId};
use shared::tls::{Certificate, KeyHash, certificates_in_pem, key_in_pem, request_key, to_pem};

/// What JSON is made of.
pub const JSON_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"0.5",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\n",
    b"\xff",
    b"\0",
    b"\"\":",
];

/// A line on the admin sockets of both programs.
pub fn request(bytes: &[u8]) {
    match Request::parse(bytes) {
        Ok(request) => {
            let again = serde_json::to_vec(&request).expect("a request is JSON");
            assert_eq!(Request::parse(&again).as_ref(), Ok(&request), "a request survives its bytes");
        }
        Err(why) => assert!(!why.is_empty()),
    }
    if let Err(why) = agent::admin::requested(bytes) {
        assert!(!why.is_empty());
    }
}

/// One of each request.
#[must_use]
pub fn request_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"request":"revoke","agent":"web-1","reason":"stolen"}"#,
        r#"{"request":"sessions"}"#,
        "{\"request\":\"status\"}\n",
    ]
    .map(|line| line.as_bytes().to_vec())
    .to_vec()
}

/// The text of a token, and the messages in which one comes.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = String::from_utf8_lossy(bytes).parse::<Token>() {
        assert_eq!(token.reveal().parse::<Token>(), Ok(token.clone()), "a token survives its text");
        assert!(!format!("{token:?}").contains(&token.reveal()), "a secret is not shown");
    }
    if let Ok(request) = serde_json::from_slice::<EnrollRequest>(bytes) {
        let _ = request.token.parse::<Token>();
        let again = serde_json::to_vec(&request).expect("a request is JSON");
        assert!(serde_json::from_slice::<EnrollRequest>(&again).is_ok());
    }
    let _ = serde_json::from_slice::<Reply>(bytes);
}

fn sample_token() -> String {
    Token::new(KeyHash([7; 32]), TokenId([8; 8]), [9; 16]).reveal()
}

/// A token alone and in a request.
#[must_use]
pub fn token_seeds() -> Vec<Vec<u8>> {
    let token = sample_token();
    let request = format!(r#"{{"token":"{token}","csr":"MAA=","hostname":"web-1"}}"#);
    let reply = r#"{"refused":{"code":"final","message":"x"}}"#.to_owned();
    [format!(" {}\n", token.to_ascii_uppercase().replacen("PICKET", "picket", 1)), token, request, reply]
        .map(String::into_bytes)
        .to_vec()
}

/// DER of a request for a certificate, of a certificate, and PEM around either.
pub fn certificate(bytes: &[u8]) {
    let _ = request_key(bytes);
    let _ = Certificate::read(bytes);
    let _ = key_in_pem(bytes);
    if let Ok(certificates) = certificates_in_pem(bytes) {
        certificates.iter().for_each(|der| drop(Certificate::read(der)));
    }
    let pem = to_pem("CERTIFICATE", bytes);
    if !bytes.is_empty() {
        assert_eq!(certificates_in_pem(pem.as_bytes()), Ok(vec![bytes.to_vec()]), "DER survives its PEM");
    }
}

/// A request, a certificate, and its PEM.
#[must_use]
pub fn certificate_seeds() -> Vec<Vec<u8>> {
    let key = rcgen::KeyPair::generate().expect("the system gives random bytes");
    let names = rcgen::CertificateParams::new(vec!["web-1".to_owned()]).expect("a name is a name");
    let request = names.serialize_request(&key).expect("the key signs").der().to_vec();
    let certificate = names.self_signed(&key).expect("the key signs").der().to_vec();
    let pem = to_pem("CERTIFICATE", &certificate).into_bytes();
    vec![request, certificate, pem]
}
