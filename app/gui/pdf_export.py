"""What is seen of a conversation as a PDF file: the page of the HTML export, laid out on paper."""

from dataclasses import replace

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QRectF, QSizeF, Qt, QUrl
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QColor,
    QFont,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextDocument,
)

from app.core.conversation import ConversationTree, Message, messages_by_id
from app.gui.transcript.clean_text import pieces, shown_part
from app.storage.html_page import COLORS, to_html

_DPI = 96
_MARGIN_MM = 18
_FOOT = 36
"""Pixels below the text in which a page's number stands."""
_NUMBER_POINTS = 8.0
_CUT = "(The rest of this message is too long to be shown; other formats hold all of it.)"


class _Paper(QTextDocument):
    """A document that fetches nothing, whatever its text names."""

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Nothing: no file and no address is opened for a conversation's text."""
        return QByteArray()


def to_pdf(tree: ConversationTree) -> bytes:
    """The shown path as A4 pages; needs a QGuiApplication, and may be called on any thread."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setTitle(tree.conversation.title)
    writer.setCreator("Ember")
    writer.setResolution(_DPI)
    margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    page = QPageSize(QPageSize.PageSizeId.A4)
    writer.setPageLayout(QPageLayout(page, QPageLayout.Orientation.Portrait, margins, QPageLayout.Unit.Millimeter))
    paper = _Paper()
    paper.documentLayout().setPaintDevice(writer)
    paper.setDocumentMargin(0)
    paper.setHtml(to_html(_shown(tree), paper=True))
    area = writer.pageLayout().paintRectPixels(_DPI)
    paper.setPageSize(QSizeF(area.width(), area.height()))
    _print(paper, writer, area.height())
    buffer.close()
    return bytes(buffer.data().data())


def _print(paper: QTextDocument, writer: QPdfWriter, height: int) -> None:
    """Draw the pages, each of `height` pixels, with their numbers below them where there are several."""
    pages, width = paper.pageCount(), paper.pageSize().width()
    context = QAbstractTextDocumentLayout.PaintContext()
    font = QFont(paper.defaultFont())
    font.setPointSizeF(_NUMBER_POINTS)
    painter = QPainter(writer)
    for page in range(pages):
        if page:
            writer.newPage()
        painter.save()
        painter.translate(0, -page * height)
        context.clip = QRectF(0, page * height, width, height)
        painter.setClipRect(context.clip.adjusted(0, 0, 0, -1))  # where the ground of the next page's first line begins
        paper.documentLayout().draw(painter, context)
        painter.restore()
        if pages > 1:
            painter.setFont(font)
            painter.setPen(QColor(COLORS["text_faint"]))
            place = QRectF(0, height, width, _FOOT)
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, f"{page + 1} / {pages}")
    painter.end()


def _shown(tree: ConversationTree) -> ConversationTree:
    """The tree with as much of each message as the window shows, and no line that could not be laid out."""
    return ConversationTree(tree.conversation, messages_by_id(map(_fit, tree.messages.values())))


def _fit(message: Message) -> Message:
    part, cut = shown_part(message.text)
    lines = "\n".join("\n".join(pieces(line)) for line in part.split("\n"))
    return replace(message, text=f"{lines}\n\n{_CUT}" if cut else lines)
