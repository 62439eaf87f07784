//! Makes the report from what was measured: `benches/report.md` and a plot, light and dark.
//!
//! It reads `measure.json`, `lto.json`, `connections.json` and `hostile.json` from
//! `target/unstick-bench/`, the committed instruction counts, and criterion's estimates where they are. What a short run
//! measured goes to `target/unstick-bench/` and not beside the committed report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use unstick_bench::case::{CHUNKS, PAYLOADS, bytes_name};
use unstick_bench::hostile::Hostile;
use unstick_bench::plot;
use unstick_bench::results::{Quiet, Results, median, package, ratio, rustc_version, target};
use unstick_bench::{framed, many, scaling, tcp, udp};

/// A difference below this is not called a loss.
const NOISE: f64 = 1.02;
/// A curve whose power of the work is so much above the floor's is worse than linear.
const SLACK: f64 = 0.15;
/// The default path of the peer that most users have.
const TOKIO_UTIL: &str = "tokio-util-framed";

fn main() {
    let measured = Results::load("measure").expect("nothing measured yet: run benches/run");
    let report = Report {
        lto: Results::load("lto"),
        connections: Results::load("connections"),
        hostile: hostile(),
        instructions: instructions(),
        measured,
    };
    let folder = if report.measured.quick { target().join("unstick-bench") } else { package() };
    let text = report.text();
    for (file, text) in [
        ("report.md", text),
        ("report-light.svg", plot::draw(&report.measured, &plot::LIGHT)),
        ("report-dark.svg", plot::draw(&report.measured, &plot::DARK)),
    ] {
        let path = folder.join(file);
        fs::write(&path, text).unwrap();
        println!("wrote {}", path.display());
    }
}

struct Report {
    measured: Results,
    lto: Option<Results>,
    connections: Option<Results>,
    hostile: Option<Hostile>,
    instructions: BTreeMap<String, f64>,
}

/// What a target asks for.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the table of targets.
struct Row {
    what: String,
    bound: Bound,
    unit: &'static str,
    /// Median, least and most; the same three times where it is counted.
    found: Option<[f64; 3]>,
}

impl Row {
    fn met(&self) -> &'static str {
        match (self.found, self.bound) {
            (None, _) => "not measured",
            (Some([median, ..]), Bound::AtLeast(least)) if median >= least => "yes",
            (Some([median, ..]), Bound::AtMost(most)) if median <= most => "yes",
            _ => "**no**",
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let machine = &self.measured.machine;
        let mut out = String::from("# How fast it is\n\n");
        if self.measured.quick {
            out += "**A short run: these numbers only show that everything works.**\n\n";
        }
        writeln!(
            out,
            "Measured on {}: {}, {} cores, {}, rustc {}. Written by `benches/run`; `benches/README.md` says \
             what is measured and how.\n\n\
             A ratio is of two times taken next to each other in the same round: median (least–most).\n",
            machine.date, machine.cpu, machine.cores, machine.kernel, machine.rustc
        )
        .unwrap();
        if let Some(found) = Quiet::load().filter(|_| !self.measured.quick) {
            writeln!(
                out,
                "{}: before the run other programs used {} % of the processors (load {}) and the host gave {} % \
                 to others, during the run {} %.\n",
                if found.quiet { "The machine was quiet" } else { "**The machine was not quiet**" },
                found.busy_before,
                found.load_before,
                found.steal_before,
                found.steal_during
            )
            .unwrap();
        }
        out += "<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"report-dark.svg\">\n  \
                <img alt=\"Time of a small frame, next to other crates, and of a byte over TCP\" src=\"report-light.svg\">\n</picture>\n";
        self.targets(&mut out);
        self.losses(&mut out);
        self.decoding(&mut out);
        self.encoding(&mut out);
        self.codecs(&mut out);
        self.connections(&mut out);
        self.datagrams(&mut out);
        self.growth(&mut out);
        self.counts(&mut out);
        criterion(&mut out);
        out
    }

    // Targets

    fn targets(&self, out: &mut String) {
        out.push_str(
            "\n## Targets\n\n| case | target | measured | met |\n| --- | --- | --- | --- |\n",
        );
        let mut rows = Vec::new();
        self.decode_targets(&mut rows);
        self.chunk_targets(&mut rows);
        self.encode_targets(&mut rows);
        self.codec_targets(&mut rows);
        self.tcp_targets(&mut rows);
        self.udp_targets(&mut rows);
        self.large_targets(&mut rows);
        self.memory_target(&mut rows);
        for row in &rows {
            let (sign, bound) = match row.bound {
                Bound::AtLeast(bound) => ('≥', bound),
                Bound::AtMost(bound) => ('≤', bound),
            };
            let found = row.found.map_or_else(String::new, |found| spread(found, row.unit));
            writeln!(
                out,
                "| {} | {sign} {bound}{} | {found} | {} |",
                row.what,
                row.unit,
                row.met()
            )
            .unwrap();
        }
    }

    fn decode_targets(&self, rows: &mut Vec<Row>) {
        use Bound::{AtLeast, AtMost};
        for payload in ["0B", "16B", "64B"] {
            let case = format!("decode/{payload}/chunk-64KiB");
            for way in ["unstick-u32be", "unstick-u32be-for_each"] {
                self.times(rows, &case, TOKIO_UTIL, way, AtLeast(20.0));
            }
            for way in ["unstick-u32be", "unstick-u32be-for_each"] {
                self.times(rows, &case, way, "hop", AtMost(1.15));
            }
            if let Some(lto) = &self.lto {
                for way in ["unstick-u32be", "unstick-u32be-for_each"] {
                    let found = times(lto, &case, TOKIO_UTIL, way);
                    let what = format!("`{case}`: {way} over {TOKIO_UTIL}, both with fat LTO");
                    rows.push(Row { what, bound: AtLeast(10.0), unit: " ×", found });
                }
            }
            self.times(rows, &case, TOKIO_UTIL, "unstick-u32be-framebuf", AtLeast(7.5));
        }
        let case = "decode/64B/chunk-64KiB";
        self.nanoseconds(rows, case, "unstick-u32be-for_each", 1.0);
        self.nanoseconds(rows, case, "unstick-v1-for_each", 1.0);
        self.times(
            rows,
            "decode/1KiB/chunk-64KiB",
            "unstick-u32be-framebuf",
            "memcpy",
            AtMost(1.3),
        );
        for way in ["unstick-v1", "unstick-v1-for_each"] {
            self.nanoseconds(rows, case, way, 4.0);
            self.times(rows, case, way, &way.replace("v1", "u32be"), AtMost(2.0));
        }
        for (who, most) in [
            ("chunk-1460B/unstick-u32be-for_each", 24.0),
            ("chunk-1460B/unstick-u32be", 34.0),
            ("chunk-1460B/unstick-u32be-framebuf", 36.0),
            ("chunk-64KiB/unstick-v1", 50.0),
        ] {
            self.instructions(rows, &format!("decode/64B/{who}"), most);
        }
    }

    /// In tiny chunks: for each way the case where it is nearest to tokio-util.
    fn chunk_targets(&self, rows: &mut Vec<Row>) {
        for way in ["", "-decode", "-for_each", "-framebuf", "-framebuf-slice", "-io", "-tokio"] {
            for format in ["u32be", "v1"] {
                let name = format!("unstick-{format}{way}");
                let cases = ["chunk-17B", "chunk-1B"].into_iter().flat_map(|chunk| {
                    PAYLOADS.map(move |payload| format!("decode/{}/{chunk}", payload.name()))
                });
                let worst = cases
                    .filter_map(|case| {
                        Some((times(&self.measured, &case, TOKIO_UTIL, &name)?, case))
                    })
                    .min_by(|(one, _), (other, _)| one[0].total_cmp(&other[0]));
                let (found, case) = worst.unzip();
                let what = format!(
                    "17-byte or 1-byte chunks, any size: {name} over {TOKIO_UTIL}, at worst (`{}`)",
                    case.unwrap_or_default()
                );
                let least = if way == "-for_each" && format == "u32be" { 3.0 } else { 1.0 };
                rows.push(Row { what, bound: Bound::AtLeast(least), unit: " ×", found });
            }
        }
    }

    fn encode_targets(&self, rows: &mut Vec<Row>) {
        for payload in ["0B", "16B", "64B"] {
            let case = format!("encode/{payload}/slice");
            self.times(rows, &case, "tokio-util", "unstick-u32be", Bound::AtLeast(2.5));
        }
        self.instructions(rows, "encode/64B/slice/unstick-u32be", 25.0);
        for payload in ["1KiB", "16KiB", "64KiB"] {
            let case = format!("encode/{payload}/slice");
            self.times(rows, &case, "unstick-u32be", "memcpy", Bound::AtMost(1.05));
        }
    }

    fn codec_targets(&self, rows: &mut Vec<Row>) {
        for size in framed::SIZES {
            for (way, _) in framed::WAYS {
                let case = format!("codec/{}/{way}", bytes_name(size));
                self.times(rows, &case, "tokio-util", "unstick", Bound::AtLeast(1.0));
            }
        }
    }

    fn tcp_targets(&self, rows: &mut Vec<Row>) {
        use Bound::{AtLeast, AtMost};
        let case = "tcp-oneway/64B";
        self.times(rows, case, "tokio-util", "unstick", AtLeast(4.0));
        self.times(rows, case, "unstick", "unstick-core", AtMost(1.15));
        let user = self.measured.get(case, "unstick").map(|rounds| [mean(&rounds.user); 3]);
        let what = format!("`{case}`: user CPU time of unstick");
        rows.push(Row { what, bound: AtMost(10.0), unit: " ns", found: user });
        for len in ["256B", "1KiB", "4KiB"] {
            let case = format!("tcp-oneway/{len}");
            self.times(rows, &case, "tokio-util-tuned", "unstick", AtLeast(1.3));
            self.times(rows, &case, "raw-256KiB", "unstick", AtLeast(0.8));
        }
        self.times(rows, "tcp-oneway/16KiB", "raw-256KiB", "unstick", AtLeast(0.85));
        for len in ["4KiB", "16KiB"] {
            let case = format!("tcp-oneway/{len}");
            self.times(rows, &case, "tokio-util-flush-each", "unstick-flush-each", AtLeast(1.0));
        }
        for len in ["64KiB", "256KiB", "1MiB"] {
            self.times(rows, &format!("tcp-oneway/{len}"), "raw", "unstick", AtLeast(0.95));
        }
        self.times(
            rows,
            "tcp-request/window-512",
            "tokio-util-flush-each",
            "unstick",
            AtLeast(30.0),
        );
        self.times(rows, "tcp-request/window-512", "unstick-flush-each", "unstick", AtLeast(30.0));
        for window in tcp::WINDOWS {
            let case = format!("tcp-request/window-{window}");
            self.times(rows, &case, "unstick-flush-each", "unstick", AtLeast(1.0));
            self.times(rows, &case, "tokio-util-flush-each", "unstick", AtLeast(1.0));
        }
    }

    fn udp_targets(&self, rows: &mut Vec<Row>) {
        let case = format!("udp-oneway/{}", bytes_name(udp::LEN));
        for (way, least) in [
            (udp::Way::Unstick, 1.0),
            (udp::Way::UnstickOffload, 35.0),
            (udp::Way::UnstickAllOffload, 35.0),
            (udp::Way::UnstickPacked, 20.0),
            (udp::Way::UnstickAllPacked, 20.0),
            (udp::Way::UnstickPackedOffload, 150.0),
            (udp::Way::UnstickAllPackedOffload, 150.0),
        ] {
            let over = udp::Way::TokioUtil.name();
            self.times(rows, &case, over, way.name(), Bound::AtLeast(least));
        }
        let found = self.hostile.map(|hostile| [hostile.unaccounted() as f64; 3]);
        let what = "datagrams that neither arrived, nor were refused, nor dropped by the kernel, \
                    while a hostile peer floods the socket";
        rows.push(Row { what: what.into(), bound: Bound::AtMost(0.0), unit: "", found });
    }

    /// One frame on a new connection, from 64 KiB to 64 MiB; and large frames, one after the other.
    fn large_targets(&self, rows: &mut Vec<Row>) {
        for size in scaling::sizes() {
            for way in ["unstick-framebuf", "unstick-framebuf-extend", "unstick-tokio"] {
                let case = scaling::case("scale-frame", size);
                self.times(rows, &case, TOKIO_UTIL, way, Bound::AtLeast(0.9));
            }
            let case = scaling::case("scale-write", size);
            self.times(rows, &case, TOKIO_UTIL, "unstick-sink", Bound::AtLeast(1.0));
        }
        for way in ["unstick-u32be-framebuf", "unstick-u32be-tokio"] {
            self.times(rows, "decode/64KiB/chunk-64KiB", TOKIO_UTIL, way, Bound::AtLeast(1.0));
        }
        let (case, ours) = ("decode/64B/chunk-64KiB", "unstick-lengthfield-for_each");
        let found = self.measured.get(case, ours).map(|rounds| {
            let mut times = rounds.wall.clone();
            times.sort_by(f64::total_cmp);
            [median(&times), times[0], times[times.len() - 1]]
        });
        let what = format!("`{case}/{ours}`: time of a frame");
        rows.push(Row { what, bound: Bound::AtMost(3.0), unit: " ns", found });
    }

    fn memory_target(&self, rows: &mut Vec<Row>) {
        for state in ["new", "used", "large"] {
            let heap = |who: &str| {
                Some(
                    self.connections
                        .as_ref()?
                        .get(&most_idle(self.connections.as_ref()?, state)?, who)?
                        .heap[0],
                )
            };
            let found = heap("unstick").zip(heap("raw")).map(|(ours, raw)| [ours - raw; 3]);
            let after = match state {
                "new" => "never used",
                "used" => "after a frame",
                _ => "after a frame of 16 MiB",
            };
            let what = format!(
                "idle connection, {after}: heap beyond that of a task that waits on a bare socket"
            );
            rows.push(Row { what, bound: Bound::AtMost(512.0), unit: " B", found });
        }
    }

    /// How many times as long `over` takes as `under`.
    fn times(&self, rows: &mut Vec<Row>, case: &str, over: &str, under: &str, bound: Bound) {
        let what = match bound {
            Bound::AtLeast(_) => format!("`{case}`: {under} as fast as {over}"),
            Bound::AtMost(_) => format!("`{case}`: time of {over} over {under}"),
        };
        rows.push(Row {
            what, bound, unit: " ×", found: times(&self.measured, case, over, under)
        });
    }

    fn nanoseconds(&self, rows: &mut Vec<Row>, case: &str, who: &str, most: f64) {
        let found = self
            .measured
            .get(case, who)
            .and_then(|rounds| ratio(&rounds.wall, &vec![1.0; rounds.wall.len()]));
        let what = format!("`{case}`: {who}, a frame");
        rows.push(Row { what, bound: Bound::AtMost(most), unit: " ns", found });
    }

    fn instructions(&self, rows: &mut Vec<Row>, case: &str, most: f64) {
        let found = self.instructions.get(case).map(|&each| [each; 3]);
        let what = format!("`{case}`: instructions a frame");
        rows.push(Row { what, bound: Bound::AtMost(most), unit: "", found });
    }

    // Losses

    fn losses(&self, out: &mut String) {
        out.push_str("\n## Where we lose\n\n");
        let mut lost: BTreeMap<(&str, &str), Vec<Loss<'_>>> = BTreeMap::new();
        let mut compared: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (case, contenders) in &self.measured.cases {
            for ours in contenders.keys().filter(|name| name.starts_with("unstick")) {
                for peer in contenders.keys().filter(|peer| comparable(case, ours, peer)) {
                    *compared.entry((ours, peer)).or_default() += 1;
                    let found = times(&self.measured, case, ours, peer).unwrap();
                    if found[0] > NOISE {
                        lost.entry((ours, peer)).or_default().push((found, case));
                    }
                }
            }
        }
        let all: usize = compared.values().sum();
        let n: usize = lost.values().map(Vec::len).sum();
        writeln!(
            out,
            "In {n} of {all} comparisons of a way to use unstick with a peer that does the same the median says that we \
             take more than {:.0} % longer. Ways that borrow are compared with everyone, ways that copy into a buffer with \
             those that do; a sender that flushes each frame with one that does too.\n",
            (NOISE - 1.0) * 100.0
        )
        .unwrap();
        out.push_str("| ours | theirs | lost | at worst, our time over theirs | in |\n| --- | --- | --- | --- | --- |\n");
        for ((ours, peer), cases) in &mut lost {
            cases.sort_by(|(one, _), (other, _)| other[0].total_cmp(&one[0]));
            let (worst, case) = cases[0];
            let of = compared[&(*ours, *peer)];
            writeln!(
                out,
                "| {ours} | {peer} | {} of {of} | {} | `{case}` |",
                cases.len(),
                spread(worst, " ×")
            )
            .unwrap();
        }
        out.push_str("\n<details><summary>All of them</summary>\n\n| case | ours | theirs | our time over theirs |\n| --- | --- | --- | --- |\n");
        for ((ours, peer), cases) in &lost {
            for (found, case) in cases {
                writeln!(out, "| `{case}` | {ours} | {peer} | {} |", spread(*found, " ×")).unwrap();
            }
        }
        out.push_str("\n</details>\n");
    }

    // Tables

    fn decoding(&self, out: &mut String) {
        const WHO: [&str; 13] = [
            "unstick-u32be",
            "unstick-u32be-for_each",
            "unstick-u32be-framebuf",
            "unstick-u32be-tokio",
            "unstick-v1",
            "unstick-v1-for_each",
            "tokio-util-codec",
            "wire-codec-slice",
            "wire-codec-framed",
            "asynchronous-codec",
            "framez",
            "hop",
            "memcpy",
        ];
        for (prefix, chunks) in [("decode", &CHUNKS[..]), ("decode-cold", &CHUNKS[1..2])] {
            for chunk in chunks {
                let source = if prefix == "decode" { "hot" } else { "cold, 64 MiB" };
                writeln!(
                    out,
                    "\n## Decoding, {}, {source}: times as fast as {TOKIO_UTIL}\n",
                    chunk.name()
                )
                .unwrap();
                let cases = PAYLOADS.map(|payload| {
                    (payload.name(), format!("{prefix}/{}/{}", payload.name(), chunk.name()))
                });
                self.ratio_table(out, &cases, TOKIO_UTIL, &WHO);
            }
        }
    }

    fn encoding(&self, out: &mut String) {
        for (target, over, who) in [
            (
                "slice",
                "tokio-util",
                &[
                    "unstick-u32be",
                    "unstick-v1",
                    "wire-codec",
                    "asynchronous-codec",
                    "hand",
                    "memcpy",
                ][..],
            ),
            (
                "vec",
                "tokio-util",
                &[
                    "unstick-u32be",
                    "unstick-v1",
                    "unstick-u64be",
                    "wire-codec",
                    "asynchronous-codec",
                    "hand",
                    "memcpy",
                ],
            ),
            ("ioslice", "hand", &["unstick-u32be", "unstick-v1", "unstick-u64be"]),
        ] {
            writeln!(out, "\n## Encoding, {target}: times as fast as {over}\n").unwrap();
            let cases = PAYLOADS
                .map(|payload| (payload.name(), format!("encode/{}/{target}", payload.name())));
            self.ratio_table(out, &cases, over, who);
        }
    }

    fn codecs(&self, out: &mut String) {
        for (way, _) in framed::WAYS {
            writeln!(
                out,
                "\n## Codecs in a Framed, payloads {way}: times as fast as LengthDelimitedCodec\n"
            )
            .unwrap();
            let cases = framed::SIZES.map(|size| {
                let size = bytes_name(size);
                let case = format!("codec/{size}/{way}");
                (size, case)
            });
            let who = ["unstick", "unstick-reserved", "unstick-whole"];
            self.ratio_table(out, &cases, "tokio-util", &who);
        }
    }

    fn ratio_table(&self, out: &mut String, cases: &[(String, String)], over: &str, who: &[&str]) {
        let who: Vec<&str> = who
            .iter()
            .copied()
            .filter(|who| cases.iter().any(|(_, case)| self.measured.get(case, who).is_some()))
            .collect();
        writeln!(
            out,
            "| | {over}, ns a frame | {} |\n| --- |{}",
            who.join(" | "),
            " --- |".repeat(who.len() + 1)
        )
        .unwrap();
        for (name, case) in cases {
            let Some(rounds) = self.measured.get(case, over) else { continue };
            write!(out, "| {name} | {} |", number(median(&rounds.wall))).unwrap();
            for who in &who {
                let found = times(&self.measured, case, over, who)
                    .map_or_else(String::new, |found| spread(found, ""));
                write!(out, " {found} |").unwrap();
            }
            out.push('\n');
        }
    }

    fn connections(&self, out: &mut String) {
        out.push_str(
            "\n## TCP, one way: frames a second, and nanoseconds of user CPU time a frame\n\n",
        );
        let one_way = |over: &str, name: String| {
            let case = format!("{over}-oneway/{name}");
            (name, case)
        };
        let mut cases = tcp::SIZES.map(|len| one_way("tcp", bytes_name(len))).to_vec();
        cases.push(one_way("tcp", "mix".into()));
        self.rate_table(out, &cases, &tcp::OneWay::ALL.map(tcp::OneWay::name));
        out.push_str("\n## TLS (rustls), one way\n\n");
        let cases = tcp::TLS_SIZES.map(|len| one_way("tls", bytes_name(len)));
        self.rate_table(out, &cases, &tcp::OneWay::ALL.map(tcp::OneWay::name));
        out.push_str("\n## TCP, requests of 64 bytes: answers a second, and nanoseconds of user CPU time each\n\n");
        for (over, windows) in [("tcp", &tcp::WINDOWS[..]), ("tls", &tcp::TLS_WINDOWS)] {
            if over == "tls" {
                out.push_str("\n## TLS (rustls), requests\n\n");
            }
            let case =
                |window| (format!("window {window}"), format!("{over}-request/window-{window}"));
            let cases: Vec<_> = windows.iter().map(case).collect();
            self.rate_table(out, &cases, &tcp::Request::ALL.map(tcp::Request::name));
        }
        writeln!(
            out,
            "\n## TCP, a message of {} bytes on each of {} connections in turn, and its answer\n",
            many::LEN,
            many::CONNECTIONS
        )
        .unwrap();
        let case = format!("tcp-many/{}", many::CONNECTIONS);
        let who = many::Echo::ALL.map(many::Echo::name);
        self.rate_table(out, &[("answers".into(), case)], &who);

        let Some(connections) = &self.connections else { return };
        out.push_str("\n## Idle connections: heap bytes for each\n\n| connections | state | a bare socket's task | unstick | tokio-util |\n| --- | --- | --- | --- | --- |\n");
        let mut cases: Vec<(usize, &str, &String)> = connections
            .cases
            .keys()
            .filter_map(|case| {
                let (state, count) = case.strip_prefix("idle-")?.split_once('/')?;
                Some((count.parse().ok()?, state, case))
            })
            .collect();
        cases.sort_unstable();
        for (count, state, case) in cases {
            write!(
                out,
                "| {count} | {} |",
                match state {
                    "new" => "never used",
                    "used" => "after a frame of 1 KiB",
                    _ => "after a frame of 16 MiB",
                }
            )
            .unwrap();
            for who in ["raw", "unstick", "tokio-util"] {
                let bytes = connections.get(case, who).map_or(f64::NAN, |rounds| rounds.heap[0]);
                write!(out, " {bytes:.0} |").unwrap();
            }
            out.push('\n');
        }
    }

    fn datagrams(&self, out: &mut String) {
        writeln!(
            out,
            "\n## UDP on loopback: messages of {} bytes a second, and nanoseconds of user CPU time a message\n\n\
             Packed is into datagrams of at most {} bytes; else each message has a datagram of its own. Offload is \
             many datagrams with a call, to send and to receive. Raw is a bare socket without any frame: what \
             datagrams of the same sizes cost, with a call for each.\n",
            udp::LEN,
            udp::PACKED
        )
        .unwrap();
        let len = bytes_name(udp::LEN);
        let cases = [(len.clone(), format!("udp-oneway/{len}"))];
        self.rate_table(out, &cases, &udp::Way::ALL.map(udp::Way::name));
        let Some(Hostile { bad, good, delivered, refused, dropped, .. }) = self.hostile else {
            return;
        };
        writeln!(
            out,
            "\nA hostile peer sent {bad} malformed datagrams as fast as it could, and a well-behaved one {good} meanwhile, \
             to the same socket: {delivered} of these were delivered, {refused} of the others refused with source and \
             reason, and {dropped} of both dropped by the kernel, whose buffer was full."
        )
        .unwrap();
    }

    fn rate_table(&self, out: &mut String, cases: &[(String, String)], who: &[&str]) {
        writeln!(out, "| | {} |\n| --- |{}", who.join(" | "), " --- |".repeat(who.len())).unwrap();
        for (name, case) in cases {
            write!(out, "| {name} |").unwrap();
            for who in who {
                let Some(rounds) = self.measured.get(case, who) else { continue };
                let rate = 1e9 / median(&rounds.wall);
                write!(out, " {}, {} ns |", thousands(rate), number(mean(&rounds.user))).unwrap();
            }
            out.push('\n');
        }
    }

    fn growth(&self, out: &mut String) {
        writeln!(
            out,
            "\n## As the work grows\n\nThe power of the work that the time follows from the smallest to the largest: 1 \
             is linear. `{}` is a new buffer and one copy into it: what the machine and its allocator make of that work. A \
             curve whose power is more than {SLACK} above that one's, and above 1, is called worse.\n\n\
             | curve | contender | from | to | power | worst doubling | |\n| --- | --- | --- | --- | --- | --- | --- |",
            scaling::FLOOR
        )
        .unwrap();
        for (curve, _) in scaling::CURVES {
            let sizes: Vec<usize> = scaling::sizes()
                .filter(|&size| self.measured.cases.contains_key(&scaling::case(curve, size)))
                .collect();
            let [first, .., last] = sizes[..] else { continue };
            let steps = |who: &str| -> Vec<f64> {
                let time = |&size| {
                    let rounds = self.measured.get(&scaling::case(curve, size), who);
                    rounds.map_or(f64::NAN, |rounds| median(&rounds.wall))
                };
                let times: Vec<f64> = sizes.iter().map(time).collect();
                times.windows(2).map(|pair| (pair[1] / pair[0]).log2()).collect()
            };
            let floor = mean(&steps(scaling::FLOOR)).max(1.0); // NaN, where there is none, is 1
            for who in self.measured.cases[&scaling::case(curve, first)].keys() {
                let steps = steps(who);
                let (power, worst) = (mean(&steps), steps.iter().copied().fold(0.0, f64::max));
                let verdict = if power <= floor + SLACK { "flat or linear" } else { "**worse**" };
                writeln!(
                    out,
                    "| {curve} | {who} | {} | {} | {power:.2} | {worst:.2} | {verdict} |",
                    bytes_name(first),
                    bytes_name(last)
                )
                .unwrap();
            }
        }
    }

    fn counts(&self, out: &mut String) {
        if self.instructions.is_empty() {
            return;
        }
        out.push_str("\n## Instructions a frame of 64 bytes\n\nCounted, not measured; they repeat exactly.\n\n| case | instructions |\n| --- | --- |\n");
        for (case, each) in &self.instructions {
            writeln!(out, "| `{case}` | {} |", number(*each)).unwrap();
        }
    }
}

/// Our time over theirs, and the case.
type Loss<'a> = ([f64; 3], &'a str);

/// Whether a peer does what `ours` does.
fn comparable(case: &str, ours: &str, peer: &str) -> bool {
    if peer.starts_with("unstick")
        || ["hop", "memcpy", "hand", scaling::FLOOR].contains(&peer)
        || peer.starts_with("raw")
    {
        return false;
    }
    if case.starts_with("tcp") || case.starts_with("tls") {
        return ours.ends_with("flush-each") == peer.ends_with("flush-each");
    }
    let copies =
        ["-framebuf", "-framebuf-slice", "-io", "-tokio"].iter().any(|way| ours.ends_with(way));
    !(copies && peer == "wire-codec-slice")
}

fn times(results: &Results, case: &str, over: &str, under: &str) -> Option<[f64; 3]> {
    ratio(&results.get(case, over)?.wall, &results.get(case, under)?.wall)
}

/// The case with the most idle connections.
fn most_idle(results: &Results, state: &str) -> Option<String> {
    let prefix = format!("idle-{state}/");
    let count = |case: &String| case.strip_prefix(&prefix)?.parse::<usize>().ok();
    let most = results.cases.keys().filter_map(count).max()?;
    Some(format!("{prefix}{most}"))
}

fn spread([median, least, most]: [f64; 3], unit: &str) -> String {
    if least.total_cmp(&most).is_eq() {
        return format!("{}{unit}", number(median));
    }
    format!("{}{unit} ({}–{})", number(median), number(least), number(most))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn thousands(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.2} M", rate / 1e6) } else { format!("{:.1} k", rate / 1e3) }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn hostile() -> Option<Hostile> {
    let text = fs::read_to_string(target().join("unstick-bench/hostile.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn instructions() -> BTreeMap<String, f64> {
    let path = package().join(format!("instructions-{}.toml", rustc_version()));
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let (case, each) = line.split_once(" = ")?;
        Some((case.trim_matches('"').to_owned(), each.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// criterion's own estimates of the cases that most users have, where it has run.
fn criterion(out: &mut String) {
    const WHO: [&str; 5] =
        ["unstick-u32be", "unstick-u32be-for_each", "unstick-u32be-framebuf", TOKIO_UTIL, "hop"];
    let folder = target().join("criterion");
    let rows: Vec<String> = PAYLOADS
        .iter()
        .filter_map(|payload| {
            let case = format!("decode_{}_chunk-64KiB", payload.name());
            let cells: Option<Vec<String>> =
                WHO.iter().map(|who| estimate(&folder.join(&case).join(who).join("new"))).collect();
            Some(format!("| {} | {} |", payload.name(), cells?.join(" | ")))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    writeln!(
        out,
        "\n## criterion's estimates, 64 KiB chunks, hot\n\nNanoseconds a frame: median, and its confidence interval. Each contender by \
         itself, one after the other.\n\n| | {} |\n| --- |{}\n{}",
        WHO.join(" | "),
        " --- |".repeat(WHO.len()),
        rows.join("\n")
    )
    .unwrap();
}

fn estimate(folder: &Path) -> Option<String> {
    let read = |file| -> Option<serde_json::Value> {
        serde_json::from_str(&fs::read_to_string(folder.join(file)).ok()?).ok()
    };
    let (estimates, benchmark) = (read("estimates.json")?, read("benchmark.json")?);
    let frames = benchmark["throughput"]["Elements"].as_f64()?;
    let median = &estimates["median"];
    let value = |value: &serde_json::Value| Some(number(value.as_f64()? / frames));
    Some(format!(
        "{} ({}–{})",
        value(&median["point_estimate"])?,
        value(&median["confidence_interval"]["lower_bound"])?,
        value(&median["confidence_interval"]["upper_bound"])?
    ))
}
