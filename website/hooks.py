"""Pages that are written for the repository's own view, as pages of the site."""

import posixpath
import re
from pathlib import Path

from languages import CHINESE, alternates
from mkdocs.structure.files import File, InclusionLevel
from screen_readers import for_screen_readers

ROOT = Path(__file__).parents[1]
DOCS, OUTSIDE = "docs/", "files/"
LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)(#[^)]*)?\)")
DEMO = "website/demo"  # in the repository the folder, on the site the page


def on_files(files, config):
    """Adds a page for every file outside of docs/ that a page links to."""
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        page = waiting.pop()
        for target, _ in LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, target)
            if path.startswith(DOCS) or files.get_file_from_path(_uri(path)):
                continue
            shown = _shown(ROOT / path, path)
            made = File.generated(config, _uri(path), content=shown)
            made.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(made)
            if path.endswith(".md"):
                waiting.append(made)
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads links of the repository to pages of the site."""
    here = page.file.src_uri

    def to_page(found):
        target = _uri(_in_repository(here, found[1]))
        return f"]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{found[2] or ''})"

    quoted = here.startswith(OUTSIDE) and "````" in markdown
    return markdown if quoted else LINK.sub(to_page, markdown)


def on_page_context(context, page, config, nav):
    """A Chinese page has Chinese words around it, and the menu leads to a page's translation."""
    config.theme["language"] = "zh" if page.file.src_uri.endswith(CHINESE) else "en"
    config.extra["alternate"] = alternates(page.file.src_uri)
    return context


def on_post_page(output, page, config):
    """A page, for screen readers too."""
    return for_screen_readers(output)


def on_post_template(output_content, template_name, config):
    """So is the page for a link that leads nowhere."""
    return for_screen_readers(output_content) if template_name.endswith(".html") else output_content


def _in_repository(page, target):
    """Where a link of a page leads, from the root of the repository."""
    own = page.removeprefix(OUTSIDE) if page.startswith(OUTSIDE) else DOCS + page
    return posixpath.normpath(posixpath.join(posixpath.dirname(own), target))


def _uri(path):
    """The source of the page, or the file of docs/, for a path in the repository."""
    if path == DEMO:
        return "demo/index.html"
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return f"{OUTSIDE}{path.removesuffix('.md')}.md"


def _shown(path, name):
    """The text of a page for a file: its own where that is Markdown; of a folder, its list."""
    if path.is_dir():
        inside = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if p.name[0] not in "._")
        return f"# {name}/\n\n" + "\n".join(f"- `{entry}`" for entry in inside)
    text = path.read_text(encoding="utf-8")
    return text if path.suffix == ".md" else f"# {name}\n\n````{path.suffix[1:]}\n{text}````\n"
