"""How much memory the machine has left."""

from __future__ import annotations

from pathlib import Path


def available_memory() -> int | None:
    """Bytes that programs can still get, the system's caches among them; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return free[0] if free else None
