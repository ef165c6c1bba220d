"""The page's addresses: a FastAPI application over `service.Service`.

Everything is read with GET. Errors that a user can mend come as ``{"message": ...}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from pipeline.browse.guard import Guard
from pipeline.browse.index import Filters
from pipeline.browse.pictures import Encoded
from pipeline.browse.service import Service
from pipeline.errors import UserError

STATIC = Path(__file__).parent / "static"
PAGE = 60
FOR_GOOD = "private, max-age=86400, immutable"
"""Of pictures whose address holds the beginning of their digest, ``of``."""

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=500)]


def make(service: Service, names: Iterable[str] = (), allow_remote: bool = False) -> FastAPI:
    """The application. ``names``: names that it is served under beside ``localhost`` and addresses."""
    # FastAPI's own pages of documentation load scripts from the network: there are none here.
    app = FastAPI(title="patchwords browse", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, names=tuple(names), allow_remote=allow_remote)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _bad_request)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/api/dataset")
    def dataset() -> dict[str, Any]:
        return service.about()

    @app.get("/api/words")
    def words(starting: str = "", limit: Limit = 40) -> list[dict[str, Any]]:
        return service.words(starting, limit)

    @app.get("/api/gallery")
    def gallery(filters: Chosen, offset: Offset = 0, limit: Limit = PAGE) -> dict[str, Any]:
        return service.gallery(filters, offset, limit)

    @app.get("/api/image")
    def image(filters: Chosen, id: str) -> dict[str, Any]:
        return service.image(id, filters)

    @app.get("/api/rejects")
    def rejects(stage: str = "", reason: str = "", offset: Offset = 0, limit: Limit = PAGE) -> dict[str, Any]:
        return service.rejects(stage, reason, offset, limit)

    @app.get("/api/similarity")
    def similarity(phrase: str) -> dict[str, Any]:
        return service.similarity(phrase)

    @app.get("/picture/thumbnail/{row}")
    def thumbnail(row: int, of: str = "") -> Response:
        return _picture(service.thumbnail(row, of), FOR_GOOD if of else "no-cache")

    @app.get("/picture/view/{row}")
    def view(row: int, of: str = "") -> Response:
        return _picture(service.picture(row, of), FOR_GOOD if of else "no-cache")

    @app.get("/picture/similarity")
    def similarity_picture(phrase: str, name: str) -> Response:
        return _picture(service.similarity_picture(phrase, name), "no-cache")

    @app.get("/picture/overlay")
    def overlay(phrase: str) -> Response:
        return _picture(service.overlay(phrase), "no-cache")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _filters(
    split: str = "",
    word: str = "",
    annotator: str = "",
    score_min: float | None = None,
    score_max: float | None = None,
    coverage_min: float | None = None,
    coverage_max: float | None = None,
    rejects: str = "",
    where: str = "",
) -> Filters:
    return Filters(
        split, word.strip().lower(), annotator, score_min, score_max, coverage_min, coverage_max, rejects,
        where.strip(),
    )  # fmt: skip


Chosen = Annotated[Filters, Depends(_filters)]


def _picture(encoded: Encoded, cache: str) -> Response:
    data, kind = encoded
    return Response(data, media_type=kind, headers={"cache-control": cache})


def _user_error(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"message": str(error)}, status_code=400, headers={"cache-control": "no-store"})


def _bad_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    told = [f"{fault['loc'][-1]}={fault.get('input')!r}: {fault['msg'].lower()}" for fault in error.errors()]
    return JSONResponse({"message": "The address cannot be read: " + "; ".join(told) + "."}, status_code=400)
