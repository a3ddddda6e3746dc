"""Labels of any length and in any letters: what a figure shows of them is readable and inside of it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from gptexp.records import SampleRecord
from gptexp.report import png_letters
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing, Layout
from gptexp.report.figures.end_labels import spread
from gptexp.report.figures.lettering import fit_label, measure, wrap_label
from gptexp.report.figures.lr_sweep import lr_sweep
from gptexp.report.make import build_exhibit
from gptexp.report.png_letters import draw_all_letters
from gptexp.report.svg import drawing_style, render_png, render_svg
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.report.every_exhibit import make_contents
from tests.report.lesson_runs import untrained
from tests.report.synthetic import Run, write_runs

LABELS = [
    "学习率预热与余弦衰减的组合 0.1",
    "🚀 rocket 👩\u200d👩\u200d👧\u200d👦 family",
    "W" * 300,
    "a label that goes on " * 20 + "END",
    "$x^2$ \\frac{a}{b}\nnew line\ttab",
    "שלום עולם",
    "safe\u202eevil \x1b[31m \x00 \ufffe",
    "snake_case_" * 20,
    "",
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StudyRuns]:
    """A ladder whose arms have these labels (one diverged, an outlier, samples), and untrained models."""
    folder = tmp_path_factory.mktemp("labels")
    common = {"max_steps": 60, "eval_interval": 20, "outlier_at": 0.5}
    runs = [
        Run(f"arm{place}", label, 1, {**common, "lr": 1e-3 * (place + 1)}, 3 + 0.1 * place, study="labels")
        for place, label in enumerate(LABELS)
    ]
    runs[1].diverge_at = 40
    for run in runs:
        run.samples = [SampleRecord(step, "interval", None, 3.0, "A", "A" + LABELS[0] * 9) for step in (20, 60)]
    blank = untrained(1)
    for run, label in zip(blank, LABELS, strict=False):
        run.label = label
    write_runs(folder, [*runs, *blank])
    return select_studies(load_frames(folder))


def draw_everything(studies: list[StudyRuns]) -> Iterator[Drawing]:
    """Every figure of a report that has data, and the one of a sweep."""
    names = set()
    for study in studies:
        for part in make_contents(study).values():
            if isinstance(part, Drawing):
                names.add(part.name)
                yield part
    assert names >= {"loss-curves", "final-val-loss", "gradient-norm", "lr-schedules", "lr-ladder", "clip-spike"}
    assert names >= {"norm-distribution", "initial-loss", "pinned-samples", "scissors", "schedule-explained"}
    rows = [[n, f"r{n}", "completed", 1e-3 * (n % 2 + 1), label, 3.0 + n] for n, label in enumerate(LABELS * 2)]
    trials = pd.DataFrame(rows, columns=["trial", "run_id", "outcome", "lr", "series", "value"])
    drawing = lr_sweep(trials, LABELS[3], LABELS[0])
    assert drawing is not None
    yield drawing


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_figure_holds_every_label(studies: list[StudyRuns], layout: Layout) -> None:
    """Each figure is drawn, and none of its texts reaches beyond it, as SVG and as PNG."""
    for drawing in draw_everything(studies):
        with drawing_style():
            figure = drawing.draw(layout)
            assert "<svg" in render_svg(figure, prefix="p", title=drawing.title, description=drawing.description)
            assert find_cut(figure) == [], drawing.name
            assert render_png(figure).startswith(b"\x89PNG")


def find_cut(figure: Figure) -> list[str]:
    """Texts that leave their figure. Not numbers: matplotlib keeps some beyond an axis and doesn't draw them."""
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    cut = []
    for text in figure.findobj(match=Text):
        assert isinstance(text, Text)
        if text.get_visible() and re.search("[^-−0-9.,e]", text.get_text()):
            box = text.get_window_extent()
            if box.x0 < -2 or box.x1 > width + 2 or box.y0 < -2 or box.y1 > height + 2:
                cut.append(text.get_text())
    return cut


def test_no_png_has_boxes(studies: list[StudyRuns]) -> None:
    """Where no font has a letter, a number stands for it, and below it what it is and why."""
    for drawing in draw_everything(studies):
        with drawing_style():
            figure = drawing.draw(WIDE)
            notes = draw_all_letters(figure)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                figure.canvas.draw()
        texts = " ".join(text.get_text() for text in figure.findobj(match=Text) if isinstance(text, Text))
        numbers = set(re.findall(r"#\d+", texts))
        assert numbers == {note.split(":")[0] for note in notes[:-1]}
        if notes:
            assert notes[-1].startswith("Numbered are letters that no font here can draw")
            assert any("U+" in note for note in notes)


def test_the_picture_says_what_its_numbers_are() -> None:
    """A rocket is called one; text around it stays; the same letters have the same number, broken over lines or not."""
    figure = Figure()
    with drawing_style():
        figure.text(0.1, 0.1, "🚀\ufe0f up")
        figure.text(0.1, 0.2, "学习")
        figure.text(0.1, 0.3, "学\n习")
        notes = draw_all_letters(figure)
    assert [text.get_text() for text in figure.texts] == ["#1 up", "#2", "#2"]
    assert notes[:2] == ["#1: U+1F680 rocket", "#2: U+5B66, U+4E60"]


@pytest.fixture
def other_font(tmp_path: Path) -> Iterator[str]:
    """The name of an installed font that has 学 and nothing else."""
    pen = TTGlyphPen(None)
    for corner, draw in enumerate((pen.moveTo, pen.lineTo, pen.lineTo)):
        draw((500 * (corner % 2), 500 * (corner // 2)))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "learn"])
    builder.setupCharacterMap({ord("学"): "learn"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "learn": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "learn": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Learner Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "learner.ttf")
    fontManager.addfont(tmp_path / "learner.ttf")
    png_letters.find_font.cache_clear()
    yield "Learner Sans"
    fontManager.ttflist = [font for font in fontManager.ttflist if font.name != "Learner Sans"]
    png_letters.find_font.cache_clear()


def test_other_fonts_help_out(other_font: str) -> None:
    """A letter that some font of the machine has is drawn in it, beside the usual one; others are numbered."""
    figure = Figure()
    with drawing_style():
        label = figure.text(0.1, 0.1, "a学b")
        figure.text(0.1, 0.2, "学习")
        notes = draw_all_letters(figure)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.canvas.draw()
    assert label.get_text() == "a学b"
    assert label.get_fontfamily()[-1] == other_font
    assert notes[0] == "#1: U+4E60"


def test_the_svg_keeps_the_letters(studies: list[StudyRuns]) -> None:
    """The reader's browser has fonts of its own: the SVG of an exhibit has the text itself, the alt text in full."""
    (study,) = (one for one in studies if one.name == "labels")
    part = make_contents(study, "final-val-loss")["final-val-loss"]
    exhibit = build_exhibit("x", part)
    files = {file.path: str(file.content) for file in exhibit.files}
    assert LABELS[0] in files["figures/x.svg"]
    assert "🚀" in files["figures/x-narrow.svg"]
    assert LABELS[0] in exhibit.body
    assert "W" * 300 in files["figures/x.txt"]
    assert LABELS[3] in files["figures/x.txt"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("width", [60.0, 150.0, 400.0])
def test_what_is_shown_fits(label: str, width: float) -> None:
    """One line, or up to three: never wider than asked, and both ends of a label are kept."""
    assert measure(fit_label(label, width)) <= width
    assert "\n" not in fit_label(label, width)
    lines = wrap_label(label, int(width / 6.6))
    assert 1 <= len(lines) <= 3
    assert all(measure(line) <= width * 1.13 for line in lines)
    if label.endswith("END") and width > 100:
        assert fit_label(label, width).endswith("END")
        assert lines[-1].endswith("END")


def test_ordinary_labels_stay_whole() -> None:
    """A label of a few words is shown as it is, broken between words."""
    assert wrap_label("warmup + cosine", 24) == ["warmup + cosine"]
    assert wrap_label("constant rate with clipping at 1.0", 24) == ["constant rate with", "clipping at 1.0"]
    assert fit_label("constant 6e-4", 400) == "constant 6e-4"


def test_names_stay_inside_the_figure() -> None:
    """Where lines end at the lower edge, their names move up, not out."""
    centres = spread([0.0, 0.0, 0.01, 1.0], [0.2] * 4, -0.1, 1.05)
    assert centres == pytest.approx([0.0, 0.2, 0.4, 0.95])
