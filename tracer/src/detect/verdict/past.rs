//! What is known of the time before a window.

use super::evidence::Grown;

/// What is known beside the window: what grew since before, and how long before its first sign a
/// dependency's route changed.
pub trait Past {
    /// Whether there is a before at all.
    fn has_baseline(&self) -> bool;
    /// What grew of a dependency, by the key of its requests' class, or of its answers'.
    fn grown(&self, class_keys: [&str; 2]) -> Vec<Grown>;
    /// How long before the first sign its route changed, in seconds.
    fn changed_before_s(&self, class_keys: [&str; 2]) -> Option<u64>;
}

/// There is none: the command looked for itself, or nobody judged.
pub struct NoPast;

impl Past for NoPast {
    fn has_baseline(&self) -> bool {
        false
    }

    fn grown(&self, _: [&str; 2]) -> Vec<Grown> {
        Vec::new()
    }

    fn changed_before_s(&self, _: [&str; 2]) -> Option<u64> {
        None
    }
}
