//! `facegate bench`: what it takes for a measurement, and what it does not.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;

use support::{facegate, output};
use testkit::{jpeg, portrait};

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Answers each request of a connection with the next of `answers`, from the first again after the last.
fn converse(stream: &TcpStream, answers: &[(&str, &str)]) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    for (status, body) in answers.iter().cycle() {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            (reader.read_line(&mut line).ok()? > 0).then_some(())?;
            if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().ok()?;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        (&*stream).write_all(head.as_bytes()).ok()?;
    }
    None
}

/// The address of a service that answers like this.
fn peer(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || converse(&stream, answers));
        }
    });
    address
}

#[test]
fn seconds_that_cannot_be_meant_are_a_wrong_command_line() {
    for seconds in ["-1", "0", "inf", "nan", "1e30", "86401", "-0.0", "soon"] {
        let out = facegate(&["bench", "--seconds", seconds]).output().expect("runs");
        assert_eq!(out.status.code(), Some(2), "{seconds}: {}", said(&out));
        assert!(said(&out).contains("above 0 and up to 86400"), "{seconds}: {}", said(&out));
    }
}

#[test]
fn what_cannot_be_meant_or_done_is_named() {
    for (arguments, words) in [
        (["--in-flight", "0"], "1..=1024"),
        (["--in-flight", "2000"], "1..=1024"),
        (["--peer", "http://127.0.0.1:8080"], "such as 127.0.0.1:8080"),
    ] {
        let out = facegate(&["bench", arguments[0], arguments[1]]).output().expect("runs");
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {}", said(&out));
        assert!(said(&out).contains(words), "{arguments:?}: {}", said(&out));
    }
    for beside in [&["a.jpg"][..], &["--http"], &["--peer", "127.0.0.1:1"]] {
        let out = facegate(&["bench", "--write-pictures", "out"]).args(beside).output().expect("runs");
        assert_eq!(out.status.code(), Some(2), "{beside:?}: {}", said(&out));
        assert!(said(&out).contains("cannot be used with"), "{beside:?}: {}", said(&out));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (empty, nowhere) = (folder.path().join("zero.jpg"), folder.path().join("nowhere"));
    std::fs::write(&empty, b"").expect("writes");
    let (empty, nowhere) = (empty.to_str().expect("text"), nowhere.to_str().expect("text"));
    let out = output(&["bench", empty]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains(&format!("{empty}: the picture is empty")), "{}", said(&out));
    let out = output(&["bench", "--write-pictures", nowhere, "--seconds", "1"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        said(&out).contains(&format!("--write-pictures: {nowhere}/640x480.jpg cannot be written")),
        "{}",
        said(&out)
    );
}

#[test]
fn the_shortest_measurement_has_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("face.jpg");
    std::fs::write(&picture, jpeg(&portrait(1.0), 90)).expect("writes");
    let out = output(&["bench", "--seconds", "1e-9", picture.to_str().expect("text")]);
    let printed = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && printed.contains(" 1 requests"), "{printed}{}", said(&out));
    assert!(!printed.contains("NaN") && printed.contains("(networks)"), "{printed}");
}

#[test]
fn a_service_that_bench_could_not_ask_is_refused_with_what_to_leave_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let [certificate, key, users] = ["certificate.pem", "key.pem", "users"].map(|name| folder.path().join(name));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    std::fs::write(&users, face_service::auth::hash_line("ann", "secret").expect("hashes")).expect("writes");
    let tls = [("server.tls_certificate", &certificate), ("server.tls_key", &key)];
    let (audit, traces) = (folder.path().join("audit.jsonl"), PathBuf::from("http://127.0.0.1:1"));
    for settings in
        [&tls[..], &[("auth.users_file", &users)], &[("audit.file", &audit)], &[("traces.endpoint", &traces)]]
    {
        let settings: Vec<_> = settings.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
        let flags = settings.iter().flat_map(|setting| ["--set", setting]);
        let out = output(&["bench", "--http"].into_iter().chain(flags).collect::<Vec<_>>());
        assert_eq!(out.status.code(), Some(1));
        for setting in &settings {
            let name = setting.split('=').next().expect("a name");
            assert!(said(&out).contains("leave out") && said(&out).contains(name), "{name}: {}", said(&out));
        }
    }
    assert!(!audit.exists(), "requests of a benchmark are in the audit log");
}

#[test]
fn bench_logs_in_as_the_configured_user_or_as_one_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("face.jpg");
    std::fs::write(&picture, jpeg(&portrait(1.0), 90)).expect("writes");
    let bench = ["bench", "--http", "--seconds", "1e-9", picture.to_str().expect("text")];
    let flags = ["--set", "auth.user=ann", "--set", "auth.password=secret"];
    let variables = [("FACEGATE_AUTH_USER", "ann"), ("FACEGATE_AUTH_PASSWORD", "secret")];
    for (flags, variables) in [(&flags[..], &[][..]), (&[], &variables[..]), (&[], &[])] {
        let mut command = facegate(&[&bench[..], flags].concat());
        let out = command.envs(variables.iter().copied()).output().expect("runs");
        let printed = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && printed.contains(" 1 requests"), "{printed}{}", said(&out));
    }
}

#[test]
fn how_fast_a_peer_refuses_is_no_measurement() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("any.jpg");
    std::fs::write(&picture, "any").expect("writes");
    let bench_for = |seconds: &str, address: &str| {
        output(&["bench", "--peer", address, "--seconds", seconds, picture.to_str().expect("text")])
    };
    let bench = |address: &str| bench_for("0.3", address);
    let unauthorized =
        bench(&peer(&[("401 Unauthorized", r#"{"hasError":true,"errorDetail":{"code":"unauthorized"}}"#)]));
    assert_eq!((unauthorized.status.code(), unauthorized.stdout.as_slice()), (Some(1), &b""[..]));
    for expected in ["any.jpg", "no request was answered with 200", "401 Unauthorized, unauthorized", "--peer-login"] {
        assert!(said(&unauthorized).contains(expected), "{expected}: {}", said(&unauthorized));
    }
    let busy = bench(&peer(&[("503 Service Unavailable", "no JSON")]));
    assert_eq!(busy.status.code(), Some(1));
    assert!(said(&busy).contains("times 503 Service Unavailable"), "{}", said(&busy));
    // A peer that is busy now and then is measured, and what it refused is told. In time for both, however slow the machine.
    let now_and_then = peer(&[
        ("503 Service Unavailable", r#"{"errorDetail":{"code":"queue_full"}}"#),
        ("200 OK", r#"{"hasError":false}"#),
    ]);
    let some = bench_for("5", &now_and_then);
    let printed = String::from_utf8_lossy(&some.stdout);
    assert!(some.status.success(), "{}", said(&some));
    assert!(
        printed.contains("any.jpg: OK (refused: ") && printed.contains("503 Service Unavailable, queue_full"),
        "{printed}"
    );
    let nobody = bench("127.0.0.1:1");
    assert!(said(&nobody).contains("cannot connect to 127.0.0.1:1"), "{}", said(&nobody));
}
