//! Which user asked when, and what came of it: one JSON line for each detect request of a user. No picture, no estimate,
//! no score.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use face_analysis::HeadName;
use face_analysis::report::{MODELS, ModelInfo};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::blocking::Pool;

/// For so long an answer waits for its line. The line is written also when the disk takes longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that may wait for the disk, of some hundred bytes each.
const MOST_WAITING: u32 = 10_000;

/// In which the last lines must be written when the service stops.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How often is looked whether they are.
const LOOK: Duration = Duration::from_millis(5);

/// The log, and the thread that writes it: a slow disk keeps the answers of users waiting a little, and nobody else.
#[derive(Debug)]
pub struct Audit {
    /// The networks, and the operator's own liveness head where there is one.
    models: RwLock<Vec<String>>,
    log: Arc<Log>,
    pool: Pool,
    /// For the lines that wait.
    room: Arc<Semaphore>,
    /// For so long an answer waits.
    patience: Duration,
}

/// The file, which is moved aside when it is full.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    file: Mutex<Open>,
}

/// The file that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    /// Its last line has no end: a disk was full, or a process was killed.
    torn: bool,
}

/// One request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// The authenticated user.
    pub user: &'a str,
    /// The caller's `sessionId`; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    /// The HTTP status.
    pub status: u16,
    /// `OK` or the word of the contract.
    pub outcome: &'a str,
    /// The finer reason of an `INTERNAL_ERROR`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: Entry<'a>,
    version: &'a str,
    models: &'a [String],
}

impl Audit {
    /// Appends to `path`. When it would grow beyond `max_bytes` it becomes `path.1`, that `path.2`, up to `keep`.
    pub fn open(path: &Path, max_bytes: u64, keep: usize) -> io::Result<Self> {
        let log = Arc::new(Log::open(path, max_bytes, keep)?);
        let room = Arc::new(Semaphore::new(MOST_WAITING as usize));
        let audit = Self { models: RwLock::default(), log, pool: Pool::new("audit", 1)?, room, patience: PATIENCE };
        audit.set_head(None);
        Ok(audit)
    }

    /// From now on lines name this liveness head, or none.
    pub fn set_head(&self, head: Option<&HeadName>) {
        let all = MODELS.into_iter().chain(head.map(ModelInfo::head));
        let named = all.map(|model| format!("{} {}", model.name, model.version)).collect();
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// Writes one line, also when nobody waits for it any more. So what goes wrong is told here, in the service's log.
    pub async fn write(&self, entry: Entry<'_>) -> io::Result<()> {
        match tokio::time::timeout(self.patience, self.begin(entry)?).await {
            Ok(written) => written.map_err(io::Error::other)?,
            Err(_) => {
                let late = format!("the disk takes more than {:?}: the entry is written when it can be", self.patience);
                Err(io::Error::new(io::ErrorKind::TimedOut, late)).inspect_err(tell)
            }
        }
    }

    /// Begins to write one line, for which nobody need wait.
    pub fn begin(&self, entry: Entry<'_>) -> io::Result<JoinHandle<io::Result<()>>> {
        let (log, line) = (Arc::clone(&self.log), self.line(entry)?);
        let room = Arc::clone(&self.room).try_acquire_owned();
        let lost = |_| io::Error::other(format!("{MOST_WAITING} entries wait for the disk: this one is lost"));
        let room = room.map_err(lost).inspect_err(tell)?;
        Ok(self.pool.begin(room, move || log.write(&line).inspect_err(tell)))
    }

    /// Waits for the lines that the disk has not taken yet, but not for ever.
    pub async fn finish(&self) {
        let written = async {
            // Looked at and not acquired: whoever queues for the whole room takes it from the requests that still end.
            while self.room.available_permits() < MOST_WAITING as usize {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(LAST_LINES, written).await.is_err() {
            tracing::error!("the last entries of the audit log are lost: the disk does not take them");
        }
    }

    fn line(&self, entry: Entry<'_>) -> io::Result<Vec<u8>> {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_vec(&Line { time, entry, version: env!("CARGO_PKG_VERSION"), models: &models })?;
        line.push(b'\n');
        Ok(line)
    }
}

fn tell(error: &io::Error) {
    tracing::error!(%error, "the audit log cannot be written");
}

impl Log {
    fn open(path: &Path, max_bytes: u64, keep: usize) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), max_bytes, keep, file: Mutex::new(append(path)?) })
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moved = Ok(());
        open.measure();
        let full = open.length > 0 && open.length + line.len() as u64 > self.max_bytes;
        // What cannot be moved aside is gone on with: rather too long a file than a lost entry.
        if !self.is_at_path(&open) {
            // Somebody moved it away, and may have put another one there.
            moved = append(&self.path).map(|fresh| *open = fresh);
        } else if full {
            moved = self.move_aside().and_then(|()| append(&self.path)).map(|fresh| *open = fresh);
        }
        open.write(line)?;
        moved
    }

    /// Whether the open file is still that at the path.
    #[cfg(unix)]
    fn is_at_path(&self, open: &Open) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match (std::fs::metadata(&self.path), open.file.metadata()) {
            (Ok(there), Ok(open)) => (there.dev(), there.ino()) == (open.dev(), open.ino()),
            (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
            _ => true,
        }
    }

    #[cfg(not(unix))]
    fn is_at_path(&self, _: &Open) -> bool {
        !matches!(self.path.try_exists(), Ok(false))
    }

    /// Makes room at the path. Each number moves up as far as the first that is free: a move that was not followed by a new
    /// file is not repeated at the cost of older files.
    fn move_aside(&self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        let free = (1..self.keep).find(|number| !numbered(*number).exists()).unwrap_or(self.keep);
        for number in (1..free).rev() {
            std::fs::rename(numbered(number), numbered(number + 1))?;
        }
        std::fs::rename(&self.path, numbered(1))
    }
}

fn append(path: &Path) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok(Open { file, length, torn: length > 0 && !ends_with_line_feed(path, length)? })
}

fn ends_with_line_feed(path: &Path, length: u64) -> io::Result<bool> {
    // The file may be no ordinary one, or be writable and not readable: then its end is not known, and taken for whole.
    let Ok(mut file) = File::open(path) else { return Ok(true) };
    let mut last = [b'\n'];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

impl Open {
    /// How long the file is now: somebody may have emptied it where it lies, as logrotate's `copytruncate` does.
    fn measure(&mut self) {
        // What is no ordinary file has no length of its own.
        if let Some(meta) = self.file.metadata().ok().filter(std::fs::Metadata::is_file) {
            self.length = meta.len();
            self.torn &= self.length > 0;
        }
    }

    /// One line in one write. A line that is not written whole is taken away again; where that cannot be, the next one
    /// begins on a line of its own.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let whole = if self.torn { [b"\n", line].concat() } else { line.to_vec() };
        if let Err(error) = self.file.write_all(&whole) {
            self.torn = self.file.set_len(self.length).is_err() || self.torn;
            self.length = self.file.metadata().map_or(self.length, |meta| meta.len());
            return Err(error);
        }
        self.torn = false;
        self.length += whole.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose answers wait also for a disk that others keep busy.
    fn patient(path: &Path, max_bytes: u64, keep: usize) -> Audit {
        let mut audit = Audit::open(path, max_bytes, keep).expect("opens");
        audit.patience = Duration::from_secs(30);
        audit
    }

    /// Whoever writes to the file waits from now on, until something is sent.
    async fn disk_that_hangs(audit: &Audit) -> std::sync::mpsc::Sender<()> {
        let (hangs, hung) = tokio::sync::oneshot::channel();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let log = Arc::clone(&audit.log);
        std::thread::spawn(move || {
            let _file = log.file.lock();
            let _ = hangs.send(());
            gone.recv()
        });
        hung.await.expect("no panic");
        go
    }

    #[tokio::test]
    async fn full_files_move_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = patient(&path, 900, 2);
        for _ in 0..12 {
            audit.write(entry).await.expect("writes");
        }
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").map(|f| f.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
        for name in names {
            let text = std::fs::read_to_string(folder.path().join(name)).expect("text");
            assert!(text.len() <= 900 && text.ends_with('\n'), "{}", text.len());
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(
                    (&line["user"], &line["sessionId"], &line["outcome"]),
                    (&"ann".into(), &"s".into(), &"OK".into())
                );
                assert!(line["time"].is_string() && line["models"].as_array().is_some_and(|m| m.len() == MODELS.len()));
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_begun_anew_and_the_older_ones_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        for number in 1..=3 {
            std::fs::write(folder.path().join(format!("audit.jsonl.{number}")), format!("{number}\n")).expect("writes");
        }
        // Every entry fills the file.
        let audit = patient(&path, 1, 3);
        audit.write(entry).await.expect("writes");
        std::fs::rename(&path, folder.path().join("taken")).expect("an operator");
        audit.write(entry).await.expect("writes");
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("text");
        assert_eq!(["1", "2", "3"].map(|n| text(&format!("audit.jsonl.{n}"))), ["1\n", "2\n", "3\n"]);
        assert_eq!(["taken", "audit.jsonl"].map(|name| text(name).lines().count()), [1, 1]);
        // As logrotate's `create` does.
        std::fs::rename(&path, folder.path().join("taken")).expect("an operator");
        std::fs::write(&path, "").expect("an operator");
        audit.write(entry).await.expect("writes");
        assert_eq!(["taken", "audit.jsonl"].map(|name| text(name).lines().count()), [1, 1]);
        assert_eq!(text("audit.jsonl.1"), "1\n");
    }

    /// As when a folder lets a file be moved and none be made.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_new_file_that_cannot_be_made_costs_no_older_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, elsewhere) = (folder.path().join("audit.jsonl"), folder.path().join("elsewhere"));
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = patient(&path, 1, 3);
        for _ in 0..3 {
            audit.write(entry).await.expect("writes");
        }
        std::fs::remove_file(&path).expect("is there");
        // A link to nowhere: what it names cannot be made.
        std::os::unix::fs::symlink(elsewhere.join("gone"), &path).expect("links");
        for _ in 0..5 {
            audit.write(entry).await.expect_err("told");
        }
        let lines = |number: usize| {
            let text = std::fs::read_to_string(folder.path().join(format!("audit.jsonl.{number}"))).expect("text");
            text.lines().count()
        };
        assert_eq!([1, 2].map(lines), [1, 1]);
        std::fs::create_dir(&elsewhere).expect("a folder");
        audit.write(entry).await.expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 1);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_holds_an_answer_up_for_a_moment_and_loses_no_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = Audit::open(&path, 1 << 20, 1).expect("opens");
        let go = disk_that_hangs(&audit).await;
        let begin = std::time::Instant::now();
        assert_eq!(audit.write(entry).await.expect_err("late").kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..5 * PATIENCE).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        let others = audit.room.try_acquire_many(MOST_WAITING - 1).expect("one line waits");
        assert!(audit.write(entry).await.expect_err("no room").to_string().contains("lost"));
        drop(others);
        go.send(()).expect("it waits");
        audit.finish().await;
        assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 1);
    }

    #[tokio::test]
    async fn a_request_that_ends_while_the_last_lines_are_waited_for_has_its_line_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = Arc::new(patient(&path, 1 << 20, 1));
        let go = disk_that_hangs(&audit).await;
        let write = || {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move { audit.write(entry).await })
        };
        let first = write();
        tokio::task::yield_now().await;
        let finish = tokio::spawn({
            let audit = Arc::clone(&audit);
            async move { audit.finish().await }
        });
        tokio::task::yield_now().await;
        let last = write();
        tokio::task::yield_now().await;
        go.send(()).expect("it waits");
        for each in [first, last] {
            each.await.expect("no panic").expect("written");
        }
        finish.await.expect("no panic");
        assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 2);
    }

    #[tokio::test]
    async fn a_file_that_was_emptied_where_it_lies_is_measured_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        std::fs::write(&path, [b'x'; 1_000]).expect("writes");
        let audit = patient(&path, 1_200, 1);
        // As logrotate's `copytruncate` does.
        OpenOptions::new().write(true).open(&path).expect("opens").set_len(0).expect("empties");
        audit.write(entry).await.expect("writes");
        assert!(!folder.path().join("audit.jsonl.1").exists(), "it was not full");
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with('{') && text.lines().count() == 1, "{text}");
        assert_eq!(audit.log.file.lock().expect("no panic").length, text.len() as u64);
    }

    #[tokio::test]
    async fn an_existing_file_is_continued() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: "ann", session_id: None, status: 400, outcome: "INTERNAL_ERROR", code: "x" };
        for _ in 0..2 {
            patient(&path, 1 << 20, 1).write(entry).await.expect("writes");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 2);
    }

    #[tokio::test]
    async fn an_entry_after_a_torn_one_stands_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"time\":\"2026").expect("writes");
        let entry = Entry { user: "ann", session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = patient(&path, 1 << 20, 1);
        audit.write(entry).await.expect("writes");
        audit.write(entry).await.expect("writes");
        let text = std::fs::read_to_string(&path).expect("text");
        let whole = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
        assert_eq!((text.lines().count(), whole), (3, 2), "{text}");
    }

    /// `/dev/full` is a disk without room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_tears_nothing() {
        let full = OpenOptions::new().append(true).open("/dev/full").expect("Linux has it");
        let mut open = Open { file: full, length: 0, torn: false };
        assert_eq!(open.write(b"{}\n").expect_err("full").kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{}\n{\"half").expect("writes");
        let mut open = append(&path).expect("opens");
        assert!(open.torn);
        open.write(b"{}\n").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "{}\n{\"half\n{}\n");
    }

    #[tokio::test]
    async fn each_file_that_moves_aside_keeps_its_lines_and_its_owner_alone_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        // Every entry fills the file.
        let audit = patient(&folder.path().join("audit.jsonl"), 1, 3);
        for session in 0..12 {
            let session = session.to_string();
            let entry = Entry { user: "ann", session_id: Some(&session), status: 200, outcome: "OK", code: "" };
            audit.write(entry).await.expect("writes");
        }
        for (name, session) in [("", "11"), (".1", "10"), (".2", "9"), (".3", "8")] {
            let path = folder.path().join(format!("audit.jsonl{name}"));
            let line: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(&path).expect("text")).expect("one line");
            assert_eq!(line["sessionId"], session, "{name}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name}");
            }
        }
        assert!(!folder.path().join("audit.jsonl.4").exists());
    }
}
