//! The signals that ask a process to stop.

use std::future::Future;

/// The exit status of a command that was stopped by a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Ends when a command is asked to stop: by Ctrl-C, by SIGTERM from a service manager, or by
/// SIGHUP when its terminal is closed.
///
/// A command that was started with SIGHUP ignored, as `nohup` does, goes on after a SIGHUP.
pub(crate) fn stop() -> impl Future<Output = ()> {
    let mut signals = Signals::watch(if hangup_is_ignored() {
        &[Signal::Interrupt, Signal::Terminate]
    } else {
        &[Signal::Interrupt, Signal::Terminate, Signal::Hangup]
    });
    async move {
        signals.next().await;
    }
}

/// Ends when a server is asked to stop: by Ctrl-C or SIGTERM. SIGHUP is left to others: watch it
/// with [`Signals`].
pub(crate) fn stop_server() -> impl Future<Output = ()> {
    let mut signals = Signals::watch(&[Signal::Interrupt, Signal::Terminate]);
    async move {
        signals.next().await;
    }
}

/// A signal that a process can react to. Outside Unix there is only `Interrupt`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    Hangup,
    Interrupt,
    Terminate,
}

/// Signals that are watched from the creation on, not from the first [`next`](Self::next): a
/// process that prints that it runs has to be ready to be stopped before.
pub(crate) struct Signals {
    #[cfg(unix)]
    watched: Vec<(Signal, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl Signals {
    /// Where a signal cannot be watched, it keeps its usual effect.
    pub(crate) fn watch(signals: &[Signal]) -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let watched = signals.iter().filter_map(|&kind| {
            let number = match kind {
                Signal::Hangup => SignalKind::hangup(),
                Signal::Interrupt => SignalKind::interrupt(),
                Signal::Terminate => SignalKind::terminate(),
            };
            Some((kind, signal(number).ok()?))
        });
        Self {
            watched: watched.collect(),
        }
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.watched {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*kind);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn watch(_: &[Signal]) -> Self {
        Self {}
    }

    pub(crate) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Whether the process was started with SIGHUP ignored. Known on Linux only: elsewhere the
/// question takes unsafe code.
fn hangup_is_ignored() -> bool {
    cfg!(target_os = "linux")
        && std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| ignores_hangup(&status).unwrap_or(false))
}

/// SIGHUP is signal 1, the lowest bit of the mask of ignored signals.
fn ignores_hangup(status: &str) -> Option<bool> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u128::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_read_from_the_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert_eq!(ignores_hangup(&status("0000000000001001")), Some(true));
        assert_eq!(ignores_hangup(&status("0000000000001000")), Some(false));
        assert_eq!(ignores_hangup("Name:\tx\n"), None);
    }
}
