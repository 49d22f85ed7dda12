"""What can go wrong with the store."""


class Damaged(Exception):
    """A file is missing or does not hold what was written; its chunk is to be quarantined and its tokens read again."""


class StoreUnavailable(Exception):
    """The disk does not let the store work just now; nothing half-written is left, and a later call tries anew."""

    def __init__(self, reason: str) -> None:
        """Hold the `reason`, the part of a sentence that follows "because"."""
        super().__init__(reason)
        self.reason = reason


class IndexLost(Exception):
    """The index is damaged, gone or not yet whole, and must be made from the files; never leaves the package."""
