"""What computes: devices, processes, precision and threads, through Lightning Fabric."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy

from workflow_scripts.stores.errors import InputError


@dataclass(frozen=True)
class MachineOptions:
    """What to train on.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda`` or ``auto``.
    precision : str
        Of Lightning Fabric: ``32-true`` or ``bf16-mixed``; see `resolved_precision` for ``auto``.
    torch_threads : int
        Threads of a CPU operation. Weights differ between 1 and 2 threads, so this is an option
        of its own and not what Snakemake scales down to ``--cores``.
    devices, nodes : int
        Devices of each node, and nodes: as many processes train together on the same batch, which
        they divide. One node's processes are launched here, those of several by ``torchrun``.
    """

    device: str = "auto"
    precision: str = "auto"
    torch_threads: int = 1
    devices: int = 1
    nodes: int = 1


def launch_fabric(machine: MachineOptions, together: bool = False) -> Fabric:
    """Fix threads and determinism, open the device, and launch the other processes if any.

    Parameters
    ----------
    machine : MachineOptions
    together : bool
        Train on all of the machine's devices and nodes, not on one. Every process goes on from
        here; only that where ``fabric.is_global_zero`` may write.

    Raises
    ------
    InputError
        A CUDA device is asked for and there are not as many.
    """
    devices, nodes = (machine.devices, machine.nodes) if together else (1, 1)
    require_devices(machine.device, devices)
    torch.set_num_threads(machine.torch_threads)
    torch.backends.cudnn.benchmark = True
    # Named, because inside a SLURM job Fabric would take this process for one task of many.
    elastic = together and TorchElasticEnvironment.detect()
    environment = TorchElasticEnvironment() if elastic else LightningEnvironment()
    fabric = Fabric(
        accelerator=machine.device,
        devices=devices,
        num_nodes=nodes,
        # Queues are equal in all processes, and too large to be sent at every step.
        strategy=DDPStrategy(forward_sync_buffers=False) if devices * nodes > 1 else "auto",
        plugins=[environment],
        precision=resolved_precision(machine),  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def require_devices(device: str, n: int) -> None:
    """Check that this machine has the GPUs that the config asks for.

    Raises
    ------
    InputError
        PyTorch sees fewer.
    """
    if device == "cuda" and torch.cuda.device_count() < n:
        raise InputError(
            f"runtime.torch.device: 'cuda', and devices: {n}, but PyTorch sees "
            f"{torch.cuda.device_count()} of them on this machine; ask for fewer, or for cpu"
        )


def resolved_precision(machine: MachineOptions) -> str:
    """Replace ``auto`` by bf16 on a GPU that has it and by single precision elsewhere.

    On a CPU with AVX512-BF16 half precision is twice as fast, but oneDNN (PyTorch 2.15) returns
    non-finite weight gradients for small 3D feature maps, such as 64 channels of 2×7×7.
    """
    if machine.precision != "auto":
        return machine.precision
    on_gpu = machine.device != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
