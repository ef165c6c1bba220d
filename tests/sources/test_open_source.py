"""The registry of dataset formats."""

from typing import get_args

import pytest
from scenes_world import source_params

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources import FORMATS, open_source
from pipeline.sources.scenes.source import ScenesSource


def test_the_settings_offer_the_formats_that_there_are():
    assert set(get_args(SourceParams.model_fields["name"].annotation)) == set(FORMATS)


def test_the_name_chooses_the_format():
    assert isinstance(open_source(source_params(), 1), ScenesSource)


def test_an_unknown_format_is_named_with_those_that_there_are():
    with pytest.raises(UserError, match=r"source\.name: found 'voc'.*scenes, coco"):
        open_source(source_params().model_copy(update={"name": "voc"}), 1)
