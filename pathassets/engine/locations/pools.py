"""Where the patches of many slides are: a pool for each of the twelve location classes.

    lists, one entry for each slide ─▶ checked ─▶ one task for each slide ─▶ workers ─▶ in the order
                                                  made when a worker is free            of the lists

A worker is given the mask, the polygons and the points of the one slide it works on.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from pathassets.adapters.tqdm import progress_bar
from pathassets.core import display
from pathassets.engine.locations import classes
from pathassets.engine.locations.classes import LocatedPatches
from pathassets.engine.locations.pool_tasks import LISTS, OWN_LISTS, LocationTask, Plan
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import PathAssetsError, WorkerLost
from pathassets.errors.wording import with_subject

logger = logging.getLogger(__name__)

TIMEOUT_S = 3600.0
"""Time a slide may take: its file may lie on a disk that does not answer."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Located(NamedTuple):
    """What a worker sends back."""

    patches: LocatedPatches
    pid: int


def locate(task: LocationTask) -> Located:
    """Find one slide's patches."""
    patches = task.kind(**task.arguments)
    if task.preview is not None:
        patches.save_preview_image(**task.preview)
    return Located(patches, os.getpid())


class LocationsPool(Sequence[LocatedPatches]):
    """Patches of many slides: a list of location objects, in the order of `wsi_file_list`.

    `wsi_file_list`, `mask_data_list` and, where the class takes them, `polygon_data_list` and
    `points_list` have one entry for each slide; so has `slide_mpp_list`, with None where the file
    counts. `patches_args` are the parameters of the class: a list has one value for each slide, a
    list in it one for each polygon; lists of labels are for all slides, but for lists of lists.

    `proc_num_workers` processes work on so many slides at once; `mp_chunksize` is checked and
    changes nothing. `save_preview_image_args` save an image of each slide: its name is the slide's,
    followed by that of `image_file`.

    What is wrong with the request is refused before any worker starts. `on_error` says what becomes
    of slides that fail: "raise" stops early and raises the error of the first of them in the order
    of the list; "skip" and "collect" leave them out and keep why in `errors`, "skip" logs it, too.
    `indices` says which slides the results are of.

    Raises:
        SpecError: lists differ in length, or what is asked for is impossible.
        PathAssetsError: with on_error="raise": the first slide's that failed.
    """

    _kind: ClassVar[type[LocatedPatches]]
    __signature__: ClassVar[inspect.Signature]

    errors: dict[int, Exception]
    """Errors of slides that failed, by their place in the lists."""
    indices: list[int]
    """For each result the place of its slide in the lists."""
    pids: list[int]
    """For each result the process that found it."""

    def __init_subclass__(cls, *, patches: type[LocatedPatches]) -> None:
        cls._kind = patches
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in _parameters(patches).items()
        ]
        cls.__signature__ = inspect.Signature(parameters)

    @classmethod
    def patches_args_keys(cls) -> tuple[type[LocatedPatches], list[str]]:
        """The class that `patches_args` are for, and what may stand in them."""
        names = cls._kind.__signature__.parameters
        return cls._kind, [name for name in names if name not in OWN_LISTS]

    def __init__(self, **arguments: Any) -> None:
        try:
            bound = self.__signature__.bind(**arguments)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        plan = Plan(self._kind, bound.arguments)
        self.errors = {}
        located = dict(sorted(self._run(plan).items()))
        self.indices = list(located)
        self.pids = [one.pid for one in located.values()]
        self._results = [one.patches for one in located.values()]

    def _run(self, plan: Plan) -> dict[int, Located]:
        """What was found on each slide, by its place; errors are kept apart."""
        located: dict[int, Located] = {}
        tasks = plan.tasks(lambda: plan.on_error == "raise" and bool(self.errors))
        workers = LocalWorkers(n_workers=plan.n_workers, timeout_s=TIMEOUT_S)
        results = workers.imap(locate, tasks)
        with (
            closing(results),
            progress_bar(
                len(plan.wsi_files), unit="slides", label="located", is_shown=plan.is_shown
            ) as advance,
        ):
            for task, result in results:
                advance(1)
                if isinstance(result, Exception):
                    self._enter(task.index, _of_slide(result, plan.wsi_files[task.index]), plan)
                else:
                    located[task.index] = result
                if plan.on_error == "raise" and self._is_first(located):
                    break
        if plan.on_error == "raise" and self.errors:
            raise self.errors[min(self.errors)]
        return located

    def _is_first(self, located: Mapping[int, Located]) -> bool:
        """Whether some slide failed and all before it are done: no other can be the first."""
        first = min(self.errors, default=None)
        return first is not None and all(place in located for place in range(first))

    def _enter(self, index: int, error: Exception, plan: Plan) -> None:
        self.errors[index] = error
        if plan.on_error == "skip":
            said = with_subject(plan.wsi_files[index], str(error))
            logger.warning("slide %d is left out: %s", index, said)

    def __getitem__(self, index: Any) -> Any:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        failed = f"{len(self.errors):,} failed" if self.errors else ""
        slides = display.count(len(self), "slide")
        return display.line(self, slides, display.count(self.patch_count, "patch"), failed)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first slides."""
        rows = ((one.wsi_file[-display.TEXT_CHARS :], one.patch_count) for one in self._results)
        return display.table(repr(self), ("slide", "patches"), rows, len(self))

    def __iter__(self) -> Iterator[LocatedPatches]:
        return iter(self._results)

    @property
    def patch_count(self) -> int:
        """Patches of all slides."""
        return sum(one.patch_count for one in self._results)

    @property
    def patch_info(self) -> dict[str, int]:
        """Patches of each label on all slides, also of those without any."""
        counts: Counter[str] = Counter()
        for one in self._results:
            counts.update(one.patch_info)
        return dict(sorted(counts.items()))

    @property
    def patch_labels(self) -> list[str]:
        """Distinct labels of all slides, sorted."""
        return sorted({label for one in self._results for label in one.patch_labels})

    @property
    def patch_details(self) -> list[tuple[str, dict[str, int]]]:
        """Each result's slide, and its patches of each label."""
        return [(one.wsi_file, one.patch_info) for one in self._results]


def _parameters(kind: type[LocatedPatches]) -> dict[str, Any]:
    """Names of a pool's parameters with their defaults."""
    empty = inspect.Parameter.empty
    own = {name for name in ("polygon_data", "points") if name in kind.__signature__.parameters}
    lists = [name for name, one in LISTS.items() if one in {"wsi_file", "mask_data", *own}]
    return dict.fromkeys([*lists, "patches_args", "proc_num_workers"], empty) | {
        "mp_chunksize": 1, "save_preview_image_args": _NOTHING, "on_error": "raise",
        "slide_mpp_list": None, "verbose": False,
    }  # fmt: skip


def _of_slide(error: Exception, wsi_file: str) -> Exception:
    """Let an error that knows no slide name one."""
    if isinstance(error, WorkerLost):
        error.remedy = "Look whether its disk answers, and for 'out of memory' in the system log"
    if isinstance(error, PathAssetsError):
        return error.named(wsi_file)
    if wsi_file not in str(error):
        error.add_note(f"slide {wsi_file}")
    return error


class WholeImageGridPatchesPool(LocationsPool, patches=classes.WholeImageGridPatches):
    """`WholeImageGridPatches` of many slides."""


class WholeImageRandomPatchesPool(LocationsPool, patches=classes.WholeImageRandomPatches):
    """`WholeImageRandomPatches` of many slides."""


class WholeImagePoissonDiskPatchesPool(LocationsPool, patches=classes.WholeImagePoissonDiskPatches):
    """`WholeImagePoissonDiskPatches` of many slides."""


class WholeImageCustomPatchesPool(LocationsPool, patches=classes.WholeImageCustomPatches):
    """`WholeImageCustomPatches` of many slides."""


class WholeImageInvertedGridPatchesPool(
    LocationsPool, patches=classes.WholeImageInvertedGridPatches
):
    """`WholeImageInvertedGridPatches` of many slides."""


class WholeImageInvertedRandomPatchesPool(
    LocationsPool, patches=classes.WholeImageInvertedRandomPatches
):
    """`WholeImageInvertedRandomPatches` of many slides."""


class WholeImageInvertedPoissonDiskPatchesPool(
    LocationsPool, patches=classes.WholeImageInvertedPoissonDiskPatches
):
    """`WholeImageInvertedPoissonDiskPatches` of many slides."""


class WholeImageInvertedCustomPatchesPool(
    LocationsPool, patches=classes.WholeImageInvertedCustomPatches
):
    """`WholeImageInvertedCustomPatches` of many slides."""


class PolygonRegionGridPatchesPool(LocationsPool, patches=classes.PolygonRegionGridPatches):
    """`PolygonRegionGridPatches` of many slides."""


class PolygonRegionRandomPatchesPool(LocationsPool, patches=classes.PolygonRegionRandomPatches):
    """`PolygonRegionRandomPatches` of many slides."""


class PolygonRegionPoissonDiskPatchesPool(
    LocationsPool, patches=classes.PolygonRegionPoissonDiskPatches
):
    """`PolygonRegionPoissonDiskPatches` of many slides."""


class PolygonRegionCustomPatchesPool(LocationsPool, patches=classes.PolygonRegionCustomPatches):
    """`PolygonRegionCustomPatches` of many slides."""
