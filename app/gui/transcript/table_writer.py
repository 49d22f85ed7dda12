"""Markdown's tables: a heading in bold, a line under each row, nothing else drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

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

if TYPE_CHECKING:
    from markdown_it.token import Token

CELLS_MAX: Final = 2_000
COLUMNS_MAX: Final = 40
_ALIGN: Final = {
    "text-align:right": Qt.AlignmentFlag.AlignRight,
    "text-align:center": Qt.AlignmentFlag.AlignHCenter,
}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell's words, as the parser gives them."""

    words: "Token"
    align: Qt.AlignmentFlag
    heading: bool


def write_table(writer: Writer, tokens: "Sequence[Token]", place: Place) -> None:
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
        _write_row(writer, table, at, row)
    writer.leave(table)


class OpenTable:
    """A table whose rows still arrive: each is written once."""

    def __init__(self, writer: Writer, tokens: "Sequence[Token]", place: Place) -> None:
        rows = _rows(tokens)
        self._writer = writer
        self._columns = max(map(len, rows))
        writer.block(place)
        form = _table_format(writer, place)
        self.table = writer.cursor.insertTable(len(rows), self._columns, form)
        for at, row in enumerate(rows):
            _write_row(writer, self.table, at, row)

    @property
    def is_full(self) -> bool:
        """Whether it has as many cells as a table may have."""
        return (self.table.rows() + 1) * self._columns > CELLS_MAX

    def add(self, tokens: "Sequence[Token]") -> int:
        """Write the rows of another table's tokens, but for its heading, below; how many there was room for."""
        room = CELLS_MAX // self._columns - self.table.rows()
        rows = _rows(tokens)[1:][: max(0, room)]
        if rows:
            first = self.table.rows()
            self.table.appendRows(len(rows))
            for at, row in enumerate(rows, start=first):
                _write_row(self._writer, self.table, at, row[: self._columns])
        return len(rows)

    def close(self) -> None:
        """Go on behind the table."""
        self._writer.leave(self.table)


def first_table(tokens: "Sequence[Token]") -> "Sequence[Token]":
    """The tokens of the table that these begin with; none for another beginning, or for too many columns."""
    if not tokens or tokens[0].type != "table_open":
        return ()
    end = next((at for at, token in enumerate(tokens) if token.type == "table_close"), -1)
    table = tokens[: end + 1]
    columns = max(map(len, _rows(table)), default=0)
    return table if 0 < columns <= COLUMNS_MAX else ()


def _rows(tokens: "Sequence[Token]") -> list[list[_Cell]]:
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
    form.setLeftMargin(place.indent * writer.styles.indent)
    form.setHeaderRowCount(1)
    if place.quotes:
        form.setProperty(layout.QUOTES, place.quotes)
    return form


def _write_row(writer: Writer, table: QTextTable, at: int, row: Sequence[_Cell]) -> None:
    for column, cell in enumerate(row):
        _write_cell(writer, table, at, column, cell)


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
