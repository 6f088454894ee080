"""The names that are told, held against OpenTelemetry's own package."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from opentelemetry.semconv import _incubating, attributes
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import (
    GenAiOperationNameValues,
    GenAiProviderNameValues,
    GenAiTokenTypeValues,
)
from opentelemetry.semconv.schemas import Schemas

from otelbridge.telemetry import semconv as sc

#: Newer than the package, whose GenAI part ended with 1.41.
NEWER = {"gen_ai.token.modality", "gen_ai.usage.cache_write.input_tokens"}
#: What the conventions have removed.
REMOVED = {
    "gen_ai.completion",
    "gen_ai.prompt",
    "gen_ai.system",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.prompt_tokens",
}


def package_keys() -> set[str]:
    """Return every attribute key that the package knows."""
    packages = (f"{_incubating.__name__}.attributes", attributes.__name__)
    modules = [
        import_module(f"{package}.{module.name}")
        for package in packages
        for module in pkgutil.iter_modules(import_module(package).__path__)
    ]
    return {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }


def test_conventional_attributes_are_those_of_the_package() -> None:
    conventional = {key for key, each in sc.ATTRIBUTES.items() if each.source != "otelbridge"}

    assert conventional - package_keys() == NEWER


def test_own_attributes_are_in_our_namespaces_and_no_convention_has_them() -> None:
    own = {key for key, each in sc.ATTRIBUTES.items() if each.source == "otelbridge"}

    assert {key.partition(".")[0] for key in own} == {"aibridge", "otelbridge"}
    assert own & package_keys() == set()


def test_no_removed_name_is_told() -> None:
    assert package_keys() >= REMOVED
    assert sc.ATTRIBUTES.keys() & REMOVED == set()


def test_every_attribute_says_in_a_sentence_what_it_is() -> None:
    for key, attribute in sc.ATTRIBUTES.items():
        assert attribute.key == key
        assert attribute.description.endswith(".")


def test_provider_names_are_the_conventions() -> None:
    known = {each.value for each in GenAiProviderNameValues}

    # Moonshot is newer than the package; Copilot is a custom value.
    assert set(sc.PROVIDERS.values()) - known == {"moonshot_ai", "github.copilot"}


def test_operations_and_token_types_are_the_conventions() -> None:
    assert {sc.CHAT, sc.EXECUTE_TOOL} <= {each.value for each in GenAiOperationNameValues}
    assert {sc.Part.INPUT, sc.Part.OUTPUT} == {each.value for each in GenAiTokenTypeValues}


def test_the_schema_of_the_stable_profile_is_the_published_one() -> None:
    assert sc.PROFILES["v1_41"].schema_url == Schemas.V1_41_1.value


def test_a_profile_without_a_published_schema_claims_none() -> None:
    assert sc.PROFILES["latest"].schema_url == ""


def test_the_double_profile_tells_all_that_either_tells() -> None:
    latest, stable, dup = (sc.PROFILES[name] for name in ("latest", "v1_41", "dup"))

    assert dup.metrics == latest.metrics | stable.metrics
    assert set(dup.cache_write) == {*latest.cache_write, *stable.cache_write}
    assert dup.schema_url == stable.schema_url


@pytest.mark.parametrize("name", ["latest", "v1_41"])
def test_a_profile_counts_input_and_output_in_some_way(name: str) -> None:
    profile = sc.PROFILES[name]

    assert {part for part, _ in profile.histograms} == {sc.Part.INPUT, sc.Part.OUTPUT}
    assert len(profile.durations) == 1
