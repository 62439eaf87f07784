#!/usr/bin/env python3
"""Version 1 of the unstick protocol in Python, written from spec.md alone, with the standard
library only.

    v1.py serve [options]                    answers each text with its upper case
    v1.py send HOST PORT [options] TEXT...   prints one answer a line

Options: --cut N|all|char|header, --ping (send: also pings, and checks the pong).
"""

import socket
import struct
import sys

import peer

MAGIC, VERSION = 0xF5, 0x01
HEADER = struct.Struct(">BBBIB")
LIMIT = 1 << 20
TEXT, BINARY, PING, PONG, CLOSE, HELLO = 0x01, 0x02, 0x03, 0x04, 0x05, 0x80
CRITICAL = {TEXT, BINARY, PING, PONG, CLOSE}


def check(data):
    """CRC-8/AUTOSAR (spec, chapter 4)."""
    register = 0xFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            if register & 0x80:
                register = ((register << 1) & 0xFF) ^ 0x2F
            else:
                register <<= 1
    return register ^ 0xFF


assert check(b"123456789") == 0xDF


def frame(kind, payload=b""):
    header = HEADER.pack(MAGIC, VERSION, kind, len(payload), 0)[:-1]
    return header + bytes([check(header)]) + payload


assert frame(TEXT, b"hi") == bytes.fromhex("F5 01 01 00 00 00 02 F2 68 69")


def read(stream):
    """The next frame's kind and payload; None at the end of the stream."""
    header = stream.exactly(HEADER.size)
    if header is None:
        return None
    magic, version, kind, length, found = HEADER.unpack(header)
    if magic != MAGIC or version != VERSION or kind == 0:
        raise ValueError(f"no header: {header.hex(' ')}")
    if found != check(header[:-1]):
        raise ValueError(f"a wrong check: {header.hex(' ')}")
    if length > LIMIT:
        raise ValueError(f"a payload of {length} bytes")
    if kind < 0x80 and kind not in CRITICAL:
        raise ValueError(f"the critical kind {kind:#04x}")
    return kind, stream.exactly(length, inside=True)


def serve(args):
    with peer.listen() as listener:
        connection, _ = listener.accept()
        with connection:
            stream = peer.Stream(connection)
            while (received := read(stream)) is not None:
                kind, payload = received
                if kind in (TEXT, BINARY):
                    answer = frame(kind, payload.decode().upper().encode())
                    peer.write(connection, answer, args.cut)
                elif kind == PING:
                    peer.write(connection, frame(PONG, payload), args.cut)
                elif kind == CLOSE:
                    peer.write(connection, frame(CLOSE), args.cut)
                    connection.shutdown(socket.SHUT_WR)
                    return
            sys.exit("the stream ended without a close")


def send(args):
    with socket.create_connection((args.host, args.port), timeout=peer.PATIENCE) as connection:
        # A skippable kind that the other side does not know is in between.
        frames = [frame(HELLO, struct.pack(">I", LIMIT) + b"v1.py"), frame(0xC1, b"skip me")]
        frames += [frame(TEXT, text.encode()) for text in args.texts]
        if args.ping:
            frames.append(frame(PING, b"\x00ping\xff"))
        answers = peer.Reader(connection, read)
        peer.write(connection, b"".join(frames) + frame(CLOSE), args.cut)
        connection.shutdown(socket.SHUT_WR)
        closed = ponged = False
        for kind, payload in answers.all():
            if closed:
                sys.exit("a frame behind the close")
            if kind == TEXT:
                print(payload.decode())
            elif kind == PONG:
                ponged = payload == b"\x00ping\xff"
            elif kind == CLOSE:
                closed = True
                if payload[:2] not in (b"", b"\0\0"):
                    sys.exit(f"closed with {payload!r}")
        if not closed:
            sys.exit("the stream ended without a close")
        if args.ping and not ponged:
            sys.exit("no pong")


if __name__ == "__main__":
    parser = peer.parser(__doc__)
    parser.add_argument("--ping", action="store_true")
    args = parser.parse_intermixed_args()
    (serve if args.command == "serve" else send)(args)
    sys.exit(0)
