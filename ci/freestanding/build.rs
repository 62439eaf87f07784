//! A program without a runtime: no start files, no libraries, nothing that is not called.

fn main() {
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,-e,entry"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
