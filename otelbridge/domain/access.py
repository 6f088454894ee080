"""Access: who may call, as whom, and with which tools, tokens and providers.

The values are read from a file by `otelbridge.store`. The rules are pure:
times are passed in, as nanoseconds since the Unix epoch.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from otelbridge.errors import PermissionDeniedError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from otelbridge.domain.budgets import Budget

#: RPCs that hand out secrets: a gateway key or a verified certificate is
#: needed even where gRPC is open to local processes.
NEEDS_TRUST = frozenset(
    {"MCPConfigurator/GetMCPServerAccessTokensBatch", "ProviderConfigurator/GetAIProviders"}
)
#: The one text of every refused caller: it tells nothing of the reason.
REFUSED = "a valid gateway key is required"
#: Why a caller was refused, for the counter: it showed no key, or nobody's.
NO_KEY = "no_key"
WRONG_KEY = "wrong_key"

_KEY = re.compile(r"([^-]{10})-([^-]{22})")
# What is hashed and compared where there is nothing to hash or compare with.
_DUMMY_SECRET = "x" * 22
_DUMMY_SHA256 = bytes(hashlib.sha256().digest_size)


class RefusedCallError(UnauthenticatedError):
    """A call that its caller may not make; to the caller every one reads the same.

    Attributes:
        reason: `NO_KEY` or `WRONG_KEY`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(REFUSED)


class Secret:
    """A text that is shown only to who asks for it: no repr, format or log has it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; to be sent, never to be shown."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class Status(StrEnum):
    """What a user may do: only an active one may call."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DORMANT = "dormant"
    DELETED = "deleted"
    SYSTEM = "system"


_REFUSED_USERS: Mapping[Status, str] = MappingProxyType(
    {
        Status.DELETED: "deleted user",
        Status.SUSPENDED: "inactive user",
        Status.DORMANT: "inactive user",
        Status.SYSTEM: "system user",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person whose requests pass through a gateway.

    Attributes:
        id: What the RPCs call owner, user or initiator; never nil.
        name: The name in the store file, and the one that is told to gateways.
        status: Whether the user's keys are accepted.
    """

    id: UUID
    name: str
    status: Status = Status.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A user's key, ``<id>-<secret>``.

    Attributes:
        id: The public part, 10 characters.
        user: Its owner.
        secret_sha256: SHA-256 of the secret's 22 characters.
        expires_at_ns: The first instant at which it is refused; None for never.
    """

    id: str
    user: User
    secret_sha256: bytes = field(repr=False)
    expires_at_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that may connect.

    Attributes:
        name: Its name in the store file and in metrics.
        key_sha256: SHA-256 of its key.
    """

    name: str
    key_sha256: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticAuth:
    """Tokens that do not change by themselves.

    Attributes:
        token: Everybody's, unless the user has an own one.
        tokens: Users' own ones.
    """

    token: Secret | None = None
    tokens: Mapping[UUID, Secret] = field(default_factory=dict)

    def token_of(self, user_id: UUID) -> Secret | None:
        """Return the user's token."""
        return self.tokens.get(user_id) or self.token


class Grant(StrEnum):
    """How an OAuth 2.0 token is got: by a login of each user, or one for all."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the grant's name (RFC 6749, section 6)
    CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Auth:
    """Tokens of an OAuth 2.0 authorization server; what is empty or None is not set.

    Attributes:
        grant: How tokens are got.
        client_id: The bridge's id at the authorization server.
        client_secret: None for a public client.
        scopes: What is asked for.
        issuer: Where the URLs that are left out are discovered.
        token_url: Where tokens are refreshed.
        authorization_url: Where a user logs in with a browser.
        device_authorization_url: Where a user logs in without one.
        validate_url: Where a token can be tried.
    """

    grant: Grant
    client_id: str
    client_secret: Secret | None = None
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    token_url: str = ""
    authorization_url: str = ""
    device_authorization_url: str = ""
    validate_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server of tools.

    Attributes:
        id: Its name in the store file, and the prefix of its tools.
        url: Where it is.
        tool_allow_regex: RE2 of the tools that are offered; empty for all.
        tool_deny_regex: RE2 of the tools that are not; empty for none.
        receives_coder_token: Whether it is sent the user's own Coder token;
            true for at most one.
        auth: Where its access tokens come from; None if it asks for none.
    """

    id: str
    url: str
    tool_allow_regex: str = ""
    tool_deny_regex: str = ""
    receives_coder_token: bool = False
    auth: StaticAuth | OAuth2Auth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bedrock:
    """How a provider is reached through Amazon Bedrock; what is empty or None is not set.

    Attributes:
        region: AWS region.
        access_key: AWS access key id.
        access_key_secret: AWS secret access key.
        model: Model id.
        small_fast_model: Model id for background work.
        role_arn: Role to assume.
        external_id: External id for assuming it.
        protocol: API that the gateway speaks.
        resolved_model: Model behind an inference profile.
        resolved_small_fast_model: The same, for background work.
    """

    region: str = ""
    access_key: Secret | None = None
    access_key_secret: Secret | None = None
    model: str = ""
    small_fast_model: str = ""
    role_arn: str = ""
    external_id: str = ""
    protocol: str = ""
    resolved_model: str = ""
    resolved_small_fast_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An LLM provider that gateways forward to.

    Attributes:
        name: Its name in the store file.
        type: Which API it speaks, as ``anthropic``.
        enabled: Whether gateways use it; the keys of others are not handed out.
        base_url: Where it is; empty for the gateway's default.
        keys: Its API keys.
        bedrock: Set if it is reached through Amazon Bedrock.
    """

    name: str
    type: str
    enabled: bool = True
    base_url: str = ""
    keys: tuple[Secret, ...] = ()
    bedrock: Bedrock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one version of the store file says; never changed, only replaced.

    Attributes:
        users: By id.
        keys: By id.
        gateways: By the SHA-256 of their key.
        mcp_servers: By id, in the file's order.
        providers: By name, in the file's order.
        budgets: By user; None holds everybody's default.
    """

    users: Mapping[UUID, User] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    gateways: Mapping[bytes, Gateway] = field(default_factory=dict, repr=False)
    mcp_servers: Mapping[str, McpServer] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    budgets: Mapping[UUID | None, Budget] = field(default_factory=dict)


def authorise(snapshot: Snapshot, key: str, *, now_ns: int) -> Key:
    """Return the key that was shown, if its owner may call.

    Every path hashes and compares exactly once, so that the time it takes
    does not tell a guesser which part was wrong.

    Raises:
        UnauthenticatedError: If the key is malformed, unknown, expired or its
            secret wrong, checked in this order.
        PermissionDeniedError: If its owner is not active.
    """
    parts = _KEY.fullmatch(key)
    key_id, secret = parts.groups() if parts else ("", _DUMMY_SECRET)
    known = snapshot.keys.get(key_id)
    is_right = _is_hash_of(known.secret_sha256 if known else _DUMMY_SHA256, secret)
    if parts is None:
        raise UnauthenticatedError("invalid key")
    return _admitted(known, is_right=is_right, now_ns=now_ns)


def authorise_id(snapshot: Snapshot, key_id: str, *, now_ns: int, is_trusted: bool) -> Key:
    """Return the key with this id, if its owner may call.

    A caller that names a key by its id alone asks to be believed: it must
    itself have shown a gateway key or a certificate. Every path hashes and
    compares exactly once, as `authorise` does.

    Raises:
        RefusedCallError: If the caller is not trusted.
        UnauthenticatedError: If the key is unknown or expired.
        PermissionDeniedError: If its owner is not active.
    """
    _is_hash_of(_DUMMY_SHA256, _DUMMY_SECRET)
    if not is_trusted:
        raise RefusedCallError(NO_KEY)
    return _admitted(snapshot.keys.get(key_id), is_right=True, now_ns=now_ns)


def gateway_of(snapshot: Snapshot, key: str) -> Gateway | None:
    """Return the gateway whose key this is."""
    digest = _sha256(key)
    gateway = snapshot.gateways.get(digest)
    expected = gateway.key_sha256 if gateway else _DUMMY_SHA256
    return gateway if hmac.compare_digest(digest, expected) else None


def _admitted(key: Key | None, *, is_right: bool, now_ns: int) -> Key:
    if key is None:
        raise UnauthenticatedError("unknown key")
    if key.expires_at_ns is not None and key.expires_at_ns <= now_ns:
        raise UnauthenticatedError("expired")
    if not is_right:
        raise UnauthenticatedError("invalid key")
    refusal = _REFUSED_USERS.get(key.user.status)
    if refusal is not None:
        raise PermissionDeniedError(refusal)
    return key


def _is_hash_of(digest: bytes, secret: str) -> bool:
    return hmac.compare_digest(_sha256(secret), digest)


def _sha256(text: str) -> bytes:
    # A lone surrogate cannot come from the wire; it must not raise all the same.
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
