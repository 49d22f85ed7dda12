"""How the files of a repository become what a person chooses among."""

import pytest

from app.core.hub_files import HubFile, choose, preferred, quantisation_of, variants


def file(path: str, size: int = 10) -> HubFile:
    """A file of a repository."""
    return HubFile(path, size, "0" * 64)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen_Qwen3-4B-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-1.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("model-IQ2_XXS.gguf", "IQ2_XXS"),
        ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("tiny.f16.gguf", "F16"),
        ("Q8_0/m-00001-of-00002.gguf", "Q8_0"),
        ("plain.gguf", ""),
    ],
)
def test_a_files_name_tells_its_quantisation(path: str, label: str) -> None:
    assert quantisation_of(path) == label


def test_parts_are_one_choice_and_other_files_none() -> None:
    offered = variants(
        [
            file("m-Q8_0-00002-of-00002.gguf", 30),
            file("m-Q8_0-00001-of-00002.gguf", 40),
            file("m-Q4_K_M.gguf", 20),
            file("mmproj-m-f16.gguf"),
            file("README.md"),
        ]
    )
    assert [(variant.label, variant.size) for variant in offered] == [("Q4_K_M", 20), ("Q8_0", 70)]
    assert [each.path for each in offered[1].files] == ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"]


def test_a_set_with_a_missing_part_is_not_offered() -> None:
    assert variants([file("m-00001-of-00003.gguf"), file("m-00003-of-00003.gguf")]) == ()


def test_files_of_the_same_quantisation_are_told_apart_by_name() -> None:
    offered = variants([file("a-Q4_0.gguf", 1), file("b-Q4_0.gguf", 2)])
    assert [variant.label for variant in offered] == ["a-Q4_0.gguf", "b-Q4_0.gguf"]


def test_a_choice_is_meant_by_quantisation_or_file() -> None:
    offered = variants([file("gguf/m-Q4_K_M.gguf"), file("gguf/m-Q8_0.gguf")])
    for wanted in ("q8_0", "m-Q8_0.gguf", "gguf/m-Q8_0.gguf"):
        assert choose(offered, wanted) == offered[1]
    assert choose(offered, "Q2_K") is None


def test_without_a_wish_a_good_quantisation_for_its_size_is_taken() -> None:
    several = variants([file("m-Q8_0.gguf", 3), file("m-Q4_K_M.gguf", 2), file("m-Q2_K.gguf", 1)])
    chosen = preferred(several)
    assert chosen is not None and chosen.label == "Q4_K_M"
    assert preferred(variants([file("m-Q2_K.gguf")])) is not None
    assert preferred(variants([file("m-Q2_K.gguf"), file("m-Q3_K_S.gguf")])) is None
