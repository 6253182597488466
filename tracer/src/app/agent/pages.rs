//! The page of metrics in each form, made once a reading however many ask for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::state::State;
use crate::sink::prometheus::{Form, to_bytes};

/// The pages of one reading.
#[derive(Default)]
pub(super) struct Pages(Mutex<Made>);

#[derive(Default)]
struct Made {
    generation: u64,
    pages: [Option<Bytes>; Form::ALL.len()],
}

impl Pages {
    /// The page, of the last reading. Whoever asks while it is made waits for the same one.
    pub(super) async fn get(&self, state: &Arc<State>, form: Form) -> Option<Bytes> {
        let mut made = self.0.lock().await;
        made.forget_before(state.generation());
        let place = &mut made.pages[form as usize];
        if place.is_none() {
            let state = Arc::clone(state);
            let page = spawn_blocking(move || to_bytes(&state.page(), form)).await;
            *place = Some(Bytes::from(page.ok()?));
        }
        place.clone()
    }

    /// Gives back the room of pages that nobody will ask for any more.
    pub(super) fn tidy(&self, state: &State) {
        if let Ok(mut made) = self.0.try_lock() {
            made.forget_before(state.generation());
        }
    }
}

impl Made {
    fn forget_before(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.pages = Default::default();
        }
    }
}
