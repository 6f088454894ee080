"""examples/ is what it says: settings that load, commands and files that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from otelbridge.cli import cli
from otelbridge.config import build_config, load_config
from tests.docs.pages import ROOT

_EXAMPLES = ROOT / "examples"
_COMPOSE = _EXAMPLES / "compose"
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((_COMPOSE / "compose.yaml").read_text())[
    "services"
]
_COMMAND = re.compile(r"otelbridge (?:serve|init|users|keys|gateways|usage)\b[^>|`\n]*")
_SERVICE_FILE = _EXAMPLES / "systemd" / "otelbridge.service"
_MANIFEST = _EXAMPLES / "kubernetes" / "otelbridge.yaml"
_OBJECTS = {each["kind"]: each for each in yaml.safe_load_all(_MANIFEST.read_text())}
_POD = _OBJECTS["StatefulSet"]["spec"]["template"]["spec"]
_MAIN = _POD["containers"][0]


@pytest.mark.parametrize(
    "path", sorted(_EXAMPLES.glob("**/*.toml")), ids=lambda each: str(each.relative_to(ROOT))
)
def test_settings_load(path: Path) -> None:
    assert load_config(path, {}).destination


@pytest.mark.parametrize(
    "path", sorted(_EXAMPLES.glob("**/*.y*ml")), ids=lambda each: str(each.relative_to(ROOT))
)
def test_a_yaml_file_is_one(path: Path) -> None:
    assert all(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("name", _SERVICES)
def test_a_container_is_reached_from_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in _SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", _SERVICES)
def test_a_container_has_the_files_that_it_is_given(name: str) -> None:
    sources = [each.split(":")[0] for each in _SERVICES[name].get("volumes", [])]

    assert [each for each in sources if "/" in each and not (_COMPOSE / each).exists()] == []


@pytest.mark.parametrize("name", [name for name in _SERVICES if name != "otelbridge"])
def test_an_image_is_of_one_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", _SERVICES[name]["image"])


def test_an_address_of_another_container_is_one() -> None:
    for name in ("otelbridge.toml", "collector.yaml", "jaeger.yaml", "prometheus.yml"):
        text = (_COMPOSE / name).read_text()
        hosts = set(re.findall(r"(?:://|[\s\"]|:-)([a-z]+):\d{4,5}\b", text)) - {"localhost"}

        assert hosts <= _SERVICES.keys(), name


def test_the_bridge_listens_where_its_container_says() -> None:
    config = load_config(_COMPOSE / "otelbridge.toml", {})
    inside = {port.rpartition(":")[2] for port in _SERVICES["otelbridge"]["ports"]}

    assert inside == {each.rpartition(":")[2] for each in (config.listen.grpc, config.listen.http)}


def test_the_image_is_built_of_what_there_is() -> None:
    lines = (_COMPOSE / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]

    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "words",
    [
        _SERVICES["otelbridge"]["command"],
        _MAIN["args"],
        *(
            shlex.split(line)[1:]
            for path in (_SERVICE_FILE, _MANIFEST, _COMPOSE / "README.md")
            for line in _COMMAND.findall(path.read_text())
        ),
    ],
    ids=" ".join,
)
def test_a_command_is_one(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(command)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    options = {option for each in command.params for option in each.opts}

    assert {word for word in words if word.startswith("--")} <= options


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / _SERVICE_FILE.name
    command = "/opt/otelbridge/bin/otelbridge"
    unit.write_text(
        _SERVICE_FILE.read_text().replace(f"ExecStart={command}", "ExecStart=/bin/true")
    )

    done = subprocess.run(  # systemd's own checker
        [analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=30
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_pod_s_settings_load_and_name_what_is_mounted() -> None:
    text = _OBJECTS["ConfigMap"]["data"]["otelbridge.toml"]
    token = {"OTELBRIDGE_AUTH__METRICS_TOKEN": "x" * 48}
    config = build_config(tomllib.loads(text), token, base=Path("/var/lib/otelbridge"))
    mounts = [Path(each["mountPath"]) for each in _MAIN["volumeMounts"]]
    named = [config.store.path, config.journal.path, config.tls.cert, config.tls.key]

    assert all(path and any(path.is_relative_to(mount) for mount in mounts) for path in named)


def test_the_pod_s_volumes_ports_and_probes_are_there() -> None:
    volumes = {each["name"] for each in _POD["volumes"]} | {"data"}
    ports = {each["name"]: each["containerPort"] for each in _MAIN["ports"]}

    assert {each["name"] for each in _MAIN["volumeMounts"]} <= volumes
    assert {each["targetPort"] for each in _OBJECTS["Service"]["spec"]["ports"]} == ports.keys()
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        asked = _MAIN[probe]["httpGet"]
        assert asked["path"] in ("/healthz", "/readyz")
        assert ports[asked["port"]] == 8088


def test_the_settings_of_the_pod_are_given_time_to_drain() -> None:
    config = build_config({}, {}, base=Path())

    assert _POD["terminationGracePeriodSeconds"] > config.listen.drain_s
    grace = re.search(r"TimeoutStopSec=(\d+)", _SERVICE_FILE.read_text())
    assert grace is not None
    assert int(grace[1]) > config.listen.drain_s
    assert (
        int(_SERVICES["otelbridge"]["stop_grace_period"].removesuffix("s")) > config.listen.drain_s
    )
