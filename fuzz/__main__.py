"""Runs a fuzz target: with atheris if it is installed, else over its corpus alone.

Arguments after the target's name go to libFuzzer: `python -m fuzz yamux -max_total_time=60`.
New inputs are written to `build/fuzz/NAME`; what reaches new code is worth a place in the
corpus.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from fuzz.inputs import CORPUS, kept


def main() -> None:
    """Fuzz until a mistake is found, or the user has seen enough."""
    if len(sys.argv) < 2 or not (CORPUS / sys.argv[1]).is_dir():  # noqa: PLR2004  # no name
        names = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
        sys.exit(f"usage: python -m fuzz {{{','.join(names)}}} [libFuzzer's arguments]")
    name = sys.argv[1]
    if find_spec("atheris") is not None:
        _fuzz(name, sys.argv[2:])
        return
    inputs = kept(name)
    fuzz = import_module(f"fuzz.{name}").fuzz
    for data in inputs:
        fuzz(data)
    print(f"{len(inputs)} inputs are right; `pip install atheris` to look for others")


def _fuzz(name: str, arguments: list[str]) -> None:
    atheris = import_module("atheris")
    with atheris.instrument_imports():  # what is imported in here is watched
        fuzz = import_module(f"fuzz.{name}").fuzz
    found = Path("build/fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *arguments, str(found), str(CORPUS / name)], fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
