"""What the image's build does about its size, with the standard library alone.

`size.py trim ENVIRONMENT` removes what never runs; `size.py report ENVIRONMENT` prints the twenty largest distributions
and fails when the whole image is above its budget.
"""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

BUDGET = 600_000_000  # bytes of the whole image: the file system around the environment counts too
UNUSED = ("litellm/proxy/_experimental/out", "litellm/proxy/swagger")
SUFFIXES = {".pyi", ".c", ".h", ".cpp", ".pyx", ".pxd"}
NOT_OURS = {"proc", "sys", "dev", "run", "tmp"}


def trim(site: Path) -> None:
    for name in UNUSED:
        shutil.rmtree(site / name, ignore_errors=True)
    for folder in [p for p in site.glob("*/tests") if p.is_dir()]:
        shutil.rmtree(folder)
    for path in site.rglob("*"):
        if path.suffix in SUFFIXES and path.is_file():
            path.unlink()


def size(root: Path) -> int:
    return sum(p.lstat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink())


def of_distribution(distribution: Distribution) -> int:
    paths = [Path(str(distribution.locate_file(f))) for f in distribution.files or []]
    return sum(p.stat().st_size for p in paths if p.is_file())


def report(environment: Path, site: Path) -> int:
    rows = sorted(
        ((of_distribution(d), f"{d.name} {d.version}") for d in distributions(path=[str(site)])), reverse=True
    )
    for count, name in rows[:20]:
        print(f"{count / 1e6:7.1f} MB  {name}")
    inside = size(environment)
    folders = [p for p in Path("/").iterdir() if p.is_dir() and not p.is_symlink() and p.name not in NOT_OURS]
    around = sum(size(p) for p in folders) - inside - size(Path("/root/.cache"))
    print(f"{inside / 1e6:7.1f} MB  environment, {len(rows)} distributions; {around / 1e6:.1f} MB around it")
    if inside + around > BUDGET:
        print(f"the image is above its budget of {BUDGET / 1e6:.0f} MB")
        return 1
    return 0


def main(verb: str, environment: Path) -> int:
    site = next(environment.glob("lib/python3*/site-packages"))
    if verb == "trim":
        trim(site)
        return 0
    return report(environment, site)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
