#!/usr/bin/env python3
"""Puts the page into one file: build.py SCRIPT OUT. SCRIPT has the module and the script around it."""

import base64
import hashlib
import pathlib
import sys

here = pathlib.Path(__file__).parent
script, out = map(pathlib.Path, sys.argv[1:])
# In this order: each uses those before it.
SCRIPTS = ["bytes.js", "cuts.js", "frames.js", "input.js", "main.js"]


def digest(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inline(text):
    # Nothing of the page's own has it; this keeps it so.
    assert "</script" not in text and "</style" not in text
    return text


style = inline((here / "style.css").read_text())
parts = [(script / "unstick.js").read_text()] + [(here / name).read_text() for name in SCRIPTS]
code = inline("\n".join(parts))
module = base64.b64encode((script / "unstick_bg.wasm").read_bytes()).decode()
policy = (
    f"default-src 'none'; style-src {digest(style)}; script-src {digest(code)} 'wasm-unsafe-eval'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
page = (here / "index.html").read_text()
for name, value in (("POLICY", policy), ("STYLE", style), ("MODULE", module), ("CODE", code)):
    assert page.count("{{%s}}" % name) == 1, name
    page = page.replace("{{%s}}" % name, value)
out.mkdir(parents=True, exist_ok=True)
(out / "index.html").write_text(page)
print(f"{out / 'index.html'}: {len(page):,} bytes, {(script / 'unstick_bg.wasm').stat().st_size:,} of them the module")
