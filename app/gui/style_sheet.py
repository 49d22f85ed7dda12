"""The application's style sheet, built from a palette: everything that Fusion would draw as a box."""

from app.gui.palettes import Palette

_SHEET = """
QToolTip {{ background: {card}; color: {text}; border: 1px solid {border}; padding: 6px 8px; }}

QMenu {{ background: {card}; color: {text}; border: 1px solid {border}; padding: 4px; }}
QMenu[rounded="true"] {{ border-radius: 10px; }}
QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 6px; background: transparent; }}
QMenu::item:selected {{ background: {hover}; }}
QMenu::item:disabled {{ color: {text_faint}; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 4px 8px; }}
QMenu::icon {{ padding-left: 8px; }}
QMenu::indicator {{ image: none; width: 0; height: 0; }}

QPushButton {{ background: {card}; color: {text}; border: 1px solid {border}; border-radius: 10px;
    padding: 6px 12px; }}
QPushButton:hover {{ background: {hover}; }}
QPushButton:pressed {{ background: {border}; }}
QPushButton:focus {{ border: 2px solid {focus}; padding: 5px 11px; }}
QPushButton:disabled {{ color: {text_faint}; background: transparent; }}
QPushButton[kind="primary"] {{ background: {text}; color: {page}; border-color: {text}; }}
QPushButton[kind="primary"]:hover {{ background: {text_soft}; border-color: {text_soft}; }}
QPushButton[kind="primary"]:focus {{ border-color: {focus}; }}
QPushButton[kind="primary"]:disabled {{ background: {hover}; color: {text_faint}; border-color: {border}; }}
QPushButton[kind="quiet"] {{ background: transparent; color: {text_soft}; }}
QPushButton[kind="quiet"]:hover {{ background: {hover}; color: {text}; }}
QPushButton[kind="link"] {{ background: transparent; border-color: transparent; color: {link};
    padding: 4px 8px; }}
QPushButton[kind="link"]:hover {{ background: {hover}; }}
QPushButton[kind="link"]:focus {{ border: 2px solid {focus}; padding: 3px 7px; }}

QToolButton[kind="icon"] {{ background: transparent; border: 2px solid transparent; border-radius: 8px;
    padding: 0; }}
QToolButton[kind="icon"][words="true"] {{ padding: 0 2px 0 6px; color: {text}; }}
QToolButton[kind="icon"]:disabled {{ color: {text_faint}; }}
QToolButton[kind="icon"]:hover, QToolButton[kind="icon"]:open {{ background: {hover}; }}
QToolButton[kind="icon"]:pressed {{ background: {border}; }}
QToolButton[kind="icon"]:focus {{ border-color: {focus}; }}
QToolButton[kind="icon"]::menu-indicator {{ image: none; width: 0; }}

QLineEdit {{ background: {card}; color: {text}; border: 1px solid {border}; border-radius: 10px;
    padding: 6px 10px; selection-background-color: {selection}; selection-color: {text};
    placeholder-text-color: {text_faint}; }}
QLineEdit:focus {{ border: 2px solid {focus}; padding: 5px 9px; }}

QDialog QPlainTextEdit {{ background: {card}; color: {text}; border: 1px solid {border}; border-radius: 10px;
    padding: 4px 6px; selection-background-color: {selection}; selection-color: {text}; }}
QDialog QPlainTextEdit:focus {{ border: 2px solid {focus}; padding: 3px 5px; }}

QLineEdit[kind="in_place"] {{ padding: 5px 5px; }}
QLineEdit[kind="in_place"]:focus {{ padding: 4px 4px; }}

QComboBox {{ background: {card}; color: {text}; border: 1px solid {border}; border-radius: 10px; padding: 6px 10px; }}
QComboBox:focus {{ border: 2px solid {focus}; padding: 5px 9px; }}
QComboBox:disabled {{ color: {text_faint}; background: transparent; }}
QComboBox::drop-down {{ border: none; width: 18px; subcontrol-origin: border; right: 6px; }}
QComboBox::down-arrow {{ width: 9px; height: 5px; background: qconicalgradient(cx: 0.5, cy: 1, angle: 0,
    stop: 0.17 transparent, stop: 0.18 {text_soft}, stop: 0.32 {text_soft}, stop: 0.33 transparent); }}
QComboBox::down-arrow:disabled {{ background: qconicalgradient(cx: 0.5, cy: 1, angle: 0,
    stop: 0.17 transparent, stop: 0.18 {text_faint}, stop: 0.32 {text_faint}, stop: 0.33 transparent); }}

QCheckBox, QRadioButton {{ border: 2px solid transparent; border-radius: 6px; padding: 1px 4px 1px 2px; }}
QCheckBox:focus, QRadioButton:focus {{ border-color: {focus}; }}
QCheckBox::indicator:unchecked {{ border: 1px solid {text_faint}; border-radius: 3px; background: {card}; width: 12px;
    height: 12px; }}
QRadioButton::indicator {{ border: 1px solid {text_faint}; border-radius: 7px; background: {card}; width: 12px;
    height: 12px; }}
QRadioButton::indicator:checked {{ border-color: {text}; background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5,
    fx: 0.5, fy: 0.5, stop: 0 {text}, stop: 0.5 {text}, stop: 0.6 {card}, stop: 1 {card}); }}
QRadioButton::indicator:disabled {{ border-color: {border}; }}
QRadioButton::indicator:checked:disabled {{ background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5,
    fx: 0.5, fy: 0.5, stop: 0 {text_faint}, stop: 0.5 {text_faint}, stop: 0.6 {card}, stop: 1 {card}); }}
QAbstractSpinBox {{ background: {card}; color: {text}; border: 1px solid {border}; border-radius: 10px;
    padding: 1px 24px 1px 8px; }}
QAbstractSpinBox:focus {{ border: 2px solid {focus}; padding: 0 23px 0 7px; }}
QAbstractSpinBox:disabled {{ color: {text_faint}; background: transparent; }}
QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus {{ background: transparent; border: none;
    border-radius: 9px; padding: 0 2px 0 8px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ background: transparent; border: none; width: 24px;
    height: 15px; subcontrol-origin: border; right: 2px; }}
QAbstractSpinBox::up-button {{ subcontrol-position: top right; top: 1px; border-top-right-radius: 9px; }}
QAbstractSpinBox::down-button {{ subcontrol-position: bottom right; bottom: 1px; border-bottom-right-radius: 9px; }}
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover {{ background: {hover}; }}
QAbstractSpinBox::up-button:pressed, QAbstractSpinBox::down-button:pressed {{ background: {border}; }}
QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow {{ width: 9px; height: 5px; }}
QAbstractSpinBox::up-arrow {{ background: qconicalgradient(cx: 0.5, cy: 0, angle: 0,
    stop: 0.67 transparent, stop: 0.68 {text_soft}, stop: 0.82 {text_soft}, stop: 0.83 transparent); }}
QAbstractSpinBox::down-arrow {{ background: qconicalgradient(cx: 0.5, cy: 1, angle: 0,
    stop: 0.17 transparent, stop: 0.18 {text_soft}, stop: 0.32 {text_soft}, stop: 0.33 transparent); }}
QAbstractSpinBox::up-arrow:disabled, QAbstractSpinBox::up-arrow:off {{ background: qconicalgradient(cx: 0.5, cy: 0,
    angle: 0, stop: 0.67 transparent, stop: 0.68 {text_faint}, stop: 0.82 {text_faint}, stop: 0.83 transparent); }}
QAbstractSpinBox::down-arrow:disabled, QAbstractSpinBox::down-arrow:off {{ background: qconicalgradient(cx: 0.5, cy: 1,
    angle: 0, stop: 0.17 transparent, stop: 0.18 {text_faint}, stop: 0.32 {text_faint}, stop: 0.33 transparent); }}

QSlider {{ min-height: 24px; }}
QSlider::groove:horizontal {{ background: {track}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {kv_reserved}; height: 4px; border-radius: 2px; }}
QSlider::handle:horizontal {{ background: {text_soft}; border: 2px solid {window}; border-radius: 8px; width: 12px;
    margin: -6px 0; }}
QSlider::handle:horizontal:hover {{ background: {text}; }}
QSlider::handle:horizontal:focus {{ border-color: {focus}; }}
QSlider::handle:horizontal:disabled {{ background: {text_faint}; }}

QTabWidget::pane {{ border: none; }}
QTabBar::tab {{ background: transparent; color: {text_soft}; border: 2px solid transparent; padding: 4px 10px 6px; }}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {text}; }}
QTabBar::tab:focus {{ border-color: {focus}; border-radius: 6px; }}

QTableView {{ background: {card}; border: 1px solid {border}; border-radius: 10px; outline: none;
    selection-background-color: {selection}; selection-color: {text}; }}
QTableView:focus {{ border-color: {focus}; }}
QTableView::item {{ padding: 0 18px 0 8px; }}
QTableView::item:focus {{ border: 2px solid {focus}; border-radius: 6px; padding: 0 16px 0 6px; }}
QTableView::indicator:unchecked {{ border: 1px solid {text_faint}; border-radius: 3px; background: {card};
    width: 12px; height: 12px; }}
QHeaderView {{ background: transparent; border: none; }}
QHeaderView::section {{ background: transparent; color: {text_soft}; border: none;
    border-bottom: 1px solid {border}; padding: 6px 18px 6px 8px; }}
QAbstractScrollArea::corner {{ background: transparent; border: none; }}

QProgressBar {{ background: {track}; border: none; border-radius: 4px; min-height: 8px; max-height: 8px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 4px; }}

QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; border: none; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; border: none; }}
QScrollBar::handle {{ background: {border}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QListView QScrollBar:vertical, QPlainTextEdit QScrollBar:vertical {{ width: 8px; }}
QListView QScrollBar::handle, QPlainTextEdit QScrollBar::handle {{ border-radius: 2px; }}
QScrollBar::handle:hover {{ background: {text_faint}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; border: none; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QWidget[surface="page"] {{ background: {page}; }}
QWidget[surface="window"] {{ background: {window}; }}
QWidget[surface="sidebar"] {{ background: {sidebar}; }}
QLabel[tone="soft"] {{ color: {text_soft}; }}
QLabel[tone="faint"] {{ color: {text_faint}; }}
QLabel[tone="warning"] {{ color: {warning}; }}
QLabel[tone="danger"] {{ color: {danger}; }}
"""


def style_sheet(palette: Palette) -> str:
    """The style sheet in the colours of `palette`."""
    return _SHEET.format(**{name: getattr(palette, name) for name in Palette.__slots__})
