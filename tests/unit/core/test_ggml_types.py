"""Our table of tensor types against the one that the format's own Python package carries."""

import gguf

from app.core.ggml_types import FILE_TYPES, GGML_TYPES, TYPE_BY_NAME


def test_block_and_type_sizes_agree_with_the_gguf_package() -> None:
    theirs = {kind.value: (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    ours = {number: (kind.name, kind.block_size, kind.type_size) for number, kind in GGML_TYPES.items()}
    assert {number: ours[number] for number in theirs} == theirs


def test_names_of_file_types_agree_with_the_gguf_package() -> None:
    prefix = ("ALL_", "MOSTLY_")
    for kind in gguf.LlamaFileType:
        if kind is not gguf.LlamaFileType.GUESSED:
            name = next(kind.name.removeprefix(part) for part in prefix if kind.name.startswith(part))
            assert FILE_TYPES[kind.value] == name.removesuffix("_MOE")


def test_a_started_block_counts_as_a_whole_one() -> None:
    assert TYPE_BY_NAME["q8_0"].row_bytes(64) == 68
    assert TYPE_BY_NAME["q8_0"].row_bytes(65) == 102
    assert TYPE_BY_NAME["f16"].row_bytes(3) == 6
