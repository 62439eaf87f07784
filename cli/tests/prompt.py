#!/usr/bin/env python3
"""Types at the prompt of `unstick send`, through a pseudo-terminal. Prints nothing on success.

    prompt.py PATH-TO-UNSTICK
"""

import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

TIMEOUT = 30


class Session:
    """`unstick send` on a pseudo-terminal, connected to a socket of this script."""

    def __init__(self, program):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.run([program, "send", f"127.0.0.1:{port}", "--format", "i32le"])
        self.peer, _ = listener.accept()
        self.peer.settimeout(TIMEOUT)

    def run(self, command):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)
        self.shown = b""

    def wait_for(self, text):
        """Waits until the terminal shows the text, and drops the output up to it."""
        end = time.monotonic() + TIMEOUT
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
        """Returns the next message that was sent to this script; None at the end."""
        header = self.peer.recv(4, socket.MSG_WAITALL)
        if not header:
            return None
        return self.peer.recv(struct.unpack("<i", header)[0], socket.MSG_WAITALL).decode()

    def answer(self, text):
        data = text.encode()
        self.peer.sendall(struct.pack("<i", len(data)) + data)

    def is_prompting(self):
        return not termios.tcgetattr(self.terminal)[3] & termios.ICANON

    def wait_for_prompt(self):
        """Waits for the next prompt. Before it, the system handles what is typed, and would
        discard Ctrl-D, for example."""
        end = time.monotonic() + TIMEOUT
        while not self.is_prompting():
            assert time.monotonic() < end, "no prompt"
            time.sleep(0.001)

    def exit_code(self):
        # The remaining output has to be read, or the program blocks on it.
        while True:
            try:
                more = os.read(self.terminal, 4096)
            except OSError:
                break
            if not more:
                break
            self.shown += more
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


def lines_are_sent_and_answers_shown(program):
    session = Session(program)
    session.wait_for("connected to")
    session.wait_for("> ")
    session.type("hel")
    session.wait_for("hel")
    # An answer arrives while a line is typed: it appears above, and the line is drawn again.
    session.answer("粘包\x1b[2J")
    session.wait_for("< 粘包\\u{1b}[2J")
    session.wait_for("> hel")
    session.type("lo 粘包\r")
    assert session.received() == "hello 粘包"
    session.wait_for_prompt()
    session.type("\x1b[A\r")  # the previous line again
    assert session.received() == "hello 粘包"
    session.wait_for_prompt()
    session.type("\x04")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def the_peer_ends_the_connection(program):
    session = Session(program)
    session.wait_for("> ")
    session.type("unsent")
    session.wait_for("unsent")
    assert session.is_prompting()
    session.answer("last words")
    session.peer.close()
    session.wait_for("< last words")
    session.wait_for("the peer ended the connection")
    assert not session.is_prompting()
    assert session.exit_code() == 1, session.shown


def ctrl_c_ends(program):
    session = Session(program)
    session.wait_for("> ")
    session.type("unsent\x03")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def commands_and_texts_with_a_slash(program):
    session = Session(program)
    session.wait_for("> ")
    session.type("/file /nowhere/at/all\r")
    session.wait_for("cannot send /nowhere/at/all: ")
    session.wait_for_prompt()
    session.type("/files are no command\r")
    session.wait_for("there is no \"/files\"")
    session.type("//files are text\r")
    assert session.received() == "/files are text"
    session.wait_for_prompt()
    session.type("/quit\r")
    assert session.received() is None
    session.peer.close()
    assert session.exit_code() == 0, session.shown


def file_command_sends_a_file(program):
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
        session.wait_for("> ")
        session.type(f"/file {path}\r")
        end = time.monotonic() + TIMEOUT
        while not os.path.exists(os.path.join(inbox, "a file.txt")):
            assert time.monotonic() < end, session.shown
            time.sleep(0.01)
        session.wait_for_prompt()
        session.type("/quit\r")
        session.wait_for("stored")
        assert session.exit_code() == 0, session.shown
        listener.kill()
        listener.wait()


def a_listener_sends_lines_to_all_peers(program):
    for arguments in ([], ["--once"]):
        session = Session.__new__(Session)
        session.run([program, "listen", "127.0.0.1:0", "--format", "lines", *arguments])
        session.wait_for("listening on 127.0.0.1:")
        while not re.match(rb"\d+\s", session.shown):
            session.shown += os.read(session.terminal, 4096)
        port = int(re.match(rb"\d+", session.shown).group())
        session.wait_for("to all peers")
        peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(1 if arguments else 2)]
        for number, peer in enumerate(peers):
            peer.settimeout(TIMEOUT)
            peer.sendall(f"from {number}\n".encode())
            session.wait_for(f'"from {number}"')
        session.wait_for_prompt()
        session.type("/nonsense\r")
        session.wait_for("there is only /quit here")
        session.wait_for_prompt()
        session.type("//hello 粘包\r")
        for peer in peers:
            # Nothing of the other peer comes first.
            assert peer.makefile().readline() == "/hello 粘包\n"
        if arguments:
            peers[0].close()
        else:
            session.wait_for_prompt()
            session.type("/quit\r")
        session.wait_for("stopped after")
        assert session.exit_code() == 0, session.shown


def a_listener_restores_the_terminal(program):
    for ending in ("\x04", "\x03", signal.SIGTERM):
        session = Session.__new__(Session)
        session.run([program, "listen", "127.0.0.1:0"])
        session.wait_for("to all peers")
        session.wait_for_prompt()
        if isinstance(ending, str):
            session.type(ending)
        else:
            os.kill(session.child, ending)
        session.wait_for("stopped after 0 messages")
        assert not session.is_prompting()
        assert session.exit_code() == 0, session.shown


def a_listener_in_the_background_does_not_read_the_terminal(program):
    session = Session.__new__(Session)
    # Job control, as in an interactive shell.
    session.run(["/bin/bash", "-c", f"set -m; {program} listen 127.0.0.1:0 & read line; kill %1; wait %1"])
    session.wait_for("listening on")
    session.type("for the shell\r")
    session.wait_for("stopped after")
    assert session.exit_code() == 0, session.shown
    assert b"to all peers" not in session.shown


if __name__ == "__main__":
    for scenario in (
        lines_are_sent_and_answers_shown,
        the_peer_ends_the_connection,
        ctrl_c_ends,
        commands_and_texts_with_a_slash,
        file_command_sends_a_file,
        a_listener_sends_lines_to_all_peers,
        a_listener_restores_the_terminal,
        a_listener_in_the_background_does_not_read_the_terminal,
    ):
        scenario(sys.argv[1])
