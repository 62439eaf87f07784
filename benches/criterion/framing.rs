//! The same cases and contenders as `measure`, with criterion's statistics for each by itself.
//!
//! `cargo bench -p unstick-bench -- decode/64B/chunk-64KiB/unstick-u32be`; the names are stable.
//! For ratios of two contenders use `measure`, which lets them alternate.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unstick_bench::case::{CHUNKS, Chunk, Frames, PAYLOADS, bytes_name, cold_payloads};
use unstick_bench::decode::{self, Counted, Scope, Timed};
use unstick_bench::{encode, scaling, tcp};

fn decoding(criterion: &mut Criterion) {
    for payload in PAYLOADS {
        let frames = Frames::hot(payload);
        for chunk in CHUNKS {
            let case = format!("decode/{}/{}", payload.name(), chunk.name());
            decode_case(criterion, &case, &frames, chunk, |_| true);
        }
    }
    for &payload in cold_payloads() {
        // Made one after the other: each stream has 64 MiB.
        let frames = Frames::cold(payload);
        let chunk = Chunk(64 * 1024);
        let case = format!("decode-cold/{}/{}", payload.name(), chunk.name());
        decode_case(criterion, &case, &frames, chunk, |scope| scope != Scope::Formats);
    }
}

fn decode_case(
    criterion: &mut Criterion,
    case: &str,
    frames: &Frames,
    chunk: Chunk,
    wanted: impl Fn(Scope) -> bool,
) {
    let mut group = criterion.benchmark_group(case);
    group.throughput(Throughput::Elements(frames.count() as u64));
    for contender in
        decode::contenders().filter(|who| who.takes(frames, chunk) && wanted(who.scope))
    {
        // Started inside, so that a filtered run makes only the streams that it needs.
        group.bench_function(contender.name, |bencher| {
            let mut pass = contender.start(frames, chunk, &Counted::expected(frames));
            bencher.iter(|| pass(&mut Timed));
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    for payload in PAYLOADS {
        let frames = Frames::hot(payload);
        for target in encode::TARGETS {
            let mut group =
                criterion.benchmark_group(format!("encode/{}/{}", payload.name(), target.name()));
            group.throughput(Throughput::Elements(frames.count() as u64));
            for contender in encode::CONTENDERS.iter().filter(|who| who.target == target) {
                group.bench_function(contender.name, |bencher| {
                    bencher.iter(contender.start(&frames));
                });
            }
            group.finish();
        }
    }
}

fn connections(criterion: &mut Criterion) {
    let count = |iterations| usize::try_from(iterations).unwrap();
    for len in tcp::SIZES {
        let mut group = criterion.benchmark_group(format!("tcp-oneway/{}", bytes_name(len)));
        for who in tcp::OneWay::ALL {
            group.bench_function(who.name(), |bencher| {
                bencher.iter_custom(|iterations| who.run(&[len], count(iterations)).wall);
            });
        }
        group.finish();
    }
    for window in tcp::WINDOWS {
        let mut group = criterion.benchmark_group(format!("tcp-request/window-{window}"));
        for who in tcp::Request::ALL {
            group.bench_function(who.name(), |bencher| {
                bencher.iter_custom(|iterations| who.run(window, count(iterations)).wall);
            });
        }
        group.finish();
    }
}

fn growth(criterion: &mut Criterion) {
    for (curve, contenders) in scaling::CURVES {
        for size in scaling::sizes() {
            let frames = scaling::frames(curve, size);
            let mut group = criterion.benchmark_group(scaling::case(curve, size));
            for (name, mut run) in contenders(&frames, size) {
                group.bench_function(&name, |bencher| {
                    bencher
                        .iter_custom(|iterations| run(usize::try_from(iterations).unwrap()).wall);
                });
            }
            group.finish();
        }
    }
}

/// Short: there are more than a thousand cases.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(40))
        .without_plots()
}

criterion_group! {
    name = framing;
    config = short();
    targets = decoding, encoding, connections, growth
}
criterion_main!(framing);
