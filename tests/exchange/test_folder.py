"""What is exported is the same model in the other tool, and comes back as the same model."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from gptexp.config import ModelConfig
from gptexp.data.tokenizer import Tokenizer, char_tokenizer, load_gpt2_tokenizer
from gptexp.errors import GptexpError
from gptexp.exchange import folder
from gptexp.exchange.folder import check_target, make_hf_files, make_nanogpt_files, write_folder
from gptexp.exchange.read import read_folder
from gptexp.files import DiskError, write_new
from gptexp.model.gpt import GPT

os.environ["HF_HUB_OFFLINE"] = "1"
transformers: Any = pytest.importorskip("transformers")

TEXTS = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n" * 20,
    "naïve 🙂🇩🇪👩‍👩‍👧 emoji",
    "你好，世界。こんにちは",
    "  \t tabs, 's 'll 1234567 \r\n\r\n   ",
    "<|endoftext",
)
CHARS = char_tokenizer("".join(TEXTS))
SHAPES = {
    "small": {"n_layer": 1, "n_head": 1, "n_embd": 16, "block_size": 8},
    "deep": {"n_layer": 4, "n_head": 4, "n_embd": 32, "block_size": 32, "bias": False},
    "wide": {"n_layer": 2, "n_head": 3, "n_embd": 96, "block_size": 64, "dropout": 0.1},
}


def make_model(shape: str, tokenizer: Tokenizer, **changes: Any) -> GPT:
    """A model whose every tensor is drawn at random, biases and layer norms too."""
    model = GPT(ModelConfig(vocab_size=tokenizer.vocab_size, **{**SHAPES[shape], **changes}), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def draw_ids(model: GPT) -> Tensor:
    shape = (2, model.config.block_size)
    return torch.randint(0, model.config.vocab_size or 0, shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("tokenizer", [load_gpt2_tokenizer(), CHARS], ids=lambda tokenizer: str(tokenizer.name))
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_transformers_gives_the_same_logits(shape: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """GPT2LMHeadModel opens the folder, with nothing missing and nothing left over, and computes what we compute."""
    model = make_model(shape, tokenizer)
    write_folder(make_hf_files(model, tokenizer, "# card"), tmp_path)
    theirs, report = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ids = draw_ids(model)
    torch.testing.assert_close(theirs.eval()(ids).logits, model(ids), atol=1e-5, rtol=0)


@pytest.mark.parametrize("tokenizer", [load_gpt2_tokenizer(), CHARS], ids=lambda tokenizer: str(tokenizer.name))
def test_transformers_reads_text_as_we_do(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Token ids are the same, and lead back to the text: line breaks, emoji and Chinese too."""
    write_folder(make_hf_files(make_model("small", tokenizer), tokenizer, "# card"), tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == tokenizer.vocab_size
    for text in TEXTS:
        ids = tokenizer.encode(text).tolist()
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == text


def test_transformers_generates(tmp_path: Path) -> None:
    """Its own sampling goes on from a prompt with the settings of the folder."""
    write_folder(make_hf_files(make_model("wide", CHARS), CHARS, "# card"), tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (theirs.generation_config.temperature, theirs.generation_config.top_k) == (0.8, 200)
    prompt = torch.tensor([CHARS.encode("Speak").tolist()])
    assert theirs.generate(prompt, max_new_tokens=7, attention_mask=torch.ones_like(prompt)).shape == (1, 12)


@pytest.mark.parametrize("tokenizer", [load_gpt2_tokenizer(), CHARS], ids=lambda tokenizer: str(tokenizer.name))
@torch.no_grad()
def test_what_transformers_saves_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A GPT-2 of theirs, saved by them, in parts too, is the same function here and keeps its tokenizer."""
    config = transformers.GPT2Config(
        vocab_size=tokenizer.vocab_size + 3, n_positions=16, n_embd=32, n_layer=2, n_head=2, initializer_range=0.2
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    write_folder(make_hf_files(make_model("small", tokenizer), tokenizer, "# card"), tmp_path / "tokenizer")
    for size in ("1GB", "60KB"):
        folder = tmp_path / size
        theirs.save_pretrained(folder, max_shard_size=size)
        transformers.AutoTokenizer.from_pretrained(tmp_path / "tokenizer").save_pretrained(folder)
        ours = read_folder(folder)
        assert ours.tokenizer.checksum == tokenizer.checksum
        ids = draw_ids(ours.model)
        torch.testing.assert_close(ours.model.eval()(ids), theirs(ids).logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_names_without_the_prefix_are_read(tmp_path: Path) -> None:
    """OpenAI's own checkpoint on the hub has names without `transformer.`, and the masks beside the weights."""
    model = make_model("small", CHARS)
    files = make_hf_files(model, CHARS, "# card")
    write_folder(files, tmp_path)
    tensors = {
        name.removeprefix("transformer."): tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(tensors | {"h.0.attn.bias": torch.ones(1, 1, 8, 8)}, tmp_path / "model.safetensors")
    ids = draw_ids(model)
    assert torch.equal(read_folder(tmp_path).model.eval()(ids), model(ids))


def compute_as_nanogpt(tensors: Mapping[str, Tensor], ids: Tensor, n_layer: int, n_head: int) -> Tensor:
    """Logits by nanoGPT's names and shapes: linear layers are (out, in). Source: karpathy/nanoGPT `model.py`."""

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), 1e-5)

    B, T = ids.shape
    x = tensors["transformer.wte.weight"][ids] + tensors["transformer.wpe.weight"][:T]
    for number in range(n_layer):
        block = f"transformer.h.{number}"
        heads = linear(norm(x, f"{block}.ln_1"), f"{block}.attn.c_attn").split(x.shape[-1], dim=2)
        q, k, v = (head.view(B, T, n_head, -1).transpose(1, 2) for head in heads)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + linear(y, f"{block}.attn.c_proj")
        wide = F.gelu(linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"), approximate="tanh")
        x = x + linear(wide, f"{block}.mlp.c_proj")
    return F.linear(norm(x, "transformer.ln_f"), tensors["lm_head.weight"])


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_nanogpt_gives_the_same_logits(shape: str, tmp_path: Path) -> None:
    """By nanoGPT's names, shapes and arithmetic the logits are ours; its model_args rebuild the model."""
    model = make_model(shape, CHARS)
    write_folder(make_nanogpt_files(model, CHARS, "# card"), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    about = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    arguments = about["model_args"]
    ids = draw_ids(model)
    theirs = compute_as_nanogpt(tensors, ids, arguments["n_layer"], arguments["n_head"])
    torch.testing.assert_close(theirs, model(ids), atol=1e-5, rtol=0)
    kinds = ("weight", "bias") if arguments["bias"] else ("weight",)
    parts = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    names = {
        f"transformer.h.{n}.{part}.{kind}" for n in range(arguments["n_layer"]) for part in parts for kind in kinds
    }
    names |= {"transformer.wte.weight", "transformer.wpe.weight", "lm_head.weight"}
    assert tensors.keys() == names | {f"transformer.ln_f.{kind}" for kind in kinds}
    assert "".join(about["itos"]) == CHARS.vocabulary


def test_post_ln_is_refused() -> None:
    """GPT-2 has no place for a post-LN model."""
    with pytest.raises(GptexpError, match="norm=post can't be exported"):
        make_hf_files(make_model("small", CHARS, norm="post"), CHARS, "# card")


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"n_inner": 17}, "n_inner is 17"),
        ({"n_embd": "x"}, "describes no GPT-2"),
        ({"n_embd": 32}, "has the shape"),
        ({"n_embd": 80_000}, "describes a model of .* parameters, and the weights beside it are"),
        ({"n_layer": 2}, "lack the tensor h.1.ln_1.weight"),
        ({"n_layer": 0}, "describes no GPT-2: n_layer is 0: input should be greater than or equal to 1$"),
        ({"vocab_size": 5}, "its tokenizer has"),
    ],
)
def test_another_model_is_one_sentence(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """What our model doesn't compute, and what doesn't fit its weights, is named."""
    write_folder(make_hf_files(make_model("small", CHARS), CHARS, "# card"), tmp_path)
    change_json(tmp_path / "config.json", **changes)
    with pytest.raises(GptexpError, match=sentence):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", b"{", "is no JSON"),
        ("config.json", b"[]", "holds no JSON object"),
        ("config.json", None, "has no config.json"),
        ("model.safetensors", b"junk", "is damaged"),
        ("model.safetensors", None, "is not read, since a pickle could run anything"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"a": "../../x.safetensors"}}',
            "which is no safetensors file",
        ),
        ("model.safetensors.index.json", b"{}", "names no files"),
        ("tokenizer.json", b'{"model": {"vocab": {"ab": 0, "c": 1}}}', "neither GPT-2's nor one token per character"),
        ("tokenizer.json", b'{"model": {"vocab": ["a"]}}', "is no tokenizer"),
    ],
)
def test_a_broken_folder_is_one_sentence(name: str, content: bytes | None, sentence: str, tmp_path: Path) -> None:
    """Missing, damaged and forged files are named; a pickle is never opened."""
    write_folder(make_hf_files(make_model("small", CHARS), CHARS, "# card"), tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(GptexpError, match=sentence) as caught:
        read_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_only_a_model_is_written_over(tmp_path: Path) -> None:
    """An exported folder may be written again; one that holds anything else is left alone."""
    check_target(tmp_path / "new")
    write_folder(make_hf_files(make_model("small", CHARS), CHARS, "# card"), tmp_path)
    check_target(tmp_path)
    (tmp_path / "thesis.tex").write_text("ten pages", encoding="utf-8")
    with pytest.raises(GptexpError, match=r"thesis\.tex"):
        check_target(tmp_path)


def test_a_full_disk_leaves_no_half_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder is gone again, and a model that was there is the earlier one."""
    old = make_hf_files(make_model("small", CHARS), CHARS, "# card")
    write_folder(old, tmp_path / "old")

    def write(path: Path, data: bytes, within: Path) -> None:
        if path.name == "model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_new(path, data, within)

    monkeypatch.setattr(folder, "write_new", write)
    new = make_hf_files(make_model("wide", CHARS), CHARS, "# another card")
    for name in ("old", "new"):
        with pytest.raises(DiskError, match="no space left"):
            write_folder(dict(reversed(new.items())), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == old


def test_places_that_hold_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder one is in and a link to a folder are places like any; below a file there is none, and that is said."""
    files = make_hf_files(make_model("small", CHARS), CHARS, "# card")
    here, link, file = tmp_path / "here", tmp_path / "link", tmp_path / "file"
    here.mkdir()
    link.symlink_to(here)
    file.write_text("x")
    monkeypatch.chdir(here)
    for place in (Path(), link):
        check_target(place)
        write_folder(files, place)
        assert read_folder(here)
    with pytest.raises(DiskError, match="can't write"):
        write_folder(files, file / "below")
