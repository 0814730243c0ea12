"""What a benchmark left in its folder."""

from pathlib import Path


def made(output: Path) -> dict[str, int]:
    """Cells and predictions by name, with what tells a file from one that replaced it."""
    return {f"{path.parent.name}/{path.name}": path.stat().st_ino for path in output.glob("[cp]*/*.json")}
