"""Pages of the site serve screen readers, too; ``make accessibility`` looks at them all."""

import pytest

from website.languages import alternates
from website.screen_readers import for_screen_readers


def test_the_search_has_a_name():
    assert for_screen_readers('<div role="dialog">') == '<div role="dialog" aria-label="Search">'


def test_an_empty_corner_of_a_table_is_no_heading():
    row = '<tr><th></th><th align="right"></th><th>steps</th></tr>'
    assert for_screen_readers(row) == '<tr><td></td><td align="right"></td><th>steps</th></tr>'


@pytest.mark.parametrize(
    ("page", "english", "chinese"),
    [
        ("algorithm.md", "algorithm", "algorithm"),
        ("algorithm.zh-CN.md", "algorithm", "algorithm"),
        ("speed.md", "speed", "index"),
        ("files/CONTRIBUTING.md", "files/CONTRIBUTING", "index"),
    ],
)
def test_the_menu_of_languages_leads_to_the_translation(page, english, chinese):
    links = [entry["link"] for entry in alternates(page)]
    assert links == [f"./{english}.html", f"./{chinese}.zh-CN.html"]
