"""`fewstep.fit` trains any learner on any tasks by the loop of the command line."""

import json
import os
import signal
import time
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

import fewstep
from fewstep import InputError, TaskBatch
from fewstep.data import Table
from fewstep.training import checkpoint
from fewstep.training.fit import FitResult
from tests.processes import end, start, until
from tests.tables import lines
from tests.training.shared import FIT, small_learner

TRAIN, VAL = FIT["train"], FIT["validation"]
SHORT = {name: value for name, value in FIT.items() if name not in ("train", "validation")}
learner = small_learner


def test_errors_are_in_the_unit_of_a_table(tmp_path):
    parts = Table(lines(), task="site", target="level").split(8, 2, 2, seed=0)
    train, val, _ = (part.tasks(k_shot=5, q_query=9) for part in parts)
    torch.manual_seed(0)
    learner = fewstep.MAML(nn.Linear(1, 1), 0.1, 1, loss="mse")
    given = {"steps": 2, "val_every": 1, "val_tasks": 4, "meta_batch": 2}
    done = fewstep.fit(learner, train, val, run_dir=tmp_path, **given)
    assert done.metric == "rmse"
    assert 10 < done.best_score < 40
    assert "validation rmse" in repr(done)
    scores = [
        line[f"{of}/score"]
        for of in ("train", "val")
        for line in done.history
        if f"{of}/score" in line
    ]
    assert len(scores) == 4
    assert all(5 < score < 60 for score in scores)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["metric"], told["diagnosis"]["score"]) == ("rmse", "rmse")
    assert learner.metrics is None
    # Of tasks that are none of a source, those that are trained on tell the unit.
    held_out = val.batch(range(2))
    assert fewstep.fit(learner, train, held_out, **given).metric == "rmse"
    assert fewstep.fit(learner, train.batch(range(2)), held_out, **given).metric == "mse"


def weights(of):
    return {name: p.detach().clone() for name, p in of.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def trained(train, **given):
    new = learner()
    result = fewstep.fit(new, train, **(SHORT | given))
    return weights(new), result


def with_metrics(other):
    return learner(metrics={"mse": F.mse_loss, other: F.l1_loss})


class Single(Dataset):
    """Single tasks, by number."""

    def __len__(self):
        return 12

    def __getitem__(self, number):
        return TRAIN.batch([number]).task(0)


def batches(n=20):
    return [TRAIN.batch(range(3 * s, 3 * s + 3)) for s in range(n)]


FORMS = {
    "source": TRAIN,
    "function": lambda step: TRAIN.batch(range(3 * step, 3 * step + 3)),
    "batches": batches(),
    "generator": lambda: iter(batches()),
    "tasks": [TRAIN.batch([n]).task(0) for n in range(30)],
    "batches of one": [TRAIN.batch([n]) for n in range(30)],
    "loader of batches": DataLoader(Single(), batch_size=3),
    "loader of tasks": DataLoader(Single(), batch_size=None),
    "loader that stacks": DataLoader(Single(), batch_size=3, collate_fn=TaskBatch.stack),
}


@pytest.mark.parametrize("form", [name for name in FORMS if name != "source"])
def test_each_form_of_tasks_trains_alike(form):
    train = FORMS[form]() if form == "generator" else FORMS[form]
    found, result = trained(train, steps=4)
    assert same(found, trained(TRAIN, steps=4)[0])
    assert (result.steps, result.finished) == (4, True)


def test_an_iterable_is_gone_through_again():
    twice = [*batches(2), *batches(2), *batches(2)]
    assert same(trained(batches(2))[0], trained(twice)[0])


def test_tasks_that_end(caplog):
    with caplog.at_level("INFO", "fewstep"):
        found, result = trained(iter(batches(3)), validation=VAL)
    assert "the training tasks ended after 3 of 6 outer steps" in caplog.text
    assert (result.steps, result.finished, result.best_step) == (3, False, 3)
    assert same(found, trained(TRAIN, steps=3)[0])
    assert "unfinished" in repr(result)


def test_the_best_in_validation_is_left_in_the_learner():
    found, result = trained(
        TRAIN, validation=VAL, optimizer=partial(torch.optim.SGD, lr=0.3), steps=10
    )
    scores = {r["step"]: r["val/score"] for r in result.history if "val/score" in r}
    assert list(scores) == [2, 4, 6, 8, 10]
    assert result.best_score == min(scores.values()) == scores[result.best_step]
    assert result.best_step < 10
    until = trained(TRAIN, optimizer=partial(torch.optim.SGD, lr=0.3), steps=result.best_step)
    assert same(found, until[0])


def test_it_stops_early():
    # The first validation is the best, for a learner that gets worse.
    worse = partial(torch.optim.SGD, lr=0.01, maximize=True)
    _, result = trained(TRAIN, validation=VAL, patience=2, steps=50, optimizer=worse)
    assert result.stopped_early
    assert result.finished
    assert (result.best_step, result.steps) == (2, 6)


@pytest.mark.parametrize("form", ["taskbatch", "list", "generator", "loader"])
def test_each_form_of_validation(form):
    tasks = VAL.batch(range(4))
    given = {
        "taskbatch": tasks,
        "list": [tasks[:1], tasks[1:]],
        "generator": (tasks[n : n + 1] for n in range(4)),
        "loader": DataLoader([tasks.task(n) for n in range(4)], batch_size=2),
    }[form]
    _, result = trained(TRAIN, validation=given)
    expected = trained(TRAIN, validation=VAL)[1]
    assert result.history == [
        {name: pytest.approx(value, rel=1e-5) for name, value in row.items()}
        for row in expected.history
    ]


def test_random_tasks_depend_on_seed_and_step_alone():
    def drawn(step):
        x = torch.randn(3, 10, 1)
        return TaskBatch(x[:, :5], x[:, :5].sin(), x[:, 5:], x[:, 5:].sin())

    before = torch.get_rng_state()
    found, _ = trained(drawn)
    assert torch.equal(torch.get_rng_state(), before)
    torch.randn(7)
    assert same(found, trained(drawn)[0])
    assert not same(found, trained(drawn, seed=1)[0])
    shuffled = DataLoader(Single(), batch_size=3, shuffle=True)
    assert same(trained(shuffled)[0], trained(shuffled)[0])


def test_nothing_is_written_or_left(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    new = learner()
    fewstep.fit(new, TRAIN, validation=VAL, **SHORT)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert all(p.grad is None for p in new.parameters())
    of_some = torch.optim.SGD(list(new.parameters())[:1])
    fewstep.fit(new, TRAIN, optimizer=of_some, **SHORT)
    assert all(p.grad is None for p in new.parameters())


def test_callbacks_get_the_figures():
    told = []
    trained(TRAIN, validation=VAL, callbacks=[lambda step, figures: told.append((step, figures))])
    assert [step for step, figures in told if "train/loss" in figures] == [1, 2, 3, 4, 5, 6]
    assert [step for step, figures in told if "val/score" in figures] == [2, 4, 6]
    assert set(told[0][1]) == {"train/loss", "train/score", "train/gradient_norm"}


def test_optimisers_in_three_forms():
    new = learner()
    fewstep.fit(new, TRAIN, optimizer=torch.optim.Adam(new.parameters(), 1e-3), **SHORT)
    by_factory = trained(TRAIN, optimizer=partial(torch.optim.Adam, lr=1e-3))[0]
    assert same(weights(new), trained(TRAIN)[0])
    assert same(by_factory, trained(TRAIN)[0])
    assert not same(by_factory, trained(TRAIN, optimizer=torch.optim.SGD)[0])


def interrupted_after(number):
    def stop(step, figures):
        if step == number and "train/loss" in figures:
            raise RuntimeError("stopped here")

    return stop


@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.Adam,
        partial(torch.optim.Adam, lr=0.01, amsgrad=True),
        torch.optim.AdamW,
        partial(torch.optim.SGD, lr=0.01, momentum=0.9),
        partial(torch.optim.SGD, lr=0.01),
        torch.optim.NAdam,
        torch.optim.Rprop,
        torch.optim.Adagrad,
    ],
    ids=["adam", "amsgrad", "adamw", "momentum", "sgd", "nadam", "rprop", "adagrad"],
)
def test_every_optimiser_goes_on_to_the_same_end(optimizer, tmp_path):
    def run(path, callbacks=()):
        new = learner()
        made = optimizer(new.parameters())
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(made, 9)
        given = SHORT | {"steps": 9, "ema_decay": 0.5, "validation": VAL, "optimizer": made}
        fewstep.fit(new, TRAIN, run_dir=path, callbacks=[schedule, *callbacks], **given)
        return weights(new)

    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped here"):
        run(tmp_path / "run", [interrupted_after(6)])
    assert checkpoint.load(tmp_path / "run" / "last.safetensors")[1].step == 4
    assert same(whole, run(tmp_path / "run"))
    one, other = (checkpoint.load(tmp_path / n / "last.safetensors") for n in ("whole", "run"))
    assert same(one[0], other[0])
    assert one[1].optimizer == other[1].optimizer


@pytest.mark.parametrize("form", ["function", "batches", "generator", "loader that stacks"])
def test_every_form_goes_on_to_the_same_end(form, tmp_path):
    def train():
        return FORMS[form]() if form == "generator" else FORMS[form]

    with pytest.raises(RuntimeError):
        trained(train(), run_dir=tmp_path, callbacks=[interrupted_after(5)])
    found, result = trained(train(), run_dir=tmp_path)
    assert same(found, trained(train())[0])
    assert [row["step"] for row in result.history] == [1, 2, 3, 4, 5, 6]


def test_an_iterator_that_is_too_short_to_go_on(tmp_path):
    trained(iter(batches(6)), run_dir=tmp_path)
    with pytest.raises(InputError, match=r"train ended after 2 meta-batches, and 6 outer steps"):
        trained(iter(batches(2)), run_dir=tmp_path, steps=9)


def _train_slowly(run_dir):
    def slowly(step, figures):
        time.sleep(0.05)

    fewstep.fit(small_learner(), run_dir=run_dir, callbacks=[slowly], **FIT | {"steps": 40})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_killed_training_goes_on_to_the_same_end(number, tmp_path):
    process = start([], tmp_path / "out", partial(_train_slowly, tmp_path / "run"))
    until((tmp_path / "run" / "last.safetensors").exists, process)
    os.kill(process.pid, number)
    status, said = end(process, tmp_path / "out")
    assert status != 0, said
    given = {"validation": VAL, "steps": 40}
    found, result = trained(TRAIN, run_dir=tmp_path / "run", **given)
    whole, undisturbed = trained(TRAIN, run_dir=tmp_path / "whole", **given)
    assert same(found, whole)
    assert result.history == undisturbed.history
    one, other = (checkpoint.load(tmp_path / n / "last.safetensors") for n in ("whole", "run"))
    assert same(one[0], other[0])


def test_a_run_directory_holds_what_the_command_line_writes(tmp_path):
    _, result = trained(TRAIN, validation=VAL, run_dir=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    files = {"config.json", "metrics.jsonl", "summary.json", "versions.json", "tensorboard"}
    assert names == files | {"best.safetensors", "last.safetensors"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["metric"], summary["best_step"]) == ("mse", result.best_step)
    again = trained(TRAIN, validation=VAL, run_dir=tmp_path)[1]
    assert isinstance(again, FitResult)
    assert (again.finished, again.history) == (True, result.history)


def test_another_run_in_the_same_directory(tmp_path):
    trained(TRAIN, run_dir=tmp_path)
    with pytest.raises(InputError, match=r"holds a run with meta_batch = 3, not 4; choose another"):
        trained(TRAIN, run_dir=tmp_path, meta_batch=4)
    other = learner()
    other.inner_lr = 0.5
    with pytest.raises(InputError, match=r"holds a run with learner.inner_lr = 0.01, not 0.5"):
        fewstep.fit(other, TRAIN, run_dir=tmp_path, **SHORT)
    with pytest.raises(InputError, match=r"holds a run with optimizer = Adam, not SGD"):
        trained(TRAIN, run_dir=tmp_path, optimizer=torch.optim.SGD)
    assert trained(TRAIN, run_dir=tmp_path, steps=8, checkpoint_every=2)[1].steps == 8


def test_groups_of_parameters_are_of_the_run(tmp_path):
    def run(*rates, ends=(2, 4), decay=0, schedule=False):
        new = learner()
        parameters, starts = list(new.parameters()), (0, *ends)
        made = torch.optim.SGD(
            {"params": parameters[start:end], "lr": lr, "weight_decay": decay}
            for start, end, lr in zip(starts, ends, rates, strict=False)
        )
        scheduler = torch.optim.lr_scheduler.ExponentialLR(made, 0.5)
        given = SHORT | {"optimizer": made, "callbacks": scheduler if schedule else None}
        for _ in range(2):  # the same objects again, too
            fewstep.fit(new, TRAIN, run_dir=tmp_path, **given)

    run(0.1, 0.01, schedule=True)
    run(0.1, 0.01, schedule=True)
    for other, ends in (((0.01, 0.1), (2, 4)), ((0.1, 0.01), (1, 4)), ((0.1,), (4,))):
        with pytest.raises(InputError, match=r"holds a run with optimizer\.groups = "):
            run(*other, ends=ends)
    with pytest.raises(InputError, match=r"not .* 'lr': 0.1, 'weight_decay': 0.5"):
        run(0.1, 0.01, decay=0.5)


def test_a_score_that_is_not_finite_is_never_best(tmp_path, caplog):
    values = iter([])
    score = [0.0]
    new = learner(metrics={"f1": lambda prediction, y: 0 * prediction.sum() + score[0]})

    def told(step, figures):
        if "train/loss" in figures and step % 2 == 0:
            score[0] = next(values)

    def fit(numbers, **given):
        nonlocal values
        values = iter(numbers)
        given = SHORT | {"callbacks": told, "larger_is_better": True} | given
        return fewstep.fit(new, TRAIN, VAL, **given)

    nan, inf = float("nan"), float("inf")
    found = fit([nan, 0.5, inf], run_dir=tmp_path / "one")
    assert (found.best_score, found.best_step) == (0.5, 4)
    assert fit([nan, 0.5, 0.25]).best_score == 0.5
    for path in (tmp_path / "two", None):
        caplog.clear()
        with caplog.at_level("INFO", "fewstep"):
            found = fit([nan] * 3, run_dir=path)
        assert "no validation was finite: the last initialisation is kept" in caplog.text
        assert (found.best_score, found.best_step) == (None, 6)
        assert "f1" not in repr(found).splitlines()[0]
    assert fit([], run_dir=tmp_path / "two").best_score is None
    assert fit([0.25], run_dir=tmp_path / "two", steps=8).best_score == 0.25


def test_one_batch_is_taken_in_every_step():
    batch = TRAIN.batch([0])
    assert same(trained(batch)[0], trained(lambda step: batch)[0])


def test_one_callback():
    told = []
    trained(TRAIN, callbacks=lambda step, figures: told.append(step))
    assert told == [1, 2, 3, 4, 5, 6]


def test_several_processes():
    new = learner()
    fewstep.fit(new, TRAIN, validation=VAL, workers=2, **SHORT)
    for name, value in trained(TRAIN, validation=VAL)[0].items():
        assert dict(new.named_parameters())[name].allclose(value, atol=1e-6)


def test_a_compiled_learner_is_refused_and_nothing_written(tmp_path):
    compiled = torch.compile(learner(), backend="eager")
    with pytest.raises(InputError, match=r"wrapped by torch\.compile, which renames"):
        fewstep.fit(compiled, TRAIN, run_dir=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def test_a_metric_of_ones_own():
    new = learner(metrics={"mae": F.l1_loss})
    with pytest.raises(InputError, match="first metric is 'mae'; say larger_is_better=True or"):
        fewstep.fit(new, TRAIN, validation=VAL, **SHORT)
    result = fewstep.fit(new, TRAIN, validation=VAL, larger_is_better=False, **SHORT)
    assert result.metric == "mae"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train": 3}, "the tasks are of type int; expected a TaskBatch, a source with"),
        ({"train": []}, "train is empty; expected at least one task"),
        ({"train": lambda step: None}, r"train\(0\) returned a NoneType; expected a TaskBatch"),
        ({"train": [(1, 2)]}, "expected the four of"),
        ({"train": [TRAIN.batch([0]), TRAIN.batch([1, 2])]}, "gives single tasks and then 2 at"),
        ({"validation": []}, "tasks is empty; expected at least one task"),
        ({"validation": nn.Linear(1, 1)}, "the tasks are of type Linear; expected a TaskBatch"),
        ({"steps": 0}, "steps is 0; expected 1 or more"),
        ({"val_every": 2.5}, "val_every is 2.5, a float; expected a whole number"),
        ({"patience": 2}, "patience is 2 without validation"),
        ({"ema_decay": 1}, "ema_decay is 1; expected at least 0 and less than 1"),
        ({"optimizer": "adam"}, "optimizer is 'adam'; expected one of torch.optim"),
        ({"optimizer": lambda p: 3}, "expected one of torch.optim, or a function"),
        ({"optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters())}, "over none of the learner"),
        ({"callbacks": ["print"]}, "callbacks has a str; expected functions of"),
        ({"callbacks": 5}, "callbacks has a int; expected functions of"),
        ({"optimizer": torch.optim.LBFGS}, "optimizer is LBFGS, which needs a closure"),
        ({"optimizer": torch.optim.SparseAdam}, "optimizer is SparseAdam, which needs"),
        ({"optimizer": partial(torch.optim.Adam, differentiable=True)}, "differentiable step"),
        ({"train": lambda: TRAIN.batch([0])}, "train is a function that cannot be called with a"),
        ({"train": nn.Linear(1, 1)}, "the tasks are of type Linear; expected a TaskBatch"),
        ({"validation": lambda a, b: VAL.batch([0])}, "tasks is a function that cannot be called"),
        ({"learner": learner().requires_grad_(False)}, "no parameter of the model requires a"),
        ({"run_dir": 5}, "run_dir is 5; expected the path of a folder"),
        ({"val_steps": -1}, "val_steps is -1; expected 0 or more"),
        ({"val_steps": 1.5}, "val_steps is 1.5, a float; expected a whole number"),
        ({"larger_is_better": "no"}, "larger_is_better is 'no'; expected True or False"),
        ({"seed": "a"}, "seed is 'a', a str; expected a whole number"),
        ({"ema_decay": "a"}, "ema_decay is 'a'; expected at least 0"),
        ({"learner": with_metrics("score"), "validation": VAL}, "a metric is named 'score'"),
        ({"learner": with_metrics("loss"), "validation": VAL}, "a metric is named 'loss'"),
        ({"learner": with_metrics("ci95"), "validation": VAL}, "a metric is named 'ci95'"),
        (
            {"learner": nn.Linear(1, 1)},
            "learner is a Linear; expected a learner, as in fewstep.MAML",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(given, told, tmp_path):
    given = {"learner": learner(), "train": TRAIN, "run_dir": tmp_path / "run"} | SHORT | given
    with pytest.raises(InputError, match=told) as error:
        fewstep.fit(given.pop("learner"), given.pop("train"), **given)
    assert "\n" not in str(error.value)


def test_a_loss_that_is_not_finite_keeps_the_best():
    new = learner()

    def spoil(step):
        batch = TRAIN.batch(range(3 * step, 3 * step + 3))
        if step < 4:
            return batch
        return TaskBatch(batch.support_x, batch.support_y * 1e30, batch.query_x, batch.query_y)

    with pytest.raises(InputError, match=r"of outer step 5; .*: try a smaller inner_lr, or"):
        fewstep.fit(new, spoil, validation=VAL, **SHORT)
    assert same(weights(new), trained(TRAIN, validation=VAL, steps=4)[0])


def test_the_diagnosis_names_arguments():
    _, result = trained(TRAIN, validation=VAL, optimizer=partial(torch.optim.Adam, lr=1e-9))
    assert not any("--" in sentence for sentence in result.diagnosis)
    assert any("inner_lr" in sentence for sentence in result.diagnosis)
    assert all(f"diagnosis: {sentence}" in repr(result) for sentence in result.diagnosis)
