"""What can go wrong, as one tree: catch the branch you can act on.

    PathAssetsError               .remedy
    ├── SlideError                .path .reason   the file is at fault; retrying will not help
    │   ├── SlideUnreadable                       it cannot be opened or found
    │   ├── SlideChanged                          its content is not what was registered
    │   ├── ResolutionMissing                     no source states micrometres per pixel
    │   ├── ResolutionImplausible                 the sources contradict each other or physics
    │   └── TileUnreadable                        it opens, but some of its pixels cannot be decoded
    ├── SpecError (ValueError)                    the request is impossible
    ├── AnnotationError           .path           a drawing cannot be read
    │   └── AnnotationsMissing                    none is recorded for this slide
    ├── EncoderError              .encoder        the model cannot do what was asked of it
    │   └── FeaturesNotFinite                     it gives NaN or infinity for a patch
    ├── StoreError                .uri            the artifact store
    │   ├── ArtifactMissing (FileNotFoundError)
    │   └── ArtifactCorrupt
    ├── WorkerLost                                the worker process died or timed out on this slide
    ├── ServiceEnded                              a program that `pathassets ui` had started
    └── CatalogError                              the SQL catalog

A message reads `subject: fact`; the remedy, where there is one, is a sentence of its own, and part
of `str(error)`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class PathAssetsError(Exception):
    """Anything pathassets refuses or reports."""

    reason: str = "error"
    """Documented code, stable across releases, for machines (`pathassets status --json`)."""
    is_final: ClassVar[bool] = False
    """Whether the slide's content alone decides it, so that the same work fails the same way."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    @property
    def message(self) -> str:
        """`subject: fact`, without the remedy."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[PathAssetsError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Recreate an error in another process: keyword arguments do not survive `args`."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SlideError(PathAssetsError):
    """The file is at fault; retrying will not help."""

    reason = "slide_error"

    def __init__(self, path: object, fact: str, *, remedy: str = "", reason: str = "") -> None:
        super().__init__(f"{path}: {fact}", remedy=remedy)
        self.path = str(path)
        self.fact = fact
        if reason:
            self.reason = reason

    def about(self, path: object) -> Self:
        """The same fact about the slide under another name (a slide id, a shorter path)."""
        return type(self)(path, self.fact, remedy=self.remedy, reason=self.reason)


class SlideUnreadable(SlideError):
    """It cannot be opened or found."""

    reason = "slide_unreadable"


class SlideChanged(SlideError):
    """Its content is not what was registered."""

    reason = "slide_changed"


class ResolutionMissing(SlideError):
    """No source states micrometres per pixel."""

    reason = "resolution_missing"
    is_final = True


class ResolutionImplausible(SlideError):
    """The sources contradict each other or physics."""

    reason = "resolution_implausible"
    is_final = True


class TileUnreadable(SlideError):
    """It opens, but some of its pixels cannot be decoded."""

    reason = "tile_unreadable"
    is_final = True


class SpecError(PathAssetsError, ValueError):
    """The request is impossible."""

    reason = "spec_error"


class AnnotationError(PathAssetsError):
    """A drawing, or one element of it, cannot be read."""

    reason = "annotation_error"

    def __init__(self, path: object, fact: str, *, remedy: str = "") -> None:
        super().__init__(f"{path}: {fact}", remedy=remedy)
        self.path = str(path)


class AnnotationsMissing(AnnotationError):
    """None is recorded for this slide."""

    reason = "annotations_missing"
    is_final = True


class EncoderError(PathAssetsError):
    """The model cannot do what was asked of it."""

    reason = "encoder_error"

    def __init__(self, encoder: str, fact: str, *, remedy: str = "") -> None:
        super().__init__(f"encoder {encoder}: {fact}", remedy=remedy)
        self.encoder = encoder


class FeaturesNotFinite(EncoderError):
    """It gives NaN or infinity for a patch."""

    reason = "features_not_finite"


class StoreError(PathAssetsError):
    """The artifact store cannot do what was asked of it."""

    reason = "store_error"

    def __init__(self, uri: object, fact: str, *, remedy: str = "") -> None:
        super().__init__(f"{uri}: {fact}", remedy=remedy)
        self.uri = str(uri)


class ArtifactMissing(StoreError, FileNotFoundError):
    """An artifact that this work needs was never made, or is gone."""

    reason = "artifact_missing"


class ArtifactCorrupt(StoreError):
    """An artifact's bytes are not the ones that were published."""

    reason = "artifact_corrupt"


class WorkerLost(PathAssetsError):
    """The worker process died or timed out on this slide."""

    reason = "worker_lost"


class ServiceEnded(PathAssetsError):
    """A program that `pathassets ui` had started ended by itself."""

    reason = "service_ended"


class CatalogError(PathAssetsError):
    """The SQL catalog cannot be opened, read or written."""

    reason = "catalog_error"
