"""The card of a model of a table."""

from dataclasses import replace

from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.table_card import columns_told, scaling
from tests.predictors.shared_rows import PASSED, SCORES, SUPPORT, of_table


def test_it_tells_the_columns_and_how_to_call_it(tmp_path):
    adapt_regressor(of_table(), SUPPORT, SUPPORT.score).save(tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    assert "- target: score, a number" in text
    assert 'adapted.predict("new.csv")' in text
    assert "adapted.predict({'hours': ..., 'colour': ...})" in text
    assert "adapted.predict_interval" in text
    assert "the prediction and 4 to either side" in text
    assert f"{SCORES.target_scale:.8g} times the output plus {SCORES.target_mean:.8g}" in text
    assert "`hours`, `colour=blue`" in text
    adapt_classifier(of_table(PASSED), SUPPORT, SUPPORT.passed).save(tmp_path / "classes")
    text = (tmp_path / "classes" / "README.md").read_text()
    assert "| 1 | yes |" in text
    assert 'adapted.predict_proba("new.csv")' in text


def test_a_series_needs_the_rows_before():
    told = {"preparation": replace(SCORES, time="when", window=4).as_json()}
    assert any("give the 3 rows before" in line for line in columns_told(told))
    assert f"[rows, 4, {len(SCORES.feature_names)}]" in scaling(told)
