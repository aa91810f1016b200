"""How a result was made: when, by which code and on which hardware."""

import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

from captioning.cores import cores

ROOT = Path(__file__).parents[1]


def provenance() -> dict[str, str]:
    """Return today's date, in UTC, and the versions of this code and of PyTorch."""
    return {
        "Made": datetime.now(timezone.utc).date().isoformat(),
        "Code": " ".join(["captioning", *release(), *commit()]),
        "PyTorch": str(torch.__version__),
    }


def release() -> list[str]:
    """Return the version of the installed package; none if it is not installed."""
    return [each.version for each in metadata.distributions(name="captioning")][:1]


def commit(root: Path = ROOT) -> list[str]:
    """Return the commit of a folder of source, `-dirty` if files differ; none if Git knows none."""
    if not (root / ".git").exists():  # else Git would answer for any repository around the folder
        return []
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [found.stdout.strip()]


def hardware(device: torch.device, processes: int = 1) -> str:
    """Name the GPU or the processor, its cores and, if there were several, the processes."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    together = [f"{processes} processes"] if processes > 1 else []
    return ", ".join([name, f"{cores()} cores", *together])


def processor() -> str:
    """Return the processor's name where Linux tells it, else its architecture."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
