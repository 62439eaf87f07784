//! Prints a library's public interface, an item a line, in a section for each set of features: an
//! item stands under the first set that brings it.
//!
//! ```console
//! api TITLE JSON [TITLE JSON…]
//! ```
//!
//! Each JSON is what rustdoc wrote for that set. Sets come in the order of their sections, the one
//! with all features last. `check` runs it.

use public_api::{Builder, PublicItem};
use std::collections::HashSet;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (sets, []) = arguments.as_chunks() else {
        return Err("usage: api TITLE JSON [TITLE JSON…]".into());
    };
    let mut seen = HashSet::new();
    let mut of_last = HashSet::new();
    for [title, json] in sets {
        println!("\n## {title}\n");
        of_last.clear();
        for line in listing(json).map_err(|error| format!("{json}: {error}"))? {
            if seen.insert(line.clone()) {
                println!("{line}");
            }
            of_last.insert(line);
        }
    }
    let mut lost: Vec<_> = seen.difference(&of_last).collect();
    lost.sort();
    if lost.is_empty() {
        return Ok(());
    }
    Err(format!("a feature takes away, or changes, what is there without it: {lost:#?}").into())
}

fn listing(json: &str) -> Result<Vec<String>, public_api::Error> {
    let api = Builder::from_rustdoc_json(json).omit_blanket_impls(true).build()?;
    let foreign: HashSet<_> = api
        .items()
        .filter(|item| is_of_the_standard_library(&trait_of(item)))
        .map(PublicItem::id)
        .collect();
    let is_said_by_its_trait = |item: &PublicItem| {
        item.parent_id().is_some_and(|id| foreign.contains(&id))
            && item.to_string().starts_with("pub fn ")
    };
    Ok(api
        .items()
        .filter(|item| !is_said_by_its_trait(item) && !has_no_stable_name(&trait_of(item)))
        .map(ToString::to_string)
        .collect())
}

/// The trait that an item implements, as `core::fmt::Debug for …`; nothing if it implements none.
fn trait_of(item: &PublicItem) -> String {
    let text = item.to_string();
    let Some(rest) = text.strip_prefix("impl") else { return String::new() };
    let mut depth = 0;
    let mut before = ' ';
    let end_of_generics = rest.find(|c| {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        before = c;
        c == ' ' && depth == 0
    });
    let head = end_of_generics.map_or("", |at| rest[at..].trim_start());
    if head.contains(" for ") { head.to_owned() } else { String::new() }
}

fn is_of_the_standard_library(head: &str) -> bool {
    ["core::", "alloc::", "std::"].iter().any(|krate| head.starts_with(krate))
}

/// Traits that come and go with the compiler, which no program on a stable one can ask for.
fn has_no_stable_name(head: &str) -> bool {
    ["Freeze ", "UnsafeUnpin ", "StructuralPartialEq "]
        .iter()
        .any(|name| head.strip_prefix("core::marker::").is_some_and(|rest| rest.starts_with(name)))
}
