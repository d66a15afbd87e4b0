//! A head from labelled pictures to the running service.

mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use image::RgbImage;
use serde_json::Value;
use support::{Log, facegate, output, output_unread};
use testkit::{cropped, jpeg, picture, portrait, resized};

/// Faces of the packaged pictures, each with some room and twice as large: seven people.
fn people() -> Vec<RgbImage> {
    let group = image::load_from_memory(&picture("t1.jpg")).expect("a picture").to_rgb8();
    let details = testkit::analyze(&picture("t1.jpg")).details.expect("details");
    let mut people: Vec<RgbImage> = details
        .faces
        .iter()
        .map(|face| {
            let e = face.extent;
            let (left, top) = ((e.left - 0.6 * e.width).max(0.0) as u32, (e.top - 0.6 * e.height).max(0.0) as u32);
            let width = ((2.2 * e.width) as u32).min(group.width() - left);
            let height = ((2.2 * e.height) as u32).min(group.height() - top);
            let face = cropped(&group, left, top, width, height);
            resized(&face, 2 * width, 2 * height)
        })
        .collect();
    people.push(portrait(1.0));
    people
}

/// An "attack" that any head can learn and that the networks were not made for: the picture through blue glass.
fn tinted(picture: &RgbImage) -> RgbImage {
    let mut tinted = picture.clone();
    tinted.pixels_mut().for_each(|p| p.0 = [p.0[0] / 3, p.0[1] / 2, 160 + p.0[2] / 3]);
    tinted
}

/// Labelled pictures in a folder: live and tinted, each person cut in four ways.
fn collection(folder: &Path) -> PathBuf {
    let mut csv = "path,liveness,group\n".to_owned();
    for (number, person) in people().iter().enumerate() {
        for (kind, shown) in [("live", person.clone()), ("tinted", tinted(person))] {
            for cut in 0..4 {
                let (width, height) = (shown.width(), shown.height());
                let view = cropped(&shown, cut * 4, cut * 6, width - cut * 8, height - cut * 12);
                let name = format!("{kind}-{number}-{cut}.jpg");
                std::fs::write(folder.join(&name), jpeg(&view, 92)).expect("writes");
                writeln!(csv, "{name},{kind},person {number}").expect("text");
            }
        }
    }
    let labels = folder.join("labels.csv");
    std::fs::write(&labels, csv).expect("writes");
    labels
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn fitted(folder: &Path, name: &str, bpcer: &str) -> PathBuf {
    let head = folder.join(name);
    let labels = folder.join("labels.csv");
    let report = folder.join("report");
    let arguments = ["adapt", text(&labels), "--out", text(&head), "--report", text(&report), "--bpcer", bpcer];
    // The head does not depend on who reads what is printed.
    let out = output_unread(&arguments);
    assert!(out.status.success() && head.exists(), "{}", String::from_utf8_lossy(&out.stderr));
    head
}

fn details(arguments: &[&str]) -> Value {
    let out = output(arguments);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let answer: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    answer["details"].clone()
}

#[test]
fn a_head_is_fitted_used_named_and_refused_when_it_is_damaged_or_no_better() {
    let folder = tempfile::tempdir().expect("a folder");
    collection(folder.path());
    let head = fitted(folder.path(), "office.head", "0.03");
    let figures: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("report/figures.json")).expect("figures"))
            .expect("JSON");
    assert_eq!(figures["rates"]["kinds"][0]["name"], "tinted");
    assert!(folder.path().join("report/report.html").exists());

    let setting = format!("analysis.liveness.head={}", text(&head));
    let score = |name: &str, options: &[&str]| {
        let path = folder.path().join(name);
        let mut arguments = vec!["analyze", "--details", "--profile", "lenient", text(&path)];
        arguments.extend(options);
        details(&arguments)
    };
    let live = score("live-6-0.jpg", &["--set", &setting]);
    let attack = score("tinted-6-0.jpg", &["--set", &setting]);
    assert!(live["liveness"]["score"].as_f64() > attack["liveness"]["score"].as_f64());
    assert!(attack["liveness"]["score"].as_f64().is_some_and(|s| s < 0.5), "{}", attack["liveness"]);
    assert_eq!(live["liveness"]["head"]["name"], "office");
    let models = live["models"].as_array().expect("models");
    assert!(models.iter().any(|m| m["job"] == "liveness head" && m["name"] == "office"), "{models:?}");
    // Without the setting nothing of it is left.
    assert!(score("live-6-0.jpg", &[])["liveness"].get("head").is_none());

    // Fitting again is compared with the score without a head, not with a head that has seen these pictures.
    let again = folder.path().join("again.head");
    let labels = folder.path().join("labels.csv");
    let report = folder.path().join("again");
    let out = output(&["adapt", text(&labels), "--out", text(&again), "--report", text(&report), "--set", &setting]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("office.head, the head in use"));
    let numbers = |head: &Path| {
        let text = std::fs::read_to_string(head).expect("text");
        text.split_once("\"weights\"").expect("weights").1.to_owned()
    };
    assert_eq!(numbers(&head), numbers(&again));

    // Labels that tell nothing give no head.
    let listed = std::fs::read_to_string(&labels).expect("text");
    let relabelled = listed.lines().filter(|line| line.starts_with("live")).enumerate().map(|(number, line)| {
        if number % 2 == 0 { format!("{line}\n") } else { line.replace(",live,", ",print,") + "\n" }
    });
    let (random, none) = (folder.path().join("random.csv"), folder.path().join("none.head"));
    std::fs::write(&random, "path,liveness,group\n".to_owned() + &relabelled.collect::<String>()).expect("writes");
    let out = output(&["adapt", text(&random), "--out", text(&none), "--report", text(&report)]);
    assert_eq!(out.status.code(), Some(1));
    assert!(!none.exists() && report.join("report.html").exists());
    assert!(String::from_utf8_lossy(&out.stderr).contains("not better than the score without one"));

    // A picture that is not there fails the run once the head of the others is written. One of several people is left out.
    let (lacking, head_of_others) = (folder.path().join("lacking.csv"), folder.path().join("others.head"));
    std::fs::write(folder.path().join("t1.jpg"), picture("t1.jpg")).expect("writes");
    std::fs::write(&lacking, format!("{listed}t1.jpg,live,person 1\ngone.jpg,live,person 1\n")).expect("writes");
    let out = output(&["adapt", text(&lacking), "--out", text(&head_of_others), "--report", text(&report)]);
    assert_eq!(out.status.code(), Some(1));
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(told.contains(&format!("1 of {} pictures could not be read", listed.lines().count() + 1)), "{told}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("left out: t1.jpg: it shows several faces"));
    assert!(head_of_others.exists());

    // A damaged head, and one of other networks.
    let content = std::fs::read_to_string(&head).expect("text");
    for (damage, told) in [("\"bias\": ", "checksum"), ("head 3 ", "another release")] {
        std::fs::write(&head, content.replacen(damage, &format!("{damage}1"), 1)).expect("writes");
        let out = output(&["analyze", text(&folder.path().join("live-6-0.jpg")), "--set", &setting]);
        assert_eq!(out.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&out.stderr).contains(told), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn what_adapt_reads_is_not_overwritten_and_where_it_cannot_write_is_said_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let within = |name: &str| folder.path().join(name);
    let labels = within("labels.csv");
    let list = "path,liveness,group\nreport.html,live,a\nb.jpg,print,b\n";
    std::fs::write(&labels, list).expect("writes");
    std::fs::write(within("b.jpg"), "a picture").expect("writes");
    std::fs::write(within("report.html"), "another").expect("writes");
    std::fs::create_dir(within("sub")).expect("a folder");
    for (out, report, told) in [
        ("labels.csv", "report", "--out: "),
        ("sub/../b.jpg", "report", "is read by this run"),
        ("a.head", "", "--report: "),
        ("sub", "report", "is a folder"),
        ("nowhere/a.head", "report", "cannot be written"),
        ("a.head", "b.jpg/report", "cannot be made"),
    ] {
        let (out, report) = (within(out), within(report));
        let run = output(&["adapt", text(&labels), "--out", text(&out), "--report", text(&report)]);
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(said.contains(told), "{told}: {said}");
        assert!(run.stdout.is_empty(), "it had begun with the pictures");
    }
    let devices: String = (0..65).map(|n| format!("{n}.jpg,screen-{n},b\n")).collect();
    let many = within("many.csv");
    std::fs::write(&many, format!("path,liveness,group\nreport.html,live,a\n{devices}")).expect("writes");
    let run = output(&["adapt", text(&many), "--out", text(&within("a.head")), "--report", text(&within("report"))]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("names 65 kinds of attack, and a head has figures of 64"), "{said}");
    assert!(run.stdout.is_empty(), "it had begun with the pictures");
    assert_eq!(std::fs::read_to_string(&labels).expect("reads"), list);
    assert_eq!(std::fs::read_to_string(within("b.jpg")).expect("reads"), "a picture");
    assert_eq!(std::fs::read_to_string(within("report.html")).expect("reads"), "another");
}

/// A running service whose metrics can be read.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg(unix)]
fn the_running_service_names_its_head_and_takes_another_on_sighup() {
    let folder = tempfile::tempdir().expect("a folder");
    collection(folder.path());
    let head = fitted(folder.path(), "office.head", "0.03");
    let another = fitted(folder.path(), "another.head", "0.1");
    let audit = folder.path().join("audit.jsonl");
    let set = [
        format!("analysis.liveness.head={}", text(&head)),
        "metrics.listen=127.0.0.1:0".to_owned(),
        format!("audit.file={}", text(&audit)),
        "auth.user=ann".to_owned(),
        "auth.password=open sesame".to_owned(),
    ];
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    let mut child = facegate(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let (log, stdout) = (Log::of(child.stderr.take().expect("piped")), child.stdout.take().expect("piped"));
    let metrics = log.metrics();
    let service = Service(child);
    let hang_up = || {
        let sent = std::process::Command::new("kill").args(["-HUP", &service.0.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    };
    // Its networks are still being loaded.
    hang_up();
    let mut greeting = String::new();
    let mut lines = BufReader::new(stdout).lines();
    while !greeting.contains("curl") {
        greeting += &lines.next().expect("a greeting").expect("text");
    }
    log.line("the liveness head was read again", 1);
    let named = || {
        let mut stream = TcpStream::connect(&metrics).expect("connects");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("writes");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("reads");
        all.lines().filter(|line| line.contains("\"liveness head\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = named();
    assert!(first.len() == 1 && first[0].contains("office"), "{first:?}");
    let ask = || {
        let address =
            greeting.split("http://").nth(1).and_then(|r| r.split("models:").next()).expect("an address").trim();
        let mut stream = TcpStream::connect(address).expect("connects");
        let request = "POST /api/v1/face/detect HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOm9wZW4gc2VzYW1l\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        stream.write_all(request.as_bytes()).expect("writes");
        let _ = stream.read_to_end(&mut Vec::new());
        std::fs::read_to_string(&audit).expect("an audit log").lines().last().expect("a line").to_owned()
    };
    assert!(ask().contains("office "), "the audit log does not name the head");
    // A damaged file changes nothing, another head counts.
    let refused = "the liveness head cannot be used";
    std::fs::write(&head, "no head\n").expect("writes");
    hang_up();
    log.line(refused, 1);
    assert_eq!(named(), first);
    std::fs::copy(&another, &head).expect("copies");
    // Nor does one that everybody may write.
    let permit =
        |mode| std::fs::set_permissions(&head, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("sets");
    permit(0o666);
    hang_up();
    log.line(refused, 2);
    assert_eq!(named(), first);
    permit(0o644);
    hang_up();
    let deadline = Instant::now() + Duration::from_secs(10);
    while named() == first {
        assert!(Instant::now() < deadline, "the new head never counts");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(named().len(), 1);
}
