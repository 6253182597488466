//! Which message of a listening socket was put there by which run of the kernel half.
//!
//! Whoever puts a message into a socket's queue calls its `sk_data_ready` right after, and that run
//! reads the last message of the queue. Another CPU may put one there in between: then a run reads
//! a later message than its own, never an earlier one. So, message by message from one where all
//! was clear: a run that read the first message is its maker's, for all who put later ones there
//! read later ones. Where no run read the first one, its maker may stand at a later one, or found
//! the queue empty; nobody is named until the mirror saw that all makers have run, and then only if
//! the runs in question are as many as the messages, and all of one process.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracer_common::maker::HEAD;

/// The beginning of a message.
pub(super) type Head = [u8; HEAD];

/// How long a message waits for its maker's run, which comes within microseconds as a rule: it has to
/// be in the journal within 100 ms.
const PATIENCE: Duration = Duration::from_millis(80);

/// A listening socket's messages and runs, from the first one that is not clear.
pub(super) struct Socket<M, R> {
    messages: VecDeque<Waiting<M>>,
    /// Runs with their numbers.
    runs: VecDeque<(u64, Head, R)>,
    /// How many runs there were.
    ran: u64,
    all_ran: Option<AllRan>,
    /// A message was given up: its maker's run may come late, and be taken for another's.
    lost: bool,
}

struct Waiting<M> {
    head: Head,
    since: Instant,
    message: M,
}

/// A moment at which the makers of all messages had run.
#[derive(Clone, Copy)]
struct AllRan {
    /// Of the messages that wait, those that were there then.
    messages: usize,
    /// The runs until then.
    runs: u64,
}

impl<M, R> Default for Socket<M, R> {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            runs: VecDeque::new(),
            ran: 0,
            all_ran: None,
            lost: false,
        }
    }
}

impl<M, R: Clone + PartialEq> Socket<M, R> {
    /// A message that was read.
    pub(super) fn message(&mut self, head: Head, now: Instant, message: M) {
        self.messages.push_back(Waiting {
            head,
            since: now,
            message,
        });
    }

    /// What a run read; zeros where the queue was empty by then.
    pub(super) fn run(&mut self, head: Head, run: R) {
        self.ran += 1;
        self.runs.push_back((self.ran, head, run));
    }

    /// The makers of all messages until here are those of the first so many runs, all of which were
    /// handed over.
    pub(super) fn all_ran(&mut self, runs: u64) {
        let messages = self.messages.len();
        self.all_ran = Some(AllRan { messages, runs });
    }

    /// Whether there are messages whose maker is not clear yet.
    pub(super) fn waits(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Hands over what is clear by now, in the order in which it came.
    pub(super) fn settle(&mut self, now: Instant, mut settled: impl FnMut(M, Option<R>)) {
        if let Some(moment) = self.all_ran.take() {
            let mut left = moment.messages;
            while left > 0
                && !self.lost
                && let Some(run) = self.first_run()
            {
                self.hand_over(1, Some(&run), &mut settled);
                left -= 1;
            }
            let by = self.only_one(left, moment.runs);
            self.hand_over(left, by.as_ref(), &mut settled);
            self.runs.retain(|&(number, ..)| number > moment.runs);
            self.lost = false;
        }
        while !self.lost
            && let Some(run) = self.first_run()
        {
            self.hand_over(1, Some(&run), &mut settled);
        }
        let first = self.messages.front();
        self.lost |= first.is_some_and(|first| now.duration_since(first.since) > PATIENCE);
        if self.lost {
            self.hand_over(self.messages.len(), None, &mut settled);
        }
    }

    /// The run of the first message's maker. Where several look alike, they have to be of one.
    fn first_run(&mut self) -> Option<R> {
        let head = self.messages.front()?.head;
        let read = self.runs.iter().enumerate();
        let alike = read.filter(|(_, (_, read, _))| *read == head);
        let found: Vec<usize> = alike.map(|(at, _)| at).collect();
        let &at = found.first()?;
        let is_one = found.iter().all(|&it| self.runs[it].2 == self.runs[at].2);
        let twins = self.messages.iter().filter(|it| it.head == head).count();
        let is_clear = twins == 1 || is_one && found.len() >= twins;
        is_clear.then(|| self.runs.remove(at).map(|(_, _, run)| run))?
    }

    /// Whose the first so many messages are, if the runs up to a number are as many, and of one.
    fn only_one(&self, messages: usize, runs: u64) -> Option<R> {
        let mut runs = self.runs.iter().take_while(|&&(number, ..)| number <= runs);
        let (_, _, first) = runs.next()?;
        let (mut count, mut is_one) = (1, true);
        for (_, _, run) in runs {
            count += 1;
            is_one &= run == first;
        }
        (count == messages && is_one && !self.lost).then(|| first.clone())
    }

    fn hand_over(&mut self, count: usize, by: Option<&R>, settled: &mut impl FnMut(M, Option<R>)) {
        for waiting in self.messages.drain(..count) {
            settled(waiting.message, by.cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(number: usize) -> Head {
        let mut head = [0; HEAD];
        head[0] = number as u8 + 1;
        head
    }

    /// Messages that were put there in order by makers, who ran later, in any order: each run reads
    /// the last message that was there at that moment, and none where the agent had read them all.
    fn played(makers: &[u8], delays: &[u8], reads_after: u8) -> Vec<Option<u8>> {
        let now = Instant::now();
        let mut socket = Socket::<usize, u8>::default();
        let mut named = vec![None; makers.len()];
        let mut runs: Vec<(usize, usize)> = (0..makers.len())
            .map(|at| (at * 2 + usize::from(delays[at]), at))
            .collect();
        runs.sort_unstable();
        let (mut read, mut ran) = (0, 0);
        for time in 0..makers.len() * 2 + 64 {
            let there = (time / 2 + 1).min(makers.len());
            for &(_, of) in runs.iter().filter(|&&(at, _)| at == time) {
                let last = if read == there {
                    [0; HEAD]
                } else {
                    head(there - 1)
                };
                socket.run(last, makers[of]);
                ran += 1;
            }
            if time % (usize::from(reads_after) + 1) == 0 {
                for message in read..there {
                    socket.message(head(message), now, message);
                }
                read = there;
                if ran == read {
                    socket.all_ran(ran as u64);
                }
                socket.settle(now, |message, by| named[message] = by);
            }
        }
        named
    }

    #[test]
    fn who_ran_at_once_is_named() {
        let makers = [1, 2, 1, 3];
        assert_eq!(played(&makers, &[0; 4], 2), makers.map(Some));
    }

    #[test]
    fn after_a_lost_run_nobody_is_named_until_all_is_clear_again() {
        let start = Instant::now();
        let mut socket = Socket::<usize, u8>::default();
        let mut named = Vec::new();
        let mut settle = |socket: &mut Socket<usize, u8>, now| {
            socket.settle(now, |message, by| named.push((message, by)));
        };
        socket.message(head(0), start, 0);
        socket.message(head(1), start, 1);
        socket.run(head(1), 7);
        settle(&mut socket, start);
        let later = start + PATIENCE * 2;
        settle(&mut socket, later);
        socket.message(head(2), later, 2);
        socket.run(head(2), 8);
        settle(&mut socket, later);
        socket.all_ran(2);
        settle(&mut socket, later);
        socket.message(head(3), later, 3);
        socket.run(head(3), 9);
        settle(&mut socket, later);
        assert_eq!(named, [(0, None), (1, None), (2, None), (3, Some(9))]);
    }

    #[test]
    fn runs_of_messages_that_were_not_read_yet_name_nobody() {
        let now = Instant::now();
        let mut socket = Socket::<usize, u8>::default();
        socket.message(head(0), now, 0);
        // Its maker found the queue empty; the next message is not told yet, but its run is there.
        socket.run([0; HEAD], 7);
        socket.run(head(1), 8);
        socket.all_ran(1);
        let mut named = Vec::new();
        socket.settle(now, |_, by| named.push(by));
        assert_eq!(named, [Some(7)]);
        socket.message(head(1), now, 1);
        socket.settle(now, |_, by| named.push(by));
        assert_eq!(named, [Some(7), Some(8)]);
    }

    proptest! {
        #[test]
        fn nobody_is_ever_named_for_anothers_message(
            makers in prop::collection::vec(0u8..4, 1..24),
            delays in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => 0u8..12], 24),
            reads_after in 0u8..9,
        ) {
            for (maker, named) in makers.iter().zip(played(&makers, &delays, reads_after)) {
                prop_assert!(named.is_none_or(|named| named == *maker), "{maker} {named:?}");
            }
        }
    }
}
