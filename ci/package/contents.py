#!/usr/bin/env python3
"""What is in the packed crates: contents.py [--release] CRATE…"""

import os
import re
import subprocess
import sys
import tarfile
import tomllib

# By package: its folder, and what of it is packed; a folder means every file in it.
PACKED = {
    "unstick": (".", ["src/", "examples/", "spec.md", "CHANGELOG.md"]),
    "unstick-conformance": ("conformance", ["src/", "examples/"]),
    "unstick-cookbook": ("cookbook", ["src/"]),
    "unstick-session": ("session", ["src/", "examples/"]),
    "unstick-cli": ("cli", ["src/", "vectors/"]),
}
IN_EACH = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"]
BY_CARGO = {".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"}
LIMIT = 384 * 1024  # of a packed crate, in bytes; a corpus or a report would be more

failures = []


def check(right, text):
    if not right:
        failures.append(text)


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def in_repository(folder):
    """Its files, those that are not committed yet too; a linked folder's are the folder's."""
    if os.path.islink(folder):
        folder = os.path.relpath(os.path.realpath(folder))
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "--", folder)
    return {os.path.relpath(path, folder) for path in listed.splitlines() if os.path.exists(path)}


def expected(folder, parts):
    for part in parts + IN_EACH:
        if part.endswith("/"):
            paths = list(in_repository(os.path.join(folder, part[:-1])))
            # A package inside is not part of this one.
            inner = tuple(path.removesuffix("Cargo.toml") for path in paths if path.endswith("/Cargo.toml"))
            yield from (part + path for path in paths if not path.startswith(inner))
        else:
            yield part


def links(markdown):
    """The relative ones."""
    outside_code = re.sub(r"^```.*?^```", "", markdown, flags=re.S | re.M)
    found = re.findall(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)|\b(?:src|srcset|href)=\"([^\"]+)\"", outside_code, flags=re.M)
    for link in (a or b or c for a, b, c in found):
        if not re.match(r"[a-z]+:|#", link):
            yield link.split("#")[0]


def look_into(path, release):
    with tarfile.open(path) as archive:
        files = {}
        for member in archive:
            top, _, name = member.name.partition("/")
            check(member.isfile(), f"{member.name} is no plain file")
            files[name] = archive.extractfile(member).read()
    package = tomllib.loads(files["Cargo.toml"].decode())["package"]
    name = package["name"]
    folder, parts = PACKED[name]

    want = set(expected(folder, parts))
    for more in sorted(files.keys() - want - BY_CARGO):
        check(False, f"{name}: {more} is packed and should not be")
    for less in sorted(want - files.keys()):
        check(False, f"{name}: {less} is not packed and should be")

    size = os.path.getsize(path)
    check(size <= LIMIT, f"{name}: {size} bytes, {LIMIT} are allowed")

    for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
        with open(licence, "rb") as original:
            check(files.get(licence) == original.read(), f"{name}: {licence} is not the repository's")

    # A path of the machine that packed it says nothing elsewhere.
    for machine in {os.getcwd(), os.path.expanduser("~")}:
        for file, content in files.items():
            check(machine.encode() + b"/" not in content, f"{name}: {file} holds the path {machine}")

    # crates.io looks for them in the repository, from the folder of the README.
    for file in (file for file in files if file.endswith(".md")):
        origin = os.path.dirname(os.path.realpath(os.path.join(folder, file)))
        for link in links(files[file].decode()):
            check(os.path.exists(os.path.join(origin, link)), f"{name}: {file} links to {link}, which is not there")

    if release:
        version = package["version"]
        check("repository" in package, f"{name}: no repository in Cargo.toml: the README's links lead nowhere")
        with open("CHANGELOG.md", encoding="utf-8") as changelog:
            dated = re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog.read(), flags=re.M)
        check(dated, f"{name}: CHANGELOG.md has no dated chapter for {version}")
        check(version not in git("tag", "--list").replace("v", "").split(), f"{name}: there is a tag for {version}")
    print(f"{name} {package['version']}: {len(files)} files, {size} bytes packed")
    return name


def main(arguments):
    release = "--release" in arguments
    found = [look_into(path, release) for path in arguments if path != "--release"]
    check(sorted(found) == sorted(PACKED), f"packed are {found}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
