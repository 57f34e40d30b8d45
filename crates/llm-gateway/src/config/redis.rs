//! The Redis server of the state that gateways share: `redis_url`, or `redis_host` and what belongs to
//! it.

use llm_router::SharedState;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::crypto::{CryptoProvider, ring};

use super::problem::Position;
use super::reader::{Reader, Section};

/// The address of a server, with its password, and where it is written.
pub(super) struct Address {
    url: String,
    at: Position,
}

impl Address {
    /// Reads the keys with a prefix, which is `redis_` in `router_settings`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        section: &mut Section,
        prefix: &str,
    ) -> Option<Self> {
        let mut text = |name: &str| {
            let text = reader.take_text(section, &format!("{prefix}{name}"));
            text.filter(|(text, _)| !text.is_empty())
        };
        let (url, host) = (text("url"), text("host"));
        let (username, password) = (text("username"), text("password"));
        let port = reader.take_count(section, &format!("{prefix}port"), u32::from(u16::MAX));
        let is_tls = reader.take_bool(section, &format!("{prefix}ssl"));
        let db = reader.take_count(section, &format!("{prefix}db"), u32::from(u16::MAX));
        if let Some((url, at)) = url {
            return Some(Self { url, at });
        }
        let Some((host, at)) = host else {
            if let Some((_, at)) = password {
                let message = format!(
                    "`{prefix}password` has no effect without `{prefix}host` or `{prefix}url`"
                );
                reader.warn(at, message, None);
            }
            return None;
        };
        let encode = |text: Option<(String, Position)>| {
            let text = text.map_or_else(String::new, |(text, _)| text);
            utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
        };
        let user = match (encode(username), encode(password)) {
            (user, password) if user.is_empty() && password.is_empty() => String::new(),
            (user, password) => format!("{user}:{password}@"),
        };
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        let (port, db) = (port.unwrap_or(6379), db.unwrap_or(0));
        Some(Self {
            url: format!("{}://{user}{host}:{port}/{db}", scheme(is_tls)),
            at,
        })
    }

    /// The address in the environment variables that LiteLLM reads.
    pub(super) fn of_environment(reader: &Reader<'_>, at: Position) -> Option<Self> {
        let variable = |name: &str| reader.variable(name).filter(|value| !value.is_empty());
        if let Some(url) = variable("REDIS_URL") {
            return Some(Self { url, at });
        }
        let host = variable("REDIS_HOST")?;
        let port = variable("REDIS_PORT").unwrap_or_else(|| "6379".to_owned());
        let password = variable("REDIS_PASSWORD").map(|password| {
            let password = utf8_percent_encode(&password, NON_ALPHANUMERIC);
            format!(":{password}@")
        });
        let is_tls = variable("REDIS_SSL").map(|value| value.eq_ignore_ascii_case("true"));
        let password = password.unwrap_or_default();
        Some(Self {
            url: format!("{}://{password}{host}:{port}/0", scheme(is_tls)),
            at,
        })
    }

    /// The state in this server. The first call connects.
    pub(super) fn state(&self, reader: &mut Reader<'_>) -> Option<SharedState> {
        if self.url.starts_with(TLS) {
            set_cryptography();
        }
        match SharedState::redis(&self.url) {
            Ok(state) => Some(state),
            Err(error) => {
                reader.error(self.at, error.to_string());
                None
            }
        }
    }
}

fn scheme(is_tls: Option<bool>) -> &'static str {
    match is_tls {
        Some(true) => TLS,
        _ => "redis",
    }
}

/// The client of Redis uses the cryptography of the process, which has none unless a program sets it.
fn set_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, which does the same.
        let _ = ring::default_provider().install_default();
    }
}

/// The scheme of TLS.
const TLS: &str = "rediss";
