//! `polyllm serve` reads its configuration again when the file has changed, and at SIGHUP.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use llm_gateway::{Config, DatabaseUrl, Gateway, Tls};

use crate::check;
use crate::output::{Colour, note};
use crate::signal::{Signal, Signals};
use tokio::time::{MissedTickBehavior, interval};

/// What is reloaded.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) gateway: Gateway,
    /// The configuration file; `None` if the gateway serves the simulation.
    pub(crate) file: Option<PathBuf>,
    /// Whether the configuration in force has a master key.
    pub(crate) locked: bool,
    pub(crate) started: Started,
    /// The certificate of the server.
    pub(crate) tls: Option<Tls>,
}

/// The settings that a reload does not change, as they were when the gateway started.
#[derive(Debug)]
pub(crate) struct Started {
    database_url: Option<DatabaseUrl>,
    store_responses: Option<Duration>,
}

impl Started {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            database_url: config.database_url.clone(),
            store_responses: config.store_responses,
        }
    }

    /// Warns of settings that have changed.
    fn check(&self, config: &Config) {
        let is_changed = [
            ("database_url", config.database_url != self.database_url),
            (
                "store_responses",
                config.store_responses != self.store_responses,
            ),
        ];
        for (name, _) in is_changed.iter().filter(|(_, is_changed)| *is_changed) {
            let text =
                format!("general_settings.{name} has changed: it takes effect after a restart");
            note("warning", Colour::Yellow, text);
        }
    }
}

impl Reload {
    /// Reloads at every SIGHUP and after every change of the file, without end.
    ///
    /// Signal and file are watched from this call on, not from the first poll: from then on the
    /// signal does not end the process.
    pub(crate) fn run(mut self) -> impl Future<Output = ()> {
        let mut hangups = Signals::watch(&[Signal::Hangup]);
        let mut watch = Watch::new(self.file.clone());
        let files = self.tls.as_ref().map(Tls::files);
        let mut certificate = Watch::new(files.map(|files| files.certificate.clone()));
        let mut key = Watch::new(files.map(|files| files.key.clone()));
        async move {
            loop {
                tokio::select! {
                    signal = hangups.next() => {
                        if signal != Signal::Hangup {
                            continue;
                        }
                        for watch in [&mut watch, &mut certificate, &mut key] {
                            watch.skip().await;
                        }
                        self.reload().await;
                        self.reload_tls().await;
                    }
                    () = watch.changed() => self.reload().await,
                    () = certificate.changed() => self.reload_tls().await,
                    () = key.changed() => self.reload_tls().await,
                }
            }
        }
    }

    /// Reads the certificate and its key again.
    async fn reload_tls(&self) {
        let Some(tls) = self.tls.clone() else { return };
        let file = tls.files().certificate.display().to_string();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => {
                let text = format_args!("the certificate {file} is in force");
                note("reload", Colour::Green, text);
            }
            Ok(Err(error)) => {
                let text = format_args!("{error}; the old certificate stays in force");
                note("reload", Colour::Red, text);
            }
            Err(error) => note("error", Colour::Red, error),
        }
    }

    async fn reload(&mut self) {
        let Some(file) = &self.file else {
            let text = "SIGHUP ignored: without --config there is nothing to read again";
            return note("reload", Colour::Yellow, text);
        };
        match self.load(file).await {
            Some(config) => {
                self.locked = config.master_key.is_some();
                self.gateway.reload(config);
                let models = self.gateway.models().join(", ");
                let text = format_args!("{} is in force; models: {models}", file.display());
                note("reload", Colour::Green, text);
            }
            None => {
                let text = format_args!(
                    "{} was not reloaded; the old configuration stays in force",
                    file.display()
                );
                note("reload", Colour::Red, text);
            }
        }
    }

    /// The configuration in the file; every problem is reported.
    async fn load(&self, file: &Path) -> Option<Config> {
        let path = file.to_owned();
        // Reading files may block, and so may making providers.
        let load = move || Config::load(&path, &polyllm::registry());
        let config = match tokio::task::spawn_blocking(load).await {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => {
                check::report(&error).ok();
                return None;
            }
            Err(error) => {
                note("error", Colour::Red, error);
                return None;
            }
        };
        for warning in &config.warnings {
            note("config", Colour::Yellow, warning);
        }
        if self.locked && config.master_key.is_none() {
            let text = "general_settings.master_key is gone, and a reload does not open a gateway \
                        to everybody; restart it to serve without a key";
            note("error", Colour::Red, text);
            return None;
        }
        self.started.check(&config);
        let files = self.tls.as_ref().map(Tls::files);
        if config.tls.is_some() && config.tls.as_ref() != files {
            let text = "general_settings.ssl_certfile or ssl_keyfile has changed; the new files \
                        are used after a restart";
            note("warning", Colour::Yellow, text);
        }
        Some(config)
    }
}

/// Watches a file by its time, size and number: this works for every file system, for files that are
/// replaced, and for links.
#[derive(Debug)]
struct Watch {
    file: Option<PathBuf>,
    /// The state of the file that was read last.
    read: Option<Stamp>,
    /// The state at the last look.
    seen: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Watch {
    fn new(file: Option<PathBuf>) -> Self {
        let read = file.as_deref().and_then(Stamp::of);
        let seen = read;
        Self { file, read, seen }
    }

    /// Waits until the file is another one than was read last. A file that is being written is left
    /// alone until it stays the same, and one that is missing until it is there.
    async fn changed(&mut self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let now = self.look().await;
            let is_stable = now == self.seen;
            self.seen = now;
            if is_stable && now.is_some() && now != self.read {
                self.read = now;
                return;
            }
        }
    }

    /// Takes the file as read.
    async fn skip(&mut self) {
        self.seen = self.look().await;
        self.read = self.seen;
    }

    async fn look(&self) -> Option<Stamp> {
        let file = self.file.clone()?;
        // A file system of the network may block.
        let look = tokio::task::spawn_blocking(move || Stamp::of(&file));
        look.await.unwrap_or_default()
    }
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            number,
        })
    }
}

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
