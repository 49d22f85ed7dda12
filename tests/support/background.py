"""Waiting for what the app does on other threads."""

from PySide6.QtCore import QCoreApplication, QEvent

from app.services.background import wait_for_background


def finish_background() -> None:
    """Let the work that has begun on other threads end, and its outcome be delivered; no timer runs meanwhile."""
    wait_for_background()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.MetaCall.value)
