//! Where readings come from: the running kernel, or a file.

pub mod configured;
pub mod error;
pub mod heap;
pub mod live;
pub mod mirror;
pub mod names;
mod netns;
pub mod probe;
pub mod replay;
pub mod settings;
mod spent;

pub use error::Error;
pub use settings::Settings;

use std::sync::Arc;

use crate::model::Reading;

/// Gives readings, each with all that is known up to its moment.
pub trait Source {
    /// What is known now.
    ///
    /// # Errors
    /// When the source can't be read any more.
    fn read(&mut self) -> Result<Arc<Reading>, Error>;

    /// From now on only this share of new packets is followed, chosen by what they are; the others
    /// cost as little as can be. A source that has them all already gives them all.
    ///
    /// # Errors
    /// When the source can't be told.
    fn follow(&mut self, share: f64) -> Result<(), Error> {
        let _ = share;
        Ok(())
    }

    /// Whether it has hops that it can leave out while the others go on: the finer ones.
    fn has_finer(&self) -> bool {
        false
    }

    /// Leaves the finer hops out from now on, or watches them again.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn watch_finer(&mut self, watched: bool) -> Result<(), Error> {
        let _ = watched;
        Ok(())
    }

    /// Stops taking new packets, lets those on their way end, and takes the last reading.
    ///
    /// # Errors
    /// When the source can't be read any more.
    fn finish(self: Box<Self>) -> Result<Reading, Error>;
}
