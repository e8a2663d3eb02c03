import os

import pytest

from fewstep import InputError
from fewstep.config.recipes import table_config
from fewstep.data.tables.source import names_of, open_table, rows_needed, sources
from tests.tables import lines


def config_of(path, **given):
    return table_config(str(path), task="site", target="level", **given)


def test_columns_with_a_comma_stand_in_quotes():
    assert names_of('raw, "wind, in m/s" ,hour') == ["raw", "wind, in m/s", "hour"]
    assert names_of(None) is None


def test_a_table_is_read_again_where_it_changed(tmp_path):
    path = tmp_path / "sites.csv"
    lines().to_csv(path, index=False)
    first = open_table(config_of(path))
    assert open_table(config_of(path)) is first
    lines(13).to_csv(path, index=False)
    os.utime(path, ns=(1, 1))
    assert len(open_table(config_of(path))) == 13
    assert open_table(config_of(path, inputs="raw")) is not first


def test_a_file_of_a_folder_that_is_gone_is_named(tmp_path):
    lines().to_csv(tmp_path / "sites.csv", index=False)
    (tmp_path / "old.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"cannot open .*old\.csv"):
        open_table(config_of(tmp_path))


def test_splits_have_no_task_in_common(tmp_path):
    lines(30).to_csv(tmp_path / "sites.csv", index=False)
    given = {"k_shot": 4, "q_query": 3, "test_k_shot": 2, "min_k_shot": 1}
    parts = sources(config_of(tmp_path / "sites.csv", **given), None)
    names = [name for part in parts.values() for name in part.names]
    assert len(names) == len({*names}) == 30
    assert [len(part.names) for part in parts.values()] == [18, 6, 6]
    assert parts["train"].batch(range(9)).support_sizes is not None
    assert parts["val"].batch(range(9)).support_y.shape[1] == 2
    again = sources(config_of(tmp_path / "sites.csv", **given, seed=1), None)
    assert again["test"].names != parts["test"].names


def test_tasks_need_rows_for_both_parts():
    assert rows_needed(config_of("t.csv", k_shot=4)) == 5
    assert rows_needed(config_of("t.csv", k_shot=4, min_k_shot=1)) == 5
    assert rows_needed(config_of("t.csv", k_shot=4, min_k_shot=1, test_k_shot=2)) == 3


def test_too_few_tasks_are_refused(tmp_path):
    lines(6, 3).to_csv(tmp_path / "sites.csv", index=False)
    with pytest.raises(InputError, match="has 0 tasks of 4 rows or more; training needs 6"):
        sources(config_of(tmp_path / "sites.csv", k_shot=3), None)
