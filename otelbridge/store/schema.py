"""The tables of the store file. The schema is a stable interface.

Each class is one table; the values become those of `otelbridge.domain.access`,
whose classes document them.
"""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from otelbridge.domain.access import Grant, Status
from otelbridge.domain.budgets import Period
from otelbridge.store.fields import (
    HttpUrlField,
    InstantField,
    KeyIdField,
    LabelField,
    RegexField,
    SecureUrlField,
    Sha256Field,
    TextField,
    UsdField,
    UserNameField,
    UuidField,
)
from otelbridge.store.references import SecretField

#: TOML has no enumerations: a text is taken where one is wanted.
StatusField: TypeAlias = Annotated[Status, Field(strict=False)]
GrantField: TypeAlias = Annotated[Grant, Field(strict=False)]
PeriodField: TypeAlias = Annotated[Period, Field(strict=False)]


class Table(BaseModel):
    """A table; an unknown key is an error, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class GatewayTable(Table):
    """``[[gateway]]``: may connect."""

    name: LabelField
    key_sha256: Sha256Field = Field(repr=False)


class UserTable(Table):
    """``[[user]]``."""

    id: UuidField
    name: UserNameField
    status: StatusField = Status.ACTIVE


class KeyTable(Table):
    """``[[key]]``: a user's key; ``user`` is a user's name."""

    id: KeyIdField
    user: str
    secret_sha256: Sha256Field = Field(repr=False)
    expires_at: InstantField | None = None


class NoAuthTable(Table):
    """``[mcp_server.auth]`` of a server that asks for no token."""

    kind: Literal["none"] = "none"


class StaticAuthTable(Table):
    """``[mcp_server.auth]`` with tokens that do not change; ``tokens`` are by user name."""

    kind: Literal["static"]
    token: SecretField | None = None
    tokens: dict[str, SecretField] = {}

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.token is None and not self.tokens:
            raise ValueError("static needs token (one for all) or tokens (one a user)")
        return self


class OAuth2AuthTable(Table):
    """``[mcp_server.auth]`` with tokens that are refreshed."""

    kind: Literal["oauth2"]
    grant: GrantField = Grant.REFRESH_TOKEN
    client_id: TextField
    client_secret: SecretField | None = None
    scopes: list[TextField] = []
    issuer: SecureUrlField | None = None
    token_url: SecureUrlField | None = None
    authorization_url: SecureUrlField | None = None
    device_authorization_url: SecureUrlField | None = None
    validate_url: SecureUrlField | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.token_url is None and self.issuer is None:
            raise ValueError("oauth2 needs token_url, or issuer to discover it")
        # RFC 6749, section 4.4: only confidential clients may use this grant.
        if self.grant is Grant.CLIENT_CREDENTIALS and self.client_secret is None:
            raise ValueError("grant client_credentials needs client_secret")
        return self


class McpServerTable(Table):
    """``[[mcp_server]]``."""

    id: LabelField
    url: HttpUrlField
    tool_allow_regex: RegexField = ""
    tool_deny_regex: RegexField = ""
    receives_coder_token: bool = False
    auth: Annotated[
        NoAuthTable | StaticAuthTable | OAuth2AuthTable, Field(discriminator="kind")
    ] = NoAuthTable()


class BedrockTable(Table):
    """``[provider.bedrock]``."""

    region: str = ""
    access_key: SecretField | None = None
    access_key_secret: SecretField | None = None
    model: str = ""
    small_fast_model: str = ""
    role_arn: str = ""
    external_id: str = ""
    protocol: str = ""
    resolved_model: str = ""
    resolved_small_fast_model: str = ""


class ProviderTable(Table):
    """``[[provider]]``."""

    name: LabelField
    type: LabelField
    enabled: bool = True
    base_url: HttpUrlField | None = None
    keys: list[SecretField] = []
    bedrock: BedrockTable | None = None


class BudgetTable(Table):
    """``[[budget]]``; ``user`` is a user's name, or ``*`` for everybody's default."""

    user: str
    limit_usd: UsdField
    period: PeriodField


class Document(Table):
    """The whole file."""

    gateway: list[GatewayTable] = []
    user: list[UserTable] = []
    key: list[KeyTable] = []
    mcp_server: list[McpServerTable] = []
    provider: list[ProviderTable] = []
    budget: list[BudgetTable] = []
