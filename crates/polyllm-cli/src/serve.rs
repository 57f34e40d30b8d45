//! `polyllm serve`: the gateway.

mod banner;

use std::io;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context, Result};
use llm_gateway::{Config, Gateway, GatewayOptions, Tls, TlsFiles, VirtualKeys};
use llm_provider::Registry;
use llm_sim::{Sim, SimOptions};
use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

use self::banner::Banner;
use crate::log::{self, LogFormat};
use crate::otel::{self, Telemetry};
use crate::output::{Colour, note, print};
use crate::reload::{Reload, Started};
use crate::{args, check, database, signal};

/// Runs a gateway until a signal stops it.
pub(crate) async fn run(args: args::Serve, verbosity: u8) -> Result<ExitCode> {
    let registry = polyllm::registry();
    let (config, sim) = match &args.config {
        None => simulated(&registry).await?,
        Some(path) => match Config::load(path, &registry) {
            Ok(config) => (config, None),
            Err(error) => return check::report(&error),
        },
    };
    let telemetry = otel::start(config.otel)?;
    start_log(&args, &config, verbosity, telemetry.as_ref());
    for warning in &config.warnings {
        note("config", Colour::Yellow, warning);
    }
    let is_locked = config.master_key.is_some();
    // The first model in the file usually supports chats.
    let first = config.deployments.first();
    let first_model = first.map_or_else(|| "MODEL".to_owned(), |first| first.group.clone());
    let tls_files = match (&args.ssl_certfile_path, &args.ssl_keyfile_path) {
        (Some(certificate), Some(key)) => Some(TlsFiles::new(certificate, key)),
        _ => config.tls.clone(),
    };
    let tls = tls_files.map(Tls::load).transpose()?;
    let keys = database::open(&config, args.config.as_deref()).await?;
    let options = options(&args, &config, keys.as_ref()).await?;
    let mut options = options.with_simulated(sim.is_some());
    if let Some(tls) = &tls {
        options = options.with_tls(tls.clone());
    }
    let started = Started::of(&config);
    let gateway = Gateway::new(config, options);

    let listener = listen(&args.host, args.port).await?;
    let address = listener.local_addr()?;
    let stop = signal::stop_server();
    let banner = Banner {
        models: gateway.models().join(", "),
        first_model,
        scheme: if tls.is_some() { "https" } else { "http" },
        address,
        is_simulated: sim.is_some(),
        is_locked,
        has_ui: !args.no_ui,
    };
    // Clients may signal as soon as they read the banner.
    let reload = Reload {
        gateway: gateway.clone(),
        file: args.config.clone(),
        locked: is_locked,
        started,
        tls,
    }
    .run();
    announce(&banner, &args)?;
    tokio::select! {
        served = gateway.serve(listener, stop) => served?,
        () = reload => {}
    }
    if let Some(keys) = keys {
        keys.store().close().await;
    }
    if let Some(sim) = sim {
        sim.shutdown().await;
    }
    if let Some(telemetry) = telemetry {
        telemetry.shutdown().await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((host, port)).await;
    let hint = match listener.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
            "set another port with --port"
        }
        _ => "set an address of this machine with --host",
    };
    listener.with_context(|| match host.contains(':') {
        true => format!("cannot listen on [{host}]:{port} ({hint})"),
        false => format!("cannot listen on {host}:{port} ({hint})"),
    })
}

/// The configuration of a gateway with simulated upstreams.
async fn simulated(registry: &Registry) -> Result<(Config, Option<Sim>)> {
    let sim = Sim::start(SimOptions::lifelike())
        .await
        .context("cannot start the simulated upstreams")?;
    let environment = |name: &str| match name {
        "SIMULATED_TOGETHER" => Some(sim.together_url().to_owned()),
        "SIMULATED_REPLICATE" => Some(sim.replicate_url().to_owned()),
        _ => None,
    };
    let config = Config::parse(include_str!("demo.yaml"), registry, &environment)?;
    Ok((config, Some(sim)))
}

fn start_log(args: &args::Serve, config: &Config, verbosity: u8, telemetry: Option<&Telemetry>) {
    let configured = match config.json_logs {
        true => LogFormat::Json,
        false => LogFormat::Text,
    };
    let format = args.log_format.unwrap_or(configured);
    let mut filter = log::filter(verbosity);
    if args.log_prompts {
        filter = filter.with_target(log::PROMPTS, LevelFilter::INFO);
    }
    let spans = telemetry.and_then(Telemetry::spans);
    log::start_with(filter, verbosity, format, spans);
}

/// The options of the gateway, with its database.
async fn options(
    args: &args::Serve,
    config: &Config,
    keys: Option<&VirtualKeys>,
) -> Result<GatewayOptions> {
    let mut options = GatewayOptions::new()
        .with_dashboard(!args.no_ui)
        .with_log_prompts(args.log_prompts);
    if let Some(time_to_live) = args.store_responses.or(config.store_responses) {
        let stored = database::stored_responses(keys, time_to_live).await?;
        options = options.with_stored_responses(stored);
    }
    if let Some(keys) = keys {
        options = options.with_virtual_keys(keys.clone());
    }
    Ok(options)
}

/// Prints where the gateway serves, and warns of what is open.
fn announce(banner: &Banner, args: &args::Serve) -> Result<()> {
    let (scheme, address) = (banner.scheme, banner.address);
    if args.json {
        let url = format!("{scheme}://{address}");
        print(format_args!(
            "{}\n",
            json!({ "url": url, "pid": std::process::id() })
        ))?;
    } else {
        print(banner)?;
    }
    if !banner.is_locked {
        note("warning", Colour::Yellow, open_warning(address.ip()));
    }
    if args.log_prompts {
        let text = "--log-prompts: the log contains the prompts of all clients";
        note("warning", Colour::Yellow, text);
    }
    Ok(())
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
