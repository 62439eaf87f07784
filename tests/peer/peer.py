"""Code that the peers in this folder share: sockets, and ways to cut what they write."""

import argparse
import socket
import threading
import time

# Seconds: nothing on one machine takes this long, unless it is stuck.
PATIENCE = 30


def parser(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["serve", "send"])
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--cut", default="all", help="how to cut what is written: see `cuts`")
    return parser


def listen():
    """A listening socket; prints its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    print(listener.getsockname()[1], flush=True)
    return listener


def cuts(wire, how):
    """The pieces of `wire`: `all` at once, `N` bytes each, cut inside each UTF-8 character
    (`char`), or after bytes of the first header (`header`)."""
    if how == "all":
        return [wire]
    if how == "char":
        places = [i for i, byte in enumerate(wire) if 0x80 <= byte < 0xC0]
    elif how == "header":
        places = [1, 2, 3, 5, 7]
    else:
        places = range(int(how), len(wire), int(how))
    places = [0, *(place for place in places if 0 < place < len(wire)), len(wire)]
    return [wire[start:end] for start, end in zip(places, places[1:])]


def write(connection, wire, how):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = cuts(wire, how)
    for piece in pieces:
        connection.sendall(piece)
        if len(pieces) > 1:
            # Long enough that most pieces are read separately.
            time.sleep(0.0005)


class Stream:
    """The bytes of a connection, in runs of a requested length."""

    def __init__(self, connection):
        connection.settimeout(PATIENCE)
        self.connection = connection

    def exactly(self, count, inside=False):
        """The next `count` bytes; None if the stream ends before the first of them, unless that is
        inside a frame."""
        data = b""
        while len(data) < count:
            more = self.connection.recv(count - len(data))
            if not more:
                if data or inside:
                    raise EOFError(f"{count - len(data)} bytes are missing")
                return None
            data += more
        return data


class Reader:
    """Reads frames in a thread of its own, so that a peer that answers at once is never stuck."""

    def __init__(self, connection, read):
        self.frames, self.error = [], None
        self.thread = threading.Thread(target=self.run, args=(Stream(connection), read))
        self.thread.start()

    def run(self, stream, read):
        try:
            while (frame := read(stream)) is not None:
                self.frames.append(frame)
        except (OSError, EOFError, ValueError) as error:
            self.error = error

    def all(self):
        """All frames up to the stream's end."""
        self.thread.join()
        if self.error:
            raise self.error
        return self.frames
