//! Ctrl-C: the first ends the work early, the second ends it at once.

use std::process;
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::Failure;

/// What a shell reports of a program that SIGINT ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Waits for SIGINT and SIGTERM from now on; the receiver gets word of the first.
///
/// The signals have a thread of their own, so that the second one is heard while the source works.
pub(super) fn watch() -> Result<oneshot::Receiver<()>, Failure> {
    let failed = |cause| Failure::System {
        doing: "wait for signals".to_owned(),
        cause,
        advice: "again",
    };
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let (mut interrupts, mut terminations) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    let (first, receiver) = oneshot::channel();
    thread::spawn(move || {
        runtime.block_on(async {
            either(&mut interrupts, &mut terminations).await;
            // The run may be over by now, so that nobody listens.
            let _ = first.send(());
            either(&mut interrupts, &mut terminations).await;
            process::exit(INTERRUPTED);
        });
    });
    Ok(receiver)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
