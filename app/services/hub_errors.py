"""What goes wrong with a model hub, as sentences."""

from app.core.errors import EmberError


class HubError(EmberError):
    """A request that a hub refused or that did not reach it."""

    def __init__(
        self, sentence: str, kind: str, *, status: int = 0, is_passing: bool = False, retry_after: float = 0.0
    ) -> None:
        """`is_passing`: whether trying again may help, not before `retry_after` seconds where the hub said so."""
        super().__init__(sentence, kind)
        self.status = status
        self.is_passing = is_passing
        self.retry_after = retry_after


def refusal(host: str, status: int, code: str, message: str, retry_after: float) -> HubError:
    """The error for an HTTP status of 400 or more, with the hub's own `X-Error-Code` and `X-Error-Message`."""
    if code == "GatedRepo":
        return HubError(
            f"This model is given only to people who accepted its conditions. Accept them on its page at {host} and "
            "give Ember a token of that account, or choose another model.",
            "gated",
            status=status,
        )
    if status in (401, 403) and "credentials" in message.lower():
        return HubError(f"{host} does not accept the token. Give Ember another one.", "bad_token", status=status)
    if status == 401 or code == "RepoNotFound":
        return HubError(
            f"{host} has no such repository, or it is private. Check the name; a private one needs a token.",
            "no_repository",
            status=status,
        )
    if status == 403:
        return HubError(f"{host} does not let this account have it. Choose another model.", "forbidden", status=status)
    if status in (404, 410):
        return HubError(f"{host} does not have this any more. Look for the model again.", "not_found", status=status)
    if status == 429:
        wait = f" Try again in {round(retry_after)} seconds." if retry_after else " Try again in a while."
        return HubError(
            f"{host} was asked too often.{wait}",
            "too_often",
            status=status,
            is_passing=True,
            retry_after=retry_after,
        )
    if status == 408 or status >= 500:
        return HubError(
            f"{host} has trouble of its own (HTTP {status}). Try again later.",
            "hub_trouble",
            status=status,
            is_passing=True,
            retry_after=retry_after,
        )
    return HubError(f"{host} refused the request (HTTP {status}).", "refused", status=status)


def not_reached(host: str) -> HubError:
    """The error for a connection that was not made or broke."""
    return HubError(
        f"{host} cannot be reached, or the connection broke. Check the network and try again.",
        "no_network",
        is_passing=True,
    )


def silent(host: str, seconds: float) -> HubError:
    """The error for a hub that sent nothing for so long."""
    return HubError(
        f"{host} was silent for {round(seconds)} seconds. Try again, or later if it stays so.",
        "silent",
        is_passing=True,
    )


def proxy_refused(host: str) -> HubError:
    """The error for a proxy that did not make the connection."""
    return HubError(
        f"The proxy that the environment names (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY) made no connection to {host}. "
        "Check its address, name and password, and try again.",
        "no_proxy",
        is_passing=True,
    )


def offline() -> HubError:
    """The error for a request while Ember is set to stay offline."""
    return HubError(
        "Ember is set to stay offline, so nothing was asked. Allow the network in the settings of models first.",
        "offline",
    )


def not_understood(host: str) -> HubError:
    """The error for an answer of a shape that nobody expected."""
    return HubError(f"{host} answered something that Ember does not understand. Nothing was changed.", "bad_answer")
