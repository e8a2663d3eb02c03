"""The pages of results are those that one command makes of the files."""

from fewstep.published.files import results_folder
from scripts import results


def test_no_page_of_results_was_edited_by_hand():
    assert results_folder() == results.ROOT / "results"
    for path, text in results.pages(results.ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"run python -m scripts.results: {path}"
