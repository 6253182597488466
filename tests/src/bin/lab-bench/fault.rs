//! What goes wrong in the workload, and when.

/// A fault of one hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) what: What,
    pub(crate) hop: usize,
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
}

/// What a fault does to packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// A share of the packets takes so many times as long.
    Slow { share: f64, times: f64 },
    /// All packets do, `on_s` of every `period_s` seconds.
    Pulse {
        times: f64,
        on_s: u64,
        period_s: u64,
    },
    /// All packets do, growing to `times` over so many seconds.
    Drift { times: f64, over_s: f64 },
    /// A share is dropped.
    Loss { share: f64 },
    /// So many more packets come that are this many times slower: a mix that changed, no fault.
    Mix { more: f64, times: f64 },
}

/// The faults of the method's workload by name.
pub(crate) const CATALOGUE: [(&str, What); 10] = [
    (
        "x1.5",
        What::Slow {
            share: 1.0,
            times: 1.5,
        },
    ),
    (
        "x3",
        What::Slow {
            share: 1.0,
            times: 3.0,
        },
    ),
    (
        "x5",
        What::Slow {
            share: 1.0,
            times: 5.0,
        },
    ),
    (
        "x10",
        What::Slow {
            share: 1.0,
            times: 10.0,
        },
    ),
    (
        "tail 3 % x10",
        What::Slow {
            share: 0.03,
            times: 10.0,
        },
    ),
    (
        "30 % x3",
        What::Slow {
            share: 0.3,
            times: 3.0,
        },
    ),
    (
        "10 % x3",
        What::Slow {
            share: 0.1,
            times: 3.0,
        },
    ),
    (
        "5 of 20 s x3",
        What::Pulse {
            times: 3.0,
            on_s: 5,
            period_s: 20,
        },
    ),
    (
        "drift x3 in 2 h",
        What::Drift {
            times: 3.0,
            over_s: 7_200.0,
        },
    ),
    ("loss 1e-4 to 1 %", What::Loss { share: 0.01 }),
];

/// What a second of a fault does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effect {
    pub(crate) share: f64,
    /// In eighths of an octave.
    pub(crate) rise: f64,
    pub(crate) loss: f64,
    pub(crate) more: f64,
}

impl Fault {
    /// What it does in a second, if it is there.
    pub(crate) fn at(&self, at_s: u64) -> Option<Effect> {
        if !(self.from_s..self.until_s).contains(&at_s) {
            return None;
        }
        let since_s = at_s - self.from_s;
        let slow = |share, times: f64| Effect {
            share,
            rise: 8.0 * times.log2(),
            ..Effect::default()
        };
        match self.what {
            What::Slow { share, times } => Some(slow(share, times)),
            What::Pulse {
                times,
                on_s,
                period_s,
            } => (since_s % period_s < on_s).then(|| slow(1.0, times)),
            What::Drift { times, over_s } => {
                Some(slow(1.0, times.powf((since_s as f64 / over_s).min(1.0))))
            }
            What::Loss { share } => Some(Effect {
                loss: share,
                ..Effect::default()
            }),
            What::Mix { more, times } => Some(Effect {
                more,
                rise: 8.0 * times.log2(),
                ..Effect::default()
            }),
        }
    }
}
