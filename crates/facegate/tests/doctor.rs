//! `facegate doctor`: what it finds on a machine that is made to lack something.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use face_models::ModelStore;

/// With nothing in the environment but the way to programs, a home and what is given.
fn doctor(environment: &[(&str, &str)], settings: &[String]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facegate"));
    command.arg("doctor").args(settings.iter().flat_map(|setting| ["--set", setting]));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FACEGATE_") && name != "FACEGATE_MODELS_DIR")
    {
        command.env_remove(name);
    }
    let out = command.envs(environment.iter().copied()).output().expect("runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out, text)
}

/// Any free port, for both listeners.
fn free() -> Vec<String> {
    vec!["server.listen=127.0.0.1:0".into(), "metrics.listen=127.0.0.1:0".into()]
}

fn line<'t>(text: &'t str, words: &str) -> &'t str {
    text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("nothing says {words:?} in\n{text}"))
}

#[test]
fn a_machine_that_can_run_facegate_is_told_so() {
    testkit::models();
    let (out, text) = doctor(&[], &free());
    assert!(out.status.success(), "{text}");
    assert!(line(&text, "load and run").starts_with("ok"), "{text}");
    assert!(line(&text, "made up and printed").starts_with("advice"), "{text}");
    assert!(text.ends_with("facegate can run here\n"), "{text}");
}

/// The memory that a picture of a gigapixel needs is more than the shell leaves to the program.
#[cfg(target_os = "linux")]
#[test]
fn that_no_process_can_decode_is_named_and_no_library_is_blamed() {
    testkit::models();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 2900000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_facegate"), "doctor"]);
    let settings = free().into_iter().chain(["analysis.limits.max_pixels=1000000000".to_owned()]);
    let out = command.args(settings.flat_map(|setting| ["--set".to_owned(), setting])).output().expect("runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(line(&text, "cannot be started").starts_with("WRONG   decoding"), "{text}");
    assert!(!text.contains("libstdc++6"), "{text}");
}

#[test]
fn a_taken_port_a_bad_setting_and_an_unreadable_users_file_are_each_named_with_what_to_do() {
    testkit::models();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut settings = free();
    settings.extend([format!("server.listen={address}"), "auth.users_file=/nowhere/users".to_owned()]);
    let (out, text) = doctor(&[], &settings);
    assert_eq!(out.status.code(), Some(1));
    assert!(line(&text, &address).starts_with("WRONG"), "{text}");
    assert!(line(&text, "/nowhere/users").starts_with("WRONG"), "{text}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("2 things are in the way"));

    let (out, text) = doctor(&[("FACEGATE_SERVER_QUEU", "3")], &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(line(&text, "FACEGATE_SERVER_QUEU").starts_with("WRONG"), "{text}");
}

/// Each of these ends `serve` at its start.
#[test]
fn a_configuration_that_the_service_refuses_is_refused_here_too() {
    testkit::models();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    };
    let users = write("users", &face_service::auth::hash_line("ann", "secret").expect("hashes"));
    let garbage = write("garbage", "no user\n");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = write("key.pem", &made.signing_key.serialize_pem());
    let file = |name: &str, path: &str| format!("{name}={path}");
    let cases = [
        ("users", vec!["auth.user=ann".to_owned()]),
        ("users", vec![file("auth.users_file", &users), "auth.user=ann".to_owned(), "auth.password=secret".to_owned()]),
        ("users", vec![file("auth.users_file", &garbage)]),
        ("TLS", vec![file("server.tls_certificate", &write("alone.pem", &made.cert.pem()))]),
        ("TLS", vec![file("server.tls_certificate", &garbage), file("server.tls_key", &key)]),
        ("memory", vec!["server.max_buffered_bytes=16777215".to_owned()]),
        ("memory", vec![file("auth.users_file", &users), "server.max_buffered_bytes=33554431".to_owned()]),
        ("memory", vec!["server.max_image_bytes=300000000".to_owned()]),
        ("log", vec!["log.level=loud".to_owned()]),
        ("traces", vec!["traces.endpoint=https://127.0.0.1:1".to_owned()]),
        ("traces", vec!["traces.endpoint=http://127.0.0.1:1".to_owned(), "traces.sample_ratio=2".to_owned()]),
    ];
    for (subject, settings) in cases {
        let (out, text) = doctor(&[], &[free(), settings.clone()].concat());
        assert_eq!(out.status.code(), Some(1), "{settings:?}: {text}");
        assert!(line(&text, "WRONG").starts_with(&format!("WRONG   {subject} ")), "{settings:?}: {text}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("one thing is in the way"), "{settings:?}: {text}");
    }
}

#[test]
fn a_liveness_head_that_cannot_be_used_is_named_and_no_library_is_blamed() {
    testkit::models();
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = folder.path().join("damaged.head");
    std::fs::write(&damaged, "no head\n").expect("writes");
    for (head, reason) in [(folder.path().join("missing.head"), "No such file"), (damaged, "no liveness head")] {
        let mut settings = free();
        settings.push(format!("analysis.liveness.head={}", head.display()));
        let (out, text) = doctor(&[], &settings);
        assert_eq!(out.status.code(), Some(1));
        let told = line(&text, head.to_str().expect("text"));
        assert!(told.starts_with("WRONG   head") && told.contains(reason), "{text}");
        assert!(line(&text, "load and run").starts_with("ok") && !text.contains("libstdc++"), "{text}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("one thing is in the way"));
    }
}

#[test]
fn an_empty_model_folder_and_missing_clients_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().join("models");
    let models = models.to_str().expect("text");
    let bare = [("FACEGATE_MODELS_DIR", models), ("PATH", "/nowhere")];
    let (out, text) = doctor(&bare, &free());
    assert_eq!(out.status.code(), Some(1));
    assert!(line(&text, "missing or damaged").starts_with("WRONG"), "{text}");
    assert!(line(&text, "no pip").contains("fetch networks"), "{text}");
    assert!(line(&text, "no npm").starts_with("WRONG"), "{text}");
}

/// pip is what a fetch would run: a module of Python, or a program of its own.
#[cfg(unix)]
#[test]
fn pip_is_looked_for_as_it_is_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().join("models");
    let program = |name: &str, body: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permits");
    };
    let path = folder.path().to_str().expect("text");
    let has_pip = || {
        let (_, text) = doctor(&[("FACEGATE_MODELS_DIR", models.to_str().expect("text")), ("PATH", path)], &free());
        assert!(text.contains("no npm"), "{text}");
        !text.contains("no pip")
    };
    program("python3", r#"[ "$1 $2" = "-m pip" ]"#);
    assert!(has_pip());
    program("python3", "exit 1");
    assert!(!has_pip());
    program("pip3", "exit 0");
    assert!(has_pip());
}

#[cfg(unix)]
#[test]
fn secrets_and_networks_that_everybody_may_touch_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let open_to_all = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permits");
    };
    let [users, head] = ["users", "office.head"].map(|name| folder.path().join(name));
    std::fs::write(&users, face_service::auth::hash_line("ann", "secret").expect("hashes")).expect("writes");
    open_to_all(&users, 0o644);
    std::fs::write(&head, "").expect("writes");
    open_to_all(&head, 0o666);
    let models = folder.path().join("models");
    std::fs::create_dir(&models).expect("a folder");
    open_to_all(&models, 0o777);
    let mut settings = free();
    settings.push(format!("auth.users_file={}", users.display()));
    settings.push(format!("analysis.liveness.head={}", head.display()));
    let (_, text) = doctor(&[("FACEGATE_MODELS_DIR", models.to_str().expect("text"))], &settings);
    assert!(line(&text, "everybody may read or write").starts_with("advice"), "{text}");
    assert!(line(&text, "a library is loaded from there").starts_with("WRONG"), "{text}");
    assert!(line(&text, "may write the liveness head").starts_with("WRONG"), "{text}");
    open_to_all(&users, 0o666);
    let (_, text) = doctor(&[], &settings);
    assert!(line(&text, "may write the users file").starts_with("WRONG"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_network_that_everybody_may_write_or_exchange_is_named_and_not_run() {
    use std::os::unix::fs::PermissionsExt as _;
    testkit::models();
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("models");
    std::fs::create_dir(&folder).expect("a folder");
    for file in std::fs::read_dir(ModelStore::default_dir().expect("a folder")).expect("readable") {
        let path = file.expect("a file").path();
        if path.is_file() {
            std::fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copies");
        }
    }
    for (path, mode) in [(top.path(), 0o755), (&folder.join("age.onnx"), 0o644)] {
        let permit = |mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permits");
        permit(mode | 0o022);
        let (out, text) = doctor(&[("FACEGATE_MODELS_DIR", folder.to_str().expect("text"))], &free());
        assert_eq!(out.status.code(), Some(1));
        assert!(line(&text, "everybody on this machine may write").starts_with("WRONG"), "{text}");
        assert!(!text.contains("load and run"), "{text}");
        permit(mode);
    }
}
