from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource

from otelbridge.delivery.resource import build_resource, encode_resource

if TYPE_CHECKING:
    from collections.abc import Mapping


def attributes(environ: Mapping[str, str]) -> dict[str, object]:
    return dict(build_resource(environ, instance_id="i", version="1.2.3").attributes)


def test_a_bridge_has_a_name_a_version_and_a_durable_instance() -> None:
    assert attributes({}) == {
        "service.name": "otelbridge",
        "service.version": "1.2.3",
        "service.instance.id": "i",
    }


def test_the_standard_variables_are_honoured() -> None:
    found = attributes(
        {
            "OTEL_SERVICE_NAME": "bridge",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=no, deployment.environment.name=a%2Cb ,",
        }
    )

    assert found["service.name"] == "bridge"
    assert found["deployment.environment.name"] == "a,b"


def test_attributes_name_the_service_where_no_variable_of_its_own_does() -> None:
    assert attributes({"OTEL_RESOURCE_ATTRIBUTES": "service.name=b"})["service.name"] == "b"


@pytest.mark.parametrize("text", ["a", "a=b,c", "=b"])
def test_broken_attributes_are_ignored_and_said_to_be(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = attributes({"OTEL_RESOURCE_ATTRIBUTES": text})

    assert found == attributes({})
    assert "OTEL_RESOURCE_ATTRIBUTES is ignored" in caplog.text


def test_bytes_that_are_not_utf_8_do_not_stop_the_bridge() -> None:
    resource = build_resource({"OTEL_SERVICE_NAME": "a\udcff"}, instance_id="i", version="1")

    assert encode_resource(resource).attributes[1].value.string_value == "a?"


def test_every_type_of_attribute_has_its_own_field() -> None:
    resource = Resource({"a": True, "b": 1, "c": 0.5, "d": "x", "e": ["x", "y"]})

    values = [pair.value for pair in encode_resource(resource).attributes]

    kinds = [value.WhichOneof("value") for value in values]
    assert kinds == ["bool_value", "int_value", "double_value", "string_value", "array_value"]
    assert [each.string_value for each in values[4].array_value.values] == ["x", "y"]
