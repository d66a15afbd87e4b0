//! The only place where blocking work begins, but for analyses, whose threads ([`analysts`](crate::analysts)) keep to the same
//! rule: each kind has a few threads of its own, and takes with it what it was let in by.
//!
//! A caller may be gone a millisecond after such work has begun, and the work runs on. Whatever bounds it (permits, counts
//! of failures) must therefore belong to the work and not to the request. `clippy.toml` refuses `spawn_blocking` and name
//! lookups everywhere else.

#![expect(clippy::disallowed_methods, reason = "the one place for them")]

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Threads for one kind of work. Nothing else runs on them, and no more of it at the same time.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    handle: Handle,
    /// Of which only the pool of blocking threads is used. `None` once it shuts down.
    runtime: Option<Runtime>,
}

/// Idle threads stay: as long as a service may run.
const KEEP: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Pool {
    /// `threads` threads, which start when they are first needed.
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads.max(1))
            .thread_keep_alive(KEEP)
            .thread_name(name)
            .build()?;
        Ok(Self(Arc::new(Threads { handle: runtime.handle().clone(), runtime: Some(runtime) })))
    }

    /// Begins `work`, also when nobody waits for it. What is `held` for it is given back when it is done, panics
    /// included, and not before.
    pub fn begin<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let span = tracing::Span::current();
        self.0.handle.spawn_blocking(move || {
            let _held = (held, span.entered());
            work()
        })
    }

    /// What a name stands for. The system's resolver cannot be interrupted: the lookup goes on when nobody waits for it
    /// any more, and `held` with it.
    pub async fn lookup(&self, held: impl Send + 'static, name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.begin(held, move || (name, port).to_socket_addrs().map(Iterator::collect));
        found.await.map_err(io::Error::other)?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where this is dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn what_is_held_belongs_to_the_work_and_not_to_who_waits() {
        let pool = Pool::new("test", 1).expect("a thread");
        let held = Arc::new(());
        let (go, gone) = channel::<()>();
        let work = pool.begin(Arc::clone(&held), move || gone.recv().is_ok());
        drop(work);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(Arc::strong_count(&held), 2, "the work goes on and holds it");
        go.send(()).expect("it waits");
        // The only thread is free again once the work is done.
        assert_eq!(pool.begin((), || 7).await.expect("no panic"), 7);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_panic_gives_back_what_was_held() {
        let pool = Pool::new("test", 1).expect("a thread");
        let held = Arc::new(());
        let work = pool.begin(Arc::clone(&held), || -> u8 { panic!("the network of cheeks") });
        assert!(work.await.is_err());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
