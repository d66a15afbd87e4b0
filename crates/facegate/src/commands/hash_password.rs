//! `facegate hash-password NAME`: a line for the users file.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use super::CommandError;
use face_service::auth::hash_line;

/// Arguments of `facegate hash-password`.
#[derive(Debug, Args)]
pub struct HashPasswordArgs {
    /// The user's name.
    name: String,
}

/// Asks for the password (or reads its first line from standard input) and prints `name:$argon2id$…`.
pub fn run(args: &HashPasswordArgs) -> Result<(), CommandError> {
    let password = if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != first {
            return Err(CommandError::new("the two passwords differ"));
        }
        first
    } else {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    writeln!(std::io::stdout(), "{}", hash_line(&args.name, &password)?)?;
    Ok(())
}
