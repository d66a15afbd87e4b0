//! The program itself: started, greeted, asked, stopped.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::base64;
use testkit::{jpeg, picture, portrait};

/// A command line, free of settings from the tester's environment.
fn facegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facegate"));
    for (name, _) in std::env::vars() {
        if name.starts_with("FACEGATE_") && name != "FACEGATE_MODELS_DIR" {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    testkit::models();
    facegate(arguments).output().expect("runs")
}

/// A started service and what it has said on standard output until it was ready.
struct Started {
    child: Child,
    greeting: String,
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
        Self { child, greeting }
    }

    /// The word after `label`.
    fn word(&self, label: &str) -> &str {
        let rest = self.greeting.split_once(label).unwrap_or_else(|| panic!("{label} in {}", self.greeting)).1;
        rest.split_whitespace().next().expect("a word")
    }

    /// Stops it as a service manager does; its exit code and its log.
    fn stop(mut self) -> (Option<i32>, String) {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(stopped.success());
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "does not stop on SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        (status.code(), log)
    }
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
fn the_log_has_the_session_and_the_outcome_and_nothing_private() {
    let mut command = facegate(&["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"]);
    let service = Started::new(command.envs([("FACEGATE_USER", "ann"), ("FACEGATE_PASSWORD", "s3cret-passphrase")]));
    let address = service.word("listens on http://").to_owned();
    assert!(!service.greeting.contains("s3cret-passphrase"), "{}", service.greeting);
    let send = |body: &str, login: &str| {
        let mut child = Command::new("curl")
            .args(["-sS", "-u", login, "-H", "Content-Type: application/json", "--data-binary", "@-"])
            .arg(format!("http://{address}/api/v1/face/detect"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        child.stdin.take().expect("piped").write_all(body.as_bytes()).expect("a reader");
        child.wait_with_output().expect("ends").stdout
    };
    let shown = base64(&jpeg(&portrait(2.0), 90));
    send(&format!("{{\"sessionId\":\"session-one\",\"faceImageBase\":\"{shown}\"}}"), "ann:s3cret-passphrase");
    let link = "http://127.0.0.1:9/private-path?token=tell-nobody";
    send(&format!("{{\"sessionId\":\"session-two\",\"faceImageBase\":\"{link}\"}}"), "ann:s3cret-passphrase");
    send("{}", "ann:wrong-passphrase");
    let (code, log) = service.stop();
    assert_eq!(code, Some(0));
    let lines: Vec<Value> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let of = |id: &str| lines.iter().find(|l| l["session_id"] == id).unwrap_or_else(|| panic!("{id} in {log}"));
    let first = of("session-one");
    assert_eq!((&first["outcome"], &first["status"]), (&"OK".into(), &200.into()));
    let stages = first["stages_ms"].as_str().expect("times");
    for stage in ["decode=", "detect=", "landmarks=", "liveness=", "attributes="] {
        assert!(stages.contains(stage), "{stages}");
    }
    assert_eq!(of("session-two")["code"], "link_refused");
    for private in [&shown[1_000..1_040], "s3cret-passphrase", "wrong-passphrase", "private-path", "tell-nobody"] {
        assert!(!log.contains(private), "{private} is in the log");
    }
}

#[test]
fn analyze_prints_what_the_service_answers_and_fails_only_for_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        path.to_str().expect("text").to_owned()
    };
    let (face, cup) = (path("face.jpg", &jpeg(&portrait(2.0), 92)), path("cup.png", &picture("coffee.png")));
    let text = path("text.jpg", b"no picture");
    let answers = |out: &Output| -> Vec<Value> {
        out.stdout
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).expect("JSON"))
            .collect()
    };
    let out = output(&["analyze", &face, &cup, &text]);
    assert!(out.status.success(), "a picture that cannot be used is an answer");
    let [ok, none, unreadable] = answers(&out).try_into().expect("three answers");
    assert_eq!((&ok["sessionId"], &ok["hasError"]), (&face.clone().into(), &false.into()));
    assert!(ok.get("details").is_none());
    assert_eq!(none["error"], "FACE_NOT_FOUND");
    assert_eq!(unreadable["errorDetail"]["code"], "image_format_unknown");
    let out = output(&["analyze", &face, "/nonexistent/file.jpg"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(answers(&out).len(), 1, "the other file is still answered");
    // Under the strict profile the same face is too small.
    let out = output(&["analyze", "--details", "--profile", "strict", &face]);
    let strict = &answers(&out)[0];
    assert_eq!(
        (&strict["error"], strict["details"]["landmarks"].as_array().map(Vec::len)),
        (&"FACE_TOO_SMALL".into(), Some(478))
    );
}

#[test]
fn annotate_draws_the_box_and_the_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let original = portrait(2.0);
    let source = folder.path().join("face.jpg");
    std::fs::write(&source, jpeg(&original, 95)).expect("writes");
    let drawn: PathBuf = folder.path().join("drawn.png");
    let out = output(&["analyze", "--annotate", drawn.to_str().expect("text"), source.to_str().expect("text")]);
    assert!(out.status.success());
    let answer: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let side = |name: &str| answer["face"]["rectangle"][name].as_u64().expect("a number") as u32;
    let picture = image::open(&drawn).expect("a picture").to_rgb8();
    assert_eq!(picture.width(), 1024);
    assert!(picture.height() > 1024, "a caption stands under the picture");
    // The accepted box is lime green along its edges and the picture is as it was far from it.
    let middle = side("left") + side("width") / 4;
    let green = (side("top") - 3..side("top") + 4).any(|y| picture.get_pixel(middle, y).0 == [0, 255, 0]);
    assert!(green, "no green line at the upper edge of the box");
    let (far, was) = (picture.get_pixel(900, 40).0, original.get_pixel(900, 40).0);
    assert!(far.iter().zip(was).all(|(a, b)| a.abs_diff(b) < 12), "{far:?}, {was:?}");
}

#[test]
fn a_taken_port_for_metrics_is_told_and_stops_only_whom_it_was_chosen_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let setting = format!("metrics.listen={}", taken.local_addr().expect("bound"));
    let out = output(&["serve", "--listen", "127.0.0.1:0", "--set", &setting]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("for metrics") && text.contains("FACEGATE_METRICS_LISTEN"), "{text}");
    // The built-in port may be taken already, by another service of this machine.
    let _taken = TcpListener::bind("127.0.0.1:9464");
    let (code, log) = Started::new(&mut facegate(&["serve", "--listen", "127.0.0.1:0"])).stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("there are no metrics"), "{log}");
}

#[test]
fn wrong_settings_and_missing_files_are_told_in_one_line() {
    let cases: [(&[&str], &str); 6] = [
        (&["serve", "--listen", "127.0.0.1:0", "--set", "traces.endpoint=https://x"], "traces.endpoint"),
        (
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--set",
                "traces.endpoint=http://x",
                "--set",
                "traces.sample_ratio=2",
            ],
            "traces.sample_ratio is 2",
        ),
        (&["serve", "--set", "server.lissen=1"], "did you mean server.listen?"),
        (&["serve", "--listen", "127.0.0.1:1", "--set", "auth.user=x"], "auth.user and auth.password belong together"),
        (&["analyze", "--profile", "soft", "x.jpg"], "soft"),
        (&["serve", "--config", "/nonexistent.toml"], "cannot read the configuration"),
    ];
    for (arguments, expected) in cases {
        let out = output(arguments);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{arguments:?}: {text}");
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
}
