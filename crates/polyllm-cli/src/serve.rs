use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context, Result};
use llm_gateway::{Config, Gateway, GatewayOptions, Tls, TlsFiles};
use llm_sim::{Sim, SimOptions};
use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

use crate::log::{self, LogFormat};
use crate::otel::{self, Telemetry};
use crate::output::{self, Colour, note, print};
use crate::reload::{Reload, Started};
use crate::{args, check, database, signal};

pub(crate) async fn run(args: args::Serve, verbosity: u8) -> Result<ExitCode> {
    let registry = polyllm::registry();
    let start_log = |json: bool, telemetry: Option<&Telemetry>| {
        let configured = if json {
            LogFormat::Json
        } else {
            LogFormat::Text
        };
        let spans = telemetry.and_then(Telemetry::spans);
        let format = args.log_format.unwrap_or(configured);
        let mut filter = log::filter(verbosity, output::log_filter().as_deref());
        if args.log_prompts {
            filter = filter.with_target(log::PROMPTS, LevelFilter::INFO);
        }
        output::log_with(filter, verbosity, format, spans);
    };
    let (config, sim, telemetry) = match &args.config {
        Some(path) => match Config::load(path, &registry) {
            Ok(config) => {
                let telemetry = otel::start(config.otel)?;
                start_log(config.json_logs, telemetry.as_ref());
                (config, None, telemetry)
            }
            Err(error) => return check::report(&error),
        },
        None => {
            let telemetry = otel::start(false)?;
            start_log(false, telemetry.as_ref());
            let sim = simulation().await?;
            let environment = |name: &str| match name {
                "SIMULATED_TOGETHER" => Some(sim.together_url().to_owned()),
                "SIMULATED_REPLICATE" => Some(sim.replicate_url().to_owned()),
                _ => None,
            };
            let config = Config::parse(include_str!("demo.yaml"), &registry, &environment)?;
            (config, Some(sim), telemetry)
        }
    };
    for warning in &config.warnings {
        note("config", Colour::Yellow, warning);
    }
    let locked = config.master_key.is_some();
    // The first model in the file usually supports chats.
    let first = config.deployments.first();
    let model = first.map_or_else(|| "MODEL".to_owned(), |first| first.group.clone());
    let mut options = GatewayOptions::new()
        .with_simulated(sim.is_some())
        .with_dashboard(!args.no_ui)
        .with_log_prompts(args.log_prompts);
    let keys = database::open(&config, args.config.as_deref()).await?;
    if let Some(time_to_live) = args.store_responses.or(config.store_responses) {
        let stored = database::stored_responses(keys.as_ref(), time_to_live).await?;
        options = options.with_stored_responses(stored);
    }
    if let Some(keys) = keys {
        options = options.with_virtual_keys(keys);
    }
    let tls_files = match (&args.ssl_certfile_path, &args.ssl_keyfile_path) {
        (Some(certificate), Some(key)) => Some(TlsFiles::new(certificate, key)),
        _ => config.tls.clone(),
    };
    let tls = tls_files.map(Tls::load).transpose()?;
    if let Some(tls) = &tls {
        options = options.with_tls(tls.clone());
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let started = Started::of(&config);
    let gateway = Gateway::new(config, options);

    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (set another port with --port)"))?;
    let address = listener.local_addr()?;
    let stop = signal::stop_server();
    let reload = Reload {
        gateway: gateway.clone(),
        file: args.config,
        locked,
        started,
        tls,
    };
    let reload = reload.run();
    if args.json {
        print(format_args!(
            "{}\n",
            json!({ "url": format!("{scheme}://{address}"), "pid": std::process::id() })
        ))?;
    } else {
        let banner = Banner {
            models: gateway.models().join(", "),
            first_model: model,
            scheme,
            address,
            is_simulated: sim.is_some(),
            is_locked: locked,
            has_ui: !args.no_ui,
        };
        print(banner)?;
    }
    if !locked {
        let text = open_warning(address.ip());
        note("warning", Colour::Yellow, text);
    }
    if args.log_prompts {
        let text = "--log-prompts: the log contains the prompts of all clients";
        note("warning", Colour::Yellow, text);
    }
    tokio::select! {
        served = gateway.serve(listener, stop) => served?,
        () = reload => {}
    }
    if let Some(sim) = sim {
        sim.shutdown().await;
    }
    if let Some(telemetry) = telemetry {
        telemetry.shutdown().await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn simulation() -> Result<Sim> {
    Sim::start(SimOptions::lifelike())
        .await
        .context("cannot start the simulated upstreams")
}

/// Warns who can use a gateway without a master key.
fn open_warning(host: IpAddr) -> &'static str {
    if host.to_canonical().is_loopback() {
        "general_settings.master_key is not set: every user and program of this machine can use \
         the gateway (web pages of other sites cannot)"
    } else {
        "general_settings.master_key is not set: everyone who can reach this machine can use the \
         gateway"
    }
}

/// What people read when the gateway serves.
struct Banner {
    models: String,
    /// The model of the example.
    first_model: String,
    scheme: &'static str,
    address: SocketAddr,
    is_simulated: bool,
    /// Whether clients need a key.
    is_locked: bool,
    has_ui: bool,
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
