"""COCO folders (https://cocodataset.org/#format-data): captions, instances and images.

``source.py`` is the source, ``listing.py`` reads the JSON files and deals their rows to shards,
``picture_files.py`` knows where pictures lie.
"""

from pipeline.sources.coco.source import CocoSource
from pipeline.sources.reasons import REASONS

__all__ = ["REASONS", "CocoSource"]
