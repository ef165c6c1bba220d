"""What the patch loss needs to know of a family of multimodal models, and nothing else.

Two things: where the projected vision tokens are, and which part of the image each one sees. A family is one
file with a subclass of `Adapter`, and a line in ``pipeline/models/adapters/__init__.py``.

Shapes: B images, N vision tokens of an image (padded to the longest), D width of the language model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import nn

from pipeline.patches.geometry import Geometry


class Adapter(ABC):
    """A family of multimodal models."""

    model_types: ClassVar[tuple[str, ...]]
    """``config.model_type`` of the models that it is for."""

    @abstractmethod
    def projector(self, model: nn.Module) -> nn.Module:
        """The module that gives the vision tokens as the language model will read them."""

    @abstractmethod
    def tokens(self, output: Any, batch: Mapping[str, Any]) -> Sequence[torch.Tensor] | torch.Tensor:
        """Each image's vision tokens (N, D), or those of all (B, N, D), in the order of the grid: token
        ``row * columns + column``.

        Args:
            output: what `projector`'s module returned for the batch.
            batch: the model's inputs.
        """

    @abstractmethod
    def geometry(self, config: Any, processor: Any, width: int, height: int) -> Geometry:
        """What the model sees of an image of ``width x height`` pixels; its grid is the vision tokens'.

        Args:
            config: the model's configuration.
            processor: the model's, whose image processor prepares the image.

        Raises:
            UserError: the processor's settings make no known grid.
        """

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[list[Any]]:
        """While it lasts, every output of the projector is added to the list that it gives.

        So the vision tokens are those of the model's own forward, with their gradient, at no further cost.
        """
        seen: list[Any] = []
        hook = self.projector(model).register_forward_hook(lambda module, given, made: seen.append(made))
        try:
            yield seen
        finally:
            hook.remove()

    def project(self, model: nn.Module, features: torch.Tensor) -> torch.Tensor:
        """Vision tokens (B, N, D) of the encoder's features (`pipeline.training.features`)."""
        return stack(self.tokens(self.projector(model)(features), {}))


def stack(tokens: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """Vision tokens of several images as (B, N, D), zeros behind those of images with fewer."""
    if isinstance(tokens, torch.Tensor):
        return tokens
    return nn.utils.rnn.pad_sequence(list(tokens), batch_first=True)
