//! The cells of a program: some wait for pictures, a thread starts new ones for those that ended.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::child::Orders;
use super::parent::{Cell, Ending, Program, REST, Stopped};
use super::protocol::Answer;
use crate::failure::{CellError, DecodeError, Endings};
use crate::formats::Found;
use crate::limits::DecodeLimits;
use crate::picture::{Cost, Picture, PictureError};
use crate::pixels::{Lease, Orientation, Pixels};
use crate::sniff::sniff;

/// How long a picture waits for a cell. Cells that work end within the time of one picture; longer means that none start.
const WAIT: Duration = Duration::from_secs(30);

/// Before a start is tried again that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Pixels begin at a page, whatever its size.
const PAGE: usize = 1 << 16;

/// Processes that decode pictures, one picture at a time each.
#[derive(Debug)]
pub struct Cells {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    program: Program,
    orders: Orders,
    state: Mutex<State>,
    changed: Condvar,
    /// Cells that were ready once and are not lost: they wait, decode, or lend their pixels.
    living: AtomicUsize,
    tasks: Sender<Task>,
    endings: [AtomicU64; 5],
}

#[derive(Debug, Default)]
struct State {
    /// Cells that wait, with the time since which they do.
    idle: Vec<(Stopped, Instant)>,
    /// Why the last start failed.
    failure: Option<CellError>,
    stopped: bool,
}

enum Task {
    /// A cell is lost: another one takes its place, and what is left of it is dropped, which takes its time.
    Replace(Box<dyn Send>),
    Stop,
}

impl Cells {
    /// Begins to start `number` cells, which decode within `limits` pictures of at most `max_bytes` bytes.
    pub fn start(program: Program, limits: DecodeLimits, number: usize, max_bytes: usize) -> Result<Self, CellError> {
        let (tasks, queue) = channel();
        let orders = Orders { limits, input_room: max_bytes.next_multiple_of(PAGE) };
        let (state, changed) = (Mutex::default(), Condvar::new());
        let (living, endings) = Default::default();
        let shared = Arc::new(Shared { program, orders, state, changed, living, tasks, endings });
        for _ in 0..number.max(1) {
            // The queue's other end is in hand.
            let _ = shared.tasks.send(Task::Replace(Box::new(())));
        }
        // The system ends a cell with the thread that started it: this one lives as long as the cells.
        let keeping = Arc::clone(&shared);
        let keeper = std::thread::Builder::new().name("cell-keeper".into()).spawn(move || keep(&keeping, &queue));
        Ok(Self { shared, keeper: Some(keeper.map_err(|error| CellError::Start(error.to_string()))?) })
    }

    /// Waits for the first cell.
    pub fn warm_up(&self) -> Result<(), CellError> {
        let cell = self.shared.take()?;
        self.shared.put(cell);
        Ok(())
    }

    /// Decodes the first picture in `bytes`. Waits for a free cell; the picture keeps its cell until it is dropped.
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture, DecodeError> {
        let shared = &self.shared;
        let DecodeLimits { max_decode_ms, max_decode_bytes, .. } = shared.orders.limits;
        if bytes.is_empty() {
            return Err(PictureError::Empty.into());
        }
        if bytes.len() > shared.orders.input_room {
            return Err(PictureError::TooCostly { limit: Cost::Memory(shared.orders.input_room as u64) }.into());
        }
        let stopped = shared.take()?;
        // Until its pixels hold still.
        let mut together = stopped.come_here();
        let mut cell = stopped.ask(bytes).map_err(|ending| {
            shared.replace(());
            shared.ended(ending, bytes)
        })?;
        let error = match cell.answer(bytes.len(), &shared.orders, &mut together) {
            Ok(Answer::Picture(format, found)) => match cell.freeze() {
                Ok(stopped) => return Ok(shared.lend(stopped, format, found)?),
                Err(_) => {
                    // The cell ended itself between its answer and now.
                    shared.replace(());
                    return Err(shared.ended(Ending::Crash, bytes).into());
                }
            },
            Ok(Answer::Refused(error)) => {
                shared.still(cell);
                return Err(error.into());
            }
            Ok(Answer::Panicked) => {
                shared.endings[3].fetch_add(1, Ordering::Relaxed);
                failed(bytes)
            }
            Ok(Answer::Ready | Answer::Unconfined(_)) => shared.ended(Ending::Nonsense, bytes),
            Err(Ending::Time) => {
                shared.count(Ending::Time);
                PictureError::TooCostly { limit: Cost::Time(max_decode_ms) }
            }
            Err(Ending::Memory) => {
                shared.count(Ending::Memory);
                PictureError::TooCostly { limit: Cost::Memory(max_decode_bytes) }
            }
            Err(ending) => shared.ended(ending, bytes),
        };
        shared.replace(cell);
        Err(error.into())
    }

    /// The limits of every picture.
    pub fn limits(&self) -> &DecodeLimits {
        &self.shared.orders.limits
    }

    /// How many cells had to be ended since the start.
    pub fn endings(&self) -> Endings {
        let [time, memory, crash, panic, nonsense] = &self.shared.endings;
        let [time, memory, crash, panic, nonsense] =
            [time, memory, crash, panic, nonsense].map(|number| number.load(Ordering::Relaxed));
        Endings { time, memory, crash, panic, nonsense }
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        let _ = self.shared.tasks.send(Task::Stop);
        if let Some(keeper) = self.keeper.take() {
            // A panic there has already been told.
            let _ = keeper.join();
        }
        self.shared.lock().idle.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cell that waits, the one that was at work last: its memory is warm.
    fn take(&self) -> Result<Stopped, CellError> {
        let deadline = Instant::now() + WAIT;
        let mut state = self.lock();
        loop {
            if let Some((mut stopped, _)) = state.idle.pop() {
                let Some(ending) = stopped.lost_at_rest() else { return Ok(stopped) };
                self.count(ending);
                self.replace(stopped);
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A start that fails is tried again, but where there is no cell nobody waits for more than the next try. Where
            // there are others, one of them becomes free.
            if let Some(failure) = &state.failure
                && self.living.load(Ordering::Relaxed) == 0
            {
                return Err(failure.clone());
            }
            if left.is_zero() {
                return Err(CellError::Busy);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has a cell that runs wait for the next picture.
    fn still(&self, cell: Cell) {
        match cell.freeze() {
            Ok(stopped) => self.put(stopped),
            Err(_) => self.replace(()),
        }
    }

    fn put(&self, mut stopped: Stopped) {
        // Small pictures may follow a large one for as long as they like.
        if !stopped.is_fit() || stopped.is_stale(Duration::ZERO) && !stopped.forget(&self.orders) {
            return self.replace(stopped);
        }
        let mut state = self.lock();
        if !state.stopped {
            state.idle.push((stopped, Instant::now()));
            self.changed.notify_one();
        }
    }

    /// Has another cell started for one that is lost. If that fails, whoever waits is told after this one is no longer counted.
    fn replace(&self, lost: impl Send + 'static) {
        self.living.fetch_sub(1, Ordering::Relaxed);
        // Without a keeper there is nobody left who waits for cells.
        let _ = self.tasks.send(Task::Replace(Box::new(lost)));
    }

    fn count(&self, ending: Ending) {
        let at = match ending {
            Ending::Time => 0,
            Ending::Memory => 1,
            Ending::Crash => 2,
            Ending::Nonsense => 4,
        };
        self.endings[at].fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, ending: Ending, bytes: &[u8]) -> PictureError {
        self.count(ending);
        failed(bytes)
    }

    fn lend(self: &Arc<Self>, stopped: Stopped, format: &'static str, found: Found) -> Result<Picture, PictureError> {
        let (width, height) = (found.width as usize, found.height as usize);
        let pixels = self.orders.input_room..self.orders.input_room + width * height * 3;
        let lease = Loan { pixels, stopped: Some(stopped), shared: Arc::clone(self) };
        let pixels = Pixels::lent(width, height, lease)
            .ok_or_else(|| PictureError::malformed(format, "its data does not fill its size"))?;
        let exif_orientation = found.exif_orientation;
        Ok(Picture { pixels, orientation: Orientation::from_exif(exif_orientation), exif_orientation, format })
    }
}

/// What the caller is told when a cell failed on the picture.
fn failed(bytes: &[u8]) -> PictureError {
    let format = sniff(bytes).map_or("", |format| format.name);
    PictureError::malformed(format, "its decoder failed on it")
}

/// Pixels in a cell's memory, which hold still. When they are dropped the cell waits for the next picture.
#[derive(Debug)]
struct Loan {
    pixels: std::ops::Range<usize>,
    /// `None` once it is dropped.
    stopped: Option<Stopped>,
    shared: Arc<Shared>,
}

impl Lease for Loan {}

impl Deref for Loan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.stopped.as_ref().map_or(&[], |stopped| stopped.memory.bytes(self.pixels.clone()))
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.stopped {
            Some(stopped) => stopped.memory.bytes_mut(self.pixels.clone()),
            None => &mut [],
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(stopped) = self.stopped.take() {
            self.shared.put(stopped);
        }
    }
}

/// Starts cells, clears away those that are lost, and gives the memory of those that rest back.
fn keep(shared: &Shared, tasks: &Receiver<Task>) {
    let mut wanted = 0;
    loop {
        let task = match (wanted, tasks.recv_timeout(if wanted > 0 { PAUSE } else { REST })) {
            (_, Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected)) => return,
            (_, Ok(Task::Replace(cell))) => {
                wanted += 1;
                Some(cell)
            }
            (_, Err(RecvTimeoutError::Timeout)) => None,
        };
        // All at once, since each takes its time to be ready.
        let mut lost = Vec::from_iter(task);
        while let Ok(task) = tasks.try_recv() {
            match task {
                Task::Replace(cell) => {
                    wanted += 1;
                    lost.push(cell);
                }
                Task::Stop => return,
            }
        }
        let starting: Vec<_> =
            (0..wanted).map(|_| Cell::start(&shared.program, &shared.orders, memory(&shared.orders))).collect();
        drop(lost);
        for started in starting {
            match started.and_then(|cell| cell.ready(&shared.orders)) {
                Ok(cell) => {
                    wanted -= 1;
                    shared.living.fetch_add(1, Ordering::Relaxed);
                    shared.lock().failure = None;
                    shared.still(cell);
                }
                Err(failure) => {
                    shared.lock().failure = Some(failure);
                    shared.changed.notify_all();
                }
            }
        }
        rest(shared);
    }
}

fn memory(orders: &Orders) -> usize {
    let pixels = usize::try_from(orders.limits.max_pixels).unwrap_or(usize::MAX).saturating_mul(3);
    orders.input_room.saturating_add(pixels.max(1)).next_multiple_of(PAGE)
}

/// Gives back the memory of cells that have waited for a while, one at a time so that nobody waits for it.
fn rest(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        let Some(at) = state.idle.iter().position(|(stopped, since)| stopped.is_stale(since.elapsed())) else { return };
        let (mut stopped, since) = state.idle.remove(at);
        drop(state);
        if !stopped.forget(&shared.orders) {
            shared.replace(stopped);
            continue;
        }
        let mut state = shared.lock();
        // The one that has waited longest is taken last.
        state.idle.insert(0, (stopped, since));
        shared.changed.notify_one();
    }
}
