"""Markdown's tables: a heading in bold, a line under each row, nothing else drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QTextBlockFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextTable,
    QTextTableCellFormat,
    QTextTableFormat,
)

from app.gui.transcript import layout
from app.gui.transcript.inline_writer import has_code, write_inline
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.styles import Place
from app.gui.transcript.writer import Writer

CELLS_MAX: Final = 2_000
COLUMNS_MAX: Final = 40
_ALIGN: Final = {
    "text-align:right": Qt.AlignmentFlag.AlignRight,
    "text-align:center": Qt.AlignmentFlag.AlignHCenter,
}


@dataclass(frozen=True, slots=True)
class _Cell:
    words: Token
    align: Qt.AlignmentFlag
    heading: bool


def write_table(writer: Writer, tokens: Sequence[Token], place: Place) -> None:
    """Write a table's tokens at `place`; one with too many cells becomes lines of words."""
    rows = _rows(tokens)
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        return
    if columns > COLUMNS_MAX or len(rows) * columns > CELLS_MAX:
        lines = (" | ".join(cell.words.content for cell in row) for row in rows)
        writer.lines("\n".join(lines), replace(place, kind=Kind.BODY))
        return
    writer.block(place)
    table = writer.cursor.insertTable(len(rows), columns, _table_format(writer, place))
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            _write_cell(writer, table, at, column, cell)
    writer.leave(table)


def _rows(tokens: Sequence[Token]) -> list[list[_Cell]]:
    rows: list[list[_Cell]] = []
    align, heading = Qt.AlignmentFlag.AlignLeft, False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            heading = token.type == "th_open"
            align = _ALIGN.get(str(token.attrs.get("style", "")), Qt.AlignmentFlag.AlignLeft)
        elif token.type == "inline" and rows:
            rows[-1].append(_Cell(token, align, heading))
    return rows


def _table_format(writer: Writer, place: Place) -> QTextTableFormat:
    form = QTextTableFormat()
    form.setProperty(layout.KIND, int(FrameKind.OTHER))
    form.setBorder(0)
    form.setBorderCollapse(True)
    form.setCellSpacing(0)
    form.setCellPadding(0)
    form.setLeftMargin(place.indent * layout.INDENT)
    form.setHeaderRowCount(1)
    if place.quotes:
        form.setProperty(layout.QUOTES, place.quotes)
    return form


def _write_cell(writer: Writer, table: QTextTable, row: int, column: int, cell: _Cell) -> None:
    target = table.cellAt(row, column)
    form = QTextTableCellFormat()
    form.setTopPadding(6)
    form.setBottomPadding(6)
    form.setLeftPadding(0 if column == 0 else 12)
    form.setRightPadding(12)
    form.setBottomBorder(1)
    form.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    form.setBottomBorderBrush(writer.styles.color("text_faint" if cell.heading else "border"))
    target.setFormat(form)
    children = cell.words.children or []
    cursor: QTextCursor = target.firstCursorPosition()
    block = QTextBlockFormat(writer.styles.place(Place(Kind.CELL, code_inside=has_code(children))))
    block.setAlignment(cell.align)
    cursor.setBlockFormat(block)
    pen = Writer(cursor, writer.styles, writer.base)
    pen.fresh = False
    write_inline(pen, children, replace(writer.base, bold=cell.heading))
