//! Runs both simulated upstreams until Ctrl-C: `cargo run -p llm-sim --example serve [PORT PORT]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use llm_sim::{Sim, SimOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse());
    let options = SimOptions::lifelike()
        .with_together_port(ports.next().transpose()?.unwrap_or(0))
        .with_replicate_port(ports.next().transpose()?.unwrap_or(0));

    let sim = Sim::start(options).await?;
    println!("Together:  {}/v1", sim.together_url());
    println!("Replicate: {}/v1", sim.replicate_url());
    println!(
        "\ncurl {}/v1/models -H 'Authorization: Bearer any'",
        sim.together_url()
    );

    tokio::signal::ctrl_c().await?;
    sim.shutdown().await;
    Ok(())
}
