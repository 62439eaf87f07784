//! A program without a runtime: no start files, no libraries, nothing that is not called.

fn main() {
    // A board's linker is called without a compiler in front.
    let args: &[&str] = if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        &["--gc-sections", "-e", "entry"]
    } else {
        &["-nostartfiles", "-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,-e,entry"]
    };
    for arg in args {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
