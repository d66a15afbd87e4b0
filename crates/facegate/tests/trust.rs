//! What `facegate` takes for its own, and what it tells the programs that it starts.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use face_models::ModelStore;

/// Without any setting but these.
fn facegate(models: &Path, words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facegate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FACEGATE_")) {
        command.env_remove(name);
    }
    command.args(words).env("FACEGATE_MODELS_DIR", models).envs(environment.iter().copied()).output().expect("runs")
}

#[test]
fn networks_that_somebody_has_changed_or_may_change_are_not_loaded() {
    testkit::models();
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("models");
    fs::create_dir(&folder).expect("a folder");
    for file in fs::read_dir(ModelStore::default_dir().expect("a folder")).expect("readable") {
        let path = file.expect("a file").path();
        if path.is_file() {
            fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copies");
        }
    }
    // A port that it cannot have: what is right with the networks ends there.
    let refused = |because: &str| {
        let out = facegate(&folder, &["serve", "--listen", "203.0.113.1:1"], &[]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(because), "{because}: {said}");
    };
    refused("cannot listen");
    for name in ["age.onnx", "face_geometry.json"] {
        let path = folder.join(name);
        let right = fs::read(&path).expect("reads");
        let mut wrong = right.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        fs::write(&path, wrong).expect("writes");
        refused("is not what was fetched");
        fs::write(&path, right).expect("writes");
    }
    for (path, mode) in [(top.path(), 0o755), (&folder, 0o755), (&folder.join("age.onnx"), 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode | 0o022)).expect("sets");
        refused("everybody on this machine may write");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("sets");
    }
    refused("cannot listen");
}

#[test]
fn a_liveness_head_that_everybody_may_write_is_not_loaded() {
    testkit::models();
    let folder = tempfile::tempdir().expect("a folder");
    let head = folder.path().join("office.head");
    fs::write(&head, "a head").expect("writes");
    let models = ModelStore::default_dir().expect("a folder");
    let setting = format!("analysis.liveness.head={}", head.display());
    for (mode, told) in [(0o666, "everybody on this machine may write the liveness head"), (0o664, "cannot listen")] {
        fs::set_permissions(&head, Permissions::from_mode(mode)).expect("sets");
        let out = facegate(&models, &["serve", "--listen", "203.0.113.1:1", "--set", &setting], &[]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(told), "{told}: {said}");
    }
}

#[test]
fn clients_of_registries_are_told_no_setting_and_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    for name in ["python3", "python", "pip", "npm"] {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n/usr/bin/env >>{}\nexit 1\n", told.display())).expect("writes");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("sets");
    }
    let secret = "tell-nobody";
    let environment = [
        ("PATH", folder.path().to_str().expect("text")),
        ("FACEGATE_PASSWORD", secret),
        ("FACEGATE_USER", "ann"),
        ("LANGUAGE", "as it was"),
    ];
    let out = facegate(&folder.path().join("models"), &["models", "fetch"], &environment);
    assert!(!out.status.success());
    let told = fs::read_to_string(told).expect("a client was started");
    assert!(told.contains("LANGUAGE=as it was"), "{told}");
    assert!(!told.contains(secret) && !told.contains("FACEGATE_"), "{told}");
}
