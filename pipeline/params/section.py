"""What every section of ``params.yaml`` is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipeline.tables import digests


class Section(BaseModel):
    """A section of ``params.yaml``: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digest(self) -> str:
        """Digest of the section's values."""
        return digests.of_value(self.model_dump(mode="json"))


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
