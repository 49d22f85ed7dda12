"""A model that does not fit, or whose GPU fails: what is said, and what one click does."""

from pathlib import Path

import pytest

from app.core.load_options import LoadOptions
from app.gui.memory_trouble import CPU_THIS_TIME
from app.gui.notices import Notice
from app.protocol.answers import Failed, Hello
from app.protocol.parts import Device, Offer
from app.protocol.requests import LoadModel
from app.services.engine_process import EngineDeath
from tests.unit.gui.model_fakes import GIB, HALF_KV, SMALLER, FakeEstimator, plan_of
from tests.unit.gui.person import Person

BIG = Path("/models/big.gguf")
OUT_OF_MEMORY = EngineDeath(6, True, ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer",))
GPU_LOST = EngineDeath(6, True, ("ggml_vulkan: vk::Queue::submit: ErrorDeviceLost",))
GPU_FULL = EngineDeath(6, True, ("allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory",))
GPU = Device(name="Vulkan0", description="Radeon RX 6600", kind="gpu", free_bytes=7 * GIB, total_bytes=8 * GIB)


class Troubled:
    """A person whose model does not fit."""

    def __init__(self, person: Person) -> None:
        self.person, self.window = person, person.window
        self.kept = self.window.workspace.model_settings
        self.opened: list[Path | None] = []
        self.window.model.settings_requested.connect(self.opened.append)

    @property
    def estimator(self) -> FakeEstimator:
        return FakeEstimator.made[-1]

    def has_gpu(self) -> None:
        hello = self.window.workspace.engine.hello
        assert hello is not None
        fields = {name: getattr(hello, name) for name in Hello.__struct_fields__}
        self.person.engine.answered.emit(Hello(**(fields | {"devices": (GPU,)})))

    def load(self, path: Path = BIG) -> LoadModel:
        self.window.model.load(path)
        return self.asked

    def refuse(self, *offers: Offer, kind: str = "too_large", sentence: str = "It needs 40 GiB; 16 are free.") -> None:
        self.person.engine.say(Failed(id=self.asked.id, kind=kind, sentence=sentence, offers=offers))

    @property
    def asked(self) -> LoadModel:
        """What the engine was asked to load last."""
        load: LoadModel = self.person.engine.asked(LoadModel)[-1]
        return load

    @property
    def notice(self) -> Notice:
        return self.window.notices.notices()[-1]

    @property
    def buttons(self) -> list[str]:
        return [words for words, _ in self.notice.actions]

    def click(self, words: str) -> None:
        number = self.buttons.index(words)
        self.window.notices.buttons[number].click()


@pytest.fixture
def troubled(person: Person) -> Troubled:
    """A person with no model loaded yet."""
    return Troubled(person)


# --- a load that is refused -------------------------------------------------------------------------------------------


def test_what_would_fit_is_offered_and_one_click_keeps_it_and_loads_with_it(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(SMALLER, HALF_KV, Offer(label="Both", options=LoadOptions(context=1024, kv_type="q8_0")))
    assert troubled.notice.text == "“big.gguf” could not be loaded. It needs 40 GiB; 16 are free."
    assert troubled.buttons == [SMALLER.label, HALF_KV.label, "Settings…"]
    assert len(troubled.window.notices.notices()) == 1
    loads = len(troubled.person.engine.asked(LoadModel))
    troubled.click(HALF_KV.label)
    assert troubled.kept.options(BIG) == HALF_KV.options
    assert len(troubled.person.engine.asked(LoadModel)) == loads + 1
    assert troubled.asked.path == str(BIG)
    assert troubled.person.notices == []


def test_the_settings_of_that_model_are_a_click_away(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(SMALLER)
    troubled.click("Settings…")
    assert troubled.opened == [BIG]
    dialog = troubled.window.model_settings.dialog
    assert dialog is not None and dialog.windowTitle() == "Settings of big"
    dialog.reject()


def test_where_the_engine_has_no_offer_the_estimate_is_asked_for_less(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(kind="out_of_memory", sentence="There is not enough memory for big.gguf.")
    assert troubled.buttons == ["Settings…"]
    troubled.estimator.answer(plan_of(LoadOptions(), context=8192))
    assert troubled.buttons[:2] == ["Use a context of 4,096 tokens", "Keep the chat's memory (KV) at half the size"]
    assert "big was to take 220 MiB with a context of 8,192 tokens." in troubled.notice.text
    assert troubled.estimator.is_closed


def test_what_cannot_fit_at_all_is_said_once_and_nothing_is_offered_that_would_not_do(troubled: Troubled) -> None:
    before = len(FakeEstimator.made)
    troubled.load()
    troubled.refuse()
    assert troubled.notice.text == "“big.gguf” could not be loaded. It needs 40 GiB; 16 are free."
    assert troubled.buttons == ["Settings…"]
    assert len(FakeEstimator.made) == before


def test_an_answer_that_comes_after_the_notice_was_dismissed_brings_it_not_back(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(kind="out_of_memory")
    troubled.window.notices.close_button.click()
    troubled.estimator.answer()
    assert troubled.person.notices == []


def test_an_estimate_that_fails_leaves_the_notice_as_it_is(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(kind="out_of_memory")
    before = troubled.notice.text
    troubled.estimator.answer(Failed(id=1, kind="engine_died", sentence="It died too."))
    assert troubled.notice.text == before


def test_options_that_cannot_be_lead_to_the_settings(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(kind="bad_options", sentence="There is no GPU CUDA1; this build finds none.")
    assert troubled.buttons == ["Settings…"]
    assert FakeEstimator.made == []


def test_another_failure_is_told_as_ever(troubled: Troubled) -> None:
    troubled.load()
    troubled.refuse(kind="not_gguf", sentence="The file is not a GGUF model.")
    assert troubled.buttons == ["Open another file…"]
    assert FakeEstimator.made == []


# --- an engine that dies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("death", [OUT_OF_MEMORY, EngineDeath(9, True, ())])
def test_an_engine_that_dies_while_loading_for_want_of_memory_offers_less(
    troubled: Troubled, death: EngineDeath
) -> None:
    troubled.load()
    troubled.person.engine.die(death)
    assert death.sentence in troubled.notice.text
    troubled.estimator.answer(
        plan_of(LoadOptions(), verdict="does_not_fit", sentence="It does not fit.", offers=(SMALLER,))
    )
    assert troubled.buttons == [SMALLER.label, "Settings…"]
    assert "It does not fit." in troubled.notice.text
    troubled.person.restart()
    troubled.click(SMALLER.label)
    assert troubled.asked.path == str(BIG)
    assert troubled.kept.options(BIG) == SMALLER.options


def test_an_engine_that_dies_of_a_turn_offers_less_while_it_starts_again(troubled: Troubled) -> None:
    person = troubled.person
    person.load()
    person.send("Hello")
    person.engine.die(OUT_OF_MEMORY)
    assert len(troubled.window.notices.notices()) == 1
    assert troubled.notice.text == "The engine starts again by itself; your chats are kept.", "the reply says the rest"
    troubled.estimator.answer()
    person.restart()
    person.engine.finish_load()
    assert troubled.buttons[0] == "Use a context of 1,024 tokens", "the offer outlasts the restart"
    troubled.click(troubled.buttons[0])
    assert troubled.kept.options(Path("/models/a.gguf")) == LoadOptions(context=1024)


def test_the_second_time_within_a_minute_it_is_not_loaded_again_by_itself(troubled: Troubled) -> None:
    person = troubled.person
    person.load()
    person.engine.die(OUT_OF_MEMORY)
    person.restart()
    person.engine.finish_load()
    person.engine.die(OUT_OF_MEMORY)
    assert "a is not loaded again by itself" in troubled.notice.text
    person.restart()
    assert person.engine.asked(LoadModel) == []


def test_a_turn_for_which_there_is_no_memory_offers_less(troubled: Troubled) -> None:
    person = troubled.person
    person.load()
    person.send("Hello")
    person.fail("out_of_memory", "There is not enough memory for a context of 4,096 tokens.")
    troubled.estimator.answer()
    assert troubled.notice.text.startswith("a was to take"), "the reply says the rest"
    assert troubled.buttons[0] == "Use a context of 1,024 tokens"


def test_a_crash_that_has_nothing_to_do_with_memory_offers_nothing(troubled: Troubled) -> None:
    troubled.person.load()
    troubled.person.engine.die(EngineDeath(11, True, ()))
    assert troubled.buttons == []
    assert FakeEstimator.made == []


# --- a GPU that fails -------------------------------------------------------------------------------------------------


def test_a_gpu_that_fails_offers_the_cpu_and_never_goes_there_by_itself(troubled: Troubled) -> None:
    troubled.has_gpu()
    troubled.person.load(gpu_layers=9)
    troubled.person.engine.die(GPU_LOST)
    assert troubled.buttons == [CPU_THIS_TIME, "Settings…"]
    troubled.person.restart()
    assert troubled.asked.options.gpu_layers is None, "it is tried as it was chosen"


def test_the_cpu_this_time_is_to_be_seen_and_is_not_kept(troubled: Troubled) -> None:
    troubled.has_gpu()
    troubled.load()
    troubled.person.engine.die(GPU_FULL)
    troubled.person.restart()
    assert troubled.buttons[0] == CPU_THIS_TIME
    troubled.click(CPU_THIS_TIME)
    assert troubled.asked.options == LoadOptions(gpu_layers=0)
    assert troubled.kept.options(BIG) == LoadOptions()
    troubled.person.engine.finish_load()
    assert troubled.notice.text == "big runs on the CPU this time. The next load tries the GPU again."
    assert troubled.notice.timeout_ms is None
    troubled.click("Try the GPU again")
    assert troubled.asked.options.gpu_layers is None


def test_a_gpu_without_room_offers_fewer_layers_too(troubled: Troubled) -> None:
    troubled.has_gpu()
    troubled.load()
    troubled.person.engine.die(GPU_FULL)
    troubled.estimator.answer(plan_of(LoadOptions(), gpu_layers=31))
    assert troubled.buttons == [CPU_THIS_TIME, "Put 15 of 31 layers on the GPU", "Settings…"]


def test_a_refusal_that_names_the_gpu_offers_the_cpu(troubled: Troubled) -> None:
    troubled.has_gpu()
    troubled.load()
    troubled.refuse(kind="damaged", sentence="llama.cpp says: unable to allocate Vulkan0 buffer.")
    assert troubled.buttons == [CPU_THIS_TIME, "Settings…"]


def test_without_a_gpu_the_cpu_is_no_way_out(troubled: Troubled) -> None:
    troubled.load()
    troubled.person.engine.die(GPU_FULL)
    assert CPU_THIS_TIME not in troubled.buttons
