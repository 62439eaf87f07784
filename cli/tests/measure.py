#!/usr/bin/env python3
"""Measures `unstick send` and `unstick listen --dir`: one large file, and many small ones, with the
peak memory of both sides; and a raw copy over the same loopback, in the same run.

    measure.py PATH-TO-UNSTICK [MEBIBYTES] [SMALL-FILES]

Fails if a file arrives changed, or a side takes 32 MiB or more.
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

MOST_MEMORY = 32 << 20
ROUNDS = 3


def main():
    program, *rest = sys.argv[1:]
    mebibytes, small = (int(value) for value in [*rest, *["2048", "10000"][len(rest) :]])
    folder = tempfile.mkdtemp(prefix="unstick-measure-")
    try:
        large = os.path.join(folder, "large.bin")
        write_random(large, mebibytes)
        size = mebibytes << 20
        copies, digests, sends = [], [], []
        for round in range(ROUNDS):
            touch_memory(folder, mebibytes)
            copies.append(raw_copy(large, os.path.join(folder, "copy")))
            began, used = time.monotonic(), time.process_time()
            digest(large)
            digests.append((time.monotonic() - began, time.process_time() - used))
            touch_memory(folder, mebibytes)
            sends.append(send(program, folder, f"inbox{round}", [large]))
            shutil.rmtree(os.path.join(folder, f"inbox{round}"))
        copy, copy_cpu = map(statistics.median, zip(*copies))
        one_digest, digest_cpu = map(statistics.median, zip(*digests))
        took, cpu = map(statistics.median, zip(*sends))
        print(f"raw copy            {rate(size, copy)}")
        print(f"unstick             {rate(size, took)}, {copy / took:.2f} of a raw copy")
        print(f"a digest by itself  {rate(size, one_digest)}")
        # Each side digests everything once, beside its other work, on the cores that there are.
        share = min(2 * one_digest / os.cpu_count(), took)
        without = took - share
        if os.cpu_count() <= 2 and without > 0:
            print(f"without digests     {rate(size, without)}, {copy / without:.2f} of a raw copy")
            print(f"share of digests    {share / took:.0%} of the time")
        # On a machine that does other things too, this says more.
        print(
            f"processor time      {cpu:.2f} s, {cpu - 2 * digest_cpu:.2f} s without digests; "
            f"a raw copy {copy_cpu:.2f} s"
        )
        os.mkdir(os.path.join(folder, "small"))
        paths = []
        for i in range(small):
            paths.append(os.path.join(folder, "small", f"{i}.txt"))
            with open(paths[-1], "wb") as file:
                file.write(b"a small file, %d of many\n" % i)
        took, _ = send(program, folder, "inbox-small", paths)
        print(f"{small} small files  {small / took:.0f} a second")
    finally:
        shutil.rmtree(folder)


def rate(size, seconds):
    return f"{size / seconds / (1 << 20):.0f} MiB/s ({seconds:.2f} s)"


def write_random(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())


def touch_memory(folder, mebibytes):
    """Writes as much as comes next, and forgets it. A virtual machine may give memory back that is
    free for a second, and to get it again takes longer than all that is measured here: so each
    contender begins with as much of it."""
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
    """What the machine can do: read, write, send and receive the same bytes, and sync them."""
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


def send(program, folder, inbox, paths):
    inbox = os.path.join(folder, inbox)
    listener = subprocess.Popen(
        [program, "listen", "127.0.0.1:0", "--dir", inbox],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    addr = listener.stdout.readline().split()[-1].decode()
    drain = threading.Thread(target=listener.stdout.read)
    drain.start()
    environment = {**os.environ, "XDG_STATE_HOME": folder}
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
    for side, memory in peaks.items():
        print(f"{side:<6}  {len(paths)} files, peak memory {memory / (1 << 20):.1f} MiB")
        assert memory < MOST_MEMORY, f"{side} takes too much memory"
    return took, cpu


def peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    main()
