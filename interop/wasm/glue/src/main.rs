//! Writes the JavaScript around a module that was built with wasm-bindgen: `glue MODULE OUT`. `OUT/web` is
//! a package of ES modules, and `OUT/script` a script for a page without modules.

use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, out] = args.as_slice() else {
        eprintln!("usage: glue MODULE OUT");
        return ExitCode::from(2);
    };
    let write = |name: &str, select: &dyn Fn(&mut Bindgen)| {
        let mut bindgen = Bindgen::new();
        bindgen.input_path(module).out_name("unstick").typescript(true);
        bindgen.omit_default_module_path(true).remove_name_section(true);
        bindgen.remove_producers_section(true);
        select(&mut bindgen);
        bindgen.generate(Path::new(out).join(name))
    };
    let written = write("web", &|bindgen| {
        let _ = bindgen.web(true);
    })
    .and_then(|()| {
        write("script", &|bindgen| {
            let _ = bindgen.no_modules(true);
        })
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
