//! The commands that work without the service: what they print, write, go on with and refuse.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::GenericImageView as _;
use image::imageops::{rotate90, rotate180, rotate270};
use serde_json::Value;
use support::{facegate, output, output_unread};
use tempfile::TempDir;
use testkit::{jpeg, picture, portrait};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("makes folders");
    std::fs::write(&path, bytes).expect("writes");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn answers(jsonl: &[u8]) -> Vec<Value> {
    let lines = jsonl.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A face, a cup and what is no picture, in folders, beside a file that is not meant for one.
fn album() -> TempDir {
    let folder = folder();
    write(folder.path(), "people/face.jpg", &jpeg(&portrait(2.0), 92));
    write(folder.path(), "things/cup.png", &picture("coffee.png"));
    write(folder.path(), "things/text.jpg", b"no picture");
    write(folder.path(), "notes.txt", b"notes");
    folder
}

#[test]
fn analyze_prints_what_the_service_answers_and_fails_only_for_faults() {
    let album = album();
    let [face, cup, text_file] =
        ["people/face.jpg", "things/cup.png", "things/text.jpg"].map(|name| text(&album.path().join(name)).to_owned());
    let out = output(&["analyze", &face, &cup, &text_file]);
    assert!(out.status.success(), "a picture that cannot be used is an answer");
    let [ok, none, unreadable] = answers(&out.stdout).try_into().expect("three answers");
    assert_eq!((&ok["sessionId"], &ok["hasError"]), (&face.clone().into(), &false.into()));
    assert!(ok.get("details").is_none());
    assert_eq!(none["error"], "FACE_NOT_FOUND");
    assert_eq!(unreadable["errorDetail"]["code"], "image_format_unknown");
    let summary = said(&out);
    assert!(summary.contains("3 pictures in") && summary.contains("image_format_unknown 1"), "{summary}");

    let out = output(&["analyze", &face, "/nonexistent/file.jpg"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(answers(&out.stdout).len(), 1, "the other file is still answered");
    assert!(said(&out).contains("/nonexistent/file.jpg"), "{}", said(&out));

    // Under the strict profile the same face is too small.
    let out = output(&["analyze", "--details", "--profile", "strict", &face]);
    let strict = &answers(&out.stdout)[0];
    assert_eq!(
        (&strict["error"], strict["details"]["landmarks"].as_array().map(Vec::len)),
        (&"FACE_TOO_SMALL".into(), Some(478))
    );
    // The service would not take a larger picture either.
    let out = output(&["analyze", "--set", "server.max_image_bytes=1000", &face]);
    assert_eq!(answers(&out.stdout)[0]["errorDetail"]["code"], "image_too_large");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_file_or_too_large_is_told_by_every_command_that_reads_pictures() {
    let folder = folder();
    let (pipe, large) = (folder.path().join("pipe.jpg"), write(folder.path(), "large.jpg", &vec![0; 70_000]));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let list = "path,liveness\n/dev/zero,live\npipe.jpg,live\nlarge.jpg,print\n";
    let labels = write(folder.path(), "labels.csv", list.as_bytes());
    let report = folder.path().join("report");
    let limit = ["--set", "server.max_image_bytes=60000"];
    // A command that waits for a pipe, or reads a device to its end, never ends.
    let run = |arguments: &[&str]| {
        testkit::models();
        let mut command = Command::new("timeout");
        let program = facegate(&[]);
        command.args(["60", text(Path::new(program.get_program()))]).args(arguments).args(limit);
        program.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.output().expect("runs")
    };
    let (evaluate, head) = (folder.path().join("evaluation"), folder.path().join("a.head"));
    let analyze = run(&["analyze", text(&pipe), "/dev/zero", text(&large)]);
    assert_eq!(analyze.status.code(), Some(1));
    let too_large = &answers(&analyze.stdout)[0]["errorDetail"];
    let told = format!("image_too_large: {}", too_large["message"].as_str().expect("a message"));
    assert_eq!(
        (too_large["code"].as_str(), said(&analyze).matches("a pipe, a device").count()),
        (Some("image_too_large"), 2)
    );
    for (arguments, prefix) in [
        (["evaluate", text(&labels), "--out", text(&evaluate), "--title", ""], "not analysed: "),
        (["adapt", text(&labels), "--out", text(&head), "--report", text(&report)], "left out: "),
    ] {
        let out = run(&arguments);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        let lines = String::from_utf8_lossy(&out.stdout).into_owned();
        for (name, reason) in
            [("/dev/zero", "a pipe, a device"), ("pipe.jpg", "a pipe, a device"), ("large.jpg", &told)]
        {
            let begin = format!("{prefix}{name}: ");
            let line =
                lines.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}: {lines}"));
            assert!(line.contains(reason), "{line}");
        }
    }
    for (path, reason) in
        [(&pipe, "a pipe"), (&folder.path().join("nofile.jpg"), "No such file"), (&large, "60000 bytes")]
    {
        let out = run(&["bench", text(path)]);
        assert_eq!(out.status.code(), Some(1));
        assert!(said(&out).contains(text(path)) && said(&out).contains(reason), "{}", said(&out));
    }
}

#[test]
fn a_folder_without_pictures_is_no_success() {
    let folder = folder();
    write(folder.path(), "notes.txt", b"notes");
    let out = output(&["analyze", text(folder.path())]);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0));
    assert!(
        said(&out).contains(text(folder.path())) && said(&out).contains("1 file not named like one"),
        "{}",
        said(&out)
    );
}

#[test]
fn options_that_would_be_passed_over_are_refused() {
    let folder = folder();
    let picture = write(folder.path(), "text.jpg", b"no picture");
    let within = |name: &str| text(&folder.path().join(name)).to_owned();
    let run = |more: &[&str]| output(&[&["analyze", text(&picture)][..], more].concat());
    let (csv, plain, bare) = (within("a.csv"), within("a.txt"), within("answers"));
    for (arguments, words) in [
        (vec!["--face-image", "--format", "csv"], "--face-image needs --format jsonl or json"),
        (vec!["--face-image", "--format", "table"], "--face-image needs --format jsonl or json"),
        (vec!["--face-image", "--out", &csv], "--face-image needs --format jsonl or json"),
        (vec!["--out", &plain], "a.txt ends neither in .jsonl nor in .csv"),
        (vec!["--out", &bare], "answers ends neither in .jsonl nor in .csv"),
    ] {
        let out = run(&arguments);
        assert_eq!(out.status.code(), Some(1), "{arguments:?}");
        assert!(said(&out).contains(words), "{arguments:?}: {}", said(&out));
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 1, "something was written");
    for arguments in [vec!["--out", &plain, "--format", "csv"], vec!["--face-image", "--format", "json"]] {
        assert!(run(&arguments).status.success(), "{arguments:?}");
    }
    assert!(std::fs::read_to_string(&plain).expect("text").starts_with("picture,"));
    // Before what is to be done, and behind it.
    for arguments in [["models", "--set", "models.dir=/a/b", "path"], ["models", "path", "--set", "models.dir=/a/b"]] {
        let out = facegate(&arguments).env_remove("FACEGATE_MODELS_DIR").output().expect("runs");
        assert_eq!(String::from_utf8_lossy(&out.stdout), "/a/b\n", "{}", said(&out));
    }
    let nowhere = within("text.jpg/man");
    let out = facegate(&["man", "--out", &nowhere]).output().expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains(&format!("--out: {nowhere} cannot be written")), "{}", said(&out));
}

#[test]
fn a_listed_picture_that_cannot_be_read_is_a_fault_until_it_can() {
    let folder = folder();
    write(folder.path(), "text.jpg", b"no picture");
    let labels = write(folder.path(), "labels.csv", b"path,liveness\ntext.jpg,live\nlater.jpg,live\n");
    let evaluation = folder.path().join("evaluation");
    let arguments = ["evaluate", text(&labels), "--out", text(&evaluation)];
    let run = || output(&arguments);
    // Whoever reads what it prints, or not.
    let out = output_unread(&arguments);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("1 of 2 pictures could not be read"), "{}", said(&out));
    assert!(evaluation.join("report.html").exists(), "the others are reported");
    write(folder.path(), "later.jpg", &picture("coffee.png"));
    let out = run();
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("analysed by an earlier run: 1 of 2 pictures"), "{}", said(&out));
}

#[test]
fn an_evaluation_goes_on_with_the_very_pictures_that_it_began_with() {
    let folder = folder();
    write(folder.path(), "a/text.jpg", b"no picture");
    write(folder.path(), "b/text.jpg", b"no picture");
    let [first, second] =
        ["a", "b"].map(|name| write(folder.path(), &format!("{name}/labels.csv"), b"path,expected\ntext.jpg,OK\n"));
    let evaluation = folder.path().join("evaluation");
    let run = |labels: &Path| output(&["evaluate", text(labels), "--out", text(&evaluation)]);
    assert!(run(&first).status.success());
    // The same names in another folder are other pictures.
    let refused = run(&second);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("give another output folder"), "{}", said(&refused));
    let again = run(&first);
    assert!(said(&again).contains("analysed by an earlier run: 1 of 1 picture"), "{}", said(&again));
    // And so is another picture under the same name.
    write(folder.path(), "a/text.jpg", &picture("coffee.png"));
    for earlier in [false, true] {
        let out = run(&first);
        assert!(out.status.success(), "{}", said(&out));
        assert_eq!(said(&out).contains("by an earlier run"), earlier, "{}", said(&out));
        let figures = std::fs::read_to_string(evaluation.join("figures.json")).expect("reads");
        assert!(figures.contains("FACE_NOT_FOUND") && figures.contains("\"pictures_unreadable\": 0"), "{figures}");
    }
    // What is gone was judged all the same, and people are told to delete such pictures.
    let sample = || {
        let figures = std::fs::read(evaluation.join("figures.json")).expect("reads");
        serde_json::from_slice::<Value>(&figures).expect("JSON")["sample"].clone()
    };
    let before = sample();
    std::fs::remove_file(folder.path().join("a/text.jpg")).expect("removes");
    let out = run(&first);
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!((sample(), &before["pictures_analysed"]), (before.clone(), &Value::from(1)));
}

/// A label says how the head leans in the picture, which the program turns upright before it measures.
#[test]
fn the_roll_of_a_picture_on_its_side_is_compared_in_the_picture() {
    let folder = folder();
    let upright = portrait(2.0);
    for (name, picture) in
        [("0", upright.clone()), ("90", rotate90(&upright)), ("180", rotate180(&upright)), ("270", rotate270(&upright))]
    {
        write(folder.path(), &format!("{name}.jpg"), &jpeg(&picture, 92));
    }
    let list = b"path,yaw,pitch,roll\n0.jpg,0,0,0\n90.jpg,0,0,90\n180.jpg,0,0,180\n270.jpg,0,0,-90\n";
    let labels = write(folder.path(), "labels.csv", list);
    let evaluation = folder.path().join("evaluation");
    let out = output(&["evaluate", text(&labels), "--out", text(&evaluation)]);
    assert!(out.status.success(), "{}", said(&out));
    let figures = std::fs::read(evaluation.join("figures.json")).expect("reads");
    let figures: Value = serde_json::from_slice(&figures).expect("JSON");
    let error = figures["pose"]["roll"]["mean_absolute_error_degrees"]["value"].as_f64();
    assert!(error.is_some_and(|degrees| degrees < 6.0), "{}", figures["pose"]);
}

#[test]
fn an_evaluation_has_the_very_scores_that_are_answered() {
    let folder = folder();
    let face = write(folder.path(), "face.jpg", &jpeg(&portrait(2.0), 92));
    write(folder.path(), "same.jpg", &std::fs::read(&face).expect("reads"));
    let labels = write(folder.path(), "labels.csv", b"path,liveness\nface.jpg,live\nsame.jpg,print\n");
    let answered = answers(&output(&["analyze", text(&face)]).stdout)[0]["face"]["passiveLivenessScore"].clone();
    assert!(answered.is_number(), "{answered}");
    let evaluation = folder.path().join("evaluation");
    let password = ["--set", "auth.user=ann", "--set", "auth.password=hunter2", "--set=auth.password=hunter2"];
    let out = output(&[&["evaluate", text(&labels), "--out", text(&evaluation)][..], &password].concat());
    assert!(out.status.success(), "{}", said(&out));
    for name in ["figures.json", "report.html"] {
        let report = std::fs::read_to_string(evaluation.join(name)).expect("reads");
        assert!(report.contains("auth.password=…") && !report.contains("hunter2"), "{name} is passed on");
    }
    let figures = std::fs::read(evaluation.join("figures.json")).expect("reads");
    let figures: Value = serde_json::from_slice(&figures).expect("JSON");
    let figures = &figures["presentation_attack_detection"];
    // One of the two is on the wrong side, whatever the score.
    assert_eq!((&figures["misclassified"][0]["score"], &figures["eer"]["nearest_threshold"]), (&answered, &answered));
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_quotes_a_command_line_that_is_no_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let folder = folder();
    write(folder.path(), "text.jpg", b"no picture");
    let labels = folder.path().join(OsStr::from_bytes(b"la\xffbels.csv"));
    std::fs::write(&labels, "path,expected\ntext.jpg,OK\n").expect("writes");
    let evaluation = folder.path().join("evaluation");
    testkit::models();
    let out = facegate(&["evaluate", "--out", text(&evaluation)]).arg(&labels).output().expect("runs");
    assert!(out.status.success(), "{}", said(&out));
    let figures: Value =
        serde_json::from_slice(&std::fs::read(evaluation.join("figures.json")).expect("reads")).expect("JSON");
    let command = figures["meta"]["command"].as_str().expect("a command");
    assert!(command.ends_with("la\\xffbels.csv"), "{command}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_name_of_a_file_and_no_cell_of_a_list_forges_a_line_on_the_terminal() {
    let folder = folder();
    let name = "a\nb.jpg  OK\u{202e}\u{1b}[2K.jpg";
    write(folder.path(), name, b"no picture");
    let labels = write(folder.path(), "labels.csv", format!("path,liveness\n\"{name}\",live\n").as_bytes());
    let within = |name: &str| folder.path().join(name);
    let (evaluation, head, report, missing) =
        (within("evaluation"), within("a.head"), within("report"), within("no\nfile.jpg"));
    let picture = within(name);
    let safe = "a\\nb.jpg  OK\\u{202e}\\u{1b}[2K.jpg";
    let commands: [(&[&str], &str); 4] = [
        (&["analyze", "--format", "table", "--parallel", "1", text(&picture)], "[2K.jpg"),
        (&["evaluate", text(&labels), "--out", text(&evaluation)], safe),
        (&["adapt", text(&labels), "--out", text(&head), "--report", text(&report)], safe),
        (&["analyze", "--format", "table", text(&missing)], "no\\nfile.jpg"),
    ];
    for (command, shown) in commands {
        let out = output(command);
        let printed = String::from_utf8_lossy(&out.stdout).into_owned() + &said(&out);
        assert!(printed.contains(shown), "{command:?}: {printed}");
        assert!(!printed.contains(['\u{202e}', '\u{1b}']), "{command:?}: {printed:?}");
        assert!(!printed.lines().any(|line| line.starts_with("b.jpg") || line.starts_with("file.jpg")), "{printed}");
    }
}

#[test]
fn every_format_says_the_same_of_a_folder() {
    let album = album();
    let out = |format: &str| {
        let out = output(&["analyze", "--format", format, text(album.path())]);
        assert!(out.status.success(), "{}", said(&out));
        assert!(said(&out).contains("1  not named like pictures, left aside"), "{}", said(&out));
        out.stdout
    };
    let lines = answers(&out("jsonl"));
    assert_eq!(lines.len(), 3);
    let array: Vec<Value> = serde_json::from_slice(&out("json")).expect("one array");
    assert_eq!(array, lines);
    let table = out("csv");
    let mut table = csv::Reader::from_reader(table.as_slice());
    let header = table.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let people = out("table");
    let people = String::from_utf8(people).expect("text");
    assert!(!people.contains('\u{1b}'), "colours belong on a terminal: {people}");
    for ((row, answer), line) in table.records().zip(&lines).zip(people.lines().skip(1)) {
        let row = row.expect("a row");
        let cell = |name: &str| row[column(name)].to_owned();
        assert_eq!(answer["sessionId"], cell("picture"));
        let outcome = answer["error"].as_str().unwrap_or("OK");
        assert_eq!(cell("outcome"), outcome);
        assert!(
            line.contains(outcome) && line.contains(Path::new(&cell("picture")).file_name().unwrap().to_str().unwrap())
        );
        match &answer["face"] {
            Value::Null => {
                assert_eq!(answer["errorDetail"]["code"], cell("error_code"));
                assert_eq!(answer["errorDetail"]["message"], cell("error_message"));
                assert_eq!(cell("age"), "");
            }
            face => {
                assert_eq!(face["age"].to_string(), cell("age"));
                assert_eq!(face["gender"].to_string(), cell("gender"));
                assert_eq!(face["passiveLivenessScore"].to_string(), cell("passive_liveness_score"));
                for side in ["top", "left", "width", "height"] {
                    assert_eq!(face["rectangle"][side].to_string(), cell(side));
                }
            }
        }
    }
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was() {
    let folder = folder();
    let face = jpeg(&portrait(1.0), 90);
    // So many that the run is not over before it is killed, however late that is.
    for number in 0..90 {
        write(folder.path(), &format!("in/{number:02}.jpg"), &face);
    }
    let (pictures, out) = (folder.path().join("in"), folder.path().join("answers.csv"));
    let arguments = ["analyze", text(&pictures), "--out", text(&out), "--parallel", "1"];
    testkit::models();
    let mut first = facegate(&arguments).stderr(Stdio::null()).spawn().expect("starts");
    let deadline = Instant::now() + Duration::from_secs(120);
    while std::fs::read_to_string(&out).map_or(0, |text| text.lines().count()) < 4 {
        assert!(Instant::now() < deadline, "writes no rows");
        std::thread::sleep(Duration::from_millis(5));
    }
    // SIGKILL: nothing is left to the program.
    first.kill().expect("runs");
    first.wait().expect("ends");
    let before = std::fs::read_to_string(&out).expect("reads").lines().count() - 1;
    assert!(before < 90, "the run was over before it was killed");
    let second = output(&arguments);
    assert!(second.status.success(), "{}", said(&second));
    assert!(said(&second).contains("in the file already"), "{}", said(&second));
    let mut table = csv::Reader::from_path(&out).expect("a table");
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().expect("no torn row");
    assert_eq!(rows.len(), 90, "no row is missing, none is there twice");
    assert_eq!(rows.iter().map(|row| row[0].to_owned()).collect::<BTreeSet<_>>().len(), 90);
    // A contact sheet of what is new takes the place of no earlier one.
    let sheet = write(folder.path(), "sheet.png", b"an earlier sheet");
    let drawing = [&arguments[..], &["--contact-sheet", text(&sheet)]].concat();
    assert!(!said(&output(&drawing)).contains("contact sheet"), "nothing was drawn");
    write(folder.path(), "in/new.jpg", b"no picture");
    assert!(said(&output(&drawing)).contains("sheet-2.png"));
    assert_eq!(std::fs::read(&sheet).expect("reads"), b"an earlier sheet");
    image::open(folder.path().join("sheet-2.png")).expect("a sheet");
    // Another run has nothing to do; other settings are refused.
    assert!(said(&output(&arguments)).contains("0 pictures in"));
    let strict = output(&[&arguments[..], &["--profile", "strict", "--details"]].concat());
    assert_eq!(strict.status.code(), Some(1));
    assert!(said(&strict).contains("another details, analysis.rules.profile:"), "{}", said(&strict));
}

#[test]
fn the_same_name_in_another_working_folder_is_another_picture() {
    let folder = folder();
    for name in ["a/x.jpg", "b/x.jpg"] {
        write(folder.path(), name, b"no picture");
    }
    let out = folder.path().join("answers.jsonl");
    let run = |within: &str, picture: &str| {
        testkit::models();
        let mut command = facegate(&["analyze", picture, "--out", text(&out)]);
        command.current_dir(folder.path().join(within)).output().expect("runs")
    };
    assert!(run("a", "x.jpg").status.success());
    let refused = run("b", "x.jpg");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("begun with another working_folder:"), "{}", said(&refused));
    assert!(said(&run("b/../a", "x.jpg")).contains("1  in the file already"));
    // A path from the root leads to the same picture from everywhere.
    std::fs::remove_file(&out).expect("removes");
    let absolute = folder.path().join("b/x.jpg");
    assert!(run("a", text(&absolute)).status.success());
    assert!(said(&run("b", text(&absolute))).contains("1  in the file already"));
    // Also in a file with relative ones, of which it hinders none.
    assert!(run("a", "x.jpg").status.success());
    assert!(said(&run("b", "x.jpg")).contains("begun with another working_folder:"));
    assert!(said(&run("b", text(&absolute))).contains("1  in the file already"));
}

#[test]
fn annotate_draws_the_box_and_the_verdict() {
    let folder = folder();
    let original = portrait(2.0);
    let source = write(folder.path(), "face.jpg", &jpeg(&original, 95));
    let drawn = folder.path().join("drawn.png");
    let out = output(&["analyze", "--annotate", text(&drawn), text(&source)]);
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
fn several_pictures_are_annotated_in_folders_like_theirs_and_on_one_sheet() {
    let album = album();
    // The same name in another folder must not be overwritten.
    write(album.path(), "things/face.jpg", &jpeg(&portrait(2.0), 92));
    let drawn = folder();
    let sheet = drawn.path().join("sheet.jpg");
    let pattern = album.path().join("**/*.*g");
    let arguments = ["analyze", "--annotate", text(drawn.path()), "--contact-sheet", text(&sheet), text(&pattern)];
    let out = output(&arguments);
    assert!(out.status.success(), "{}", said(&out));
    for name in ["people/face.jpg.png", "things/face.jpg.png", "things/cup.png.png"] {
        image::open(drawn.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let sheet = image::open(sheet).expect("a picture");
    let (width, height) = sheet.dimensions();
    assert!(width > 4 * 256 && (256..512).contains(&height), "four tiles in one row, not {width} x {height}");
}

#[test]
fn where_nothing_can_be_drawn_is_said_before_any_work() {
    let folder = folder();
    let pictures = [0.5, 0.6].map(|scale| write(folder.path(), &format!("{scale}.jpg"), &jpeg(&portrait(scale), 90)));
    let [first, second] = pictures.each_ref().map(|path| text(path));
    let drawn = write(folder.path(), "drawn.png", b"a drawing of before");
    let odd = folder.path().join("drawn.abc");
    for (arguments, told) in [
        (vec!["--annotate", text(&drawn), first, second], "drawn.png is a file, and several pictures need a folder"),
        (vec!["--annotate", text(&odd), first], "drawn.abc ends in none of .png"),
        (vec!["--contact-sheet", text(&odd), first, second], "drawn.abc ends in none of .png"),
    ] {
        let out = output(&[&["analyze"], &arguments[..]].concat());
        assert_eq!(out.status.code(), Some(1));
        assert!(said(&out).contains(told), "{}", said(&out));
        assert!(out.stdout.is_empty(), "nothing was analysed");
    }
    assert_eq!(std::fs::read(&drawn).expect("there"), b"a drawing of before");
}

#[test]
fn what_config_prints_can_be_given_back_and_every_value_has_its_origin() {
    let folder = folder();
    let own = write(
        folder.path(),
        "own.toml",
        b"[server]\nqueue = 7\n[analysis.rules]\nmin_margin = { limit = 20 }\n[log]\n",
    );
    let print = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let out = facegate(arguments).envs(variable).output().expect("runs");
        assert!(out.status.success(), "{}", said(&out));
        String::from_utf8(out.stdout).expect("text")
    };
    let first = ["config", "--config", text(&own), "--profile", "strict", "--set", "log.level=debug"];
    let printed = print(&first, Some(("FACEGATE_LISTEN", "127.0.0.1:9999")));
    for expected in [
        "queue = 7 # file",
        "listen = \"127.0.0.1:9999\" # environment FACEGATE_LISTEN",
        "level = \"debug\" # flag",
        "min_margin.limit = 20 # file",
        "min_margin.action = \"reject\" # profile strict",
        "max_yaw.limit = 30 # profile strict",
        "min_score = 0.6 # default",
        "# tls_key is not set",
    ] {
        let lines: Vec<String> = printed.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} is not in\n{printed}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let raw = std::ffi::OsStr::from_bytes(b"\xff");
        let out = facegate(&["config", "server.queue"]).env("SOMEBODY_ELSES", raw).output().expect("runs");
        assert!(out.status.success(), "{}", said(&out));
    }
    let again = write(folder.path(), "again.toml", printed.as_bytes());
    let bare = |arguments: &[&str]| print(&[arguments, &["--bare"]].concat(), None);
    let reprinted = bare(&["config", "--config", text(&again)]);
    assert_eq!(reprinted, bare(&[&first[..], &["--set", "server.listen=127.0.0.1:9999"]].concat()));
    let changed = print(&["config", "--changed", "--set", "server.workers=3"], None);
    assert_eq!(changed.lines().count(), 2, "{changed}");
    // A password is not for the eyes of who looks at a screen.
    let hidden = print(&["config"], Some(("FACEGATE_AUTH_PASSWORD", "s3cret-passphrase")));
    assert!(!hidden.contains("s3cret-passphrase") && hidden.contains("password is set"), "{hidden}");
}

/// Compares a file of the documentation with what the program writes for it.
fn assert_fresh(name: &str, arguments: &[&str]) {
    let out = facegate(arguments).output().expect("runs");
    assert!(out.status.success(), "{}", said(&out));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let command = arguments.join(" ");
    assert!(
        written == String::from_utf8_lossy(&out.stdout),
        "docs/{name} is out of date: cargo run --release -- {command} > docs/{name}"
    );
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    assert_fresh("configuration.md", &["config", "--reference"]);
}

#[test]
fn the_profiles_are_files_that_mean_what_their_names_mean() {
    for profile in ["default", "strict", "lenient"] {
        let arguments = ["config", "analysis.rules", "--bare", "--profile", profile];
        let name = format!("profiles/{profile}.toml");
        assert_fresh(&name, &arguments);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let of = |arguments: &[&str]| facegate(arguments).output().expect("runs").stdout;
        assert_eq!(of(&["config", "--bare", "--config", text(&file)]), of(&["config", "--bare", "--profile", profile]));
    }
}

#[test]
fn every_command_has_a_manual_page_and_a_completion() {
    let folder = folder();
    assert!(output(&["man", "--out", text(folder.path())]).status.success());
    let script = output(&["completions", "bash"]).stdout;
    let script = String::from_utf8(script).expect("text");
    for command in ["analyze", "bulk", "config", "evaluate", "models", "serve"] {
        let page = std::fs::read_to_string(folder.path().join(format!("facegate-{command}.1"))).expect("a page");
        assert!(page.starts_with(".ie") && page.contains("SYNOPSIS"), "{page}");
        assert!(script.contains(&format!("facegate,{command})")), "{command} is not completed");
    }
    let mut shell = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
    std::io::Write::write_all(&mut shell.stdin.take().expect("piped"), script.as_bytes()).expect("reads");
    assert!(shell.wait().expect("ends").success(), "the script is no bash");
}

#[test]
fn a_reader_that_has_enough_is_no_fault() {
    let mut child =
        facegate(&["config", "--reference"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("ends");
    assert_eq!((out.status.code(), said(&out).as_str()), (Some(0), ""));
}
