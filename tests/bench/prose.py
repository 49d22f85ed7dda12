"""Words to measure with: plain sentences, and replies with lists, code and tables."""

from itertools import count

_SUBJECTS = ("A road", "The bridge", "An old map", "The harbour", "A narrow street", "The aqueduct", "A milestone")
_VERBS = ("was built", "was measured", "was repaired", "was drawn", "was forgotten", "was found again")
_PLACES = ("near the river", "above the town", "between two hills", "on firm ground", "beside the old wall")
_TIMES = ("in the spring", "after the flood", "before the harvest", "over many years", "within one summer")


def sentence(number: int) -> str:
    """A plain sentence; every number below 1,050 gives another one, and each carries its number."""
    subject, verb = _SUBJECTS[number % len(_SUBJECTS)], _VERBS[number // 7 % len(_VERBS)]
    place, when = _PLACES[number // 3 % len(_PLACES)], _TIMES[number // 5 % len(_TIMES)]
    return f"{subject} {verb} {place} {when}, says note {number}."


def text_of(characters: int, start: int = 0) -> str:
    """Plain sentences of about that many characters."""
    sentences: list[str] = []
    length = 0
    for number in count(start):
        if length >= characters:
            break
        sentences.append(sentence(number))
        length += len(sentences[-1]) + 1
    return " ".join(sentences)


def question(number: int) -> str:
    """What a person might ask."""
    return f"{sentence(number)} Can you tell me more about that, and why it matters?"


def reply(number: int) -> str:
    """A reply of about 600 characters in Markdown; every fourth has a list, every tenth code, every 50th a table."""
    parts = [f"{sentence(number)} {sentence(number + 1)} **This one matters:** {sentence(number + 2)}"]
    if number % 4 == 0:
        parts.append("\n".join(f"{i + 1}. *{_SUBJECTS[i]}* {_VERBS[i]} {_PLACES[i]}" for i in range(4)))
    if number % 10 == 0:
        body = "\n".join(f"    total += lengths[{i}]  # {_PLACES[i % 5]}" for i in range(6))
        parts.append(f"```python\ndef whole_length(lengths):\n    total = 0\n{body}\n    return total\n```")
    if number % 50 == 0:
        parts.append("\n".join(["| layer | cm |", "|---|---|", *(f"| layer {i} | {10 * i} |" for i in range(1, 5))]))
    parts.append(f"{sentence(number + 3)} {sentence(number + 4)} {sentence(number + 5)}")
    return "\n\n".join(parts)
