"""The pages of results are those that one command makes of the files."""

from fewstep.published.files import read_results, results_folder
from fewstep.published.of_run import FEWEST, cell_config, settings_of
from scripts import results


def test_no_page_of_results_was_edited_by_hand():
    assert results_folder() == results.ROOT / "results"
    for path, text in results.pages(results.ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"run python -m scripts.results: {path}"


def test_every_result_is_of_the_schedule_that_its_row_has():
    for one in read_results(results_folder()):
        assert one.settings == settings_of(cell_config(*one.cell)), f"{one.file_name}: train again"
        assert one.tasks >= FEWEST
