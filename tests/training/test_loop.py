import dataclasses
import json
import math
import multiprocessing
import os
import signal
import time
from itertools import pairwise

import pytest
import torch

from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.loop import TrainingOptions, learning_rate, train
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.selection import Selection
from workflow_scripts.training.state import exclusive

CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)


class Regression(torch.nn.Module):
    """A small problem with a buffer and dropout that a resumed run must have, too."""

    def __init__(self, pause_s=0.0, bad_step=None):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1)
        )
        self.register_buffer("past", torch.zeros(()))
        self.pause_s, self.bad_step = pause_s, bad_step

    def forward(self, batch, step):
        time.sleep(self.pause_s)
        loss = (self.net(batch).squeeze() - batch.sum(dim=1) - 0.1 * self.past).square().mean()
        self.past.mul_(0.9).add_(0.1 * loss.detach())
        if step == self.bad_step:
            loss = loss * math.nan
        return loss, {"past": self.past.clone()}


def batch_of_step(step):
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(step))


def options(**kwargs):
    defaults = {
        "steps": 60,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "log_every_steps": 5,
    }
    return TrainingOptions(**{**defaults, **kwargs})


def run(folder, objective=None, validate=None, selection=None, **kwargs):
    objective = objective or Regression()
    fabric = launch_fabric(CPU)
    validation = (validate and (lambda: validate(objective)), selection)
    log = train(objective, batch_of_step, options(**kwargs), fabric, folder, *validation)
    return objective, log


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_training_learns_and_logs(tmp_path):
    _, log = run(tmp_path)
    records = lines(log)
    assert [record["step"] for record in records] == list(range(5, 61, 5))
    assert records[-1]["loss"] < records[0]["loss"] / 2
    assert {"loss", "past", "gradient_norm", "learning_rate"} <= set(records[0])


def held_out_score(objective):
    assert not objective.training
    batch = batch_of_step(10_000)
    return {"score": -float((objective.net(batch).squeeze() - batch.sum(dim=1)).square().mean())}


SELECTING = {
    "validate": held_out_score,
    "selection": Selection(every_steps=3, metric="score", patience=3, reductions=5, reduction=0.5),
    "schedule": "constant",
    "learning_rate": 0.2,  # so high that scores go up and down
    "average_from_step": 30,
    "steps": 80,
}


def killed_run(folder, how):
    run(folder, Regression(pause_s=0.02), save_every_s=0, **how)  # saves between two lines, too


@pytest.mark.parametrize("how", [{}, SELECTING], ids=["plain", "selection and averaging"])
@pytest.mark.filterwarnings("ignore:This process")  # fork of a process that has threads
def test_killed_run_ends_with_the_same_weights_and_metrics(tmp_path, how):
    whole, whole_log = run(tmp_path / "whole", **how)
    broken = tmp_path / "broken"
    process = multiprocessing.get_context("fork").Process(target=killed_run, args=(broken, how))
    process.start()
    log = broken / "metrics.jsonl"
    deadline = time.monotonic() + 30
    while not (log.exists() and '"step": 35' in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    resumed, log = run(broken, **how)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert lines(log) == lines(whole_log)


class Dropping(Regression):
    """Notes what its dropout keeps."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, batch, step):
        self.kept.append(torch.nn.functional.dropout(torch.ones(64), training=True).tolist())
        return super().forward(batch, step)


def test_each_process_has_its_own_dropout(two_processes, tmp_path):
    def train_together():
        fabric = launch_fabric(dataclasses.replace(CPU, devices=2), together=True)
        objective = Dropping()
        train(objective, batch_of_step, options(steps=3), fabric, tmp_path / "two")
        return objective.kept

    masks = [tuple(one) for kept in two_processes(train_together) for one in kept]
    assert len(set(masks)) == 6  # of two processes in three steps
    alone, _ = run(tmp_path / "one", Dropping(), steps=3)
    assert [tuple(one) for one in alone.kept] == masks[:3]


def test_run_ends_with_its_best_weights_and_stops_after_the_last_plateau(tmp_path):
    # Scores that are told, one per validation; after .7 each plateau is two validations long.
    told = iter([0.5, 0.7, 0.6, 0.6, 0.4, 0.69, 0.1, 0.2, 0.9, 0.9])
    seen = []

    def validate(objective):
        seen.append(objective.net[0].weight.clone())
        return {"score": next(told)}

    selection = Selection(every_steps=4, metric="score", patience=2, reductions=2, reduction=0.3)
    how = {
        "validate": validate, "selection": selection, "schedule": "constant", "warmup_steps": 1,
    }  # fmt: skip
    objective, log = run(tmp_path, **how, steps=400, log_every_steps=4)
    assert torch.equal(objective.net[0].weight, seen[1])
    assert len(seen) == 8  # two to the best, and three plateaus: reduce, reduce, stop
    rates = [line["learning_rate"] for line in lines(log) if "learning_rate" in line]
    assert rates == pytest.approx([1e-2] * 4 + [3e-3] * 2 + [9e-4] * 2)
    again, _ = run(tmp_path, **how, steps=400, log_every_steps=4)
    assert torch.equal(again.net[0].weight, seen[1])
    assert len(seen) == 8  # the run had ended


def test_a_new_best_after_a_reduction_keeps_the_rate_and_counts_plateaus_anew(tmp_path):
    told = iter([0.5, 0.1, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    seen = []

    def validate(objective):
        seen.append(objective.net[0].weight.clone())
        return {"score": next(told)}

    selection = Selection(every_steps=4, metric="score", patience=2, reductions=1, reduction=0.3)
    how = {"schedule": "constant", "warmup_steps": 1, "steps": 400, "log_every_steps": 4}
    objective, log = run(tmp_path, validate=validate, selection=selection, **how)
    assert torch.equal(objective.net[0].weight, seen[3])
    assert len(seen) == 8  # a best, a plateau, a best, a plateau, and the one that ends the run
    rates = [line["learning_rate"] for line in lines(log) if "learning_rate" in line]
    assert rates == pytest.approx([1e-2] * 3 + [3e-3] * 3 + [9e-4] * 2)


def test_scores_that_are_no_number_never_become_the_best(tmp_path):
    scores = iter([0.5, math.nan, math.nan])
    weights = []

    def validate(objective):
        weights.append(objective.net[0].weight.clone())
        return {"score": next(scores)}

    selection = Selection(every_steps=4, metric="score")
    objective, _ = run(tmp_path, validate=validate, selection=selection, steps=12)
    assert torch.equal(objective.net[0].weight, weights[0])


def test_run_ends_with_the_mean_of_its_weights(tmp_path):
    trail = []

    class Trail(Regression):
        def forward(self, batch, step):
            trail.append(self.net[0].weight.detach().clone())  # the weights after step - 1
            return super().forward(batch, step)

    objective, _ = run(tmp_path / "averaged", Trail(), steps=20, average_from_step=12)
    last, _ = run(tmp_path / "last", steps=20)
    expected = torch.stack([*trail[13:20], last.net[0].weight]).mean(dim=0)
    assert torch.allclose(objective.net[0].weight, expected, atol=1e-6)


def test_finished_run_is_not_repeated(tmp_path):
    first, _ = run(tmp_path)
    calls = []
    again = Regression()
    train(again, calls.append, options(), launch_fabric(CPU), tmp_path)
    assert calls == []
    assert torch.equal(again.net[0].weight, first.net[0].weight)


@pytest.mark.parametrize("bad_step", [7, 33])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(tmp_path, bad_step):
    with pytest.raises(InputError, match=f"not finite by step {bad_step + 1}"):
        run(tmp_path, Regression(bad_step=bad_step), save_every_s=0.0)
    rescued, _ = run(tmp_path)  # without the bad step it continues from the step before
    whole, _ = run(tmp_path / "whole")
    assert torch.equal(rescued.net[0].weight, whole.net[0].weight)


def test_untrained_network_takes_no_step(tmp_path):
    objective, log = run(tmp_path, steps=0)
    assert torch.equal(objective.net[0].weight, Regression().net[0].weight)
    assert log.read_text() == ""


def test_schedule_warms_up_and_falls_to_zero():
    chosen = options(steps=100, warmup_steps=10)
    rates = [learning_rate(step, chosen) for step in range(100)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-2, rel=0.03)
    assert rates[-1] < 1e-5
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_schedule_with_ends_of_its_own():
    chosen = options(
        steps=100, warmup_steps=10, warmup_learning_rate=5e-4, final_learning_rate=2e-3
    )
    rates = [learning_rate(step, chosen) for step in range(100)]
    assert rates[0] == pytest.approx(5e-4 + 9.5e-4, rel=0.01)
    assert rates[-1] == pytest.approx(2e-3, rel=0.01)
    constant = options(steps=100, warmup_steps=10, schedule="constant")
    assert {learning_rate(step, constant) for step in range(10, 100)} == {1e-2}


def hold(folder, seconds):
    with exclusive(folder):
        time.sleep(seconds)


@pytest.mark.filterwarnings("ignore:This process")
def test_second_trainer_waits_for_the_first(tmp_path, capsys):
    process = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, 1.0))
    process.start()
    while not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_text():
        time.sleep(0.005)
    start = time.monotonic()
    with exclusive(tmp_path):
        assert time.monotonic() - start > 0.5
    assert f"process {process.pid}" in capsys.readouterr().out
    process.join()


def test_missing_gpu_is_named():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match=r"runtime\.torch\.device"):
        launch_fabric(MachineOptions(device="cuda"))
