"""The token for private and gated models, in the system's keyring; `keyring` is imported only when it is needed."""

from app.core.errors import EmberError

SERVICE = "Ember"
ACCOUNT = "Hugging Face token"


def stored_token() -> str | None:
    """The token that the person gave; None where there is none, or no keyring that could be asked."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(SERVICE, ACCOUNT)
    except KeyringError:  # locked, or there is none: then the hub's refusal says that a token is needed
        return None


def store_token(token: str) -> None:
    """Keep a token, or forget it where it is empty; raises EmberError (no_keyring)."""
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        if token:
            keyring.set_password(SERVICE, ACCOUNT, token)
        else:
            keyring.delete_password(SERVICE, ACCOUNT)
    except PasswordDeleteError:
        return  # there was none
    except KeyringError as error:
        raise EmberError(
            "The token was not kept: this system has no keyring that Ember can use, or it is locked. "
            "Unlock it, or set the variable HF_TOKEN before Ember is started.",
            "no_keyring",
        ) from error
