"""A TCP port that nothing on this machine uses."""

import socket


def free_port() -> int:
    """Ask the kernel for a port, which it does not soon give again."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    print(free_port())
