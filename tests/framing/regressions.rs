//! Every body of the fuzz targets over the committed corpus, and over the inputs that once failed.

use std::fs;
use std::path::{Path, PathBuf};

use unstick_testing::bodies;

/// The files of a folder; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A failing input fails by a panic in its body: the name of the file stands before it.
#[test]
fn every_body_passes_over_every_file() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, body) in bodies::ALL {
        body(b"");
        for folder in ["corpus", "regressions"] {
            let files = files(&fuzz.join(folder).join(target));
            assert!(folder != "corpus" || !files.is_empty(), "{target} has no seeds");
            for file in files {
                println!("{}", file.display());
                body(&fs::read(&file).unwrap());
            }
        }
    }
}

/// No folder of inputs is passed over because of its name, and no target is.
#[test]
fn every_target_has_a_body_and_every_folder_a_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let paths = files(&fuzz.join(folder)).into_iter();
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut bodies: Vec<_> = bodies::ALL.iter().map(|(target, _)| (*target).to_owned()).collect();
    bodies.sort();
    assert_eq!(names("fuzz_targets"), bodies);
    assert_eq!(names("corpus"), bodies);
    for folder in names("regressions") {
        assert!(folder == "README" || names("fuzz_targets").contains(&folder), "{folder}");
    }
}
