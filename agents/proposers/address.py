"""The address of an endpoint: whether it is one, how it is shown, and by which way it is reached."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit, urlunsplit

from agents.errors import ConfigurationError

_OPERATIONS = ("/chat/completions", "/completions", "/responses", "/models")
"""What stands behind an address in other programs' manuals, and is added here."""


def check_address(url: str, shows_key: bool) -> None:
    """Raise ConfigurationError where no server has such an address, or it excludes the key."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        seen = "" if {"@", "?"} & set(url) else f": {url}"  # which may hold a secret
        raise ConfigurationError(
            f"llm.base_url{seen} is no address of a server: write http://HOST:PORT/v1 or https://…"
        )
    if parts.username and shows_key:
        # Both would be sent as the same header, and the key would be lost.
        raise ConfigurationError(
            "llm.base_url holds a user, and there is a key or a login besides: a server takes one "
            "of them; remove the other"
        )
    ending = next((one for one in _OPERATIONS if parts.path.rstrip("/").endswith(one)), None)
    if ending is not None:
        raise ConfigurationError(
            f"llm.base_url ends in {ending}, which is added to it: write the address without that, "
            f"{without_secrets(url).rstrip('/').removesuffix(ending)}"
        )


def without_secrets(url: str) -> str:
    """The address without a user, a password and a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def base_and_query(url: str) -> tuple[str, dict[str, str]]:
    """The address and what is asked with each request behind it, such as ``api-version``."""
    parts = urlsplit(url)
    base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return base, dict(parse_qsl(parts.query, keep_blank_values=True))


def proxy_of(url: str) -> str | None:
    """HOST:PORT of the proxy through which the environment has an address reached, or None."""
    from urllib.request import getproxies, proxy_bypass

    parts, known = urlsplit(url), getproxies()
    found = known.get(parts.scheme) or known.get("all")
    if not found or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(found if "//" in found else f"//{found}").netloc.rpartition("@")[2]


def may_be_a_proxys(error: Exception) -> bool:
    """Whether a proxy between could have caused it: no connection, or a status that proxies answer."""
    code = getattr(error, "status_code", None)
    return code is None or code in (403, 407, 502, 503, 504)


def led_on_to(error: Exception) -> str | None:
    """Where a redirect led before a request failed, without what may be secret; None without one.

    A redirect turns the question into a look at a page (301, 302), or loses the key on its way to
    another host.
    """
    response = getattr(error, "response", None)
    if response is None or not response.history:
        return None
    return without_secrets(str(response.url)).removesuffix("/chat/completions")
