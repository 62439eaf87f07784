#!/usr/bin/env python3
"""Says how much of each source file the tests run, and which lines of the core they do not.

    lines.py SUMMARY.json LINES.info     what `cargo llvm-cov report` wrote, with --json and --lcov
"""

import json
import sys
from pathlib import Path

# Lines that no test can run: file, the line or the function that it begins, and the reason. A line
# that says nothing by itself stands behind the one before it.
NAMED = [
    ("codec/incoming.rs", "self.search = None; // no search was to be had",
     "a search begins only where the stream has failed; stands in place of a panic"),
    ("codec/incoming.rs", "self.search = None; // no search was to be had return true;",
     "the same"),
    ("decoder/mod.rs", "_ => DecodeError::Header { at: pos, error: HeaderError::BrokenFormat },",
     "only a decoder that has failed is asked for its error; stands in place of a panic"),
    ("decoder/mod.rs", "Err(_) => (bytes, &[]),",
     "a length that a pointer cannot say: on 32 bits and less"),
    ("decoder/mod.rs", "_ => 0,",
     "asked only while a payload is skipped; stands in place of a panic"),
    ("error.rs", "| Self::Truncated { at, .. }",
     "errors in a slice are shifted, which may go on"),
    ("error.rs", "| Self::Unsynchronized { at, .. }",
     "errors in a datagram are shifted, and nobody searches there"),
    ("format/length_field.rs", "fn format(&self, f: defmt::Formatter<'_>) {",
     "its log needs another program: ci/defmt, a package of its own, runs it"),
    ("frame_buf/growing.rs", "return storage;",
     "the bytes to move always fit; stands in place of a panic"),
    ("storage.rs", "fn usual(&self) -> usize {",
     "what a storage that grows answers; a fixed one is not asked"),
    ("storage.rs", "fn larger(&self, full: bool, max: usize) -> usize {",
     "what a storage that grows answers; a fixed one is not asked"),
    ("storage.rs", "fn resize(&mut self, len: usize) {",
     "what a storage that grows does; a fixed one is not asked"),
    ("format/v1/header.rs", "_ => 0,",
     "a byte is always within a table of 256; stands in place of a panic"),
    ("format/v1/header.rs", "const fn crc_table() -> [u8; 256] {",
     "run by the compiler"),
]

# Beside the core: shown, and not judged.
BESIDE = ("io/", "tokio/", "futures/", "udp/", "embedded_io", "conformance")
# But what an adapter decides without a transport is judged like the core.
DECIDES = (
    "embedded_io/inbox.rs",
    "io/clock.rs",
    "udp/error.rs",
    "udp/receive_slots.rs",
    "udp/received.rs",
    "udp/segment.rs",
    "udp/send_queue/batch.rs",
    "udp/send_queue/mod.rs",
    "udp/stats.rs",
)


def missed_lines(lcov, root):
    """The lines that were never run, by file."""
    missed = {}
    for line in lcov.read_text().splitlines():
        if line.startswith("SF:"):
            path = Path(line[3:])
            name = path.relative_to(root).as_posix() if root in path.parents else None
        elif line.startswith("DA:") and name:
            number, count = line[3:].split(",")[:2]
            if count == "0":
                missed.setdefault(name, []).append(int(number))
    return missed


def extent(source, number):
    """The lines of the item that begins on this one: it alone, or up to its closing brace."""
    begin = source[number - 1]
    if not begin.endswith("{"):
        return {number}
    closing = begin[: len(begin) - len(begin.lstrip())] + "}"
    return set(range(number, source.index(closing, number) + 2))


def main():
    summary, lcov = (Path(argument) for argument in sys.argv[1:])
    root = Path(__file__).resolve().parents[2] / "src"
    missed = missed_lines(lcov, root)
    left, needed = [], set()
    total = {"lines": [0, 0], "regions": [0, 0]}
    print(f"{'':28}{'lines':>12}{'':>9}{'regions':>12}")
    for file in json.loads(summary.read_text())["data"][0]["files"]:
        path = Path(file["filename"])
        if root not in path.parents:
            continue
        name = path.relative_to(root).as_posix()
        source = path.read_text().splitlines()
        core = name in DECIDES or not name.startswith(BESIDE)
        row = f"{name:28}"
        for what, sums in total.items():
            run, count = file["summary"][what]["covered"], file["summary"][what]["count"]
            row += f"{f'{run}/{count}':>12}{100 * run / max(count, 1):7.1f} %"
            if core:
                sums[0] += run
                sums[1] += count
        print(row if core else row + "  (beside the core)")
        if not core:
            continue
        # What a failing test would say, no test runs. Tests come last in a file.
        if "mod tests {" in source:
            missed[name] = [n for n in missed.get(name, []) if n <= source.index("mod tests {")]
        named = set()
        for entry in NAMED:
            for number in missed.get(name, []):
                line = source[number - 1].strip()
                if entry[0] == name and entry[1] in (line, f"{source[number - 2].strip()} {line}"):
                    named |= extent(source, number)
                    needed.add(entry)
        for number in missed.get(name, []):
            if number not in named:
                left.append(f"src/{name}:{number}: {source[number - 1].strip()}")
    row = f"{'the core':28}"
    for run, count in total.values():
        row += f"{f'{run}/{count}':>12}{100 * run / count:7.1f} %"
    print(row)
    print("\nIn the core no test can run:")
    for entry in NAMED:
        name, line, why = entry
        print(f"  src/{name}: {line}  ({why})")
    stale = [entry for entry in NAMED if entry not in needed]
    for name, line, _ in stale:
        print(f"named, and run or gone: src/{name}: {line}", file=sys.stderr)
    for line in left:
        print(f"no test runs {line}", file=sys.stderr)
    sys.exit(bool(left or stale))


if __name__ == "__main__":
    main()
