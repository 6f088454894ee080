"""``otelbridge mcp login``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from otelbridge.clock import SteadyClock
from otelbridge.commands.mcp.browser import open_browser
from otelbridge.commands.mcp.files import oauth2_of, opened, unset_variable
from otelbridge.commands.mcp.loopback import listening
from otelbridge.commands.mcp.running import HTTP_LIMIT_S, run
from otelbridge.commands.mcp.times import instant
from otelbridge.domain.access import Grant
from otelbridge.errors import ConfigError, escaped
from otelbridge.oauth import device
from otelbridge.oauth.endpoints import endpoints_of
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.login import LoginRequest, check_pkce, redeem
from otelbridge.oauth.urls import resource_identifier

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.domain.access import McpServer, OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.store.tokens import Link

_SHOWN = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to log in.

    Attributes:
        is_device: With a code that is entered on another machine.
        opens_browser: Whether to try to open one here.
        port: Where the browser brings the answer; 0 for any free port.
        timeout_s: How long to wait for the user, in seconds.
    """

    is_device: bool
    opens_browser: bool
    port: int
    timeout_s: float


def log_in(config_path: Path, server_id: str, user_name: str, way: Way) -> None:
    """Log a user in and store the link.

    Raises:
        ConfigError: If there is no such server or user, or nothing to log in to.
        OAuthError: If the login fails; what was stored before stays.
        StoreError: If the link cannot be stored.
    """
    files = opened(config_path)
    server, user = files.server(server_id), files.user(user_name)
    auth = _checked(server)
    files.tokens.read()  # what could not be stored is not worth a login
    link = run(_login(server, auth, way))
    files.tokens.update(server.id, user.id, lambda _old: link)
    _tell(server, user.name, link, auth)


def _checked(server: McpServer) -> OAuth2Auth:
    auth = oauth2_of(server)
    if auth.grant is not Grant.REFRESH_TOKEN:
        raise ConfigError(
            "", f'MCP server "{server.id}": auth.grant is {auth.grant}, nobody logs in there'
        )
    variable = unset_variable(auth.client_secret)
    if variable:
        raise ConfigError(
            "",
            f'MCP server "{server.id}": auth.client_secret: '
            f'environment variable "{variable}" is not set',
        )
    return auth


async def _login(server: McpServer, auth: OAuth2Auth, way: Way) -> Link:
    needed = "device_authorization_endpoint" if way.is_device else "authorization_endpoint"
    async with OAuthHttp(timeout_s=HTTP_LIMIT_S) as http:
        metadata = await endpoints_of(http, auth, resource=server.url, needed=needed)
        if not getattr(metadata, needed):
            raise ConfigError("", _missing(server, metadata, is_device=way.is_device))
        with_way = _with_device if way.is_device else _with_browser
        return await with_way(http, server, auth, metadata, way)


def _missing(server: McpServer, metadata: Metadata, *, is_device: bool) -> str:
    setting = "device_authorization_url" if is_device else "authorization_url"
    published = f", and {metadata.issuer} publishes none" if metadata.issuer else ""
    other = "" if is_device else ", or try --device"
    return f'MCP server "{server.id}": auth.{setting} is not set{published}: set it{other}'


async def _with_browser(
    http: OAuthHttp, server: McpServer, auth: OAuth2Auth, metadata: Metadata, way: Way
) -> Link:
    check_pkce(metadata, auth)
    async with listening(way.port) as loopback:
        request = LoginRequest(
            metadata=metadata,
            client_id=auth.client_id,
            scopes=auth.scopes,
            resource=resource_identifier(server.url),
            redirect_uri=loopback.redirect_uri,
        )
        _say(f"open this page to log in:\n\n  {request.url}\n")
        _say(f"waiting for the answer at {loopback.redirect_uri}, {way.timeout_s:g} s at most")
        if way.opens_browser:
            open_browser(request.url)
        code = await loopback.code(request, timeout_s=way.timeout_s, on_stray=_tell_stray)
        return await redeem(http, request, auth, code, now_ns=SteadyClock()())


async def _with_device(
    http: OAuthHttp, server: McpServer, auth: OAuth2Auth, metadata: Metadata, way: Way
) -> Link:
    resource = resource_identifier(server.url)
    login = await device.begin(http, metadata, auth, resource=resource)
    _say(f"open this page on any machine and enter the code:\n\n  {login.verification_uri}")
    _say(f"  {login.user_code}\n")
    if login.complete_uri:
        _say(f"or this page, which knows the code:\n\n  {login.complete_uri}\n")
    life_s = min(login.life_s, way.timeout_s)
    _say(f"waiting until the code is entered, {life_s:g} s at most")
    return await device.wait(
        http, metadata, auth, login.within(way.timeout_s), resource=resource, clock_ns=SteadyClock()
    )


def _tell_stray() -> None:
    _say("ignored: a page sent the browser here with an answer to another login")


def _tell(server: McpServer, user_name: str, link: Link, auth: OAuth2Auth) -> None:
    until = ""
    if link.expires_at_ns is not None:
        until = f"; the access token is good until {instant(link.expires_at_ns)}"
    _say(f'logged "{user_name}" in at MCP server "{server.id}"{until}')
    if set(link.scopes) != set(auth.scopes):
        _say(f"granted scopes: {escaped(' '.join(link.scopes), _SHOWN) or 'none'}")
    if link.refresh_token is not None:
        _say("it is refreshed without another login")
    elif link.expires_at_ns is not None:
        _say(
            "the authorization server gave no refresh token: another login is needed by then "
            "(some give one for the scope offline_access)"
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
