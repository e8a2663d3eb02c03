"""Pages of the site serve screen readers, too; ``make accessibility`` looks at them all."""

from website.screen_readers import for_screen_readers


def test_the_search_has_a_name():
    assert for_screen_readers('<div role="dialog">') == '<div role="dialog" aria-label="Search">'


def test_an_empty_corner_of_a_table_is_no_heading():
    row = '<tr><th></th><th align="right"></th><th>steps</th></tr>'
    assert for_screen_readers(row) == '<tr><td></td><td align="right"></td><th>steps</th></tr>'
