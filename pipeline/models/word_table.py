"""A language model's word embeddings without the rest of it, for training that never runs its layers.

Of a 7B model that is one tensor of half a gigabyte, read out of the safetensors file that holds it.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from pipeline.errors import UserError
from pipeline.models import encoder as encoders
from pipeline.models import language_model as language_models
from pipeline.models import llava
from pipeline.params import ProjectorParams


def read(folder: Path) -> torch.Tensor:
    """The input embeddings (V, D) of the language model in a transformers folder.

    Raises:
        UserError: its weights are no safetensors, or lack them.
    """
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    weight = empty.get_input_embeddings().get_parameter("weight")
    name = next(name for name, parameter in empty.named_parameters() if parameter is weight)
    index = folder / "model.safetensors.index.json"
    file = "model.safetensors"
    if index.exists():
        file = json.loads(index.read_text(encoding="utf-8"))["weight_map"].get(name, file)
    try:
        with safe_open(folder / file, "pt") as weights:
            return weights.get_tensor(name)
    except Exception as error:
        raise UserError(
            f"{folder} gives no word embeddings ({file} has no {name}, or cannot be read: {error}): an arm"
            " with captions: false needs a language model that is saved as safetensors"
        ) from error


def assemble(
    encoder: Path, language_model: Path, projector: ProjectorParams, seed: int
) -> tuple[LlavaForConditionalGeneration, PreTrainedTokenizerBase]:
    """As `llava.assemble`, but of the language model only the words: its decoder has no layers.

    The projector starts from the weights that it has in `llava.assemble` with this seed (`first_weights`).
    Nothing of the language model but its words is read or held.

    Returns:
        The model, which can project and look up words but not read them, and the tokenizer.
    """
    tower, _ = encoders.load(encoder)
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    language_models.prepare(tokenizer)
    llava.add_image_token(tokenizer)
    table_VD = read(language_model)
    text = AutoConfig.from_pretrained(language_model)
    text.vocab_size = max(len(tokenizer), len(table_VD))
    config = llava.configure(tower.config, text, tokenizer, projector)
    first = llava.untrained(config, seed).model.multi_modal_projector.state_dict()
    bare_text, bare_vision = copy.deepcopy(text), copy.deepcopy(tower.config)
    bare_text.num_hidden_layers = bare_vision.num_hidden_layers = 0
    bare_text.tie_word_embeddings = True
    if getattr(bare_text, "layer_types", None):
        bare_text.layer_types = []
    model = LlavaForConditionalGeneration(llava.configure(bare_vision, bare_text, tokenizer, projector))
    model.model.vision_tower = tower  # of which features are made where none are cached
    model.model.multi_modal_projector.load_state_dict(first)
    with torch.no_grad():
        # What the tokenizer has beyond the table is the image's token, which no region is named by.
        words = model.get_input_embeddings().get_parameter("weight")
        words.zero_()
        words[: len(table_VD)] = table_VD.to(words)
    return model, tokenizer
