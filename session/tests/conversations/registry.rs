//! The registry of codes in chapter 16 of the specification, which is not part of the package.

use unstick_session::message::Code;

const SPEC: &str = include_str!("../../../spec.md");

#[test]
fn the_registry_is_the_one_of_the_specification() {
    // spec: COD-1
    let mut codes = 0;
    for code in (0..=u16::MAX).map(Code) {
        let Some(name) = code.name() else { continue };
        let row = format!("| 0x{:04X} | {name} | ", code.0);
        assert!(SPEC.contains(&row), "{row}");
        codes += 1;
    }
    let rows = SPEC.lines().filter(|line| {
        line.starts_with("| 0x") && line.split(' ').nth(1).is_some_and(|number| number.len() == 6)
    });
    assert_eq!(rows.count(), codes, "the specification has a code that is not here");
}
