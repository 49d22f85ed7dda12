"""kill -9 while a reply is being written: the database opens, and every commit that was reported is there."""

from contextlib import closing
from pathlib import Path

import pytest

from app.core.conversation import ConversationId, MessageId
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.support.killed import lines_of_killed

WRITER = """
import sys
from pathlib import Path
from app.core.conversation import Conversation, ConversationId, Message, MessageId
from app.storage.conversations import ConversationStore
from app.storage.database import Database

folder = Path(sys.argv[1])
store = ConversationStore(Database.open(folder / "ember.db", folder / "backups"))
chat, reply = ConversationId("c" * 32), MessageId("d" * 32)
store.create(Conversation(chat))
store.add_message(Message(reply, chat, None, "assistant", ""))
text = ""
while True:
    text += f"{len(text)} and on and on, so that a reply fills many pages; "
    store.update_reply(reply, text=text)
    print(len(text), flush=True)
"""


@pytest.mark.parametrize("writes", [1, 60])
def test_the_last_partial_reply_survives(tmp_path: Path, writes: int) -> None:
    committed = int(lines_of_killed(WRITER, tmp_path, writes)[-1])
    with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups")) as database:
        assert database.notice is None
        store = ConversationStore(database)
        assert store.finish_interrupted() == 1
        reply = store.tree(ConversationId("c" * 32)).messages[MessageId("d" * 32)]
        assert len(reply.text) >= committed
        assert reply.text.startswith("0 and on and on") and reply.text.endswith("; ")
        assert reply.finish_reason == "failed"
