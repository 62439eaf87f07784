#!/usr/bin/env python3
"""Version 1 of the unstick protocol in datagrams (spec.md, chapter 8), written from spec.md alone,
with the standard library only.

    udp.py serve [options]                    answers each text with its upper case
    udp.py send HOST PORT [options] TEXT...   prints the answers, one a line

Options: --pack (one datagram for all frames, if they fit) or --single (one for each; default),
--hostile (send: a refused datagram before each good one), --count N (serve: ends after N texts).
"""

import socket
import sys

import peer
from v1 import BINARY, CLOSE, CRITICAL, HEADER, HELLO, LIMIT, MAGIC, TEXT, VERSION, check, frame

DATAGRAM_LIMIT = 1200
# DGM-4: these are not allowed in a datagram.
MISPLACED = {CLOSE, HELLO, *range(0x10, 0x15)}


def read(datagram):
    """The kinds and payloads of a datagram; a `ValueError` refuses all of it."""
    if not datagram:
        raise ValueError("an empty datagram")
    frames, rest = [], datagram
    while rest:
        if len(rest) < HEADER.size:
            raise ValueError("a cut header")
        magic, version, kind, length, found = HEADER.unpack_from(rest)
        if magic != MAGIC or version != VERSION or kind == 0:
            raise ValueError("no header")
        if found != check(rest[:HEADER.size - 1]) or length > LIMIT:
            raise ValueError("a wrong header")
        payload = rest[HEADER.size:HEADER.size + length]
        if len(payload) < length:
            raise ValueError("a cut payload")
        frames.append((kind, payload))
        rest = rest[HEADER.size + length:]
    for kind, _ in frames:
        if kind in MISPLACED or (kind < 0x80 and kind not in CRITICAL):
            raise ValueError(f"the kind {kind:#04x}")
    return [(kind, payload) for kind, payload in frames if kind in CRITICAL]


def datagrams(frames, pack):
    """The frames in datagrams up to the datagram limit, or one in each."""
    packed = [b""]
    for bytes_ in frames:
        if packed[-1] and (not pack or len(packed[-1]) + len(bytes_) > DATAGRAM_LIMIT):
            packed.append(b"")
        packed[-1] += bytes_
    return [datagram for datagram in packed if datagram]


def serve(args):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        served.settimeout(peer.PATIENCE)
        print(served.getsockname()[1], flush=True)
        seen = 0
        while seen < args.count:
            datagram, source = served.recvfrom(65535)
            try:
                texts = [payload for kind, payload in read(datagram) if kind == TEXT]
            except ValueError as why:
                print(f"refused: {why}", file=sys.stderr)
                continue
            seen += len(texts)
            answers = [frame(TEXT, text.decode().upper().encode()) for text in texts]
            for answer in datagrams(answers, args.pack):
                served.sendto(answer, source)


def send(args):
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(peer.PATIENCE)
        sender.connect((args.host, args.port))
        bad = [b"", b"\xf5", frame(TEXT, b"cut")[:-1], frame(TEXT, b"whole") + b"?", frame(CLOSE)]
        for i, datagram in enumerate(datagrams([frame(TEXT, t.encode()) for t in args.texts], args.pack)):
            if args.hostile:
                sender.send(bad[i % len(bad)])
            # A frame that a receiver ignores changes nothing for the others.
            sender.send(datagram + frame(0xC1, b"skip me"))
        answers = []
        while len(answers) < len(args.texts):
            answers += [payload for kind, payload in read(sender.recv(65535)) if kind in (TEXT, BINARY)]
        for answer in answers:
            print(answer.decode())


if __name__ == "__main__":
    parser = peer.parser(__doc__)
    parser.add_argument("--pack", action="store_true")
    parser.add_argument("--single", dest="pack", action="store_false")
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--count", type=int, default=1 << 30)
    args = parser.parse_intermixed_args()
    (serve if args.command == "serve" else send)(args)
    sys.exit(0)
