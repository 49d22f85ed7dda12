"""What is seen of a conversation as one HTML page: no scripts, nothing from elsewhere, everything escaped."""

from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
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
.user {{ background: {bubble}; border-radius: 12px; padding: 10px 16px; white-space: pre-wrap; }}
.system, .thought, .note {{ color: {text_soft}; }}
.system {{ white-space: pre-wrap; }}
.system, .thought {{ border-left: 3px solid {border}; padding-left: 16px; }}
.error {{ color: {danger}; }}
pre {{ background: {code}; border: 1px solid {border}; border-radius: 8px; padding: 12px 16px; overflow-x: auto; }}
pre, code {{ font-family: monospace; font-size: 14px; }}
:not(pre) > code {{ background: {code}; padding: .1em .3em; border-radius: 4px; }}
blockquote {{ border-left: 3px solid {border}; margin-left: 0; padding-left: 16px; color: {text_soft}; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid {border}; padding: 5px 10px; text-align: left; }}
a {{ color: {link}; }}
"""


def _fence(renderer: RendererHTML, tokens: list[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    token = tokens[at]
    language = token.info.split()[0].lower() if token.info.strip() else ""
    code = coloured(token.content.removesuffix("\n"), language)
    return f"<pre><code>{code}</code></pre>\n"


def _image(renderer: RendererHTML, tokens: list[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """An image is named, since showing it would fetch it."""
    words = renderer.renderInlineAsText(tokens[at].children, options, env)
    return f"[{escape(words or 'image')}: {escape(str(tokens[at].attrGet('src') or ''))}]"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    parser.add_render_rule("image", _image)
    parser.validateLink = lambda url: url.strip().lower().startswith(_OPENED)  # type: ignore[method-assign]
    return parser


_PARSER: Final = _parser()


def to_html(tree: ConversationTree, *, paper: bool = False) -> str:
    """The page of the shown path; on white for `paper`."""
    colors = COLORS | {"page": "#FFFFFF"} if paper else COLORS
    title = escape(" ".join(tree.conversation.title.split()))
    parts = [f"<h1>{title}</h1>"]
    if tree.conversation.system_prompt.strip():
        words = escape(tree.conversation.system_prompt.strip())
        parts.append(f'<p class="who">System prompt</p>\n<div class="system">{words}</div>')
    parts += map(_section, tree.path())
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE.format_map(colors)}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(message: Message) -> str:
    """One message under the name of who wrote it."""
    who = "You" if message.role == "user" else " ".join((message.model or "Assistant").split())
    parts = [f'<p class="who">{escape(who)}</p>']
    text = _plain(message.text)
    if message.role == "user":
        parts.append(f'<div class="user" dir="auto">{escape(text)}</div>')
    else:
        lead = text.lstrip()
        if lead.startswith(REASONING_START):
            thought, _end, text = lead.removeprefix(REASONING_START).partition(REASONING_END)
            if thought.strip():
                parts.append(f'<div class="thought">{_PARSER.render(thought.strip())}</div>')
        parts.append(f'<div class="assistant" dir="auto">{_PARSER.render(text)}</div>')
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
