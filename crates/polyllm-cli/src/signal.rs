use std::future::Future;

/// Ends when the process is asked to stop: Ctrl-C, or SIGTERM from a service manager.
///
/// The signals are watched from this call on, not from the first poll: whoever tells others that
/// it runs has to be ready to be stopped before.
#[cfg(unix)]
pub(crate) fn stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};

    let interrupt = signal(SignalKind::interrupt());
    let terminate = signal(SignalKind::terminate());
    async move {
        // Where signals cannot be watched, they end the process by themselves.
        match (interrupt, terminate) {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Ends when the process is asked to stop with Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn stop() -> impl Future<Output = ()> {
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
