//! Watching over a connection: sends our heartbeats, counts the other end's silence.

use crate::config::Vitality;
use crate::outbox::Outbox;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::MissedTickBehavior;

/// Whether anything was received since somebody last asked.
#[derive(Default)]
pub(crate) struct Pulse(AtomicBool);

/// A stream that marks every byte received.
pub(crate) struct Heard<'a, R> {
    pub(crate) stream: R,
    pub(crate) pulse: &'a Pulse,
}

impl<R: AsyncRead + Unpin> AsyncRead for Heard<'_, R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = out.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, out);
        if out.filled().len() > before {
            self.pulse.0.store(true, Ordering::Relaxed);
        }
        polled
    }
}

/// Beats until the other end has been silent for too long; gives the reason in words.
pub(crate) async fn keep(vitality: Vitality, outbox: &Outbox, pulse: &Pulse) -> String {
    let beat = vitality.heartbeat.max(std::time::Duration::from_millis(1));
    let mut ticks = tokio::time::interval(beat);
    // A process that was stopped must not count the beats that it missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    loop {
        ticks.tick().await;
        silent = if pulse.0.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
        if silent > vitality.silent_beats {
            return format!("nothing was heard for {:?}", beat * vitality.silent_beats);
        }
        outbox.beat();
    }
}
