"""Speakers that are held out: what is read, how it is filled up, and who is in a task."""

import numpy as np
import torch

from benchmarks.speakers import FEATURES, LENGTH, SpeakerTasks, prepared, read, with_mixtures


def _utterances(folder):
    """Four speakers; each number of a file tells speaker and time."""
    for part, many in (("TRAIN", 3), ("TEST", 2)):
        lines = []
        for speaker in "2143":
            times = [str(10 * int(speaker) + t) for t in range(7)]
            lines += [":".join([",".join(times)] * FEATURES + [speaker])] * many
        text = "@problemName of its own\n@data\n" + "\n".join(lines) + "\n"
        (folder / f"JapaneseVowels_{part}.ts").write_text(text)
    return read(folder)


def test_both_files_are_read(tmp_path):
    found = _utterances(tmp_path)
    assert list(found) == ["1", "2", "3", "4"]
    assert {len(of) for of in found.values()} == {5}
    np.testing.assert_array_equal(found["3"][0][:, 4], np.arange(30, 37))


def test_utterances_are_scaled_and_filled_up(tmp_path):
    found = prepared(_utterances(tmp_path), ["4"], ["1", "2"])["4"]
    assert found.shape == (5, LENGTH, FEATURES)
    rows = np.concatenate([np.arange(10, 17), np.arange(20, 27)])
    expected = (np.array([40] * (LENGTH - 7) + [*range(40, 47)]) - rows.mean()) / rows.std()
    np.testing.assert_allclose(found[0, :, 3], expected, rtol=1e-5)


def test_a_mixture_is_between_its_two_speakers(tmp_path):
    of = _utterances(tmp_path)
    speakers = prepared(of, ["1", "2", "3"], ["1", "2", "3"])
    found = with_mixtures(speakers)
    assert list(found) == ["1", "2", "3", "1+2", "1+3", "2+3"]
    torch.testing.assert_close(found["1+3"][0], speakers["2"][0])


def test_tasks_know_who_is_in_them(tmp_path):
    speakers = prepared(_utterances(tmp_path), ["1", "2", "3"], ["1", "2", "3"])
    tasks = SpeakerTasks(speakers, n_way=2, k_shot=1, q_query=4)
    batch = tasks.batch(range(30))
    assert batch.support_x.shape == (30, 2, LENGTH, FEATURES)
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        who = batch.classes.gather(1, y)
        expected = torch.stack([speakers[name][0, -1, 0] for name in speakers])[who]
        torch.testing.assert_close(x[:, :, -1, 0], expected)
    assert torch.equal(tasks.batch([7]).query_x[0], batch.query_x[7])
