"""Where the menu of languages leads from a page: to its own translation where there is one."""

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
CHINESE = ".zh-CN.md"


def alternates(page):
    """The entries of the menu for a page, which is named from docs/.

    >>> [entry["link"] for entry in alternates("algorithm.md")]
    ['./algorithm.html', './algorithm.zh-CN.html']
    >>> [entry["link"] for entry in alternates("speed.md")]
    ['./speed.html', './index.zh-CN.html']
    """
    name = page.removesuffix(CHINESE) if page.endswith(CHINESE) else page.removesuffix(".md")
    translated = name if (DOCS / f"{name}{CHINESE}").exists() else "index"
    return [
        {"name": "English", "link": f"./{name}.html", "lang": "en"},
        {"name": "中文", "link": f"./{translated}.zh-CN.html", "lang": "zh-CN"},
    ]
