"""What is kept of conversations: the SQLite database, session archives and Markdown; no Qt."""
