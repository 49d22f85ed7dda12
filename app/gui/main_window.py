"""The main window: its parts side by side, and what connects them."""

import logging
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QByteArray, QEvent, QObject, Qt, QTimer, QUrl
from PySide6.QtGui import QCloseEvent, QDesktopServices, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.core.conversation import Conversation, ConversationId
from app.core.errors import EmberError
from app.gui import theme, wording
from app.gui.backing_up import BackingUp
from app.gui.chat_list import ChatList
from app.gui.composer import Composer
from app.gui.conversations import Conversations
from app.gui.empty_state import EXAMPLES, EmptyState
from app.gui.exporting import Exporting
from app.gui.find_bar import FIND_KEYS, FindBar
from app.gui.first_steps import FirstSteps
from app.gui.folder_watch import FolderWatch
from app.gui.gauge_feed import GaugeFeed
from app.gui.gauges.strip import GaugeStrip
from app.gui.header import EXPORT_KEYS, RENAME_KEYS, Header
from app.gui.help_feed import HelpFeed
from app.gui.importing import Importing
from app.gui.library_control import LibraryControl
from app.gui.memory_trouble import MemoryTrouble
from app.gui.model_control import ModelControl
from app.gui.model_pill import LIBRARY_KEYS, SETTINGS_KEYS
from app.gui.model_settings_control import ModelSettingsControl
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.gui.progress_strip import ProgressStrip
from app.gui.reply_settings import ReplySettings
from app.gui.saved_feed import SavedFeed
from app.gui.saved_settings import SavedSettings
from app.gui.sidebar.panel import BACKUP_KEYS, HELP_KEYS, KEYS_KEYS, SAVED_KEYS, SEARCH_KEYS, WRITE_KEYS
from app.gui.sidebar.sidebar import Sidebar
from app.gui.text_size import TEXT_SIZE, TextSize
from app.gui.transcript.view import TranscriptView
from app.protocol.parts import ModelInfo
from app.services.estimator import Estimator
from app.services.window_requests import WindowRequests
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)

GEOMETRY = "window.geometry"
THEME = "window.theme"
COLLAPSE_BELOW = 860
"""Window width in pixels under which the conversation list gives its place to the text."""
MINIMUM_WIDTH, MINIMUM_HEIGHT = 480, 420


class MainWindow(QMainWindow):
    """Ember's one window."""

    def __init__(self, workspace: Workspace) -> None:
        """Build everything from what is stored; the engine is not waited for."""
        super().__init__()
        self.workspace = workspace
        self._warned = False
        self.setWindowTitle("Ember")
        self.setMinimumSize(MINIMUM_WIDTH, MINIMUM_HEIGHT)
        self.sidebar = Sidebar()
        self.header = Header()
        self.transcript = TranscriptView()
        self.find_bar = FindBar(self.transcript)
        self.empty = EmptyState()
        self.notices = NoticeBar()
        self.import_strip = ProgressStrip()
        self.export_strip = ProgressStrip()
        self.composer = Composer()
        self.strip = GaugeStrip()
        self._lay_out()
        self.chat = OpenChat(workspace, self.transcript, self.composer, self.notices, self)
        self.chat_list = ChatList(self.sidebar, workspace, self)
        self.conversations = Conversations(
            self.sidebar,
            self.header,
            self.transcript,
            self.composer,
            self.notices,
            self.chat,
            self.chat_list,
            workspace,
            self,
        )
        self.model = ModelControl(self.header, self.chat, self.notices, workspace, self)
        self.model_settings = ModelSettingsControl(self.notices, self.model, self._estimator, workspace, self)
        self.library = LibraryControl(self.header, self.notices, self.model, self._estimator, workspace, self)
        self.first_steps = FirstSteps(self.empty, self.model, self.library, workspace, self)
        self.memory_trouble = MemoryTrouble(self.chat, self.notices, self.model, self._estimator, workspace, self)
        self.gauges = GaugeFeed(self.strip, self.chat, self.notices, workspace, self)
        self.saved = SavedFeed(self.header, self.strip, self.chat, self.notices, workspace, self)
        self.settings = SavedSettings(self.notices, workspace, self)
        self.backing_up = BackingUp(self.notices, workspace, self)
        self.replies = ReplySettings(self.chat, self.notices, workspace, self)
        self.text_size = TextSize(self.transcript, self.composer, workspace, self)
        self.help = HelpFeed(self.chat, workspace, self)
        self.folder = FolderWatch(self.chat, self.notices, workspace, self)
        self.importing = Importing(
            self.import_strip,
            self.chat,
            self.notices,
            workspace,
            self.conversations.open,
            self.library.open,
            self.backing_up.restore,
            self,
        )
        self.exporting = Exporting(self.export_strip, self.notices, workspace, self)
        self.commands = WindowRequests(workspace, self)
        self._connect()
        self._shortcuts()
        self._restore()

    def _estimator(self, parent: QObject) -> Estimator:
        return Estimator(self.workspace.data_dir.logs, self.workspace.engine, parent)

    # --- building ----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._pages = QStackedWidget()
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self.transcript)
        right = QWidget()
        right.setProperty("surface", "page")  # while a notice goes nothing else shines through
        right.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.find_bar)
        column.addWidget(self._pages, 1)
        column.addWidget(self.notices)
        column.addWidget(self.import_strip)
        column.addWidget(self.export_strip)
        column.addWidget(self.composer)
        column.addWidget(self.strip)
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(right, 1)
        self.setCentralWidget(whole)

    def _connect(self) -> None:
        self.chat.opened.connect(self._opened)
        self.chat.content_changed.connect(self._show_page)
        self.sidebar.settled.connect(self.composer.focus_draft)
        self.sidebar.export_requested.connect(lambda id_: self.exporting.open(ConversationId(id_)))
        self.sidebar.export_all_requested.connect(self.exporting.open_all)
        self.sidebar.import_requested.connect(self.importing.choose)
        self.sidebar.focus_released.connect(self.composer.focus_draft)
        self.sidebar.theme_chosen.connect(lambda choice: self.workspace.settings.set(THEME, choice))
        self.sidebar.saved_settings.connect(self.settings.open)
        self.sidebar.backups_requested.connect(self.backing_up.open)
        self.sidebar.models_requested.connect(self.library.open)
        self.sidebar.help_requested.connect(self.help.open)
        self.sidebar.keys_requested.connect(self.show_keys)
        self.find_bar.closed.connect(self.composer.focus_draft)
        self.header.help_requested.connect(self.help.open)
        self.header.export_requested.connect(lambda: self.conversations.with_open(self.exporting.open))
        self.header.import_requested.connect(self.importing.choose)
        self.header.import_folder_requested.connect(self.importing.choose_folder)
        self.header.replies_requested.connect(self.replies.open)
        self.empty.example_chosen.connect(self._take_example)
        self.transcript.link_activated.connect(lambda address: QDesktopServices.openUrl(QUrl(address)))
        self.workspace.engine.model_changed.connect(self._show_empty_state)
        self.workspace.engine.load_progress.connect(lambda _fraction: self._show_empty_state())
        self.workspace.engine.load_failed.connect(lambda _kind, _sentence: self._show_empty_state())
        self.workspace.engine.state_changed.connect(lambda _state: self._show_empty_state())
        self.workspace.model_search.offline_changed.connect(lambda _is_offline: self._show_empty_state())
        self.workspace.instance.raise_requested.connect(self.come_to_front)
        self.commands.open_requested.connect(self.open_files)
        self.commands.imported.connect(self.importing.show_added)

    def _shortcuts(self) -> None:
        for keys, call in (
            (QKeySequence(QKeySequence.StandardKey.New), self.conversations.new),
            (QKeySequence(SEARCH_KEYS), self.sidebar.focus_search),
            (QKeySequence(FIND_KEYS), self._find),
            (QKeySequence(WRITE_KEYS), self.composer.focus_draft),
            (QKeySequence(SAVED_KEYS), self.settings.open),
            (QKeySequence(SETTINGS_KEYS), self.model_settings.open),
            (QKeySequence(BACKUP_KEYS), self.backing_up.open),
            (QKeySequence(LIBRARY_KEYS), self.library.open),
            (QKeySequence(HELP_KEYS), self.help.open),
            (QKeySequence(KEYS_KEYS), self.show_keys),
            (QKeySequence(RENAME_KEYS), self.conversations.rename_in_place),
            (QKeySequence(EXPORT_KEYS), lambda: self.conversations.with_open(self.exporting.open)),
            (QKeySequence(QKeySequence.StandardKey.Open), self.importing.choose),
            (QKeySequence(QKeySequence.StandardKey.Quit), self.close),
        ):
            QShortcut(keys, self).activated.connect(call)

    def _restore(self) -> None:
        """Show what was open, where it was."""
        settings = self.workspace.settings
        geometry = settings.get(GEOMETRY, str, "")
        if not (geometry and self.restoreGeometry(QByteArray.fromBase64(geometry.encode("ascii", "ignore")))):
            self.resize(1180, 760)
        self.conversations.open_last()
        self.model.load_at_start()  # before the first picture, which then shows what is coming
        self._show_empty_state()
        if self.workspace.notice is not None:
            self.notices.show_notice(Notice(self.workspace.notice, "warning", key="database"))

    # --- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Show the window, and only then start the engine and load the model."""
        self.show()
        QTimer.singleShot(0, self._start_engine)

    def _start_engine(self) -> None:
        if not self.isVisible():
            return  # closed before it began
        self.workspace.instance.listen()
        self.workspace.engine.start()
        self.library.offer_unfinished()
        self.composer.focus_draft()
        QTimer.singleShot(0, self.transcript.prepare)  # while the model is loaded

    def showEvent(self, event: QShowEvent) -> None:
        """Gauges are fed only while someone can see them."""
        super().showEvent(event)
        self.workspace.engine.watch_statistics(True)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Store the draft and the window's place; the engine ends with the workspace."""
        is_kept = self.chat.store_draft() and self.folder.check()
        if not is_kept and not self._warned:
            self._warned = True  # the notice says why; closing once more closes
            event.ignore()
            return
        settings = self.workspace.settings
        try:
            settings.set(GEOMETRY, bytes(self.saveGeometry().toBase64().data()).decode("ascii"))
        except EmberError as error:
            logger.error("the window's place was not stored: %s", error)
        self.workspace.engine.watch_statistics(False)
        self.chat_list.close()
        self.memory_trouble.close()
        self.model_settings.close()
        self.exporting.close()
        self.library.close()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Whoever comes back from elsewhere may have moved the data folder."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange:
            self.folder.check()

    def come_to_front(self) -> None:
        """A second start asks for this window."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def open_files(self, paths: Sequence[Path]) -> None:
        """A second start brings files."""
        self.come_to_front()
        self.importing.take(paths)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow window is for the text."""
        super().resizeEvent(event)
        self.sidebar.set_collapsed(self.width() < COLLAPSE_BELOW)

    # --- what is open -------------------------------------------------------------------------------------------------

    def show_keys(self) -> None:
        """Show the keys that this window knows."""
        from app.gui.dialogs_keys import KeysDialog  # a window that only starts does not need it

        KeysDialog(self).open()

    def _find(self) -> None:
        """Look for words in the chat, where there is one."""
        if self._pages.currentWidget() is self.transcript:
            self.find_bar.open()

    def _opened(self, conversation: Conversation | None) -> None:
        self.header.set_conversation(conversation.title if conversation is not None else None)
        self.sidebar.set_current(conversation.id if conversation is not None else None)
        self.find_bar.forget()
        self.setWindowTitle(f"{conversation.title} — Ember" if conversation is not None else "Ember")

    # --- the empty page ----------------------------------------------------------------------------------------------

    def _show_page(self, has_messages: bool) -> None:
        self._pages.setCurrentWidget(self.transcript if has_messages else self.empty)
        if not has_messages:
            self.find_bar.close_bar()

    def _show_empty_state(self, _model: ModelInfo | None = None) -> None:
        engine = self.workspace.engine
        self.empty.set_choices(())
        if engine.model is not None:
            name = wording.model_label(engine.model)
            self.empty.set_message(f"What would you like to ask {name}?", None)
            self.empty.set_examples(EXAMPLES)
        elif engine.is_loading:
            path = engine.loading_path
            name = wording.file_label(path) if path is not None else "The model"
            self.empty.set_message(f"{name} is being loaded.", None, "You can write already.")
            self.empty.set_examples(())
        else:
            self.first_steps.show()

    def _take_example(self, words: str) -> None:
        self.composer.set_draft(words)
        self.composer.focus_draft()


def prepare(workspace: Workspace) -> None:
    """Dress the application as the person chose, before a window is made."""
    chosen = workspace.settings.get(THEME, str, "system")
    theme.set_preference("light" if chosen == "light" else "dark" if chosen == "dark" else "system")
    theme.set_text_size(workspace.settings.get(TEXT_SIZE, int, 100))
