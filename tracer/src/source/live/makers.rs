//! Who makes the changes that the mirror follows.
//!
//! The kernel half writes down what runs when a message is put into a listening socket of the
//! mirror's; here the two are joined, on a thread of its own, and processes get their names.

mod listeners;
mod offsets;
mod processes;
mod settle;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use tracer_common::maker::{ANCESTRY, HEAD, KERNEL_THREAD, Making, Task as RawTask};

pub use listeners::Listeners;
pub(in crate::source) use listeners::Place;

use self::processes::Processes;
use self::settle::{Head, Socket};
use super::{kernel_types, rights};
use crate::model::journal::who::{Current, Process, Telling, is_set_in_silence};
use crate::model::journal::{Kind, Who};
use crate::model::network::{Fact, How};
use crate::source::Error;
use crate::source::mirror::{Changed, Event, Heard, Message, Note};

/// How often it is looked again while a message's maker is not clear.
const AGAIN: Duration = Duration::from_millis(5);

/// How often it is looked at all events.
const SELDOM: Duration = Duration::from_mins(1);

/// Since when an address says who set it (`IFA_PROTO`).
const ADDRESS_PROTOCOL: (u32, u32) = (5, 18);

/// What the mirror noted, and who made it.
#[derive(Clone, Debug)]
pub struct Noted {
    /// What the mirror noted.
    pub note: Note,
    /// Who made it, where it is a change.
    pub who: Who,
}

/// Who is told what changed, and who made it; called on a thread that has no rights.
pub type TellNoted = Box<dyn FnMut(Noted) + Send>;

/// What the kernel half writes down; none where it has no such maps.
pub(super) struct Book {
    ring: RingBuf<MapData>,
    /// Which sockets it writes down.
    pub(super) listeners: Listeners,
}

impl Book {
    /// Takes the maps.
    ///
    /// # Errors
    /// When the kernel refuses to map them.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let listeners = Listeners::map(ebpf.map("LISTENERS").expect("the object has this map"))?;
        let ring = ebpf.take_map("MAKINGS").expect("the object has this map");
        let ring = RingBuf::try_from(ring).map_err(|cause| Error::Kernel {
            doing: "map the kernel half's MAKINGS".to_owned(),
            because: super::load::chain(&cause),
            advice: "changes_by = false in the section [journal]".to_owned(),
        })?;
        Ok(Self { ring, listeners })
    }
}

/// Starts the thread; it ends when the mirror, which holds the sender, does.
///
/// # Errors
/// When the system has no threads left.
pub(super) fn start(book: Option<Book>, tell: TellNoted) -> io::Result<Sender<Note>> {
    let (sender, notes) = channel();
    std::thread::Builder::new()
        .name("makers".to_owned())
        .spawn(move || {
            if let Err(problem) = rights::keep_none() {
                tracing::warn!("{problem}");
            }
            Makers::new(book, tell).run(&notes);
        })?;
    Ok(sender)
}

/// Which message: its socket, and its number there.
type Which = (u64, u64);

/// What ran when a message was told.
#[derive(Clone, Debug)]
enum Ran {
    KernelThread,
    Process(Arc<Process>),
}

impl PartialEq for Ran {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::KernelThread, Self::KernelThread) => true,
            (Self::Process(one), Self::Process(other)) => {
                let identity = |process: &Process| {
                    let first = process.ancestry.first();
                    first.map(|task| (task.pid, task.start_ns, task.command.clone()))
                };
                identity(one) == identity(other)
            }
            _ => false,
        }
    }
}

struct Makers {
    book: Option<Book>,
    tell: TellNoted,
    processes: Processes,
    sockets: HashMap<u64, Socket<Message, Ran>>,
    /// Changes whose maker is not clear yet.
    waiting: BTreeMap<Which, Vec<Note>>,
    /// Whether an address that was set by hand can be told from others.
    tells_addresses: bool,
}

impl Makers {
    fn new(book: Option<Book>, tell: TellNoted) -> Self {
        Self {
            book,
            tell,
            processes: Processes::default(),
            sockets: HashMap::new(),
            waiting: BTreeMap::new(),
            tells_addresses: kernel_types::release() >= ADDRESS_PROTOCOL,
        }
    }

    fn run(mut self, notes: &Receiver<Note>) {
        loop {
            let waits = self.sockets.values().any(Socket::waits);
            let patience = if waits { AGAIN } else { SELDOM };
            match notes.recv_timeout(patience) {
                Ok(note) => self.take(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for note in notes.try_iter().take(1024) {
                self.take(note);
            }
            self.read();
            self.settle();
        }
    }

    fn take(&mut self, note: Note) {
        match &note.event {
            Event::Heard(heard) => {
                let heard = heard.clone();
                self.hear(heard);
            }
            Event::Changed(changed) => {
                if let Some(message) = changed.message {
                    let which = (message.listener, message.number);
                    self.waiting.entry(which).or_default().push(note);
                } else {
                    let who = Self::untold(changed);
                    (self.tell)(Noted { note, who });
                }
            }
            _ => (self.tell)(Noted {
                note,
                who: Who::Unknown,
            }),
        }
    }

    /// Who made what no message told: the kernel, if that shows from the change itself.
    fn untold(changed: &Changed) -> Who {
        let change = &changed.change;
        let by_kind = [Kind::Neighbour, Kind::Exception].contains(&kind(changed));
        let shows = by_kind || is_set_in_silence(change);
        if change.how == How::Found && !shows {
            return Who::Unknown;
        }
        let telling = Telling {
            port: 0,
            current: None,
            by_hand: false,
        };
        telling.who(change)
    }

    fn hear(&mut self, heard: Heard) {
        let Some(listener) = heard.listener else {
            return;
        };
        let now = Instant::now();
        let socket = self.sockets.entry(listener).or_default();
        for message in heard.messages {
            socket.message(message.head, now, message);
        }
        if let Some(runs) = heard.made {
            self.read();
            if let Some(socket) = self.sockets.get_mut(&listener) {
                socket.all_ran(runs);
            }
        }
        if heard.ended {
            self.settle();
            self.sockets.remove(&listener);
        }
    }

    /// Reads what the kernel half wrote down.
    fn read(&mut self) {
        let Some(book) = &mut self.book else {
            return;
        };
        while let Some(item) = book.ring.next() {
            let Some(making) = making(&item) else {
                continue;
            };
            let ran = if making.task_flags & KERNEL_THREAD != 0 {
                Ran::KernelThread
            } else {
                Ran::Process(self.processes.of(&making))
            };
            let socket = self.sockets.entry(making.listener).or_default();
            socket.run(without_rest(making.head), ran);
        }
    }

    fn settle(&mut self) {
        let now = Instant::now();
        let mut settled = Vec::new();
        for socket in self.sockets.values_mut() {
            socket.settle(now, |message, ran| settled.push((message, ran)));
        }
        for (message, ran) in settled {
            self.name(&message, ran);
        }
    }

    /// Names who made what a message told.
    fn name(&mut self, message: &Message, ran: Option<Ran>) {
        let which = (message.listener, message.number);
        let Some(notes) = self.waiting.remove(&which) else {
            return;
        };
        let telling = Telling {
            port: word(&message.head, 12),
            current: ran.map(|ran| match ran {
                Ran::KernelThread => Current::KernelThread,
                Ran::Process(process) => Current::Process(process),
            }),
            by_hand: self.tells_addresses && !is_temporary(&message.head),
        };
        let mut cause = None;
        for note in notes {
            let Event::Changed(changed) = &note.event else {
                continue;
            };
            // What follows from a change was made by whoever made that one.
            let who = match (changed.change.how, &cause) {
                (How::Implied, Some(who)) => Who::clone(who),
                _ => telling.who(&changed.change),
            };
            cause.get_or_insert_with(|| who.clone());
            (self.tell)(Noted { note, who });
        }
    }
}

fn kind(changed: &Changed) -> Kind {
    match changed
        .change
        .after
        .as_ref()
        .or(changed.change.before.as_ref())
    {
        Some(Fact::Neighbour(_)) => Kind::Neighbour,
        Some(Fact::Exception(_)) => Kind::Exception,
        _ => Kind::Route,
    }
}

/// A message's beginning without what stands behind a shorter one in the kernel's memory.
fn without_rest(mut head: Head) -> Head {
    let len = usize::try_from(word(&head, 0)).unwrap_or(HEAD);
    head[len.min(HEAD)..].fill(0);
    head
}

/// A number of a message's header.
fn word(head: &Head, at: usize) -> u32 {
    u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

/// Whether a message about an address says that it is a temporary one (RFC 8981), which the kernel
/// made: `ifaddrmsg.ifa_flags`, behind `nlmsghdr`.
fn is_temporary(head: &Head) -> bool {
    const FLAGS: usize = 16 + 2;
    head[FLAGS] & libc::IFA_F_TEMPORARY as u8 != 0
}

/// A record of the ring; none for one of another length.
fn making(bytes: &[u8]) -> Option<Making> {
    if bytes.len() != size_of::<Making>() {
        return None;
    }
    // SAFETY: as long as a `Making`, which is `repr(C)`, of numbers, and valid for any bytes.
    Some(unsafe { bytes.as_ptr().cast::<Making>().read_unaligned() })
}

const _: () = assert!(HEAD >= 20 && ANCESTRY > 0 && size_of::<RawTask>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_short_message_is_none_of_it() {
        let mut head = [7; HEAD];
        head[..4].copy_from_slice(&60u32.to_ne_bytes());
        let head = without_rest(head);
        assert_eq!(head[59..], [7, 0, 0, 0, 0]);
        for len in [64u32, 5_000, u32::MAX] {
            let mut head = [7; HEAD];
            head[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(without_rest(head)[4..], [7; HEAD - 4]);
        }
        assert_eq!(without_rest([0; HEAD]), [0; HEAD]);
    }
}
