#!/usr/bin/env python3
"""Measures `unstick send` beside other tools that move files, in one run and in turn: one large file
and many small ones, over the loopback, until the receiver has them on disk and knows their digest.

    beside.py PATH-TO-UNSTICK [MEBIBYTES] [SMALL-FILES] [ROUNDS]      the table of cli/README.md

- nc: both sides digest the stream with sha256sum; the receiver syncs. Small files go as a tar stream.
- rsync: to a daemon of its own, with --fsync; it compares its own digest of each file.
- magic-wormhole: with a mailbox server and a relay of its own. Small files go as a folder. It does not
  sync; `sync` on the folder is run after it.

Files are below TMPDIR, which should be a real disk. On Debian the tools are netcat-openbsd, rsync,
magic-wormhole, magic-wormhole-transit-relay and python3-magic-wormhole-mailbox-server.
"""

import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEVNULL = subprocess.DEVNULL
SMALL = 4000  # bytes of a small file
SECONDS = 600


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(port):
    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


def bash(script, *arguments):
    command = ["bash", "-euo", "pipefail", "-c", script, "bash", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=DEVNULL, text=True)


def ended(process):
    out, _ = process.communicate(timeout=SECONDS)
    if process.returncode != 0:
        sys.exit(f"{process.args} exits with {process.returncode}")
    return out


class Unstick:
    name = "unstick"

    def __init__(self, program, _):
        self.program = program

    def send(self, sources, inbox):
        listen = subprocess.Popen(
            [self.program, "listen", "127.0.0.1:0", "--dir", inbox], stdout=subprocess.PIPE, stderr=DEVNULL, text=True
        )
        try:
            address = listen.stdout.readline().removeprefix("listening on ").strip()
            begin = time.monotonic()
            subprocess.run([self.program, "send", address, *sources], stdout=DEVNULL, check=True, timeout=SECONDS)
            return time.monotonic() - begin
        finally:
            listen.kill()
            listen.wait()


class Nc:
    name = "nc, sha256sum, sync"

    def __init__(self, _, work):
        self.work = work

    def send(self, sources, inbox):
        os.mkdir(inbox)
        port = free_port()
        if len(sources) == 1:
            to_write, to_read = 'cat > "$2/large"', 'cat "$2"'
        else:
            to_write, to_read = 'tar x -C "$2"', 'cd "$2"; tar c .'
        receiver = bash(f'nc -l 127.0.0.1 "$1" | tee >({to_write}) | sha256sum; wait; sync -f "$2"', port, inbox)
        time.sleep(0.1)  # nc says nothing, and a connection would be the one that it waits for
        begin = time.monotonic()
        source = sources[0] if len(sources) == 1 else Path(sources[0]).parent
        sender = bash(f'({to_read}) | tee >(sha256sum >&2) | nc -N 127.0.0.1 "$1"', port, source)
        ended(sender)
        ended(receiver)
        return time.monotonic() - begin


class Rsync:
    name = "rsync --fsync, to a daemon"

    def __init__(self, _, work):
        self.work = work

    def send(self, sources, inbox):
        os.mkdir(inbox)
        port = free_port()
        config = self.work / "rsyncd.conf"
        config.write_text(f"use chroot = no\nreverse lookup = no\n[in]\npath = {inbox}\nread only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n")
        daemon = subprocess.Popen(
            ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={config}"],
            stdout=DEVNULL, stderr=DEVNULL,
        )
        try:
            wait_for(port)
            begin = time.monotonic()
            subprocess.run(["rsync", "--fsync", *sources, f"rsync://127.0.0.1:{port}/in/"], check=True, timeout=SECONDS)
            return time.monotonic() - begin
        finally:
            daemon.kill()
            daemon.wait()


class Wormhole:
    name = "magic-wormhole, sync"

    def __init__(self, _, work):
        mailbox, relay = free_port(), free_port()
        twist = shutil.which("twist3") or shutil.which("twist")
        self.servers = [
            subprocess.Popen([twist, *arguments], cwd=work, stdout=DEVNULL, stderr=DEVNULL)
            for arguments in (
                ["wormhole-mailbox", f"--port=tcp:{mailbox}:interface=127.0.0.1"],
                ["transitrelay", f"--port=tcp:{relay}:interface=127.0.0.1"],
            )
        ]
        wait_for(mailbox)
        wait_for(relay)
        self.command = [
            "wormhole", f"--relay-url=ws://127.0.0.1:{mailbox}/v1", f"--transit-helper=tcp:127.0.0.1:{relay}",
        ]

    def send(self, sources, inbox):
        os.mkdir(inbox)
        source = sources[0] if len(sources) == 1 else str(Path(sources[0]).parent)
        code = f"1-{os.urandom(4).hex()}-{os.urandom(4).hex()}"
        begin = time.monotonic()
        sender = subprocess.Popen([*self.command, "send", "--hide-progress", f"--code={code}", source], stdout=DEVNULL, stderr=DEVNULL)
        subprocess.run(
            [*self.command, "receive", "--hide-progress", "--accept-file", code],
            cwd=inbox, stdout=DEVNULL, stderr=DEVNULL, check=True, timeout=SECONDS,
        )
        ended(sender)
        subprocess.run(["sync", "-f", inbox], check=True)
        return time.monotonic() - begin

    def end(self):
        for server in self.servers:
            server.kill()
            server.wait()


def digests(folder):
    found = [path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".unstick-")]
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in found)


def main():
    program, *rest = sys.argv[1:]
    mebibytes, small, rounds = (int(value) for value in [*rest, *["512", "5000", "5"][len(rest) :]])
    work = Path(tempfile.mkdtemp(prefix="unstick-beside-"))
    contenders = []
    try:
        large = work / "large"
        with open(large, "wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(1 << 20))
        folder = work / "small"
        folder.mkdir()
        for number in range(small):
            (folder / f"file-{number:05}").write_bytes(os.urandom(SMALL))
        jobs = {
            f"one file of {mebibytes} MiB": [str(large)],
            f"{small:,} files of {SMALL:,} bytes": sorted(map(str, folder.iterdir())),
        }
        wanted = {job: sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths) for job, paths in jobs.items()}
        contenders = [kind(os.path.abspath(program), work) for kind in (Unstick, Nc, Rsync, Wormhole)]
        took = {(contender.name, job): [] for contender in contenders for job in jobs}
        for _ in range(rounds):
            for job, paths in jobs.items():
                for contender in contenders:
                    inbox = str(work / "inbox")
                    subprocess.run(["sync", "-f", work], check=True)
                    took[contender.name, job].append(contender.send(paths, inbox))
                    if digests(inbox) != wanted[job]:
                        sys.exit(f"{contender.name}: {job} did not arrive as they were sent")
                    shutil.rmtree(inbox)
        print(f"| | {' | '.join(jobs)} |\n| --- | --- | --- |")
        for contender in contenders:
            cells = []
            for job in jobs:
                seconds = took[contender.name, job]
                ratios = [theirs / ours for theirs, ours in zip(seconds, took["unstick", job])]
                cell = f"{statistics.median(seconds):.2f} s"
                if contender.name != "unstick":
                    cell += f", {statistics.median(ratios):.1f} × ({min(ratios):.1f} to {max(ratios):.1f})"
                cells.append(cell)
            print(f"| {contender.name} | {' | '.join(cells)} |")
    finally:
        for contender in contenders:
            getattr(contender, "end", lambda: None)()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
