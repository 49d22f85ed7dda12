"""The one base class of errors that a person reads."""


class EmberError(Exception):
    """A failure with a plain sentence for the person and a stable kind for the code that reacts to it."""

    def __init__(self, sentence: str, kind: str) -> None:
        """Hold the `sentence` that is shown and the `kind`, an identifier such as "not_gguf"."""
        super().__init__(sentence, kind)
        self.sentence = sentence
        self.kind = kind

    def __str__(self) -> str:
        """Return the sentence, which is what a person reads."""
        return self.sentence
