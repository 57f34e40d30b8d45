//! Decoding, compared with lower bounds: copying the bytes, and finding the line feeds.

#![allow(missing_docs, reason = "made by a macro")]

mod cases;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sse_codec::Decoder;

fn decode(criterion: &mut Criterion) {
    for case in cases::all() {
        let mut group = criterion.benchmark_group(format!("{}: {}", case.key, case.name));
        group
            .throughput(Throughput::ElementsAndBytes {
                elements: case.events as u64,
                bytes: case.input.len() as u64,
            })
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600));

        let reads: Vec<_> = case
            .reads
            .iter()
            .map(|read| &case.input[read.clone()])
            .collect();
        let mut copy = vec![0; case.input.len()];
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| {
                let mut at = 0;
                for read in &reads {
                    copy[at..at + read.len()].copy_from_slice(read);
                    at += read.len();
                }
                black_box(&mut copy);
            });
        });
        group.bench_function("line feeds", |bencher| {
            bencher.iter(|| {
                for read in &reads {
                    for at in memchr::memchr_iter(b'\n', read) {
                        black_box(at);
                    }
                }
            });
        });
        group.bench_function("events, data as bytes", |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new();
                for read in &reads {
                    let _ = decoder.feed(read, |event| {
                        black_box((event.name(), event.data(), event.id()));
                    });
                }
            });
        });
        group.bench_function("events, data as text", |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new();
                for read in &reads {
                    let _ = decoder.feed(read, |event| {
                        black_box((event.name(), &*event.text(), event.id()));
                    });
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
