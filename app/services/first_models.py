"""A short list of good first models, by the memory of the computer; what exactly is downloaded, the hub says."""

from pathlib import Path

import msgspec

import app

LIST = Path(app.__file__).resolve().parent / "resources" / "first-models.json"


class FirstModel(msgspec.Struct, frozen=True):
    """One of the list."""

    memory_gib: int
    """For computers that have at least about so much."""
    name: str
    why: str
    """What it is good for, as a sentence."""
    repository: str
    file: str
    about_bytes: int
    """Its size as the hub's pages round it."""


def is_for(model: FirstModel, memory: int) -> bool:
    """Whether a computer with so many bytes of memory has what a model of the list is for.

    A sixteenth may lack: what a system reserves is missing from the memory that it tells of.
    """
    return model.memory_gib * 2**30 * 15 // 16 <= memory


def first_models() -> tuple[FirstModel, ...]:
    """The list, the smallest first."""
    return msgspec.json.decode(LIST.read_bytes(), type=tuple[FirstModel, ...])


def first_model_for(memory: int) -> FirstModel:
    """The largest of the list for a computer with so many bytes of memory; the smallest where none is for it."""
    fitting = [model for model in first_models() if is_for(model, memory)]
    return fitting[-1] if fitting else first_models()[0]
