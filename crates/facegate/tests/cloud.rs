//! `facegate bulk` on an object store: a small one that speaks S3 on a loopback port.

#![cfg(feature = "cloud")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use support::facegate;
use testkit::{jpeg, picture, portrait};
use tokio::runtime::Runtime;

/// The bucket, and what has been asked of it.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Bytes>,
    /// Method and path of each request.
    requests: Vec<String>,
    /// Requests for objects that are still to be answered 503.
    busy: u32,
    read_only: bool,
    /// What a write is answered that depends on there being nothing yet, if it is not carried out.
    conditional: Option<StatusCode>,
}

type Shared = Arc<Mutex<Bucket>>;

struct Store {
    address: SocketAddr,
    bucket: Shared,
    _runtime: Runtime,
}

impl Store {
    fn start(objects: &[(&str, Vec<u8>)]) -> Self {
        let objects = objects.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from(bytes.clone()))).collect();
        let bucket = Arc::new(Mutex::new(Bucket { objects, ..Bucket::default() }));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(Arc::clone(&bucket));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, bucket, _runtime: runtime }
    }

    /// Runs `facegate bulk` with the environment that an operator would set.
    fn bulk(&self, arguments: &[&str], credentials: bool) -> Output {
        testkit::models();
        let mut command = facegate(&["bulk"]);
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        environment.for_each(|(name, _)| {
            command.env_remove(name);
        });
        if credentials {
            command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret-passphrase")]);
        }
        command.envs([("AWS_REGION", "eu-central-1"), ("AWS_ALLOW_HTTP", "true")]);
        command.env("AWS_ENDPOINT", format!("http://{}", self.address));
        // A proxy in the environment is none of facegate's business.
        command.envs([("HTTP_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9")]);
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        command.args(arguments).output().expect("runs")
    }
}

async fn answer(State(bucket): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut bucket = bucket.lock().expect("no panic");
    bucket.requests.push(format!("{method} {uri}"));
    let signed =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"));
    if !signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    let query = uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let path = uri.path().strip_prefix("/bucket").unwrap_or_default().trim_start_matches('/');
    if method == Method::GET && path.is_empty() {
        let after = parameter("continuation-token");
        return list(&bucket.objects, &parameter("prefix").unwrap_or_default(), after).into_response();
    }
    if method == Method::PUT {
        if bucket.read_only {
            return StatusCode::FORBIDDEN.into_response();
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            if let Some(status) = bucket.conditional {
                return status.into_response();
            }
            if bucket.objects.contains_key(path) {
                return StatusCode::PRECONDITION_FAILED.into_response();
            }
        }
        bucket.objects.insert(path.to_owned(), body);
        return [(header::ETAG, "\"tag\"")].into_response();
    }
    if bucket.busy > 0 {
        bucket.busy -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match bucket.objects.get(path) {
        Some(bytes) => {
            let headers = [(header::ETAG, "\"tag\""), (header::LAST_MODIFIED, "Tue, 24 Nov 2026 10:00:00 GMT")];
            (headers, bytes.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Two objects a page, so that there are pages.
fn list(objects: &BTreeMap<String, Bytes>, prefix: &str, after: Option<String>) -> String {
    let after = after.unwrap_or_default();
    let mut rest = objects.iter().filter(|(name, _)| name.starts_with(prefix) && **name > after);
    let page: Vec<_> = rest.by_ref().take(2).collect();
    let mut xml = String::from("<ListBucketResult>");
    for (name, bytes) in &page {
        let date = "2026-11-24T10:00:00.000Z";
        write!(xml, "<Contents><Key>{name}</Key><LastModified>{date}</LastModified><ETag>\"tag\"</ETag><Size>{}</Size></Contents>", bytes.len())
            .expect("a string");
    }
    if let (true, Some((last, _))) = (rest.next().is_some(), page.last()) {
        write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").expect("a string");
    }
    xml + "</ListBucketResult>"
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn a_prefix_is_answered_into_another_though_the_store_is_busy_at_first() {
    let face = jpeg(&portrait(2.0), 92);
    let store = Store::start(&[
        ("in/people/face.jpg", face.clone()),
        ("in/cup.png", picture("coffee.png")),
        ("in/text.jpg", b"no picture".to_vec()),
        ("in/large.jpg", vec![0; 600_000]),
        ("inner/other.jpg", face),
    ]);
    store.bucket.lock().expect("no panic").busy = 2;
    let arguments = ["s3://bucket/in", "--out", "s3://bucket/out", "--set", "server.max_image_bytes=500000"];
    let out = store.bulk(&arguments, true);
    assert!(out.status.success(), "{}", said(&out));
    let bucket = store.bucket.lock().expect("no panic");
    let (_, part) = bucket.objects.iter().find(|(name, _)| name.starts_with("out/part-")).expect("a part");
    let answers: BTreeMap<String, Value> = part
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<Value>(line).expect("JSON"))
        .map(|answer| (answer["sessionId"].as_str().expect("a name").to_owned(), answer))
        .collect();
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["cup.png", "large.jpg", "people/face.jpg", "text.jpg"]);
    assert_eq!(answers["people/face.jpg"]["hasError"], false);
    assert_eq!(answers["large.jpg"]["errorDetail"]["code"], "image_too_large");
    let fetched = |request: &String| request.starts_with("GET /bucket/in/large.jpg");
    assert!(!bucket.requests.iter().any(fetched), "fetched although too large");
    assert!(bucket.objects.contains_key("out/done-00000-of-00001.json"));
    drop(bucket);
    // A restart reads the parts back from the store and has nothing to do.
    let again = store.bulk(&arguments, true);
    assert!(again.status.success() && said(&again).contains("0 by this run"), "{}", said(&again));
}

#[test]
fn a_store_that_refuses_ends_the_run() {
    let store = Store::start(&[("in/face.jpg", jpeg(&portrait(1.0), 90))]);
    store.bucket.lock().expect("no panic").read_only = true;
    let out = store.bulk(&["s3://bucket/in", "--out", "s3://bucket/out"], true);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("cannot write s3://bucket/out/run.json"), "{}", said(&out));
    assert!(!said(&out).contains("secret-passphrase"));
}

/// After a fault nobody knows what is there: another shard may have begun with other settings.
#[test]
fn only_a_store_that_knows_no_condition_is_written_to_without_one() {
    for (status, code) in [(StatusCode::NOT_IMPLEMENTED, 0), (StatusCode::BAD_REQUEST, 1)] {
        let store = Store::start(&[("in/text.jpg", b"no picture".to_vec())]);
        store.bucket.lock().expect("no panic").conditional = Some(status);
        let out = store.bulk(&["s3://bucket/in", "--out", "s3://bucket/out"], true);
        assert_eq!(out.status.code(), Some(code), "{status}: {}", said(&out));
        let bucket = store.bucket.lock().expect("no panic");
        assert_eq!(bucket.objects.contains_key("out/run.json"), code == 0, "{status}");
    }
}

#[test]
fn nothing_is_asked_for_credentials_unless_it_is_wanted() {
    let store = Store::start(&[]);
    let out = store.bulk(&["s3://bucket/in", "--out", "s3://bucket/out"], false);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("--instance-credentials"), "{}", said(&out));
    assert_eq!(store.bucket.lock().expect("no panic").requests, Vec::<String>::new());
}
