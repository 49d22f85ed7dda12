"""Which colour of the palette each piece of code has, by Pygments' lexers that are in wide use."""

from functools import lru_cache
from typing import Any, Final

from pygments.token import Comment, Keyword, Name, Number, Operator, String
from pygments.util import ClassNotFound

CODE_MAX: Final = 50_000
"""Characters; longer code stays without colours."""

# A model's code is hostile input: only lexers that are in wide use, whatever a fence names.
_NAMES: Final = (
    "bash sh shell console c h cpp c++ hpp cs csharp css dart diff patch dockerfile docker elixir erlang go"
    " golang gradle groovy haskell hs html http ini toml cfg java javascript js jsx mjs json json5"
    " jsonc julia jl kotlin kt latex tex less lua makefile make matlab nginx objective-c objc ocaml octave perl"
    " php powershell ps1 python py python3 r rb ruby rs rust sass scala scheme scss sql sqlite3 svelte swift ts"
    " tsx typescript vb verilog vhdl vim vue wasm xml yaml yml zig zsh"
)
_LANGUAGES: Final = frozenset(_NAMES.split())
ROLES: Final = (
    (Comment, "code_comment"),
    (String, "code_string"),
    (Number, "code_number"),
    (Keyword, "code_keyword"),
    (Operator.Word, "code_keyword"),
    (Name.Function, "code_name"),
    (Name.Class, "code_name"),
    (Name.Builtin, "code_name"),
    (Name.Decorator, "code_name"),
    (Name.Tag, "code_keyword"),
    (Name.Attribute, "code_name"),
    (Name.Exception, "code_name"),
    (Name.Constant, "code_number"),
)
"""Kinds of tokens, and the palette's field for each."""


@lru_cache(maxsize=64)
def lexer_for(language: str) -> Any:
    """The lexer for a language's name; None where there is none to trust."""
    from pygments.lexers import get_lexer_by_name  # its table of all lexers, which no window needs that only starts

    if language not in _LANGUAGES:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def role_of(kind: Any) -> str:
    """The palette's field for a kind of token; "" where it has the text's own colour."""
    return next((role for parent, role in ROLES if kind in parent), "")
