//! Every requirement of the specification has a vector or is cited by a test, and every citation
//! exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const SPEC: &str = include_str!("../../spec.md");

/// `ABC-1`: three capitals and a number.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(letters, number)| {
        letters.len() == 3
            && letters.bytes().all(|byte| byte.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The ids that the specification defines, each where it stands in bold.
fn defined() -> Vec<&'static str> {
    let rest = SPEC.split("**[").skip(1);
    rest.map(|rest| rest.split_once("]**").expect("a closing bracket").0).collect()
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                files(&path, into);
            }
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "py") {
            into.push(path);
        }
    }
}

/// What the vectors say that they test.
fn vectors(root: &Path, cited: &mut BTreeMap<String, Vec<String>>) {
    for entry in fs::read_dir(root.join("vectors")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "json") || path.ends_with("schema.json") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            let place = format!("vector {}", vector["id"].as_str().unwrap());
            for id in vector["requirements"].as_array().unwrap() {
                cited.entry(id.as_str().unwrap().to_owned()).or_default().push(place.clone());
            }
        }
    }
}

/// What the tests cite, and where.
fn cited() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for dir in [
        "src",
        "tests",
        "testing",
        "session",
        "cli/src",
        "cli/tests",
        "conformance",
        "cookbook",
        "interop",
    ] {
        files(&root.join(dir), &mut paths);
    }
    let mut cited: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        // All of `testing` is tests.
        let in_src = !path.starts_with(root.join("testing"))
            && path.components().any(|part| part.as_os_str() == "src");
        let mut in_tests = !in_src;
        for (number, line) in text.lines().enumerate() {
            in_tests |=
                ["#[cfg(test)]", "#[cfg(all(test, feature = \"alloc\"))]"].contains(&line.trim());
            let mut comment = line.trim_start();
            // Beside its tests a source file has those in its documentation.
            let counts = if in_tests { ["//", "#"] } else { ["///", "//!"] };
            if !counts.iter().any(|mark| comment.starts_with(mark)) {
                continue;
            }
            // A hidden comment of a documentation test has several marks.
            while let Some(rest) = comment.strip_prefix(['/', '!', '#', ' ']) {
                comment = rest;
            }
            let Some(ids) = comment.strip_prefix("spec: ") else { continue };
            let place = format!("{}:{}", path.strip_prefix(root).unwrap().display(), number + 1);
            for id in ids.split(',').map(str::trim) {
                assert!(is_id(id), "{place}: no requirement: {id:?}");
                cited.entry(id.to_owned()).or_default().push(place.clone());
            }
        }
    }
    vectors(root, &mut cited);
    cited
}

#[test]
fn ids_are_well_formed_and_unique() {
    let ids = defined();
    assert!(ids.len() >= 60, "only {} found", ids.len());
    for id in &ids {
        assert!(is_id(id), "{id}");
    }
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "an id is defined twice: {ids:?}");
}

#[test]
fn every_requirement_is_tested() {
    let cited = cited();
    let missing: Vec<_> = defined().into_iter().filter(|id| !cited.contains_key(*id)).collect();
    assert!(missing.is_empty(), "no test cites {}", missing.join(", "));
}

#[test]
fn every_citation_exists() {
    let defined: BTreeSet<_> = defined().into_iter().collect();
    let unknown: Vec<_> =
        cited().into_iter().filter(|(id, _)| !defined.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "no such requirement: {unknown:?}");
}
