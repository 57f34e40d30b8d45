//! Signals that stop a process.

use std::future::Future;

/// The exit status of a command that was stopped by a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Completes at a request to stop: Ctrl-C, SIGTERM from a service manager, or SIGHUP when the
/// terminal is closed.
///
/// A command that was started with SIGHUP ignored, such as by `nohup`, continues after a SIGHUP.
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

/// Completes when a server is requested to stop, by Ctrl-C or SIGTERM. SIGHUP is not included; watch
/// it with [`Signals`].
pub(crate) fn stop_server() -> impl Future<Output = ()> {
    let mut signals = Signals::watch(&[Signal::Interrupt, Signal::Terminate]);
    async move {
        signals.next().await;
    }
}

/// A signal. Outside Unix, only `Interrupt` occurs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    Hangup,
    Interrupt,
    Terminate,
}

/// Watches signals from its creation on, not from the first [`next`](Self::next): a process must be
/// ready to be stopped before it prints that it runs.
pub(crate) struct Signals {
    #[cfg(unix)]
    watched: Vec<(Signal, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl Signals {
    /// A signal that cannot be watched keeps its default effect.
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

    /// Waits for the next signal.
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

/// Whether the process was started with SIGHUP ignored. Always false outside Linux, where it would
/// need unsafe code.
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
