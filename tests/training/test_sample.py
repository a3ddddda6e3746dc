"""Sampling reads the model and changes nothing."""

from __future__ import annotations

import pytest
import torch

from gptexp.config import ModelConfig
from gptexp.model.gpt import GPT
from gptexp.training.sample import draw_token, generate

MODEL = GPT(ModelConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=8, dropout=0.5), seed=0)
PROMPT = torch.tensor([1, 2])


def test_same_seed_same_text() -> None:
    """The text follows from the seed; another seed writes another text; it may grow past the context."""
    first, again, other = (generate(MODEL, PROMPT, 20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (22,)
    assert torch.equal(first[:2], PROMPT)


def test_training_does_not_notice() -> None:
    """The global generator, the mode and the weights are as they were."""
    MODEL.train()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    before = [parameter.clone() for parameter in MODEL.parameters()]
    generate(MODEL, PROMPT, 5, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert MODEL.training
    assert all(torch.equal(a, b) for a, b in zip(before, MODEL.parameters(), strict=True))


def test_zero_temperature_takes_the_likeliest() -> None:
    """Temperature 0 is the argmax, and only the top k are ever drawn."""
    logits = torch.tensor([0.0, 3.0, 1.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    assert draw_token(logits, generator, 0, 200).item() == 1
    assert {draw_token(logits, generator, 5.0, 2).item() for _ in range(50)} == {1, 3}


def test_a_diverged_model_still_writes() -> None:
    """NaN logits draw token 0 instead of crashing the record of a diverged run."""
    assert draw_token(torch.full((4,), float("nan")), torch.Generator(), 1.0, 2).item() == 0


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_kept_keys_and_values_change_nothing(norm: str) -> None:
    """Token by token with a cache the model computes the hidden states that it computes for the whole context."""
    config = ModelConfig(
        vocab_size=64, n_layer=3, n_head=2, n_embd=32, block_size=16, norm=norm, init="pytorch-default"
    )
    model = GPT(config, seed=0).eval()
    idx = torch.randint(64, (2, 16), generator=torch.Generator().manual_seed(0))
    caches = model.empty_caches(windows=2)
    first, *others = torch.split(idx, [5, *[1] * 11], dim=1)
    pieces = [model.hidden(first, caches), *(model.hidden(token, caches) for token in others)]
    # The same products in other groups: hidden states are layer norms' outputs, of size 1.
    torch.testing.assert_close(torch.cat(pieces, dim=1), model.hidden(idx), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prompt_tokens", [1, 3, 8, 12])
def test_text_is_that_of_the_whole_context(prompt_tokens: int) -> None:
    """Below, at and past the context's length the tokens are those that reading all of it each time gives."""
    prompt = torch.arange(prompt_tokens)
    written = generate(MODEL, prompt, 16, seed=4, temperature=0)
    MODEL.eval()
    for end in range(prompt_tokens, len(written)):
        logits = MODEL(written[None, max(0, end - 8) : end])[0, -1]
        assert written[end] == logits.argmax()
    MODEL.train()


def test_a_token_costs_one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the context each further token is read once."""
    read: list[int] = []
    embed = MODEL.token_embedding.forward
    monkeypatch.setattr(MODEL.token_embedding, "forward", lambda idx: (read.append(idx.shape[1]), embed(idx))[1])
    generate(MODEL, PROMPT, 8, seed=1)
    assert read == [2, 1, 1, 1, 1, 1, 1, 8]


def test_top_p_draws_from_the_smallest_set_that_reaches_it() -> None:
    """Of 0.5, 0.3, 0.2 the first two have 0.8: top_p=0.8 never draws the third, 0.81 does; 1 changes no draw."""
    logits = torch.tensor([0.3, 0.5, 0.2]).log()

    def draw(top_p: float) -> list[int]:
        generator = torch.Generator().manual_seed(0)
        return [int(draw_token(logits, generator, 1.0, 3, top_p)) for _ in range(300)]

    assert set(draw(0.8)) == {0, 1}
    assert set(draw(0.81)) == {0, 1, 2}
    assert set(draw(0.01)) == {1}
    generator = torch.Generator().manual_seed(0)
    assert draw(1.0) == [int(draw_token(logits, generator, 1.0, 3)) for _ in range(300)]


def test_the_smallest_temperature_takes_the_likeliest() -> None:
    """Logits that leave the range of fp32 when they are divided are no error."""
    logits = torch.tensor([1.0, 3.0, 2.0])
    for temperature in (0.0, 1e-300, 1e-38, 1e-29, 1e-3):
        assert int(draw_token(logits, torch.Generator().manual_seed(0), temperature, 3)) == 1
