#!/usr/bin/env python3
"""Measures `unstick send` and `unstick listen --dir` with one large file and with many small ones,
the peak memory of both sides, and a raw copy over the same loopback in the same run.

    measure.py PATH-TO-UNSTICK PATH-TO-ONE-WITHOUT-DIGESTS [MEBIBYTES] [SMALL-FILES]
    measure.py target/release/unstick $(cli/tests/without_digests.py)

Fails if a file arrives changed, or if a side uses 32 MiB or more.
"""

import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MAX_MEMORY = 32 << 20
ROUNDS = 5


def main():
    program, without_digests, *rest = sys.argv[1:]
    mebibytes, small = (int(value) for value in [*rest, *["2048", "10000"][len(rest) :]])
    folder = tempfile.mkdtemp(prefix="unstick-measure-")
    try:
        large = os.path.join(folder, "large.bin")
        write_random(large, mebibytes)

        def copied():
            return raw_copy(large, os.path.join(folder, "copy"))

        def sent(program):
            inbox = os.path.join(folder, "inbox")
            try:
                return send(program, inbox, [large])
            finally:
                shutil.rmtree(inbox)

        contenders = {
            "raw copy": copied,
            "unstick without digests": lambda: sent(without_digests),
            "unstick": lambda: sent(program),
        }
        rounds = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                touch_memory(folder, mebibytes)
                rounds[name].append(run())
        print(f"{mebibytes} MiB, medians of {ROUNDS} rounds; ratios: minimum, median and maximum")
        medians = {}
        for name, results in rounds.items():
            ratios = sorted(raw[0] / own[0] for raw, own in zip(rounds["raw copy"], results))
            took, cpu = medians[name] = [statistics.median(values) for values in zip(*results)]
            print(
                f"{name:<23}  {mebibytes / took:5.0f} MiB/s, {ratios[0]:.2f} "
                f"{statistics.median(ratios):.2f} {ratios[-1]:.2f} of a raw copy; "
                f"processor time {cpu:.2f} s"
            )
        share = 1 - medians["unstick without digests"][0] / medians["unstick"][0]
        print(f"share of digests         {max(share, 0):.0%} of the time")
        os.mkdir(os.path.join(folder, "small"))
        paths = []
        for i in range(small):
            paths.append(os.path.join(folder, "small", f"{i}.txt"))
            with open(paths[-1], "wb") as file:
                file.write(b"a small file, %d of many\n" % i)
        took, _ = send(program, os.path.join(folder, "inbox-small"), paths)
        print(f"{small} small files  {small / took:.0f} a second")
    finally:
        shutil.rmtree(folder)


def write_random(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())


def touch_memory(folder, mebibytes):
    """Writes and removes as many bytes as are measured next. A virtual machine may return memory
    that is free for a second to its host, and getting it again takes longer than the measured
    work. This way each contender starts with the same amount."""
    path = os.path.join(folder, "touched")
    chunk = bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(mebibytes):
            file.write(chunk)
    os.remove(path)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def raw_copy(source, target):
    """Reads, sends, receives, writes and syncs the same bytes: the maximum for this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        child = os.fork()
        if child == 0:
            client = socket.create_connection(("127.0.0.1", port))
            with open(source, "rb") as file:
                chunk = bytearray(256 << 10)
                while n := file.readinto(chunk):
                    client.sendall(memoryview(chunk)[:n])
            os._exit(0)
        began, used = time.monotonic(), time.process_time()
        stream, _ = listener.accept()
        chunk = bytearray(256 << 10)
        with open(target, "wb", buffering=0) as file:
            while n := stream.recv_into(chunk):
                file.write(memoryview(chunk)[:n])
            os.fsync(file.fileno())
        took = time.monotonic() - began
        usage = os.wait4(child, 0)[2]
        used = time.process_time() - used + usage.ru_utime + usage.ru_stime
    os.remove(target)
    return took, used


def send(program, inbox, paths):
    listener = subprocess.Popen(
        [program, "listen", "127.0.0.1:0", "--dir", inbox],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    addr = listener.stdout.readline().split()[-1].decode()
    drain = threading.Thread(target=listener.stdout.read)
    drain.start()
    environment = {**os.environ, "XDG_STATE_HOME": os.path.dirname(inbox)}
    began = time.monotonic()
    sender = subprocess.Popen(
        [program, "send", addr, *paths], stdout=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(sender.pid, 0)
    took = time.monotonic() - began
    sender.returncode = os.waitstatus_to_exitcode(status)
    peaks = {"send": usage.ru_maxrss << 10, "listen": peak(listener.pid)}
    listener.terminate()
    _, status, listened = os.wait4(listener.pid, 0)
    listener.returncode = os.waitstatus_to_exitcode(status)
    drain.join()
    cpu = sum(side.ru_utime + side.ru_stime for side in (usage, listened))
    assert sender.returncode == 0, "it was not sent"
    for path in paths:
        assert digest(path) == digest(os.path.join(inbox, os.path.basename(path))), path
    shown = ", ".join(f"{side} {memory / (1 << 20):.1f} MiB" for side, memory in peaks.items())
    print(f"  files: {len(paths)}; peak memory: {shown}", flush=True)
    assert max(peaks.values()) < MAX_MEMORY, "a side uses too much memory"
    return took, cpu


def peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    main()
