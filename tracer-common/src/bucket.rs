//! Which bucket of the histogram a latency belongs to.
//!
//! The boundaries are those of Prometheus's native histograms of schema 3: bucket `k` holds the
//! latencies in `(2^((k-1)/8), 2^(k/8)]` seconds, shifted so that index 0 ends at 2^-22 s
//! (238.42 ns). Powers of two in nanoseconds would be cheaper and would agree with nothing.

/// Sub-buckets to an octave: 2^3, Prometheus's schema 3.
pub const PER_OCTAVE: usize = 8;

/// The exponent of the lowest boundary: 2^-22 s.
pub const LOWEST_EXPONENT: i32 = -22;

/// The exponent of the highest finite boundary: 2^6 s, 64 s.
pub const HIGHEST_EXPONENT: i32 = 6;

const OCTAVES: usize = (HIGHEST_EXPONENT - LOWEST_EXPONENT) as usize;

/// How many boundaries there are: one at each end and eight an octave.
pub const BOUNDS_LEN: usize = OCTAVES * PER_OCTAVE + 1;

/// How many buckets there are: one below each boundary, and one above the last.
pub const BUCKETS: usize = BOUNDS_LEN + 1;

/// The index in Prometheus's numbering (schema 3) of our bucket 0.
pub const NATIVE_OFFSET: i32 = LOWEST_EXPONENT * 8;

const _: () = assert!(PER_OCTAVE == 8);

/// 2^(j/8) for j = 0..8, times 2^60, rounded down.
const EIGHTHS: [u128; PER_OCTAVE] = [
    1_152_921_504_606_846_976,
    1_257_269_815_929_830_108,
    1_371_062_456_318_104_877,
    1_495_154_210_581_915_421,
    1_630_477_228_166_597_776,
    1_778_048_025_250_290_523,
    1_938_975_120_585_633_118,
    2_114_467_362_444_183_333,
];

/// The upper boundary of each bucket but the last, in whole nanoseconds, rounded down.
///
/// Latencies are whole nanoseconds, so `latency <= BOUNDS[k]` holds exactly when the latency is
/// not above the real boundary.
pub static BOUNDS: [u64; BOUNDS_LEN] = bounds();

const fn bounds() -> [u64; BOUNDS_LEN] {
    let mut bounds = [0; BOUNDS_LEN];
    let mut index = 0;
    while index < BOUNDS_LEN {
        let scaled = 1_000_000_000 * EIGHTHS[index % PER_OCTAVE];
        // The octave counts from 2^-22.
        bounds[index] =
            (scaled >> (60 + LOWEST_EXPONENT.unsigned_abs() as usize - index / PER_OCTAVE)) as u64;
        index += 1;
    }
    bounds
}

/// Linear steps an octave of the first guess: fine enough that a step meets at most two buckets.
const STEPS_BITS: u32 = 4;
const STEPS: usize = 1 << STEPS_BITS;

/// For each octave of nanoseconds and each of its linear steps, the bucket of the step's start.
///
/// Four times as long as there are octaves: the kernel's verifier does not know that a number has
/// no more than 64 leading zeros, and counts with what its bits could be at most.
pub static GUESS: [u8; GUESS_LEN] = guess();

const GUESS_LEN: usize = 4 * 64 * STEPS;

const fn guess() -> [u8; GUESS_LEN] {
    let bounds = bounds();
    let mut table = [0; GUESS_LEN];
    let mut index = 0;
    let mut bucket = 0;
    while index < 64 * STEPS {
        let octave = (index / STEPS) as u32;
        let step = (index % STEPS) as u64;
        // Below 2^4 ns a step is less than a nanosecond; all of it lies in bucket 0.
        if octave >= STEPS_BITS {
            let start = (STEPS as u64 + step) << (octave - STEPS_BITS);
            while bucket < BOUNDS_LEN && bounds[bucket] < start {
                bucket += 1;
            }
        }
        table[index] = bucket as u8;
        index += 1;
    }
    table
}

/// A number that is below [`GUESS_LEN`] anyway.
///
/// Up to Linux 6.1 the verifier knows it only of the result of this very instruction, which the
/// compiler would remove if it saw it.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn bounded(mut number: usize) -> usize {
    // SAFETY: it masks a register.
    unsafe {
        core::arch::asm!(
            "{0} &= {1}",
            inout(reg) number,
            const GUESS_LEN - 1,
            options(pure, nomem, nostack)
        );
    }
    number
}

#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn bounded(number: usize) -> usize {
    number & (GUESS_LEN - 1)
}

/// The bucket of a latency, in 0..[`BUCKETS`].
///
/// Two table look-ups and no division, so that the kernel half can afford it at each hop.
#[inline(always)]
pub fn index(latency_ns: u64) -> usize {
    let latency_ns = if latency_ns < STEPS as u64 {
        STEPS as u64
    } else {
        latency_ns
    };
    let octave = latency_ns.ilog2();
    let step = (latency_ns >> (octave - STEPS_BITS)) as usize & (STEPS - 1);
    let first = bounded(octave as usize * STEPS + step);
    // SAFETY: it is bounded.
    let guess = usize::from(unsafe { *GUESS.get_unchecked(first) });
    if guess < BOUNDS_LEN && latency_ns > BOUNDS[guess] {
        guess + 1
    } else {
        guess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_search(latency_ns: u64) -> usize {
        BOUNDS.partition_point(|&bound| bound < latency_ns)
    }

    #[test]
    fn boundaries_are_prometheus_native() {
        for (index, &bound) in BOUNDS.iter().enumerate() {
            let exact = 1e9 * 2f64.powf(index as f64 / 8.0 - 22.0);
            assert!(
                (bound as f64 - exact).abs() <= 1.0 + exact * 1e-12,
                "{index}: {bound} {exact}"
            );
        }
    }

    #[test]
    fn each_boundary_ends_its_bucket() {
        for (bucket, &bound) in BOUNDS.iter().enumerate() {
            assert_eq!(index(bound), bucket, "at {bound}");
            assert_eq!(index(bound + 1), bucket + 1, "above {bound}");
        }
    }

    #[test]
    fn guessing_agrees_with_searching() {
        let mut latency = 0u64;
        while latency < 1 << 37 {
            assert_eq!(index(latency), by_search(latency), "{latency} ns");
            latency += 1 + latency / 997;
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }
}
