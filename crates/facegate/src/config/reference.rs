//! The page of every setting: its variable, default and meaning.

use std::fmt::Write as _;

use face_analysis::Profile;
use face_analysis::rules::{Action, Rules};

use super::error::ConfigError;
use super::meanings::settings;
use super::names::{SHORT, variable};
use super::settings::Config;
use super::values::{display, get, table_of};

/// `docs/configuration.md`: every setting with its variable, default and meaning, and the rules in each profile.
pub fn page() -> Result<String, ConfigError> {
    let defaults = table_of(&Config::default())?;
    let short: String = SHORT.iter().map(|(variable, name)| format!("| `{variable}` | `{name}` |\n")).collect();
    let mut page = include_str!("reference/head.md").replace("{short}\n", &short);
    let mut section = String::new();
    // Writing to a String cannot fail.
    for setting in settings().iter().filter(|setting| setting.section != "analysis.rules") {
        if setting.section != section {
            section.clone_from(&setting.section);
            let _ = write!(page, "\n## `{section}`\n\n{}\n\n", setting.section_meaning);
            page.push_str("| setting | default | meaning |\n| --- | --- | --- |\n");
        }
        let default = get(&defaults, &setting.name).map_or("not set".into(), |value| format!("`{}`", display(value)));
        let (name, variable) = (&setting.name, variable(&setting.name));
        let _ = writeln!(page, "| `{name}`<br>`{variable}` | {default} | {} |", setting.meaning);
    }
    page.push_str(include_str!("reference/rules.md"));
    let profiles = Profile::ALL.map(Rules::of_profile);
    let [default, strict, lenient] = profiles.each_ref().map(|rules| rules.iter().collect::<Vec<_>>());
    for ((default, strict), lenient) in default.iter().zip(&strict).zip(&lenient) {
        let [default_limit, strict, lenient] = [default, strict, lenient].map(|rule| match rule.setting.action {
            Action::Reject => rule.setting.limit.to_string(),
            action => format!("{} ({})", rule.setting.limit, action.as_str()),
        });
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} is {} | {default_limit} | {strict} | {lenient} | {} |",
            default.word.as_str(),
            default.name,
            default.subject,
            default.broken,
            default.unit
        );
    }
    page.push_str(include_str!("reference/end.md"));
    Ok(page)
}
