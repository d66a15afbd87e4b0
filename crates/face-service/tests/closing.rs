//! Where a connection ends after an answer the answer says so, and what two servers could read in two ways ends it.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use face_service::paths::DETECT;
use support::{Answer, PASSWORD, Service, USER, basic};

/// The next answer on a connection that may go on after it.
fn next_answer(stream: &mut TcpStream) -> Answer {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("an ASCII header");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
    answer.body.resize(length, 0);
    stream.read_exact(&mut answer.body).expect("a body");
    answer
}

/// Whether the answer announces that the connection ends with it.
fn announced(answer: &Answer) -> bool {
    answer.header("connection") == Some("close")
}

/// The fields of a request that is let in.
fn fields() -> String {
    format!("Authorization: {}\r\nContent-Type: application/json\r\n", basic(USER, PASSWORD))
}

fn open(service: &Service, line: &str, fields: &str) -> TcpStream {
    let mut stream = service.connect();
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes()).expect("open");
    stream
}

fn ask(service: &Service, fields: &str) -> TcpStream {
    open(service, &format!("POST {DETECT}"), fields)
}

/// Nothing comes after the answer, also when the caller ends his half only now.
fn assert_ends(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let mut more = Vec::new();
    stream.read_to_end(&mut more).expect("an end, and no reset");
    assert_eq!(more, b"");
}

#[test]
fn an_answer_to_a_body_that_is_not_read_announces_the_end() {
    let service = Service::with(|settings| settings.requests_per_minute = 4);
    let large = "Content-Length: 5000000\r\n";
    let (known, wrong) = (fields(), "Authorization: Bearer x\r\nContent-Type: application/json\r\n");
    let text = known.replace("application/json", "text/plain");
    for (fields, status, code) in [
        (large.to_owned(), 401, "credentials_missing"),
        (format!("{wrong}Transfer-Encoding: chunked\r\n"), 401, "credentials_malformed"),
        (format!("{wrong}Expect: 100-continue\r\n{large}"), 401, "credentials_malformed"),
        (format!("{known}Content-Length: 100000000\r\n"), 413, "body_too_large"),
        (format!("{text}{large}"), 415, "content_type_unsupported"),
        (format!("{known}Content-Encoding: gzip\r\n{large}"), 415, "content_encoding_unsupported"),
        (
            format!("{known}Expect: 100-continue\r\nContent-Encoding: br\r\n{large}"),
            415,
            "content_encoding_unsupported",
        ),
        (format!("{known}{large}"), 429, "rate_limited"),
    ] {
        let mut stream = ask(&service, &fields);
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{fields}");
        assert!(announced(&answer), "{code}: {answer:?}");
        assert_ends(stream);
    }
    for (line, status) in [("POST /nowhere", 404), ("PUT /healthz", 405)] {
        let mut stream = open(&service, line, large);
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, announced(&answer)), (status, true), "{line}: {answer:?}");
        assert_ends(stream);
    }
}

#[test]
fn a_service_that_is_not_ready_announces_the_end_to_who_still_sends() {
    let service = Service::with_analyzer(|_| {}, None);
    let mut stream = ask(&service, &format!("{}Content-Length: 5000000\r\n", fields()));
    let answer = next_answer(&mut stream);
    assert_eq!((answer.status, &*answer.code(), announced(&answer)), (503, "not_ready", true), "{answer:?}");
    // He gets to send it all the same, and nothing of it is lost on the way.
    stream.write_all(&vec![b' '; 5_000_000]).expect("still read");
    assert_ends(stream);
}

#[test]
fn an_answer_to_a_body_that_does_not_come_announces_the_end() {
    let service = Service::with(|settings| settings.server.body_timeout_ms = 400);
    for (framing, sent, ends, code) in [
        ("Content-Length: 5000000", "{", true, "body_incomplete"),
        ("Content-Length: 20", "{", true, "body_incomplete"),
        ("Transfer-Encoding: chunked", "5\r\n{", true, "body_incomplete"),
        ("Content-Length: 5000000", "{", false, "body_timeout"),
        ("Content-Length: 20", "{", false, "body_timeout"),
        ("Transfer-Encoding: chunked", "1\r\n{\r\n", false, "body_timeout"),
    ] {
        let mut stream = ask(&service, &format!("{}{framing}\r\n", fields()));
        stream.write_all(sent.as_bytes()).expect("open");
        if ends {
            stream.shutdown(Shutdown::Write).expect("open");
        }
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, &*answer.code()), (400, code), "{framing}");
        assert!(announced(&answer), "{framing}: {answer:?}");
        let message = answer.envelope()["errorDetail"]["message"].to_string();
        assert!(!message.contains("announced"), "a chunked body has none: {message}");
        assert_ends(stream);
    }
}

#[test]
fn a_small_body_that_nobody_needs_keeps_the_connection() {
    let service = Service::start();
    let mut stream = ask(&service, "Content-Length: 2\r\n\r\n{}");
    // The blank line that `ask` adds is one that a server ignores before a request.
    assert_eq!(next_answer(&mut stream).status, 401);
    for (fields, status) in [
        ("Content-Length: 2\r\n\r\n{}".to_owned(), 401),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(), 401),
        (format!("{}Content-Length: 2\r\n\r\n{{}}", fields().replace("json", "xml")), 415),
        (format!("{}Content-Length: 2\r\n\r\n{{}}", fields()), 400),
    ] {
        let request = format!("POST {DETECT} HTTP/1.1\r\nHost: x\r\n{fields}");
        stream.write_all(request.as_bytes()).expect("open");
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, announced(&answer)), (status, false), "{answer:?}");
    }
}

#[test]
fn transfer_codings_other_than_one_chunked_are_refused() {
    let service = Service::start();
    let smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (codings, status, code) in [
        ("gzip, chunked", 501, "transfer_coding_unsupported"),
        ("identity, chunked", 501, "transfer_coding_unsupported"),
        ("gzip\r\nTransfer-Encoding: chunked", 501, "transfer_coding_unsupported"),
        ("x;q=\"a\", Chunked", 501, "transfer_coding_unsupported"),
        ("chunked, chunked", 400, "http_malformed"),
        ("chunked, gzip, CHUNKED", 400, "http_malformed"),
        ("chunked\r\nTransfer-Encoding: chunked", 400, "http_malformed"),
        (", chunked", 400, "http_malformed"),
        ("gzip", 400, "http_malformed"),
        ("chunked, gzip", 400, "http_malformed"),
    ] {
        let mut stream = ask(&service, &format!("{}Transfer-Encoding: {codings}\r\n", fields()));
        let _ = stream.write_all(smuggled.as_bytes());
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, &*answer.code(), announced(&answer)), (status, code, true), "{codings}");
        assert_ends(stream);
    }
    for codings in ["chunked", "Chunked", " CHUNKED \t"] {
        let mut stream = ask(&service, &format!("{}Transfer-Encoding: {codings}\r\n", fields()));
        stream.write_all(b"2\r\n{}\r\n0\r\n\r\n").expect("open");
        let answer = next_answer(&mut stream);
        assert_eq!((&*answer.code(), announced(&answer)), ("session_id_invalid", false), "{codings}");
    }
}

#[test]
fn chunks_that_cannot_be_read_are_told_from_a_body_that_ended() {
    let service = Service::start();
    for chunks in
        ["zz\r\n{}\r\n", "\r\n", "-1\r\n{}\r\n", "1\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}", "2 2\r\n"]
    {
        let mut stream = ask(&service, &format!("{}Transfer-Encoding: chunked\r\n", fields()));
        stream.write_all(chunks.as_bytes()).expect("open");
        let answer = next_answer(&mut stream);
        assert_eq!((answer.status, &*answer.code(), announced(&answer)), (400, "http_malformed", true), "{chunks:?}");
        let message = answer.envelope()["errorDetail"]["message"].to_string();
        assert!(message.contains("chunk"), "{message}");
        assert_ends(stream);
    }
}
