//! The program itself: started, greeted, asked, stopped.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use face_service::paths::{DETECT, METRICS};
use serde_json::Value;
use support::{Log, facegate, output};
use testkit::http::{base64, basic, request_bytes};
use testkit::{jpeg, picture, portrait};

/// A started service and what it has said on standard output until it was ready.
struct Started {
    child: Child,
    greeting: String,
    log: Log,
}

impl Started {
    fn new(command: &mut Command) -> Self {
        testkit::models();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut greeting = String::new();
        while !greeting.contains("curl") {
            let line = lines.next().expect("says curl before it closes its output").expect("text");
            greeting.push_str(&line);
            greeting.push('\n');
        }
        let log = Log::of(child.stderr.take().expect("piped"));
        Self { child, greeting, log }
    }

    /// The word after `label`.
    fn word(&self, label: &str) -> &str {
        let rest = self.greeting.split_once(label).unwrap_or_else(|| panic!("{label} in {}", self.greeting)).1;
        rest.split_whitespace().next().expect("a word")
    }

    /// Sends bytes as they are over plain HTTP; all that comes back.
    fn raw(&self, request: &[u8]) -> String {
        ask(self.word("listens on http://"), request)
    }

    /// The largest resident set so far in MB, where the system tells.
    fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024)
    }

    /// Begins to stop it as a service manager does.
    fn begin_to_stop(&self) {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(stopped.success());
    }

    /// Stops it; its exit code and its log.
    fn stop(mut self) -> (Option<i32>, String) {
        self.begin_to_stop();
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "does not stop on SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        };
        (status.code(), self.log.end())
    }
}

/// A request as it arrives, to the end of its body.
fn request_on(stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let fields = head.to_ascii_lowercase();
    let length = fields.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    reader.read_exact(&mut body)?;
    Ok([head.into_bytes(), body].concat())
}

fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The service may answer and close before all is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8(answer).expect("text")
}

#[test]
fn the_printed_example_works_as_it_is() {
    // Makes sure of the pictures that --demo would fetch.
    picture("astronaut.png");
    let service = Started::new(&mut facegate(&["serve", "--demo", "--listen", "127.0.0.1:0"]));
    let (_, example) = service.greeting.split_once("Try it from another terminal:").expect("an example");
    assert_eq!(service.word("password:").len(), 24);
    let output = Command::new("sh").args(["-c", example]).output().expect("a shell");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{e}: {} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!((&answer["sessionId"], &answer["hasError"]), (&"demo".into(), &false.into()), "{answer}");
    let (code, log) = service.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn nothing_private_reaches_a_log_a_metric_a_trace_or_an_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let audit = folder.path().join("audit.jsonl");
    // A server for links that answers nonsense, what the environment calls a proxy, and a collector of traces.
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [port, proxy_port, traces] = listeners.each_ref().map(|l| l.local_addr().expect("bound").port());
    let [server, proxy, collector] = listeners;
    proxy.set_nonblocking(true).expect("nonblocking");
    let exported = Arc::new(Mutex::new(Vec::new()));
    let export = Arc::clone(&exported);
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            let mut stream = stream.expect("a caller");
            let request = request_on(&stream).expect("a whole request");
            export.lock().expect("not poisoned").extend(request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.expect("a caller");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nnonsense-of-a-server");
        }
    });
    // Everything that could be logged is, in the most telling format.
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "log.level=trace"]);
    command.args(["--set", "log.format=json", "--set", "links.allow_private=true"]);
    command.args(["--set", &format!("links.ports=80,{port}"), "--set", "metrics.listen=127.0.0.1:0"]);
    command.args(["--set", &format!("traces.endpoint=http://127.0.0.1:{traces}"), "--set"]);
    command.arg(format!("audit.file={}", audit.display()));
    command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "s3cret-passphrase")]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, format!("http://127.0.0.1:{proxy_port}/"));
    }
    command.env_remove("no_proxy").env_remove("NO_PROXY");
    let service = Started::new(&mut command);
    assert!(!service.greeting.contains("s3cret-passphrase"), "{}", service.greeting);
    let right = basic("ann", "s3cret-passphrase");
    let shown = base64(&jpeg(&portrait(2.0), 90));
    let damaged = base64(&jpeg(&portrait(1.0), 90)[..20_000]);
    let body = |id: &str, face: &str| format!("{{\"sessionId\":\"{id}\",\"faceImageBase\":\"{face}\"}}");
    let mut answers = String::new();
    let mut send = |headers: &[(&str, &str)], body: &str| {
        let json = [headers, &[("Content-Type", "application/json")]].concat();
        let answer =
            service.raw(&request_bytes("POST", "/api/v1/face/detect?token=in-the-query", &json, body.as_bytes()));
        answers.push_str(&answer);
        answer
    };
    let signed: [(&str, &str); 1] = [("Authorization", &right)];
    assert!(send(&signed, &body("session-one", &shown)).starts_with("HTTP/1.1 200 "));
    send(&signed, &body("session-two", &damaged));
    let links = [
        format!("http://127.0.0.1:{port}/private-path?token=tell-nobody"),
        format!("http://link-user:link-password@127.0.0.1:{port}/private-path"),
        "http://no-such-private-host.invalid/private-path?token=tell-nobody".to_owned(),
        "http://private-host.test:81/private-path?token=tell-nobody#private-fragment".to_owned(),
        "http://[private-path".to_owned(),
        "ftp://private-host.test/private-path?token=tell-nobody".to_owned(),
    ];
    for (number, link) in links.iter().enumerate() {
        let answer = send(&signed, &body(&format!("link-{number}"), link));
        assert!(answer.starts_with("HTTP/1.1 4"), "{link}: {answer}");
    }
    send(&signed, "{\"sessionId\":\"x\",\"faceImageBase\":private-body");
    send(&signed, "{\"sessionId\":\"private-id\\nforged-line\",\"faceImageBase\":\"private-body\"}");
    send(&signed, &body("no-base64", "private-body?!"));
    send(&[("Authorization", &basic("ann", "wrong-passphrase"))], &body("s", &shown));
    send(&[("Authorization", &basic("unknown-user", "s3cret-passphrase"))], &body("s", &shown));
    send(&[("Authorization", "Bearer private-token")], &body("s", &shown));
    send(&[("Cookie", "private-cookie"), ("X-Request-Id", "private id")], "private-body");
    answers.push_str(&service.raw(b"private-method private-path nonsense\r\nprivate-field: private-body\r\n\r\n"));
    answers.push_str(&service.raw(&request_bytes("GET", "/private-path?token=tell-nobody", &[], b"")));
    let measured = ask(&service.log.metrics(), &request_bytes("GET", "/metrics?private-query", &signed, b""));
    let (code, log) = service.stop();
    let exported = String::from_utf8_lossy(&exported.lock().expect("not poisoned")).into_owned();
    assert!(exported.contains("session-one"), "no trace came: {exported}");
    assert!(measured.contains("facegate"), "{measured}");
    assert_eq!(code, Some(0));
    assert!(proxy.accept().is_err(), "a proxy of the environment was used");
    let lines: Vec<Value> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let of = |id: &str| lines.iter().find(|l| l["session_id"] == id).unwrap_or_else(|| panic!("{id} in {log}"));
    let first = of("session-one");
    assert_eq!((&first["outcome"], &first["status"]), (&"OK".into(), &200.into()));
    let stages = first["stages_ms"].as_str().expect("times");
    for stage in ["decode=", "detect=", "landmarks=", "liveness=", "attributes="] {
        assert!(stages.contains(stage), "{stages}");
    }
    assert_eq!(
        (&of("link-0")["code"], &of("link-1")["code"]),
        (&"image_format_unknown".into(), &"link_refused".into())
    );
    // Whoever bars addresses that guess reads them there.
    let refused = |line: &&Value| line["status"] == 401 && line["address"] == "127.0.0.1";
    assert_eq!(lines.iter().filter(refused).count(), 4);
    let audited = std::fs::read_to_string(&audit).expect("an audit log");
    // Eleven requests of a user; the four strangers among the others stand in the log.
    assert_eq!(audited.lines().count(), 11, "{audited}");
    let token = right.trim_start_matches("Basic ");
    let texts =
        [("log", log), ("audit log", audited), ("answers", answers), ("metrics", measured), ("traces", exported)];
    for (name, text) in texts {
        for private in [
            "s3cret-passphrase",
            "wrong-passphrase",
            "unknown-user",
            token,
            "private-",
            "tell-nobody",
            "in-the-query",
            "link-user",
            "link-password",
            "nonsense-of-a-server",
            "forged-line",
            "no-such",
        ] {
            assert!(!text.contains(private), "{private} is in the {name}: {text}");
        }
        for picture in [&shown, &damaged] {
            for part in [100, 1_000, 10_000, 20_000] {
                assert!(!text.contains(&picture[part..part + 24]), "a part of a picture is in the {name}");
            }
        }
    }
}

#[test]
fn users_and_certificates_are_taken_up_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let [users, certificate, key] = ["users", "certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    let hashed = |password: &str| face_service::auth::hash_line("ann", password).expect("hashes");
    let certify = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
        std::fs::write(&certificate, made.cert.pem()).expect("writes");
    };
    std::fs::write(&users, hashed("first")).expect("writes");
    certify();
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs([("FACEGATE_AUTH_USERS_FILE", &users), ("FACEGATE_SERVER_TLS_CERTIFICATE", &certificate)]);
    let service = Started::new(command.env("FACEGATE_SERVER_TLS_KEY", &key));
    let port = service.word("listens on https://127.0.0.1:").to_owned();
    // The status of a call with this password over a connection that the current certificate vouches for; 0 for none.
    let status = |password: &str| {
        let output = Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-d", "{}"])
            .args(["-u", &format!("ann:{password}"), "--cacert"])
            .arg(&certificate)
            .arg(format!("https://localhost:{port}/api/v1/face/detect"))
            .output()
            .expect("curl runs");
        String::from_utf8(output.stdout).expect("text").parse::<u16>().expect("a number")
    };
    let until = |password: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while status(password) != 400 {
            assert!(Instant::now() < deadline, "{password} never counts");
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    let hang_up = || {
        let sent = Command::new("kill").args(["-HUP", &service.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    };
    // A right password with a body that is no request: 400.
    assert_eq!(status("first"), 400);
    std::fs::write(&users, hashed("second")).expect("writes");
    hang_up();
    until("second");
    assert_eq!(status("first"), 401);
    // Without a signal.
    std::fs::write(&users, hashed("third")).expect("writes");
    until("third");
    // What is said against it is mended by its rights alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let rights = |mode| std::fs::set_permissions(&users, std::fs::Permissions::from_mode(mode)).expect("sets");
        rights(0o666);
        std::fs::write(&users, hashed("fourth")).expect("writes");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(status("third"), 400);
        rights(0o600);
        until("fourth");
    }
    // A faulty file changes nothing.
    std::fs::write(&users, "ann:in the clear").expect("writes");
    hang_up();
    certify();
    until(if cfg!(unix) { "fourth" } else { "third" });
    let (code, log) = service.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("in the clear"), "{log}");
}

#[test]
fn hostile_pictures_are_refused_soon_and_within_the_memory_of_a_good_one() {
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "server.workers=1"]);
    let service = Started::new(command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "p")]));
    let authorization = basic("ann", "p");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let send = |picture: &[u8]| {
        let body = format!("{{\"sessionId\":\"s\",\"faceImageBase\":\"{}\"}}", base64(picture));
        let request = request_bytes("POST", "/api/v1/face/detect", &headers, body.as_bytes());
        let begin = Instant::now();
        (service.raw(&request), begin.elapsed())
    };
    assert!(send(&jpeg(&portrait(2.0), 90)).0.starts_with("HTTP/1.1 200 "));
    let before = service.peak_memory();
    let mut slowest = (Duration::ZERO, String::new());
    for (name, bytes) in testkit::hostile::pictures() {
        let (answer, time) = send(&bytes);
        assert!(answer.starts_with("HTTP/1.1 422 ") && answer.contains("\"code\":\"image_"), "{name}: {answer}");
        // The promise is 200 ms on an idle machine; the machine that runs the tests may be slower and is not idle.
        assert!(time < Duration::from_secs(2), "{name} took {time:?}");
        slowest = slowest.max((time, name));
    }
    eprintln!("slowest: {slowest:?}; peak memory {before:?} to {:?} MB", service.peak_memory());
    if let (Some(before), Some(after)) = (before, service.peak_memory()) {
        // Less than what docs/sizing.md sets aside for each worker and its cell.
        assert!(after < before + 250, "the peak grew from {before} to {after} MB");
    }
    service.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_memory_on_a_disk() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut service = Started::new(&mut facegate(&["serve", "--listen", "127.0.0.1:0"]));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.child.id())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let aborted = Command::new("kill").args(["-ABRT", &service.child.id().to_string()]).status().expect("kill runs");
    assert!(aborted.success());
    let status = service.child.wait().expect("ends");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn whoever_was_let_in_is_answered_when_it_stops() {
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "server.queue=50"]);
    let service = Started::new(command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "p")]));
    let address = service.word("listens on http://").to_owned();
    let authorization = basic("ann", "p");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let body = format!("{{\"sessionId\":\"s\",\"faceImageBase\":\"{}\"}}", base64(&picture("coffee.png")));
    let request = request_bytes("POST", "/api/v1/face/detect", &headers, body.as_bytes());
    assert!(service.raw(&request).starts_with("HTTP/1.1 200 "));
    let (code, answered, cut) = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let (mut answered, mut cut) = (0, 0);
                    // Until nobody listens any more, every request is answered.
                    while let Ok(mut stream) = TcpStream::connect(&address) {
                        let _ = stream.write_all(&request);
                        let mut answer = Vec::new();
                        let read = stream.read_to_end(&mut answer);
                        if answer.is_empty() {
                            cut += 1;
                            continue;
                        }
                        read.expect("a whole answer");
                        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
                        answered += 1;
                    }
                    (answered, cut)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1_500));
        let (code, _) = service.stop();
        let (mut answered, mut cut) = (0, 0);
        for caller in callers {
            let own: (usize, usize) = caller.join().expect("answered as it should be");
            (answered, cut) = (answered + own.0, cut + own.1);
        }
        (code, answered, cut)
    });
    assert_eq!(code, Some(0));
    assert!(answered >= 6, "{answered}");
    // One that was held up between its connection and its request has asked too late.
    assert!(cut <= 1, "{cut} had no answer, {answered} had one");
}

/// `/dev/full` takes nothing, like a full disk or a pipe whose reader is gone.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut service = Quiet::start(full().into());
    for _ in 0..20 {
        assert!(service.unauthorized(1).starts_with("HTTP/1.1 401 "));
    }
    assert_eq!(service.stop(), Some(0));
    let settings = ["serve", "--set", "auth.user=x"];
    let failed = facegate(&settings).stderr(full()).stdout(Stdio::null()).status().expect("starts");
    assert_eq!(failed.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_greeting_that_cannot_be_written_ends_only_a_service_that_nobody_could_log_in_to() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    testkit::models();
    let failed = facegate(&["serve", "--listen", "127.0.0.1:0"]).stdout(full()).output().expect("starts");
    let text = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(text.contains("made up cannot be shown") && text.contains("FACEGATE_PASSWORD"), "{text}");
    // Its greeting does not say where it listens. A test beside this one may take a port that was free a moment ago: once.
    let begun = (0..2).find_map(|_| {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [address, metrics] = ports.map(|port| port.local_addr().expect("bound").to_string());
        let mut command = facegate(&["serve", "--listen", &address, "--set", &format!("metrics.listen={metrics}")]);
        command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "secret")]);
        let child = command.stdout(full()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut service = Quiet { child, address, metrics };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&service.address).is_err()
            || !ask(&service.address, &request_bytes("GET", "/readyz", &[], b"")).ends_with("ready\n")
        {
            if service.child.try_wait().expect("a child").is_some() {
                let mut said = String::new();
                service.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
                assert!(said.contains("cannot listen on"), "{said}");
                return None;
            }
            assert!(Instant::now() < deadline, "it is never ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(service)
    });
    let mut service = begun.expect("a port that stays free");
    std::thread::sleep(Duration::from_millis(200));
    assert!(service.unauthorized(1).starts_with("HTTP/1.1 401 "));
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_what_is_dropped_is_counted() {
    let mut service = Quiet::start(Stdio::piped());
    // More lines than wait for a reader and fit in a pipe.
    for _ in 0..60 {
        assert_eq!(service.unauthorized(100).matches("HTTP/1.1 401 ").count(), 100);
    }
    assert!(ask(&service.address, &request_bytes("GET", "/healthz", &[], b"")).ends_with("ok\n"));
    let scraped = ask(&service.metrics, &request_bytes("GET", METRICS, &[], b""));
    let dropped = scraped.lines().find_map(|line| line.strip_prefix("facegate_log_lines_dropped_total "));
    assert!(dropped.is_some_and(|count| count.parse::<u64>().expect("a number") > 100), "{dropped:?}");
    assert_eq!(service.stop(), Some(0));
}

/// A service whose log this test does not read.
struct Quiet {
    child: Child,
    address: String,
    metrics: String,
}

impl Quiet {
    fn start(log: Stdio) -> Self {
        testkit::models();
        let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "metrics.listen=127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("starts");
        let greeting = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = greeting
            .map(|line| line.expect("text"))
            .find_map(|line| line.split_once("listens on http://").map(|(_, address)| address.to_owned()));
        // The beginning of the log is read, where that can be.
        let mut metrics = String::new();
        if let Some(stderr) = child.stderr.take() {
            let mut log = BufReader::new(stderr);
            while !metrics.contains(support::METRICS) {
                metrics.clear();
                assert!(log.read_line(&mut metrics).expect("text") > 0, "no metrics are named");
            }
            metrics = support::metrics_in(&metrics);
            child.stderr = Some(log.into_inner());
        }
        Self { child, address: address.expect("a greeting"), metrics }
    }

    /// As many requests without credentials, on one connection; all that comes back.
    fn unauthorized(&self, count: usize) -> String {
        let one = format!("POST {DETECT} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n");
        let requests = format!("{one}\r\n").repeat(count - 1);
        ask(&self.address, format!("{requests}{one}Connection: close\r\n\r\n").as_bytes())
    }

    fn stop(&mut self) -> Option<i32> {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(stopped.success());
        self.child.wait().expect("a child").code()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // It is still there when a test failed.
        let _ = self.child.kill();
    }
}

#[test]
fn a_taken_port_for_metrics_is_told_and_stops_only_whom_it_was_chosen_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let setting = format!("metrics.listen={}", taken.local_addr().expect("bound"));
    let out = output(&["serve", "--listen", "127.0.0.1:0", "--set", &setting]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("for metrics") && text.contains("FACEGATE_METRICS_LISTEN"), "{text}");
    // Tests beside this one start services that hold the built-in port for a moment: one that only tried once could find
    // it taken, and then free. Whoever keeps it longer may also end at any time.
    let patience = Instant::now();
    let taken = loop {
        let taken = TcpListener::bind("127.0.0.1:9464");
        if taken.is_ok() || patience.elapsed() > Duration::from_secs(20) {
            break taken;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (code, log) = Started::new(&mut facegate(&["serve", "--listen", "127.0.0.1:0"])).stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(taken.is_err() || log.contains("there are no metrics"), "{log}");
}

#[test]
fn wrong_settings_and_missing_files_are_told_in_one_line() {
    let cases: [(i32, &[&str], &str); 10] = [
        (
            1,
            &["serve", "--set", "server.max_buffered_bytes=16777215"],
            "fewer than server.max_body_bytes allows: raise server.max_buffered_bytes to 16777216",
        ),
        (
            1,
            &["serve", "--set", "auth.users_file=x", "--set", "server.max_buffered_bytes=33554431"],
            "raise server.max_buffered_bytes to 33554432",
        ),
        (1, &["serve", "--set", "traces.endpoint=https://x"], "traces.endpoint"),
        (
            1,
            &["serve", "--set", "traces.endpoint=http://x", "--set", "traces.sample_ratio=2"],
            "traces.sample_ratio is 2",
        ),
        (1, &["serve", "--set", "server.lissen=1"], "did you mean server.listen?"),
        (1, &["serve", "--set", "auth.user=x"], "auth.user and auth.password belong together"),
        (1, &["serve", "--config", "/nonexistent.toml"], "cannot read the configuration"),
        (1, &["config", "analysis.rule"], "did you mean analysis.rules"),
        (2, &["analyze", "--profile", "strickt", "x.jpg"], "'strict'"),
        (2, &["analyse", "x.jpg"], "'analyze'"),
    ];
    for (code, arguments, expected) in cases {
        let out = output(arguments);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_hashed_password_lets_its_user_in() {
    let mut child =
        facegate(&["hash-password", "ann"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(b"a long passphrase\n").expect("a reader");
    let line = String::from_utf8(child.wait_with_output().expect("ends").stdout).expect("text");
    assert!(line.starts_with("ann:$argon2id$") && !line.contains("passphrase"), "{line}");
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    std::fs::write(&users, line).expect("writes");
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0"]);
    let service = Started::new(command.env("FACEGATE_AUTH_USERS_FILE", &users));
    // A right password with a body that is no request: 400.
    for (password, status) in [("a long passphrase", "400"), ("a long passphrase\n", "401")] {
        let authorization = basic("ann", password);
        let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
        let answer = service.raw(&request_bytes("POST", DETECT, &headers, b"{}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{password:?}: {answer}");
    }
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_login_that_takes_too_long_is_logged_with_its_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    let line = face_service::auth::hash_line("ann", "right").expect("hashes");
    // As costly as a hash may be: on no machine done by the deadline.
    let slow = line.replace("m=19456,t=2", "m=19456,t=53");
    assert_ne!(slow, line);
    std::fs::write(&users, slow).expect("writes");
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "server.deadline_ms=20"]);
    command.args(["--set", "log.format=json", "--set", "metrics.listen=127.0.0.1:0"]);
    let service = Started::new(command.env("FACEGATE_AUTH_USERS_FILE", &users));
    let wrong = basic("ann", "wrong");
    let headers = [("Authorization", &*wrong), ("Content-Type", "application/json")];
    let answer = service.raw(&request_bytes("POST", DETECT, &headers, b"{}"));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let line: Value = serde_json::from_str(&service.log.line("deadline_exceeded", 1)).expect("JSON");
    assert_eq!((&line["address"], &line["user"]), (&"127.0.0.1".into(), &"".into()), "{line}");
    let (code, log) = service.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn from_sigterm_on_it_is_not_ready_and_what_hangs_is_waited_for_as_long_as_the_setting_says() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("bound");
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "links.allow_private=true"]);
    command.args(["--set", &format!("links.ports={}", address.port()), "--set", "metrics.listen=127.0.0.1:0"]);
    command.args(["--set", "server.shutdown_timeout_s=5", "--set", "links.timeout_ms=25000"]);
    let service = Started::new(command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "p")]));
    let metrics = service.log.metrics();
    let ready = || ask(&metrics, &request_bytes("GET", "/readyz", &[], b""));
    assert!(ready().starts_with("HTTP/1.1 200 "));
    let authorization = basic("ann", "p");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let body = format!("{{\"sessionId\":\"s\",\"faceImageBase\":\"http://{address}/never\"}}");
    let mut hanging = TcpStream::connect(service.word("listens on http://")).expect("connects");
    hanging.write_all(&request_bytes("POST", DETECT, &headers, body.as_bytes())).expect("is read");
    // The link is being followed.
    let _caller = server.accept().expect("the service");
    let begin = Instant::now();
    service.begin_to_stop();
    let deadline = begin + Duration::from_secs(10);
    let mut answer = ready();
    while answer.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline, "it stays ready");
        answer = ready();
    }
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("\"stopping\""), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    let scraped = ask(&metrics, &request_bytes("GET", METRICS, &[], b""));
    assert!(scraped.lines().any(|line| line == "facegate_ready 0"), "{scraped}");
    let (code, log) = service.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("unanswered"), "{log}");
    // A link may take 25 s, and a request 30.
    let took = begin.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&took), "{took:?}");
}
