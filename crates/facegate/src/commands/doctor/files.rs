//! What the configuration names: does the service take it, and who else may read or write it?

use std::fs::OpenOptions;
use std::path::Path;

use face_analysis::{HeadError, HeadName};
use face_models::ModelStore;
use face_service::settings::ServerSettings;
use face_service::traces::Traces;

use super::super::serve;
use super::Finding;
use super::machine::{others_may_read, others_may_write};
use crate::config::{AuthConfig, Config};
use crate::trust::{self, UntrustedModels};

/// For what the service itself says against a setting.
const MEND: &str = "mend the setting or the file; the service runs as the user that runs this command now";

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![users(&config.auth)];
    findings.extend(tls(&config.server));
    findings.extend(serve::memory(config).err().map(|error| Finding::wrong("memory", error.to_string(), MEND)));
    findings.extend(serve::log::level(&config.log).err().map(|error| Finding::wrong("log", error.to_string(), MEND)));
    findings.extend(Traces::check(&config.traces).err().map(|error| Finding::wrong("traces", error.to_string(), MEND)));
    findings.extend(config.audit.file.as_deref().map(audit));
    findings.extend(config.analysis.liveness.head.as_deref().map(head));
    findings
}

fn users(auth: &AuthConfig) -> Finding {
    if let Err(error) = serve::users(auth) {
        return Finding::wrong("users", error.to_string(), MEND);
    }
    match (&auth.users_file, &auth.user) {
        (Some(path), _) => secret("users", path),
        (None, Some(_)) => Finding::fine("users", "one, of auth.user and auth.password"),
        (None, None) => Finding::advice(
            "users",
            "none is configured: a password is made up and printed at each start",
            "set auth.user and auth.password, or auth.users_file (`facegate hash-password NAME`)",
        ),
    }
}

fn tls(server: &ServerSettings) -> Option<Finding> {
    match serve::tls(server) {
        Err(error) => Some(Finding::wrong("TLS", error.to_string(), MEND)),
        Ok(_) => server.tls_key.as_deref().map(|key| secret("TLS", key)),
    }
}

/// Whether anybody may change what is loaded into this process; that it is what was fetched is told of each file.
pub(super) fn model_folder(store: &ModelStore) -> Finding {
    match trust::check(store) {
        Err(error @ UntrustedModels::Writable(_)) => {
            Finding::wrong("networks", error.to_string(), "then `facegate models verify`")
        }
        _ => Finding::fine("networks", format!("the model folder is {}", store.dir().display())),
    }
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

/// A file that the service takes, and that nobody else should see.
fn secret(subject: &'static str, path: &Path) -> Finding {
    if others_may_read(path) == Some(true) || others_may_write(path) == Some(true) {
        return Finding::advice(
            subject,
            format!("everybody may read or write {}", path.display()),
            format!("`chmod 640 {}`, owned by the service's group", path.display()),
        );
    }
    Finding::fine(subject, format!("{} can be used", path.display()))
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
