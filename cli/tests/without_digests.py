#!/usr/bin/env python3
"""Builds a variant of `unstick` with digests that cost almost nothing, and prints its path.
`measure.py` compares it with a raw copy, which computes no digests.

Nothing else differs: every digest is still computed, but it covers only the first 64 bytes, the
bytes after the last whole block of 64, and the length. Only the same variant computes equal
digests.
"""

import json
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE = "src/core_api.rs"
ALL_BLOCKS = """\
        self.block_len += blocks.len() as u64;
        compress256(&mut self.state, blocks);
"""
FIRST_BLOCK = """\
        if self.block_len == 0 {
            compress256(&mut self.state, &blocks[..blocks.len().min(1)]);
        }
        self.block_len += blocks.len() as u64;
"""


def main():
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target"), "without-digests")
    with tempfile.TemporaryDirectory(prefix="unstick-without-digests-") as folder:
        # In a copy, because the patched digest changes the lock file.
        tree, sha2 = f"{folder}/tree", f"{folder}/sha2"
        run("git", "-C", ROOT, "checkout-index", "--all", f"--prefix={tree}/")
        copy_without_digests(sha2)
        run(
            *("cargo", "build", "--release", "-p", "unstick-cli", "--target-dir", target),
            *("--config", f'patch.crates-io.sha2.path="{sha2}"'),
            cwd=tree,
        )
    print(f"{target}/release/unstick")


def copy_without_digests(to):
    metadata = run("cargo", "metadata", "--locked", "--format-version=1", stdout=subprocess.PIPE)
    packages = json.loads(metadata.stdout)["packages"]
    [manifest] = [p["manifest_path"] for p in packages if p["name"] == "sha2"]
    shutil.copytree(os.path.dirname(manifest), to)
    with open(f"{to}/{FILE}", encoding="utf-8") as file:
        source = file.read()
    assert source.count(ALL_BLOCKS) == 1, f"sha2 has changed: check its {FILE}"
    with open(f"{to}/{FILE}", "w", encoding="utf-8") as file:
        file.write(source.replace(ALL_BLOCKS, FIRST_BLOCK))


def run(*command, cwd=ROOT, **options):
    return subprocess.run(command, cwd=cwd, check=True, **options)


if __name__ == "__main__":
    main()
