"""Small random annotation models of the true architectures, saved the way that released ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

# transformers' Grounding DINO knows the separators by their numbers in bert-base-uncased.
_BERT_IDS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,!-'"
WORDS = ["dog", "ball", "red", "two", "cats", "the", "man", "hat"]

GROUNDINGDINO_CONFIG = """
modelname = "groundingdino"
backbone = "swin_T_224_1k"
position_embedding = "sine"
pe_temperatureH = 20
pe_temperatureW = 20
return_interm_indices = [1, 2, 3]
backbone_freeze_keywords = None
enc_layers = 1
dec_layers = 1
pre_norm = False
dim_feedforward = 32
hidden_dim = 256
dropout = 0.0
nheads = 4
num_queries = 8
query_dim = 4
num_patterns = 0
num_feature_levels = 4
enc_n_points = 2
dec_n_points = 2
two_stage_type = "standard"
two_stage_bbox_embed_share = False
two_stage_class_embed_share = False
transformer_activation = "relu"
dec_pred_bbox_embed_share = True
dn_box_noise_scale = 1.0
dn_label_noise_ratio = 0.5
dn_labelbook_size = 8
embed_init_tgt = True
max_text_len = 256
text_encoder_type = "bert-base-uncased"
use_text_enhancer = True
use_fusion_layer = True
use_checkpoint = True
use_transformer_ckpt = True
use_text_cross_attention = True
text_dropout = 0.0
fusion_dropout = 0.0
fusion_droppath = 0.1
sub_sentence_present = True
"""


def bert_tokenizer():
    """A fast BERT tokenizer that knows letters, some words, and the separators under their true numbers."""
    from transformers import BertTokenizerFast  # type: ignore[attr-defined]

    known = [*WORDS, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    vocabulary = dict(_BERT_IDS)
    free = (i for i in range(1, 2000) if i not in vocabulary)
    vocabulary |= dict(zip(free, known, strict=False))
    vocabulary |= {i: f"[unused{i}]" for i in range(1030) if i not in vocabulary}
    return BertTokenizerFast(vocab={token: i for i, token in sorted(vocabulary.items())}, do_lower_case=True)


def bert_config():
    """A BERT of two layers."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=1030,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )


def text_encoder(folder: Path) -> str:
    """A BERT with its tokenizer, as bert-base-uncased lies in a folder."""
    from transformers import BertModel

    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return str(folder)


def _stir(module: torch.nn.Module) -> None:
    """Random weights where initialisation puts zeros, so that boxes differ and texts matter."""
    for parameter in module.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)


def groundingdino(folder: Path) -> dict[str, str]:
    """``config``, ``weights`` and ``text_encoder`` of a groundingdino-py model."""
    from groundingdino.models import build_model
    from groundingdino.util.slconfig import SLConfig

    from pipeline.grounding import groundingdino_compat

    groundingdino_compat.mend()
    encoder = text_encoder(folder / "bert")
    config = folder / "tiny.py"
    config.write_text(GROUNDINGDINO_CONFIG)
    args = SLConfig.fromfile(str(config))
    args.device, args.text_encoder_type = "cpu", encoder
    torch.manual_seed(0)
    model = build_model(args)
    _stir(model)
    # Released checkpoints name their weights as data-parallel training did, and have some more.
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"model": {**state, "module.label_enc.weight": torch.zeros(2, 2)}}, folder / "tiny.pth")
    return {"config": str(config), "weights": str(folder / "tiny.pth"), "text_encoder": encoder}


def grounding_dino(folder: Path, kind: str = "grounding-dino") -> str:
    """A transformers Grounding DINO or MM-Grounding-DINO with its processor."""
    from transformers import (
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        MMGroundingDinoConfig,
        MMGroundingDinoForObjectDetection,
        SwinConfig,
    )

    classes: dict[str, tuple[Any, Any]] = {
        "grounding-dino": (GroundingDinoConfig, GroundingDinoForObjectDetection),
        "mm-grounding-dino": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
    }
    config_class, model_class = classes[kind]
    torch.manual_seed(0)
    config = config_class(
        backbone_config=SwinConfig(  # type: ignore[call-arg]
            embed_dim=16,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=bert_config().to_dict(),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_n_points=2,
        decoder_n_points=2,
        num_queries=8,
    )
    model = model_class(config)
    _stir(model)
    for name, parameter in model.named_parameters():
        if "class_embed" in name and name.endswith("bias"):  # MM's starts where nothing is found
            torch.nn.init.zeros_(parameter)
    model.save_pretrained(folder)
    processor = GroundingDinoImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    GroundingDinoProcessor(processor, bert_tokenizer()).save_pretrained(folder)
    return str(folder)


def owlv2(folder: Path) -> str:
    """A transformers OWLv2 with its processor."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder)
    config = Owlv2Config(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    processor = Owlv2ImageProcessor(size={"height": 64, "width": 64})
    Owlv2Processor(processor, tokenizer).save_pretrained(folder)
    return str(folder)


def clip_tokenizer(folder: Path):
    """A CLIP tokenizer of single characters; the padding has number 0, as OWLv2's has."""
    from transformers import CLIPTokenizerFast  # type: ignore[attr-defined]

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS)]
    tokens = ["!", *(t for t in letters if t != "!"), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizerFast(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        unk_token="<|endoftext|>",
        pad_token="!",
    )


# SAM and SAM 2 differ in their vision encoders alone.
PROMPT_ENCODER = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
MASK_DECODER = {
    "hidden_size": 16,
    "mlp_dim": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 16,
}


def sam(folder: Path) -> str:
    """A transformers SAM with its processor; its input is a square of 64 pixels."""
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "mlp_dim": 32,
            "global_attn_indexes": [0],
            "window_size": 2,
            "num_pos_feats": 8,
        },
        prompt_encoder_config=dict(PROMPT_ENCODER),
        mask_decoder_config=dict(MASK_DECODER),
    )
    SamModel(config).save_pretrained(folder)
    side = {"height": 64, "width": 64}
    SamProcessor(SamImageProcessor(size={"longest_edge": 64}, pad_size=side)).save_pretrained(folder)
    return str(folder)


def sam2(folder: Path) -> str:
    """A transformers SAM 2 with its processor; its input is a square of 64 pixels."""
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

    torch.manual_seed(0)
    config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "num_attention_heads": 1,
                "image_size": [64, 64],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [4, 4, 4, 2],
                "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 16,
        },
        prompt_encoder_config=dict(PROMPT_ENCODER),
        mask_decoder_config=dict(MASK_DECODER),
    )
    Sam2Model(config).save_pretrained(folder)
    Sam2Processor(Sam2ImageProcessor(size={"height": 64, "width": 64})).save_pretrained(folder)
    return str(folder)
