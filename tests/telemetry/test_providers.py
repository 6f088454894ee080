"""Provider names: every row of the map, Bedrock's models, and what the operator says."""

from __future__ import annotations

import pytest

from otelbridge.telemetry.providers import ProviderNames


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("anthropic", "anthropic"),
        ("bedrock", "aws.bedrock"),
        ("openai", "openai"),
        ("azure", "azure.ai.openai"),
        ("azure-openai", "azure.ai.openai"),
        ("google", "gcp.gemini"),
        ("gemini", "gcp.gemini"),
        ("vertex", "gcp.vertex_ai"),
        ("copilot", "github.copilot"),
        ("mistral", "mistral_ai"),
        ("xai", "x_ai"),
        ("grok", "x_ai"),
        ("moonshot", "moonshot_ai"),
        ("kimi", "moonshot_ai"),
        ("watsonx", "ibm.watsonx.ai"),
        ("OpenAI", "openai"),
        ("DeepSeek", "deepseek"),
        ("", "unknown"),
        ("  ", "unknown"),
    ],
)
def test_a_type_is_told_by_the_conventions_name(sent: str, told: str) -> None:
    assert ProviderNames().name(sent, "some-model") == told


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "apac.anthropic.claude-sonnet-4-20250514-v1:0",
        "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-opus-4-5-20251101-v1:0",
        "arn:aws:bedrock:us-east-1:1234:inference-profile/us.anthropic.claude-opus-4-5-v1:0",
        "arn:aws-us-gov:bedrock:us-gov-west-1:1234:application-inference-profile/x1",
    ],
)
def test_a_bedrock_model_of_type_anthropic_is_bedrock(model: str) -> None:
    assert ProviderNames().name("anthropic", model) == "aws.bedrock"


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "my.model.anthropic.x", "", "arn:aws:s3:x"])
def test_any_other_model_of_type_anthropic_is_anthropic(model: str) -> None:
    assert ProviderNames().name("anthropic", model) == "anthropic"


def test_a_bedrock_model_of_another_type_keeps_its_type() -> None:
    assert ProviderNames().name("copilot", "anthropic.claude-3") == "github.copilot"


def test_an_unknown_type_is_cut_and_made_printable() -> None:
    assert ProviderNames().name("A\nb" + "c" * 100, "") == ("a\\x0ab" + "c" * 100)[:64]


def test_the_operators_names_win_over_every_rule() -> None:
    names = ProviderNames({"Anthropic": "acme.proxy", "acme": "acme"})

    assert names.name("anthropic", "us.anthropic.claude-sonnet-4-5-v1:0") == "acme.proxy"
    assert names.name("ACME", "m") == "acme"
    assert names.name("openai", "m") == "openai"
