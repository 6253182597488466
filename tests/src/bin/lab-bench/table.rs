//! Figures: quantiles, limits, rows.

/// A quantile of values, if there are any.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(values[(q * last as f64).round() as usize])
}

/// The 95 % upper limit of a Poisson mean when `count` were seen (by bisection of the sum).
pub(crate) fn poisson_upper(count: u64) -> f64 {
    let below = |mean: f64| {
        let mut term = (-mean).exp();
        let mut sum = term;
        for k in 1..=count {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (count as f64, 3.0 * count as f64 + 10.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_seen_leaves_room_for_three() {
        assert!((poisson_upper(0) - 2.996).abs() < 0.01);
        assert!((poisson_upper(5) - 10.51).abs() < 0.05);
    }
}
