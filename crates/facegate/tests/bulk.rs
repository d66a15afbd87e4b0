//! `facegate bulk` on the file system: shards side by side, killed, started again.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use support::{facegate, output};
use tempfile::TempDir;
use testkit::{jpeg, picture, portrait};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("makes folders");
    std::fs::write(path, bytes).expect("writes");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// The parts of a destination, in whatever shard.
fn parts(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| text(path).ends_with(ending) && text(path).contains("/part-")).collect()
}

/// Name and outcome of every answer, as often as it stands in the parts.
fn answers(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for part in parts(folder, ".jsonl") {
        let part = std::fs::read_to_string(&part).expect("text");
        assert!(part.ends_with('\n'), "a part ends with a whole line");
        for line in part.lines() {
            let answer: Value = serde_json::from_str(line).expect("a whole line");
            let word = |key: &str| answer[key].as_str().map(ToOwned::to_owned);
            all.push((word("sessionId").expect("a name"), word("error").unwrap_or_else(|| "OK".into())));
        }
    }
    all
}

fn start(source: &Path, out: &Path, shard: &str) -> Child {
    let arguments = ["bulk", text(source), "--out", text(out), "--shard", shard, "--part-rows", "3", "--parallel", "1"];
    facegate(&arguments).stderr(Stdio::piped()).spawn().expect("starts")
}

fn wait_for_parts(folder: &Path, shard: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while parts(folder, ".jsonl").iter().filter(|part| text(part).contains(shard)).count() < count {
        assert!(Instant::now() < deadline, "no parts of {shard}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs").success());
}

#[test]
fn shards_that_are_killed_and_started_again_answer_every_picture() {
    testkit::models();
    let (source, out) = (folder(), folder());
    let face = jpeg(&portrait(1.0), 90);
    let mut expected = BTreeSet::new();
    // So many that no shard is done before its signal arrives, however late that is sent.
    for number in 0..120 {
        let name = format!("day {}/ü{number:03}.jpg", number % 5);
        write(source.path(), &name, &face);
        expected.insert(name);
    }
    write(source.path(), "notes.txt", b"no picture, and not named like one");
    write(source.path(), "broken.jpg", &face[..face.len() / 2]);
    expected.insert("broken.jpg".to_owned());

    // SIGKILL leaves nothing to the one, SIGTERM lets the other write the part that it has begun. One after the other, so that
    // neither is done before its turn comes.
    let mut first = start(source.path(), out.path(), "0/2");
    wait_for_parts(out.path(), "part-00000-of-00002", 2);
    signal(&first, "-KILL");
    first.wait().expect("ends");
    let second = start(source.path(), out.path(), "1/2");
    wait_for_parts(out.path(), "part-00001-of-00002", 1);
    signal(&second, "-TERM");
    let second = second.wait_with_output().expect("ends");
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains("run the same command again"), "{}", said(&second));
    let before = answers(out.path());
    assert!((9..expected.len()).contains(&before.len()), "{} answers before the restart", before.len());

    for shard in ["0/2", "1/2"] {
        let again = start(source.path(), out.path(), shard).wait_with_output().expect("ends");
        assert!(again.status.success(), "{}", said(&again));
        assert!(said(&again).contains("answered by earlier runs"), "{}", said(&again));
    }
    let after = answers(out.path());
    assert_eq!(after.len(), expected.len(), "no picture twice");
    let by_name: BTreeMap<_, _> = after.iter().cloned().collect();
    assert_eq!(by_name.keys().cloned().collect::<BTreeSet<_>>(), expected, "and none missing");
    assert_eq!(by_name["broken.jpg"], "INTERNAL_ERROR");
    assert!(before.iter().all(|(name, outcome)| by_name[name] == *outcome), "earlier answers are kept");
    let done = |shard: u32| -> Value {
        let path = out.path().join(format!("done-0000{shard}-of-00002.json"));
        serde_json::from_slice(&std::fs::read(path).expect("the shard is complete")).expect("JSON")
    };
    let counts: u64 = (0..2).map(|shard| done(shard)["pictures"].as_u64().expect("a number")).sum();
    assert_eq!(counts, expected.len() as u64);

    // Nothing is left to do, and what differs is refused.
    let parts_before = parts(out.path(), ".jsonl").len();
    let again = start(source.path(), out.path(), "0/2").wait_with_output().expect("ends");
    assert!(again.status.success() && said(&again).contains("0 by this run"), "{}", said(&again));
    assert_eq!(parts(out.path(), ".jsonl").len(), parts_before);
    let other = start(source.path(), out.path(), "0/3").wait_with_output().expect("ends");
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("shards"), "{}", said(&other));
}

#[test]
fn a_tar_file_gives_the_same_answers_as_its_folder_and_parquet_the_same_as_json() {
    let (source, work) = (folder(), folder());
    write(source.path(), "people/face.jpg", &jpeg(&portrait(2.0), 92));
    write(source.path(), "cup.png", &picture("coffee.png"));
    write(source.path(), "text.jpg", b"no picture");
    write(source.path(), "large.bmp", &vec![0; 700_000]);
    write(source.path(), "without-an-ending", &picture("coffee.png"));
    let archive = work.path().join("pictures.tar.gz");
    let packed = Command::new("tar").args(["-czf", text(&archive), "-C", text(source.path()), "."]).status();
    assert!(packed.expect("tar runs").success());
    let limit = ["--any-name", "--set", "server.max_image_bytes=600000"];
    let run = |source: &Path, format: &str| {
        let out = work.path().join(format!("{}-{format}", source.file_name().expect("a name").to_string_lossy()));
        let arguments = ["bulk", text(source), "--out", text(&out), "--format", format, "--details"];
        let output = output(&[&arguments[..], &limit].concat());
        assert!(output.status.success(), "{}", said(&output));
        out
    };
    let of_folder: BTreeMap<String, String> = answers(&run(source.path(), "jsonl")).into_iter().collect();
    assert_eq!(of_folder, answers(&run(&archive, "jsonl")).into_iter().collect());
    let outcome = |name: &str| of_folder[name].as_str();
    assert_eq!((of_folder.len(), outcome("people/face.jpg"), outcome("cup.png")), (5, "OK", "FACE_NOT_FOUND"));
    assert_eq!((outcome("text.jpg"), outcome("large.bmp")), ("INTERNAL_ERROR", "INTERNAL_ERROR"));

    let tables = parts(&run(&archive, "parquet"), ".parquet");
    let [table] = &tables[..] else { panic!("one part, not {tables:?}") };
    // The record reader of the parquet crate assembles rows by the file's own schema.
    let reader = SerializedFileReader::new(std::fs::File::open(table).expect("opens")).expect("a Parquet file");
    let rows: Vec<BTreeMap<String, Field>> = reader
        .get_row_iter(None)
        .expect("rows")
        .map(|row| row.expect("a row").get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect())
        .collect();
    let word = |row: &BTreeMap<String, Field>, column: &str| match &row[column] {
        Field::Str(text) => text.clone(),
        other => panic!("{column} is {other}"),
    };
    assert_eq!(of_folder, rows.iter().map(|row| (word(row, "picture"), word(row, "outcome"))).collect());
    let row = |name: &str| rows.iter().find(|row| word(row, "picture") == name).expect("a row");
    assert_eq!(word(row("large.bmp"), "error_code"), "image_too_large");
    let face = row("people/face.jpg");
    assert!(matches!(face["age"], Field::Int(15..60)), "{face:?}");
    assert!(matches!(face["interpupillary_distance"], Field::Float(75.0..100.0)), "{face:?}");
    assert_eq!((&face["image_width"], &face["error_code"]), (&Field::Int(1024), &Field::Null));
}

#[test]
fn another_source_is_not_taken_for_the_one_that_was_answered() {
    let (first, second, out) = (folder(), folder(), folder());
    write(first.path(), "a.jpg", b"no picture");
    write(second.path(), "a.jpg", &jpeg(&portrait(2.0), 92));
    let run = |source: &str| output(&["bulk", source, "--out", text(out.path())]);
    assert!(run(text(first.path())).status.success());
    let refused = run(text(second.path()));
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("begun with another source:"), "{}", said(&refused));
    // By whatever path, it is the same folder.
    let again = run(&format!("{}/.", text(first.path())));
    assert!(again.status.success() && said(&again).contains("1 picture answered"), "{}", said(&again));
    assert_eq!(answers(out.path()), [("a.jpg".to_owned(), "INTERNAL_ERROR".to_owned())]);
    let record: Value =
        serde_json::from_slice(&std::fs::read(out.path().join("run.json")).expect("reads")).expect("JSON");
    assert_eq!(record["source"], text(&first.path().canonicalize().expect("a path")));
}

#[test]
fn a_source_without_pictures_is_not_complete() {
    let (source, work) = (folder(), folder());
    let out = work.path().join("out");
    let run = |more: &[&str]| output(&[&["bulk", text(source.path()), "--out", text(&out)][..], more].concat());
    let is_complete = || {
        std::fs::read_dir(&out)
            .into_iter()
            .flatten()
            .any(|entry| entry.expect("an entry").file_name().to_string_lossy().starts_with("done-"))
    };
    let nothing = run(&[]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(said(&nothing).contains("there is nothing in") && !out.exists(), "{}", said(&nothing));
    write(source.path(), "5f3a9c21", b"no picture");
    write(source.path(), "notes.txt", b"notes");
    let aside = run(&[]);
    assert_eq!(aside.status.code(), Some(1), "{}", said(&aside));
    assert!(said(&aside).contains("2 not named like one: --any-name") && !out.exists(), "{}", said(&aside));
    // The corrected command has the same destination, also where the folder was there before.
    let other = folder();
    write(other.path(), "b.jpg", b"no picture");
    let kept = folder();
    for (source, code) in [(source.path(), Some(1)), (other.path(), Some(0))] {
        let run = output(&["bulk", text(source), "--out", text(kept.path())]);
        assert_eq!(run.status.code(), code, "{}", said(&run));
    }
    assert!(run(&["--any-name"]).status.success() && is_complete());
    // One picture is in one of two shards, and the other is complete without any.
    write(source.path(), "a.jpg", b"no picture");
    let halves = work.path().join("halves");
    for (shard, pictures) in [("0/2", "1 picture\n"), ("1/2", "0 pictures\n"), ("0/2", "1 picture\n")] {
        let half = output(&["bulk", text(source.path()), "--out", text(&halves), "--shard", shard]);
        assert!(half.status.success(), "{}", said(&half));
        assert!(said(&half).contains(&format!("complete, {pictures}")), "{}", said(&half));
        assert!(said(&half).contains("2  in the whole source not named like pictures, left aside"), "{}", said(&half));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn files_whose_names_are_no_utf8_are_each_answered_once() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let (source, work) = (folder(), folder());
    for name in [&b"inv\xff.jpg"[..], b"inv\xfe.jpg", b"inv\\xfe.jpg"] {
        std::fs::write(source.path().join(OsStr::from_bytes(name)), "no picture").expect("writes");
    }
    let archive = work.path().join("all.tar");
    let packed = Command::new("tar").args(["-cf", text(&archive), "-C", text(source.path()), "."]).status();
    assert!(packed.expect("tar runs").success());
    let expected: BTreeSet<String> = ["inv\\xff.jpg", "inv\\xfe.jpg", "inv\\x5cxfe.jpg"].map(str::to_owned).into();
    for (number, source) in [source.path(), &archive].into_iter().enumerate() {
        let out = work.path().join(number.to_string());
        for earlier in [0, 3] {
            let run = output(&["bulk", text(source), "--out", text(&out)]);
            assert!(run.status.success(), "{}", said(&run));
            assert_eq!(said(&run).contains(&format!("{earlier} pictures answered")), earlier > 0, "{}", said(&run));
            let names: Vec<String> = answers(&out).into_iter().map(|(name, _)| name).collect();
            assert_eq!((names.len(), names.into_iter().collect()), (3, expected.clone()));
        }
    }
    // `analyze` goes on with what is missing, by the same names.
    let out = work.path().join("answers.csv");
    let run = output(&["analyze", text(source.path()), "--out", text(&out)]);
    assert!(run.status.success(), "{}", said(&run));
    let table = std::fs::read_to_string(&out).expect("text");
    let without_last = table.trim_end().rsplit_once('\n').expect("lines").0.to_owned() + "\n";
    std::fs::write(&out, without_last).expect("writes");
    assert!(output(&["analyze", text(source.path()), "--out", text(&out)]).status.success());
    assert_eq!(std::fs::read_to_string(&out).expect("text"), table);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_tar_file_has_only_a_link_or_a_map_of_is_answered_with_the_reason() {
    let (source, work) = (folder(), folder());
    let within = |name: &str| source.path().join(name);
    write(source.path(), "a/face.jpg", b"no picture");
    std::fs::hard_link(within("a/face.jpg"), within("hard.jpg")).expect("links");
    std::os::unix::fs::symlink("a/face.jpg", within("soft.jpg")).expect("links");
    std::os::unix::fs::symlink("a", within("folder")).expect("links");
    let hole = std::fs::File::create(within("sparse.bmp")).expect("creates");
    hole.set_len(4 << 20).expect("a hole");
    std::os::unix::fs::FileExt::write_all_at(&hole, b"the end", (4 << 20) - 7).expect("writes");
    for format in ["gnu", "posix"] {
        let archive = work.path().join(format!("{format}.tar"));
        let members = ["a/face.jpg", "hard.jpg", "./soft.jpg", "./sparse.bmp", "folder"];
        let format = format!("--format={format}");
        let packed = Command::new("tar")
            .args(["-c", "--sparse", &format, "-f", text(&archive), "-C", text(source.path())])
            .args(members)
            .status();
        assert!(packed.expect("tar runs").success());
        assert!(std::fs::metadata(&archive).expect("there").len() < 1 << 20, "it is not sparse");
        let out = archive.with_extension("out");
        let run = output(&["bulk", text(&archive), "--out", text(&out)]);
        assert!(run.status.success(), "{}", said(&run));
        let details: BTreeMap<String, Value> = parts(&out, ".jsonl")
            .iter()
            .flat_map(|part| {
                std::fs::read_to_string(part).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .map(|line| serde_json::from_str::<Value>(&line).expect("JSON"))
            .map(|answer| (answer["sessionId"].as_str().expect("a name").to_owned(), answer["errorDetail"].clone()))
            .collect();
        let names: Vec<&str> = details.keys().map(String::as_str).collect();
        assert_eq!(names, ["a/face.jpg", "hard.jpg", "soft.jpg", "sparse.bmp"], "{format}");
        assert_eq!(details["a/face.jpg"]["code"], "image_format_unknown");
        for (name, reason, advice) in [
            ("hard.jpg", "a hard link to a/face.jpg", "--hard-dereference"),
            ("soft.jpg", "a symbolic link to a/face.jpg", "--dereference"),
            ("sparse.bmp", "a sparse file", "--sparse"),
        ] {
            let message = details[name]["message"].as_str().expect("a message");
            assert!(message.contains(reason) && message.contains(advice), "{format}: {message}");
            assert_eq!(details[name]["code"], "image_absent");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_folder_has_a_name_and_no_bytes_of_is_answered_with_the_reason_and_what_cannot_be_read_is_a_fault() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (source, work) = (folder(), folder());
    write(source.path(), "a.jpg", b"no picture");
    symlink("nowhere", source.path().join("z.jpg")).expect("links");
    let pipe = source.path().join("p.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let out = work.path().join("out");
    let run = || output(&["bulk", text(source.path()), "--out", text(&out)]);
    let first = run();
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("2  of this run not there under their names (image_absent), the first "));
    let all: Vec<Value> = parts(&out, ".jsonl")
        .iter()
        .flat_map(|part| std::fs::read_to_string(part).expect("text").lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| serde_json::from_str(&line).expect("JSON"))
        .collect();
    assert_eq!(all.len(), 3);
    for (name, reason) in [("z.jpg", "a symbolic link to nowhere"), ("p.jpg", "a pipe, a device or a socket")] {
        let answer = all.iter().find(|answer| answer["sessionId"] == name).expect(name);
        assert_eq!(answer["errorDetail"]["code"], "image_absent");
        assert!(answer["errorDetail"]["message"].as_str().expect("a message").contains(reason), "{answer}");
    }
    // What cannot be read has no answer yet, and everything after it has. The kernel answers so for a bad sector, too.
    let faulty = source.path().join("f.jpg");
    symlink("/proc/self/mem", &faulty).expect("links");
    write(source.path(), "g.jpg", b"no picture");
    let broken = run();
    assert_eq!(broken.status.code(), Some(1), "{}", said(&broken));
    assert!(said(&broken).contains("f.jpg: Input/output error"), "{}", said(&broken));
    assert!(said(&broken).contains("1 picture of shard 0/1 could not be read"), "{}", said(&broken));
    assert_eq!(answers(&out).len(), 4);
    std::fs::remove_file(&faulty).expect("ours");
    let closed = source.path().join("b.jpg");
    write(source.path(), "b.jpg", b"no picture");
    write(source.path(), "c.jpg", b"no picture");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("ours");
    if std::fs::File::open(&closed).is_ok() {
        return; // Root may read everything.
    }
    let second = run();
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains("b.jpg: Permission denied"), "{}", said(&second));
    assert!(said(&second).contains("1 picture of shard 0/1 could not be read"), "{}", said(&second));
    assert_eq!(answers(&out).len(), 5);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o600)).expect("ours");
    assert!(run().status.success());
    assert_eq!(answers(&out).len(), 6);
}

#[test]
fn what_is_no_source_is_told_what_a_source_is_and_leaves_nothing_behind() {
    let work = folder();
    write(work.path(), "a.jpg", &jpeg(&portrait(1.0), 90));
    write(work.path(), "photos.zip", &[b'P'; 3000]);
    let out = work.path().join("out");
    for (name, reason) in [("a.jpg", "no tar file"), ("photos.zip", "no tar file"), ("nowhere", "No such file")] {
        let run = output(&["bulk", text(&work.path().join(name)), "--out", text(&out)]);
        assert_eq!(run.status.code(), Some(1), "{name}");
        for expected in [name, reason, "a source is a folder, a tar file"] {
            assert!(said(&run).contains(expected), "{expected}: {}", said(&run));
        }
        assert!(!out.exists(), "{name} left something in the destination");
    }
}

#[test]
fn faults_end_the_run_and_are_told() {
    let (source, work) = (folder(), folder());
    write(source.path(), "face.jpg", &jpeg(&portrait(1.0), 90));
    write(work.path(), "file", b"");
    write(work.path(), "cut.tar", &[b'x'; 700]);
    let file = work.path().join("file");
    let (missing, cut, out) = (work.path().join("missing"), work.path().join("cut.tar"), work.path().join("out"));
    let cases: [(&Path, &Path, &str); 3] =
        [(source.path(), &file, "cannot write to"), (&missing, &out, "cannot read"), (&cut, &out, "cut.tar")];
    for (source, out, expected) in cases {
        let out = output(&["bulk", text(source), "--out", text(out)]);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains(expected), "{expected}: {}", said(&out));
    }
    for (source, out) in [("http://127.0.0.1/a", text(&out)), (text(source.path()), "ftp://127.0.0.1/a")] {
        let out = output(&["bulk", source, "--out", out]);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains("/a is no store: give a folder, s3://BUCKET/PREFIX"), "{}", said(&out));
    }
    let rows = output(&["bulk", text(source.path()), "--out", text(&out), "--part-rows", "0"]);
    assert_eq!(rows.status.code(), Some(2));
    assert!(said(&rows).contains("1..=1000000"), "{}", said(&rows));
    let out = output(&["bulk", text(source.path()), "--out", text(&out), "--shard", "2/2"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("0/2 to 1/2"), "{}", said(&out));
}
