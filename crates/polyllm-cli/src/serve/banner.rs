//! [`Banner`]: what the command prints when the gateway serves.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use serde_json::json;

/// What people read when the gateway serves.
pub(super) struct Banner {
    pub(super) models: String,
    /// The model of the example.
    pub(super) first_model: String,
    pub(super) scheme: &'static str,
    pub(super) address: SocketAddr,
    pub(super) is_simulated: bool,
    /// Whether clients need a key.
    pub(super) is_locked: bool,
    pub(super) has_ui: bool,
}

impl Display for Banner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            models,
            scheme,
            address,
            ..
        } = self;
        let version = env!("CARGO_PKG_VERSION");
        let reach = client_address(*address);
        writeln!(
            f,
            "polyllm {version} serves {scheme}://{address}/v1 (OpenAI-compatible)"
        )?;
        if self.is_simulated {
            let text = "every reply is simulated. For real ones, use --config config.yaml.";
            writeln!(f, "SIMULATED upstreams: {text}")?;
        }
        writeln!(f, "\nModels: {models}")?;
        if self.has_ui {
            writeln!(f, "Dashboard: {scheme}://{reach}/ui")?;
        }
        // The key itself must not be shown.
        let key = match self.is_locked {
            true => " -H \"Authorization: Bearer $MASTER_KEY\"",
            false => "",
        };
        let body = json!({
            "model": self.first_model,
            "messages": [{ "role": "user", "content": "Write me a poem about the blue sky" }],
            "stream": true,
        });
        let body = body.to_string().replace('\'', "'\\''");
        writeln!(
            f,
            "\nTry:\n  curl -N {scheme}://{reach}/v1/chat/completions{key} \
             -H 'Content-Type: application/json' -d '{body}'\n\nPress Ctrl-C to stop."
        )
    }
}

/// An address that a client on this machine can use, which 0.0.0.0 is not.
fn client_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
