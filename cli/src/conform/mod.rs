//! `unstick conform`: runs the specification's vectors against an implementation in any language.
//! `vectors/README.md` describes the requests and answers.

mod child;
mod play;
mod vector;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::signals::exit_on_signal;
use crate::term::bytes::{count as counted, parse_seconds};
use crate::term::output::{Failure, Out, json};
use child::Program;
use play::{Failed, Verdict, play};
use vector::{Test, Vector};

/// The number of consecutive time-outs after which no more vectors are tried.
const MAX_TIMEOUTS: usize = 3;
/// The maximum number of characters of an expectation or an answer in the table.
const MAX_SHOWN: usize = 300;

/// Run the specification's test vectors against an implementation in any language.
///
/// The command is started, gets requests on its standard input and answers them on its standard
/// output, one JSON object a line: vectors/README.md describes them.
#[derive(clap::Args)]
#[command(after_help = "Example: unstick conform -- python3 interop/python/unstick.py --conform")]
pub(crate) struct Args {
    /// The implementation, and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Vectors in this folder's *.json, instead of those that the command brings.
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Only vectors whose id begins so, such as 7.8 or 7.8-limit.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// The seconds that one vector may take, under all its cuts.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    timeout: Duration,
    /// One JSON object a line, for scripts.
    #[arg(long)]
    json: bool,
}

macro_rules! embedded {
    ($($name:literal)+) => {
        /// The vectors embedded at build time.
        const EMBEDDED: &[(&str, &str)] =
            &[$((concat!($name, ".json"), include_str!(concat!("../../vectors/", $name, ".json")))),+];
    };
}

embedded! {
    "header" "limits" "streams" "skip" "resync" "datagrams" "encoders" "annex-a" "framings-fixed"
    "framings-checked" "framings-marks" "framings-lines" "framings-delimited" "framings-cobs"
    "framings-slip" "framings-hdlc" "framings-v2" "messages" "conversations" "attributes"
}

/// The titles of the sections that vector ids begin with.
const SECTIONS: &[(&str, &str)] = &[
    ("3", "the frame"),
    ("3.2", "the header"),
    ("3.3", "what a sender writes"),
    ("4.4", "what the check finds"),
    ("5.1", "classes of kinds"),
    ("5.2", "the kinds of version 1"),
    ("6.1", "limits"),
    ("7.1", "bytes and frames"),
    ("7.4", "requests, and the table of states"),
    ("7.5", "errors"),
    ("7.6", "end of stream"),
    ("7.7", "skip"),
    ("7.8", "resync"),
    ("8", "datagrams"),
    ("8.4", "datagrams, the sender"),
    ("10", "versions"),
    ("13.1", "payloads"),
    ("13.3", "ping and pong"),
    ("13.4", "close"),
    ("13.5", "lengths and fields"),
    ("13.6", "the name of a file"),
    ("14.1", "the beginning"),
    ("14.2", "unknown kinds"),
    ("14.3", "answers to pings"),
    ("14.4", "close and end"),
    ("14.5", "the end by an error"),
    ("14.6", "messages in datagrams"),
    ("14.8", "the order of judgement"),
    ("14.9", "reading and writing"),
    ("15.2", "transfers and their ids"),
    ("15.4", "the sender of files"),
    ("15.5", "the receiver of files"),
    ("15.6", "statuses"),
    ("15.8", "attributes of files"),
    ("16", "codes"),
    ("A.1", "other headers: common rules"),
    ("A.2", "fixed prefixes"),
    ("A.3", "varint"),
    ("A.4", "length field in a longer header"),
    ("A.5", "fixed size"),
    ("A.6", "a check after the payload"),
    ("A.7", "frames that end with a mark"),
    ("A.8", "lines"),
    ("A.9", "delimiters"),
    ("A.10", "COBS"),
    ("A.11", "SLIP"),
    ("A.12", "HDLC"),
    ("A.13", "checks"),
    ("A.14", "version 2 of the header"),
];

/// Returns the section's title; empty for an unknown section of user-provided vectors.
fn title(section: &str) -> &'static str {
    SECTIONS.iter().find(|(name, _)| *name == section).map_or("", |(_, title)| title)
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum ConformEvent<'a> {
    Pass {
        id: &'a str,
        section: &'a str,
    },
    Fail {
        id: &'a str,
        section: &'a str,
        requirements: &'a [String],
        about: &'a str,
        /// The offsets at which the stream was cut.
        cuts: Option<&'a [usize]>,
        request: &'a str,
        expected: &'a str,
        got: &'a str,
    },
    Unsupported {
        id: &'a str,
        section: &'a str,
        why: &'a str,
    },
    End {
        pass: usize,
        fail: usize,
        unsupported: usize,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let vectors = vectors(args)?;
    let mut out = Out::of_job();
    let mut program = Program::new(args.command.clone(), args.timeout);
    let running = program.killer();
    exit_on_signal(move || running.kill())?;
    program.start().map_err(Failure::Job)?;
    let mut results = Vec::new();
    let mut timeouts = 0;
    for vector in &vectors {
        let verdict = if timeouts < MAX_TIMEOUTS {
            program.begin();
            play(vector, &mut program)
        } else {
            not_tried(vector)
        };
        if let Verdict::Fail(Failed { broken: true, .. }) = verdict {
            program.stop();
        }
        timeouts = if program.timed_out { timeouts + 1 } else { 0 };
        if args.json {
            out.line(json(&event(vector, &verdict)))?;
            out.flush()?;
        }
        results.push((vector, verdict));
    }
    drop(program);
    let count = |of: fn(&Verdict) -> bool| results.iter().filter(|(_, v)| of(v)).count();
    let pass = count(|v| *v == Verdict::Pass);
    let unsupported = count(|v| matches!(v, Verdict::Unsupported(_)));
    let fail = results.len() - pass - unsupported;
    if args.json {
        out.line(json(&ConformEvent::End { pass, fail, unsupported }))?;
    } else {
        table(&mut out, &results)?;
        failures(&mut out, &results)?;
        out.line(format_args!(
            "{}: {pass} passed, {fail} failed, {unsupported} unsupported",
            counted(results.len() as u64, "vector")
        ))?;
    }
    out.flush()?;
    if fail == 0 { Ok(()) } else { Err(Failure::Reported) }
}

fn vectors(args: &Args) -> Result<Vec<Vector>, Failure> {
    let mut vectors = Vec::new();
    let mut read = |name: &str, text: &str| -> Result<(), Failure> {
        let parsed = vector::parse(text);
        vectors.extend(parsed.map_err(|why| Failure::job(format!("{name}: {why}")))?);
        Ok(())
    };
    match &args.vectors {
        None => {
            for (name, text) in EMBEDDED {
                read(name, text)?;
            }
        }
        Some(dir) => {
            for path in files(dir)? {
                let name = path.display().to_string();
                let text = fs::read_to_string(&path)
                    .map_err(|error| Failure::job(format!("cannot read {name}: {error}")))?;
                read(&name, &text)?;
            }
        }
    }
    if let Some(only) = &args.only {
        vectors.retain(|vector| vector.id.starts_with(only.as_str()));
    }
    if vectors.is_empty() {
        return Err(Failure::Usage("there are no such vectors".to_owned()));
    }
    // The vectors of a section may be in several files.
    vectors.sort_by_key(|vector| order(vector.section()));
    Ok(vectors)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error| Failure::job(format!("cannot read {}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let is_schema = path.file_name().is_some_and(|name| name == "schema.json");
        if path.extension().is_some_and(|extension| extension == "json") && !is_schema {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the sort key of a section: chapters by number, then the annex.
fn order(section: &str) -> Vec<(bool, u32, String)> {
    let part = |part: &str| match part.parse() {
        Ok(number) => (false, number, String::new()),
        Err(_) => (true, 0, part.to_owned()),
    };
    section.split('.').map(part).collect()
}

fn not_tried(vector: &Vector) -> Verdict {
    Verdict::Fail(Failed {
        cuts: (vector.test == Test::Stream).then(Vec::new),
        request: "null".to_owned(),
        expected: "an answer".to_owned(),
        got: format!("not tried, after {MAX_TIMEOUTS} vectors in a row without an answer"),
        broken: true,
    })
}

fn event<'a>(vector: &'a Vector, verdict: &'a Verdict) -> ConformEvent<'a> {
    let (id, section) = (vector.id.as_str(), vector.section());
    match verdict {
        Verdict::Pass => ConformEvent::Pass { id, section },
        Verdict::Unsupported(why) => ConformEvent::Unsupported { id, section, why },
        Verdict::Fail(Failed { cuts, request, expected, got, .. }) => ConformEvent::Fail {
            id,
            section,
            requirements: &vector.requirements,
            about: &vector.about,
            cuts: cuts.as_deref(),
            request,
            expected,
            got,
        },
    }
}

fn table(out: &mut Out, results: &[(&Vector, Verdict)]) -> Result<(), Failure> {
    let row = |name: &str, title: &str, cells: [&str; 3]| {
        let [pass, fail, unsupported] = cells;
        format!("{name:<8}  {title:<34}  {pass:>5}  {fail:>5}  {unsupported:>11}")
    };
    out.line(row("section", "", ["pass", "fail", "unsupported"]))?;
    let sections = results.chunk_by(|(a, _), (b, _)| a.section() == b.section());
    for results in sections {
        let Some((vector, _)) = results.first() else { continue };
        let section = vector.section();
        let count = |of: fn(&Verdict) -> bool| {
            results.iter().filter(|(_, verdict)| of(verdict)).count().to_string()
        };
        let pass = count(|v| matches!(v, Verdict::Pass));
        let fail = count(|v| matches!(v, Verdict::Fail(_)));
        let unsupported = count(|v| matches!(v, Verdict::Unsupported(_)));
        out.line(row(section, title(section), [&pass, &fail, &unsupported]))?;
    }
    out.line("")
}

fn failures(out: &mut Out, results: &[(&Vector, Verdict)]) -> Result<(), Failure> {
    for (vector, verdict) in results {
        let Verdict::Fail(Failed { cuts, request, expected, got, .. }) = verdict else { continue };
        out.line(format_args!("FAIL {} ({})", vector.id, vector.requirements.join(", ")))?;
        out.line(format_args!("  {}", vector.about))?;
        let all = vector.stream().unwrap_or_default().len();
        let cut = match cuts.as_deref() {
            None => String::new(),
            Some([]) => format!("{}, in one piece", vector.format),
            Some(cuts) if cuts.len() + 1 == all => format!("{}, byte by byte", vector.format),
            Some(cuts) => format!("{}, cut at {cuts:?}", vector.format),
        };
        for (name, text) in
            [("stream", &cut), ("request", request), ("expected", expected), ("got", got)]
        {
            if !text.is_empty() && text != "null" {
                out.line(format_args!("  {name:<8}  {}", shown(text)))?;
            }
        }
        out.line("")?;
    }
    Ok(())
}

/// Shortens a text of the command to one line, without control characters.
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_vector_file_is_embedded() {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
        let names: BTreeSet<_> = files(dir)
            .unwrap()
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let embedded: BTreeSet<_> = EMBEDDED.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names, embedded);
    }

    #[test]
    fn every_section_has_a_title() {
        for (name, text) in EMBEDDED {
            for vector in vector::parse(text).unwrap() {
                assert!(!title(vector.section()).is_empty(), "{name}: {}", vector.id);
            }
        }
    }

    #[test]
    fn sections_are_sorted_by_number() {
        let mut sections = ["A.1", "10", "8.4", "8", "3.2", "A.10", "A.2"];
        sections.sort_by_key(|section| order(section));
        assert_eq!(sections, ["3.2", "8", "8.4", "10", "A.1", "A.2", "A.10"]);
    }

    #[test]
    fn control_characters_of_the_command_are_replaced() {
        assert_eq!(shown("a\u{1b}[2J\n\u{9b}b"), "a\u{fffd}[2J\u{fffd}\u{fffd}b");
        assert_eq!(shown(&"x".repeat(MAX_SHOWN + 1)).chars().count(), MAX_SHOWN + 1);
    }
}
