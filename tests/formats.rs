//! Every shipped format is named everywhere: the names in the list of formats are compared with the
//! places that cannot be generated from it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

/// The types and names of all shipped formats, and the lengths of their headers.
macro_rules! rows {
    ($($format:ident = $name:literal, $max_header_len:literal;)+) => {
        &[$((stringify!($format), $name, $max_header_len)),+]
    };
}

const LIST: &[(&str, &str, usize)] = unstick::for_each_format!(rows);

const SPEC: &str = include_str!("../spec.md");
const PYTHON: &str = include_str!("../interop/python/unstick.py");

fn names() -> Vec<&'static str> {
    LIST.iter().map(|(_, name, _)| *name).collect()
}

fn types() -> Vec<&'static str> {
    LIST.iter().map(|(format, ..)| *format).collect()
}

/// The part of a text after `from` and before the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, text) = text.split_once(from).unwrap_or_else(|| panic!("there is no {from:?}"));
    text.split_once(to).unwrap_or_else(|| panic!("there is no {to:?} after {from:?}")).0
}

/// The names in backquotes. `` `a` to `b` `` and `` `a` … `b` `` name all from `a` to `b` in the
/// order of `all`.
fn quoted<'a>(text: &'a str, all: &[&'a str]) -> BTreeSet<&'a str> {
    let parts: Vec<_> = text.split('`').collect();
    let mut found: BTreeSet<_> = parts.iter().skip(1).step_by(2).copied().collect();
    let index = |name| all.iter().position(|other| *other == name);
    for window in parts.windows(3) {
        if matches!(window[1].trim(), "to" | "…") {
            if let (Some(first), Some(last)) = (index(window[0]), index(window[2])) {
                found.extend(&all[first..=last]);
            }
        }
    }
    found
}

/// The words of a text: letters and digits.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).collect()
}

/// The names that are not found.
fn missing<'a>(names: &[&'a str], found: &BTreeSet<&str>) -> Vec<&'a str> {
    names.iter().filter(|name| !found.contains(*name)).copied().collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_format_that_is_not_named_is_found() {
    let list = ["u8", "u16be", "u24be", "u32be", "u40be"];
    let prose = "`u8`, and `u16be` to `u32be`; u40be";
    assert_eq!(missing(&list, &quoted(prose, &list)), ["u40be"]);
    assert_eq!(missing(&list, &words("u8, u24be, u32be, u40be2")), ["u16be", "u40be"]);
    let page = include_str!("../docs/framings.md");
    assert_eq!(missing(&["V1", "U40Be"], &quoted(page, &types())), ["U40Be"]);
    assert_eq!(missing(&["u8", "u40be"], &python()), ["u40be"]);
    assert_eq!(missing(&["u8", "u40be"], &words(annex())), ["u40be"]);
}

/// The formats that the sources declare.
#[test]
fn every_format_of_the_sources_is_in_the_list() {
    let mut declared = BTreeSet::new();
    let folder = |path: &str| fs::read_dir(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    let entries = folder("src/format").unwrap().chain(folder("src/format/v1").unwrap());
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).unwrap();
        let implemented = text.lines().filter_map(|line| line.strip_prefix("impl Format for "));
        declared.extend(implemented.map(|line| line.trim_end_matches(" {").to_owned()));
        let versions = text.lines().filter_map(|line| line.strip_prefix("format_of_version!("));
        declared.extend(versions.map(|line| line.split(',').next().unwrap().to_owned()));
        for prefix in text.split("\nprefix!(\n").skip(1) {
            let line = prefix.lines().find(|line| !line.contains("///")).unwrap();
            declared.insert(line.trim().split(',').next().unwrap().to_owned());
        }
    }
    // They are not in the list: their layout and length are given at run time.
    assert!(declared.remove("LengthField") && declared.remove("Fixed"));
    // It is the header of `V2`, which has a check after the payload as well.
    assert!(declared.remove("V2Header"));
    assert_eq!(declared, types().into_iter().map(str::to_owned).collect());
}

fn annex() -> &'static str {
    between(SPEC, "## Annex A", "## Annex B")
}

/// Chapters 3 to 5 describe `v1`, and Annex A the others.
#[test]
fn the_specification_describes_every_format() {
    let annex = annex().to_lowercase();
    let others: Vec<_> = names().into_iter().filter(|name| *name != "v1").collect();
    assert_eq!(missing(&others, &words(&annex)), NONE);
}

/// The rows of A.2: one or two names, and the number of bytes.
#[test]
fn the_table_of_prefixes_is_in_the_list() {
    let table = between(annex(), "| name | bytes |", "\n\n");
    let rows: Vec<_> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), 6, "{table}");
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for name in cells[1].split(", ") {
            let listed = LIST.iter().find(|(_, listed, _)| *listed == name);
            let (.., len) = listed.unwrap_or_else(|| panic!("{name} is not in the list"));
            assert_eq!(cells[2], len.to_string(), "{name}");
        }
    }
}

#[test]
fn the_vectors_use_every_format_and_no_other() {
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            collect(&serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(), &mut used);
        }
    }
    // They are not in the list: `v2` has a check, and the others have no header that varies.
    for name in ["fixed", "lines", "delimited", "any-delimiter", "cobs", "slip", "hdlc", "v2"] {
        assert!(used.remove(name), "no vector has {name}");
    }
    assert!(used.remove("field"), "no vector has a length field");
    assert_eq!(used, names().into_iter().map(str::to_owned).collect());
}

/// Collects the values of all members called `format`, without parameters and checks.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            if let Some(Value::String(format)) = members.get("format") {
                found.insert(format.split([':', '+']).next().unwrap_or_default().to_owned());
            }
            members.values().for_each(|member| collect(member, found));
        }
        _ => {}
    }
}

#[test]
fn the_page_of_the_vectors_names_every_format() {
    let page = include_str!("../vectors/README.md");
    let row = between(page, "\n| `format` |", "\n");
    assert_eq!(missing(&names(), &quoted(row, &names())), NONE);
}

/// The keys of the table `FORMATS`.
fn python() -> BTreeSet<&'static str> {
    let table = between(PYTHON, "\nFORMATS = {", "\n}");
    table.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect()
}

#[test]
fn python_has_every_format_and_no_other() {
    assert_eq!(python(), names().into_iter().collect());
    assert_eq!(PYTHON.matches("FORMATS[").count(), 1, "the table is not complete");
}

#[test]
fn the_page_about_framings_names_every_format() {
    let page = include_str!("../docs/framings.md");
    let list = between(page, "\nFormats that ship: ", "\n\n");
    assert_eq!(missing(&types(), &quoted(list, &types())), NONE);
}

/// A test of the command compares `--help`.
#[test]
fn the_readme_of_the_command_names_every_format() {
    let readme = include_str!("../cli/README.md");
    let list = between(readme, "\n`--format` accepts any format of the library: ", "\n\n");
    assert_eq!(missing(&names(), &quoted(list, &names())), NONE);
}
