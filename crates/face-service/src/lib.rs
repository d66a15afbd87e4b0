//! The face check as an HTTP service: requests in, answers out, and what stands between strangers and the analysis.
//!
//! An [`App`](app::App) is made of [`ServiceSettings`](settings::ServiceSettings) and an
//! [`Authenticator`](auth::Authenticator); [`serve`](connections::serve) answers with its routes on a listener that the
//! caller brings. Files of configuration, command lines and signals are the caller's.
//!
//! A request's way, from the socket to the answer: [`connections`], [`caller`], [`app`], [`auth`], [`admission`],
//! [`contract`], [`source`], [`link`], [`analysts`], [`contract`] again.

pub mod admission;
pub mod analysts;
pub mod app;
pub mod audit;
pub mod auth;
pub mod blocking;
pub mod buffer;
pub mod caller;
pub mod connections;
pub mod contract;
mod delivery;
mod doors;
pub mod envelope;
pub mod link;
pub mod metrics;
mod one_reading;
pub mod openapi;
mod pace;
pub mod page;
pub mod paths;
mod place;
pub mod proxies;
pub mod rate_limit;
pub mod settings;
pub mod shares;
pub mod source;
pub mod standing;
pub mod tls;
pub mod traces;
pub mod trail;
pub mod turns;
mod unread;
