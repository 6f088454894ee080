"""Content negotiation of /metrics.

Source: RFC 9110, section 12.5.1 (Accept); Prometheus, "Content negotiation".
"""

from __future__ import annotations

_OPENMETRICS = "application/openmetrics-text"
#: Later versions write `_created` and exemplars in another way.
_OPENMETRICS_VERSIONS = {"", "0.0.1", "1.0.0"}
_TEXT = {"text/plain", "text/*", "*/*"}


def wants_openmetrics(accept: str) -> bool:
    """Return whether OpenMetrics 1.0 is the best of what is accepted, rather than plain text.

    What we do not know, as protobuf, is passed over: there is always an answer.
    """
    best_openmetrics, best_text = 0.0, 0.0
    for entry in accept.split(","):
        media_type, *parameters = (part.strip() for part in entry.lower().split(";"))
        named = dict(part.split("=", 1) for part in parameters if "=" in part)
        quality = _quality(named.get("q", "1"))
        if media_type == _OPENMETRICS and named.get("version", "") in _OPENMETRICS_VERSIONS:
            best_openmetrics = max(best_openmetrics, quality)
        elif media_type in _TEXT:
            best_text = max(best_text, quality)
    return best_openmetrics > 0 and best_openmetrics >= best_text


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
