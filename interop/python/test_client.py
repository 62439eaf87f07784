"""The client with a peer that is a script."""

import hashlib
import os
import socket
import struct
import threading
import time
import unittest

import unstick
from unstick import KINDS, encode, encode_message

SECONDS = 20  # long enough for a slow machine; a test that needs it fails


def frame(**message):
    return encode(*encode_message(message))


def text(content):
    return frame(type="text", text=content)


def status(transfer, name, **fields):
    return frame(**unstick.status(transfer, name, **fields))


CLOSE = frame(type="close", code=0, reason="")


class Peer:
    """The other end of a connection: what it reads, message by message."""

    def __init__(self, sock, answers=False):
        sock.settimeout(SECONDS)
        self.socket, self.decoder, self.answers = sock, unstick.Decoder(), answers
        self.assembler, self.waiting = unstick.Assembler(), []

    def next(self):
        """The next message; None at the end."""
        while not self.waiting:
            data = self.socket.recv(65_536)
            if not data:
                return None
            for event in self.decoder.feed(data)[1]:
                event = self.assembler.take(event)
                if event is not None:
                    self.waiting.append(unstick.decode_message(event.kind, event.payload))
        return self.waiting.pop(0)

    def until(self, name):
        """Reads to the next message of this type. Returns it, and how many pings came before it."""
        pings = 0
        while True:
            message = self.next()
            if message is None or message["type"] == name:
                return message, pings
            if message["type"] == "ping":
                pings += 1
                if self.answers:
                    self.socket.sendall(frame(type="pong", payload=message["payload"]))


def pair(tcp=False):
    if not tcp:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


class ClientTest(unittest.TestCase):
    def in_thread(self, work, *socks):
        """Runs `work` beside the test; it has to end, and without an exception."""
        failed = []

        def run():
            try:
                work()
            except BaseException as why:  # shown by the test
                failed.append(why)
                for sock in socks:
                    sock.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def join():
            thread.join(SECONDS)
            self.assertFalse(thread.is_alive(), "it hangs")
            self.assertEqual(failed, [])

        self.addCleanup(join)
        return join

    def test_a_quiet_side_pings(self):
        # spec: CNV-21
        ours, theirs = pair()
        with theirs, unstick.Client(ours, quiet=0.05) as client:
            peer = Peer(theirs)

            def talk():
                for _ in range(3):
                    self.assertEqual(peer.until("ping")[0]["payload"], b"")
                    theirs.sendall(frame(type="pong", payload=b""))
                theirs.sendall(text("done"))

            join = self.in_thread(talk, theirs)
            client._wait(lambda name, _: name == "text")
            join()

    def test_a_side_without_answers_stops_at_four_pings(self):
        # spec: CNV-15, CNV-21
        ours, theirs = pair()
        with theirs, unstick.Client(ours, quiet=0.01) as client:
            peer = Peer(theirs)

            def talk():
                time.sleep(0.5)
                theirs.sendall(text("done"))

            join = self.in_thread(talk, theirs)
            client._wait(lambda name, _: name == "text")
            join()
            client.text("end")
            self.assertEqual(peer.until("text")[1], 4)

    def test_it_reads_while_it_cannot_write(self):
        # spec: CNV-17
        ours, theirs = pair()
        with unstick.Client(ours) as one, unstick.Client(theirs) as other:
            def work(client):
                for _ in range(200):
                    client.text("x" * 60_000)
                client.text("end")
                client._wait(lambda name, message: message.get("text") == "end")

            joins = [self.in_thread(lambda client=client: work(client)) for client in (one, other)]
            for join in joins:
                join()
            self.assertEqual([len(client.events()) for client in (one, other)], [201, 201])

    def test_a_digest_keeps_the_conversation_alive(self):
        # spec: FIL-23
        ours, theirs = pair()
        content = bytes(3 << 20)
        held = hashlib.sha256(content).digest()
        with theirs, unstick.Client(ours, quiet=0) as client:
            peer = Peer(theirs, answers=True)

            def talk():
                opened, _ = peer.until("file-open")
                theirs.sendall(status(opened["transfer"], "ready", offset=len(content), digest=held))
                done, pings = peer.until("file-done")
                self.assertGreater(pings, 0)
                self.assertEqual((done["total"], done["digest"]), (len(content), held))
                theirs.sendall(status(1, "stored", offset=len(content), digest=held))

            join = self.in_thread(talk, theirs)
            answer = client.file("a", content, key=os.urandom(16))
            self.assertEqual(answer["code"], unstick.CODES["stored"])
            join()

    def test_without_a_key_there_is_no_part(self):
        # spec: FIL-25
        ours, theirs = pair()
        with theirs, unstick.Client(ours) as client:
            def talk():
                peer = Peer(theirs)
                opened, _ = peer.until("file-open")
                self.assertEqual(opened["key"], unstick.NO_RESUME_KEY)
                peer.until("file-done")
                theirs.sendall(status(1, "busy"))

            join = self.in_thread(talk, theirs)
            self.assertEqual(client.file("a", b"abc")["code"], unstick.CODES["busy"])
            join()

    def test_the_close_of_an_error_arrives(self):
        # spec: CNV-18, CNV-10
        ours, theirs = pair(tcp=True)
        heard = []

        def talk():
            theirs.settimeout(SECONDS)
            theirs.sendall(encode(KINDS["text"], b"\xff"))
            for _ in range(100):
                theirs.sendall(text("y" * 60_000))
            peer = Peer(theirs)
            heard.append(peer.until("close")[0])
            heard.append(peer.next())
            theirs.close()

        with unstick.Client(ours) as client:
            join = self.in_thread(talk, theirs)
            with self.assertRaises(unstick.Broken) as broken:
                client._wait(lambda *_: False)
            self.assertEqual(broken.exception.name, "bad-message")
            self.assertEqual(client.events(), [])
        join()
        self.assertEqual(heard, [{"type": "close", "code": 0x0100, "reason": ""}, None])

    def test_an_error_of_the_framing_is_closed_with_its_code(self):
        # spec: CNV-20
        ours, theirs = pair()
        with theirs, unstick.Client(ours) as client:
            theirs.sendall(text("a") + b"\xf6")
            theirs.shutdown(socket.SHUT_WR)
            with self.assertRaises(unstick.StreamError):
                client._wait(lambda *_: False)
            peer = Peer(theirs)
            self.assertEqual(peer.until("close")[0]["code"], unstick.CODES["bad-magic"])

    def reset(self, theirs):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()

    def test_a_failed_transport_is_clean_after_a_close_only(self):
        # spec: CNV-19, CNV-8
        for closes in (True, False):
            ours, theirs = pair(tcp=True)
            with unstick.Client(ours) as client:
                Peer(theirs).until("hello")
                theirs.sendall(text("a") + (CLOSE if closes else b""))
                client._wait(lambda name, _: name == ("close" if closes else "text"))
                self.reset(theirs)
                if closes:
                    while client._read():
                        pass
                else:
                    with self.assertRaises(unstick.Broken):
                        client._read()

    def test_a_close_waits_for_what_is_owed_and_refuses_new_files(self):
        # spec: CNV-16
        ours, theirs = pair()
        key, digest = bytes(16), hashlib.sha256(b"abc").digest()
        with theirs, unstick.Client(ours) as client:
            client._send({"type": "file-open", "transfer": 1, "key": key, "size": 3, "name": "a"})
            client._send({"type": "file-data", "transfer": 1, "offset": 0, "payload": b"abc"})
            client._send({"type": "file-done", "transfer": 1, "total": 3, "digest": digest})

            def talk():
                peer = Peer(theirs)
                peer.until("file-done")
                theirs.sendall(frame(type="file-open", transfer=9, key=key, size=None, name="b"))
                refused, _ = peer.until("file-status")
                self.assertEqual(refused["code"], unstick.CODES["shutting-down"])
                theirs.sendall(status(1, "stored", offset=3, digest=digest))
                peer.until("close")
                theirs.sendall(CLOSE)
                theirs.shutdown(socket.SHUT_WR)

            join = self.in_thread(talk, theirs)
            names = [name for name, _ in client.close()]
            self.assertEqual(names, ["file-refused", "file-end", "close"])
            join()


if __name__ == "__main__":
    unittest.main()
