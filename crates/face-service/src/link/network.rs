//! From a name to a socket: which addresses may be reached, and one connection to one of them.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::LinkError;
use super::host::{HostRule, Name};
use super::settings::LinkSettings;
use crate::blocking::Pool;
use crate::pace::LONGEST;
use crate::shares::share_of;
use crate::turns::User;

/// Name lookups at the same time. The system's resolver takes up to half a minute for a name whose server is silent, and
/// cannot be interrupted.
const LOOKUPS: usize = 16;

/// Addresses of a name that are tried.
const MOST_TRIED: usize = 4;

/// How long an address is waited for before the next is tried beside it (RFC 8305, section 5): one that is silent keeps
/// nobody from the others.
const HEAD_START: Duration = Duration::from_millis(250);

/// How long before the end of a link's time it stops to wait for a lookup, so that this end comes first.
const BEFORE_END: Duration = Duration::from_millis(5);

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
    /// Nobody else can ask.
    alone: bool,
    /// When its time ends.
    end: Instant,
    held: Arc<dyn Any + Send + Sync>,
}

impl Followed {
    pub(super) fn new(user: User, alone: bool, time: Duration, held: impl Send + Sync + 'static) -> Self {
        Self { user, alone, end: Instant::now() + time.min(LONGEST), held: Arc::new(held) }
    }
}

/// What a connection is let in by; its lookup holds it until it is done.
pub(super) struct Place {
    _link: Arc<dyn Any + Send + Sync>,
    /// Nothing where no name is looked up.
    _lookup: Option<Lookup>,
}

/// A place among the user's lookups, unless he is alone, and one among all.
type Lookup = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

/// Which addresses are public, and what names stand for. Tests bring a network of their own.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) public: fn(IpAddr) -> bool,
    lookups: Pool,
    free: Arc<Semaphore>,
    /// Of each of several users who has lookups or waits for one.
    by_user: Arc<Mutex<HashMap<User, Arc<Semaphore>>>>,
    share: usize,
    /// The answers to the next lookups instead of the system's.
    #[cfg(test)]
    pub(super) answers: Option<Arc<Mutex<std::collections::VecDeque<Vec<IpAddr>>>>>,
}

impl Network {
    pub(super) fn new(share: f64) -> io::Result<Self> {
        Ok(Self {
            public: super::address::is_public,
            lookups: Pool::new("lookup", LOOKUPS)?,
            free: Arc::new(Semaphore::new(LOOKUPS)),
            by_user: Arc::default(),
            share: share_of(LOOKUPS, share),
            #[cfg(test)]
            answers: None,
        })
    }

    pub(super) fn is_public(&self, address: IpAddr) -> bool {
        (self.public)(address)
    }

    /// What a connection to `target` needs, for which it waits no longer than `patience`, nor to the end of the link's time:
    /// the wait is what is told, and no fault of the server.
    pub(super) async fn place(
        &self,
        target: &Target,
        followed: &Followed,
        patience: Duration,
    ) -> Result<Place, LinkError> {
        let until = (Instant::now() + patience.min(LONGEST)).min(followed.end - BEFORE_END);
        let lookup = match target.host {
            Name::Address(_) => None,
            Name::Domain(_) => match timeout_at(until, self.lookup(followed)).await {
                Ok(Ok(lookup)) => Some(lookup),
                _ => return Err(LinkError::Busy),
            },
        };
        Ok(Place { _link: Arc::clone(&followed.held), _lookup: lookup })
    }

    /// Waits for a lookup. One of several users whose lookups hang has as many threads as his share: his next waits for
    /// one of his own, and only then, behind those who came before, for one of all.
    async fn lookup(&self, followed: &Followed) -> Result<Lookup, AcquireError> {
        let own = if followed.alone { None } else { Some(self.places_of(&followed.user).acquire_owned().await?) };
        Ok((own, Arc::clone(&self.free).acquire_owned().await?))
    }

    fn places_of(&self, user: &User) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has nothing and waits for nothing leaves no trace: the table is as long as there are such users.
        by_user.retain(|_, places| Arc::strong_count(places) > 1);
        Arc::clone(by_user.entry(Arc::clone(user)).or_insert_with(|| Arc::new(Semaphore::new(self.share))))
    }

    async fn resolve(&self, name: &str, port: u16, place: Place) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(answers) = &self.answers {
            let next = answers.lock().map_err(|_| io::Error::other("a test failed"))?.pop_front();
            let addresses = next.ok_or_else(|| io::Error::other("no such name"))?;
            return Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        self.lookups.lookup(place, name.to_owned(), port).await
    }

    /// Opens a connection to an address that was checked.
    pub(super) async fn connect(
        &self,
        settings: &LinkSettings,
        target: &Target,
        place: Place,
    ) -> Result<TcpStream, LinkError> {
        let mut resolved: Vec<SocketAddr> = match &target.host {
            Name::Address(address) => vec![SocketAddr::new(*address, target.port)],
            Name::Domain(name) => self.resolve(name, target.port, place).await.map_err(|_| LinkError::Unreachable)?,
        };
        let denied = |address: IpAddr| settings.deny_hosts.iter().any(|rule: &HostRule| rule.covers_address(address));
        let may =
            |address: &SocketAddr| (settings.allow_private || self.is_public(address.ip())) && !denied(address.ip());
        resolved.retain(may);
        // The peer is the address just checked; said again because everything hangs on it.
        let checked = |attempt: Result<io::Result<TcpStream>, JoinError>| {
            attempt.ok()?.ok().filter(|stream| stream.peer_addr().is_ok_and(|peer| may(&peer)))
        };
        // Dropping this breaks off the attempts that are not needed any more.
        let mut attempts = JoinSet::new();
        for address in families_in_turn(resolved).take(MOST_TRIED) {
            attempts.spawn(open(address));
            if let Ok(Some(attempt)) = timeout(HEAD_START, attempts.join_next()).await
                && let Some(stream) = checked(attempt)
            {
                return Ok(stream);
            }
        }
        while let Some(attempt) = attempts.join_next().await {
            if let Some(stream) = checked(attempt) {
                return Ok(stream);
            }
        }
        Err(LinkError::Unreachable)
    }
}

/// A socket connects to addresses only: no name is looked up a second time.
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    socket?.connect(address).await
}

/// The first of each family, then the second of each, and so on (RFC 8305, section 4): a family that leads nowhere leaves
/// the other its attempts.
pub(super) fn families_in_turn(addresses: Vec<SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    let (mut v4, mut v6) = (0, 0);
    let mut numbered: Vec<_> = addresses
        .into_iter()
        .map(|address| {
            let number = if address.is_ipv4() { &mut v4 } else { &mut v6 };
            *number += 1;
            (*number, address)
        })
        .collect();
    numbered.sort_by_key(|&(number, _)| number);
    numbered.into_iter().map(|(_, address)| address)
}
