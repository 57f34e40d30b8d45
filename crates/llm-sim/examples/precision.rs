//! How well a simulation keeps its times with many streams at once, by its own clock:
//! `cargo run --release -p llm-sim --example precision [STREAMS [TOKENS]]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::{Duration, Instant};

use llm_sim::{Memory, Sim, SimOptions, SimReply, Times, Timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse());
    let streams = numbers.next().transpose()?.unwrap_or(256);
    let tokens = numbers.next().transpose()?.unwrap_or(100);

    for (name, precise) in [("tokio's timers", false), ("precise", true)] {
        let timing = Timing::default()
            .with_first_token(Duration::from_millis(200))
            .with_token(Duration::from_millis(20))
            .with_precise(precise);
        let options = SimOptions::default()
            .with_timing(timing)
            .with_reply(SimReply::tokens(vec![" word"; tokens]))
            .with_memory(Memory::default().with_requests(streams));
        let sim = Sim::start(options).await?;
        let began = Instant::now();
        drain(&sim, streams).await?;
        let took = began.elapsed();
        println!("{name}: {streams} streams of {tokens} tokens in {took:.2?}");
        report(sim.together().requests().iter().map(|seen| seen.times()));
        sim.shutdown().await;
    }
    Ok(())
}

/// Reads this many streams to their ends. They start over 20 ms, so that their events do not
/// coincide.
async fn drain(sim: &Sim, streams: usize) -> Result<(), Box<dyn std::error::Error>> {
    let address = sim.together_url().trim_start_matches("http://").to_owned();
    let body = r#"{"model": "acme/llama", "stream": true, "messages": [{"role": "user", "content": "hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer any\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut reading = JoinSet::new();
    for number in 0..streams {
        let (address, request) = (address.clone(), request.clone());
        let pause = Duration::from_micros(20_000 * number as u64 / streams as u64);
        reading.spawn(async move {
            tokio::time::sleep(pause).await;
            let mut socket = TcpStream::connect(address).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut buffer = vec![0; 16 << 10];
            while socket.read(&mut buffer).await? > 0 {}
            Ok::<_, std::io::Error>(())
        });
    }
    while let Some(read) = reading.join_next().await {
        read??;
    }
    Ok(())
}

fn report(times: impl Iterator<Item = Times>) {
    let (mut first, mut between, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for times in times {
        first.extend(times.first_token());
        late.extend(times.tokens().map(|write| write.at - write.due));
        let at: Vec<_> = times.tokens().map(|write| write.at).collect();
        between.extend(at.windows(2).map(|pair| pair[1] - pair[0]));
    }
    for (name, mut durations) in [
        ("first token", first),
        ("between tokens", between),
        ("lateness", late),
    ] {
        durations.sort();
        let percentile = |percent: usize| {
            let at = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
            durations.get(at).copied().unwrap_or_default()
        };
        println!(
            "  {name:14}  p1 {:>9.1?}  p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
            percentile(1),
            percentile(50),
            percentile(99),
            percentile(100),
        );
    }
}
