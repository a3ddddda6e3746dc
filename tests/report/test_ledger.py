"""The ledger covers the lesson's document, and says of every claim what is needed to judge it."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest
import torch

from gptexp.claims.computed import COMPUTED
from gptexp.claims.ledger import Claim, Ledger, load_ledger
from gptexp.claims.lesson_model import NETWORK, TRAINING, find_differences
from gptexp.config import build_config
from gptexp.data.batches import load_tokens
from gptexp.data.corpus import TINYSHAKESPEARE_SHA256, load_corpus
from gptexp.measures.catalog import parse_measure, split_quantity
from gptexp.model.gpt import GPT
from gptexp.studies.locate import find_files
from gptexp.studies.scales import SCALES
from gptexp.studies.study import load_study
from tests.data.test_batches import REAL_TEXT
from tests.report.lesson_document import find_place, find_unaccounted, read_numerals

SLOTS = {"value", "other", "gap", "stated", "k", "without", "n", "seeds", "last_step"}


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return load_ledger("pretraining")


@pytest.fixture(scope="module")
def document(ledger: Ledger) -> str:
    return (find_files("reports/ledger")["pretraining"].parent / ledger.document).read_text(encoding="utf-8")


def test_every_numeral_of_the_document_is_a_claims_or_has_a_reason(document: str, ledger: Ledger) -> None:
    """All 414 numerals: each in a claim's quote that names it, or in the list of those that claim nothing."""
    assert len(read_numerals(document)) == 414
    assert [f"{numeral.text}: {numeral.context}" for numeral in find_unaccounted(document, ledger)] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Step 500 (loss ~4.0)", "Step 500 (loss ~4.2)"),
        ("1e-5 crawls to 4.3", "1e-5 crawls to 5.3"),
        ("The noise is normal", "The noise, about 0.3 nats, is normal"),
        ("train for a fixed number of steps.", "train for a fixed number of steps, about 12 epochs."),
        ("5 training examples from 6 tokens", "6 training examples from 6 tokens"),
    ],
)
def test_a_new_or_changed_numeral_is_found(document: str, ledger: Ledger, before: str, after: str) -> None:
    """A number planted in the text, or another one in the place of a claimed one, is in neither list."""
    assert before in document
    assert find_unaccounted(document.replace(before, after), ledger) != []


def test_every_quote_is_the_documents_own(document: str, ledger: Ledger) -> None:
    """Each quote stands word for word in the section that the ledger names, and each number in one of the quotes."""
    missing = [
        (claim.name, place.section, place.quote)
        for claim in ledger.claims
        for place in claim.places
        if not find_place(document, place)
    ]
    assert missing == []
    for claim in ledger.claims:
        said = {numeral.text for place in claim.places for numeral in read_numerals(place.quote)}
        assert set(claim.numbers) <= said, claim.name


def test_no_entry_of_the_list_is_idle(document: str, ledger: Ledger) -> None:
    """Every pattern of what is no claim matches a numeral, and has a reason: none waits for a number to hide."""
    for entry in ledger.not_claims:
        assert entry.reason
        found = [match[0] for match in re.finditer(entry.pattern, document, re.MULTILINE)]
        assert found, entry.pattern
        assert any(read_numerals(text) for text in found), entry.pattern


def test_there_are_enough_claims_under_different_names(ledger: Ledger) -> None:
    """More than the 25 that were asked for, each once."""
    names = [claim.name for claim in ledger.claims]
    assert len(names) >= 25
    assert len(set(names)) == len(names)


def test_every_claim_says_why_and_what_would_be_true(ledger: Ledger) -> None:
    """Each has its reason for predicate and tolerance; each that runs can refute, a sentence that would be true."""
    for claim in ledger.claims:
        assert claim.why, claim.name
        assert claim.says, claim.name
        slots = set(re.findall(r"\{(\w+)", claim.instead))
        assert slots <= SLOTS, claim.name
        if claim.study:
            assert slots, claim.name


def test_every_measured_claim_names_arms_that_exist(ledger: Ledger) -> None:
    """Studies, arms and fields are those of the study files and of the measures that there are."""
    for claim in ledger.claims:
        if not claim.study:
            continue
        arms = {arm.name for arm in load_study(claim.study).arms}
        if claim.other_is_computed:
            assert claim.other in COMPUTED, claim.name
        for quantity in (claim.quantity, "" if claim.other_is_computed else claim.other):
            for name, field in split_quantity(quantity):
                assert name in arms, claim.name
                assert parse_measure(field), claim.name


def test_the_arms_of_the_ledger_are_those_of_the_studies(ledger: Ledger) -> None:
    """Each arm of a study file, at the lesson's scale, is what the ledger says it is, so that its runs may judge."""
    for name, arms in ledger.arms.items():
        study = load_study(name)
        for arm in study.arms:
            if arm.name not in arms:
                continue
            config = study.config(arm, SCALES["lesson"], 1, {})
            decays = config.schedule not in ("constant", "warmup-constant")
            resolved = {
                "warmup_steps": 0 if config.schedule == "constant" else config.resolved_warmup_steps,
                "min_lr": config.resolved_min_lr if decays else config.lr,
                "vocab_size": config.vocab_size or 50_257,
                "precision": "fp32",
            }
            row = {**config.model_dump(), **resolved, "corpus_checksum": TINYSHAKESPEARE_SHA256}
            runs = pd.DataFrame([row], dtype=object)
            assert find_differences([(runs, arms[arm.name])], config.max_steps).every == (), (name, arm.name)


def test_every_arm_of_a_measured_claim_is_described(ledger: Ledger) -> None:
    """No claim takes an arm by its name alone, and each of its ways and readings names arms that exist."""
    for claim in ledger.claims:
        for reading in (one for way in claim.read_in_ways for one in way.readings if claim.study):
            known = {arm.name for arm in load_study(reading.study).arms}
            for arm in reading.named_arms:
                assert arm in known, claim.name
                assert arm in ledger.arms[reading.study], claim.name
        assert all(way.instead for way in claim.ways)


def test_what_the_lesson_is_has_its_reason() -> None:
    """Every field that a run is held against says why, by the document, nanoGPT or PyTorch."""
    for one in (*NETWORK, *TRAINING):
        assert len(one.why) >= 10, one.field
        assert one.field in str(one) or one.field == "corpus_checksum"


def test_what_nothing_measures_is_said_to_be_so(ledger: Ledger) -> None:
    """A claim without quantity has no study either, and its reason says why."""

    def is_open(claim: Claim) -> bool:
        return not claim.quantity

    for claim in filter(is_open, ledger.claims):
        assert not claim.study
        assert len(claim.why) > 40


def test_no_verdict_stands_on_what_was_memorised(ledger: Ledger) -> None:
    """After 136 passes over the text the final val loss shows which run memorised least. Claims that compare arms at
    the end of training go by the train loss or the best val loss first."""
    for claim in ledger.claims:
        measures = {field for quantity in (claim.quantity, claim.other) for _, field in split_quantity(quantity)}
        assert not (claim.max_steps and measures == {"final_val_loss"}), claim.name


def test_what_a_spike_costs_is_a_difference_of_differences(ledger: Ledger) -> None:
    """Clipping changes a run without a spike, too: each arm is held against itself without the spike."""
    for way in ledger.find("clipping-saves-a-run").read_in_ways:
        for quantity, arm in ((way.quantity, "clip"), (way.other, "no-clip")):
            (spiked, one), (plain, other) = split_quantity(quantity)
            assert (spiked, plain, one) == (f"{arm}-outlier", arm, other)


def test_the_initial_loss_is_held_against_what_the_init_predicts(ledger: Ledger) -> None:
    """10.979 at 124M, as near as ten seeds know their mean, and not the rounded 10.8 of a uniform guess."""
    claim = ledger.find("initial-loss")
    assert (claim.other, claim.stated) == ("gpt2-init:predicted", None)
    assert claim.tolerance <= 0.1
    assert ledger.find("initial-loss-is-10.8").stated == 10.8


@pytest.mark.slow
@pytest.mark.real_text
@pytest.mark.skipif(REAL_TEXT is None, reason="no TinyShakespeare in GPTEXP_DATA_DIR or the cache")
def test_why_an_initial_loss_lies_beside_its_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's explanation, tested: shuffled tokens are as far off as the text, evenly drawn ones are not.

    Twelve seeds, 128 wide, 512 predictions. Evenly drawn targets scatter by the spread of the logits, 0.23, over the
    root of 512, and by less than 0.005 in the mean over seeds.
    """
    assert REAL_TEXT is not None
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(REAL_TEXT.parent))
    tokens = torch.from_numpy(load_tokens(load_corpus("tinyshakespeare"), "gpt2").val[: 8 * 64 + 1].astype("int64"))
    x, text = tokens[:-1].view(8, 64), tokens[1:].view(8, 64)
    size = {"vocab_size": 50_257, "n_layer": 2, "n_head": 4, "n_embd": 128, "block_size": 64}
    predicted = math.log(50_257) + 128 * 0.02**2 / 2
    gaps = []
    for seed in range(12):
        draw = torch.Generator().manual_seed(seed)
        shuffled = text.flatten()[torch.randperm(512, generator=draw)].view(8, 64)
        even = torch.randint(50_257, (8, 64), generator=draw)
        model = GPT(build_config(size), seed=seed).eval()
        with torch.no_grad():
            gaps.append([model.loss(x, y).item() - predicted for y in (text, shuffled, even)])
    mean = torch.tensor(gaps).mean(dim=0)
    spread = torch.tensor(gaps).std(dim=0)
    assert abs(mean[2]) < 0.005
    assert (mean[0] - mean[1]).abs() < 0.01
    assert spread[:2].min() > 1.5 * spread[2]
