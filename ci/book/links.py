#!/usr/bin/env python3
"""Links of the book and of all Markdown files: links.py BOOK

In the folder BOOK, which mdBook has written, links to files outside docs/ are changed first: to the
`repository` of Cargo.toml, or if it has none to a copy of the file in BOOK/repository. Pictures are
always copied. mdBook writes a README.md as index.html, and does not change the links to it: that is
done here too. Then it exits with 1 if

- a relative link, in a Markdown file of the repository or in a page of the book, leads to no file,
  or to no heading or other anchor of the file;
- a page in docs/ is not in docs/SUMMARY.md, or has a program and is not in docs/programs/lib.rs.

It makes no request: links with a host are not checked. It needs markdown-it-py, Debian's
python3-markdown-it.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

try:
    from markdown_it import MarkdownIt
except ModuleNotFoundError:
    # Debian's package is for Debian's interpreter, which may not be the first of the path.
    debian = "/usr/bin/python3"
    if os.path.realpath(sys.executable) == os.path.realpath(debian) or not os.path.exists(debian):
        sys.exit("markdown-it-py is missing: install python3-markdown-it")
    os.execv(debian, [debian, *sys.argv])

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = MarkdownIt("commonmark").enable("table")
WITH_HOST = re.compile(r"[a-z][a-z0-9+.-]*:|//")
problems = []


class Html(HTMLParser):
    """The links and the anchors of a page, or of the HTML in a Markdown file."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src", "srcset") and value and tag != "base":
                self.links.append(value.split()[0])
            elif name == "id" or name == "name" and tag == "a":
                self.anchors.append(value)


def slug(heading):
    """The anchor that forges and mdBook make of a heading."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in " -_").replace(" ", "-")


def of_markdown(text):
    """The links and the anchors of a Markdown file."""
    links, anchors = [], []
    tokens = MARKDOWN.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            inline = tokens[at + 1].children
            base = slug("".join(child.content for child in inline if child.type in ("text", "code_inline")))
            earlier = sum(re.fullmatch(re.escape(base) + r"(-\d+)?", anchor) is not None for anchor in anchors)
            anchors.append(base if base not in anchors else "%s-%d" % (base, earlier))
        for child in [token, *(token.children or [])]:
            if child.type == "link_open":
                links.append(child.attrGet("href"))
            elif child.type == "image":
                links.append(child.attrGet("src"))
            elif child.type in ("html_inline", "html_block"):
                html = Html(child.content)
                links += html.links
                anchors += html.anchors
    return links, anchors


def check(files, read):
    """Every relative link of these files leads to a file and an anchor. `read` returns both for a file."""
    known, count = {}, 0

    def anchors(path):
        if path not in known:
            known[path] = read(path)[1]
        return known[path]

    for file in files:
        for link in read(file)[0]:
            if WITH_HOST.match(link):
                continue
            count += 1
            path, _, anchor = unquote(link).partition("#")
            target = Path(os.path.normpath(file.parent / path)) if path else file
            if target.is_dir() and (target / "README.md").exists():
                target = target / "README.md"
            if not target.exists():
                problems.append("%s: there is no %s" % (os.path.relpath(file), link))
            elif anchor and target.suffix == file.suffix and anchor not in anchors(target):
                problems.append("%s: there is no anchor %s" % (os.path.relpath(file), link))
    return count


def change_links(book):
    """Changes the links of the book that leave docs/, and those to a README.md in it."""
    with open(ROOT / "Cargo.toml", "rb") as file:
        manifest = tomllib.load(file)
    repository = manifest["workspace"]["package"].get("repository") or manifest["package"].get("repository")

    def source(path):
        """The file that a link of the book names: mdBook changes the ends of links to Markdown."""
        for end, other in ("", ""), ("/index.html", "/README.md"), (".html", ".md"):
            found = path.removesuffix(end) + other if path.endswith(end) else path
            if (ROOT / found).exists():
                return found
        return None

    def change(page, found):
        attribute, link = found.groups()
        path, _, anchor = unquote(link).partition("#")
        in_book = os.path.normpath(page.parent.relative_to(book) / path)
        if not in_book.startswith(".."):
            index = link.replace("README.html", "index.html")
            return '%s="%s"' % (attribute, link if (book / in_book).exists() else index)
        file = source(os.path.normpath(Path("docs") / in_book))
        if file is None:
            return found.group()  # and `check` names it
        if repository and attribute == "href":
            return '%s="%s/blob/HEAD/%s%s"' % (attribute, repository.rstrip("/"), file, "#" + anchor if anchor else "")
        if (ROOT / file).is_dir():
            file += "/README.md"
        copy = book / "repository" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy)
        return '%s="%s"' % (attribute, os.path.relpath(copy, page.parent))

    for page in book.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        changed = re.sub(r'\b(href|src)="((?![a-z]+:|/|#)[^"]+)"', lambda found: change(page, found), text)
        if changed != text:
            page.write_text(changed, encoding="utf-8")


def check_pages():
    """Each page is a chapter, and its programs run."""
    docs = ROOT / "docs"
    summary = (docs / "SUMMARY.md").read_text(encoding="utf-8")
    tested = (docs / "programs/lib.rs").read_text(encoding="utf-8")
    for page in sorted(docs.rglob("*.md")):
        name = page.relative_to(docs).as_posix()
        if name != "SUMMARY.md" and "](%s)" % name not in summary:
            problems.append("docs/%s: it is not in docs/SUMMARY.md" % name)
        if "\n```rust" in page.read_text(encoding="utf-8") and '"../%s"' % name not in tested:
            problems.append("docs/%s: its programs are not in docs/programs/lib.rs" % name)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    book = Path(sys.argv[1]).resolve()
    os.chdir(ROOT)
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard", "*.md"],
                            check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]
    in_files = check(files, lambda path: of_markdown(path.read_text(encoding="utf-8")))
    change_links(book)
    # It is shown for any address, so its links are relative to none.
    pages = [page for page in book.rglob("*.html") if page.name != "404.html" and "repository" not in page.parts]

    def of_page(path):
        html = Html(path.read_text(encoding="utf-8"))
        return html.links, html.anchors

    in_book = check(pages, of_page)
    check_pages()
    if problems:
        sys.exit("\n".join(problems))
    print("%d links in %d Markdown files, %d in %d pages of the book" % (in_files, len(files), in_book, len(pages)))


if __name__ == "__main__":
    main()
