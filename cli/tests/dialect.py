#!/usr/bin/env python3
"""Uploads files in the plain dialect, like tutorials do, with only the standard library.

    dialect.py HOST PORT FILE CUT

CUT is the number of bytes per write; 0 leaves that to the system. It reads nothing from the peer.
"""

import json
import os
import socket
import struct
import sys

host, port, path, cut = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
client = socket.create_connection((host, port))
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send_all(data):
    if cut == 0:
        client.sendall(data)
    for start in range(0, len(data), cut or len(data) + 1) if cut else ():
        client.sendall(data[start : start + cut])


def send_frame(data):
    send_all(struct.pack("<i", len(data)) + data)


def send_text(text):
    send_frame(json.dumps({"msg_type": "msg"}).encode())
    send_frame(text.encode())


def send_file(path, name):
    with open(path, "rb") as file:
        content = file.read()
    send_frame(json.dumps({"msg_type": "file", "file_name": name}).encode())
    send_frame(content)


send_text("hello")
send_text("")
send_text("你好，粘包")
send_file(path, os.path.basename(path))
send_file(path, "../up")
send_file(path, "报告.bin")
send_text("still there")
send_frame(b"close")
client.close()
