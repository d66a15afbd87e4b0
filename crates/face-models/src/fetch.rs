//! Downloads packages with their registries' own clients, so that mirrors, proxies and credentials configured there hold.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::manifest::Package;

/// How often a running client is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How much of a failed client's message is shown, in bytes.
const MESSAGE_BYTES: usize = 2000;

/// By which a Python interpreter is its pip.
pub(crate) const MODULE: &[&str] = &["-m", "pip"];

/// A registry's client that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingClient {
    /// Its name.
    pub client: &'static str,
    /// What to install.
    pub advice: &'static str,
}

const PIP: MissingClient =
    MissingClient { client: "pip", advice: "install Python 3 with pip (Debian and Ubuntu: the package python3-pip)" };

const NPM: MissingClient =
    MissingClient { client: "npm", advice: "install Node.js with npm (Debian and Ubuntu: the package npm)" };

/// The clients that fetching packages would look for in vain, found by running them.
pub fn missing_clients() -> Vec<MissingClient> {
    let clients = Clients::default();
    let has_pip = clients.pip.iter().any(|(program, first)| runs(Command::new(program).args(*first)));
    let has_npm = runs(&mut Command::new(clients.npm));
    [(has_pip, PIP), (has_npm, NPM)].into_iter().filter_map(|(there, client)| (!there).then_some(client)).collect()
}

/// Whether a client can say its version.
fn runs(client: &mut Command) -> bool {
    without_ours(client).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    client.status().is_ok_and(|status| status.success())
}

/// The commands that fetch packages.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// What may be pip, to try in turn: a program and its first arguments.
    pub(crate) pip: Vec<(PathBuf, &'static [&'static str])>,
    /// npm.
    pub(crate) npm: PathBuf,
    /// A client whose download does not grow for so long is ended. pip gives up by itself after about 90 s without an
    /// answer; this catches what it does not.
    pub(crate) stall_limit: Duration,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            pip: vec![("python3".into(), MODULE), ("python".into(), MODULE), ("pip3".into(), &[]), ("pip".into(), &[])],
            npm: "npm".into(),
            stall_limit: Duration::from_secs(300),
        }
    }
}

/// A package could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No client for the registry.
    #[error("{package} is fetched with {client}, which is not there: {advice}")]
    ClientMissing {
        /// The package.
        package: String,
        /// What is missing.
        client: &'static str,
        /// What to install.
        advice: &'static str,
    },
    /// The client could not be run.
    #[error("{command} cannot be run: {source}")]
    ClientUnusable {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The client ran and failed.
    #[error("{command} could not fetch {package} ({status}):\n{message}")]
    ClientFailed {
        /// The command.
        command: String,
        /// The package.
        package: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error.
        message: String,
    },
    /// Nothing more arrived.
    #[error("{command} was ended: nothing of {package} arrived for {} s", .after.as_secs())]
    Stalled {
        /// The command.
        command: String,
        /// The package.
        package: String,
        /// The limit.
        after: Duration,
    },
    /// The client succeeded and left no package.
    #[error("{command} left no file for {package}")]
    NothingLeft {
        /// The command.
        command: String,
        /// The package.
        package: String,
    },
    /// Another download failed first.
    #[error("the download of {package} was broken off")]
    BrokenOff {
        /// The package.
        package: String,
    },
    /// The working folder cannot be used.
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

/// What watches a download: told how many bytes have arrived so far, says whether to go on.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(u64) -> bool;

impl Clients {
    /// Downloads the wheel of a package into an empty folder.
    pub(crate) fn pip_download(
        &self,
        package: &Package,
        folder: &Path,
        watch: Watch<'_>,
    ) -> Result<PathBuf, FetchError> {
        let run = Run { package, folder, stall_limit: self.stall_limit };
        for (program, first) in &self.pip {
            let mut command = Command::new(program);
            pip(command.args(*first), package, folder);
            match run.complete(command, watch) {
                Err(FetchError::ClientUnusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(FetchError::ClientFailed { message, .. }) if message.contains("No module named pip") => {}
                other => return other,
            }
        }
        Err(PIP.missing_for(package))
    }

    /// Downloads an npm package into an empty folder.
    pub(crate) fn npm_pack(&self, package: &Package, folder: &Path, watch: Watch<'_>) -> Result<PathBuf, FetchError> {
        let run = Run { package, folder, stall_limit: self.stall_limit };
        match run.complete(npm(&self.npm, package, folder), watch) {
            Err(FetchError::ClientUnusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(NPM.missing_for(package))
            }
            other => other,
        }
    }
}

impl MissingClient {
    fn missing_for(self, package: &Package) -> FetchError {
        FetchError::ClientMissing { package: package.requirement(), client: self.client, advice: self.advice }
    }
}

/// `--python-version 3.12` brings the same wheel whatever Python the host has: some packages refuse old ones otherwise.
fn pip(command: &mut Command, package: &Package, folder: &Path) {
    command
        .args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"])
        .args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet"])
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    if let Some(platform) = &package.wheel_platform {
        command.args(["--implementation", "cp", "--abi", "cp312", "--platform", platform]);
    }
    command.arg("--dest").arg(folder).arg(package.requirement());
}

/// npm keeps what arrives in its cache, whatever `TMPDIR` says. A cache in the folder lets the download be seen to
/// grow, goes away with the folder, and needs no home to write to; where packages come from is none of its business.
fn npm(npm: &Path, package: &Package, folder: &Path) -> Command {
    let mut command = Command::new(npm);
    command
        .args(["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--no-progress"])
        .arg("--cache")
        .arg(folder.join("cache"))
        .arg("--pack-destination")
        .arg(folder)
        .arg(package.requirement());
    command
}

/// One client at work for one package.
struct Run<'a> {
    package: &'a Package,
    folder: &'a Path,
    stall_limit: Duration,
}

impl Run<'_> {
    /// Runs the client to its end. It cannot prompt, and keeps its own temporary files inside the folder, where their
    /// growth is the progress and where they go away with the folder.
    fn complete(&self, mut command: Command, watch: Watch<'_>) -> Result<PathBuf, FetchError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let package = || self.package.requirement();
        let folder_error = |action, path: &Path, source| FetchError::Folder { action, path: path.to_owned(), source };

        let messages = self.folder.join("stderr.log");
        let stderr = File::create(&messages).map_err(|e| folder_error("write", &messages, e))?;
        let mut child = without_ours(&mut command)
            .current_dir(self.folder)
            .env("TMPDIR", self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|source| FetchError::ClientUnusable { command: name.clone(), source })?;

        let mut arrived = 0;
        let mut grew = Instant::now();
        let status = loop {
            let wait = child.try_wait();
            match wait.map_err(|source| FetchError::ClientUnusable { command: name.clone(), source })? {
                Some(status) => break status,
                None => thread::sleep(POLL),
            }
            let now = bytes_below(self.folder);
            if now > arrived {
                (arrived, grew) = (now, Instant::now());
            }
            if !watch(arrived) {
                end(child);
                return Err(FetchError::BrokenOff { package: package() });
            }
            if grew.elapsed() > self.stall_limit {
                end(child);
                return Err(FetchError::Stalled { command: name, package: package(), after: self.stall_limit });
            }
        };
        if !status.success() {
            let message = tail(&messages);
            return Err(FetchError::ClientFailed { command: name, package: package(), status, message });
        }
        let entries = fs::read_dir(self.folder).map_err(|e| folder_error("read", self.folder, e))?;
        let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == "whl" || e == "tgz");
        entries
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .find(is_package)
            .ok_or_else(|| FetchError::NothingLeft { command: name, package: package() })
    }
}

/// Our settings are none of the clients' business, a password among them least of all.
fn without_ours(client: &mut Command) -> &mut Command {
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FACEGATE_")) {
        client.env_remove(variable);
    }
    client
}

/// Ends the client and waits for it, so that no process is left behind. It may have ended by itself: then there is
/// nothing to report.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Bytes in all files below a folder. Files come and go meanwhile: what cannot be read counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// What is said of a client that ended without a word, as npm does on a full disk.
const SILENT: &str = "it said nothing: there may be no room left on the disk of the model folder";

/// The end of a client's messages, from the start of a line where there is one.
fn tail(messages: &Path) -> String {
    let bytes = fs::read(messages).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    if text.is_empty() {
        return SILENT.to_owned();
    }
    if text.len() <= MESSAGE_BYTES {
        return text.to_owned();
    }
    let end = &text[text.ceil_char_boundary(text.len() - MESSAGE_BYTES)..];
    end.split_once('\n').map_or(end, |(_, whole_lines)| whole_lines).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        tail(file.path())
    }

    #[test]
    fn a_short_message_is_shown_whole_without_blank_ends() {
        assert_eq!(tail_of("\nERROR: no\nWARNING: é\n\n"), "ERROR: no\nWARNING: é");
        assert!(tail_of("\n").contains("no room left on the disk"));
    }

    #[test]
    fn a_long_message_is_cut_at_a_line_or_within_one_at_a_character() {
        let lines = tail_of(&"0123456789é\n".repeat(1000));
        assert!(lines.starts_with("0123456789é\n") && lines.len() <= MESSAGE_BYTES, "{}", lines.len());
        let line = tail_of(&"é€".repeat(1000));
        assert!(line.ends_with("é€") && line.len() <= MESSAGE_BYTES, "{}", line.len());
    }
}
