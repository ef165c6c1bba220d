"""The annotation models that rehearsals use, under the name that the tests know them by."""

from pipeline.preflight.annotators import (
    WORDS,
    bert_config,
    bert_tokenizer,
    clip_tokenizer,
    grounding_dino,
    groundingdino,
    owlv2,
    sam,
    sam2,
    text_encoder,
)

__all__ = [
    "WORDS",
    "bert_config",
    "bert_tokenizer",
    "clip_tokenizer",
    "grounding_dino",
    "groundingdino",
    "owlv2",
    "sam",
    "sam2",
    "text_encoder",
]
