//! Callers who want to take from others what is everybody's: the short form of `scripts/hostile-callers.py`.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use face_service::paths::DETECT;
use serde_json::json;
use socket2::SockRef;
use support::{Answer, OTHER, OTHER_PASSWORD, PASSWORD, Service, USER, base64, basic, request_bytes};
use testkit::{cropped, jpeg, picture, portrait, resized};

/// Ends a connection as a caller does who does not care: with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(stream);
}

fn head(user: &str, password: &str, more: &str) -> Vec<u8> {
    let authorization = basic(user, password);
    format!(
        "POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n{more}\r\n"
    )
    .into_bytes()
}

fn small() -> Vec<u8> {
    json!({ "sessionId": "s", "faceImageBase": base64(&picture("coffee.png")) }).to_string().into_bytes()
}

/// A figure of the metrics.
fn figure(service: &Service, name: &str) -> f64 {
    let text = String::from_utf8(service.scrape().body).expect("text");
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Threads of this process with that name, of all its services.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

#[test]
fn logins_that_are_broken_off_slow_down_their_own_address_and_nobody_else() {
    let service = Service::with(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.1".to_owned().try_into().expect("an address")];
    });
    let from = |last: u8| format!("X-Forwarded-For: 198.51.100.{last}\r\nContent-Length: 2\r\n");
    let break_off = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let mut stream = service.connect();
            let request = [head(&format!("nobody {number}"), "wrong", &from(1)), b"{}".to_vec()].concat();
            let _ = stream.write_all(&request);
            thread::sleep(Duration::from_micros(1_500));
            reset(stream);
        }
    };
    break_off(0..400);
    let login = |user: &str, password: &str, last: u8| {
        let begin = Instant::now();
        let mut stream = service.connect();
        let more = format!("Connection: close\r\n{}", from(last));
        stream.write_all(&[head(user, password, &more), b"{}".to_vec()].concat()).expect("open");
        (Answer::read(&mut stream).status, begin.elapsed())
    };
    let (status, time) = login(USER, PASSWORD, 2);
    assert_eq!(status, 400, "let in, and the body was no request");
    assert!(time < Duration::from_secs(6), "another caller's first login took {time:?}");
    // Of 50 failures that are free these are at most 20: the rest was broken off. How many of those arrive before they are
    // reset is the machine's affair.
    let slowed = (0..20).any(|round| {
        break_off(1_000 * (round + 1)..1_000 * (round + 1) + 50);
        login(&format!("somebody {round}"), "wrong", 1).0 == 429
    });
    assert!(slowed, "an address that breaks off is slowed like a patient one");
    // One for each service of this process: nextest runs every test in one of its own.
    #[cfg(target_os = "linux")]
    assert!(threads("login") <= if std::env::var_os("NEXTEST").is_some() { 1 } else { 16 });
}

#[test]
fn bodies_that_never_come_hold_nothing() {
    let service = Service::with_two_users(|settings| settings.server.max_buffered_bytes = 32 << 20);
    assert_eq!(service.detect_bytes(&small()).status, 200);
    let held: Vec<_> = (0..24)
        .map(|number| {
            let mut stream = service.connect();
            let more = if number % 2 == 0 { "Transfer-Encoding: chunked\r\n" } else { "Content-Length: 16000000\r\n" };
            let piece: &[u8] = if number % 2 == 0 { b"7\r\n{\"a\":1,\r\n" } else { b"{\"a\":1," };
            stream.write_all(&[&head(OTHER, OTHER_PASSWORD, more), piece].concat()).expect("open");
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    assert!(figure(&service, "facegate_buffered_bytes") <= f64::from(24 * (16 << 10)));
    assert_eq!(service.detect_bytes(&small()).status, 200);
    // What does not come fast enough is not waited for.
    let begin = Instant::now();
    for mut stream in held {
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 400");
    }
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    thread::sleep(Duration::from_millis(100));
    assert!(figure(&service, "facegate_buffered_bytes").abs() < f64::EPSILON);
}

#[test]
fn one_of_two_users_cannot_take_the_memory_of_both() {
    let service = Service::with_two_users(|settings| settings.server.max_buffered_bytes = 8 << 20);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = service.connect();
        stream.write_all(&head(OTHER, OTHER_PASSWORD, "Content-Length: 3000000\r\n")).expect("open");
        // All but the end: it waits, with its memory.
        let _ = stream.write_all(&vec![b' '; 2_000_000]);
        held.push(stream);
    }
    thread::sleep(Duration::from_millis(300));
    let buffered = figure(&service, "facegate_buffered_bytes");
    assert!((1e6..=f64::from(4 << 20)).contains(&buffered), "{buffered}");
    assert_eq!(service.detect_bytes(&small()).status, 200);
    drop(held);
}

#[test]
fn single_bytes_are_answered_and_cost_single_bytes() {
    // How long it takes is the machine's affair.
    let service = Service::with(|settings| {
        settings.server.body_timeout_ms = 120_000;
        settings.server.deadline_ms = 120_000;
        settings.server.min_body_rate = 1_000;
    });
    let body = small();
    let mut stream = service.connect();
    stream.set_read_timeout(Some(Duration::from_secs(150))).expect("a timeout");
    let mut request = head(USER, PASSWORD, "Transfer-Encoding: chunked\r\nConnection: close\r\n");
    for byte in &body {
        request.extend([b"1\r\n", std::slice::from_ref(byte), b"\r\n"].concat());
    }
    request.extend(b"0\r\n\r\n");
    let most = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            stream.write_all(&request).expect("open");
            Answer::read(&mut stream).status
        });
        let mut most = 0.0_f64;
        while !sending.is_finished() {
            most = most.max(figure(&service, "facegate_buffered_bytes"));
        }
        assert_eq!(sending.join().expect("no panic"), 200);
        most
    });
    assert!(most <= 2.0 * body.len() as f64, "{most} for {}", body.len());
}

#[test]
fn idle_connections_make_room_for_whoever_asks() {
    let service = Service::with(|settings| settings.server.max_connections = 64);
    let idle: Vec<_> = (0..300)
        .map(|number| {
            let mut stream = service.connect();
            if number % 2 == 0 {
                let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-");
            }
            stream
        })
        .collect();
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(service.request("GET", "/readyz", &[], b"").status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(service.detect_bytes(&small()).status, 200);
    drop(idle);
}

#[test]
fn strangers_who_take_answers_slowly_keep_no_place_from_the_next() {
    let service = Service::with(|settings| {
        settings.server.max_connections = 4;
        settings.server.answer_timeout_ms = 300_000;
        // Its connections are those of many, so that no share binds them.
        settings.server.trusted_proxies = vec!["127.0.0.1".to_owned().try_into().expect("an address")];
    });
    let strangers: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = service.connect();
            stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
            while stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)).is_ok() {}
            stream
        })
        .collect();
    let over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        for mut stream in strangers {
            let over = &over;
            scope.spawn(move || {
                // More than the service's system waits for before it takes more answers from the service.
                let mut taken = vec![0; 2 << 20];
                while !over.load(Ordering::Relaxed) && stream.read_exact(&mut taken).is_ok() {
                    thread::sleep(Duration::from_millis(300));
                }
            });
        }
        // From then on the answer that waits on each is never one that has waited for long.
        thread::sleep(Duration::from_secs(1));
        let mut next = service.connect();
        next.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        next.write_all(&request_bytes("GET", "/healthz", &[], b"")).expect("a listener");
        let mut start = [0; 12];
        let answered = next.read_exact(&mut start).map(|()| start);
        over.store(true, Ordering::Relaxed);
        answered
    });
    assert_eq!(answered.expect("an answer while strangers take theirs"), *b"HTTP/1.1 200");
}

/// A large portrait with grain on the face: the answer with its picture is more than a connection's buffers hold.
fn grainy() -> Vec<u8> {
    let mut face = resized(&cropped(&portrait(1.0), 145, 30, 160, 170), 3_200, 3_400);
    let mut state = 0x9e37_79b9_u32;
    for (x, y) in (600..2_900).flat_map(|y| (690..2_540).map(move |x| (x, y))) {
        for value in &mut face.get_pixel_mut(x, y).0 {
            // xorshift (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *value = value.saturating_add_signed((state % 121) as i8 - 60);
        }
    }
    json!({ "sessionId": "g", "faceImageBase": base64(&jpeg(&face, 50)), "returnFaceImage": true })
        .to_string()
        .into_bytes()
}

#[test]
fn answers_that_nobody_takes_count_as_memory_until_they_are_gone() {
    let body = grainy();
    let answer = Service::start().detect_bytes(&body);
    assert_eq!(answer.status, 200, "{:?}", answer.envelope()["errorDetail"]);
    let length = answer.body.len();
    assert!(length > 6 << 20, "{length} bytes may lie in the buffers of a connection");
    assert!(length > body.len() + (2 << 20), "{length} bytes are answered to {}", body.len());
    // Of two answers and the next body.
    let memory = 2 * length + body.len() + (1 << 20);
    let service = Service::with(|settings| {
        settings.server.max_buffered_bytes = memory;
        settings.server.answer_timeout_ms = 300_000;
    });
    let buffered = |until: &dyn Fn(f64) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !until(figure(&service, "facegate_buffered_bytes")) {
            assert!(Instant::now() < deadline, "{}", figure(&service, "facegate_buffered_bytes"));
            thread::sleep(Duration::from_millis(20));
        }
    };
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let [mut slow, silent] = [1, 2].map(|number| {
        let mut stream = service.connect();
        stream.write_all(&request_bytes("POST", DETECT, &headers, &body)).expect("open");
        buffered(&|bytes| bytes >= (number * length) as f64);
        stream
    });
    let refused = service.detect_bytes(&body);
    assert_eq!((refused.status, &*refused.code(), refused.header("retry-after")), (503, "memory_exhausted", Some("1")));
    reset(silent);
    buffered(&|bytes| bytes < (2 * length) as f64);
    // Who takes his time gets all of it.
    let (mut whole, mut piece) = (Vec::new(), vec![0; 256 << 10]);
    loop {
        match slow.read(&mut piece).expect("an answer, not a dropped connection") {
            0 => break,
            count => whole.extend_from_slice(&piece[..count]),
        }
        thread::sleep(Duration::from_millis(5));
    }
    let end = whole.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole header");
    let head = String::from_utf8_lossy(&whole[..end]).to_ascii_lowercase();
    assert_eq!(whole.len() - end - 4, length);
    assert!(head.contains(&format!("content-length: {length}")) && !head.contains("transfer-encoding"), "{head}");
    buffered(&|bytes| bytes < 1.0);
    assert_eq!(service.detect_bytes(&body).status, 200);
}

#[test]
fn a_user_who_sends_without_pause_leaves_a_worker_to_the_other() {
    let service = Service::with_two_users(|settings| settings.server.workers = 2);
    let large =
        json!({ "sessionId": "l", "faceImageBase": base64(&jpeg(&portrait(6.0), 90)) }).to_string().into_bytes();
    assert_eq!(service.detect_bytes(&small()).status, 200);
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while begin.elapsed() < Duration::from_secs(4) {
                    let answer = service.detect_as(OTHER, OTHER_PASSWORD, &large);
                    assert!([200, 503].contains(&answer.status), "{answer:?}");
                }
            });
        }
        for _ in 0..15 {
            let answer = service.detect_bytes(&small());
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
}

#[test]
fn a_request_whose_sender_resets_before_the_answer_leaves_its_line_in_the_audit_log() {
    // Connections wait in its backlog and are never answered.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let service = Service::with(|settings| {
        settings.audit.file = Some(path.clone());
        settings.server.deadline_ms = 300_000;
        settings.links.timeout_ms = 300_000;
        settings.links.allow_private = true;
        settings.links.ports = vec![port];
    });
    let body = json!({ "sessionId": "gone", "faceImageBase": format!("http://127.0.0.1:{port}/") }).to_string();
    let authorization = basic(USER, PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let mut stream = service.connect();
    stream.write_all(&request_bytes("POST", DETECT, &headers, body.as_bytes())).expect("open");
    let deadline = Instant::now() + Duration::from_secs(60);
    while figure(&service, "facegate_links_in_flight") < 1.0 {
        assert!(Instant::now() < deadline, "it never began");
        thread::sleep(Duration::from_millis(10));
    }
    reset(stream);
    let line = loop {
        let text = std::fs::read_to_string(&path).expect("an audit log");
        if text.ends_with('\n') {
            break text;
        }
        assert!(Instant::now() < deadline, "it left nothing");
        thread::sleep(Duration::from_millis(10));
    };
    let line: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&line["user"], &line["sessionId"]), (&json!(USER), &json!("gone")));
    assert_eq!((&line["status"], &line["code"]), (&json!(499), &json!("unanswered")));
}

#[test]
fn links_that_hang_are_those_of_one_user_only() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            if request[..length].starts_with(b"GET /picture") {
                let bytes = picture("coffee.png");
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                let _ = stream.write_all(&[head.as_bytes(), &bytes].concat());
            } else {
                silent.push(stream);
            }
        }
    });
    let service = Service::with_two_users(|settings| {
        settings.links.allow_private = true;
        settings.links.ports = vec![port];
        settings.links.max_in_flight = 4;
    });
    let link = |path: &str| {
        let link = format!("http://127.0.0.1:{port}/{path}");
        json!({ "sessionId": "s", "faceImageBase": link }).to_string().into_bytes()
    };
    let authorization = basic(OTHER, OTHER_PASSWORD);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = service.connect();
            stream.write_all(&request_bytes("POST", DETECT, &headers, &link("silent"))).expect("open");
            stream
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while figure(&service, "facegate_links_in_flight") < 2.0 {
        assert!(Instant::now() < deadline, "they never began");
        thread::sleep(Duration::from_millis(10));
    }
    let refused = service.detect_as(OTHER, OTHER_PASSWORD, &link("picture"));
    assert_eq!((refused.status, &*refused.code(), refused.header("retry-after")), (503, "links_busy", Some("1")));
    assert_eq!(service.detect_bytes(&link("picture")).status, 200);
    // Broken off, they are over.
    hanging.into_iter().for_each(reset);
    while figure(&service, "facegate_links_in_flight") > 0.0 {
        assert!(Instant::now() < deadline, "a link outlives its request");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(service.detect_as(OTHER, OTHER_PASSWORD, &link("picture")).status, 200);
}
