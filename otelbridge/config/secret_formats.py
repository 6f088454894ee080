r"""Formats of keys and tokens that are recognised in any text, as RE2 patterns.

Source: what issuers document, and what the tokens in their documentation look
like. Where a pattern has groups, the first one that matched is the secret and
the rest is its surroundings.

A prefix such as ``ghp_`` begins a token only where no word goes on. Text that
was escaped before it was pasted has letters there: the ``n`` of ``\n``, the
``D`` of ``%3D``, the ``m`` that ends a terminal's colour.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class SecretFormat(NamedTuple):
    """A format.

    Attributes:
        name: What it is called in the settings, in markers and in metrics.
        description: What is recognised, for people.
        pattern: The RE2 pattern.
    """

    name: str
    description: str
    pattern: str


_BEGIN = r"(?:\b|\\[nrt]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|\[[0-9;]{1,8}m)"
_WORD = "[A-Za-z0-9_-]"
# Between a name and its value: quotes, escaped or not, around a colon or an equals sign.
_IS = r"[\\\"'\s]{0,8}(?i:[:=]|%3a|%3d)[\\\"'\s]{0,8}"
_PEM = "(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
# A line break may have been escaped.
_BREAKS = r"(?:\s|\\[nr])*"


def _token(name: str, description: str, *forms: str) -> SecretFormat:
    return SecretFormat(name, description, f"{_BEGIN}({'|'.join(forms)})")


_FORMATS = (
    SecretFormat(
        "private-key",
        "Private keys in PEM and PGP armour, whole or cut short",
        # Dashes come one at a time inside of the armour.
        f"-----BEGIN {_PEM}(?:(?:-?[^-])*-----END {_PEM}|(?:{_BREAKS}[A-Za-z0-9+/=]{{20,}})+)",
    ),
    _token("anthropic-key", "Anthropic: `sk-ant-…`", f"sk-ant-[a-z0-9]{{2,10}}-{_WORD}{{20,}}"),
    _token(
        "openai-key",
        "OpenAI: `sk-proj-…`, `sk-svcacct-…`, `sk-admin-…`, and `sk-…` of whomever",
        f"sk-(?:proj|svcacct|admin|None)-{_WORD}{{20,}}",
        "sk-[A-Za-z0-9]{20,}",
    ),
    _token("openrouter-key", "OpenRouter: `sk-or-…`", r"sk-or-(?:v[0-9]-)?[A-Za-z0-9]{32,}"),
    _token("groq-key", "Groq: `gsk_…`", r"gsk_[A-Za-z0-9]{40,}"),
    _token("xai-key", "xAI: `xai-…`", r"xai-[A-Za-z0-9]{60,}"),
    _token("perplexity-key", "Perplexity: `pplx-…`", r"pplx-[A-Za-z0-9]{40,}"),
    _token("huggingface-token", "Hugging Face: `hf_…`", r"hf_[A-Za-z0-9]{30,}"),
    _token(
        "aws-access-key",
        "AWS access key ids: `AKIA…`, `ASIA…`, `ABIA…`, `ACCA…`",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    ),
    SecretFormat(
        "aws-secret-key",
        "AWS secret access keys and session tokens after their name, such as "
        "`aws_secret_access_key=`",
        rf"(?i:aws_?(?:secret_?(?:access_?)?key|session_?token)|secretaccesskey){_IS}"
        r"([A-Za-z0-9/+=]{40,})",
    ),
    SecretFormat(
        "azure-storage-key",
        "Azure: `AccountKey=`, `SharedAccessKey=` in connection strings",
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/=]{40,})",
    ),
    _token(
        "google-key",
        "Google: `AIza…`, `GOCSPX-…`, `ya29.…`",
        f"AIza{_WORD}{{35}}",
        f"GOCSPX-{_WORD}{{28}}",
        rf"ya29\.{_WORD}{{20,}}",
    ),
    _token(
        "github-token",
        "GitHub: `ghp_…`, `gho_…`, `ghu_…`, `ghs_…`, `ghr_…`, `github_pat_…`",
        r"gh[pousr]_[A-Za-z0-9_]{36,}",
        r"github_pat_[A-Za-z0-9_]{60,}",
    ),
    _token(
        "gitlab-token",
        "GitLab: `glpat-…`, `gldt-…`, `glrt-…`, `glcbt-…`, `GR1348941…` and the like",
        f"gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat)-{_WORD}{{20,}}"
        r"(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?",
        f"GR1348941{_WORD}{{20,}}",
    ),
    _token("atlassian-token", "Atlassian: `ATATT3…`, `ATCTT3…`", r"AT[AC]TT3[A-Za-z0-9_=-]{60,}"),
    _token("linear-key", "Linear: `lin_api_…`", r"lin_api_[A-Za-z0-9]{32,}"),
    _token("npm-token", "npm: `npm_…`", r"npm_[A-Za-z0-9]{36,}"),
    _token("pypi-token", "PyPI: `pypi-…`", f"pypi-Ag{_WORD}{{50,}}"),
    _token("docker-token", "Docker Hub: `dckr_pat_…`, `dckr_oat_…`", f"dckr_[op]at_{_WORD}{{20,}}"),
    _token(
        "slack-token",
        "Slack: `xoxb-…`, `xoxp-…`, `xapp-…` and the like",
        r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",
        r"xapp-[0-9]-[A-Za-z0-9-]{10,}",
    ),
    SecretFormat(
        "slack-webhook",
        "Slack: the path of `https://hooks.slack.com/…`",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{20,})",
    ),
    _token("telegram-token", "Telegram bots: `123456789:AA…`", rf"[0-9]{{8,10}}:AA{_WORD}{{33}}\b"),
    _token(
        "stripe-key",
        "Stripe: `sk_live_…`, `sk_test_…`, `rk_…`, `whsec_…`",
        r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{16,}",
        r"whsec_[A-Za-z0-9+/=]{24,}",
    ),
    _token("sendgrid-key", "SendGrid: `SG.…`", rf"SG\.{_WORD}{{16,32}}\.{_WORD}{{32,}}"),
    _token("digitalocean-token", "DigitalOcean: `dop_v1_…`", r"do[por]_v1_[a-f0-9]{64}"),
    _token("databricks-token", "Databricks: `dapi…`", r"dapi[a-f0-9]{32}(?:-[0-9])?\b"),
    _token("vault-token", "HashiCorp Vault: `hvs.…`, `hvb.…`", rf"hv[bsr]\.{_WORD}{{24,}}"),
    _token(
        "terraform-token",
        "HCP Terraform: `….atlasv1.…`",
        rf"[A-Za-z0-9]{{14}}\.atlasv1\.{_WORD}{{50,}}",
    ),
    _token(
        "grafana-token",
        "Grafana: `glsa_…`, `glc_…`",
        r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}",
        r"glc_[A-Za-z0-9+/=]{32,}",
    ),
    _token(
        "coder-key",
        "Coder API keys: 10 characters, `-`, 22 characters",
        r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}\b",
    ),
    _token(
        "jwt",
        "JSON Web Tokens: `eyJ….….…`",
        rf"eyJ{_WORD}{{10,}}\.{_WORD}{{10,}}\.{_WORD}+(?:\.{_WORD}+){{0,2}}",
    ),
    SecretFormat(
        "authorization-header",
        "What follows `Authorization:`, `X-API-Key:` and `Bearer`",
        rf"(?i:(?:authorization|x-api-key){_IS}(?:(?:bearer|basic|token)\s+)?)"
        r"([A-Za-z0-9._~+/=-]{16,})"
        r"|(?i:\bbearer\s+)([A-Za-z0-9._~+/=-]{20,})",
    ),
    SecretFormat(
        "url-credentials",
        "User and password in a URL, and a token in the user's place",
        r"://([^\s/?#\"'<>\\@:]*:[^\s/?#\"'<>\\@]+|[^\s/?#\"'<>\\@:]{16,})@",
    ),
)

#: Every format, by its name; of several that match at one place the first one counts.
SECRET_FORMATS: Mapping[str, SecretFormat] = MappingProxyType(
    {each.name: each for each in _FORMATS}
)
