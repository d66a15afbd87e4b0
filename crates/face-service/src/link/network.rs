//! From a name to a socket: which addresses may be reached, and one connection to one of them.

use std::any::Any;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::error::LinkError;
use super::host::{HostRule, Name};
use super::settings::LinkSettings;
use crate::blocking::Pool;
use crate::shares::{Shares, share_of};
use crate::turns::User;

/// Name lookups at the same time. The system's resolver takes up to half a minute for a name whose server is silent, and
/// cannot be interrupted.
const LOOKUPS: usize = 16;

/// Addresses of a name that are tried.
const MOST_TRIED: usize = 4;

/// Where one connection leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: Name,
    pub(super) port: u16,
    pub(super) encrypted: bool,
}

/// A link that is followed: for whom, and what it is let in by.
#[derive(Clone)]
pub(super) struct Followed {
    user: User,
    held: Arc<dyn Any + Send + Sync>,
}

impl Followed {
    pub(super) fn new(user: User, held: impl Send + Sync + 'static) -> Self {
        Self { user, held: Arc::new(held) }
    }
}

/// Which addresses are public, and what names stand for. Tests bring a network of their own.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) public: fn(IpAddr) -> bool,
    lookups: Pool,
    free: Arc<Semaphore>,
    by_user: Shares<User>,
    share: usize,
    /// The answers to the next lookups instead of the system's.
    #[cfg(test)]
    pub(super) answers: Option<Arc<std::sync::Mutex<std::collections::VecDeque<Vec<IpAddr>>>>>,
}

impl Network {
    pub(super) fn new(share: f64) -> io::Result<Self> {
        Ok(Self {
            public: super::address::is_public,
            lookups: Pool::new("lookup", LOOKUPS)?,
            free: Arc::new(Semaphore::new(LOOKUPS)),
            by_user: Shares::new(LOOKUPS),
            share: share_of(LOOKUPS, share),
            #[cfg(test)]
            answers: None,
        })
    }

    pub(super) fn is_public(&self, address: IpAddr) -> bool {
        (self.public)(address)
    }

    async fn resolve(&self, name: &str, port: u16, followed: &Followed) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(answers) = &self.answers {
            let next = answers.lock().map_err(|_| io::Error::other("a test failed"))?.pop_front();
            let addresses = next.ok_or_else(|| io::Error::other("no such name"))?;
            return Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        // A user whose lookups hang has as many threads as that, and no more.
        let busy = |_| io::Error::other("too many lookups of this user");
        let part = self.by_user.take(Arc::clone(&followed.user), 1, self.share).map_err(busy)?;
        let thread = Arc::clone(&self.free).acquire_owned().await.map_err(io::Error::other)?;
        self.lookups.lookup((part, thread, Arc::clone(&followed.held)), name.to_owned(), port).await
    }

    /// Opens a connection to an address that was checked.
    pub(super) async fn connect(
        &self,
        settings: &LinkSettings,
        target: &Target,
        followed: &Followed,
    ) -> Result<TcpStream, LinkError> {
        let resolved: Vec<SocketAddr> = match &target.host {
            Name::Address(address) => vec![SocketAddr::new(*address, target.port)],
            Name::Domain(name) => {
                self.resolve(name, target.port, followed).await.map_err(|_| LinkError::Unreachable)?
            }
        };
        let denied = |address: IpAddr| settings.deny_hosts.iter().any(|rule: &HostRule| rule.covers_address(address));
        let may =
            |address: &SocketAddr| (settings.allow_private || self.is_public(address.ip())) && !denied(address.ip());
        for address in resolved.iter().filter(|a| may(a)).take(MOST_TRIED) {
            // A socket connects to addresses only: no name is looked up a second time.
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let Ok(socket) = socket else { continue };
            if let Ok(stream) = socket.connect(*address).await {
                // The peer is the address just checked; said again because everything hangs on it.
                if stream.peer_addr().is_ok_and(|peer| may(&peer)) {
                    return Ok(stream);
                }
            }
        }
        Err(LinkError::Unreachable)
    }
}
