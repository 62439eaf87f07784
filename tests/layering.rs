//! The layers of the library: what each file may import, how long it may be, and where a feature may
//! be asked for.
//!
//! A file belongs to the layer that is named after its folder or itself. It may import from layers
//! before its own, and from other files of its layer, as long as no circle of imports arises among
//! files. Imports are `use` items and paths that begin with `crate`, `super`, `self` or a child
//! module. A path leads to the file that defines the item, through every re-export. Code under
//! `#[cfg(test)]` is left out.
//!
//! A re-export of a child's item is an import only if the file itself uses the name. So a `mod.rs`
//! can define a type that its children use, and publish theirs, but not use theirs as well.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers, lowest first. Those of one line may not use each other.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["format"],
    &["check"],
    &["mark"],
    &["serialize"],
    &["frame"],
    &["wire"],
    &["framing"],
    &["decoder"],
    &["scan"],
    &["encode"],
    &["families"],
    &["storage"],
    &["datagram"],
    &["frame_buf"],
    &["write_buf"],
    &["engine"],
    &["udp"],
    &["io"],
    &["tokio", "futures", "embedded_io"],
    &["embedded_io_async"],
    &["codec"],
];

/// The features of adapters, and the folders in which alone they may be asked for.
const ADAPTERS: &[(&str, &str)] = &[
    ("tokio", "tokio/"),
    ("tokio-util", "codec/"),
    ("futures-io", "futures/"),
    ("embedded-io", "embedded_io/"),
    ("embedded-io-async", "embedded_io_async/"),
];

const MAX_FILE_LINES: usize = 600;
/// Of all files together, so that a library which grows is looked at.
const MAX_LINES: usize = 24_000;

/// The text of each file, by its path in `src`.
type Sources = BTreeMap<String, String>;
/// A module as the names that lead to it from the crate's root.
type Module = Vec<String>;

fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (Sources::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// Splits Rust into identifiers and single characters, without comments and literals. `::` is one
/// token.
fn tokens(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if c == '"' {
            literal(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            literal(rest, '\'')
        } else if c.is_alphanumeric() || c == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..len].to_owned());
            len
        } else {
            let len = if rest.starts_with("::") { 2 } else { c.len_utf8() };
            if !c.is_whitespace() {
                found.push(rest[..len].to_owned());
            }
            len
        };
        rest = &rest[len..];
    }
    found
}

/// The length of a literal between two `quote`s.
fn literal(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string, if `text` begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix("br").or(text.strip_prefix('r'))?;
    let content = hashes.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(hashes.len() - content.len()));
    let content = content.strip_prefix('"')?;
    let at = content.find(&end)?;
    Some(text.len() - content.len() + at + end.len())
}

/// The index after the item at `at`: after its `;` or its last brace.
fn item_end(tokens: &[String], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match &*tokens[at] {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Removes items under `#[cfg(test)]` and `#[cfg(all(test, …))]`. Returns the names of the removed
/// modules too.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, BTreeSet<String>) {
    let (mut kept, mut removed, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < tokens.len() {
        let is = |expected: &[&str]| tokens[at..].iter().take(expected.len()).eq(expected);
        if is(&["#", "[", "cfg", "(", "test"]) || is(&["#", "[", "cfg", "(", "all", "(", "test"]) {
            let mut end = at;
            while tokens.get(end).is_some_and(|token| token == "#") {
                end = 1 + end + closing(&tokens[end + 1..]);
            }
            if tokens[end] == "mod" {
                removed.insert(tokens[end + 1].clone());
            }
            at = item_end(&tokens, end);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, removed)
}

/// The number of tokens from an opening bracket to the one that closes it.
fn closing(tokens: &[String]) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate() {
        match &**token {
            "[" | "(" | "{" => depth += 1,
            "]" | ")" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The module that a file is.
fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A path in a source, resolved to names from the crate's root.
struct Import {
    path: Vec<String>,
    /// The name that it has in the file, and whether it is public; for a `use`.
    bound: Option<(String, bool)>,
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    imports: Vec<Import>,
}

impl Reader<'_> {
    fn token(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token)
    }

    /// Reads a path, or in a `use` (if `bound` is there) a tree of them.
    fn tree(&mut self, mut path: Vec<String>, bound: Option<bool>) {
        loop {
            match self.token() {
                "{" if bound.is_some() => {
                    self.at += 1;
                    while !matches!(self.token(), "}" | "") {
                        self.tree(path.clone(), bound);
                        if self.token() == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "super" => drop(path.pop()),
                "self" => {}
                name if name == "*"
                    || name.starts_with(|c: char| c.is_alphabetic() || c == '_') =>
                {
                    path.push(name.to_owned());
                }
                _ => break,
            }
            self.at += 1;
            if self.token() != "::" {
                break;
            }
            self.at += 1;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if bound.is_some() && self.token() == "as" {
            name.clone_from(&self.tokens[self.at + 1]);
            self.at += 2;
        }
        self.imports.push(Import { path, bound: bound.map(|public| (name, public)) });
    }
}

/// Reads the imports of a file. Returns the names that it uses outside of `use` items too.
fn imports(file: &str, tokens: &[String]) -> (Vec<Import>, BTreeSet<String>) {
    let mut reader = Reader { tokens, at: 0, imports: Vec::new() };
    let (mut names, mut children) = (BTreeSet::new(), BTreeSet::new());
    // The modules that are open, each with the depth of its brace.
    let (mut scope, mut depth, mut inline) = (module(file), 0, Vec::new());
    while reader.at < tokens.len() {
        let at = reader.at;
        let before = at.checked_sub(1).map_or("", |before| &*tokens[before]);
        let next = tokens.get(at + 1).map_or("", |token| token);
        match reader.token() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    scope.pop();
                }
            }
            "mod" => {
                if tokens.get(at + 2).is_some_and(|token| token == "{") {
                    inline.push(depth);
                    scope.push(next.to_owned());
                } else {
                    children.insert(next.to_owned());
                }
                reader.at += 1;
            }
            // `pub(in super)` and `pub(crate)` import nothing.
            "pub" if next == "(" => reader.at = at + closing(&tokens[at + 1..]),
            first @ ("crate" | "super" | "self") if next == "::" => {
                let start = if first == "crate" { Vec::new() } else { scope.clone() };
                reader.at += if first == "crate" { 2 } else { 0 };
                reader.tree(start, None);
                continue;
            }
            "use" => {
                let public = matches!(before, "pub" | ")");
                reader.at += 1;
                let start = match reader.token() {
                    "crate" => {
                        reader.at += 2;
                        Some(Vec::new())
                    }
                    "super" | "self" => Some(scope.clone()),
                    name if children.contains(name) => Some(scope.clone()),
                    _ => None,
                };
                match start {
                    Some(start) => reader.tree(start, Some(public)),
                    None => reader.at = item_end(tokens, at),
                }
                continue;
            }
            name if children.contains(name) && next == "::" && before != "::" => {
                reader.tree(scope.clone(), None);
                continue;
            }
            // Neither the name of a field or method, nor that of a local value.
            name => {
                let free = !matches!(before, "." | "::" | "fn");
                let type_or_call =
                    name.starts_with(char::is_uppercase) || matches!(next, "(" | "::");
                if free && type_or_call {
                    names.insert(name.to_owned());
                }
            }
        }
        reader.at += 1;
    }
    (reader.imports, names)
}

/// Follows a path to the module that defines its item.
fn resolve(
    path: &[String],
    modules: &BTreeSet<Module>,
    exports: &BTreeMap<Vec<String>, Vec<String>>,
) -> Module {
    let mut current = Module::new();
    for (i, name) in path.iter().enumerate() {
        let mut next = current.clone();
        next.push(name.clone());
        if !modules.contains(&next) {
            // A re-export, and what comes after it; or an item, with methods after it.
            return match exports.get(&next) {
                Some(target) if *target != next => {
                    let target = [target, &path[i + 1..]].concat();
                    resolve(&target, modules, exports)
                }
                _ => current,
            };
        }
        current = next;
    }
    current
}

/// The imports among files.
fn graph(sources: &Sources) -> BTreeMap<String, BTreeSet<String>> {
    let mut read = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for (file, text) in sources {
        let (tokens, removed) = without_tests(tokens(text));
        for name in removed {
            tests.insert([module(file), vec![name]].concat());
        }
        read.insert(file, tokens);
    }
    read.retain(|file, _| !tests.contains(&module(file)));
    let files: BTreeMap<_, _> = read.keys().map(|&file| (module(file), file.clone())).collect();
    let modules: BTreeSet<_> = files.keys().cloned().collect();

    let mut exports = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (&file, tokens) in &read {
        let (imports, names) = imports(file, tokens);
        for import in &imports {
            if let Some((name, _)) = &import.bound {
                exports.insert([module(file), vec![name.clone()]].concat(), import.path.clone());
            }
        }
        // A macro that is exported is an item of the root.
        for triple in tokens.windows(3).filter(|triple| triple[0] == "macro_rules") {
            let path = [module(file), vec![triple[2].clone()]].concat();
            exports.insert(vec![triple[2].clone()], path);
        }
        found.insert(file, (imports, names));
    }

    let mut graph = BTreeMap::new();
    for (file, (imports, names)) in found {
        let own = module(file);
        let targets: BTreeSet<_> = imports
            .iter()
            .filter(|import| match &import.bound {
                Some((name, true)) if import.path.starts_with(&own) => names.contains(name),
                _ => true,
            })
            .map(|import| files[&resolve(&import.path, &modules, &exports)].clone())
            .filter(|target| target != file)
            .collect();
        graph.insert(file.clone(), targets);
    }
    graph
}

/// The layer of a file: its name and rank.
fn layer(file: &str) -> Option<(String, usize)> {
    let name = module(file).into_iter().next()?;
    let rank = LAYERS.iter().position(|names| names.contains(&&*name))?;
    Some((name, rank))
}

/// Returns a line for each import that the layers do not allow.
fn violations(sources: &Sources) -> Vec<String> {
    let mut graph = graph(sources);
    graph.remove("lib.rs"); // it publishes all layers
    let mut found = Vec::new();
    for (file, targets) in &graph {
        let Some((name, rank)) = layer(file) else {
            found.push(format!("{file} is in no layer"));
            continue;
        };
        for target in targets {
            match layer(target) {
                Some((other, at)) if at < rank || other == name => {}
                _ => found.push(format!("{file} imports from {target}, which is not below it")),
            }
        }
    }
    // Without the files that import nothing, again and again, only circles and their users are left.
    loop {
        let left: BTreeSet<_> = graph.keys().cloned().collect();
        let before = graph.len();
        graph.retain(|_, targets| targets.iter().any(|target| left.contains(target)));
        if graph.len() == before {
            break;
        }
    }
    loop {
        let used: BTreeSet<_> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        graph.retain(|file, _| used.contains(file));
        if graph.len() == before {
            break;
        }
    }
    if !graph.is_empty() {
        let circle: Vec<_> = graph.keys().map(String::as_str).collect();
        found.push(format!("a circle of imports goes through {}", circle.join(", ")));
    }
    found
}

#[test]
fn imports_lead_to_lower_layers_and_form_no_circle() {
    let sources = sources();
    let edges: usize = graph(&sources).values().map(BTreeSet::len).sum();
    assert!(edges > 150, "only {edges} imports were found");
    assert_eq!(violations(&sources), [""; 0]);
}

#[test]
fn an_import_from_a_higher_layer_is_reported() {
    for import in [
        "use crate::engine::ReadEngine;",
        "use crate::{Format, FrameBuf};",
        "pub fn f(_: &crate::write_buf::WriteBufError) {}",
        "mod inner { use super::super::scan::Found; }",
    ] {
        let mut sources = sources();
        let text = sources.get_mut("error/mod.rs").unwrap();
        text.push_str(import);
        assert!(!violations(&sources).is_empty(), "not reported: {import}");
        let text = sources.get_mut("error/mod.rs").unwrap();
        text.truncate(text.len() - import.len());
        text.push_str(&format!("#[cfg(test)] mod made_up {{ {import} }} // {import}"));
        assert_eq!(violations(&sources), [""; 0]);
    }
}

#[test]
fn a_circle_inside_a_layer_is_reported() {
    let files = [
        ("lib.rs", "mod format;"),
        ("format/mod.rs", "mod a; mod b; pub use a::A; pub trait Format {}"),
        ("format/a.rs", "use super::Format; pub struct A;"),
        ("format/b.rs", "use super::A; pub struct B;"),
    ];
    let sources: Sources = files.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
    assert_eq!(violations(&sources), [""; 0]);
    for (file, text) in [("format/a.rs", "use super::b::B;"), ("format/mod.rs", "type Alias = A;")]
    {
        let mut sources = sources.clone();
        sources.get_mut(file).unwrap().push_str(text);
        let found = violations(&sources);
        assert!(found.iter().any(|line| line.contains("circle")), "{file}: {text}: {found:?}");
    }
}

#[test]
fn features_of_adapters_are_asked_for_in_their_folders_only() {
    for (file, text) in sources() {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (feature, folder) in ADAPTERS {
                let asked = line.contains(&format!("feature = \"{feature}\""));
                assert!(!asked || file == "lib.rs" || file.starts_with(folder), "{file}: {line}");
            }
        }
    }
}

#[test]
fn files_and_library_stay_short() {
    let mut lines = 0;
    for (file, text) in sources() {
        let len = text.lines().count();
        assert!(len <= MAX_FILE_LINES, "{file} has {len} lines");
        lines += len;
    }
    assert!(lines <= MAX_LINES, "{lines} lines");
}
