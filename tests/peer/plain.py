#!/usr/bin/env python3
"""A peer that writes a four-byte signed length before each message, a common format:

    struct.pack('<i', len(data)) + data

It does not use unstick, and needs the standard library only.

    plain.py serve [options]               answers each message with its upper case
    plain.py send HOST PORT [options] TEXT...   prints one answer a line

Options: --order little|big, --cut N|all|char|header.
"""

import socket
import struct
import sys

import peer


class Plain:
    """The format: how a frame is written and read."""

    def __init__(self, order):
        self.header = struct.Struct("<i" if order == "little" else ">i")

    def frame(self, data):
        return self.header.pack(len(data)) + data

    def read(self, stream):
        """The next message; None at a clean end."""
        header = stream.exactly(self.header.size)
        if header is None:
            return None
        (length,) = self.header.unpack(header)
        if length < 0:
            raise ValueError(f"a length of {length}")
        return stream.exactly(length, inside=True)


def serve(args, plain):
    with peer.listen() as listener:
        connection, _ = listener.accept()
        with connection:
            stream = peer.Stream(connection)
            while (data := plain.read(stream)) is not None:
                answer = data.decode().upper().encode()
                peer.write(connection, plain.frame(answer), args.cut)


def send(args, plain):
    with socket.create_connection((args.host, args.port), timeout=peer.PATIENCE) as connection:
        wire = b"".join(plain.frame(text.encode()) for text in args.texts)
        answers = peer.Reader(connection, plain.read)
        peer.write(connection, wire, args.cut)
        connection.shutdown(socket.SHUT_WR)
        for data in answers.all():
            print(data.decode())


if __name__ == "__main__":
    parser = peer.parser(__doc__)
    parser.add_argument("--order", choices=["little", "big"], default="little")
    args = parser.parse_intermixed_args()
    (serve if args.command == "serve" else send)(args, Plain(args.order))
    sys.exit(0)
