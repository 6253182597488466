//! A stream's state as bytes and back, so that a restart in the middle of a fault changes nothing.
//!
//! Little-endian, field after field, empty buckets left out. What does not read back is refused:
//! a stream that forgot is better than one that believes nonsense.

use super::baseline::{Baseline, WINDOW};
use super::dependence::{Dependence, Pairs};
use super::exceedance::{Exceedance, Logs};
use super::finding::{Direction, Finding, Kind, Tier};
use super::habit::Habit;
use super::increase::Mishap;
use super::leap::Leap;
use super::mishaps::Mishaps;
use super::presence::Presence;
use super::stream::{Open, Stream};

/// Changes with every change of the fields.
const FORMAT: u8 = 2;

impl Stream {
    /// The whole state.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        self.put(&mut bytes);
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// The state that [`Self::to_bytes`] wrote; none when it is of another format or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut bytes, sum) = bytes.split_last_chunk()?;
        if checksum(bytes) != u64::from_le_bytes(*sum) {
            return None;
        }
        let format = u8::take(&mut bytes)?;
        let stream = (format == FORMAT).then(|| Self::take(&mut bytes))??;
        bytes.is_empty().then_some(stream)
    }
}

/// FNV-1a, 64 bits: against damage, not against malice.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

trait Saved: Sized {
    fn put(&self, bytes: &mut Vec<u8>);
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty: $valid:expr),*) => {$(
        impl Saved for $number {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (number, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                let valid: fn(&$number) -> bool = $valid;
                Some(<$number>::from_le_bytes(*number)).filter(valid)
            }
        }
    )*};
}

numbers!(u8: |_| true, u32: |_| true, u64: |_| true, f32: |n| n.is_finite(), f64: |n| n.is_finite());

macro_rules! structs {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl Saved for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                $(self.$field.put(bytes);)*
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Saved::take(bytes)?),* })
            }
        }
    )*};
}

structs! {
    Pairs { above, packets, both, groups }
    Dependence { within, across, batch_above, batch_packets, rho }
    Logs { beyond, within }
    Exceedance {
        edge, below, active, raised, normal, wrong, logs, sum, strong, since_s, streak_from_s, last_bad_s,
        window, best, peak, excursion, back, beyond, packets, dependence,
    }
    Leap { edge, active, raised, sum, since_s, back }
    Mishaps {
        settled, settled_packets, fresh, fresh_packets, clumps, blocks, sum, peak, excursion,
        since_s, streak_from_s, window, best, back, count, packets, raised,
    }
    Baseline { origin, anchored, settled, fresh, settled_packets, fresh_packets }
    Finding {
        kind, direction, tier, change_s, change_error_s, raised_s, last_bad_s, cleared_s, share,
        median_ns, p99_ns, episodes, of_the_time,
    }
    Presence { belief, level, there_s, seen_s, at_last }
    Open { finding, back_since_s, presence }
    Stream {
        baseline, edges, leap, mishaps, epoch_s, block_s, batch_s, calm_s, usual_rate, restless, refused,
        burst_s, begun, open,
    }
    Habit { longest_s, feared_s }
}

/// Enumerations as the position in a list of all their values.
macro_rules! enums {
    ($($name:ident [$($value:expr),* $(,)?])*) => {$(
        impl Saved for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                let place = [$($value),*].iter().position(|value| value == self);
                bytes.push(place.map_or(u8::MAX, |place| place as u8));
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                [$($value),*].get(usize::from(u8::take(bytes)?)).copied()
            }
        }
    )*};
}

enums! {
    bool [false, true]
    Direction [Self::Up, Self::Down]
    Tier [Self::Notice, Self::Warn, Self::Page]
    Kind [
        Self::Shift, Self::Share, Self::Tail, Self::Loss(Mishap::Drop),
        Self::Loss(Mishap::Retransmit), Self::Loss(Mishap::Reset),
    ]
}

impl<T: Saved> Saved for Option<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.is_some().put(bytes);
        if let Some(value) = self {
            value.put(bytes);
        }
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(if bool::take(bytes)? {
            Some(T::take(bytes)?)
        } else {
            None
        })
    }
}

impl<T: Saved> Saved for Box<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.as_ref().put(bytes);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        T::take(bytes).map(Self::new)
    }
}

macro_rules! arrays {
    ($($item:ty: $len:literal),*) => {$(
        impl Saved for [$item; $len] {
            fn put(&self, bytes: &mut Vec<u8>) {
                for item in self {
                    item.put(bytes);
                }
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let items: Vec<$item> = (0..$len).map_while(|_| Saved::take(bytes)).collect();
                items.try_into().ok()
            }
        }
    )*};
}

arrays!(Exceedance: 4, Logs: 2, Mishaps: 3, f32: 2, u32: 2);

impl Saved for [f32; WINDOW] {
    fn put(&self, bytes: &mut Vec<u8>) {
        let filled = self.iter().enumerate().filter(|(_, count)| **count > 0.0);
        bytes.push(filled.clone().count() as u8);
        for (place, count) in filled {
            bytes.push(place as u8);
            count.put(bytes);
        }
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut counts = [0.0; WINDOW];
        for _ in 0..u8::take(bytes)? {
            let place = usize::from(u8::take(bytes)?);
            *counts.get_mut(place)? = f32::take(bytes)?;
        }
        Some(counts)
    }
}

impl Habit {
    /// What was learnt, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        self.put(&mut bytes);
        bytes
    }

    /// What [`Self::to_bytes`] wrote.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        (u8::take(&mut bytes)? == FORMAT).then(|| Self::take(&mut bytes))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Budget, Increase};
    use proptest::prelude::*;

    fn busy_stream() -> Stream {
        let thresholds = Budget::for_streams(5).thresholds(&Habit::known(3.0));
        let mut stream = Stream::default();
        let mut second = Increase::default();
        for at_s in 1_000..2_000 {
            second.clear();
            second.add(if at_s > 1_950 { 140 } else { 100 } + (at_s % 7) as u8, 40);
            stream.observe(at_s, &second, &thresholds);
        }
        assert!(stream.open().is_some());
        stream
    }

    #[test]
    fn what_was_saved_reads_back_the_same() {
        let stream = busy_stream();
        let bytes = stream.to_bytes();
        let again = Stream::from_bytes(&bytes).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.open(), stream.open());
        assert!(bytes.len() <= 1_638, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_refused(at in any::<prop::sample::Index>(), value: u8) {
            let mut bytes = busy_stream().to_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != value);
            bytes[at] = value;
            prop_assert!(Stream::from_bytes(&bytes).is_none());
            prop_assert!(Stream::from_bytes(&bytes[..at]).is_none());
        }
    }
}
