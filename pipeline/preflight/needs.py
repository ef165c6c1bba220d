"""Disk, memory and hours that a profile needs, by formulas that say what they assume.

Symbols: P parameters, N vision tokens an image, W width of the encoder, D width of the language model, L its
layers, V its vocabulary, b images at a time in a process, S tokens of an image with its text.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PretrainedConfig

from pipeline.params import OptimisationParams, Params
from pipeline.preflight.weights import parameters_of

TEXT_TOKENS = {"pretrain": 64, "finetune": 512}
"""Assumed tokens of text beside an image: a caption; a conversation of LLaVA-1.5's, of several turns."""
A100_TFLOPS = 95.0
"""What LLaVA-1.5's scripts get out of an A100, 30 % of its peak: 558K images of 640 tokens, 4 x 6.7B
operations a token, in 3.5 h on eight, the time that its README gives for 7B."""
TABLE_BYTES = 10_000
"""Assumed bytes an image in all tables together, pictures aside: captions, phrases, run-length masks."""


@dataclass(frozen=True)
class Shapes:
    """The sizes that needs hang on."""

    encoder: int
    language_model: int
    projector: int
    tokens: int
    features: int
    """Width of what is kept of a vision token: W times the layers that are projected."""
    width: int
    layers: int
    vocabulary: int

    @classmethod
    def of(cls, params: Params, vision: PretrainedConfig, text: PretrainedConfig) -> Shapes:
        """Sizes of a vision tower and a language model, with the profile's projector between."""
        vision = getattr(vision, "vision_config", vision)
        features = vision.hidden_size * len(params.train.projector.feature_layers)
        width = text.hidden_size
        hidden = features * width + width
        if params.train.projector.kind == "mlp":
            hidden += width * width + width
        return cls(
            parameters_of(vision), parameters_of(text), hidden, (vision.image_size // vision.patch_size) ** 2,
            features, width, text.num_hidden_layers, text.vocab_size,
        )  # fmt: skip

    @property
    def whole(self) -> int:
        """Parameters of the assembled model."""
        return self.encoder + self.language_model + self.projector

    def trained(self, stage: str) -> int:
        """Parameters that a stage trains: the projector; with the language model in fine-tuning."""
        return self.projector + (self.language_model if stage == "finetune" else 0)


def features_bytes(shapes: Shapes, images: int) -> int:
    """``data/features`` where they are cached: N x W float16 an image."""
    return images * shapes.tokens * shapes.features * 2


def checkpoint_bytes(shapes: Shapes, arms: int) -> int:
    """Both stages' models of every arm, encoder and language model once more, in float32."""
    return 4 * (2 * arms * shapes.whole + shapes.encoder + shapes.language_model)


def resume_bytes(shapes: Shapes) -> int:
    """The checkpoint that fine-tuning goes on from when killed, while the next one is written beside it."""
    return 2 * 4 * (shapes.whole + 2 * shapes.trained("finetune"))


@dataclass(frozen=True)
class Machine:
    """What training runs on: processes, whether they share weights, and what each takes at a time."""

    processes: int = 1
    sharded: bool = False
    images: int = 0
    """Images at a time in a process; 0: its part of a step."""
    recompute: bool = False
    gpu: bool = True
    cached: bool = True
    """Whether the encoder's features are read from disk; else the encoder is in the process."""

    @classmethod
    def of(cls, params: Params, gpus: int) -> Machine:
        """The machine that the settings ask for, of which each process has a GPU if there are any."""
        settings = params.compute
        return cls(
            settings.processes or max(1, gpus, settings.gpus), settings.sharding == "full",
            settings.micro_batch, settings.recompute, gpus > 0 or settings.gpus > 0,
            params.train.cache_features,
        )  # fmt: skip


def memory_bytes(shapes: Shapes, stage: str, settings: OptimisationParams, machine: Machine) -> int:
    """Memory of one process in a stage of training.

    16 bytes a trained parameter (float32 weight, gradient, two moments; Rajbhandari et al., arXiv
    1910.02054), 2 a frozen one on a GPU and 4 on a CPU, shared out where sharded; 34 b S D bytes of
    activations a layer, or 2 b S D where layers are computed again (Korthikanti et al., arXiv 2205.05198,
    with fused attention, which keeps no scores); 6 b T V for the logits of T answer tokens and their
    gradient. The encoder is there, in float32, where its features are not read from disk.
    """
    trained = shapes.trained(stage)
    frozen = shapes.language_model + shapes.projector - trained
    weights = (
        16 * trained + (2 if machine.gpu else 4) * frozen + (0 if machine.cached else 4 * shapes.encoder)
    )
    if machine.sharded:
        weights //= machine.processes
    images = machine.images or -(-settings.batch_images // machine.processes)
    text = TEXT_TOKENS[stage] * settings.turns
    activations = images * (shapes.tokens + text) * shapes.width
    per_layer = 2 * shapes.layers + 34 if machine.recompute else 34 * shapes.layers
    return int(weights + activations * per_layer + 6 * images * text * shapes.vocabulary)


def encoding(shapes: Shapes, images: float) -> float:
    """Floating-point operations of the encoder on so many images: 2 P a patch."""
    return 2.0 * shapes.encoder * shapes.tokens * images


def operations(shapes: Shapes, stage: str, settings: OptimisationParams) -> float:
    """Floating-point operations of a stage: 4 P a token with the weights frozen, 6 P with them trained."""
    tokens = shapes.tokens + TEXT_TOKENS[stage] * settings.turns
    each = 6 if stage == "finetune" else 4
    return float(settings.steps * settings.batch_images * tokens * each * shapes.language_model)
