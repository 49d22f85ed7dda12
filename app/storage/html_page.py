"""What is seen of a conversation as one HTML page: no scripts, nothing from elsewhere, everything escaped."""

import unicodedata
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from app.core.code_colors import CODE_MAX, lexer_for, role_of
from app.core.conversation import ConversationTree, Message
from app.core.reasoning_marks import REASONING_END, REASONING_START

COLORS: Final = {
    "page": "#FBFAF8",
    "bubble": "#F0EBE3",
    "code": "#F6F3EE",
    "border": "#E0DBD3",
    "text": "#23201C",
    "text_soft": "#575149",
    "text_faint": "#696259",
    "danger": "#AD3526",
    "link": "#9E400E",
    "code_comment": "#6B645A",
    "code_keyword": "#A0410F",
    "code_string": "#3F682C",
    "code_number": "#7A4796",
    "code_name": "#27568C",
}
"""Those of the window's light palette that a page needs, by the palette's names; a test holds them equal."""
_LINE_MAX: Final = 4_000
"""Characters of a line of code that is coloured."""
_OPENED: Final = ("http://", "https://", "mailto:", "#")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_ENDINGS: Final = {
    "cancelled": "The reply was stopped here.",
    "length": "The reply reached its limit of tokens here.",
}
_STYLE: Final = """
body {{ background: {page}; color: {text}; font-family: system-ui, sans-serif; font-size: 16px; margin: 0; }}
p, li {{ line-height: 155%; }}
main {{ max-width: 736px; margin: 0 auto; padding: 40px 20px; overflow-wrap: anywhere; }}
h1 {{ font-size: 24px; }}
.assistant h1, h2, h3, h4, h5, h6 {{ font-size: 17px; }}
.who {{ color: {text_faint}; font-size: 14px; margin-top: 28px; margin-bottom: 6px; }}
.user, .system {{ white-space: pre-wrap; line-height: 150%; unicode-bidi: plaintext; }}
.system, .thought, .note, blockquote {{ color: {text_soft}; }}
.error {{ color: {danger}; }}
pre, code {{ font-family: monospace; font-size: 14px; }}
:not(pre) > code {{ background: {code}; }}
table {{ border-collapse: collapse; }}
a {{ color: {link}; }}
"""
_SCREEN: Final = """
.user {{ background: {bubble}; border-radius: 12px; padding: 10px 16px; }}
.system, .thought, blockquote {{ border-inline-start: 3px solid {border}; padding-inline-start: 16px; }}
blockquote {{ margin-inline: 0; }}
pre {{ background: {code}; border: 1px solid {border}; border-radius: 8px; padding: 12px 16px; overflow-x: auto; }}
pre {{ line-height: 145%; }}
:not(pre) > code {{ padding: .1em .3em; border-radius: 4px; }}
table {{ display: block; max-width: 100%; overflow-x: auto; }}
th, td {{ border: 1px solid {border}; padding: 5px 10px; text-align: start; overflow-wrap: break-word; }}
hr {{ border: 0; border-top: 1px solid {border}; }}
@media print {{
  body {{ background: none; }}
  main {{ padding: 0; }}
  pre {{ white-space: pre-wrap; }}
  .who {{ break-after: avoid; }}
  pre, tr {{ break-inside: avoid; }}
}}
"""
_PAPER: Final = """
.user, .system {{ line-height: 120%; }}
pre {{ white-space: pre-wrap; margin-top: 0; margin-bottom: 0; }}
table.data td, table.data th {{ border: 1px solid {border}; padding: 5px 10px; }}
"""
"""What Qt lays out: it cuts what a `pre` has no room for, and knows borders, room and backgrounds at cells only."""
_DIRECTED: Final = frozenset(
    ("paragraph", "heading", "bullet_list", "ordered_list", "list_item", "blockquote", "th", "td")
)
_LOOKED_AT: Final = 1_000
"""Characters of a paragraph among which one tells the direction of all."""


@dataclass(frozen=True, slots=True)
class _Dress:
    """What stands around the parts of a page."""

    parser: MarkdownIt
    style: str
    user: tuple[str, str]
    aside: tuple[str, str]
    """Around a system prompt and a thought."""


_DEEPEST_RULE: Final = 2
"""Quotations in others that still get a line: for each table in a table Qt takes twice the time."""
_TABLE: Final = '<table width="100%" cellspacing="0" cellpadding="{}" style="margin-top: 6px; margin-bottom: 12px"><tr>'
_TABLE_END: Final = "</td></tr></table>"


def _boxed(color: str) -> tuple[str, str]:
    """Around what stands on a ground of its own, on paper."""
    return f'{_TABLE.format(9)}<td bgcolor="{color}">', _TABLE_END


def _ruled() -> tuple[str, str]:
    """Around what has a line at its side, on paper."""
    line = f'<td width="3" bgcolor="{COLORS["border"]}"></td>'
    return f'{_TABLE.format(0)}{line}<td style="padding-left: 13px">', _TABLE_END


def is_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction goes to the left, as Unicode's rule P2 has it."""
    for character in text[:_LOOKED_AT]:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return False


def _direct(paper: bool, state: StateCore) -> None:
    """Give each block its own direction: a browser finds it, for Qt it is told."""
    words = ""
    for token in reversed(state.tokens):
        if token.type == "inline":
            words = token.content
        elif token.nesting == 1 and token.type.removesuffix("_open") in _DIRECTED:
            if not paper:
                token.attrSet("dir", "auto")
            elif is_right_to_left(words):
                token.attrSet("dir", "rtl")


def _fence(renderer: RendererHTML, tokens: list[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    token = tokens[at]
    language = token.info.split()[0].lower() if token.info.strip() else ""
    code = coloured(token.content.removesuffix("\n"), language)
    return f'<pre dir="ltr"><code>{code}</code></pre>\n'


def _paper_fence(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    before, after = _boxed(COLORS["code"])
    return f"{before}{_fence(renderer, tokens, at, options, env)}{after}\n"


def _paper_quote(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    if token.level > _DEEPEST_RULE:
        return renderer.renderToken(tokens, at, options, env)
    return _ruled()[0 if token.nesting == 1 else 1]


def _paper_cell(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """A cell whose alignment is told without a style, which would take its borders away."""
    token = tokens[at]
    style = str(token.attrs.pop("style", "text-align:left"))
    token.attrSet("align", style.removeprefix("text-align:"))
    return renderer.renderToken(tokens, at, options, env)


def _image(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """An image is named, since showing it would fetch it."""
    words = renderer.renderInlineAsText(tokens[at].children, options, env)
    return f"[{escape(words or 'image')}: {escape(str(tokens[at].attrGet('src') or ''))}]"


def _parser(paper: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    parser.add_render_rule("image", _image)
    parser.validateLink = lambda url: url.strip().lower().startswith(_OPENED)  # type: ignore[method-assign]
    parser.core.ruler.push("direction", partial(_direct, paper))
    if paper:
        parser.add_render_rule("blockquote_open", _paper_quote)
        parser.add_render_rule("blockquote_close", _paper_quote)
        parser.add_render_rule("table_open", lambda *_: '<table class="data">\n')
        for name in ("fence", "code_block"):
            parser.add_render_rule(name, _paper_fence)
        for name in ("th_open", "td_open"):
            parser.add_render_rule(name, _paper_cell)
    return parser


_ON_SCREEN: Final = _Dress(_parser(paper=False), _STYLE + _SCREEN, ("", ""), ("", ""))
_ON_PAPER: Final = _Dress(_parser(paper=True), _STYLE + _PAPER, _boxed(COLORS["bubble"]), _ruled())


def to_html(tree: ConversationTree, *, paper: bool = False) -> str:
    """The page of the shown path; on white for `paper`."""
    colors = COLORS | {"page": "#FFFFFF"} if paper else COLORS
    title = escape(" ".join(tree.conversation.title.split()))
    dress = _ON_PAPER if paper else _ON_SCREEN
    parts = [f'<h1 dir="auto">{title}</h1>']
    if prompt := tree.conversation.system_prompt.strip():
        parts.append(f'<p class="who">System prompt</p>\n{_around(dress.aside, _said("system", prompt, paper))}')
    parts += [_section(message, dress, paper) for message in tree.path()]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{dress.style.format_map(colors)}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _around(pair: tuple[str, str], markup: str) -> str:
    return f"{pair[0]}{markup}{pair[1]}"


def _said(kind: str, text: str, paper: bool) -> str:
    """Text as it was typed; each of its paragraphs has its own direction on paper, and in a browser by its style."""
    if not paper:
        return f'<div class="{kind}" dir="auto">{escape(text)}</div>'
    lines = [
        f'<div class="{kind}"{" dir=rtl" if is_right_to_left(line) else ""}>{escape(line) or "&nbsp;"}</div>'
        for line in text.split("\n")
    ]
    return "".join(lines)


def _section(message: Message, dress: _Dress, paper: bool) -> str:
    """One message under the name of who wrote it."""
    who = "You" if message.role == "user" else " ".join((message.model or "Assistant").split())
    parts = [f'<p class="who">{escape(who)}</p>']
    text = _plain(message.text)
    if message.role == "user":
        parts.append(_around(dress.user, _said("user", text.strip("\n"), paper)))
    else:
        lead = text.lstrip()
        if lead.startswith(REASONING_START):
            thought, _end, text = lead.removeprefix(REASONING_START).partition(REASONING_END)
            if thought.strip():
                told = f'<div class="thought">{dress.parser.render(thought.strip())}</div>'
                parts.append(_around(dress.aside, told))
        parts.append(f'<div class="assistant">{dress.parser.render(text)}</div>')
    if message.error:
        parts.append(f'<p class="note error">{escape(_plain(message.error))}</p>')
    elif message.finish_reason in _ENDINGS:
        parts.append(f'<p class="note">{_ENDINGS[message.finish_reason]}</p>')
    return "\n".join(parts)


def coloured(code: str, language: str) -> str:
    """Escaped code with a colour for each of its kinds, as in the window."""
    lexer: Any = lexer_for(language)
    if lexer is None or len(code) > CODE_MAX or max(map(len, code.split("\n"))) > _LINE_MAX:
        return escape(code)
    parts = []
    for _at, kind, value in lexer.get_tokens_unprocessed(code):
        role = role_of(kind)
        words = escape(value)
        parts.append(f'<span style="color:{COLORS[role]}">{words}</span>' if role else words)
    return "".join(parts)


def _plain(text: str) -> str:
    """The text without characters that HTML cannot hold."""
    return "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text.replace("\r\n", "\n").replace("\r", "\n"))
