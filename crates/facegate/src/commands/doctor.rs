//! `facegate doctor`: what this machine lacks to run the service, in plain words, and what to do about it.

mod files;
mod machine;

use std::fmt;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use clap::Args;
use face_analysis::{AnalysisError, CellError, HeadName, LoadError};
use face_models::{Condition, Group, ModelStore};

use super::{CommandError, ConfigArgs};
use crate::config::Loaded;
use crate::models::{self, AnalyzerError};

/// Arguments of `facegate doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// How a finding bears on the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Fine,
    /// It runs, and could run better or safer.
    Advice,
    /// It does not run like this.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    state: State,
    subject: &'static str,
    text: String,
    /// What to do, unless all is fine.
    advice: Option<String>,
}

impl Finding {
    fn fine(subject: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Fine, subject, text: text.into(), advice: None }
    }

    fn advice(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Advice, subject, text: text.into(), advice: Some(advice.into()) }
    }

    fn wrong(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Wrong, subject, text: text.into(), advice: Some(advice.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, colour) = match self.state {
            State::Fine => ("ok    ", AnsiColor::Green),
            State::Advice => ("advice", AnsiColor::Yellow),
            State::Wrong => ("WRONG ", AnsiColor::Red),
        };
        let style: Style = colour.on_default().bold();
        write!(f, "{style}{mark}{style:#}  {:<9} {}", self.subject, self.text)?;
        match &self.advice {
            Some(advice) => write!(f, "\n        {:<9} -> {advice}", ""),
            None => Ok(()),
        }
    }
}

/// Looks at everything, even after something is wrong, and fails when the service could not start.
pub fn run(args: &DoctorArgs) -> Result<(), CommandError> {
    let mut findings = machine::findings();
    let mut out = anstream::stdout().lock();
    match args.config.load() {
        Err(error) => findings.push(Finding::wrong("settings", error.to_string(), "mend the setting that is named")),
        Ok(loaded) => {
            findings.push(Finding::fine("settings", "every name and value is known"));
            findings.extend(files::findings(&loaded.config));
            findings.extend(ports(&loaded));
            findings.extend(networks(&loaded));
        }
    }
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    match findings.iter().filter(|finding| finding.state == State::Wrong).count() {
        0 => Ok(writeln!(out, "\nfacegate can run here")?),
        1 => Err(CommandError::new("one thing is in the way of running facegate here")),
        several => Err(CommandError::new(format!("{several} things are in the way of running facegate here"))),
    }
}

/// Whether the addresses can be listened on.
fn ports(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let free = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let mut findings = Vec::new();
    let listen = config.server.listen;
    findings.push(match free(listen) {
        Ok(()) => Finding::fine("port", format!("{listen} is free")),
        Err(error) => Finding::wrong(
            "port",
            format!("{listen} cannot be listened on: {error}"),
            "if that is a running facegate, all is well; else choose another address with --set server.listen=ADDRESS",
        ),
    });
    if config.metrics.enabled {
        let listen = config.metrics.listen;
        let text = |error| format!("metrics cannot be offered on {listen}: {error}");
        findings.push(match free(listen) {
            Ok(()) => Finding::fine("metrics", format!("{listen} is free")),
            Err(error) if loaded.origins.contains_key("metrics.listen") => {
                Finding::wrong("metrics", text(error), "choose another metrics.listen, or set metrics.enabled=false")
            }
            Err(error) => Finding::advice("metrics", text(error), "choose another metrics.listen"),
        });
    }
    if !listen.ip().is_loopback() && config.server.tls_certificate.is_none() {
        findings.push(Finding::advice(
            "network",
            format!("{listen} can be reached from other machines, and nothing is encrypted"),
            "set server.tls_certificate and server.tls_key, or put a proxy that encrypts in front",
        ));
    }
    findings
}

/// Whether the networks are there, whole, safe from others, and run.
fn networks(loaded: &Loaded) -> Vec<Finding> {
    let store = match models::store(loaded.config.models.dir.as_ref()) {
        Ok(store) => store,
        Err(error) => return vec![Finding::wrong("networks", error.to_string(), "name a folder with models.dir")],
    };
    let mut findings = vec![files::model_folder(&store)];
    match lacking(&store) {
        Err(reason) => {
            findings.push(Finding::wrong("networks", reason, "run `facegate models fetch`"));
            return findings;
        }
        Ok(files) if files.is_empty() => {}
        Ok(files) => {
            let advice = "run `facegate models fetch`, or copy a folder that another machine has filled";
            findings.push(Finding::wrong("networks", format!("missing or damaged: {}", files.join(", ")), advice));
            findings.extend(machine::fetchers());
            return findings;
        }
    }
    // What anybody may change is not run here either.
    if findings.iter().all(|finding| finding.state != State::Wrong) {
        findings.push(trial(loaded, &store).unwrap_or_else(|fault| fault));
    }
    findings
}

/// Loads and runs the networks; gives what there is to say, as an error when they do not.
fn trial(loaded: &Loaded, store: &ModelStore) -> Result<Finding, Finding> {
    let begin = Instant::now();
    let fault = |reason: String| {
        Finding::wrong(
            "networks",
            format!("they are whole and do not run: {reason}"),
            "is this a system with glibc and libstdc++ (`apt-get install libstdc++6`)?",
        )
    };
    let no_cell = |error: &CellError| {
        Finding::wrong(
            "decoding",
            error.to_string(),
            "pictures are decoded by a process of their own: does something forbid memfd_create, seccomp or starting programs, or \
             is analysis.limits.max_pixels beyond the memory of this machine?",
        )
    };
    let mut config = loaded.config.clone();
    // What is wrong with its file is told already, and no fault of the networks.
    config.analysis.liveness.head = config.analysis.liveness.head.filter(|head| HeadName::of_file(head).is_ok());
    let paths = models::files(store).map_err(|error| fault(error.to_string()))?;
    let analyzer = models::analyzer(&paths, &config, 1).map_err(|error| match error {
        AnalyzerError::Load(LoadError::Head(error)) => files::unusable_head(&error),
        AnalyzerError::Cell(error) => no_cell(&error),
        error => fault(error.to_string()),
    })?;
    analyzer.warm_up().map_err(|error| match error {
        AnalysisError::Cell(error) => no_cell(&error),
        error => fault(error.to_string()),
    })?;
    let time = begin.elapsed().as_millis();
    Ok(Finding::fine("networks", format!("all are whole, load and run ({time} ms)")))
}

/// The files of the model folder that are not as the manifest has them.
fn lacking(store: &ModelStore) -> Result<Vec<String>, String> {
    let files = store.verify(Group::Models).map_err(|error| error.to_string())?;
    Ok(files.into_iter().filter(|file| file.condition != Condition::Intact).map(|file| file.name.to_string()).collect())
}
