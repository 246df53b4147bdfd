"""Torch with one thread: on small arrays more threads only wait for one another."""

import torch

torch.set_num_threads(1)
