"""``params.yaml`` as typed, validated models. The same models make the forms of the Prefect UI.

Only this package reads ``params.yaml``; everything else is handed the section that it needs.
"""

from pipeline.params.annotation import (
    AuditParams,
    ConsensusParams,
    DatasetSourceParams,
    GroundingDinoParams,
    GroundingdinoParams,
    GroundParams,
    MaskModelParams,
    MaskModelsParams,
    OpenClipSourceParams,
    Owlv2Params,
    ParseParams,
    PatchWordsParams,
    TagsParams,
)
from pipeline.params.file import PARAMS_FILE, Params, load, parse
from pipeline.params.models import (
    EncoderParams,
    LanguageModelParams,
    PretrainedEncoderParams,
    PretrainedLanguageModelParams,
    TrainedEncoderParams,
    TrainedLanguageModelParams,
)
from pipeline.params.running import ComputeParams, EvaluateParams, ReportParams
from pipeline.params.section import Section
from pipeline.params.source import (
    CaptionedParams,
    CocoParams,
    Flickr30kParams,
    FolderParams,
    GroundingJsonParams,
    HeldBackParams,
    LlavaParams,
    ParquetParams,
    RefcocoParams,
    ScenesParams,
    SourceParams,
    VisualGenomeParams,
    WebdatasetParams,
)
from pipeline.params.training import OptimisationParams, PatchLossParams, ProjectorParams, TrainParams

__all__ = [
    "PARAMS_FILE",
    "AuditParams",
    "CaptionedParams",
    "CocoParams",
    "ComputeParams",
    "ConsensusParams",
    "DatasetSourceParams",
    "EncoderParams",
    "EvaluateParams",
    "Flickr30kParams",
    "FolderParams",
    "GroundParams",
    "GroundingDinoParams",
    "GroundingJsonParams",
    "GroundingdinoParams",
    "HeldBackParams",
    "LanguageModelParams",
    "LlavaParams",
    "MaskModelParams",
    "MaskModelsParams",
    "OpenClipSourceParams",
    "OptimisationParams",
    "Owlv2Params",
    "Params",
    "ParquetParams",
    "ParseParams",
    "PatchLossParams",
    "PatchWordsParams",
    "PretrainedEncoderParams",
    "PretrainedLanguageModelParams",
    "ProjectorParams",
    "RefcocoParams",
    "ReportParams",
    "ScenesParams",
    "Section",
    "SourceParams",
    "TagsParams",
    "TrainParams",
    "TrainedEncoderParams",
    "TrainedLanguageModelParams",
    "VisualGenomeParams",
    "WebdatasetParams",
    "load",
    "parse",
]
