"""Invented secrets, one or more of each known format; put together here so that no scanner stirs.

Others may use them: each is an example of what its issuer gives out.
"""

from __future__ import annotations

from typing import NamedTuple

_A = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9kLm2n"
_HEX = "0123456789abcdef" * 8
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 2


class Vector(NamedTuple):
    """A text with a secret.

    Attributes:
        rule: Which format finds it.
        secret: The secret.
        text: The text; the secret alone if not given.
    """

    rule: str
    secret: str
    text: str = ""

    @property
    def told(self) -> str:
        """The text as it is told."""
        return self.sent.replace(self.secret, f"[REDACTED:{self.rule}]")

    @property
    def sent(self) -> str:
        """The text as it was sent."""
        return self.text or self.secret


def _armour(kind: str, body: str = f"\n{_A[:64]}\n{_A[:64]}\n{_A[:20]}==\n") -> str:
    return f"-----BEGIN {kind}-----{body}-----END {kind}-----"


_RSA = _armour("RSA " + "PRIVATE KEY")
_JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiJhbGljZSJ9" + "." + _A[:43]

VECTORS = (
    Vector("private-key", _RSA),
    Vector("private-key", _armour("PRIVATE KEY")),
    Vector("private-key", _armour("OPENSSH " + "PRIVATE KEY")),
    Vector(
        "private-key",
        _armour("RSA " + "PRIVATE KEY", f"\nProc-Type: 4,ENCRYPTED\nDEK-Info: A-1\n\n{_A[:64]}\n"),
    ),
    Vector("private-key", _armour("PGP " + "PRIVATE KEY BLOCK", f"\nVersion: 1\n\n{_A}\n=aB3d\n")),
    Vector("private-key", _RSA.replace("\n", "\\n")),
    Vector("private-key", _RSA[: _RSA.index("==")], f"cut: {_RSA[: _RSA.index('==')]}"),
    Vector("anthropic-key", "sk-" + f"ant-api03-{_A}-_AA"),
    Vector("anthropic-key", "sk-" + f"ant-oat01-{_A}"),
    Vector("openai-key", "sk-" + f"proj-{_A[:40]}_{_A[:40]}"),
    Vector("openai-key", "sk-" + f"svcacct-{_A}"),
    Vector("openai-key", "sk-" + f"{_A[:20]}T3BlbkFJ{_A[:20]}"),
    Vector("openai-key", "sk-" + _HEX[:32]),
    Vector("openrouter-key", "sk-" + f"or-v1-{_HEX[:64]}"),
    Vector("groq-key", "gsk" + f"_{_A[:52]}"),
    Vector("xai-key", "xai" + f"-{_A[:80]}"),
    Vector("perplexity-key", "pplx" + f"-{_A[:48]}"),
    Vector("huggingface-token", "hf" + "_" + _A[:34]),
    Vector("aws-access-key", "AKIA" + "IOSFODNN7EXAMPLE"),
    Vector("aws-access-key", "ASIA" + _UPPER[:16]),
    Vector("aws-secret-key", f"{_A[:38]}+/", f"aws_secret_access_key = {_A[:38]}+/"),
    Vector("aws-secret-key", _A[:40], f"AWS_SECRET_ACCESS_KEY='{_A[:40]}'"),
    Vector("aws-secret-key", _A[:40], f'{{"SecretAccessKey": "{_A[:40]}"}}'),
    Vector("aws-secret-key", f"{_A}{_A}==", f"export AWS_SESSION_TOKEN={_A}{_A}=="),
    Vector("azure-storage-key", f"{_A}{_A[:6]}==", f"AccountName=a;AccountKey={_A}{_A[:6]}==;E=x"),
    Vector("google-key", "AIza" + _A[:35]),
    Vector("google-key", "GOCSPX-" + _A[:28]),
    Vector("google-key", "ya29." + f"a0{_A}"),
    Vector("github-token", "ghp" + "_" + _A[:36]),
    Vector("github-token", "ghs" + "_" + _A[:36]),
    Vector("github-token", "github" + f"_pat_{_A[:22]}_{_A[:59]}"),
    Vector("gitlab-token", "glpat" + "-" + _A[:20]),
    Vector("gitlab-token", "glpat" + f"-{_A[:27]}.01.0a1b2c3d4"),
    Vector("gitlab-token", "glrt" + f"-t1_{_A[:20]}"),
    Vector("gitlab-token", "GR1348941" + _A[:20]),
    Vector("atlassian-token", "ATATT3" + f"xFfGF0{_A}={_HEX[:8]}"),
    Vector("linear-key", "lin" + f"_api_{_A[:40]}"),
    Vector("npm-token", "npm" + "_" + _A[:36]),
    Vector("pypi-token", "pypi-" + f"AgEIcHlwaS5vcmc{_A}"),
    Vector("docker-token", "dckr" + f"_pat_{_A[:27]}"),
    Vector("slack-token", "xoxb" + f"-1234567890-1234567890-{_A[:24]}"),
    Vector("slack-token", "xoxe" + f".xoxp-1-{_A[:60]}"),
    Vector("slack-token", "xapp" + f"-1-A0123456789-1234567890-{_HEX[:64]}"),
    Vector(
        "slack-webhook",
        "T01234567/B01234567/" + _A[:24],
        "https://hooks.slack.com/services/" + "T01234567/B01234567/" + _A[:24],
    ),
    Vector("telegram-token", "123456789:" + f"AA{_A[:33]}"),
    Vector("stripe-key", "sk" + f"_live_{_A[:24]}"),
    Vector("stripe-key", "rk" + f"_test_{_A[:24]}"),
    Vector("stripe-key", "whsec" + f"_{_A[:32]}"),
    Vector("sendgrid-key", "SG." + f"{_A[:22]}.{_A[:43]}"),
    Vector("digitalocean-token", "dop" + f"_v1_{_HEX[:64]}"),
    Vector("databricks-token", "dapi" + _HEX[:32]),
    Vector("vault-token", "hvs." + _A[:24]),
    Vector("terraform-token", f"{_A[:14]}." + f"atlasv1.{_A[:67]}"),
    Vector("grafana-token", "glsa" + f"_{_A[:32]}_{_HEX[:8]}"),
    Vector("grafana-token", "glc" + f"_{_A[:40]}"),
    Vector("coder-key", f"{_A[:10]}-{_A[:22]}"),
    Vector("jwt", _JWT),
    Vector("authorization-header", _A[:43], f"Authorization: Bearer {_A[:43]}"),
    Vector("authorization-header", _A[:24], f'{{"authorization": "Basic {_A[:24]}"}}'),
    Vector("authorization-header", _A[:24], rf"{{\"Authorization\": \"token {_A[:24]}\"}}"),
    Vector("authorization-header", _A[:32], f"curl -H 'x-api-key: {_A[:32]}'"),
    Vector("authorization-header", _A[:32], f"sent bearer {_A[:32]} twice"),
    Vector("url-credentials", "alice:p%40ss", "postgres://alice:p%40ss@db:5432/app?x=1"),
    Vector("url-credentials", f"x:{_HEX[:40]}", f"git clone https://x:{_HEX[:40]}@host/a.git"),
    Vector("url-credentials", _HEX[:40], f"https://{_HEX[:40]}@github.com/a/b.git"),
    Vector("url-credentials", ":secret", "redis://:secret@cache:6379/0"),
)

#: Texts that resemble a secret and hold none.
HARMLESS = (
    "The risk-managementconfiguration2 and the task-0123456789 are done.",
    "ssh://git@github.com/a/b.git and mailto:alice@example.com",
    "https://example.com/a@b?c=d#e@f",
    "commit 0123456789abcdef0123456789abcdef01234567",
    "11111111-2222-3333-4444-555555555555",
    "the bearer of this letter; Authorization: none",
    "ghp_short, npm_config_registry, hf_hub, sk-learn, AKIA, eyJ.eyJ.x",
    "const key_id = 'abcdefghij-klmnop'; // 10-6",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "a PEM file begins with -----BEGIN " + "PRIVATE KEY----- and so on",
    "price_sk_livestream_of_the_year, test@example.com:8080",
)
