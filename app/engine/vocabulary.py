"""A model's vocabulary: text to token ids and back."""

import ctypes
import hashlib
import threading
from functools import cached_property

import llama_cpp

from app.core.control_tokens import ControlToken
from app.core.errors import EmberError

CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
"""What llama.cpp leaves unparsed when special tokens are not to be parsed (llama-vocab.cpp)."""
SPACE_GUARD = "\n"
"""Put before text in the middle of a fragment, where a vocabulary would add a space to the start of it."""


class Vocabulary:
    """The tokenizer of a loaded model; its methods may be called from any thread while the model lives."""

    def __init__(self, model: int) -> None:
        """Read the vocabulary of a llama_model.

        Raises EmberError (no_vocabulary) for a model without one: tokenising it would end the process.
        """
        self._vocab = self.require(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.bos: int = llama_cpp.llama_vocab_bos(self._vocab)
        self.eos: int = llama_cpp.llama_vocab_eos(self._vocab)
        self.adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self._vocab))
        self._pieces: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._read_tokens()

    @staticmethod
    def require(model: int) -> int:
        """A llama_model's vocabulary; raises EmberError (no_vocabulary)."""
        vocab: int = llama_cpp.llama_model_get_vocab(model)
        if llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise EmberError(
                "This model file has no vocabulary, so no text can be given to it. Choose another model.",
                "no_vocabulary",
            )
        return vocab

    def _read_tokens(self) -> None:
        """Walk the whole vocabulary once: the control tokens, and a key over everything."""
        digest = hashlib.sha256(f"{llama_cpp.llama_vocab_type(self._vocab)} {self.adds_bos}".encode())
        controls = []
        for token in range(self.size):
            text = llama_cpp.llama_vocab_get_text(self._vocab, token) or b""
            attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
            digest.update(b"%d %d " % (len(text), attributes) + text)
            if attributes & CONTROL and text:
                controls.append(
                    ControlToken(
                        text=text.decode("utf-8", "replace"),
                        id=token,
                        strips_left=bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP),
                        strips_right=bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP),
                    )
                )
        self.controls = tuple(controls)
        self.key = digest.hexdigest()[:32]

    def text_of(self, token: int) -> str:
        """The token's text as the vocabulary has it, such as `<|im_end|>`; empty for none (-1)."""
        if not 0 <= token < self.size:
            return ""
        return (llama_cpp.llama_vocab_get_text(self._vocab, token) or b"").decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """Whether the token ends a reply (any of the vocabulary's end-of-generation tokens)."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def _adds_space(self) -> bool:
        """Whether the vocabulary puts a space before the first word of a text."""
        ids = self._tokenize("a")
        return bool(ids) and self.piece(ids[0]).startswith(b" ")

    def tokenize(self, text: str, *, start: bool = True) -> list[int]:
        """The ids of plain text, in which control tokens are only their letters.

        `start` says that the text stands at the beginning or after a control token.
        """
        if not text:
            return []
        if start or not self._adds_space:
            return self._tokenize(text)
        guard = self._tokenize(SPACE_GUARD)
        ids = self._tokenize(SPACE_GUARD + text)
        return ids[len(guard) :] if ids[: len(guard)] == guard else self._tokenize(text)

    def _tokenize(self, text: str) -> list[int]:
        """llama_tokenize, without parsing control tokens and without adding any."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, room, False, False)
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to the text; none for a control token. A character may span several tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._piece(token)
            with self._lock:
                self._pieces[token] = known
        return known

    def _piece(self, token: int) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            room = -count
