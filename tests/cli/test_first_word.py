"""The first word of `fewstep train`: a recipe, a table, a folder, or another file."""

import pytest

from tests.cli.shared import refused
from tests.data.pictures import write_folder
from tests.tables import lines


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ex.xlsx", "ex.xlsx is a workbook or an archive; save the table as CSV"),
        ("ex.ods", "ex.ods is a workbook or an archive; save the table as CSV"),
        ("ex.zip", "ex.zip is an archive; unpack it, and give what is in it"),
        ("ex.json", "ex.json is no table by its name; expected .csv, .tsv"),
        ("ex.db", "ex.db is no table by its name; expected .csv, .tsv"),
        ("ex", "ex is no table by its name; expected .csv, .tsv"),
    ],
)
def test_a_file_that_is_no_table(name, told, here, capsys):
    (here / name).write_bytes(b"PK\x03\x04" if name.endswith(("zip", "xlsx")) else b"{}")
    assert told in refused(["train", name, "--target", "x"], capsys)
    assert told in refused(["train", f"./{name}", "--target", "x"], capsys)


@pytest.mark.parametrize("name", ["exams.csv", "exams.xlsx", "exams.json", "in/exams.csv"])
def test_a_file_that_is_not_there(name, here, capsys):
    (here / "exam.csv").touch()
    told = refused(["train", name, "--target", "x"], capsys)
    assert f"there is no file {name}; " in told
    assert ("did you mean exam.csv?" in told) == ("/" not in name)


def test_columns_are_of_tables(here, capsys):
    write_folder(here / "pics", classes=2, pictures=1)
    told = refused(["train", "pics", "--task", "school", "--target=x"], capsys)
    assert "--task and --target are of tables, and the folder pics holds pictures" in told
    (here / "empty").mkdir()
    told = refused(["train", "empty", "--window", "3"], capsys)
    assert "--window is of tables, and the folder empty holds no table" in told


@pytest.mark.parametrize("place", ["plots", "runs"])
def test_tables_with_pictures_in_a_folder_beside(place, here, capsys):
    lines(4).to_csv("sites.csv", index=False)
    (here / place).mkdir()
    (here / place / "fit.png").touch()
    told = refused(["train", ".", "--task", "site", "--target", "level"], capsys)
    assert f"{here.name} has 4 tasks; training needs 6" in told
