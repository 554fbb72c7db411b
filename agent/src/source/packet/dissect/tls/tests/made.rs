//! Handshakes written by hand.

/// A record.
pub fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// A handshake message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], body].concat()
}

/// An extension.
pub fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(content)].concat()
}

/// Bytes behind their length in two octets.
pub fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Bytes behind their length in three octets.
pub fn vec24(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..], bytes].concat()
}

/// A `ClientHello` of version 1.2 with these extensions.
pub fn client_hello(session: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let head = [&[3, 3][..], &[7; 32], &[u8::try_from(session.len()).unwrap()], session].concat();
    let suites = vec16(&[0x0a, 0x0a, 0x13, 0x01, 0xc0, 0x2f, 0x00, 0x2f]);
    message(1, &[head, suites, vec![1, 0], vec16(&extensions.concat())].concat())
}

/// What a client usually says: a name, protocols, groups, algorithms.
pub fn usual() -> Vec<Vec<u8>> {
    vec![
        extension(0x1a1a, &[]),
        extension(0, &vec16(b"\0\0\x0bexample.org")),
        extension(10, &vec16(&[0x2a, 0x2a, 0, 29, 0, 23])),
        extension(11, &[1, 0]),
        extension(13, &vec16(&[4, 3, 8, 4])),
        extension(16, &vec16(b"\x02h2\x08http/1.1")),
    ]
}

/// The extension by which a client offers versions 1.3 and 1.2.
pub fn offers_tls13() -> Vec<u8> {
    extension(43, &[6, 0x3a, 0x3a, 3, 4, 3, 3])
}

/// A `ServerHello` of version 1.2.
pub fn server_hello(session: &[u8], suite: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
    server_hello_of([3, 3], [9; 32], session, suite, extensions)
}

/// A `ServerHello` of version 1.3.
pub fn server_hello13(extensions: &[Vec<u8>]) -> Vec<u8> {
    let chosen = [extensions, &[extension(43, &[3, 4])]].concat();
    server_hello_of([3, 3], [9; 32], &[], 0x1301, &chosen)
}

/// A `ServerHello`.
pub fn server_hello_of(
    version: [u8; 2],
    random: [u8; 32],
    session: &[u8],
    suite: u16,
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    let head = [&version[..], &random, &[u8::try_from(session.len()).unwrap()], session].concat();
    message(2, &[&head[..], &suite.to_be_bytes(), &[0], &vec16(&extensions.concat())].concat())
}

/// A Certificate message.
pub fn certificates(chain: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = chain.iter().flat_map(|certificate| vec24(certificate)).collect();
    message(11, &vec24(&list))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = if len < 128 {
        vec![tag, u8::try_from(len).unwrap()]
    } else {
        [&[tag, 0x82][..], &u16::try_from(len).unwrap().to_be_bytes()].concat()
    };
    [&head, content].concat()
}

fn common_name(name: &str) -> Vec<u8> {
    let organization = der(0x30, &[der(6, &[0x55, 4, 10]), der(0x0c, b"Acme, Inc.")].concat());
    let name = der(0x30, &[der(6, &[0x55, 4, 3]), der(0x0c, name.as_bytes())].concat());
    der(0x30, &[der(0x31, &organization), der(0x31, &name)].concat())
}

/// A certificate that nobody signed, valid from 2020 until these two octets of a year.
pub fn certificate(issuer: &str, subject: &str, sans: &[&str], until: &str) -> Vec<u8> {
    let algorithm = der(0x30, &[der(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]), der(5, &[])].concat());
    let times = [der(0x17, b"200101000000Z"), der(0x17, format!("{until}0101000000Z").as_bytes())].concat();
    let key = der(0x30, &[der(0x30, &der(6, &[0x2b, 0x65, 0x70])), der(3, &[&[0][..], &[5; 32]].concat())].concat());
    let sans: Vec<u8> = sans.iter().flat_map(|name| der(0x82, name.as_bytes())).collect();
    let sans = der(0x30, &[der(6, &[0x55, 0x1d, 17]), der(4, &der(0x30, &sans))].concat());
    let parts = [
        der(0xa0, &der(2, &[2])),
        der(2, &[0, 0xab, 0xcd]),
        algorithm.clone(),
        common_name(issuer),
        der(0x30, &times),
        common_name(subject),
        key,
        der(0xa3, &der(0x30, &sans)),
    ];
    der(0x30, &[der(0x30, &parts.concat()), algorithm, der(3, &[0, 1, 2, 3])].concat())
}
