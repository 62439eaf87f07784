"""The headings and requirement ids of spec.md, and the table of contents and the index made of them."""

import re
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec.md"

# `number` is 7.8, A.3 or B, or empty; `title` is the heading without it.
Heading = namedtuple("Heading", "level text number title slug")

BEGIN = "<!-- %s: written by ci/spec/check --bless -->"
END = "<!-- end of %s -->"


def slug(text):
    """The anchor that forges make of a heading: lower case, no punctuation, hyphens for spaces."""
    kept = "".join(c for c in text.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def heading(line):
    """The heading that a line is, or None."""
    found = re.match(r"(#{1,4}) (.*)$", line)
    if not found:
        return None
    text = found.group(2).strip()
    parts = re.match(r"(?:Annex )?([0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*)(?::)? (.*)$", text)
    has_number = parts and (text.startswith("Annex ") or re.match(r"[0-9]|[A-Z]\.[0-9]", text))
    number, title = parts.groups() if has_number else ("", text)
    return Heading(len(found.group(1)), text, number, title, slug(text))


def lines_outside_code(text):
    """Each line that is not in a fenced block."""
    fenced = False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def headings(text):
    """All headings, in order. GitLab joins hyphens and a forge numbers equal anchors, so neither occurs."""
    found = [h for h in map(heading, lines_outside_code(text)) if h]
    slugs = [h.slug for h in found]
    for one in slugs:
        if "--" in one or slugs.count(one) > 1:
            raise SystemExit("spec.md: forges do not agree about the anchor of a heading: #%s" % one)
    return found


def requirements(text):
    """Each requirement id with the heading of its section, in order."""
    current, found = None, []
    for line in lines_outside_code(text):
        current = heading(line) or current
        found += [(name, current) for name in re.findall(r"\*\*\[([A-Z]{3}-[0-9]+)\]\*\*", line)]
    return found


def contents(text):
    """The table of contents: a list item for each chapter, with its sections."""
    out = []
    for h in headings(text)[1:]:
        link = "[%s](#%s)" % (h.text, h.slug)
        if h.level == 2 and not h.number and h.text.startswith("Part "):
            out.append(("\n" if out else "") + "[**%s**](#%s)\n" % (h.text, h.slug))
        elif h.level == 2:
            # An annex, and what follows it, belongs to no part.
            if h.text.startswith("Annex A"):
                out.append("\n**Annexes**\n")
            out.append("- " + link)
        elif out[-1].startswith("- "):
            out[-1] += (" · " if " · " in out[-1] or ": [" in out[-1] else ": ") + link
        else:
            out.append("- " + link)
    return "\n".join(out)


def ranges(numbers):
    """1, 2, 3, 5 as "1–3, 5"."""
    runs = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else "%d%s%d" % (a, ", " if b == a + 1 else "–", b) for a, b in runs)


def index(text):
    """The index: a row for each family of ids, with the sections of its numbers."""
    families = {}
    for name, section in requirements(text):
        family, number = name.split("-")
        families.setdefault(family, {}).setdefault((section.number, section.slug), []).append(int(number))
    out = ["| ids | numbers, and where |", "| --- | --- |"]
    for family in sorted(families):
        where = sorted(families[family].items(), key=lambda item: min(item[1]))
        cells = ["%s: [%s](#%s)" % (ranges(numbers), number, anchor) for (number, anchor), numbers in where]
        out.append("| %s | %s |" % (family, "; ".join(cells)))
    return "\n".join(out)


GENERATED = {"contents": contents, "index": index}


def generated(text):
    """The document with both tables as they have to be."""
    for name, make in GENERATED.items():
        begin, end = BEGIN % name, END % name
        if text.count(begin) != 1 or text.count(end) != 1:
            raise SystemExit("spec.md: no place for the %s: %s … %s" % (name, begin, end))
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + "\n\n" + make(text) + "\n\n" + end + after
    return text


def links(text):
    """The anchors in this document that its links name."""
    for line in lines_outside_code(text):
        yield from re.findall(r"\]\(#([^)]*)\)", line)
