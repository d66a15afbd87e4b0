//! The configuration: one typed struct, filled from a TOML file, the environment and flags.
//!
//! A setting has one name everywhere: `server.listen` in the file is `FACEGATE_SERVER_LISTEN` in the environment and
//! `--set server.listen=…` on the command line. Flags go before the environment, the environment before the file.

mod effective;
mod error;
mod load;
mod meanings;
mod names;
pub mod reference;
mod settings;
mod values;

pub use self::effective::{Effective, Loaded};
pub use self::error::{ConfigError, Origin};
pub(crate) use self::load::ADDRESS_AND_PORT;
pub use self::names::{SECRET, names, nearest, variable};
pub use self::settings::{AuthConfig, Config, LogConfig, LogFormat, MetricsConfig, ModelsConfig};
pub use self::values::display;
