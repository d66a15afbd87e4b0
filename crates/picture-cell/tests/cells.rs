//! Cells as processes: they decode as the library does, whatever they do wrong costs one picture, and nothing of them is
//! left behind.
#![cfg(target_os = "linux")]

#[path = "support/structured.rs"]
mod structured;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};
use picture_cell::cell::{Cells, Program};
use picture_cell::{CellError, DecodeError, DecodeLimits, Decoder, Endings, decode};
use rustix::process::{Pid, Signal, kill_process};

/// Longest encoded picture of these tests.
const ROOM: usize = 16 << 20;

/// For what takes a moment, unless the machine is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A decode that took so long may have cost its cell, which is given half a second: this test or the cell was held up.
const SLOW: Duration = Duration::from_millis(400);

/// The tests count the children, threads and descriptors of their process, so one runs after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn program() -> Program {
    Program { path: env!("CARGO_BIN_EXE_picture-cell").into(), words: Vec::new() }
}

fn cells(limits: DecodeLimits, number: usize) -> Cells {
    Cells::start(program(), limits, number, ROOM).expect("a thread")
}

/// No two pixels of a neighbourhood alike, so that nothing about it is cheap.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 7_u32;
    RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    })
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

fn jpeg(picture: &RgbImage, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_progressive(progressive);
    let (width, height) = picture.dimensions();
    encoder.encode(picture, width as u16, height as u16, jpeg_encoder::ColorType::Rgb).expect("encodes");
    bytes
}

fn code(result: Result<picture_cell::Picture, DecodeError>) -> &'static str {
    match result {
        Ok(_) => "decoded",
        Err(DecodeError::Picture(error)) => error.code(),
        Err(DecodeError::Cell(CellError::Start(_))) => "no start",
        Err(DecodeError::Cell(CellError::Busy)) => "busy",
    }
}

/// Processes that this one has started and that have not been cleared away.
fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("Linux").filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // After the name, which ends with the last parenthesis, come the state and the parent.
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned();
        (parent == own).then_some(id)
    });
    processes.collect()
}

fn is_in_state(id: u32, state: char) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(&format!(") {state} ")))
}

/// Waits until there is one child: a cell that another one has replaced may still be there.
fn only_child() -> u32 {
    let until = Instant::now() + PATIENCE;
    loop {
        let children = children();
        if let [id] = children[..] {
            return id;
        }
        assert!(Instant::now() < until, "one child, not {children:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(id: u32, signal: Signal) {
    let id = Pid::from_raw(id.cast_signed()).expect("a process");
    kill_process(id, signal).expect("our own child");
}

/// Ends a cell, and waits until it has.
fn kill(id: u32) {
    signal(id, Signal::KILL);
    let until = Instant::now() + PATIENCE;
    while !is_in_state(id, 'Z') {
        assert!(Instant::now() < until, "it has not ended");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).expect("Linux").count()
}

#[test]
fn a_cell_decodes_every_format_as_the_library_does() {
    let _alone = alone();
    let decoder = Decoder::in_cells(cells(DecodeLimits::default(), 1));
    decoder.warm_up().expect("a cell");
    let picture = noise(61, 47);
    let mut files = vec![jpeg(&picture, false), jpeg(&picture, true)];
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    files.extend(formats.map(|format| encoded(&picture, format)));
    files.push(encoded(&noise(640, 480), ImageFormat::Png));
    // Decoders that like threads find none.
    for name in [cfg!(feature = "heic").then_some("heic_420.heic"), cfg!(feature = "avif").then_some("avif_420.avif")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
        files.extend(name.map(|name| fs::read(folder.join(name)).expect("the file is there")));
    }
    // A small one after a large one: nothing of the large one shows.
    files.push(encoded(&noise(20, 10), ImageFormat::Gif));
    let process = only_child();
    let mut slowest = Duration::ZERO;
    let mut in_cell = |bytes: &[u8]| {
        let begin = Instant::now();
        let seen = decoder.decode(bytes);
        slowest = slowest.max(begin.elapsed());
        seen
    };
    for bytes in &files {
        let expected = decode(bytes, &DecodeLimits::default()).expect("decodes");
        let seen = in_cell(bytes).expect("decodes");
        assert_eq!(seen.pixels, expected.pixels);
        assert_eq!((seen.format, seen.exif_orientation), (expected.format, expected.exif_orientation));
        drop(seen);
        for length in [0, 1, 4, 20, bytes.len() / 2] {
            let cut = &bytes[..length];
            let expected = decode(cut, &DecodeLimits::default()).map(|p| p.pixels).map_err(|e| e.to_string());
            assert_eq!(in_cell(cut).map(|p| p.pixels).map_err(|e| e.to_string()), expected);
        }
    }
    decoder.warm_up().expect("a cell");
    assert!(only_child() == process || slowest >= SLOW, "honest and damaged pictures cost no cell");
}

#[test]
fn photographs_are_the_same_from_a_cell() {
    let _alone = alone();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let cells = cells(DecodeLimits::default(), 1);
    let mut seen = 0;
    for folder in ["masks/bare", "masks/masked", "liveness-samples"] {
        let Ok(files) = fs::read_dir(data.join(folder)) else {
            eprintln!("SKIPPED: {} is not here", data.join(folder).display());
            continue;
        };
        for file in files {
            let bytes = fs::read(file.expect("a file").path()).unwrap_or_default();
            let expected = decode(&bytes, &DecodeLimits::default()).map_err(|error| error.to_string());
            let got = cells.decode(&bytes).map_err(|error| error.to_string());
            assert_eq!(got.map(|p| (p.pixels, p.exif_orientation)), expected.map(|p| (p.pixels, p.exif_orientation)));
            seen += 1;
        }
    }
    // In a development checkout, where the folders are, there are hundreds.
    assert!(seen >= 50 || !data.exists(), "{seen} files are the same");
}

/// The only cell, when it is ready.
fn only_cell(cells: &Cells) -> u32 {
    cells.warm_up().expect("a cell");
    only_child()
}

#[test]
fn a_cell_holds_nothing_and_may_do_nothing() {
    let _alone = alone();
    let cells = cells(DecodeLimits::default(), 1);
    let id = only_cell(&cells);
    let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).expect("readable");
    let status = read("status");
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect("a field").trim().to_owned();
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:"), field("Threads:")), ("2".into(), "1".into(), "1".into()));
    assert_eq!(field("Name:"), "facegate-cell");
    assert_eq!(read("oom_score_adj").trim(), "1000");
    // The socket, the memory and /dev/null.
    assert_eq!(entries(&format!("/proc/{id}/fd")), 3);
    let environment = read("environ");
    assert!(environment.split('\0').all(|entry| entry.is_empty() || entry.starts_with("MIMALLOC_")), "{environment}");
    for limit in ["Max open files", "Max core file size", "Max file size"] {
        let limits = read("limits");
        let line = limits.lines().find(|line| line.starts_with(limit)).expect("a limit");
        let values: Vec<_> = line[limit.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, ["0", "0"], "{limit}");
    }
}

#[test]
fn what_takes_too_long_or_too_much_memory_is_refused_and_the_next_picture_is_decoded() {
    let _alone = alone();
    let large = noise(3_000, 2_000);
    let small = jpeg(&noise(64, 64), false);
    let hasty = cells(DecodeLimits { max_decode_ms: 5, ..Default::default() }, 1);
    hasty.warm_up().expect("a cell");
    let slow = jpeg(&large, true);
    // A cell that is done before whoever waits for it is on again has answered.
    let (mut refused, mut least) = (0, Duration::MAX);
    for _ in 0..5 {
        hasty.warm_up().expect("a cell");
        let begin = Instant::now();
        refused += u64::from(code(hasty.decode(&slow)) == "image_too_costly");
        least = least.min(begin.elapsed());
    }
    assert!(refused >= 4 && least < Duration::from_millis(505), "{refused} of 5, {least:?}");
    assert_eq!(hasty.endings(), Endings { time: refused, ..Endings::default() });
    let until = Instant::now() + PATIENCE;
    // Also a good one may take more than 5 ms on a busy machine.
    while code(hasty.decode(&small)) != "decoded" {
        assert!(Instant::now() < until);
    }
    // The coefficients of six megapixels take 36 MB, and their planes 18: more than 40 MiB and a quarter.
    let narrow = cells(DecodeLimits { max_decode_bytes: 40 << 20, ..Default::default() }, 1);
    assert_eq!(code(narrow.decode(&jpeg(&large, true))), "image_too_costly");
    assert_eq!(narrow.endings(), Endings { memory: 1, ..Endings::default() });
    assert_eq!(code(narrow.decode(&small)), "decoded");
    // Its pixels count as little as its bytes: the same picture without coefficients needs its planes and a copy of its data.
    assert_eq!(code(narrow.decode(&jpeg(&large, false))), "decoded");
}

#[test]
fn too_little_memory_is_told_as_such_wherever_it_runs_out() {
    let _alone = alone();
    let picture = noise(1_500, 1_000);
    let mut files = vec![("jpeg", jpeg(&picture, false)), ("progressive jpeg", jpeg(&picture, true))];
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    files.extend(formats.map(|format| (format.extensions_str()[0], encoded(&picture, format))));
    // Sixteen bits a sample, which are turned into eight.
    let deep = image::ImageBuffer::from_fn(1_000, 700, |x, y| Rgb([x as u16 * 60, y as u16 * 90, (x * y) as u16]));
    let mut bytes = Cursor::new(Vec::new());
    deep.write_to(&mut bytes, ImageFormat::Png).expect("encodes");
    files.push(("png of 16 bits", bytes.into_inner()));
    let mut decoded = 0;
    for mebibytes in 1..=20_u64 {
        let cells = cells(DecodeLimits { max_decode_bytes: mebibytes << 20, ..Default::default() }, 1);
        for (name, bytes) in &files {
            let code = code(cells.decode(bytes));
            assert!(["decoded", "image_too_costly"].contains(&code), "{name} with {mebibytes} MiB: {code}");
            decoded += usize::from(code == "decoded");
        }
    }
    assert!(decoded > files.len(), "enough memory is enough");
}

#[test]
fn one_picture_that_fails_leaves_those_beside_it_alone() {
    let _alone = alone();
    let cells = cells(DecodeLimits { max_decode_bytes: 4 << 20, ..Default::default() }, 2);
    let bad = jpeg(&noise(1_500, 1_000), true);
    let good = jpeg(&noise(200, 100), false);
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            for _ in 0..20 {
                assert_eq!(code(cells.decode(&bad)), "image_too_costly");
            }
        });
        while !attacker.is_finished() {
            assert_eq!(code(cells.decode(&good)), "decoded");
        }
    });
    assert_eq!(cells.endings(), Endings { memory: 20, ..Endings::default() });
}

/// A folder with a script that a shell runs as a cell, and what it can say.
struct Rogue(tempfile::TempDir);

impl Rogue {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut answer = [0; 272];
        answer[0] = 1;
        fs::write(folder.path().join("ready"), answer).expect("writes");
        // A PNG of 64 x 64, upright.
        let mut picture = [0; 272];
        (picture[0], picture[1], picture[2], picture[4], picture[8]) = (2, 1, 1, 64, 64);
        fs::write(folder.path().join("picture"), picture).expect("writes");
        for (name, at, value) in
            [("huge", 6, 255), ("empty", 4, 0), ("turned", 2, 9), ("nameless", 1, 99), ("speechless", 0, 77)]
        {
            let mut wrong = picture;
            wrong[at] = value;
            fs::write(folder.path().join(name), wrong).expect("writes");
        }
        fs::write(folder.path().join("long"), [&picture[..], &[0; 40]].concat()).expect("writes");
        fs::write(folder.path().join("short"), &picture[..40]).expect("writes");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A cell that does `then` when it is asked. The words that the library adds are the script's arguments.
    fn cells(&self, then: &str, limits: DecodeLimits) -> Cells {
        let folder = self.path().display();
        let script =
            format!("say() {{ cat {folder}/$1 >&0; }}; say ready; while head -c 8 >/dev/null; do {then}; done");
        let program = Program { path: PathBuf::from("/bin/sh"), words: vec!["-c".into(), script] };
        Cells::start(program, limits, 1, ROOM).expect("a thread")
    }
}

#[test]
fn nothing_that_a_cell_says_is_believed() {
    let _alone = alone();
    let rogue = Rogue::new();
    // Nothing but what takes for ever takes so long, however busy the machine.
    let limits = DecodeLimits { max_decode_ms: 20_000, ..Default::default() };
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    // Through the same shell, an answer that is right.
    let honest = rogue.cells("say picture", limits.clone());
    let picture = honest.decode(&bytes).expect("a picture");
    assert_eq!((picture.pixels.width(), picture.pixels.height(), picture.format), (64, 64, "png"));
    drop((picture, honest));
    let nonsense = Endings { nonsense: 1, ..Endings::default() };
    let crash = Endings { crash: 1, ..Endings::default() };
    for (then, ending) in [
        ("say huge", nonsense),
        ("say empty", nonsense),
        ("say turned", nonsense),
        ("say nameless", nonsense),
        ("say speechless", nonsense),
        ("say long", nonsense),
        ("say short", nonsense),
        ("say ready", nonsense),
        ("exit 0", crash),
        ("kill -SEGV $$", crash),
        ("kill -SYS $$", crash),
        ("exec 0<&-; sleep 60", crash),
    ] {
        let cells = rogue.cells(then, limits.clone());
        assert_eq!(code(cells.decode(&bytes)), "image_malformed", "{then}");
        assert_eq!(cells.endings(), ending, "{then}");
        // A new one was started.
        assert_eq!(code(cells.decode(&bytes)), "image_malformed", "{then}");
    }
    let time = Endings { time: 1, ..Endings::default() };
    let memory = Endings { memory: 1, ..Endings::default() };
    for (then, max_decode_ms, ending) in [
        ("sleep 60", 300, time),
        ("kill -STOP $$", 300, time),
        ("kill -ABRT $$", 20_000, memory),
        ("kill -KILL $$", 20_000, memory),
    ] {
        let cells = rogue.cells(then, DecodeLimits { max_decode_ms, ..Default::default() });
        assert_eq!(code(cells.decode(&bytes)), "image_too_costly", "{then}");
        assert_eq!(cells.endings(), ending, "{then}");
    }
}

#[test]
fn a_cell_that_waits_for_a_processor_has_more_time_and_one_that_works_or_sleeps_has_not() {
    let _alone = alone();
    let rogue = Rogue::new();
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    let limits = |max_decode_ms| DecodeLimits { max_decode_ms, ..Default::default() };
    let work = |rounds: u32| format!("n=0; while [ $n -lt {rounds} ]; do n=$((n + 1)); done");
    // A sixth of the time, for longer than the limit, once earlier pictures have taken more than it together.
    let late = rogue.path().join("late");
    let slowly = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do {}; sleep 0.1; done", work(20_000));
    let script = format!("if [ -e {} ]; then {slowly}; else {}; fi; say picture", late.display(), work(150_000));
    let held_up = rogue.cells(&script, limits(1_000));
    for _ in 0..12 {
        assert_eq!(code(held_up.decode(&bytes)), "decoded");
    }
    fs::write(&late, "").expect("writes");
    let begin = Instant::now();
    assert_eq!(code(held_up.decode(&bytes)), "decoded");
    assert!(begin.elapsed() > Duration::from_millis(1_200));
    // One that sleeps, and one that works for ever, in one of these attempts at least with a processor of its own.
    for (then, attempts) in [("sleep 60", 3), ("while :; do :; done", 20)] {
        let cells = rogue.cells(then, limits(500));
        let ended_in_time = (0..attempts).any(|_| {
            cells.warm_up().expect("a cell");
            let begin = Instant::now();
            assert_eq!(code(cells.decode(&bytes)), "image_too_costly", "{then}");
            assert!(begin.elapsed() >= Duration::from_millis(500), "{then}");
            begin.elapsed() < Duration::from_millis(1_250)
        });
        assert!(ended_in_time, "{then}");
    }
}

#[test]
fn a_cell_that_answers_without_being_asked_holds_nobody_up() {
    let _alone = alone();
    let rogue = Rogue::new();
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    // It reads one request, and answers those that come without reading them.
    let cells = rogue.cells("while :; do say picture; done", DecodeLimits::default());
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            for _ in 0..400 {
                let code = code(cells.decode(&bytes));
                assert!(["decoded", "image_malformed"].contains(&code), "{code}");
            }
        });
        let until = Instant::now() + Duration::from_secs(60);
        while !caller.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
            if Instant::now() > until {
                eprintln!("the caller waits for the cell, and nothing would end it");
                std::process::abort();
            }
        }
    });
    assert!(cells.endings().nonsense > 0);
}

#[test]
fn a_cell_that_waits_does_nothing() {
    let _alone = alone();
    let rogue = Rogue::new();
    // Before it is asked, while its pixels are read, and afterwards.
    let cells = rogue.cells("say picture; while :; do :; done", DecodeLimits::default());
    let id = only_cell(&cells);
    assert!(is_in_state(id, 'T'));
    let picture = cells.decode(b"picture").expect("decoded");
    assert!(is_in_state(id, 'T'));
    drop(picture);
    assert!(is_in_state(only_cell(&cells), 'T'));
    let others = self::cells(DecodeLimits::default(), 1);
    assert_eq!(code(others.decode(b"no picture")), "image_format_unknown");
    others.warm_up().expect("a cell");
    // One that was slow is replaced first.
    let until = Instant::now() + PATIENCE;
    let are_stopped = |children: &[u32]| children.len() == 2 && children.iter().all(|&id| is_in_state(id, 'T'));
    while !are_stopped(&children()) {
        assert!(Instant::now() < until, "{:?} are not two that stand still", children());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_cell_that_ended_while_it_waited_costs_no_picture() {
    let _alone = alone();
    let cells = cells(DecodeLimits::default(), 1);
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    for number in 1..=3 {
        kill(only_cell(&cells));
        assert_eq!(code(cells.decode(&bytes)), "decoded");
        assert_eq!(cells.endings(), Endings { memory: number, ..Endings::default() });
    }
}

#[test]
fn a_cell_takes_no_notice_of_what_asks_its_service_to_end() {
    let _alone = alone();
    let cells = cells(DecodeLimits { max_decode_ms: 20_000, ..Default::default() }, 1);
    let (small, large) = (jpeg(&noise(64, 64), false), jpeg(&noise(1_000, 750), false));
    for asked in [Signal::TERM, Signal::HUP, Signal::INT] {
        signal(only_cell(&cells), asked);
        assert_eq!(code(cells.decode(&small)), "decoded", "{asked:?} while it waits");
        let id = Pid::from_raw(only_cell(&cells).cast_signed()).expect("a process");
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| code(cells.decode(&large)));
            while !caller.is_finished() {
                // One that was slow is gone before its caller is on again.
                let _ = kill_process(id, asked);
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(caller.join().expect("no panic"), "decoded", "{asked:?} while it decodes");
        });
    }
    assert_eq!(cells.endings(), Endings::default());
}

/// Set in copies of this test program that a shell has started in one way or the other.
const IGNORING: &str = "FACEGATE_TEST_IGNORING";
const LIMITED: &str = "FACEGATE_TEST_LIMITED";

/// Runs one of these tests in a copy of this program, which a shell starts after `words` with `variable` set.
fn in_shell(words: &str, test: &str, variable: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{words}; exec \"$0\" --exact \"$1\"")]).arg(std::env::current_exe().expect("is known"));
    let output = shell.arg(test).env(variable, "1").output().expect("a shell");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn how_a_cell_ended_is_told_where_the_ends_of_children_were_ignored() {
    let _alone = alone();
    if std::env::var_os(IGNORING).is_none() {
        let test = "how_a_cell_ended_is_told_where_the_ends_of_children_were_ignored";
        return in_shell("trap '' CHLD", test, IGNORING);
    }
    let rogue = Rogue::new();
    let cells = rogue.cells("kill -ABRT $$", DecodeLimits::default());
    assert_eq!(code(cells.decode(b"picture")), "image_too_costly");
    assert_eq!(cells.endings(), Endings { memory: 1, ..Endings::default() });
}

#[test]
fn a_cell_without_processor_time_is_told_as_one_that_took_too_long() {
    let _alone = alone();
    let rogue = Rogue::new();
    let limits = DecodeLimits { max_decode_ms: 20_000, ..Default::default() };
    let cells = rogue.cells("ulimit -c 0; kill -XCPU $$", limits);
    let error = cells.decode(b"picture").expect_err("it has ended").to_string();
    assert!(error.contains("20000 ms"), "{error}");
    assert_eq!(cells.endings(), Endings { time: 1, ..Endings::default() });
}

#[test]
fn a_program_that_is_no_cell_is_told_at_the_start() {
    let _alone = alone();
    let shell = |script: &str| Program { path: "/bin/sh".into(), words: vec!["-c".into(), script.into(), "sh".into()] };
    let file = |path: &str| Program { path: path.into(), words: Vec::new() };
    // What it would share cannot be mapped.
    let unmapped = format!("exec {} \"$@\" >/dev/null", env!("CARGO_BIN_EXE_picture-cell"));
    for (program, why) in [
        (file("/nonexistent"), "/nonexistent: No such file"),
        (file("/bin/true"), "it ended at once (exit status: 0)"),
        (shell("exit 4"), "it ended at once (exit status: 4)"),
        (shell("echo hello >&0; exec sleep 99"), "it is another program"),
        (shell(&unmapped), "it cannot be confined: mapping the memory that it shares: Invalid argument"),
    ] {
        let cells = Cells::start(program, DecodeLimits::default(), 2, ROOM).expect("a thread");
        match cells.warm_up() {
            Err(CellError::Start(said)) => assert!(said.starts_with(why), "{said}"),
            other => panic!("{why}: {other:?}"),
        }
        assert_eq!(code(cells.decode(b"x")), "no start");
    }
}

#[test]
fn a_limit_on_files_that_is_too_low_is_told_and_ends_nothing() {
    let _alone = alone();
    if std::env::var_os(LIMITED).is_none() {
        return in_shell("ulimit -f 1024", "a_limit_on_files_that_is_too_low_is_told_and_ends_nothing", LIMITED);
    }
    let error = cells(DecodeLimits::default(), 1).warm_up().expect_err("no memory").to_string();
    assert!(error.contains("RLIMIT_FSIZE, `ulimit -f`"), "{error}");
}

#[test]
fn a_cell_that_cannot_be_started_is_no_reason_to_refuse_who_waits_for_another() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cell");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_picture-cell"), &path).expect("links");
    let program = Program { path: path.clone(), words: Vec::new() };
    let limits = DecodeLimits { max_decode_ms: 20_000, ..Default::default() };
    let cells = Cells::start(program, limits, 2, ROOM).expect("a thread");
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    let until = Instant::now() + PATIENCE;
    let one = loop {
        // Two at once, so that both are there; one that was slow is replaced.
        let begin = Instant::now();
        drop([(); 2].map(|()| cells.decode(&bytes).expect("decoded")));
        match children()[..] {
            [one, _] if begin.elapsed() < SLOW => break one,
            _ => assert!(Instant::now() < until, "two cells, not {:?}", children()),
        }
    };
    // From now on none can be started.
    fs::remove_file(&path).expect("removes");
    kill(one);
    let begin = Instant::now();
    let lent = cells.decode(&bytes).expect("by the other one");
    let slow = begin.elapsed() >= SLOW;
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| code(cells.decode(&bytes)));
        // Ten tries.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until && !waiting.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(lent);
        waiting.join().expect("no panic")
    });
    if slow {
        // It may have cost the other one too.
        return;
    }
    assert_eq!(waited, "decoded");
    // Where there is none, nobody waits.
    kill(only_child());
    assert_eq!(code(cells.decode(&bytes)), "no start");
}

/// Pictures that end their cell: each few in a second.
fn kill_many(number: u64) {
    let limits = DecodeLimits { max_decode_bytes: 4 << 20, ..Default::default() };
    let bad = jpeg(&noise(1_500, 1_000), true);
    let good = jpeg(&noise(64, 64), false);
    let cells = cells(limits, 2);
    cells.warm_up().expect("a cell");
    assert_eq!(code(cells.decode(&good)), "decoded");
    let now = || (entries("/proc/self/task"), entries("/proc/self/fd"));
    let settled = || {
        // Two cells wait again, and nothing changes while they do.
        let until = Instant::now() + PATIENCE;
        loop {
            let lent: Vec<_> = (0..2).map(|_| cells.decode(&good).expect("decoded")).collect();
            drop(lent);
            let seen = now();
            std::thread::sleep(Duration::from_millis(50));
            if children().len() == 2 && now() == seen || Instant::now() > until {
                return seen;
            }
        }
    };
    let before = settled();
    for _ in 0..number {
        assert_eq!(code(cells.decode(&bad)), "image_too_costly");
    }
    let until = Instant::now() + PATIENCE;
    let mut after = settled();
    while after != before && Instant::now() < until {
        after = settled();
    }
    assert_eq!(after, before);
    assert_eq!(children().len(), 2);
    assert_eq!(cells.endings(), Endings { memory: number, ..Endings::default() });
    drop(cells);
    assert_eq!(children().len(), 0);
}

#[test]
fn three_hundred_cells_that_were_ended_leave_nothing_behind() {
    let _alone = alone();
    kill_many(300);
}

#[test]
#[ignore = "takes minutes: run it by hand after a change to how cells end"]
fn ten_thousand_cells_that_were_ended_leave_nothing_behind() {
    let _alone = alone();
    kill_many(10_000);
}

#[test]
fn memory_of_large_pictures_goes_back_to_the_system() {
    let _alone = alone();
    let cells = cells(DecodeLimits::default(), 1);
    let large = jpeg(&RgbImage::from_fn(4_000, 3_000, |x, y| Rgb([x as u8, y as u8, 90])), false);
    // All that the memory file takes, whoever wrote it.
    let shared = || {
        let files = fs::read_dir("/proc/self/fd").expect("Linux").filter_map(|file| {
            let path = file.ok()?.path();
            let name = fs::read_link(&path).ok()?;
            name.to_str()?.starts_with("/memfd:picture").then(|| fs::metadata(&path).ok())?
        });
        files.map(|file| file.blocks() * 512 / (1 << 20)).sum::<u64>()
    };
    let picture = cells.decode(&large).expect("decodes");
    assert!(shared() > 30, "the pixels are in shared memory: {} MB", shared());
    drop(picture);
    let small = jpeg(&noise(640, 480), false);
    let settles = |meanwhile: &dyn Fn()| {
        let until = Instant::now() + PATIENCE;
        while shared() > 5 && Instant::now() < until {
            meanwhile();
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(shared() <= 5, "{} MB are left", shared());
    };
    settles(&|| ());
    // Also when its only cell has small pictures to decode all the time, and when what wrote the memory was refused.
    let mut cut = encoded(&RgbImage::from_pixel(4_000, 3_000, Rgb([9; 3])), ImageFormat::Png);
    cut.truncate(cut.len() * 9 / 10);
    for large in [large, cut] {
        let picture = cells.decode(&large);
        let seen =
            picture.as_ref().map_or(0, |picture| picture.pixels.data().iter().map(|&v| u64::from(v)).sum::<u64>());
        assert_eq!(seen > 0, picture.is_ok());
        drop(picture);
        settles(&|| {
            let picture = cells.decode(&small).expect("decodes");
            assert!(picture.pixels.data().iter().map(|&v| u64::from(v)).sum::<u64>() > 0);
        });
    }
    let map: BTreeMap<_, _> = cells.endings().by_reason().into();
    assert!(map.values().all(|&number| number == 0));
}

#[test]
fn structured_files_are_decoded_or_refused_and_nothing_else() {
    let _alone = alone();
    let limits =
        DecodeLimits { max_pixels: 1 << 18, max_side: 4_000, max_decode_ms: 2_000, max_decode_bytes: 24 << 20 };
    let cells = cells(limits, 1);
    let mut state = 3_u64;
    let is_read = |name| match name {
        "heic" => cfg!(feature = "heic"),
        "avif" => cfg!(feature = "avif"),
        _ => true,
    };
    for kind in structured::KINDS.into_iter().filter(|kind| is_read(kind.name)) {
        let mut decoded = 0;
        for _ in 0..400 {
            let script: Vec<u8> = (0..400)
                .flat_map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()
                })
                .collect();
            let code = code(cells.decode(&kind.file(&script)));
            assert!(code == "decoded" || code.starts_with("image_"), "{}: {code}", kind.name);
            decoded += u32::from(code == "decoded");
        }
        assert!(decoded > 0, "no {} was good enough to be decoded", kind.name);
    }
    let Endings { crash, nonsense, .. } = cells.endings();
    assert_eq!((crash, nonsense), (0, 0));
}

/// Waits until the only cell is another than `old`.
fn another_cell_than(old: u32) -> u32 {
    let until = Instant::now() + PATIENCE;
    loop {
        match children()[..] {
            [id] if id != old => return id,
            _ => assert!(Instant::now() < until, "the cell was not replaced"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_cell_lives_for_a_thousand_pictures() {
    let _alone = alone();
    let cells = cells(DecodeLimits::default(), 1);
    let first = only_cell(&cells);
    let bytes = encoded(&noise(2, 2), ImageFormat::Bmp);
    let mut slowest = Duration::ZERO;
    for _ in 0..999 {
        let begin = Instant::now();
        assert_eq!(code(cells.decode(&bytes)), "decoded");
        slowest = slowest.max(begin.elapsed());
    }
    assert!(only_cell(&cells) == first || slowest >= SLOW, "it was replaced too soon");
    assert_eq!(code(cells.decode(&bytes)), "decoded");
    another_cell_than(first);
    assert_eq!(code(cells.decode(&bytes)), "decoded");
    assert_eq!(cells.endings(), Endings::default());
}

#[test]
fn a_cell_whose_decoder_panicked_or_was_slow_decodes_no_other_picture() {
    let _alone = alone();
    let rogue = Rogue::new();
    let mut panicked = [0; 272];
    panicked[0] = 9;
    fs::write(rogue.path().join("panicked"), panicked).expect("writes");
    let bytes = encoded(&noise(9, 9), ImageFormat::Png);
    let panic = Endings { panic: 1, ..Endings::default() };
    for (then, result, endings) in
        [("say panicked", "image_malformed", panic), ("sleep 0.6; say picture", "decoded", Endings::default())]
    {
        let cells = rogue.cells(then, DecodeLimits::default());
        let first = only_cell(&cells);
        assert_eq!(code(cells.decode(&bytes)), result, "{then}");
        assert_eq!(cells.endings(), endings, "{then}");
        another_cell_than(first);
    }
}

#[test]
fn a_cell_has_a_bound_of_processor_time_when_nobody_watches_it() {
    let _alone = alone();
    let cells = cells(DecodeLimits::default(), 1);
    let id = only_cell(&cells);
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).expect("readable");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max cpu time")).expect("a limit");
    let seconds: Vec<u64> = line.split_whitespace().take(2).filter_map(|word| word.parse().ok()).collect();
    let [signal, end] = seconds[..] else { panic!("{line}") };
    // The signal first: the end itself looks like one for memory.
    assert!(signal < end && (2..=600).contains(&end), "{line}");
}
