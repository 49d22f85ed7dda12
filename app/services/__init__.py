"""What the window and the headless commands share: the engine's client, the chats, the model list. QtCore only."""
