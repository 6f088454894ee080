"""``python -m dashboards [--check]``: write the dashboards' JSON, or say what is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from dashboards import agents, health, usage

#: Where the JSON is.
FOLDER = Path(__file__).parent / "grafana"


def generated() -> dict[str, str]:
    """Return the text of each file, by its name."""
    found = [module.dashboard() for module in (usage, agents, health)]
    return {
        f"{each.uid}.json": json.dumps(each.to_json(), indent=2, ensure_ascii=False) + "\n"
        for each in found
    }


def stale(folder: Path) -> list[str]:
    """Return the names of files that are missing, differ or belong to no dashboard."""
    wanted = generated()
    there = {path.name: path.read_text() for path in folder.glob("*.json")}
    names = {*wanted, *there}
    return sorted(name for name in names if wanted.get(name) != there.get(name))


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is stale.")
def main(*, check: bool) -> None:
    """Write the dashboards' JSON."""
    names = stale(FOLDER)
    for name in names:
        click.echo(f"dashboards/grafana/{name} {'is stale: make dashboards' if check else ''}")
    if check:
        sys.exit(1 if names else 0)
    wanted = generated()
    for name in names:
        path = FOLDER / name
        if name in wanted:
            path.write_text(wanted[name])
        else:
            path.unlink()


if __name__ == "__main__":
    main()
