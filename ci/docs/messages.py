#!/usr/bin/env python3
"""What the compiler says of a program that does not fit a framing.

Each program in messages/ must not compile, and each of its first lines that begins with `//~` must be in what the
compiler says. The library is built as the default features have it, which need no other crate.
"""

import json
import subprocess
import sys
from pathlib import Path

build = ["cargo", "build", "--quiet", "--locked", "-p", "unstick", "--lib", "--message-format", "json"]
lines = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
artifacts = [json.loads(line) for line in lines if '"compiler-artifact"' in line]
[library] = [
    name
    for artifact in artifacts
    if artifact["target"]["name"] == "unstick"
    for name in artifact["filenames"]
    if name.endswith(".rmeta")
]

failures = []
programs = sorted(Path(__file__).with_name("messages").glob("*.rs"))
for program in programs:
    text = program.read_text()
    wanted = [line.removeprefix("//~ ") for line in text.splitlines() if line.startswith("//~ ")]
    compile = ["rustc", "--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "-o", "/dev/null"]
    compiled = subprocess.run(
        [*compile, "--extern", f"unstick={library}", program], stderr=subprocess.PIPE, text=True
    )
    if compiled.returncode == 0 or not wanted:
        failures.append(f"{program.name}: it compiles, or says nothing of what is wrong")
    failures += [
        f"{program.name}: no `{line}` in\n{compiled.stderr}" for line in wanted if line not in compiled.stderr
    ]
print("\n".join(failures), file=sys.stderr, end="\n" if failures else "")
print(f"{len(programs)} programs that do not compile say why")
sys.exit(bool(failures) or not programs)
