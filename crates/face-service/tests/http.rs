//! The HTTP contract, over real connections, with the real networks.

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use face_analysis::{FaceAnalyzer, Settings};
use face_service::contract::FaceImagePlace;
use face_service::paths::{DETECT, OPENAPI};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use socket2::SockRef;
use support::{Answer, PASSWORD, Service, USER, base64, basic, request_bytes};
use testkit::{jpeg, picture, png, portrait};

/// A portrait that meets every rule.
fn usable() -> Vec<u8> {
    jpeg(&portrait(2.0), 92)
}

fn with(body: Value) -> Value {
    let mut whole = json!({ "sessionId": "bbbf9002-c3a2", "faceImageBase": base64(&usable()) });
    whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    whole
}

#[test]
fn a_usable_face_is_answered_with_its_attributes() {
    let service = Service::start();
    let answer = service.detect(&with(json!({})));
    assert_eq!(answer.status, 200);
    let json = answer.envelope();
    assert_eq!((&json["sessionId"], &json["hasError"]), (&json!("bbbf9002-c3a2"), &json!(false)));
    let face = &json["face"];
    assert!(face["age"].is_u64() && face["gender"].as_i64().is_some_and(|g| (-10_000..=10_000).contains(&g)), "{face}");
    assert!(face["passiveLivenessScore"].as_f64().is_some_and(|s| (0.0..=1.0).contains(&s)), "{face}");
    let side = |name: &str| face["rectangle"][name].as_u64().unwrap_or_else(|| panic!("{name} in {face}"));
    assert_eq!(side("right"), side("left") + side("width"));
    assert_eq!(side("bottom"), side("top") + side("height"));
    assert!(json.get("faceImageBase").is_none() && face.get("faceImageBase").is_none());
    assert!(json.get("details").is_none());
}

#[test]
fn a_picture_that_breaks_a_rule_is_a_200_with_its_word() {
    let service = Service::start();
    for (bytes, word) in [
        (picture("coffee.png"), "FACE_NOT_FOUND"),
        (picture("t1.jpg"), "TOO_MANY_FACES"),
        (picture("astronaut.png"), "FACE_TOO_SMALL"),
    ] {
        let answer = service.picture(&bytes);
        assert_eq!((answer.status, answer.envelope()["error"].as_str()), (200, Some(word)));
        assert_eq!(answer.envelope()["sessionId"], "a picture");
    }
}

#[test]
fn every_kind_of_bad_body_is_a_400_that_names_what_is_wrong() {
    let service = Service::start();
    let cases = [
        ("", "json_malformed", None),
        ("{", "json_malformed", None),
        ("[\"s\", \"AAAA\"]", "json_malformed", None),
        ("{\"faceImageBase\": \"AAAA\"}", "session_id_invalid", None),
        ("{\"sessionId\": 7, \"faceImageBase\": \"AAAA\"}", "session_id_invalid", None),
        ("{\"sessionId\": \"s\"}", "face_image_base_invalid", Some("s")),
        ("{\"sessionId\": \"s\", \"faceImageBase\": 7}", "face_image_base_invalid", Some("s")),
        ("{\"sessionId\": \"s\", \"faceImageBase\": \"%%%\"}", "base64_malformed", Some("s")),
        ("{\"sessionId\": \"s\", \"faceImageBase\": \"data:image/png,abc\"}", "data_uri_malformed", Some("s")),
        (
            "{\"sessionId\": \"s\", \"faceImageBase\": \"AAAA\", \"returnFaceImage\": \"yes\"}",
            "return_face_image_invalid",
            Some("s"),
        ),
        (
            "{\"sessionId\": \"s\", \"faceImageBase\": \"AAAA\", \"returnDetails\": 1}",
            "return_details_invalid",
            Some("s"),
        ),
    ];
    for (body, code, session_id) in cases {
        let answer = service.detect_bytes(body.as_bytes());
        let json = answer.envelope();
        assert_eq!((answer.status, &*answer.code()), (400, code), "{body}");
        assert_eq!(
            (json["error"].as_str(), json["sessionId"].as_str()),
            (Some("INTERNAL_ERROR"), session_id),
            "{body}"
        );
    }
}

#[test]
fn nobody_is_let_in_without_the_right_password() {
    let service = Service::start();
    let body = with(json!({})).to_string();
    let (wrong, unknown) = (basic(USER, "wrong"), basic("bob", PASSWORD));
    let headers = [None, Some("Bearer abc"), Some("Basic"), Some(wrong.as_str()), Some(unknown.as_str())];
    for authorization in headers {
        let mut sent = vec![("Content-Type", "application/json")];
        sent.extend(authorization.map(|value| ("Authorization", value)));
        let answer = service.request("POST", DETECT, &sent, body.as_bytes());
        assert_eq!(answer.status, 401, "{authorization:?}");
        assert!(answer.header("www-authenticate").is_some_and(|v| v.starts_with("Basic ")), "{answer:?}");
        assert_eq!(answer.envelope()["error"], "INTERNAL_ERROR");
    }
    // What was refused before is refused again; another guess at the same name from the same address has to wait after
    // failures, each time longer, and is told how long.
    let guess = |password: &str| {
        let authorization = basic(USER, password);
        let sent = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
        service.request("POST", DETECT, &sent, body.as_bytes())
    };
    assert!((0..3).all(|_| guess("wrong").code() == "credentials_wrong"));
    let answers: Vec<_> = (0..6).map(|number| guess(&format!("wrong {number}"))).collect();
    let told = answers.iter().find(|answer| answer.status == 429).expect("a pause after six wrong passwords");
    assert_eq!(told.code(), "too_many_failed_logins");
    assert!(told.header("retry-after").and_then(|v| v.parse::<u64>().ok()).is_some_and(|s| s >= 1), "{told:?}");
}

#[test]
fn behind_a_named_proxy_wrong_passwords_count_for_the_caller_it_names() {
    // Each guess is another one: what was refused before is not counted again.
    let guesses = Cell::new(0);
    // Who is not let in is told so whatever the body is.
    let status = |service: &Service, caller: &str| {
        guesses.set(guesses.get() + 1);
        let wrong = basic(USER, &format!("wrong {}", guesses.get()));
        let sent =
            [("Content-Type", "application/json"), ("Authorization", wrong.as_str()), ("X-Forwarded-For", caller)];
        service.request("POST", DETECT, &sent, b"{}").status
    };
    let proxied = Service::with(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.1".to_owned().try_into().expect("an address")];
    });
    // What a caller wrote before the proxy added his address does not make him another one. A short wait may be over
    // before that is asked: then it is the next caller's turn, with another lie.
    let slowed = (1..=5).any(|number| {
        let caller = format!("198.51.100.{number}");
        (0..6).any(|_| status(&proxied, &caller) == 429)
            && status(&proxied, &format!("192.0.2.{number}, {caller}")) == 429
    });
    assert!(slowed, "the caller whom the proxy names is never slowed");
    for number in 11..=14 {
        assert_eq!(status(&proxied, &format!("198.51.100.{number}")), 401, "the others are not");
    }
    // Without the setting the header is not read: all of them are one address.
    let direct = Service::start();
    assert!((21..=26).any(|number| status(&direct, &format!("198.51.100.{number}")) == 429));
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_in_the_envelope() {
    let service = Service::start();
    for path in ["/api", "/api/v1/face", "/api/v1/face/detect/", "/api/v1/face/detect/x", "/%2e%2e/etc/passwd"] {
        let answer = service.request("POST", path, &[], b"{}");
        assert_eq!((answer.status, &*answer.code()), (404, "path_unknown"), "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = service.request(method, DETECT, &[], b"");
        assert_eq!((answer.status, &*answer.code()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let answer = service.request("POST", "/healthz", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn every_answer_of_every_path_is_its_content_or_the_envelope() {
    let service = Service::start();
    let content = [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/docs/main.js", "text/javascript"),
        ("/playground/style.css", "text/css"),
        ("/favicon.svg", "image/svg+xml"),
        ("/healthz", "text/plain"),
        ("/readyz", "text/plain"),
        (OPENAPI, "application/json"),
    ];
    let errors = [(DETECT, 405), ("/metrics", 404), ("/x", 404), ("/docs/", 404), ("//", 404), ("/a%20%ff?b=c", 404)];
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
    for (method, (path, media)) in methods.iter().flat_map(|method| content.map(|case| (*method, case))) {
        let answer = service.request(method, path, &[], b"");
        if method == "GET" {
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").is_some_and(|v| v.starts_with(media)), "{path}: {answer:?}");
        } else {
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
            assert_eq!(answer.code(), "method_not_allowed");
        }
        let head = service.request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    for (method, (path, status)) in methods.iter().flat_map(|method| errors.map(|case| (*method, case))) {
        let answer = service.request(method, path, &[], b"{}");
        // Who posts to the call without a password learns of that first.
        let status = if (method, path) == ("POST", DETECT) { 401 } else { status };
        assert_eq!((answer.status, &answer.envelope()["error"]), (status, &json!("INTERNAL_ERROR")), "{method} {path}");
    }
}

#[test]
fn bodies_and_pictures_over_a_limit_are_413() {
    let service = Service::with(|settings| {
        settings.server.max_body_bytes = 100_000;
        settings.server.max_image_bytes = 50_000;
    });
    let long = "A".repeat(150_000);
    let answer = service.detect(&json!({ "sessionId": "s", "faceImageBase": long }));
    assert_eq!((answer.status, &*answer.code()), (413, "body_too_large"));
    let answer = service.detect(&json!({ "sessionId": "s", "faceImageBase": &long[..80_000] }));
    assert_eq!((answer.status, &*answer.code()), (413, "image_too_large"));
    // Without a declared length the bytes are counted as they come.
    let authorization = basic(USER, PASSWORD);
    let mut chunked = format!(
        "POST {DETECT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..15 {
        chunked.extend(b"2710\r\n");
        chunked.extend([b' '; 10_000]);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answer = service.raw(&chunked);
    assert_eq!((answer.status, &*answer.code()), (413, "body_too_large"));
}

#[test]
fn only_json_is_taken() {
    let service = Service::start();
    let authorization = basic(USER, PASSWORD);
    let body = with(json!({})).to_string();
    for (name, value) in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/jsonx"),
        ("X-Nothing", "no content type at all"),
    ] {
        let headers = [("Authorization", authorization.as_str()), (name, value)];
        assert_eq!(service.request("POST", DETECT, &headers, body.as_bytes()).status, 415, "{value}");
    }
    let zipped =
        [("Authorization", authorization.as_str()), ("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let answer = service.request("POST", DETECT, &zipped, body.as_bytes());
    assert_eq!((answer.status, &*answer.code()), (415, "content_encoding_unsupported"));
    let charset = [("Authorization", authorization.as_str()), ("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(service.request("POST", DETECT, &charset, body.as_bytes()).status, 200);
}

#[test]
fn what_is_no_usable_picture_is_a_422_that_says_why() {
    let service = Service::start();
    let whole = usable();
    let cases: [(&[u8], &str); 4] = [
        (b"hello, this is no picture", "image_format_unknown"),
        (&whole[..whole.len() / 2], "image_malformed"),
        (b"\x89PNG\r\n\x1a\n", "image_malformed"),
        (&png_header(30_000, 30_000), "image_side_too_long"),
    ];
    for (bytes, code) in cases {
        let answer = service.picture(bytes);
        assert_eq!((answer.status, &*answer.code()), (422, code));
        assert_eq!(answer.envelope()["sessionId"], "a picture");
    }
    let answer = service.picture(&png_header(9_000, 9_000));
    assert_eq!((answer.status, &*answer.code()), (422, "image_too_many_pixels"));
    for (link, code) in [
        ("http://127.0.0.1/a.jpg", "link_refused"),
        ("http://[::1]/a.jpg", "link_refused"),
        ("http://169.254.169.254/latest/meta-data", "link_refused"),
        ("http://0x7f000001/", "link_refused"),
        ("http://2130706433/", "link_refused"),
        ("http://user:secret@example.com/a.jpg", "link_refused"),
        ("http://example.com:22/a.jpg", "link_refused"),
        ("http://localhost/a.jpg", "link_refused"),
        ("http://", "link_malformed"),
    ] {
        let answer = service.detect(&json!({ "sessionId": "s", "faceImageBase": link }));
        assert_eq!((answer.status, &*answer.code()), (422, code), "{link}: {:?}", answer.envelope());
    }
    // How long a resolver looks for a name that nobody has is the system's affair.
    let nowhere = json!({ "sessionId": "s", "faceImageBase": "http://no-such-host.invalid/a.jpg" });
    let answer = service.detect(&nowhere);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(["link_unreachable", "link_timeout"].contains(&&*answer.code()), "{answer:?}");
}

/// The first two chunks of a PNG of that size, and nothing after them.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = Vec::from(*b"IHDR");
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let crc = header.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    });
    let mut png = Vec::from(*b"\x89PNG\r\n\x1a\n\0\0\0\x0d");
    png.extend(header);
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

#[test]
fn a_fault_of_ours_is_a_500_that_tells_nothing_internal_and_harms_nobody_else() {
    // A wrong network in the place of another fails when it runs: a damaged installation.
    let mut files = testkit::models();
    std::mem::swap(&mut files.liveness_v2, &mut files.gender);
    let broken = FaceAnalyzer::load(&files, Settings::default(), 1).expect("both are networks");
    let service = Service::with_analyzer(|_| {}, Some(Arc::new(broken)));
    for _ in 0..3 {
        let answer = service.picture(&usable());
        assert_eq!((answer.status, &*answer.code()), (500, "inference_failed"));
        let text = String::from_utf8(answer.body).expect("text");
        assert!(!text.contains("onnx") && !text.contains('/'), "{text}");
        assert_eq!(service.picture(&picture("coffee.png")).status, 200);
    }
}

#[test]
fn every_form_of_face_image_base_gives_the_same_face() {
    let service = Service::with(|settings| {
        settings.links.allow_private = true;
        settings.links.ports.clear();
        settings.links.ports.extend(1..=u16::MAX);
    });
    let bytes = usable();
    let standard = base64(&bytes);
    let url_safe = standard.replace('+', "-").replace('/', "_");
    let lines: Vec<&str> = (0..standard.len()).step_by(76).map(|i| &standard[i..standard.len().min(i + 76)]).collect();
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let link = format!("http://{}/portrait?token=secret", server.local_addr().expect("bound"));
    thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a caller");
        let mut request = [0; 4096];
        let length = stream.read(&mut request).expect("a request");
        assert!(request[..length].starts_with(b"GET /portrait?token=secret HTTP/1.1\r\n"));
        // The declared type is wrong: the bytes decide.
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", bytes.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes)).expect("a reader");
    });
    let forms = [
        standard.clone(),
        standard.trim_end_matches('=').to_owned(),
        url_safe.clone(),
        url_safe.trim_end_matches('=').to_owned(),
        lines.join("\r\n"),
        lines.join("\n"),
        format!("data:image/jpeg;base64,{standard}"),
        format!("data:image/gif;base64,{url_safe}"),
        link,
    ];
    let answers: Vec<Value> =
        forms.iter().map(|form| service.detect(&with(json!({ "faceImageBase": form }))).envelope()).collect();
    for answer in &answers {
        assert_eq!(answer["hasError"], false, "{answer}");
        assert_eq!(answer["face"], answers[0]["face"]);
    }
}

#[test]
fn the_face_image_stands_where_the_setting_says_and_has_the_rectangles_size() {
    let places = [
        (FaceImagePlace::Both, true, true),
        (FaceImagePlace::Face, true, false),
        (FaceImagePlace::TopLevel, false, true),
    ];
    for (place, inside, beside) in places {
        let service = Service::with(|settings| settings.response.face_image = place);
        let json = service.detect(&with(json!({ "returnFaceImage": true }))).envelope();
        let (within, outside) = (json["face"]["faceImageBase"].as_str(), json["faceImageBase"].as_str());
        assert_eq!((within.is_some(), outside.is_some()), (inside, beside));
        let text = within.or(outside).expect("an image");
        let crop = base64_simd::STANDARD.decode_to_vec(text).expect("Base64");
        let crop = image::load_from_memory_with_format(&crop, image::ImageFormat::Jpeg).expect("a JPEG");
        let rectangle = &json["face"]["rectangle"];
        assert_eq!(
            (json!(crop.width()), json!(crop.height())),
            (rectangle["width"].clone(), rectangle["height"].clone())
        );
    }
}

#[test]
fn details_come_on_request_also_with_a_rejection() {
    let service = Service::start();
    for bytes in [usable(), picture("t1.jpg"), picture("coffee.png")] {
        let body = json!({ "sessionId": "s", "faceImageBase": base64(&bytes), "returnDetails": true });
        let details = &service.detect(&body).envelope()["details"];
        assert_eq!(details["rules"].as_array().map(Vec::len), Some(14), "{details}");
        assert!(details["image"]["width"].is_u64() && details["models"].is_array() && details["timings"].is_object());
        if details["faces"].as_array().is_some_and(|faces| !faces.is_empty()) {
            assert_eq!(details["landmarks"].as_array().map(Vec::len), Some(478));
            for name in ["yaw", "pitch", "roll"] {
                assert!(details["pose"][name].is_number(), "{name}");
            }
        }
    }
}

#[test]
fn session_ids_are_echoed_unchanged() {
    let service = Service::start();
    for id in ["x", "ünï-✓", "a \"quoted\" \\ id", &"9".repeat(128)] {
        let answer = service.detect(&json!({ "sessionId": id, "faceImageBase": base64(&picture("coffee.png")) }));
        assert_eq!(answer.envelope()["sessionId"], id);
    }
}

#[test]
fn every_answer_carries_the_security_headers_and_a_request_id() {
    let service = Service::start();
    let answers = [
        service.picture(&picture("coffee.png")),
        service.detect_bytes(b"{"),
        service.request("GET", "/nowhere", &[], b""),
        service.request("GET", "/healthz", &[], b""),
        service.request("POST", DETECT, &[], b"{}"),
    ];
    for answer in answers {
        assert_secured(&answer);
    }
    // No page of another site may ask, or read an answer.
    let asked = [("Origin", "https://evil.test"), ("Access-Control-Request-Method", "POST")];
    for method in ["OPTIONS", "POST", "GET"] {
        assert_secured(&service.request(method, DETECT, &asked, b""));
    }
    let named = service.request("GET", "/healthz", &[("X-Request-Id", "my-id.7")], b"");
    assert_eq!(named.header("x-request-id"), Some("my-id.7"));
    let forged = service.request("GET", "/healthz", &[("X-Request-Id", "a b\tc")], b"");
    assert_ne!(forged.header("x-request-id"), Some("a b\tc"));
}

/// What every answer carries, whoever wrote it.
fn assert_secured(answer: &Answer) {
    let expected = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    assert!(
        answer.header("content-security-policy").is_some_and(|v| v.contains("frame-ancestors 'none'")),
        "{answer:?}"
    );
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 16), "{answer:?}");
    assert!(
        answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-") && name != "server"),
        "{answer:?}"
    );
}

#[test]
fn the_playground_is_served_with_a_policy_of_its_own_and_can_be_switched_off() {
    let service = Service::start();
    for (path, media) in
        [("/", "text/html"), ("/playground/main.js", "text/javascript"), ("/playground/style.css", "text/css")]
    {
        let answer = service.request("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").is_some_and(|v| v.starts_with(media)), "{answer:?}");
        assert!(answer.header("content-security-policy").is_some_and(|v| v.contains("script-src 'self'")));
        assert!(answer.body.len() > 1_000);
    }
    assert_eq!(service.request("POST", "/", &[], b"").code(), "method_not_allowed");
    let without = Service::with(|settings| settings.server.playground = false);
    assert_eq!(without.request("GET", "/", &[], b"").code(), "path_unknown");
}

#[test]
fn a_user_beyond_the_agreed_rate_is_told_when_to_come_back() {
    let service = Service::with(|settings| settings.requests_per_minute = 2);
    let body = with(json!({}));
    assert_eq!((service.detect(&body).status, service.detect(&body).status), (200, 200));
    let answer = service.detect(&body);
    assert_eq!((answer.status, &*answer.code()), (429, "rate_limited"));
    assert!(answer.header("retry-after").and_then(|v| v.parse::<u64>().ok()).is_some_and(|s| (1..=30).contains(&s)));
}

#[test]
fn requests_beyond_the_agreed_rate_push_no_entry_out_of_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let service = Service::with(|settings| {
        settings.requests_per_minute = 1;
        settings.audit.file = Some(path.clone());
    });
    assert_eq!(service.detect_bytes(b"{").status, 400);
    for _ in 0..5 {
        assert_eq!(service.detect_bytes(b"{").code(), "rate_limited");
    }
    // A slow disk has the first line later than its answer.
    let deadline = Instant::now() + Duration::from_secs(10);
    let audited = || std::fs::read_to_string(&path).expect("an audit log");
    while audited().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let text = audited();
    assert!(text.lines().count() == 1 && text.contains("json_malformed"), "{text}");
}

#[test]
fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = server.local_addr().expect("bound").port();
    let service = Service::with(|settings| {
        settings.server.deadline_ms = 2_500;
        settings.links.timeout_ms = 30_000;
        settings.links.allow_private = true;
        settings.links.ports = vec![port];
    });
    // Lets the first login pay for Argon2, which counts too.
    assert_eq!(service.detect_bytes(b"{").status, 400);
    let begin = Instant::now();
    let link = format!("http://127.0.0.1:{port}/never");
    let answer = service.detect(&json!({ "sessionId": "slow", "faceImageBase": link }));
    assert_eq!((answer.status, &*answer.code(), answer.header("retry-after")), (503, "deadline_exceeded", Some("1")));
    assert_eq!(answer.envelope()["sessionId"], "slow");
    assert!(begin.elapsed() < Duration::from_secs(12));
}

#[test]
fn the_audit_log_has_who_when_and_what_and_nothing_about_the_face() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let service = Service::with(|settings| settings.audit.file = Some(path.clone()));
    service.detect(&with(json!({ "returnDetails": true })));
    service.detect_bytes(b"{");
    service.request("POST", DETECT, &[], b"{}");
    // A slow disk keeps an answer waiting for a moment only: then its line comes later.
    let deadline = Instant::now() + Duration::from_secs(10);
    let text = loop {
        let text = std::fs::read_to_string(&path).expect("an audit log");
        if text.matches('\n').count() >= 2 || Instant::now() >= deadline {
            break text;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // A stranger has no line: he could push those of users out of the files. He stands in the log.
    let [good, bad] = lines.try_into().expect("two lines");
    assert_eq!(
        (&good["user"], &good["sessionId"], &good["outcome"]),
        (&json!(USER), &json!("bbbf9002-c3a2"), &json!("OK"))
    );
    assert_eq!((&bad["status"], &bad["code"]), (&json!(400), &json!("json_malformed")));
    let allowed = ["time", "user", "sessionId", "status", "outcome", "code", "version", "models"];
    for line in [good, bad] {
        for key in line.as_object().expect("an object").keys() {
            assert!(allowed.contains(&key.as_str()), "{key}");
        }
    }
}

/// A service with a certificate, which lies in `folder` as `certificate.pem`.
fn encrypted(folder: &Path) -> (Service, CertificateDer<'static>) {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    let service = Service::with(|settings| {
        settings.server.tls_certificate = Some(certificate);
        settings.server.tls_key = Some(key);
    });
    (service, made.cert.der().clone())
}

#[test]
fn over_tls_too_a_caller_who_has_nothing_more_to_say_gets_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (service, certificate) = encrypted(folder.path());
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let request = request_bytes("POST", DETECT, &headers, with(json!({})).to_string().as_bytes());
    let mut stream = service.connect();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    tls.write_all(&request).and_then(|()| tls.flush()).expect("open");
    // As many clients do: the connection's end, without TLS's own.
    tls.sock.shutdown(Shutdown::Write).expect("open");
    let mut answer = String::new();
    tls.read_to_string(&mut answer).expect("an answer, not a dropped connection");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("bbbf9002-c3a2"), "{answer}");
}

#[test]
fn with_a_certificate_only_encrypted_requests_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (service, _) = encrypted(folder.path());
    let (certificate, port) = (folder.path().join("certificate.pem"), service.address.port());
    let curl = |scheme: &str, trusted: &Path| {
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "--max-time", "10", "--cacert"]).arg(trusted);
        command.arg(format!("{scheme}://localhost:{port}/readyz")).output().expect("curl runs")
    };
    assert_eq!(curl("https", &certificate).stdout, b"ready\n");
    assert!(!curl("http", &certificate).status.success());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let stranger = folder.path().join("other.pem");
    std::fs::write(&stranger, other.cert.pem()).expect("writes");
    assert!(!curl("https", &stranger).status.success());
}

#[test]
fn it_is_ready_only_when_the_networks_are_loaded() {
    let loading = Service::with_analyzer(|_| {}, None);
    assert_eq!(loading.request("GET", "/healthz", &[], b"").status, 200);
    assert_eq!(loading.request("GET", "/readyz", &[], b"").status, 503);
    let answer = loading.picture(&usable());
    assert_eq!((answer.status, &*answer.code(), answer.header("retry-after")), (503, "not_ready", Some("1")));
    let ready = Service::start();
    assert_eq!(ready.request("GET", "/readyz", &[], b"").status, 200);
    assert_eq!(ready.request("HEAD", "/readyz", &[], b"").status, 200);
}

#[test]
fn beyond_the_queue_requests_are_shed_at_once_and_the_others_answered() {
    let service = Service::with(|settings| {
        settings.server.workers = 1;
        settings.server.queue = 1;
        settings.server.queue_timeout_ms = 60_000;
        settings.server.deadline_ms = 60_000;
    });
    // Lets the first login pay for Argon2 before the rush.
    assert_eq!(service.picture(&picture("coffee.png")).status, 200);
    let large = jpeg(&portrait(6.0), 90);
    let body = json!({ "sessionId": "rush", "faceImageBase": base64(&large) }).to_string();
    let answers: Vec<(Answer, Duration)> = thread::scope(|scope| {
        let callers: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    let begin = Instant::now();
                    (service.detect_bytes(body.as_bytes()), begin.elapsed())
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("answered")).collect()
    });
    let (done, shed): (Vec<_>, Vec<_>) = answers.iter().partition(|(answer, _)| answer.status == 200);
    assert!(!done.is_empty() && !shed.is_empty(), "{} done, {} shed", done.len(), shed.len());
    for (answer, _) in &shed {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
        answer.envelope();
    }
    // Who waits for a worker does so for up to a minute, who is shed after a body of megabytes was not waited for.
    let slowest_shed = shed.iter().map(|(_, time)| *time).max().expect("some");
    assert!(slowest_shed < Duration::from_secs(20), "{slowest_shed:?}");
    assert_eq!(service.picture(&usable()).status, 200);
}

#[test]
fn callers_that_vanish_or_dawdle_leave_the_service_to_others() {
    let service = Service::with(|settings| {
        settings.server.workers = 1;
        settings.server.queue = 1;
        settings.server.body_timeout_ms = 1_500;
        settings.server.header_timeout_ms = 1_500;
    });
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let whole = request_bytes("POST", DETECT, &headers, with(json!({})).to_string().as_bytes());
    for cut in [1, 40, 400, whole.len() / 2, whole.len()] {
        let mut stream = service.connect();
        stream.write_all(&whole[..cut]).expect("a listener");
        stream.shutdown(Shutdown::Both).expect("open");
    }
    // Half a body, then silence: an answer after the timeout.
    let mut stream = service.connect();
    stream.write_all(&whole[..whole.len() / 2]).expect("a listener");
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, &*answer.code()), (400, "body_timeout"));
    // Half a header, then silence: closed after the timeout.
    let mut stream = service.connect();
    stream.write_all(&whole[..40]).expect("a listener");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let deadline = Instant::now() + Duration::from_secs(20);
    while service.picture(&usable()).status != 200 {
        assert!(Instant::now() < deadline, "the places of callers that are gone were never freed");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_no_http_is_told_so_in_the_envelope() {
    let service = Service::start();
    let long_field = [b"GET / HTTP/1.1\r\nX: ", &[b'a'; 100_000][..], b"\r\n\r\n"].concat();
    // Little more than may be.
    let longish_field = [b"GET / HTTP/1.1\r\nHost: x\r\nX: ", &[b'a'; 33_000][..], b"\r\n\r\n"].concat();
    let long_path = [b"GET /", &[b'a'; 100_000][..], b" HTTP/1.1\r\n\r\n"].concat();
    let old_long_field = [b"GET / HTTP/1.0\r\nX: ", &[b'a'; 33_000][..], b"\r\n\r\n"].concat();
    let many_fields = [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(500), b"\r\n"].concat();
    let cases: [(&[u8], u16, &str); 15] = [
        (b"\0\0\0\0\r\n\r\n", 400, "http_malformed"),
        (b"GET\r\n\r\n", 400, "http_malformed"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "http_malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "http_malformed"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400, "http_malformed"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "http_malformed"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "http_malformed"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "http_malformed"),
        (b"GET / HTTP/1.0\r\nno colon\r\n\r\n", 400, "http_malformed"),
        (b"POST / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", 400, "http_malformed"),
        (&old_long_field, 431, "headers_too_large"),
        (&long_field, 431, "headers_too_large"),
        (&longish_field, 431, "headers_too_large"),
        (&long_path, 431, "headers_too_large"),
        (&many_fields, 431, "headers_too_large"),
    ];
    for (bytes, status, code) in cases {
        let answer = service.raw(bytes);
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!((answer.status, &*answer.code()), (status, code), "{start:?}");
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        assert_secured(&answer);
    }
    // Who asks for a header alone gets one.
    let answer = service.raw(&[b"HEAD", &longish_field[3..]].concat());
    assert_eq!((answer.status, &*answer.body), (431, &b""[..]));
    assert_secured(&answer);
    // After a good request on the same connection, sent at once: two answers.
    let mut stream = service.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n").expect("a listener");
    let mut both = Vec::new();
    stream.read_to_end(&mut both).expect("two answers");
    let both = String::from_utf8(both).expect("text");
    assert!(both.starts_with("HTTP/1.1 200 OK\r\n"), "{both}");
    assert!(both.contains("ok\nHTTP/1.1 400 Bad Request\r\n") && both.contains("\"http_malformed\""), "{both}");
    assert_eq!(service.request("GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn two_readings_of_one_request_are_refused() {
    // What a proxy and the service could understand differently (request smuggling).
    let service = Service::start();
    let head = "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: +5\r\n\r\nabcde",
        "Content-Length: 5, 6\r\n\r\nabcde",
    ] {
        let mut stream = service.connect();
        stream.write_all(format!("{head}{fields}").as_bytes()).expect("a listener");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(!text.contains("ready\n"), "{fields}: {text}");
        assert!(text.starts_with("HTTP/1.1 4") && text.matches("x-request-id: ").count() == 1, "{fields}: {text}");
    }
}

#[test]
fn silent_slow_and_idle_callers_lose_their_connections() {
    let service = Service::with(|settings| settings.server.header_timeout_ms = 1_500);
    let asked = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    // One says nothing at all, one stops in the middle of a header, one keeps the connection after an answer.
    for said in ["", &asked[..20], asked] {
        let mut stream = service.connect();
        stream.write_all(said.as_bytes()).expect("a listener");
        let begin = Instant::now();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(begin.elapsed() < Duration::from_secs(10), "{said:?} held it for {:?}", begin.elapsed());
        assert_eq!(heard.starts_with(b"HTTP/1.1 200 "), said == asked, "{said:?}");
    }
    // One sends a byte of a header now and then.
    let mut slow = service.connect();
    let begin = Instant::now();
    while slow.write_all(b"a").is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(10), "a header may take for ever");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A caller who asks for more than a connection's buffers hold and reads none of it.
fn greedy(service: &Service) -> TcpStream {
    let mut stream = service.connect();
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    while stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)).is_ok() {}
    stream
}

#[test]
fn a_caller_who_never_reads_loses_his_connection() {
    let service = Service::with(|settings| settings.server.answer_timeout_ms = 300);
    let mut stream = greedy(&service);
    let begin = Instant::now();
    loop {
        match stream.write_all(b"G") {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
            Ok(()) => thread::sleep(Duration::from_millis(50)),
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "an answer may wait for ever");
    }
}

#[test]
fn a_caller_who_never_reads_keeps_no_place_from_the_next() {
    let service = Service::with(|settings| {
        settings.server.max_connections = 1;
        settings.server.answer_timeout_ms = 60_000;
    });
    let _greedy = greedy(&service);
    let begin = Instant::now();
    assert_eq!(service.request("GET", "/healthz", &[], b"").status, 200);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn what_has_begun_is_finished_before_the_service_stops() {
    let mut service = Service::start();
    let body = json!({ "sessionId": "last", "faceImageBase": base64(&jpeg(&portrait(6.0), 90)) }).to_string();
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let request = request_bytes("POST", DETECT, &headers, body.as_bytes());
    let mut stream = service.connect();
    // All but the last byte: the service has begun to read.
    stream.write_all(&request[..request.len() - 1]).expect("a listener");
    thread::sleep(Duration::from_millis(200));
    service.begin_to_stop();
    // By then what had not begun is ended: twice half a second after the stop.
    thread::sleep(Duration::from_millis(1_500));
    stream.write_all(&request[request.len() - 1..]).expect("still open");
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, &answer.envelope()["sessionId"]), (200, &json!("last")));
    service.wait_until_stopped();
}

#[test]
fn one_connection_carries_many_requests_good_and_bad() {
    let service = Service::start();
    let authorization = basic(USER, PASSWORD);
    let mut stream = service.connect();
    let bodies = [with(json!({})).to_string(), "{".into(), with(json!({})).to_string()];
    for (body, status) in bodies.iter().zip(["200", "400", "200"]) {
        let head = format!(
            "POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("open");
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a header");
            seen.push(byte[0]);
        }
        let head = String::from_utf8(seen).expect("ASCII").to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        let length: usize = head
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
            .expect("a length");
        stream.read_exact(&mut vec![0; length]).expect("a body");
    }
    let shown = png(&portrait(1.0));
    assert_eq!(service.picture(&shown).status, 200);
}

#[test]
fn a_caller_who_has_nothing_more_to_say_gets_the_answer() {
    let service = Service::start();
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let mut stream = service.connect();
    stream.write_all(&request_bytes("POST", DETECT, &headers, with(json!({})).to_string().as_bytes())).expect("open");
    stream.shutdown(Shutdown::Write).expect("open");
    assert_eq!(Answer::read(&mut stream).status, 200);
}

#[test]
fn a_caller_who_closes_his_half_and_reads_late_gets_the_whole_answer() {
    let service = Service::with(|settings| settings.server.answer_timeout_ms = 300_000);
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let large = with(json!({ "faceImageBase": base64(&jpeg(&portrait(6.0), 95)), "returnFaceImage": true }));
    let mut stream = service.connect();
    SockRef::from(&stream).set_recv_buffer_size(4 << 10).expect("a socket");
    stream.write_all(&request_bytes("POST", DETECT, &headers, large.to_string().as_bytes())).expect("open");
    stream.shutdown(Shutdown::Write).expect("open");
    // By then the answer waits to be taken.
    thread::sleep(Duration::from_secs(2));
    let answer = Answer::read(&mut stream);
    assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()), "it was cut off");
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 64 << 10, "it is sent at once");
}

#[test]
fn a_byte_order_mark_and_a_repeated_field_are_told_apart() {
    let service = Service::start();
    let body = with(json!({})).to_string();
    assert_eq!(service.detect_bytes(format!("\u{feff}{body}").as_bytes()).status, 200);
    let twice = body.replacen('{', "{\"sessionId\":\"another\",", 1);
    let answer = service.detect_bytes(twice.as_bytes());
    assert_eq!((answer.status, &*answer.code()), (400, "json_malformed"));
    assert!(
        answer.envelope()["errorDetail"]["message"].as_str().is_some_and(|m| m.contains("sessionId")),
        "{answer:?}"
    );
}

#[test]
fn a_request_names_exactly_one_host() {
    let service = Service::start();
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: user@a\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:b\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a:1:2\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]a\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [a]b]:1\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: xn--bcher-kva.example:\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
    ] {
        let answer = service.raw(head.as_bytes());
        assert_eq!(answer.status, status, "{head:?}");
        if status == 400 {
            assert_eq!(answer.code(), "http_malformed");
            assert_secured(&answer);
        }
    }
}

#[test]
fn who_is_refused_is_told_before_the_body() {
    let service = Service::start();
    let wrong = basic(USER, "wrong");
    for (fields, authorization) in [("Expect: 100-continue\r\n", &*wrong), ("", &*wrong), ("", "Bearer x")] {
        let mut stream = service.connect();
        let head = format!(
            "POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n\
             {fields}Content-Length: 10000000\r\n\r\n"
        );
        let begin = Instant::now();
        stream.write_all(head.as_bytes()).expect("open");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        assert!(begin.elapsed() < Duration::from_secs(4), "{fields:?} took {:?}", begin.elapsed());
        assert!(matches!(&start, b"HTTP/1.1 401" | b"HTTP/1.1 429"), "{:?}", String::from_utf8_lossy(&start));
        // Who goes on sending is listened to, so that the answer is not lost.
        stream.write_all(&vec![b'x'; 3_000_000]).expect("still read");
    }
}

#[test]
fn every_answer_is_seen_by_who_still_sends_his_request() {
    let service = Service::with(|settings| settings.server.deadline_ms = 300);
    let authorization = basic(USER, PASSWORD);
    let in_time = format!("Host: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    for (line, fields, status, code) in [
        ("POST /nowhere", "Host: x\r\n", 404, "path_unknown"),
        ("PUT /api/v1/face/detect", "Host: x\r\n", 405, "method_not_allowed"),
        ("POST /healthz", "Host: x\r\n", 405, "method_not_allowed"),
        ("POST /api/v1/face/detect", "", 400, "http_malformed"),
        ("POST /api/v1/face/detect", &in_time, 503, "deadline_exceeded"),
    ] {
        let mut stream = service.connect();
        let head = format!("{line} HTTP/1.1\r\n{fields}Content-Length: 5000000\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("open");
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(10));
            stream.write_all(&[b' '; 100_000]).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        let answer = Answer::read(&mut stream);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{line}");
    }
    // One small request that nobody reads does not end the connection.
    let mut stream = service.connect();
    for last in ["", "Connection: close\r\n"] {
        let request = format!("POST /nowhere HTTP/1.1\r\nHost: x\r\n{last}Content-Length: 2\r\n\r\n{{}}");
        stream.write_all(request.as_bytes()).expect("open");
    }
    let mut both = String::new();
    stream.read_to_string(&mut both).expect("two answers");
    assert_eq!(both.matches("HTTP/1.1 404 ").count(), 2, "{both}");
}

#[test]
fn what_has_not_begun_keeps_no_service_from_stopping() {
    let mut service = Service::with(|settings| settings.server.header_timeout_ms = 20_000);
    let silent = service.connect();
    let mut half = service.connect();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHo").expect("a listener");
    let mut between = service.connect();
    between.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("a listener");
    thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    service.begin_to_stop();
    service.wait_until_stopped();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop((silent, half, between));
}

#[test]
fn probes_are_answered_on_the_listener_for_prometheus_too() {
    let waiting = Service::with_analyzer(|_| {}, None);
    let probe = |service: &Service, path: &str| service.metrics_request(&request_bytes("GET", path, &[], b"")).status;
    assert_eq!([probe(&waiting, "/healthz"), probe(&waiting, "/readyz")], [200, 503]);
    let ready = Service::start();
    assert_eq!([probe(&ready, "/healthz"), probe(&ready, "/readyz"), probe(&ready, DETECT)], [200, 200, 404]);
}

#[test]
fn while_it_stops_others_are_sent_elsewhere_and_what_hangs_has_its_time_and_no_more() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = server.local_addr().expect("bound").port();
    let mut service = Service::with(|settings| {
        // More than the second that all have.
        settings.server.shutdown_timeout_s = 3;
        settings.links.timeout_ms = 30_000;
        settings.links.allow_private = true;
        settings.links.ports = vec![port];
    });
    let probe = |service: &Service| service.metrics_request(&request_bytes("GET", "/readyz", &[], b""));
    let says = |service: &Service, line: &str| {
        String::from_utf8(service.scrape().body).expect("text").lines().any(|each| each == line)
    };
    let until = |met: &dyn Fn() -> bool, what: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !met() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    let body = json!({ "sessionId": "s", "faceImageBase": format!("http://127.0.0.1:{port}/never") }).to_string();
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let mut hanging = service.connect();
    hanging.write_all(&request_bytes("POST", DETECT, &headers, body.as_bytes())).expect("a listener");
    until(&|| says(&service, "facegate_links_in_flight 1"), "the link is never followed");
    assert_eq!(probe(&service).status, 200);
    assert!(says(&service, "facegate_ready 1"));
    let begin = Instant::now();
    service.begin_to_stop();
    until(&|| probe(&service).status != 200, "it stays ready");
    let answer = probe(&service);
    assert_eq!((answer.status, &*answer.code(), answer.header("retry-after")), (503, "stopping", Some("1")));
    assert!(says(&service, "facegate_ready 0"));
    service.wait_until_stopped();
    assert!(begin.elapsed() >= Duration::from_secs(3), "it had three seconds: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(10), "a link takes 30 s: {:?}", begin.elapsed());
}

#[test]
fn of_one_address_a_further_connection_ends_the_one_that_is_idle_longest() {
    let service = Service::with(|settings| {
        settings.server.max_connections = 8;
        settings.shares.connections = 0.5;
        // So that none ends only because it is idle.
        settings.server.header_timeout_ms = 120_000;
    });
    let answered = |stream: &mut TcpStream| {
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut heard = Vec::new();
        while !heard.ends_with(b"ok\n") {
            let mut piece = [0; 1_000];
            match stream.read(&mut piece) {
                Ok(length) if length > 0 => heard.extend(&piece[..length]),
                _ => return false,
            }
        }
        asked.is_ok()
    };
    let mut streams = [(); 5].map(|()| {
        let mut stream = service.connect();
        assert!(answered(&mut stream));
        // It is idle when the service has noted that all is sent, which may be after that is read here.
        thread::sleep(Duration::from_millis(50));
        stream
    });
    let [first, others @ ..] = &mut streams;
    let end = first.read(&mut [0]).or_else(|error| match error.kind() {
        ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    });
    assert!(matches!(end, Ok(0)), "{end:?}");
    assert_eq!(others.each_mut().map(answered), [true; 4]);
}

#[test]
fn of_one_address_no_more_logins_wait_than_its_share() {
    let service = Service::with(|settings| settings.shares.logins = 0.04);
    let mut callers: Vec<_> = (0..6)
        .map(|number| {
            let authorization = basic(&format!("nobody {number}"), "wrong");
            let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
            (service.connect(), request_bytes("POST", DETECT, &headers, b"{}"))
        })
        .collect();
    for (stream, request) in &mut callers {
        stream.write_all(request).expect("a listener");
    }
    let codes: Vec<_> = callers.iter_mut().map(|(stream, _)| Answer::read(stream).code()).collect();
    // One of 32 may wait; each takes longer than the next needs to arrive.
    assert!(codes.iter().any(|code| code == "login_busy"), "{codes:?}");
}
