from fewstep.data.tables.paths import is_table
from tests.data.pictures import write_folder


def test_files_are_known_by_their_names():
    told = {
        name: is_table(name) for name in ("a.csv", "b.TSV", "c.parquet", "d.csv.gz", "e", "f.png")
    }
    assert [name for name, is_one in told.items() if not is_one] == ["e", "f.png"]


def test_folders_are_known_by_their_files(tmp_path):
    tables, photos = tmp_path / "tables", tmp_path / "photos"
    tables.mkdir()
    assert not is_table(tables)
    (tables / "one.csv").write_text("x,y\n1,2\n")
    (tables / "plots").mkdir()
    assert is_table(tables)
    write_folder(photos, classes=2, pictures=1)
    # A list of labels makes no table of a folder of pictures.
    (photos / "labels.csv").write_text("file,label\n")
    assert not is_table(photos)
    assert not is_table(tmp_path / "gone")
