//! Requests and answers as they go over the wire.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::LazyLock;

use face_service::contract::error_words;
use face_service::openapi::document;
use serde_json::Value;

/// A request as it goes over the wire, one to a connection.
pub fn request_bytes(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: facegate\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend(format!("{name}: {value}\r\n").bytes());
    }
    request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
    request.extend(body);
    request
}

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// Base64 in the standard alphabet.
pub fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// What comes after the header.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads until the connection closes.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer, not a dropped connection");
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole header");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII header");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be the contract's envelope.
    pub fn envelope(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json: Value = serde_json::from_slice(&self.body).expect("JSON");
        let error = json["hasError"].as_bool().expect("hasError is a boolean");
        assert_eq!(error, json.get("error").is_some(), "{json}");
        assert_eq!(error, json.get("errorDetail").is_some(), "{json}");
        assert_eq!(!error, json.get("face").is_some(), "{json}");
        if error {
            let detail = &json["errorDetail"];
            assert!(detail["code"].is_string() && detail["message"].as_str().is_some_and(|m| m.len() > 10), "{json}");
            let word = json["error"].as_str().expect("a word");
            assert!(error_words().any(|known| known == word), "{word}");
            assert!(documented(self.status, detail["code"].as_str().expect("a code")), "not documented: {self:?}");
        }
        json
    }

    /// The finer reason of an error.
    pub fn code(&self) -> String {
        self.envelope()["errorDetail"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Whether the OpenAPI document has an example of an error answer with this status and reason.
fn documented(status: u16, code: &str) -> bool {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(document()).expect("JSON"));
    let operations = DOCUMENT["paths"].as_object().expect("paths").values().filter_map(Value::as_object).flatten();
    operations
        .filter_map(|(_, o)| o["responses"][status.to_string()]["content"]["application/json"]["examples"].as_object())
        .flatten()
        .any(|(_, example)| example["value"]["errorDetail"]["code"] == code)
}
