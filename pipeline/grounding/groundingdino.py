"""Annotation source: Grounding DINO by the package groundingdino-py, with its configuration and checkpoint.

Liu et al., *Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection*, ECCV
2024, arXiv 2303.05499.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.grounding import groundingdino_compat, pretrained, prompts
from pipeline.grounding.detection import DetectionAnnotator, Scores, token_scores
from pipeline.grounding.prompts import Prompt
from pipeline.params import GroundingdinoParams

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_ADVICE = (
    "Give `config` a configuration file of groundingdino-py's, such as GroundingDINO_SwinT_OGC.py, `weights`"
    " its checkpoint, and `text_encoder` a folder of bert-base-uncased where there is no network."
)


@dataclass(frozen=True)
class GroundingdinoDetector:
    """groundingdino-py's model and preprocessing; implements `pipeline.grounding.detection.Detector`."""

    model: Any
    transform: Any
    device: str

    def prompts(self, texts: Sequence[str]) -> list[Prompt]:
        """As many texts a prompt as the model's 256 tokens hold."""
        return prompts.build(texts, self.model.tokenizer, self.model.max_text_len)

    def canvas(self, width: int, height: int) -> tuple[int, int]:
        """The image itself."""
        return width, height

    def prepare(self, pictures: list[Image]) -> torch.Tensor:
        """Pictures of one size, resized and normalised."""
        import torch

        return torch.stack([self.transform(picture, None)[0] for picture in pictures]).to(self.device)

    def detect(self, images_BCHW: torch.Tensor, prompts: list[Prompt]) -> list[Scores]:
        """Scores of each image for the prompt in its place."""
        import torch

        with torch.inference_mode(), pretrained.half_precision():
            out = self.model(images_BCHW, captions=[prompt.text for prompt in prompts])
        return token_scores(prompts, *pretrained.outputs(out["pred_logits"], out["pred_boxes"]))


def annotator(params: GroundingdinoParams, kept_root: Path | None = None) -> DetectionAnnotator:
    """The source ``groundingdino``; what the model says is kept below ``kept_root``."""
    return DetectionAnnotator(
        name="groundingdino",
        params=params,
        load=load,
        box_threshold=params.box_threshold,
        text_threshold=params.text_threshold,
        nms_iou=params.nms_iou,
        batch_size=params.batch_size,
        files=(params.config, params.weights, params.text_encoder),
        kept_root=kept_root,
    )


@lru_cache(maxsize=1)
def load(params: GroundingdinoParams) -> GroundingdinoDetector:
    """The model, loaded once a process.

    Raises:
        UserError: a file is missing, or the checkpoint is not one of this configuration.
    """
    config = _config_file(params.config)
    if not Path(params.weights).is_file():
        raise UserError(f"ground.groundingdino.weights: there is no file {params.weights!r}. {_ADVICE}")
    return pretrained.load("ground.groundingdino", params.weights, _ADVICE, lambda: _load(params, config))


def _load(params: GroundingdinoParams, config: Path) -> GroundingdinoDetector:
    import torch
    from groundingdino.datasets import transforms
    from groundingdino.models import build_model
    from groundingdino.util.misc import clean_state_dict
    from groundingdino.util.slconfig import SLConfig

    groundingdino_compat.mend()
    args = SLConfig.fromfile(str(config))
    args.device = device = pretrained.device()
    # Recomputing activations saves memory in training alone.
    args.use_checkpoint = args.use_transformer_ckpt = False
    if params.text_encoder:
        args.text_encoder_type = params.text_encoder
    with redirect_stdout(io.StringIO()):  # it prints the text encoder's name
        model = build_model(args)
    weights = torch.load(params.weights, map_location="cpu", weights_only=True)
    # Released checkpoints have a label table of training's and index buffers that are not the model's.
    lacking = model.load_state_dict(clean_state_dict(weights["model"]), strict=False).missing_keys
    if lacking:
        raise UserError(
            f"ground.groundingdino.weights: {params.weights!r} lacks {len(lacking)} of the model's weights,"
            f" such as {lacking[0]}: it belongs to another configuration than {config.name}."
        )
    groundingdino_compat.mend_batches(model)
    shorter, longer = params.image_size
    transform = transforms.Compose(
        [
            transforms.RandomResize([shorter], max_size=longer),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return GroundingdinoDetector(model.eval().to(device), transform, device)


def _config_file(name: str) -> Path:
    """The file of that path, or the one of that name among groundingdino-py's own."""
    if Path(name).is_file():
        return Path(name)
    package = importlib.util.find_spec("groundingdino")
    own = Path(package.origin).parent / "config" if package and package.origin else Path()
    if (own / name).is_file():
        return own / name
    known = ", ".join(sorted(path.name for path in own.glob("Grounding*.py")))
    raise UserError(
        f"ground.groundingdino.config: there is no file {name!r}, and groundingdino-py has {known}."
    )
