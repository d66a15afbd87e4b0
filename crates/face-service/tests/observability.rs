//! Metrics and traces of a running service, and what is made from them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use face_service::paths::DETECT;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use support::{Answer, PASSWORD, Service, USER, base64, basic, request_bytes};
use testkit::{jpeg, picture, portrait};

/// A sample's name and labels as they are written, and its value.
type Samples = BTreeMap<String, f64>;

fn scrape(service: &Service) -> Samples {
    let answer = service.scrape();
    assert!(answer.header("content-type").is_some_and(|v| v.starts_with("text/plain; version=0.0.4")), "{answer:?}");
    let text = String::from_utf8(answer.body).expect("text");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

fn usable() -> Vec<u8> {
    jpeg(&portrait(2.0), 92)
}

#[test]
fn what_happens_is_counted() {
    let service = Service::start();
    let before = scrape(&service);
    assert_eq!(
        (before["facegate_ready"], before["facegate_workers"], before["facegate_queue_capacity"]),
        (1.0, 2.0, 1.0)
    );
    assert_eq!(before["facegate_requests_total{outcome=\"OK\",status=\"200\"}"], 0.0);
    assert_eq!(service.picture(&usable()).status, 200);
    assert_eq!(service.picture(&picture("coffee.png")).status, 200);
    assert_eq!(service.picture(b"no picture").status, 422);
    assert_eq!(service.detect_bytes(b"{").status, 400);
    assert_eq!(service.request("POST", DETECT, &[], b"").status, 401);
    let link = json!({ "sessionId": "secret-session", "faceImageBase": "http://127.0.0.1/secret-path" });
    assert_eq!(service.detect(&link).status, 422);
    let after = scrape(&service);
    for (sample, value) in [
        ("facegate_requests_total{outcome=\"OK\",status=\"200\"}", 1.0),
        ("facegate_requests_total{outcome=\"FACE_NOT_FOUND\",status=\"200\"}", 1.0),
        ("facegate_requests_total{outcome=\"INTERNAL_ERROR\",status=\"422\"}", 2.0),
        ("facegate_requests_total{outcome=\"INTERNAL_ERROR\",status=\"400\"}", 1.0),
        ("facegate_requests_total{outcome=\"INTERNAL_ERROR\",status=\"401\"}", 1.0),
        ("facegate_request_duration_seconds_count{outcome=\"OK\"}", 1.0),
        ("facegate_request_duration_seconds_count{outcome=\"INTERNAL_ERROR\"}", 4.0),
        ("facegate_stage_duration_seconds_count{stage=\"authenticate\"}", 6.0),
        ("facegate_stage_duration_seconds_count{stage=\"read\"}", 5.0),
        ("facegate_stage_duration_seconds_count{stage=\"fetch\"}", 1.0),
        ("facegate_stage_duration_seconds_count{stage=\"analysis\"}", 3.0),
        ("facegate_stage_duration_seconds_count{stage=\"decode\"}", 2.0),
        ("facegate_stage_duration_seconds_count{stage=\"liveness\"}", 1.0),
        ("facegate_link_fetches_total{result=\"link_refused\"}", 1.0),
        ("facegate_liveness_score_count", 1.0),
        ("facegate_liveness_score_bucket{le=\"+Inf\"}", 1.0),
        ("facegate_analyses_at_work", 0.0),
        ("facegate_queue_length", 0.0),
        ("facegate_buffered_bytes", 0.0),
    ] {
        assert_eq!(after.get(sample), Some(&value), "{sample}");
    }
    let stages = |of: &dyn Fn(&str) -> bool| -> f64 {
        let named = |name: &&String| name.strip_prefix("facegate_stage_duration_seconds_sum").is_some_and(of);
        after.keys().filter(named).map(|name| after[name]).sum()
    };
    let before_analysis = ["authenticate", "read", "fetch", "queue"];
    let whole = stages(&|labels| labels.contains("\"analysis\""));
    let parts =
        stages(&|labels| !labels.contains("\"analysis\"") && !before_analysis.iter().any(|s| labels.contains(s)));
    assert!(parts > 0.0 && parts <= whole, "{parts} of {whole}");
    // Nothing of a caller becomes a label.
    for private in [USER, PASSWORD, "secret", "127.0.0.1"] {
        assert!(after.keys().all(|name| !name.contains(private)), "{private}");
    }
    let series = after.len();
    assert_eq!(service.detect(&json!({ "sessionId": "other", "faceImageBase": "http://127.0.0.2/" })).status, 422);
    assert_eq!(scrape(&service).len(), series, "another caller and another link add no series");
}

#[test]
fn the_networks_the_program_and_the_process_are_told() {
    let service = Service::start();
    let samples = scrape(&service);
    let models = samples.keys().filter(|name| name.starts_with("facegate_model_info{")).count();
    assert_eq!(models, face_analysis::report::MODELS.len());
    assert!(samples.keys().any(|name| {
        name.starts_with("facegate_build_info{") && name.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")))
    }));
    if cfg!(target_os = "linux") {
        // More than 30 MB of networks are loaded, and there are at least this thread and the service's.
        assert!(samples["process_resident_memory_bytes"] > 30e6);
        assert!(samples["process_threads"] >= 2.0 && samples["process_open_fds"] >= 3.0);
        assert!(samples["process_max_fds"] > samples["process_open_fds"]);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let age = now - samples["process_start_time_seconds"];
        assert!((-2.0..3600.0).contains(&age), "{age} s");
        let cpu = samples["process_cpu_seconds_total"];
        assert!(cpu > 0.0 && scrape(&service)["process_cpu_seconds_total"] >= cpu);
    }
}

#[test]
fn a_full_queue_is_seen_and_what_is_shed_is_counted_by_reason() {
    let service = Service::with(|settings| {
        settings.server.workers = 1;
        settings.server.queue = 1;
    });
    assert_eq!(service.picture(&picture("coffee.png")).status, 200);
    let body = json!({ "sessionId": "rush", "faceImageBase": base64(&jpeg(&portrait(6.0), 90)) }).to_string();
    let (mut busiest, mut codes) = (0.0_f64, BTreeMap::<String, f64>::new());
    thread::scope(|scope| {
        let callers: Vec<_> = (0..10).map(|_| scope.spawn(|| service.detect_bytes(body.as_bytes()))).collect();
        while !callers.iter().all(|caller| caller.is_finished()) {
            busiest = busiest.max(scrape(&service)["facegate_analyses_at_work"]);
        }
        for caller in callers {
            let answer = caller.join().expect("answered");
            if answer.status == 503 {
                *codes.entry(answer.code()).or_default() += 1.0;
            }
        }
    });
    assert_eq!(busiest, 1.0);
    assert!(!codes.is_empty());
    let samples = scrape(&service);
    for (code, count) in codes {
        assert_eq!(samples[&format!("facegate_sheds_total{{reason=\"{code}\"}}")], count, "{code}");
    }
}

#[test]
fn the_listener_for_metrics_has_nothing_else() {
    let service = Service::start();
    let get = |method: &str, path: &str| service.metrics_request(&request_bytes(method, path, &[], b""));
    assert_eq!((get("GET", "/").status, &*get("GET", "/").code()), (404, "path_unknown"));
    assert_eq!((get("POST", "/metrics").status, &*get("POST", "/metrics").code()), (405, "method_not_allowed"));
    assert_eq!(get("POST", DETECT).status, 404);
    let loading = Service::with_analyzer(|_| {}, None);
    assert_eq!(scrape(&loading)["facegate_ready"], 0.0);
}

/// The metrics that a PromQL expression reads, and the labels that it names: words outside and inside of braces and of
/// `by (…)`. Strings, durations and variables are skipped.
fn named(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "on"];
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let (mut in_braces, mut in_brackets, mut in_grouping) = (false, false, false);
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:$".contains(c))).unwrap_or(rest.len());
        if length == 0 {
            rest = &rest[first.len_utf8()..];
            match first {
                '"' => rest = rest.split_once('"').expect("a closed string").1,
                '{' | '}' => in_braces = first == '{',
                '[' | ']' => in_brackets = first == '[',
                ')' => in_grouping = false,
                _ => {}
            }
            continue;
        }
        let word = &rest[..length];
        rest = &rest[length..];
        if in_brackets || !first.is_ascii_alphabetic() || OPERATORS.contains(&word) {
            continue;
        }
        if in_braces || in_grouping {
            labels.insert(word.to_owned());
        } else if ["by", "without"].contains(&word) {
            in_grouping = true;
        } else if ["(", "by ", "without "].iter().any(|after| rest.trim_start().starts_with(after)) {
            // A function, or an aggregation.
        } else {
            metrics.insert(word.to_owned());
        }
    }
    (metrics, labels)
}

#[test]
fn dashboard_and_alerts_name_only_metrics_and_labels_that_exist() {
    let (metrics, labels) =
        named("sum by (instance, le) (rate(a_total{x=~\"b(c\",y!=\"\"}[5m])) / (d > 0) > 0.5 and up{z=\"$i\"} == 0");
    assert_eq!(metrics, ["a_total", "d", "up"].map(String::from).into());
    assert_eq!(labels, ["instance", "le", "x", "y", "z"].map(String::from).into());

    fn expressions(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(Value::as_str).map(String::from));
                fields.values().for_each(|value| expressions(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
            _ => {}
        }
    }
    let dashboard = include_str!("../../../deploy/grafana/facegate.json");
    let mut found = Vec::new();
    expressions(&serde_json::from_str(dashboard).expect("JSON"), &mut found);
    assert!(found.len() > 20, "{found:?}");
    // In the rules an expression is one line, or the deeper lines below `expr: |`.
    let mut lines = include_str!("../../../deploy/prometheus/alerts.yaml").lines().peekable();
    let panels = found.len();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr:") else { continue };
        let mut expression = expression.trim_start_matches(" |").to_owned();
        let deeper = |next: &&str| next.starts_with("          ");
        while let Some(next) = lines.next_if(deeper) {
            expression.push_str(next);
        }
        found.push(expression);
    }
    assert!(found.len() > panels + 10, "{found:?}");

    let service = Service::start();
    service.picture(&usable());
    service.detect(&json!({ "sessionId": "s", "faceImageBase": "http://127.0.0.1/" }));
    let samples = scrape(&service);
    let mut metrics: BTreeSet<&str> = samples.keys().filter_map(|name| name.split('{').next()).collect();
    let written = samples.keys().filter_map(|name| name.split_once('{')).flat_map(|(_, labels)| labels.split(','));
    let mut labels: BTreeSet<&str> = written.filter_map(|label| label.split('=').next()).collect();
    // Prometheus adds these by itself.
    metrics.insert("up");
    labels.extend(["instance", "job"]);
    for expression in found {
        let (read, by) = named(&expression);
        assert!(!read.is_empty(), "{expression}");
        for metric in read {
            assert!(metrics.contains(&*metric), "there is no metric {metric}: {expression}");
        }
        for label in by {
            assert!(labels.contains(&*label), "there is no label {label}: {expression}");
        }
    }
}

/// An OpenTelemetry collector that takes `POST /v1/traces` and hands on what came.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a caller");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("a header");
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).expect("ASCII").to_ascii_lowercase();
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            let length =
                head.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
            let mut body = vec![0; length.expect("a length")];
            stream.read_exact(&mut body).expect("a body");
            // Before the answer: whoever has seen the service end reads what has come, and waits for no more.
            if sender.send(body).is_err() {
                break;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("a reader");
        }
    });
    (address, receiver)
}

fn spans(batches: &[Vec<u8>]) -> Vec<Span> {
    let decoded = batches.iter().map(|batch| ExportTraceServiceRequest::decode(&**batch).expect("OTLP"));
    decoded.flat_map(|r| r.resource_spans).flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
}

fn traced(service: &Service, traceparent: &str, body: &Value) -> Answer {
    let authorization = basic(USER, PASSWORD);
    let headers =
        [("Authorization", authorization.as_str()), ("Content-Type", "application/json"), ("traceparent", traceparent)];
    service.request("POST", DETECT, &headers, body.to_string().as_bytes())
}

#[test]
fn a_request_is_a_span_in_the_callers_trace_with_its_stages_below_it_and_nothing_private() {
    let (endpoint, received) = collector();
    let service = Service::with(|settings| settings.traces.endpoint = Some(endpoint));
    let shown = base64(&usable());
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let good = json!({ "sessionId": "session-one", "faceImageBase": shown });
    assert_eq!(traced(&service, &format!("00-{trace}-{parent}-01"), &good).status, 200);
    // The caller has decided that this one is not traced.
    assert_eq!(traced(&service, "00-11111111111111111111111111111111-2222222222222222-00", &good).status, 200);
    // Without a trace of the caller's it is a new one; a malformed header is none.
    let link = json!({ "sessionId": "session-two", "faceImageBase": "http://127.0.0.1/path?token=tell-nobody" });
    assert_eq!(traced(&service, "00-xyz-1-01", &link).status, 422);
    service.wait_until_stopped();
    let batches: Vec<_> = received.try_iter().collect();
    let bytes = batches.concat();
    for private in [&shown[1_000..1_040], PASSWORD, &basic(USER, PASSWORD)[6..], "tell-nobody", "/path"] {
        assert!(!bytes.windows(private.len()).any(|w| w == private.as_bytes()), "{private} is in a span");
    }
    let spans = spans(&batches);
    // In bytes three letters may stand by chance, in a number or a time: the name is looked for in what is text.
    let words = spans.iter().flat_map(|span| {
        let attributes = span.attributes.iter().chain(span.events.iter().flat_map(|event| &event.attributes));
        let values = attributes.filter_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            AnyValue::StringValue(text) => Some(text.as_str()),
            _ => None,
        });
        values.chain([span.name.as_str()])
    });
    for word in words {
        assert!(!word.contains(USER), "{USER} is in a span: {word}");
    }
    let hex = |id: &[u8]| id.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let text = |span: &Span, key: &str| -> Option<String> {
        let value = span.attributes.iter().find(|a| a.key == key)?.value.as_ref()?.value.as_ref()?;
        match value {
            AnyValue::StringValue(text) => Some(text.clone()),
            AnyValue::IntValue(number) => Some(number.to_string()),
            other => panic!("{key} is {other:?}"),
        }
    };
    let [first, second] = ["session-one", "session-two"].map(|id| {
        let of: Vec<_> = spans.iter().filter(|span| text(span, "session.id").as_deref() == Some(id)).collect();
        assert_eq!(of.len(), 1, "{id}");
        of[0]
    });
    assert_eq!((hex(&first.trace_id).as_str(), hex(&first.parent_span_id).as_str()), (trace, parent));
    assert_eq!(first.name, format!("POST {DETECT}"));
    assert_eq!(text(first, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(text(first, "facegate.outcome").as_deref(), Some("OK"));
    assert!(second.parent_span_id.is_empty() && second.trace_id != first.trace_id);
    assert_eq!(text(second, "error.type").as_deref(), Some("link_refused"));
    let child = |of: &Span, name: &str| -> Span {
        let found = spans.iter().find(|s| s.name == name && s.trace_id == of.trace_id);
        found.unwrap_or_else(|| panic!("{name} in {spans:?}")).clone()
    };
    let analysis = child(first, "analysis");
    for name in ["authenticate", "read", "queue", "analysis"] {
        assert_eq!(child(first, name).parent_span_id, first.span_id, "{name}");
    }
    for name in ["decode", "detect", "landmarks", "occlusion", "liveness", "attributes"] {
        assert_eq!(child(first, name).parent_span_id, analysis.span_id, "{name}");
    }
    assert_eq!(child(second, "fetch").parent_span_id, second.span_id);
    for span in spans.iter().filter(|span| span.trace_id == first.trace_id) {
        let inside = first.start_time_unix_nano <= span.start_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= first.end_time_unix_nano;
        assert!(inside, "{span:?} in {first:?}");
    }
    assert!(spans.iter().all(|span| span.trace_id == first.trace_id || span.trace_id == second.trace_id));
    let known = [
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "facegate.outcome",
        "session.id",
        "error.type",
    ];
    assert!(spans.iter().flat_map(|s| &s.attributes).all(|a| known.contains(&&*a.key)), "{spans:?}");
}

#[test]
fn whoever_is_no_user_decides_nothing_about_traces() {
    let (endpoint, received) = collector();
    let service = Service::with(|settings| {
        settings.traces.endpoint = Some(endpoint);
        settings.traces.sample_ratio = 0.0;
    });
    let body = json!({ "sessionId": "s", "faceImageBase": "x" });
    let traced_by = |authorization: &str, trace: &str| {
        let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
        let headers =
            [("Authorization", authorization), ("Content-Type", "application/json"), ("traceparent", &*traceparent)];
        service.request("POST", DETECT, &headers, body.to_string().as_bytes()).status
    };
    let right = basic(USER, PASSWORD);
    assert_eq!(traced_by(&right, "11111111111111111111111111111111"), 400);
    for stranger in ["", "Bearer x", &basic(USER, "wrong")] {
        assert_eq!(traced_by(stranger, "22222222222222222222222222222222"), 401);
    }
    service.wait_until_stopped();
    let batches: Vec<_> = received.try_iter().collect();
    let traces: Vec<Vec<u8>> = spans(&batches).into_iter().map(|span| span.trace_id).collect();
    assert!(!traces.is_empty() && traces.iter().all(|trace| *trace == [0x11; 16]), "{traces:?}");
}

#[test]
fn a_collector_that_is_down_harms_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let service = Service::with(|settings| settings.traces.endpoint = Some(endpoint));
    assert_eq!(service.picture(&usable()).status, 200);
    service.wait_until_stopped();
}
