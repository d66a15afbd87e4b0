//! The name of every setting, in the file and in the environment.

use std::sync::LazyLock;

use face_analysis::Profile;
use face_analysis::rules::Rules;

use super::meanings;

/// The setting whose value nobody is told.
pub const SECRET: &str = "auth.password";

/// Short names in the environment, from the issue and for what is set most often.
pub(super) const SHORT: [(&str, &str); 5] = [
    ("FACEGATE_LISTEN", "server.listen"),
    ("FACEGATE_USER", "auth.user"),
    ("FACEGATE_PASSWORD", SECRET),
    ("FACEGATE_USERS_FILE", "auth.users_file"),
    ("FACEGATE_MODELS_DIR", "models.dir"),
];

/// Variables with our prefix that are no settings. The example clients take the service's address from `FACEGATE_URL`.
pub(super) const NOT_SETTINGS: [&str; 2] = ["FACEGATE_CONFIG", "FACEGATE_URL"];

/// What the names of the rules' limits and actions begin with.
pub(super) const RULES: &str = "analysis.rules.";

/// The name of every setting, in the order of their declaration.
pub fn names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut names: Vec<String> = meanings::settings().into_iter().map(|setting| setting.name).collect();
        // Without a face there is nothing to answer about: min_faces cannot be changed.
        for rule in Rules::of_profile(Profile::Default).iter().filter(|rule| rule.name != "min_faces") {
            names.extend(["limit", "action"].map(|part| format!("{RULES}{}.{part}", rule.name)));
        }
        names
    });
    &NAMES
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("FACEGATE_{}", name.to_ascii_uppercase().replace('.', "_"))
}

/// The name that is so similar that it was probably meant.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_settings_share_a_variable() {
        let mut variables: Vec<String> = names().iter().map(|name| variable(name)).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }
}
