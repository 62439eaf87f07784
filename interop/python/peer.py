#!/usr/bin/env python3
"""A client and a server over TCP, as an example for POSIX systems: messages, pings, and files with
resuming. The server has a process for each conversation. It needs only `unstick.py`.

    peer.py listen HOST:PORT [--dir DIR] [--reply echo]
    peer.py send HOST:PORT [--text TEXT]... [--ping] [--file PATH]... [--key HEX] [--wait]

With --text, `send` waits for one answer to each; with --wait, until the peer closes. It returns 0 if
the conversation has ended cleanly and each file was stored.
"""

import argparse
import errno
import fcntl
import hashlib
import os
import signal
import socket
import socketserver
import sys
import time

import unstick

PARTS = ".unstick-parts"  # a folder in DIR; no file can have this name
IDLE, SIGN_OF_LIFE = 60, 5  # seconds, of 14.7 and FIL-19
MAX_UNWRITTEN = 1 << 20  # bytes of answers that the peer does not read

stopped = False


def stop(*_):
    global stopped
    stopped = True


class Conversation(unstick.Client):
    """One side of a conversation that receives files and answers messages."""

    def __init__(self, sock, directory=None, echo=False):
        self.directory, self.echo = directory, echo
        self._part = self._transfer = None
        self._heard, self._heard_at, self._ticked_at = 0, time.monotonic(), time.monotonic()
        super().__init__(sock, name="peer.py")

    def converse(self):
        """Goes on until the peer closes or the program is stopped."""
        try:
            while not (self.session.peer_closed or stopped):
                self._step()
            self.close()
        finally:
            self._leave(self._part is not None and self._keyed)

    def _step(self, wait=1):
        super()._step(min(wait, 1))
        self._sign_of_life()
        if self._reads != self._heard:
            self._heard, self._heard_at = self._reads, time.monotonic()
        is_silent = time.monotonic() - self._heard_at > IDLE
        if is_silent and (self.session.closed or not self.session.peer_closed):
            self.session.fail("idle-timeout")
            self._end()
            raise unstick.Broken("idle-timeout")

    def _sign_of_life(self):
        if time.monotonic() - self._ticked_at >= SIGN_OF_LIFE:
            self._ticked_at = time.monotonic()
            self.session.tick()
            self._say()

    def _handle(self, event, message):
        if event in ("text", "binary"):
            print(message.get("text", message.get("payload")), flush=True)
            if self.echo:
                self._put(message)
            if len(self._out) > MAX_UNWRITTEN:
                self.session.fail("busy")  # 14.9
                raise unstick.Broken("busy")
        elif event in ("file-open", "file-data", "file-done") and self.directory:
            transfer = message["transfer"]
            try:
                getattr(self, "_" + event.replace("-", "_"))(transfer, message)
            except OSError as error:
                full = error.errno == errno.ENOSPC
                self._answer(transfer, "no-space" if full else "storage-failed")
                self._leave(False)
        elif event in ("file-cancel", "file-refused"):
            # A file that was refused at its open may be another one than the open file.
            if message is not None and message["transfer"] == self._transfer:
                self._leave(False)
        else:
            super()._handle(event, message)

    def _answer(self, transfer, *fields):
        try:
            self._put(unstick.status(transfer, *fields))
        except unstick.Rejected:
            pass  # it has become pointless

    # Files, 15.7.

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _digest_of(self, file):
        """The hash of a whole file. Signs of life are sent meanwhile, if they are due."""
        digest = hashlib.sha256()
        file.seek(0)
        while run := file.read(1 << 20):
            digest.update(run)
            self._sign_of_life()
            self._write()
        return digest

    def _answer_existing(self, transfer, name, size, expected=None):
        with open(self._path(name), "rb") as file:
            there = os.fstat(file.fileno()).st_size
            if size not in (None, there):
                return self._answer(transfer, "exists")
            digest = self._digest_of(file).digest()
        self._answer(transfer, "stored" if digest == expected else "exists", there, digest)

    def _leave(self, keep):
        """Ends the open file."""
        if self._part is not None:
            if not keep:
                os.unlink(self._part.name)
            self._part.close()  # with its lock
            self._part = None

    def _file_open(self, transfer, message):
        self._transfer, self._name = transfer, message["name"]
        if self._name == PARTS:
            return self._answer(transfer, "bad-name")
        if os.path.lexists(self._path(self._name)):
            return self._answer_existing(transfer, self._name, message["size"])
        self._keyed = message["key"] != unstick.NO_RESUME_KEY
        # The part's name shows no key, and has room for any name.
        name = hashlib.sha256(message["key"] + self._name.encode()).hexdigest()
        if not self._keyed:
            name = "%d-%d" % (os.getpid(), transfer)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        part = open(os.open(os.path.join(self.directory, PARTS, name), flags, 0o600), "r+b", 0)
        try:
            fcntl.lockf(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            part.close()
            return self._answer(transfer, "busy")
        self._part = _Named(part, os.path.join(self.directory, PARTS, name))
        self._held = self._at = os.fstat(part.fileno()).st_size
        self._digest = self._digest_of(part)
        if message["size"] is not None and self._held > message["size"]:
            self._go_to(0)
        self._answer(transfer, "ready", self._at, self._digest.digest())

    def _go_to(self, offset):
        """The file's bytes go on at 0, or after those that the part has."""
        if offset == 0:
            self._digest = hashlib.sha256()
        self._part.truncate(offset)
        self._part.seek(offset)
        self._at = offset

    def _file_data(self, _, message):
        if message["offset"] != self._at or self._at == 0:
            self._go_to(message["offset"])
        view = memoryview(message["payload"])
        while view:
            view = view[self._part.write(view):]
        self._digest.update(message["payload"])
        self._at += len(message["payload"])

    def _file_done(self, transfer, message):
        self._go_to(message["total"])
        os.fsync(self._part.fileno())
        digest = self._digest.digest()
        if digest != message["digest"]:
            self._answer(transfer, "bad-digest")
            return self._leave(False)
        try:
            os.link(self._part.name, self._path(self._name))  # fails if the name exists (FIL-24)
        except FileExistsError:
            self._answer_existing(transfer, self._name, None, digest)
            return self._leave(False)
        self._leave(False)
        folder = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._answer(transfer, "stored", message["total"], digest)
        print("stored", self._path(self._name), flush=True)


class _Named:
    """A file with the name of its path, which a file of `os.open` does not have."""

    def __init__(self, file, name):
        self._file, self.name = file, name

    def __getattr__(self, attribute):
        return getattr(self._file, attribute)


def listen(address, directory, reply):
    if directory:
        os.makedirs(os.path.join(directory, PARTS), mode=0o700, exist_ok=True)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                with Conversation(self.request, directory, reply == "echo") as conversation:
                    conversation.converse()
            except (unstick.Broken, unstick.StreamError, OSError) as error:
                print("ended:", error, file=sys.stderr)

    socketserver.ForkingTCPServer.allow_reuse_address = True
    with socketserver.ForkingTCPServer(address, Handler) as server:
        print("listening on %s:%d" % server.server_address, flush=True)
        server.timeout = 1
        while not stopped:
            server.handle_request()
        server.socket.close()
        for child in server.active_children or ():
            os.kill(child, signal.SIGTERM)  # it closes; the server waits for it
    return 0


def send(address, options):
    good = True
    with unstick.Client(socket.create_connection(address), name="peer.py") as client:
        for text in options.text:
            client.text(text)
            print(client.wait("text")["text"], flush=True)
        if options.ping:
            client.ping()
        for path in options.file:
            with open(path, "rb") as file:
                content = file.read()
            status = client.file(os.path.basename(path), content, key=options.key)
            print("%s: 0x%04x %s" % (path, status["code"], status["reason"]), flush=True)
            # Stored, or there with these bytes (FIL-21).
            good &= status["code"] in (0x0120, 0x0121)
            good &= status["digest"] == hashlib.sha256(content).digest()
        if options.wait:
            client.wait("close")
        client.close()
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description="a client and a server of unstick's protocol")
    parser.add_argument("command", choices=("listen", "send"))
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--dir")
    parser.add_argument("--reply", choices=("echo",))
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--ping", action="store_true")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--key", type=bytes.fromhex)
    parser.add_argument("--wait", action="store_true")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if options.command == "listen":
        return listen((host, int(port)), options.dir, options.reply)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        return send((host, int(port)), options)
    except (unstick.Broken, unstick.StreamError, OSError) as error:
        print("the conversation has ended:", error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
