"""What can go wrong, as one tree: catch the branch you can act on.

    PathAssetsError               .remedy
    ├── SlideError                .path .reason   the file is at fault; retrying will not help
    │   ├── SlideUnreadable                       it cannot be opened or found
    │   ├── SlideChanged                          its content is not what was registered
    │   ├── ResolutionMissing                     no source states micrometres per pixel
    │   ├── ResolutionImplausible                 the sources contradict each other or physics
    │   └── TileUnreadable                        it opens, but some of its pixels cannot be decoded
    ├── SpecError (ValueError)                    the request is impossible
    │   ├── WrongArguments (TypeError)            a parameter that there is not, or of no such type
    │   └── SelectionError                        a selection of slides that means nothing
    ├── AnnotationError           .path           an annotation cannot be read
    │   └── AnnotationsMissing                    none is recorded for this slide
    ├── EncoderError              .encoder        the model cannot do what was asked of it
    │   └── FeaturesNotFinite                     it gives NaN or infinity for a patch
    ├── StoreError                .uri            the artifact store
    │   ├── ArtifactMissing (FileNotFoundError)
    │   ├── ArtifactCorrupt
    │   ├── BagUnreadable                         features that a dataset names
    │   ├── MembersForgotten                      slides that a dataset names were taken out since
    │   ├── ObjectMissing (FileNotFoundError)     an object, or its bucket
    │   ├── ObjectChanged                         an object was written to while it was read
    │   ├── KeyUnreadable         .key            an object whose key stops a listing
    │   ├── StorageUnavailable                    the object storage does not answer
    │   └── OutputExists (FileExistsError)        what was to be written is there, and is another's
    ├── WorkerLost                                the worker process died or timed out on this slide
    ├── ClusterLost                               the cluster that worked on slides, as a whole
    ├── ResourcesShort                            no memory, thread or process is left to work with
    ├── ServiceEnded                              a program that `pathassets ui` had started
    ├── LeakageFound              .dataset        parts of a dataset share what nobody accepted
    └── CatalogError                              the SQL catalog
        ├── DagsterUnavailable                    the databases that Dagster keeps itself
        └── SlideForgotten                        the slide that is named was taken out for good

A message reads `subject: fact`; in `str(error)` the remedy follows, a sentence of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from pathassets.errors.wording import renamed, with_subject


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

    def named(self, subject: object) -> Self:
        """The same error, which names a subject: itself where its message does already."""
        message = with_subject(subject, self.message)
        if message == self.message:
            return self
        named: Self = _rebuild(type(self), (message, *self.args[1:]), self.__dict__)
        named.__cause__, named.__context__ = self.__cause__, self.__context__
        return named

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
        """The same about the slide under another name, such as what its copy was made from."""
        fact, remedy = (renamed(said, self.path, str(path)) for said in (self.fact, self.remedy))
        return type(self)(path, fact, remedy=remedy, reason=self.reason)


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
    tiles: tuple[Mapping[str, Any], ...] = ()
    """Those that were met, each as an artifact's facts list it."""

    def about(self, path: object) -> Self:
        """The same fact and tiles of the slide under another name."""
        return super().about(path).having(self.tiles)

    def having(self, tiles: Iterable[Mapping[str, Any]]) -> Self:
        """Itself, with the tiles that were met."""
        self.tiles = tuple(tiles)
        return self


class SpecError(PathAssetsError, ValueError):
    """The request is impossible."""

    reason = "spec_error"


class WrongArguments(SpecError, TypeError):
    """A parameter is missing, is not known, or is of another type than any it takes."""


class SelectionError(SpecError):
    """A selection of slides that means nothing; the message has lines that show the place."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}"


class AnnotationError(PathAssetsError):
    """An annotation, or one element of it, cannot be read."""

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


class BagUnreadable(StoreError):
    """Features of a slide that a dataset names are gone, damaged or other than it says."""

    reason = "bag_unreadable"

    def __init__(self, message: str, *, uri: object = "", remedy: str = "") -> None:
        """Take the message whole: a DataLoader makes the error of its worker's traceback anew."""
        PathAssetsError.__init__(self, message, remedy=remedy)
        self.uri = str(uri)


class MembersForgotten(StoreError):
    """Slides that a dataset names were taken out for good since it was made."""

    reason = "slide_forgotten"


class ObjectMissing(StoreError, FileNotFoundError):
    """An object of a bucket, or the bucket, is not there."""

    reason = "object_missing"


class ObjectChanged(StoreError):
    """An object of a bucket is not the one any more that was begun to be read."""

    reason = "object_changed"


class KeyUnreadable(StoreError):
    """An object of a bucket has a key that no file can have, and stops a listing."""

    key = ""  # below the bucket, as a stranger wrote it


class StorageUnavailable(StoreError):
    """The object storage does not answer, or has too much to do."""

    reason = "storage_unavailable"


class OutputExists(StoreError, FileExistsError):
    """What was to be written is there already, and is another request's."""

    reason = "output_exists"


class WorkerLost(PathAssetsError):
    """The worker process died or timed out on this slide."""

    reason = "worker_lost"
    is_late = False  # it timed out: to try again would take as long again


class ClusterLost(PathAssetsError):
    """The cluster that worked on slides is gone as a whole, and so is what was under way on it."""

    reason = "cluster_lost"


class ResourcesShort(PathAssetsError):
    """No memory, thread or process is left to work with; later, or with fewer workers, it is."""

    reason = "resources_short"
    is_for_now = False
    """Whether others hold what is short, and give it back once they are done with it."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"no memory, or no thread, is left for this: {said}",
            remedy="Use fewer workers or threads (PATHASSETS_WORKERS, PATHASSETS_READ_THREADS, "
            "num_workers), or give it more memory, and run it again",
        )

    @classmethod
    def of_scratch(cls, path: object, why: str, *, is_for_now: bool = False) -> Self:
        """A slide that can only be read from a copy, for which there is no room."""
        error = cls("")
        error.is_for_now = is_for_now
        error.args = (f"{path}: there is no room for the copy that it is read from: {why}",)
        error.remedy = (
            "Raise PATHASSETS_SCRATCH_GB, clear the disk, or let PATHASSETS_SCRATCH name a folder "
            "with more room, and run it again"
        )
        return error


_SHORT_TEXTS = ("can't start new thread", "(-4:Insufficient memory)")
"""What Python says where the system starts no thread, and OpenCV where it gives no memory."""
_SHORT = (errno.ENOMEM, errno.EAGAIN)  # Source: fork(2), mmap(2), pthread_create(3)


def shortage_of(error: BaseException) -> ResourcesShort | None:
    """What an error says where it, or its cause, is that something of the machine is used up.

    >>> shortage_of(MemoryError("256 MiB")).reason, shortage_of(ValueError("no"))
    ('resources_short', None)
    """
    found: BaseException | None = error
    while found is not None and not _is_shortage(found):
        found = found.__cause__
    if found is None or isinstance(found, ResourcesShort):
        return found
    said = getattr(found, "strerror", None) or str(found) or "no memory is left"
    short = ResourcesShort(said)
    short.__cause__ = error
    return short


def _is_shortage(error: BaseException) -> bool:
    if isinstance(error, PathAssetsError):  # its text may be a file's name; its cause says what
        return isinstance(error, ResourcesShort)
    if isinstance(error, OSError):
        return error.errno in _SHORT
    return isinstance(error, MemoryError) or any(text in str(error) for text in _SHORT_TEXTS)


_PASSING = frozenset(
    {
        *_SHORT,
        *(errno.ENOSPC, errno.EDQUOT),  # a disk is full until somebody clears it
        *(errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ENOTCONN, errno.ECONNRESET),
        *(errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    }
)
"""What a full disk, and a share whose server does not answer, give. Source: errno(3), nfs(5)."""


def is_passing(error: BaseException) -> bool:
    """Whether what went wrong may be otherwise in a while, with nobody's help.

    >>> is_passing(OSError(errno.ENOSPC, "No space left")), is_passing(FileNotFoundError("a.svs"))
    (True, False)
    """
    if isinstance(error, WorkerLost):
        return not error.is_late
    found: BaseException | None = error
    while found is not None:
        is_away = getattr(found, "is_away", False)
        if is_away or isinstance(found, ResourcesShort | StorageUnavailable):
            return True
        if isinstance(found, OSError) and found.errno in _PASSING:
            return True
        found = found.__cause__
    return False


class ServiceEnded(PathAssetsError):
    """A program that `pathassets ui` had started ended by itself."""

    reason = "service_ended"


class LeakageFound(PathAssetsError):
    """Parts of a dataset share a patient or a slide, and nobody accepted that."""

    reason = "leakage"

    def __init__(self, dataset: str, fact: str, *, remedy: str = "") -> None:
        super().__init__(f"dataset {dataset}: its parts are not apart: {fact}", remedy=remedy)
        self.dataset = dataset


class CatalogError(PathAssetsError):
    """The SQL catalog cannot be opened, read or written."""

    reason = "catalog_error"
    is_away = False  # its server does not answer, or its disk is full: later it may be otherwise


class DagsterUnavailable(CatalogError):
    """The databases of Dagster's own cannot be opened, read or written."""


class SlideForgotten(CatalogError):
    """The slide that is named was taken out for good, or its removal was begun."""

    reason = "slide_forgotten"
