#!/usr/bin/env python3
"""Types at the prompt of `unstick send`, through a pseudo-terminal. Prints nothing if all is well.

    prompt.py PATH-TO-UNSTICK
"""

import os
import pty
import select
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

PATIENCE = 30


class Session:
    """`unstick send` on a pseudo-terminal, talking to a socket of ours."""

    def __init__(self, program):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.run([program, "send", f"127.0.0.1:{port}", "--format", "i32le"])
        self.peer, _ = listener.accept()
        self.peer.settimeout(PATIENCE)

    def run(self, command):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)
        self.shown = b""

    def see(self, text):
        """Waits until the terminal shows the text, and forgets what came before."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.shown:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in {self.shown!r}"
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    self.shown += os.read(self.terminal, 4096)
                except OSError:
                    raise AssertionError(f"it ended; no {text!r} in {self.shown!r}") from None
        self.shown = self.shown.split(text.encode(), 1)[1]

    def type(self, text):
        os.write(self.terminal, text.encode())

    def received(self):
        """The next message that was sent to us; None at the end."""
        header = self.peer.recv(4, socket.MSG_WAITALL)
        if not header:
            return None
        return self.peer.recv(struct.unpack("<i", header)[0], socket.MSG_WAITALL).decode()

    def answer(self, text):
        data = text.encode()
        self.peer.sendall(struct.pack("<i", len(data)) + data)

    def is_raw(self):
        return not termios.tcgetattr(self.terminal)[3] & termios.ICANON

    def prompted(self):
        """Waits for the next prompt. What is typed before it is the system's to edit: there, for
        one, Ctrl-D is lost."""
        end = time.monotonic() + PATIENCE
        while not self.is_raw():
            assert time.monotonic() < end, "no prompt"
            time.sleep(0.001)

    def exit_code(self):
        # What it still shows has to be read, or it waits for that.
        while True:
            try:
                more = os.read(self.terminal, 4096)
            except OSError:
                break
            if not more:
                break
            self.shown += more
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


def typed_and_answered(program):
    session = Session(program)
    session.see("connected to")
    session.see("> ")
    session.type("hel")
    session.see("hel")
    # An answer comes in the middle of the line: it appears above, and the line is drawn again.
    session.answer("粘包\x1b[2J")
    session.see("< 粘包\\u{1b}[2J")
    session.see("> hel")
    session.type("lo 粘包\r")
    assert session.received() == "hello 粘包"
    session.prompted()
    session.type("\x1b[A\r")  # the last line again
    assert session.received() == "hello 粘包"
    session.prompted()
    session.type("\x04")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def ended_by_the_peer(program):
    session = Session(program)
    session.see("> ")
    session.type("unsent")
    session.see("unsent")
    assert session.is_raw()
    session.answer("last words")
    session.peer.close()
    session.see("< last words")
    session.see("the peer ended the connection")
    assert not session.is_raw()
    assert session.exit_code() == 1, session.shown


def interrupted(program):
    session = Session(program)
    session.see("> ")
    session.type("unsent\x03")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def commands(program):
    session = Session(program)
    session.see("> ")
    session.type("/file /nowhere/at/all\r")
    session.see("cannot send /nowhere/at/all: ")
    session.prompted()
    session.type("/files are text\r")
    assert session.received() == "/files are text"
    session.prompted()
    session.type("/quit\r")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def files(program):
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        inbox = os.path.join(folder, "inbox")
        listener = subprocess.Popen(
            [program, "listen", "127.0.0.1:0", "--dir", inbox],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        addr = listener.stdout.readline().split()[-1].decode()
        path = os.path.join(folder, "a file.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("content")
        session = Session.__new__(Session)
        session.run([program, "send", addr])
        session.see("> ")
        session.type(f"/file {path}\r")
        end = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(inbox, "a file.txt")):
            assert time.monotonic() < end, session.shown
            time.sleep(0.01)
        session.prompted()
        session.type("/quit\r")
        session.see("stored")
        assert session.exit_code() == 0, session.shown
        listener.kill()
        listener.wait()


if __name__ == "__main__":
    for scenario in (typed_and_answered, ended_by_the_peer, interrupted, commands, files):
        scenario(sys.argv[1])
