"""Names: of all that a config or a sheet lists, and of networks, a variant and a seed."""

from __future__ import annotations

import re
from typing import NamedTuple

from workflow_scripts.stores.errors import InputError

NAME = r"[a-z][a-z0-9_]*"
NETWORK = rf"{NAME}_s\d+"


class Named(NamedTuple):
    """A variant of a network, or a kind of positions, and its seed: ``full_s0``."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}_s{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Named:
        """Read a name back.

        Raises
        ------
        InputError
            If `name` is not like ``full_s0``.
        """
        match = re.fullmatch(rf"({NAME})_s(\d+)", name)
        if match is None:
            raise InputError(f"'{name}' names no network or positions; write VARIANT_sSEED")
        return cls(match[1], int(match[2]))
