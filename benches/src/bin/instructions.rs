//! Instructions for each frame, counted by callgrind, compared with those of the last time.
//!
//! `instructions` counts, prints a table, and fails if a case of `unstick` needs more than 3 %
//! more than `benches/instructions-VERSION.toml` says, where VERSION is the compiler's. Where there
//! is no such file it fails too, and says how to make one: another compiler makes other code, and
//! a check that compares nothing would pass for ever. `instructions --bless` writes the file.
//!
//! A case runs a stream several times, and again twice as often: the difference is the stream's
//! alone. It repeats exactly. The C library is kept from choosing its copying by the processor
//! (`GLIBC_TUNABLES`), so that machines agree; with another C library they may still not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, thread};

use unstick_bench::case::{Chunk, Frames, Payload};
use unstick_bench::decode::{self, Counted, Timed};
use unstick_bench::encode;
use unstick_bench::marks::{self, Case};
use unstick_bench::results::{package, rustc_version};

/// How much more than the last time is too much.
const TOLERANCE: f64 = 0.03;
/// How often a stream runs.
const PASSES: usize = 4;
const PAYLOAD: Payload = Payload::Fixed(64);
const CHUNKS: [Chunk; 4] = [Chunk(64 * 1024), Chunk(1460), Chunk(17), Chunk(1)];
/// Of the framings with a mark or a check, these cases.
const MARKS: [&str; 3] = ["lines/text-64B", "cobs/random-64B", "ubx/random-64B"];
/// Copying with the instructions that every x86-64 processor has.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,\
    -AVX2_Usable,-AVX_Fast_Unaligned_Load,-Prefer_No_VZEROUPPER";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", case, passes] => run(case, passes.parse().unwrap()),
        ["--bless"] => return count(true),
        [] => return count(false),
        _ => panic!("usage: instructions [--bless]"),
    }
    ExitCode::SUCCESS
}

/// All cases: those of `unstick` that have a target or are a path of their own, and tokio-util.
fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for chunk in CHUNKS {
        let who = decode::U32BE.iter().chain(&decode::VERSION_1).chain(&decode::PEERS[..3]);
        let who = who.filter(|who| who.name != "tokio-util-tuned").chain(&decode::FLOORS[..1]);
        cases.extend(
            who.map(|who| format!("decode/{}/{}/{}", PAYLOAD.name(), chunk.name(), who.name)),
        );
    }
    for who in encode::CONTENDERS {
        if who.name.starts_with("unstick") || who.name == "tokio-util" || who.name == "hand" {
            cases.push(format!("encode/{}/{}/{}", PAYLOAD.name(), who.target.name(), who.name));
        }
    }
    for case in MARKS {
        cases.extend(["unstick", "unstick-framebuf"].map(|name| format!("marks/{case}/{name}")));
    }
    cases
}

/// The case of this name.
fn mark_case(family: &str, rest: &str) -> Case {
    marks::cases().find(|case| case.name == format!("{family}/{rest}")).unwrap()
}

/// How many frames a pass of the case has.
fn frames_of(case: &str) -> usize {
    match case.split('/').collect::<Vec<_>>()[..] {
        ["marks", family, rest, _] => mark_case(family, rest).stream().count(),
        _ => Frames::hot(PAYLOAD).count(),
    }
}

/// Under callgrind: the case, so many times.
fn run(case: &str, passes: usize) {
    let frames = Frames::hot(PAYLOAD);
    let parts: Vec<&str> = case.split('/').collect();
    match parts[..] {
        ["decode", _, chunk, name] => {
            let chunk = CHUNKS.into_iter().find(|it| it.name() == chunk).unwrap();
            let who = decode::contenders().find(|who| who.name == name).unwrap();
            let mut pass = who.start(&frames, chunk, &Counted::expected(&frames));
            for _ in 0..passes {
                pass(&mut Timed);
            }
        }
        ["encode", _, target, name] => {
            let is_it = |who: &&encode::Contender| who.target.name() == target && who.name == name;
            let mut pass = encode::CONTENDERS.iter().find(is_it).unwrap().start(&frames);
            for _ in 0..passes {
                pass();
            }
        }
        ["marks", family, rest, name] => {
            let case = mark_case(family, rest);
            let stream = case.stream();
            let who = case.contenders().iter().find(|who| who.name == name).unwrap();
            let mut pass = case.start(who, &stream);
            for _ in 0..passes {
                pass(&mut Timed);
            }
        }
        _ => panic!("no case {case}"),
    }
}

fn count(bless: bool) -> ExitCode {
    let found = match count_all() {
        Ok(found) => found,
        Err(error) => {
            eprintln!("cannot count instructions: {error}");
            return ExitCode::FAILURE;
        }
    };
    let version = rustc_version();
    let path = package().join(format!("instructions-{version}.toml"));
    if bless {
        fs::write(&path, table(&version, &found)).unwrap();
        print(&found, &BTreeMap::new());
        println!("wrote {}", path.display());
        return ExitCode::SUCCESS;
    }
    let Ok(text) = fs::read_to_string(&path) else {
        print(&found, &BTreeMap::new());
        eprintln!(
            "no instruction counts to compare with for rustc {version} on {}: {} is missing.\n\
             Look at the table above and, if it is as it should be, make the file with\n    \
             cargo run --release -p unstick-bench --bin instructions -- --bless",
            env::consts::ARCH,
            path.display()
        );
        return ExitCode::FAILURE;
    };
    let known = parse(&text);
    print(&found, &known);
    compare(&found, &known, &path)
}

/// Whether nothing of `unstick` grew, and the same cases are there.
fn compare(found: &BTreeMap<String, f64>, known: &BTreeMap<String, f64>, path: &Path) -> ExitCode {
    let mut wrong = Vec::new();
    for (case, &now) in found {
        match known.get(case) {
            None => wrong.push(format!("{case} is new")),
            Some(&before) if is_ours(case) && now > before * (1.0 + TOLERANCE) => {
                wrong.push(format!("{case} grew from {before:.1} to {now:.1}"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(
        known
            .keys()
            .filter(|case| !found.contains_key(*case))
            .map(|case| format!("{case} is gone")),
    );
    if wrong.is_empty() {
        println!("no case grew by more than {:.0} %", TOLERANCE * 100.0);
        return ExitCode::SUCCESS;
    }
    for line in wrong {
        eprintln!("{line}");
    }
    eprintln!("if this is meant to be so, rewrite {} with --bless", path.display());
    ExitCode::FAILURE
}

/// Counts all cases, two at a time.
fn count_all() -> io::Result<BTreeMap<String, f64>> {
    let cases = cases();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        let work = || -> io::Result<()> {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (once, twice) = (callgrind(case, PASSES)?, callgrind(case, 2 * PASSES)?);
                let frames = (PASSES * frames_of(case)) as f64;
                let each = (twice - once) as f64 / frames;
                found.lock().unwrap().insert(case.clone(), each);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap())
    })?;
    Ok(found.into_inner().unwrap())
}

/// How many instructions the case runs, start and end included.
fn callgrind(case: &str, passes: usize) -> io::Result<u64> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["run", case, &passes.to_string()])
        // The environment lies on the stack and moves it.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GLIBC_TUNABLES", TUNABLES)
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("valgrind: {error}; is it installed?"))
        })?;
    let text = String::from_utf8_lossy(&out.stderr);
    text.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .filter(|_| out.status.success())
        .ok_or_else(|| io::Error::other(format!("valgrind failed on {case}:\n{text}")))
}

fn is_ours(case: &str) -> bool {
    case.contains("/unstick")
}

fn print(found: &BTreeMap<String, f64>, known: &BTreeMap<String, f64>) {
    println!("{:52} {:>12} {:>12}", "instructions for each frame", "now", "before");
    for (case, now) in found {
        let before = known.get(case).map_or_else(String::new, |before| format!("{before:12.1}"));
        println!("{case:52} {now:12.1} {before}");
    }
}

fn table(version: &str, found: &BTreeMap<String, f64>) -> String {
    let mut text = format!(
        "# Instructions for each frame, rustc {version}, {}, {}.\n\
         # Written by: cargo run --release -p unstick-bench --bin instructions -- --bless\n",
        env::consts::ARCH,
        unstick_bench::results::output("getconf", &["GNU_LIBC_VERSION"]),
    );
    for (case, each) in found {
        text += &format!("\"{case}\" = {each:.2}\n");
    }
    text
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let line = |line: &str| {
        let (case, each) = line.split_once(" = ")?;
        Some((case.trim_matches('"').to_owned(), each.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
