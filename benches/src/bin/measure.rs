//! Measures every case in alternating rounds, and writes `target/unstick-bench/NAME.json`.
//!
//! `measure [--quick] [--save NAME] [PART]...`: with parts, only cases that have one of them in
//! their names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Instant;

use unstick_bench::case::{CHUNKS, Chunk, Frames, PAYLOADS, Payload, bytes_name, cold_payloads};
use unstick_bench::decode::{self, Counted, Timed};
use unstick_bench::results::Results;
use unstick_bench::rounds::{Contender, Plan, Turn, measure, passes};
use unstick_bench::{encode, framed, many, scaling, tcp, udp};

fn main() {
    let (mut plan, mut name) = (Plan::ordinary(), "measure".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => plan = Plan { only: plan.only, ..Plan::quick() },
            "--save" => name = arguments.next().expect("--save needs a name"),
            part if !part.starts_with('-') => plan.only.push(part.to_owned()),
            other => panic!("unknown option {other}"),
        }
    }
    many::raise_open_files(6 * many::CONNECTIONS);
    let (start, mut results) = (Instant::now(), Results::new(plan.quick));
    decoding(&mut results, &plan);
    cold_decoding(&mut results, &plan);
    encoding(&mut results, &plan);
    codecs(&mut results, &plan);
    connections(&mut results, &plan);
    datagrams(&mut results, &plan);
    growth(&mut results, &plan);
    results.seconds = start.elapsed().as_secs();
    println!("measured in {} s", results.seconds);
    results.save(&name, !plan.only.is_empty());
}

fn decoding(results: &mut Results, plan: &Plan) {
    for payload in PAYLOADS {
        let frames = Frames::hot(payload);
        for chunk in CHUNKS {
            let case = format!("decode/{}/{}", payload.name(), chunk.name());
            decode_case(results, plan, &case, &frames, chunk);
        }
    }
}

fn cold_decoding(results: &mut Results, plan: &Plan) {
    for &payload in cold_payloads().iter().filter(|payload| !plan.quick || payload.name() == "64B")
    {
        let chunk = Chunk(64 * 1024);
        let case = format!("decode-cold/{}/{}", payload.name(), chunk.name());
        if plan.wants(&case) {
            decode_case(results, plan, &case, &Frames::cold(payload), chunk);
        }
    }
}

fn decode_case(results: &mut Results, plan: &Plan, case: &str, frames: &Frames, chunk: Chunk) {
    if !plan.wants(case) {
        return;
    }
    let expected = Counted::expected(frames);
    let cold = case.starts_with("decode-cold");
    let contenders = decode::contenders()
        .filter(|contender| contender.takes(frames, chunk))
        .filter(|contender| !(cold && contender.scope == decode::Scope::Formats))
        .map(|contender| {
            let mut pass = contender.start(frames, chunk, &expected);
            passes(contender.name, move || pass(&mut Timed))
        })
        .collect();
    measure(results, plan, plan.turn, case, frames.count(), contenders);
}

fn encoding(results: &mut Results, plan: &Plan) {
    for payload in PAYLOADS {
        let frames = Frames::hot(payload);
        for target in encode::TARGETS {
            let case = format!("encode/{}/{}", payload.name(), target.name());
            if !plan.wants(&case) {
                continue;
            }
            let contenders = encode::CONTENDERS
                .iter()
                .filter(|contender| contender.target == target)
                .map(|contender| passes(contender.name, contender.start(&frames)))
                .collect();
            measure(results, plan, plan.turn, &case, frames.count(), contenders);
        }
    }
}

fn codecs(results: &mut Results, plan: &Plan) {
    for size in framed::SIZES {
        let frames = framed::frames(size);
        for (way, contenders) in framed::WAYS {
            let case = format!("codec/{}/{way}", bytes_name(size));
            if plan.wants(&case) {
                measure(results, plan, plan.turn, &case, frames.count(), contenders(&frames));
            }
        }
    }
}

fn connections(results: &mut Results, plan: &Plan) {
    use tcp::{OneWay, Request};

    let mut tcp_case = |case: &str, contenders: &dyn Fn() -> Vec<Contender<'static>>| {
        if plan.wants(case) {
            measure(results, plan, plan.tcp_turn, case, 1, contenders());
        }
    };
    let mix = ("mix".to_owned(), Frames::hot(Payload::Mix).lens);
    for (name, lens) in tcp::SIZES.map(|len| (bytes_name(len), vec![len])).into_iter().chain([mix])
    {
        tcp_case(&format!("tcp-oneway/{name}"), &|| {
            let lens = lens.clone();
            each(OneWay::ALL, OneWay::name, move |who, count| who.run(&lens, count))
        });
    }
    for len in tcp::TLS_SIZES {
        tcp_case(&format!("tls-oneway/{}", bytes_name(len)), &|| {
            each(OneWay::ALL, OneWay::name, move |who, count| who.run_over_tls(&[len], count))
        });
    }
    for window in tcp::WINDOWS {
        tcp_case(&format!("tcp-request/window-{window}"), &|| {
            each(Request::ALL, Request::name, move |who, count| who.run(window, count))
        });
    }
    for window in tcp::TLS_WINDOWS {
        tcp_case(&format!("tls-request/window-{window}"), &|| {
            each(Request::ALL, Request::name, move |who, count| who.run_over_tls(window, count))
        });
    }
    let case = format!("tcp-many/{}", many::CONNECTIONS);
    if plan.wants(&case) {
        let contenders = many::Echo::ALL.map(many::Echo::contender).into();
        measure(results, plan, plan.tcp_turn, &case, many::CONNECTIONS, contenders);
    }
}

/// A contender for each of these ways.
fn each<W: Copy + 'static, const N: usize>(
    ways: [W; N],
    name: fn(W) -> &'static str,
    run: impl Fn(W, usize) -> Turn + Clone + 'static,
) -> Vec<Contender<'static>> {
    let contender = |who| -> Contender<'static> {
        let run = run.clone();
        (name(who).into(), Box::new(move |count| run(who, count)))
    };
    ways.map(contender).into()
}

fn datagrams(results: &mut Results, plan: &Plan) {
    let case = format!("udp-oneway/{}", unstick_bench::case::bytes_name(udp::LEN));
    if plan.wants(&case) {
        let contenders = each(udp::Way::ALL, udp::Way::name, udp::Way::run);
        measure(results, plan, plan.tcp_turn, &case, 1, contenders);
    }
}

fn growth(results: &mut Results, plan: &Plan) {
    for (curve, contenders) in scaling::CURVES {
        for size in scaling::sizes().filter(|&size| !plan.quick || size <= 1 << 20) {
            let case = scaling::case(curve, size);
            if plan.wants(&case) {
                let frames = scaling::frames(curve, size);
                measure(results, plan, plan.turn, &case, 1, contenders(&frames, size));
            }
        }
    }
}
