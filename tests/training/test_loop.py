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
from workflow_scripts.training.loop import (
    MachineOptions,
    TrainingOptions,
    launch_fabric,
    learning_rate,
    train,
)
from workflow_scripts.training.state import exclusive

CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)


class Regression(torch.nn.Module):
    """A small problem with a buffer that a resumed run must have, too."""

    def __init__(self, pause_s=0.0, bad_step=None):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
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


def run(folder, objective=None, **kwargs):
    objective = objective or Regression()
    log = train(objective, batch_of_step, options(**kwargs), launch_fabric(CPU), folder)
    return objective, log


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_training_learns_and_logs(tmp_path):
    _, log = run(tmp_path)
    records = lines(log)
    assert [record["step"] for record in records] == list(range(5, 61, 5))
    assert records[-1]["loss"] < records[0]["loss"] / 2
    assert {"loss", "past", "gradient_norm", "learning_rate"} <= set(records[0])


def killed_run(folder):
    run(folder, Regression(pause_s=0.02), save_every_s=0)  # also between two lines of the log


@pytest.mark.filterwarnings("ignore:This process")  # fork of a process that has threads
def test_killed_run_ends_with_the_same_weights_and_metrics(tmp_path):
    whole, whole_log = run(tmp_path / "whole")
    broken = tmp_path / "broken"
    process = multiprocessing.get_context("fork").Process(target=killed_run, args=(broken,))
    process.start()
    deadline = time.monotonic() + 30
    while not (broken / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.15)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    resumed, log = run(broken)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert lines(log) == lines(whole_log)


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
