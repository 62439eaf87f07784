#!/usr/bin/env python3
"""Kills `unstick send` or `unstick listen` at random moments (kill -9) and tries again, until the
file has arrived. The inbox must never contain an incomplete file under its name.

    kill.py PATH-TO-UNSTICK [POINTS] [MEBIBYTES] [SEED]

Prints a line for each point that fails, and the counts at the end.
"""

import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = 120


def options():
    program, *rest = sys.argv[1:]
    points, mebibytes, seed = (int(value) for value in [*rest, *["100", "24", "1"][len(rest) :]])
    return program, points, mebibytes, seed


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Trial:
    """The transfer of one file from one folder to another, until it has arrived."""

    def __init__(self, program, folder, size, rng):
        self.program, self.folder, self.rng = program, folder, rng
        self.inbox = os.path.join(folder, "inbox")
        self.file = os.path.join(folder, "file.bin")
        with open(self.file, "wb") as file:
            file.write(rng.randbytes(size))
        self.size, self.digest = size, digest(self.file)
        self.addr = f"127.0.0.1:{free_port()}"
        self.wrong = []
        self.watching = True

    def listen(self):
        listener = subprocess.Popen(
            [self.program, "listen", self.addr, "--dir", self.inbox],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert listener.stdout.readline().startswith(b"listening")
        return listener

    def send(self):
        environment = {**os.environ, "XDG_STATE_HOME": os.path.join(self.folder, "state")}
        return subprocess.Popen(
            [self.program, "send", self.addr, self.file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def watch(self):
        """Checks that only the complete file ever has its name."""
        while self.watching:
            path = os.path.join(self.inbox, "file.bin")
            if os.path.exists(path):
                size = os.path.getsize(path)
                if size != self.size:
                    self.wrong.append(f"{size} bytes under the name")
                    return
            time.sleep(0.0005)

    def run(self, took):
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        # At least one kill, then more at random.
        kills = 0
        began = time.monotonic()
        listener = self.listen()
        try:
            while True:
                sender = self.send()
                if kills == 0 or self.rng.random() < 0.3:
                    victim = self.rng.choice([sender, listener])
                    # Most of this time data is sent; the rest is digests and the end.
                    time.sleep(self.rng.uniform(0, took))
                    victim.send_signal(signal.SIGKILL)
                    kills += 1
                    if victim is listener:
                        listener.wait()
                        sender.wait(TIMEOUT)
                        listener = self.listen()
                        continue
                if sender.wait(TIMEOUT) == 0:
                    break
                assert time.monotonic() - began < TIMEOUT, "it does not arrive"
        finally:
            self.watching = False
            watcher.join()
            listener.kill()
            listener.wait()
        if digest(os.path.join(self.inbox, "file.bin")) != self.digest:
            self.wrong.append("another file arrived")
        left = [name for name in os.listdir(self.inbox) if name != "file.bin"]
        if left:
            self.wrong.append(f"left over: {left}")
        return kills


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    program, points, mebibytes, seed = options()
    rng = random.Random(seed)
    failures = kills = 0
    took = 0.0
    for point in range(points + 1):
        folder = tempfile.mkdtemp(prefix="unstick-kill-")
        try:
            trial = Trial(program, folder, mebibytes << 20, rng)
            if point == 0:
                # Measures how long a try takes without a kill.
                listener = trial.listen()
                began = time.monotonic()
                assert trial.send().wait(TIMEOUT) == 0
                took = time.monotonic() - began
                listener.kill()
                listener.wait()
                continue
            kills += trial.run(took)
            for wrong in trial.wrong:
                failures += 1
                print(f"point {point} (seed {seed}): {wrong}")
        finally:
            shutil.rmtree(folder)
    print(f"{points} points, {kills} kills, {failures} wrong")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
