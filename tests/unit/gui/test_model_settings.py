"""The settings of one model: what may be chosen, what it costs, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.core.load_options import LoadOptions
from app.gui.dialogs_model import ModelSettingsDialog
from app.gui.gauges import Gauge
from app.gui.live_costs import OPTIONS
from app.gui.measured_box import NOT_MEASURED, OTHER
from app.gui.model_fields import UNKNOWN
from app.gui.model_settings_control import WRITING
from app.protocol.answers import Calibrated, CalibrationProgress, Failed, Hello, Statistics
from app.protocol.parts import Device
from app.protocol.requests import Calibrate, Cancel, GetStatistics, LoadModel
from tests.unit.gui.model_fakes import CALIBRATION, GIB, FakeEstimator, plan_of
from tests.unit.gui.person import Person
from tests.unit.gui.test_saved_window import Saving
from tests.unit.services.fakes import FakeProcess

PATH = Path("/models/a.gguf")
GPU = Device(name="CUDA0", description="RTX 4070", kind="gpu", free_bytes=9 * GIB, total_bytes=12 * GIB)
SECOND = Device(name="CUDA1", description="RTX 3060", kind="gpu", free_bytes=9 * GIB, total_bytes=12 * GIB)


def tell_statistics(engine: FakeProcess) -> None:
    """Answer how things are: nothing is in memory."""
    engine.say(
        Statistics(
            id=engine.asked(GetStatistics)[-1].id,
            rss=0,
            ram_total=24 * GIB,
            ram_available=20 * GIB,
            devices=(),
            memory=(),
            context_used=0,
            context_size=4096,
            live_conversation=None,
            saved_bytes=0,
            saved_budget=0,
            saved_generation=1,
            busy=False,
        )
    )


class Choosing:
    """A person at the page."""

    def __init__(self, person: Person) -> None:
        self.person, self.window = person, person.window
        self.kept = self.window.workspace.model_settings
        self.control = self.window.model_settings

    @property
    def asks(self) -> FakeEstimator:
        return FakeEstimator.made[-1]

    @property
    def dialog(self) -> ModelSettingsDialog:
        assert self.control.dialog is not None
        return self.control.dialog

    def open(self) -> ModelSettingsDialog:
        """Open it from the pill's menu and wait for its first estimate."""
        pill = self.window.header.pill
        pill.menu().aboutToShow.emit()
        next(action for action in pill.menu().actions() if action.text().startswith("Settings of")).trigger()
        self.estimate()
        return self.dialog

    def estimate(self, questions: int = 1) -> None:
        """Answer what is asked next."""
        for _ in range(questions):
            self.person.qtbot.waitUntil(lambda: self.asks.is_asked)
            self.asks.answer()

    def has_gpus(self, *gpus: Device) -> None:
        engine = self.person.engine
        hello = self.window.workspace.engine.hello
        assert hello is not None
        fields = {name: getattr(hello, name) for name in Hello.__struct_fields__}
        engine.answered.emit(Hello(**(fields | {"devices": gpus})))


@pytest.fixture
def choosing(talking: Person) -> Iterator[Choosing]:
    """A person with a model loaded."""
    made = Choosing(talking)
    yield made
    if made.control.dialog is not None:
        made.control.dialog.reject()


def shown(dialog: ModelSettingsDialog) -> set[str]:
    """The options that can be chosen."""
    dialog.advanced_button.setChecked(True)
    fields: dict[str, QWidget] = {name: getattr(dialog, name) for name in OPTIONS}
    return {name for name, field in fields.items() if field.isVisibleTo(dialog)}


# --- what can be chosen -----------------------------------------------------------------------------------------------


def test_without_a_gpu_nothing_is_shown_that_needs_one(choosing: Choosing) -> None:
    dialog = choosing.open()
    assert shown(dialog) == {"context", "kv_type", "flash_attention", "threads", "batch", "use_mmap"}


def test_with_one_gpu_its_layers_can_be_chosen_and_with_two_which(choosing: Choosing) -> None:
    choosing.has_gpus(GPU)
    dialog = choosing.open()
    assert {"gpu_layers", "kv_on_gpu"} <= shown(dialog)
    assert "devices" not in shown(dialog)
    dialog.reject()
    choosing.has_gpus(GPU, SECOND)
    dialog = choosing.open()
    assert "devices" in shown(dialog)
    dialog.devices._switches["CUDA1"].click()
    assert dialog.options().devices == ("CUDA0",)
    dialog.devices._switches["CUDA0"].click()
    assert dialog.options().devices == ("CUDA0",), "the last one stays"


def test_gpus_that_are_gone_are_not_asked_for_again(choosing: Choosing) -> None:
    choosing.kept.set_options(PATH, LoadOptions(gpu_layers=9, devices=("CUDA1",)))
    dialog = choosing.open()
    assert dialog.options() == LoadOptions(gpu_layers=9)
    dialog.to_automatic.click()
    assert dialog.options() == LoadOptions()


def test_the_window_can_be_kept_in_full_only_where_there_is_one(person: Person) -> None:
    person.load(memory_mode="window")
    choosing = Choosing(person)
    dialog = choosing.open()
    assert "window_in_full" in shown(dialog)
    dialog.reject()


def test_what_is_automatic_shows_what_that_comes_to(choosing: Choosing) -> None:
    dialog = choosing.open()
    assert dialog.context.automatic.isChecked()
    assert dialog.context.spin.text() == "2,048"
    assert dialog.threads.spin.text() == UNKNOWN
    assert dialog.flash_attention.combo.currentText() == "Automatic"
    assert dialog.options() == LoadOptions()


def test_the_context_goes_up_to_what_the_model_was_trained_for(choosing: Choosing) -> None:
    dialog = choosing.open()
    assert dialog.context.slider is not None
    dialog.context.slider.setValue(dialog.context.slider.maximum())
    assert dialog.options().context == 4096
    assert not dialog.context.automatic.isChecked()
    assert "trained for 4,096 tokens" in dialog.context.hint.text()


def test_a_number_that_is_typed_is_taken_when_it_is_whole(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.threads.spin.setFocus()
    dialog.threads.spin.selectAll()
    choosing.person.qtbot.keyClicks(dialog.threads.spin, "12")
    choosing.person.qtbot.keyClick(dialog.threads.spin, Qt.Key.Key_Tab)
    assert dialog.options().threads == 12
    dialog.threads.automatic.click()
    assert dialog.options().threads is None


def test_back_to_automatic_takes_every_choice_back(choosing: Choosing) -> None:
    choosing.kept.set_options(PATH, LoadOptions(context=2048, kv_type="q8_0", threads=1, use_mmap=False))
    dialog = choosing.open()
    assert dialog.advanced.isVisibleTo(dialog), "what was chosen there is to be seen"
    dialog.to_automatic.click()
    assert dialog.options() == LoadOptions()
    assert not dialog.to_automatic.isEnabled()


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_each_changed_field_says_what_it_costs(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.context.spin.setValue(4096)
    dialog.kv_type.combo.setCurrentIndex(1)
    choosing.estimate(3)  # the choice, and it with either as it was
    assert dialog.context.cost.text() == "+24 MiB"
    assert dialog.kv_type.cost.text() == "−48 MiB"
    assert dialog.threads.cost.text() == ""
    dialog.context.automatic.click()
    dialog.kv_type.combo.setCurrentIndex(0)
    assert dialog.context.cost.text() == dialog.kv_type.cost.text() == ""


def test_the_card_shows_what_it_takes_on_each_device(choosing: Choosing) -> None:
    dialog = choosing.open()
    assert dialog.card.verdict.text() == "It fits."
    (block,) = dialog.card._blocks
    assert block.gauge.reading().figures[0] == "220 MiB of 16 GiB free"
    assert "48&nbsp;MiB" in block.figures.text()


def test_many_changes_in_a_moment_are_one_question(choosing: Choosing) -> None:
    dialog = choosing.open()
    for context in (1024, 2048, 3072):
        dialog.context.spin.setValue(context)
    choosing.estimate()
    assert [options.context for options in choosing.asks.questions] == [None, 3072]


def test_a_choice_that_takes_its_time_says_so_and_one_that_cannot_be_estimated_why(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.context.spin.setValue(1024)
    choosing.person.qtbot.waitUntil(lambda: dialog.card.working.isVisibleTo(dialog))
    choosing.asks.answer(Failed(id=1, kind="damaged", sentence="The file is damaged."))
    assert not dialog.card.working.isVisibleTo(dialog)
    assert dialog.card.verdict.text() == "The file is damaged."
    assert not dialog.card._blocks[0].gauge.isVisibleTo(dialog)
    assert dialog.save.isEnabled(), "an estimate never stands in the way"


def test_an_estimate_that_was_lost_with_its_engine_is_asked_for_again(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.context.spin.setValue(1024)
    choosing.person.qtbot.waitUntil(lambda: choosing.asks.is_asked)
    choosing.asks.answer(Failed(id=1, kind="engine_died", sentence="The engine ended."))
    assert dialog.card.verdict.text() == "The engine ended."
    for context in (1280, 1024):
        dialog.context.spin.setValue(context)
        choosing.estimate()
    assert dialog.card.verdict.text() == "It fits."


def test_what_does_not_fit_says_by_how_much(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.context.spin.setValue(1_000)
    choosing.person.qtbot.waitUntil(lambda: choosing.asks.is_asked)
    plan = plan_of(LoadOptions(context=1 << 20), verdict="does_not_fit", sentence="It does not fit.")
    choosing.asks.answer(plan)
    (block,) = dialog.card._blocks
    assert block.over.text() == "8.3 GiB more than is free."


# --- what becomes of it -----------------------------------------------------------------------------------------------


def test_saving_keeps_the_choice_and_loads_the_model_again(choosing: Choosing) -> None:
    dialog = choosing.open()
    assert dialog.save.text() == "Save and load again"
    dialog.context.spin.setValue(1024)
    loads = len(choosing.person.engine.asked(LoadModel))
    dialog.save.click()
    assert choosing.kept.options(PATH) == LoadOptions(context=1024)
    assert len(choosing.person.engine.asked(LoadModel)) == loads + 1
    assert choosing.control.dialog is None
    assert choosing.asks.is_closed


def test_cancelling_and_saving_without_a_change_do_nothing(choosing: Choosing) -> None:
    loads = len(choosing.person.engine.asked(LoadModel))
    dialog = choosing.open()
    dialog.context.spin.setValue(1024)
    dialog.cancel.click()
    choosing.open().save.click()
    assert choosing.kept.options(PATH) == LoadOptions()
    assert len(choosing.person.engine.asked(LoadModel)) == loads


def test_while_a_reply_is_written_a_change_waits_for_its_end(choosing: Choosing) -> None:
    dialog = choosing.open()
    choosing.person.send("Hello")
    assert dialog.save.isEnabled(), "nothing is changed yet"
    dialog.context.spin.setValue(1024)
    assert dialog.refusal.text() == WRITING
    assert not dialog.save.isEnabled()
    choosing.person.fail("cancelled", "Cancelled.")
    assert dialog.save.isEnabled()
    assert dialog.refusal.text() == ""


def test_a_smaller_kv_without_flash_attention_is_refused_with_the_reason(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.flash_attention.set_value("off")
    dialog.kv_type.combo.setCurrentIndex(1)
    assert "need flash attention" in dialog.refusal.text()
    assert not dialog.save.isEnabled()
    dialog.flash_attention.combo.setCurrentIndex(1)
    assert dialog.save.isEnabled()


def test_a_model_that_is_not_loaded_is_only_kept_in_mind(choosing: Choosing) -> None:
    other = Path("/models/big.gguf")
    choosing.window.model.settings_requested.emit(other)
    choosing.estimate()
    dialog = choosing.dialog
    assert dialog.save.text() == "Save"
    assert "trained for 8,192 tokens" in dialog.context.hint.text(), "from the estimate"
    dialog.context.spin.setValue(512)
    loads = len(choosing.person.engine.asked(LoadModel))
    dialog.save.click()
    assert choosing.kept.options(other) == LoadOptions(context=512)
    assert len(choosing.person.engine.asked(LoadModel)) == loads


def test_without_a_model_there_are_no_settings(person: Person) -> None:
    choosing = Choosing(person)
    choosing.control.open()
    assert choosing.control.dialog is None
    assert person.notices == ["Choose a model first; then its settings can be opened."]


def test_the_wheel_over_a_field_changes_nothing(choosing: Choosing) -> None:
    dialog = choosing.open()
    dialog.kv_type.combo.clearFocus()
    assert dialog.focusWidget() is not dialog.kv_type.combo
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(dialog.kv_type.combo, event)
    assert dialog.options().kv_type == "f16"


@pytest.mark.parametrize("width", [420, 900])
def test_every_field_keeps_its_width_in_any_window(choosing: Choosing, width: int) -> None:
    dialog = choosing.open()
    dialog.advanced_button.setChecked(True)
    dialog.resize(width, 700)
    choosing.person.qtbot.waitExposed(dialog)
    for name in OPTIONS:
        field = getattr(dialog, name)
        if field.isVisible():
            right = field.mapTo(dialog, field.rect().topRight()).x()
            assert field.minimumSizeHint().width() <= field.width(), name
            assert right <= width


# --- measuring --------------------------------------------------------------------------------------------------------


@pytest.fixture
def measuring(person: Person, tmp_path: Path) -> Iterator[Choosing]:
    """A person with a model that is a file, at the open page."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"weights")
    person.load(str(path))
    made = Choosing(person)
    made.open().advanced_button.setChecked(True)
    yield made
    if made.control.dialog is not None:
        made.control.dialog.reject()


def begin(choosing: Choosing) -> Calibrate:
    """Ask for a measurement; what the engine is asked to do."""
    engine = choosing.person.engine
    looks = len(engine.asked(GetStatistics))
    choosing.dialog.measured.measure.click()
    choosing.person.qtbot.waitUntil(lambda: len(engine.asked(GetStatistics)) > looks)
    tell_statistics(engine)
    asked: Calibrate = engine.asked(Calibrate)[-1]
    return asked


def test_only_what_the_model_is_loaded_with_can_be_measured(measuring: Choosing) -> None:
    dialog = measuring.dialog
    assert dialog.measured.measure.isEnabled()
    dialog.kv_type.combo.setCurrentIndex(1)
    measuring.estimate()
    assert dialog.measured.sentence.text() == OTHER
    assert not dialog.measured.measure.isEnabled()
    dialog.kv_type.combo.setCurrentIndex(0)
    measuring.person.qtbot.waitUntil(dialog.measured.measure.isEnabled)
    assert dialog.measured.sentence.text() == NOT_MEASURED


def test_what_is_measured_is_shown_with_every_trial(measuring: Choosing) -> None:
    box = measuring.dialog.measured
    assert box.sentence.text() == NOT_MEASURED
    assert box.measure.text() == "Measure now"
    asked = begin(measuring)
    measuring.person.engine.say(CalibrationProgress(id=asked.id, done=1, total=4))
    assert (box.progress.value(), box.progress.maximum()) == (1, 4)
    measuring.person.engine.say(Calibrated(id=asked.id, calibration=CALIBRATION))
    assert box.measure.isVisible() and not box.progress.isVisible()
    assert "flash attention off, 2 threads and 256 tokens at a time" in box.sentence.text()
    assert "<b>110</b>" in box.trials.text() and "262" in box.trials.text()
    assert measuring.dialog.threads.spin.text() == "2"
    combo = measuring.dialog.flash_attention.combo
    assert combo.currentText() == "Automatic (measured: off)"
    measuring.person.qtbot.waitUntil(lambda: combo.width() >= combo.sizeHint().width())
    assert combo.sizeHint().width() > combo.fontMetrics().horizontalAdvance(combo.currentText())


def test_measuring_can_be_stopped(measuring: Choosing) -> None:
    asked = begin(measuring)
    measuring.dialog.measured.stop.click()
    assert measuring.person.engine.asked(Cancel)[-1].request == asked.id
    measuring.person.engine.say(Failed(id=asked.id, kind="cancelled", sentence="It was stopped."))
    assert measuring.dialog.measured.outcome.text() == "It was stopped."
    assert measuring.dialog.measured.measure.isEnabled()


def test_an_engine_that_ends_while_it_measures_is_told_on_the_page(measuring: Choosing) -> None:
    begin(measuring)
    box = measuring.dialog.measured
    assert box.is_measuring
    measuring.person.engine.die()
    assert not box.is_measuring
    assert box.outcome.text()


def test_while_a_reply_is_written_measuring_is_refused(measuring: Choosing) -> None:
    measuring.person.send("Hello")
    measuring.dialog.measured.measure.click()
    assert "A reply is being written" in measuring.dialog.measured.outcome.text()
    measuring.person.fail("cancelled", "Cancelled.")


def test_a_model_that_is_not_loaded_cannot_be_measured(choosing: Choosing) -> None:
    choosing.window.model.settings_requested.emit(Path("/models/big.gguf"))
    choosing.estimate()
    assert not choosing.dialog.measured.measure.isEnabled()


# --- saved state ------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(talking: Person) -> Iterator[Choosing]:
    """A person with 100 MiB saved of this model's chats, at the open page."""
    Saving(talking)
    made = Choosing(talking)
    made.open()
    yield made
    if made.control.dialog is not None:
        made.control.dialog.reject()


def test_what_keeps_saved_state_from_being_used_is_told_with_its_size(saved: Choosing) -> None:
    dialog = saved.dialog
    assert dialog.note.text() == ""
    dialog.kv_type.combo.setCurrentIndex(1)
    assert dialog.note.text().startswith("The 100 MiB that are saved of this model's chats belong to")
    dialog.kv_type.combo.setCurrentIndex(0)
    dialog.context.spin.setValue(1024)
    assert dialog.note.text() == "", "a context's length changes nothing of what is saved"
    dialog.flash_attention.combo.setCurrentIndex(1)
    assert "100 MiB" in dialog.note.text()


def test_only_with_the_persons_word_a_measurement_makes_saved_state_useless(saved: Choosing) -> None:
    box = saved.dialog.measured
    saved.dialog.advanced_button.setChecked(True)
    assert box.layout_may_change.isVisible()
    assert "100 MiB" in box.layout_hint.text()
    assert not box.may_change_layout
    box.layout_may_change.click()
    assert box.may_change_layout


def test_in_a_narrow_window_an_estimate_that_arrives_is_seen_as_a_whole(choosing: Choosing) -> None:
    pill = choosing.window.header.pill
    pill.menu().aboutToShow.emit()
    next(action for action in pill.menu().actions() if action.text().startswith("Settings of")).trigger()
    dialog = choosing.dialog
    dialog.resize(480, 700)
    before = dialog.card.visibleRegion().boundingRect().height()
    choosing.estimate()
    gauge = dialog.card.findChildren(Gauge)[0]
    choosing.person.qtbot.waitUntil(lambda: gauge.visibleRegion().boundingRect() == gauge.rect())
    assert dialog.card.visibleRegion().boundingRect().height() > before
