"""An open_clip model that gives features of an image's patches in the space that it shares with text.

Features of patches, by name:

- ``tokens``: the last layer's tokens, sent where the class token goes: final norm and visual projection.
- ``values``: the same with the last layer's attention replaced by the identity, so that a patch keeps its
  own value vector instead of a mixture of all (Zhou et al., *Extract Free Dense Labels from CLIP*, ECCV
  2022, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UserError
from pipeline.patches.geometry import Geometry
from pipeline.tables import digests

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_TEXTS = 256  # texts a batch
_LOCAL = "local-dir:"
# Shards may run in threads: one of them loads the model, and tokenizers serve one caller at a time.
_LOADING, _TOKENIZING = Lock(), Lock()


@dataclass(frozen=True)
class DenseClip:
    """An open_clip model with what it needs: its tokenizer, its preprocessing and that one's geometry."""

    clip: Any
    tokenize: Any
    preprocess: Any
    geometry: Geometry
    device: str

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Unit features of the texts, float32 (texts, embed_dim)."""
        import torch

        with _TOKENIZING:
            tokens_KL = self.tokenize(texts)
        with torch.inference_mode():
            features = [
                self.clip.encode_text(part.to(self.device), normalize=True)
                for part in tokens_KL.split(_TEXTS)
            ]
        return torch.cat(features).float().cpu().numpy()

    def encode_patches(self, pictures: list[Image], dense: str) -> np.ndarray:
        """Unit features of each picture's patches, float32 (pictures, patches, embed_dim)."""
        import torch

        images_BCHW = torch.stack([self.preprocess(picture) for picture in pictures]).to(self.device)
        with torch.inference_mode():
            features_BNE = patch_features(self.clip.visual, images_BCHW, dense)
            return torch.nn.functional.normalize(features_BNE, dim=-1).float().cpu().numpy()

    def encode_images(self, pictures: list[Image]) -> np.ndarray:
        """Unit features of whole pictures, float32 (pictures, embed_dim)."""
        import torch

        images_BCHW = torch.stack([self.preprocess(picture) for picture in pictures]).to(self.device)
        with torch.inference_mode():
            return self.clip.encode_image(images_BCHW, normalize=True).float().cpu().numpy()


def patch_features(visual: Any, images_BCHW: torch.Tensor, dense: str) -> torch.Tensor:
    """Features of the patches in the shared space, not normalised, (batch, patches, embed_dim).

    ``visual`` is an open_clip ``VisionTransformer``. Where a tower pools by averaging and norms afterwards,
    each token is normed as the pooled one would be.
    """
    import torch.nn.functional as F

    *blocks, last = visual.transformer.resblocks
    tokens_BND = visual._embeds(images_BCHW)
    for block in blocks:
        tokens_BND = block(tokens_BND)
    if dense == "tokens":
        tokens_BND = last(tokens_BND)
    else:
        width = tokens_BND.shape[-1]
        # MultiheadAttention stacks the projections of query, key and value.
        weight, bias = last.attn.in_proj_weight[2 * width :], last.attn.in_proj_bias[2 * width :]
        values_BND = last.attn.out_proj(F.linear(last.ln_1(tokens_BND), weight, bias))
        tokens_BND = tokens_BND + last.ls_1(values_BND)
        tokens_BND = tokens_BND + last.ls_2(last.mlp(last.ln_2(tokens_BND)))
    patches_BND = visual.ln_post(tokens_BND[:, 1:])  # the first is the class token
    return patches_BND if visual.proj is None else patches_BND @ visual.proj


def weights_digest(name: str, pretrained: str | None, setting: str = "ground.open_clip") -> str:
    """Digest of the model's own files, where it is made of files, otherwise empty.

    Raises:
        UserError: there is no model in the folder that ``local-dir:`` names.
    """
    if name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise UserError(
                f"{setting}.model: found {name!r}, but there is no {folder / 'open_clip_config.json'}. Run"
                " `dvc repro encoder` to train the encoder, or name another folder or one of open_clip's"
                " architectures."
            )
        return digests.of_files(folder)
    file = Path(pretrained or "")
    return digests.of_file(file) if file.is_file() else ""


def load(
    name: str, pretrained: str | None, weights: str = "", setting: str = "ground.open_clip"
) -> DenseClip:
    """The model, loaded once a process; ``weights`` is a digest that tells versions of a folder apart.

    ``setting`` is the section of the settings that an error names.

    Raises:
        UserError: it cannot be loaded, would have no trained weights, or has no plain vision transformer.
    """
    with _LOADING:
        return _load(name, pretrained, weights, setting)


@lru_cache(maxsize=1)
def _load(name: str, pretrained: str | None, weights: str, setting: str) -> DenseClip:
    import open_clip
    import torch
    from open_clip.transformer import CustomResidualAttentionBlock, VisionTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        clip, preprocess = open_clip.create_model_from_pretrained(name, pretrained, device=device)
        tokenize = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip raises whatever its many loaders do
        raise UserError(
            f"{setting}: model {name!r} with pretrained {pretrained!r} cannot be loaded ({error}). "
            "Give local-dir:FOLDER, or an architecture of open_clip's and a tag or file of its weights."
        ) from error
    visual = clip.visual
    if (
        not isinstance(visual, VisionTransformer)
        or visual.attn_pool is not None
        or isinstance(visual.transformer.resblocks[-1], CustomResidualAttentionBlock)
    ):
        raise UserError(
            f"{setting}.model: {name!r} has a vision tower of kind {type(visual).__name__} that gives "
            "no features of patches in the shared space. Choose a ViT of open_clip's own without attentional "
            "pooling, such as ViT-B-16 or ViT-L-14-336."
        )
    geometry = Geometry.from_open_clip(visual.preprocess_cfg, tuple(visual.patch_size))
    return DenseClip(clip.eval(), tokenize, preprocess, geometry, device)
