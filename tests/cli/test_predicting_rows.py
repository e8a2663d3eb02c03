"""`fewstep predict` for tables: rows of a file or of standard input."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from fewstep.cli import main
from tests.cli.shared import refused
from tests.own_rows import rows_of_task

NEW = rows_of_task("new", 26)


@pytest.fixture(scope="module")
def model(adapted_school):
    return str(adapted_school / "score")


def predict_json(arguments, capsys):
    capsys.readouterr()
    assert main(["predict", *map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out, parse_constant=pytest.fail), err


def test_the_columns_of_the_file_come_back_as_they_are(model, tmp_path, capsys):
    rows = NEW[["colour", "hours"]].assign(pupil=[f"{n:03}" for n in range(26)], low="kept; as, is")
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.to_csv(file, index=False)
    told, err = predict_json([model, file, "--csv", out], capsys)
    assert err == ""
    with out.open(newline="") as opened:
        found = list(csv.DictReader(opened))
    assert list(found[0]) == ["colour", "hours", "pupil", "low", "prediction", "low_2", "high"]
    assert [row["pupil"] for row in found] == rows.pupil.tolist()
    assert {row["low"] for row in found} == {"kept; as, is"}
    for row, one in zip(found, told["predictions"], strict=True):
        assert float(row["prediction"]) == one["prediction"]
        assert [float(row["low_2"]), float(row["high"])] == one["interval"]


def test_what_the_interval_held_is_told(model, new_school, adapted_school, capsys):
    query = str(new_school / "query.csv")
    assert predict_json([model, query], capsys)[0]["held"] == 0.846
    assert main(["predict", model, query]) == 0
    assert "95% interval (held 85% on test tasks)" in capsys.readouterr().out
    assert "95% interval (held 85% on test tasks): " in (Path(model) / "README.md").read_text()
    passed = str(adapted_school / "passed")
    assert predict_json([passed, query], capsys)[0]["held"] is None


@pytest.mark.parametrize("name", ["in.csv", "link.csv"])
def test_predictions_never_replace_their_own_rows(model, tmp_path, capsys, name):
    file = tmp_path / "in.csv"
    NEW[["colour", "hours"]].to_csv(file, index=False)
    (tmp_path / "link.csv").symlink_to(file)
    before = file.read_bytes()
    told = refused(["predict", str(model), str(file), "--csv", str(tmp_path / name)], capsys)
    assert "is the file that is predicted" in told
    assert file.read_bytes() == before


def test_missing_values_are_filled_in(model, tmp_path, capsys):
    rows = NEW[["hours", "colour"]].astype(object)
    rows.loc[1, "hours"] = rows.loc[2, "colour"] = None
    file = tmp_path / "in.csv"
    rows.to_csv(file, index=False)
    told, err = predict_json([model, file], capsys)
    assert len(told["predictions"]) == 26
    assert "missing" in err


def test_standard_input_is_csv(model, new_school, tmp_path, capsys, monkeypatch):
    expected, _ = predict_json([model, new_school / "blind.csv"], capsys)
    for content in (
        (new_school / "blind.csv").read_bytes(),
        (new_school / "blind.csv").read_bytes().replace(b",", b";").replace(b".", b","),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        out = tmp_path / "out.csv"
        told, _ = predict_json([model, "-", "--csv", out], capsys)
        assert told["predictions"] == expected["predictions"]
        assert len(out.read_text().splitlines()) == 21
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input is empty" in refused(["predict", model, "-"], capsys)


def test_parquet_is_read_as_well(model, new_school, tmp_path, capsys):
    pd.read_csv(new_school / "blind.csv").to_parquet(tmp_path / "in.parquet")
    out = tmp_path / "out.csv"
    told, _ = predict_json([model, tmp_path / "in.parquet", "--csv", out], capsys)
    expected, _ = predict_json([model, new_school / "blind.csv"], capsys)
    assert told["predictions"] == expected["predictions"]
    assert pd.read_csv(out).columns.tolist() == ["colour", "hours", "prediction", "low", "high"]


def test_targets_are_judged_where_they_are_known(model, new_school, tmp_path, capsys):
    told, _ = predict_json([model, new_school / "query.csv"], capsys)
    assert told["examples"] == 20
    assert told["rmse"] > 0
    assert main(["predict", model, str(new_school / "query.csv")]) == 0
    out, err = capsys.readouterr()
    assert "of 20 rows with a target" in out
    assert "another unit" not in err
    file = tmp_path / "in.csv"
    NEW[6:].assign(score=100 * NEW.score).to_csv(file, index=False)
    assert "column 'score', row 2: " in predict_json([model, file], capsys)[1]


def test_long_tables_are_shown_in_part(model, tmp_path, capsys):
    file = tmp_path / "in.csv"
    pd.concat([NEW] * 2)[["hours", "colour"]].to_csv(file, index=False)
    assert main(["predict", model, str(file)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2] == "... and 32 more; --json prints all"
    assert len(out) == 23


def test_labels_with_their_probabilities(adapted_school, new_school, tmp_path, capsys):
    out = tmp_path / "out.csv"
    given = [adapted_school / "passed", new_school / "blind.csv", "--top", 2, "--csv", out]
    told, _ = predict_json(given, capsys)
    for one in told["predictions"]:
        first, second = one["top"]
        assert first == {"label": one["label"], "probability": one["probability"]}
        assert first["probability"] + second["probability"] == pytest.approx(1, abs=1e-4)
    found = pd.read_csv(out)
    assert found.label.tolist() == [one["label"] for one in told["predictions"]]
    assert found.columns.tolist()[2:] == ["label", "probability", "label_2", "probability_2"]
    told, _ = predict_json([*given[:2], "--threshold", "1"], capsys)
    assert {one["label"] for one in told["predictions"]} == {None}


def test_rows_of_another_task_are_told(model, tmp_path, capsys):
    file = tmp_path / "in.csv"
    NEW.assign(school="old").to_csv(file, index=False)
    _, err = predict_json([model, file], capsys)
    assert "the rows are of school old, and the model learned new" in err
    pd.concat([NEW, NEW.assign(school="old")]).to_csv(file, index=False)
    assert "rows of 2 tasks" in refused(["predict", model, str(file)], capsys)


def test_all_rows_are_predicted_or_none(model, new_school, adapted, tmp_path, capsys):
    rows = NEW.astype(object)
    rows.loc[4, "hours"] = "many"
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.to_csv(file, index=False)
    blind = str(new_school / "blind.csv")
    for given, expected in (
        ([model, str(file)], "column 'hours', row 6: 'many' is no number"),
        ([model, blind, blind], "2 files are given"),
        ([model, str(tmp_path)], "is a folder"),
        ([model, blind, "--top", "2"], "are for classes"),
        ([model, blind, "--threshold", "0.5"], "are for classes"),
        ([str(adapted), blind], "could not be predicted"),
    ):
        capsys.readouterr()
        assert main(["predict", *given, "--csv", str(out)]) == 2
        assert expected in capsys.readouterr().err
    assert not out.exists() or out.read_text().startswith("file,")


def test_a_run_is_no_adapted_model(table_runs, new_school, capsys):
    given = ["predict", str(table_runs / "score"), str(new_school / "blind.csv")]
    assert "first adapt it" in refused(given, capsys)


def test_no_threshold_was_chosen_for_rows(adapted_school, new_school, capsys):
    given = [str(adapted_school / "passed"), str(new_school / "blind.csv"), "--threshold", "auto"]
    told = refused(["predict", *given], capsys)
    assert "has no threshold of its own: every row is of a class that is known" in told
    assert "ways" not in told
