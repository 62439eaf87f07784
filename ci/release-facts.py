#!/usr/bin/env python3
"""For ci/release: the version, the published packages in their order, and what is wrong with the
versions and the changelog, as assignments for bash."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


metadata = json.loads(lines("cargo", "metadata", "--no-deps", "--format-version", "1")[0])
every = {package["name"]: package for package in metadata["packages"]}
published = {name: package for name, package in every.items() if package["publish"] != []}
version = every["unstick"]["version"]
problems = []

# Those that another one needs come first. A development dependency without a version is not needed.
order = []


def add(name):
    for dependency in published[name]["dependencies"]:
        if dependency["name"] in published and dependency["req"] != "*":
            if dependency["req"] != "^" + version:
                problems.append("%s needs %s %s, not %s" % (name, dependency["name"], dependency["req"], version))
            if dependency["name"] != name:
                add(dependency["name"])
    if name not in order:
        order.append(name)


for name in published:
    add(name)
for name, package in published.items():
    if package["version"] != version:
        problems.append("%s has the version %s, not %s" % (name, package["version"], version))
    if not package["repository"]:
        problems.append("%s has no repository in its Cargo.toml: the links of its README lead nowhere" % name)

for file in lines("git", "ls-files", "Cargo.lock", "*/Cargo.lock"):
    locked = tomllib.loads(Path(file).read_text(encoding="utf-8")).get("package", [])
    old = ["%s %s" % (p["name"], p["version"]) for p in locked if p["name"] in published and p["version"] != version]
    if old:
        manifest = file.replace("Cargo.lock", "Cargo.toml")
        problems.append("%s has %s: cargo update --workspace --manifest-path %s" % (file, ", ".join(old), manifest))

changelog = Path("CHANGELOG.md").read_text(encoding="utf-8")
chapters = re.findall(r"^## (.*)$", changelog, flags=re.M)
dated = [at for at, title in enumerate(chapters) if re.fullmatch(r"\[%s\] - \d{4}-\d\d-\d\d" % re.escape(version), title)]
if not dated:
    problems.append("CHANGELOG.md has no chapter [%s] with a date" % version)
elif not any(title.strip("[]") == "Unreleased" for title in chapters[:dated[0]]):
    problems.append("CHANGELOG.md has no chapter Unreleased above [%s]" % version)

print("version=%s" % shlex.quote(version))
for name, values in ("packages", order), ("problems", dict.fromkeys(problems)):
    print("%s=(%s)" % (name, " ".join(map(shlex.quote, values))))
