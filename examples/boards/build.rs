//! Which board is emulated for the target, and where its memory is.

use std::{env, fs, path::Path};

fn main() {
    let target = env::var("TARGET").expect("cargo sets it");
    let (board, flash, ram): (_, (u32, u32), (u32, u32)) = match target.as_str() {
        "thumbv7m-none-eabi" => ("lm3s6965evb", (0, 256), (0x2000_0000, 64)),
        "thumbv6m-none-eabi" => ("microbit", (0, 256), (0x2000_0000, 16)),
        "riscv32imc-unknown-none-elf" => ("virt", (0x8000_0000, 256), (0x8010_0000, 64)),
        other => panic!("no board for {other}; the README has the targets"),
    };
    let script = format!(
        "MEMORY {{\n  FLASH (rx) : ORIGIN = {:#x}, LENGTH = {}K\n  RAM (rw) : ORIGIN = {:#x}, LENGTH = {}K\n}}\n{}",
        flash.0,
        flash.1,
        ram.0,
        ram.1,
        include_str!("sections.ld"),
    );
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let file = Path::new(&out).join("link.ld");
    fs::write(&file, script).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-arg-bins=-T{}", file.display());
    println!("cargo::rustc-link-arg-bins=--gc-sections");
    println!("cargo::rustc-cfg=board=\"{board}\"");
    println!("cargo::rustc-check-cfg=cfg(board, values(\"lm3s6965evb\", \"microbit\", \"virt\"))");
    println!("cargo::rerun-if-changed=sections.ld");
}
