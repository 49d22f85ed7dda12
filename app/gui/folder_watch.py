"""Notices when the data folder is removed or moved away while the window is open."""

from PySide6.QtCore import QObject

from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.services.workspace import Workspace

FOLDER = "folder"
"""Key of the notice."""


class FolderWatch(QObject):
    """Looks whenever something was stored; SQLite itself goes on writing to a file that was removed."""

    def __init__(self, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QObject) -> None:
        """Look from now on."""
        super().__init__(parent)
        self._notices = notices
        self._workspace = workspace
        self._was_there = True
        workspace.store_changed.connect(self.check)
        chat.draft_stored.connect(self.check)

    def check(self) -> bool:
        """Whether the folder is there; says so once when it is not, and no longer once it is back."""
        is_there = self._workspace.is_in_its_folder
        if is_there and not self._was_there:
            self._notices.dismiss(FOLDER)
        elif self._was_there and not is_there:
            text = (
                f"Ember's folder “{self._workspace.data_dir.root}” was moved or removed. Your chats and words are "
                "still in this window, but what is new is lost when it closes. Put the folder back, or export the "
                "chats that you need and start Ember again."
            )
            self._notices.show_notice(Notice(text, "error", key=FOLDER))
        self._was_there = is_there
        return is_there
