#!/usr/bin/env python3
"""Every public type and trait of `unstick` has an example that runs: examples.py DOC-FOLDER."""

import re
import sys
from pathlib import Path

# The parts of a datagram socket: the program in the documentation of their module uses all of them.
IN_THE_MODULE = {
    f"udp/{page}.html"
    for page in (
        "struct.Arrival struct.CheckedFrame struct.ReceiveSlots struct.SendQueue struct.UdpEndpoint "
        "trait.DatagramSocket trait.SegmentSender"
    ).split()
}

folder = Path(sys.argv[1])
pages = {
    str(path.relative_to(folder)): path.read_text()
    for path in folder.rglob("*.html")
    if re.match(r"(struct|enum|trait|type|union)\.", path.name)
}


def has_example(page):
    """Whether the documentation of the item itself has one, before those of its parts."""
    own = page.split('class="section-header"')[0]
    return bool(re.search(r'<div class="example-wrap"><pre class="rust rust-example-rendered">', own))


without = {name for name, page in pages.items() if "http-equiv=\"refresh\"" not in page and not has_example(page)}
for name in sorted(without - IN_THE_MODULE):
    print(f"{name}: no example", file=sys.stderr)
for name in sorted(IN_THE_MODULE - without):
    print(f"{name}: it has an example now, or is gone: it needs no exception", file=sys.stderr)
if not has_example(pages["struct.Decoder.html"]) or has_example("<pre>no example</pre>"):
    sys.exit("this check does not see examples")
print(f"{len(pages) - len(IN_THE_MODULE)} pages of types have an example")
sys.exit(without != IN_THE_MODULE)
