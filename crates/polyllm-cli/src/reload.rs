//! SIGHUP: `polyllm serve` reads its configuration again.

use std::future::Future;
use std::path::{Path, PathBuf};

use llm_gateway::{Config, Gateway};

use crate::check;
use crate::output::{Colour, note};
use crate::signal::{Signal, Signals};

/// What a SIGHUP reloads.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) gateway: Gateway,
    /// The configuration file; `None` if the gateway serves the simulation.
    pub(crate) file: Option<PathBuf>,
    /// Whether the configuration in force has a master key.
    pub(crate) locked: bool,
}

impl Reload {
    /// Reloads at every SIGHUP, without end.
    ///
    /// The signal is watched from this call on, not from the first poll: from then on it does not
    /// end the process.
    pub(crate) fn on_hangup(mut self) -> impl Future<Output = ()> {
        let mut hangups = Signals::watch(&[Signal::Hangup]);
        async move {
            loop {
                if hangups.next().await == Signal::Hangup {
                    self.reload().await;
                }
            }
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
        Some(config)
    }
}
