"""The set-up: .venv, the builds of the engine, the system's packages, and what pyproject.toml promises."""
