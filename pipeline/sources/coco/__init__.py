"""COCO folders (https://cocodataset.org/#format-data): captions, instances and images.

``source.py`` is the source, ``listing.py`` reads the JSON files and deals their rows to shards,
``picture_files.py`` checks the pictures, ``places.py`` turns COCO's boxes and segmentations into ours.
"""

from pipeline.sources.coco.reasons import REASONS
from pipeline.sources.coco.source import CocoSource

__all__ = ["REASONS", "CocoSource"]
