//! The files that the configuration names: can they be read or written, and by whom else?

use std::fs::{File, OpenOptions};
use std::path::Path;

use face_analysis::{HeadError, HeadName};

use super::Finding;
use super::machine::{others_may_read, others_may_write};
use crate::config::Config;
use crate::trust;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let mut findings = Vec::new();
    match (&config.auth.users_file, &config.auth.user) {
        (Some(path), _) => findings.push(secret("users", path, "auth.users_file")),
        (None, Some(_)) => findings.push(Finding::fine("users", "one, of auth.user and auth.password")),
        (None, None) => findings.push(Finding::advice(
            "users",
            "none is configured: a password is made up and printed at each start",
            "set auth.user and auth.password, or auth.users_file (`facegate hash-password NAME`)",
        )),
    }
    if let Some(path) = &server.tls_key {
        findings.push(secret("TLS key", path, "server.tls_key"));
    }
    if let Some(path) = &server.tls_certificate {
        findings.push(readable("TLS", path, "server.tls_certificate"));
    }
    findings.extend(config.audit.file.as_deref().map(audit));
    findings.extend(config.analysis.liveness.head.as_deref().map(head));
    findings
}

/// The model folder holds a library that is loaded into this process.
pub(super) fn model_folder(folder: &Path) -> Finding {
    if others_may_write(folder) == Some(true) {
        return Finding::wrong(
            "networks",
            format!("everybody may write to {}, and a library is loaded from there", folder.display()),
            format!("`chmod o-w {}`, then `facegate models verify`", folder.display()),
        );
    }
    Finding::fine("networks", format!("the model folder is {}", folder.display()))
}

/// Whether the liveness head is one; that it fits the networks is seen when they are loaded.
fn head(path: &Path) -> Finding {
    if let Err(error) = trust::check_head(path) {
        return Finding::wrong("head", error.to_string(), format!("`chmod o-w {}`, and fit it again", path.display()));
    }
    match HeadName::of_file(path) {
        Ok(head) => Finding::fine("head", format!("{} is liveness head {}", path.display(), head.version)),
        Err(error) => unusable_head(&error),
    }
}

/// The error names the file.
pub(super) fn unusable_head(error: &HeadError) -> Finding {
    Finding::wrong(
        "head",
        format!("{error} (analysis.liveness.head)"),
        "mend the path, fit the head again with `facegate adapt`, or leave the setting out",
    )
}

fn readable(subject: &'static str, path: &Path, setting: &str) -> Finding {
    match File::open(path) {
        Ok(_) => Finding::fine(subject, format!("{} can be read", path.display())),
        Err(error) => Finding::wrong(
            subject,
            format!("{} ({setting}) cannot be read: {error}", path.display()),
            "mend the path or the permissions; the service runs as the user that runs this command now",
        ),
    }
}

fn secret(subject: &'static str, path: &Path, setting: &str) -> Finding {
    let finding = readable(subject, path, setting);
    if finding.advice.is_none() && (others_may_read(path) == Some(true) || others_may_write(path) == Some(true)) {
        return Finding::advice(
            subject,
            format!("everybody may read or write {}", path.display()),
            format!("`chmod 640 {}`, owned by the service's group", path.display()),
        );
    }
    finding
}

/// The audit log is opened for appending, as the service does it, and nothing is written.
fn audit(path: &Path) -> Finding {
    let existed = path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    if !existed && opened.is_ok() {
        // Leaves nothing behind; an empty file would do no harm.
        let _ = std::fs::remove_file(path);
    }
    match opened {
        Ok(_) => Finding::fine("audit", format!("{} can be written", path.display())),
        Err(error) => Finding::wrong(
            "audit",
            format!("{} (audit.file) cannot be written: {error}", path.display()),
            "make its folder and let the service's user write there",
        ),
    }
}
