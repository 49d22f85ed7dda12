"""What the window says of turns, in plain words."""

from typing import Any

from app.core.conversation import ConversationId, Message, MessageId
from app.core.turn import FinishReason, Reread, TokenCounts, TurnFigures, TurnSeconds
from app.gui import wording
from app.protocol.answers import Statistics
from app.protocol.parts import Device, DeviceMemory, ModelInfo

CPU = Device(name="CPU", description="Intel(R) Xeon(R)", kind="cpu", free_bytes=1, total_bytes=2)
GPU = Device(name="CUDA0", description="NVIDIA H100", kind="gpu", free_bytes=1, total_bytes=2)
OTHER = Device(name="CUDA1", description="NVIDIA H100", kind="gpu", free_bytes=1, total_bytes=2)


def reply(text: str, finish: FinishReason, error: str | None = None) -> Message:
    return Message(MessageId("m"), ConversationId("c"), None, "assistant", text, finish_reason=finish, error=error)


def test_the_line_under_a_reply_says_what_was_reused_and_read() -> None:
    figures = TurnFigures(
        TokenCounts(prompt=3911, reused_memory=3000, reused_saved=895, evaluated=16, generated=50),
        TurnSeconds(first_token=0.31, total=2.0),
        tokens_per_second=41.2,
    )
    assert wording.figures_line(figures) == "reused 3,895 · read 16 · first word 0.3 s · 41 tok/s"


def test_a_first_turn_has_nothing_reused_to_tell() -> None:
    assert wording.figures_line(TurnFigures(TokenCounts(prompt=12, evaluated=12))) == "read 12"


def test_the_figures_are_told_in_sentences_with_what_was_kept_where() -> None:
    figures = TurnFigures(
        TokenCounts(prompt=3911, reused_memory=3000, reused_saved=895, evaluated=16, generated=50),
        TurnSeconds(restore=0.21, prefill=0.12, first_token=0.31, total=2.0),
    )
    assert wording.figures_detail(figures).split("\n") == [
        "Of 3,911 tokens, 3,000 were still in memory, 895 came from saved state in 0.2 s and 16 were read in 0.1 s.",
        "The reply has 50 new tokens in 2.0 s altogether.",
    ]
    assert wording.figures_detail(TurnFigures(TokenCounts(prompt=12, evaluated=12))) == "All 12 tokens were read."


def test_one_token_is_told_as_one() -> None:
    figures = TurnFigures(TokenCounts(prompt=43, reused_memory=42, evaluated=1, generated=1))
    assert wording.figures_detail(figures).split("\n") == [
        "Of 43 tokens, 42 were still in memory and 1 was read.",
        "The reply has 1 new token.",
    ]


def test_reading_again_is_explained() -> None:
    figures = TurnFigures(TokenCounts(prompt=90, evaluated=90), reread=Reread(0, "The cache was cleared."))
    assert wording.reread_notice(figures) == "Read 90 tokens of this chat: The cache was cleared."
    assert wording.reread_notice(TurnFigures()) == ""


def test_how_a_reply_ended_is_said_only_where_it_did_not_end_by_itself() -> None:
    assert wording.reply_notice(reply("Yes.", "stop")) == ("", False)
    assert wording.reply_notice(reply("Ye", "cancelled")) == ("Stopped.", False)
    assert wording.reply_notice(reply("", "cancelled")) == ("Stopped before the first word.", False)
    assert wording.reply_notice(reply("Ye", "failed", "The engine crashed.")) == ("The engine crashed.", True)


def model(gpu_layers: int) -> ModelInfo:
    """A model of 30 layers and the output, some of them on a GPU."""
    numbers: dict[str, Any] = dict.fromkeys(("parameters", "file_bytes", "context_trained", "context"), 1)
    words: dict[str, Any] = dict.fromkeys(("path", "name", "architecture", "description", "tokenizer_key"), "x")
    return ModelInfo(memory_mode="full", gpu_layers=gpu_layers, layers=30, kv_bytes_per_token=1, **numbers, **words)


def taken(*devices: str) -> Statistics:
    """What an engine says of a model that has weights on these devices."""
    figures: dict[str, Any] = dict.fromkeys(
        ("rss", "ram_total", "ram_available", "context_used", "context_size", "saved_bytes", "saved_budget"), 0
    )
    return Statistics(
        id=1,
        devices=(GPU, OTHER, CPU),
        memory=tuple(DeviceMemory(device=name, weights=1) for name in devices),
        live_conversation=None,
        busy=False,
        saved_generation=0,
        **figures,
    )


def test_where_the_model_runs_is_the_gpus_own_name() -> None:
    assert wording.place_of(model(31), taken("CPU", "CUDA0")) == "on NVIDIA H100"
    assert wording.place_of(model(12), taken("CPU", "CUDA0")) == "12 of 30 layers on NVIDIA H100"
    assert wording.place_of(model(31), taken("CPU", "CUDA0", "CUDA1")) == "on 2 GPUs"
    assert wording.place_of(model(31), None) == "on the GPU"
    assert wording.place_of(model(0), taken("CPU")) == "on the CPU"
