"""The section ``[content]``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, ByteSize, Field, model_validator

from otelbridge.config.fields import File, TextSize
from otelbridge.config.redaction_rules import Rules
from otelbridge.config.section import Section

Capture: TypeAlias = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]

_MIB = 1024**2
# A key that can be guessed tells what prompts say.
_MIN_KEY = 16


def check_key(text: str) -> str:
    """Check the secret of the fingerprints; it is not repeated.

    Raises:
        ValueError: If it is too short.
    """
    if len(text) < _MIN_KEY:
        raise ValueError(f"the key has {len(text)} characters, at least {_MIN_KEY} are needed")
    return text


class ContentLimitsConfig(Section):
    """How long content may be, in bytes of UTF-8; what is longer is cut, and flagged.

    Attributes:
        item: One prompt, one tool's arguments, one thought or one error message.
        total: All content of an interception; each text counts once.
    """

    item: Annotated[TextSize, Field(le=_MIB)] = ByteSize(64 * 1024)
    # Told on spans and on events it is twice that; collectors take 4 MiB by default.
    total: Annotated[TextSize, Field(le=4 * _MIB)] = ByteSize(512 * 1024)


class ContentConfig(Section):
    """Whether prompts, tool arguments and thoughts may leave, and what becomes of them before.

    Attributes:
        capture: Nowhere, on spans, on events, or on both.
        redaction: What is replaced by markers: own patterns by name, and
            built-in formats that are left out (``false``); see below.
        limits: How long content may be; see below.
        fingerprint_key: Secret of 16 characters or more. With it prompts and
            tool arguments have fingerprints, in every mode.
        fingerprint_key_file: File that holds that secret instead.
    """

    capture: Capture = "NO_CONTENT"
    redaction: Rules = Field(default={})
    limits: ContentLimitsConfig = ContentLimitsConfig()
    fingerprint_key: Annotated[str, AfterValidator(check_key)] | None = Field(
        default=None, repr=False
    )
    fingerprint_key_file: File | None = None

    @model_validator(mode="after")
    def _one_key(self) -> ContentConfig:
        if self.fingerprint_key is not None and self.fingerprint_key_file is not None:
            raise ValueError("fingerprint_key and fingerprint_key_file are both given")
        return self
