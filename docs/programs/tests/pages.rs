//! The tutorial has the same pages and the same programs in both languages, and all of them run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

const LANGUAGES: [&str; 2] = ["tutorial", "zh/tutorial"];
const INDEX: &str = "README.md";

fn read(page: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(docs.join(page)).unwrap().replace("\r\n", "\n")
}

/// The names of the steps' pages, in order.
fn steps(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".md") && name != INDEX);
    names.sort();
    names
}

/// The code blocks of a page, each with its fence line. The fence of Rust begins with `rust`.
fn code_blocks(page: &str) -> Vec<String> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.map(str::to_owned).collect()
}

/// Removes comments, and then empty lines.
fn without_comments(code: &str) -> String {
    let lines = code.lines().map(|line| line[..comment_start(line)].trim_end());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Where `//` is that is not in a string, or the line's length.
fn comment_start(line: &str) -> usize {
    let (mut is_string, mut is_escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_string = !is_string,
            '/' if !is_string && line[at..].starts_with("//") => return at,
            _ => {}
        }
    }
    line.len()
}

/// The relative links to Markdown files, without their anchors.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| target.ends_with(".md") && !target.contains(':')).collect()
}

#[test]
fn comments_are_removed_and_strings_are_kept() {
    let code = "let a = \"// no\"; // yes\n// all\n\nlet b = \"\\\"//\";";
    assert_eq!(without_comments(code), "let a = \"// no\";\nlet b = \"\\\"//\";");
}

#[test]
fn both_languages_have_the_same_steps() {
    let [english, chinese] = LANGUAGES.map(steps);
    assert_eq!(english.len(), 9);
    assert_eq!(english, chinese);
}

#[test]
fn programs_differ_by_comments_alone() {
    for step in steps(LANGUAGES[0]) {
        let [english, chinese] = LANGUAGES.map(|folder| {
            let blocks = code_blocks(&read(&format!("{folder}/{step}")));
            let programs = blocks.iter().filter(|block| block.starts_with("rust"));
            programs.map(|block| without_comments(block)).collect::<Vec<_>>()
        });
        assert_eq!(english, chinese, "{step}");
        assert!(english.len() >= 2, "{step}: a naive program, and one with the crate");
    }
}

#[test]
fn every_program_is_whole_and_runs() {
    let doctests =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("lib.rs")).unwrap();
    for folder in LANGUAGES {
        for step in steps(folder) {
            let include = format!("include_str!(\"../{folder}/{step}\")");
            assert!(doctests.contains(&include), "lib.rs leaves {folder}/{step} out");
            for block in code_blocks(&read(&format!("{folder}/{step}"))) {
                let (fence, code) = block.split_once('\n').unwrap();
                if !["console", "text"].contains(&fence) {
                    assert!(["rust", "rust,ignore-windows"].contains(&fence), "{step}: {fence}");
                    assert!(code.contains("fn main() -> "), "{step}: {code}");
                }
            }
        }
    }
}

#[test]
fn pages_lead_to_the_one_before_the_one_after_and_the_other_language() {
    for (folder, other) in [("tutorial", "../zh/tutorial"), ("zh/tutorial", "../../tutorial")] {
        let steps = steps(folder);
        let index = read(&format!("{folder}/{INDEX}"));
        assert!(links(&index).contains(&&*format!("{other}/{INDEX}")), "{folder}");
        let listed = links(&index).into_iter().filter(|link| !link.contains('/'));
        assert!(listed.eq(steps.iter()), "the contents of {folder} are the steps, in order");

        for (i, step) in steps.iter().enumerate() {
            let page = read(&format!("{folder}/{step}"));
            // The line below the title, before the first paragraph.
            let head = page.split("\n\n").nth(1).unwrap();
            let before = i.checked_sub(1).map(|i| steps[i].clone());
            let after = steps.get(i + 1).cloned();
            let expected = [Some(INDEX.into()), before, after, Some(format!("{other}/{step}"))];
            assert!(links(head).into_iter().eq(expected.iter().flatten()), "{folder}/{step}");
            // And the last paragraph leads on.
            let end = page.trim_end().rsplit("\n\n").next().unwrap();
            let next = steps.get(i + 1).map_or(INDEX, |next| next);
            assert!(links(end).contains(&next), "{folder}/{step}");
        }
    }
}

#[test]
fn links_lead_to_files() {
    for folder in LANGUAGES {
        let pages = steps(folder).into_iter().chain([INDEX.to_owned()]);
        for page in pages {
            for link in links(&read(&format!("{folder}/{page}"))) {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(link);
                assert!(path.is_file(), "{folder}/{page} leads to {link}");
            }
        }
    }
}
