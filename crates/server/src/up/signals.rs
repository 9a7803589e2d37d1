//! What asks a process to stop.

use crate::failure::{Failure, Outcome};
use std::io::Read;
use std::pin::Pin;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Ends with the reason when the process should stop: SIGTERM, SIGINT, SIGHUP,
/// or, if `with_parent`, the end of standard input.
pub fn stop_asked(with_parent: bool) -> Outcome<Pin<Box<dyn Future<Output = &'static str> + Send>>> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let orphaned = with_parent.then(parent_gone);
    Ok(Box::pin(async move {
        let orphaned = async {
            match orphaned {
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
            _ = hang_up.recv() => "SIGHUP",
            () = orphaned => "its supervisor has gone",
        }
    }))
}

fn listen(kind: SignalKind) -> Outcome<Signal> {
    signal(kind).map_err(|error| Failure::io("cannot listen for signals", &error))
}

/// Ends when standard input does. The thread has no other end, which is why it is one of its own.
fn parent_gone() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().lock().read(&mut ignored), Ok(n) if n > 0) {}
        let _nobody_waits_at_exit = tell.send(());
    });
    told
}
