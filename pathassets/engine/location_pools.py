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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from pathassets.engine import location_classes as single
from pathassets.engine.location_classes import LocatedPatches
from pathassets.engine.location_numbers import SIDE, is_list
from pathassets.engine.pool import LocalWorkers
from pathassets.errors import PathAssetsError, SpecError, WorkerLost, WrongArguments, with_subject

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip", "collect"]

TIMEOUT_S = 3600.0
"""Time a slide may take: its file may lie on a disk that does not answer."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LISTS = {
    "wsi_file_list": "wsi_file",
    "mask_data_list": "mask_data",
    "polygon_data_list": "polygon_data",
    "points_list": "points",
    "slide_mpp_list": "slide_mpp",
}
"""Lists of a pool, and the parameter that an entry of each is for one slide."""
_LABELS = ("included_labels", "excluded_labels")
"""Parameters that are lists for one slide already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationTask:
    """One slide's work, as it goes to a worker."""

    index: int
    """Place of the slide in the lists."""
    kind: type[LocatedPatches]
    arguments: dict[str, Any]
    preview: dict[str, Any] | None
    """Arguments of `save_preview_image`."""


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

    def __init__(self, **arguments: Any) -> None:
        try:
            bound = self.__signature__.bind(**arguments)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        plan = _Plan(self._kind, bound.arguments)
        self.errors = {}
        located = dict(sorted(self._run(plan).items()))
        self.indices = list(located)
        self.pids = [one.pid for one in located.values()]
        self._results = [one.patches for one in located.values()]

    def _run(self, plan: _Plan) -> dict[int, Located]:
        """What was found on each slide, by its place; errors are kept apart."""
        located: dict[int, Located] = {}
        tasks = plan.tasks(lambda: plan.on_error == "raise" and bool(self.errors))
        workers = LocalWorkers(n_workers=plan.n_workers, timeout_s=TIMEOUT_S)
        results = workers.imap(locate, tasks)
        try:
            for task, result in results:
                if isinstance(result, Exception):
                    self._enter(task.index, _of_slide(result, plan.wsi_files[task.index]), plan)
                else:
                    located[task.index] = result
                if plan.on_error == "raise" and self._is_first(located):
                    break
        finally:
            results.close()
        if plan.on_error == "raise" and self.errors:
            raise self.errors[min(self.errors)]
        return located

    def _is_first(self, located: Mapping[int, Located]) -> bool:
        """Whether some slide failed and all before it are done: no other can be the first."""
        first = min(self.errors, default=None)
        return first is not None and all(place in located for place in range(first))

    def _enter(self, index: int, error: Exception, plan: _Plan) -> None:
        self.errors[index] = error
        if plan.on_error == "skip":
            told = with_subject(plan.wsi_files[index], str(error))
            logger.warning("slide %d is left out: %s", index, told)

    def __getitem__(self, index: Any) -> Any:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

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


class _Plan:
    """What is asked of a pool, checked."""

    def __init__(self, kind: type[LocatedPatches], asked: Mapping[str, Any]) -> None:
        self._kind = kind
        self._lists = {
            parameter: _as_list(name, asked[name])
            for name, parameter in _LISTS.items()
            if asked.get(name) is not None
        }
        self.wsi_files = [str(path) for path in self._lists["wsi_file"]]
        self.on_error: OnError = asked["on_error"]
        self.n_workers = _count("proc_num_workers", asked["proc_num_workers"])
        _count("mp_chunksize", asked["mp_chunksize"])
        self._shared = dict(asked["patches_args"])
        self._preview = dict(asked["save_preview_image_args"])
        self._n_stems = Counter(Path(path).stem for path in self.wsi_files)
        self._check()

    def _check(self) -> None:
        if self.on_error not in get_args(OnError):
            raise SpecError(
                f"on_error: {self.on_error!r} is not possible",
                remedy=f"Give one of {', '.join(get_args(OnError))}",
            )
        names = {parameter: name for name, parameter in _LISTS.items()}
        for parameter, entries in self._lists.items():
            self._check_length(names[parameter], entries)
        self._check_names()
        for name, value in self._shared.items():
            if _is_per_slide(name, value):
                self._check_length(f"patches_args[{name!r}]", value)
        self._check_preview()
        for index in range(len(self.wsi_files)):
            self._kind.read_request(self._arguments(index) | self._stand_ins())

    def _check_preview(self) -> None:
        if self._preview and "image_file" not in self._preview:
            raise WrongArguments("save_preview_image_args: there is no image_file")
        known = list(inspect.signature(self._kind.save_preview_image).parameters)[1:]
        for name in self._preview:
            if name not in known:
                raise WrongArguments(
                    f"save_preview_image_args: there is no {name!r}",
                    remedy=f"There are {', '.join(known)}",
                )

    def _check_length(self, name: str, entries: Sequence[Any]) -> None:
        if len(entries) != len(self.wsi_files):
            raise SpecError(
                f"{name} has {len(entries)} entries, wsi_file_list {len(self.wsi_files)}",
                remedy="Give one for each slide",
            )

    def _check_names(self) -> None:
        taken = {"wsi_file", "mask_data", "polygon_data", "points", *self._lists}
        known = set(self._kind.__signature__.parameters)
        for name in self._shared:
            if name in taken:
                raise SpecError(
                    f"patches_args: {name!r} is given for each slide", remedy=f"Use {name}_list"
                )
            if name not in known:
                raise WrongArguments(
                    f"patches_args: {self._kind.__name__} takes no {name!r}",
                    remedy=f"It takes {', '.join(sorted(known - taken))}",
                )
        needed = {
            name
            for name, parameter in self._kind.__signature__.parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        for name in sorted(needed - taken - set(self._shared)):
            raise WrongArguments(f"patches_args: {self._kind.__name__} needs {name!r}")

    def _stand_ins(self) -> dict[str, Any]:
        """In place of what is large or costs something to look at."""
        return {
            name: value
            for name, value in (("mask_data", None), ("polygon_data", ()), ("points", ()))
            if name in self._lists
        }

    def _arguments(self, index: int) -> dict[str, Any]:
        """One slide's parameters, but for those that are stand-ins when they are checked."""
        shared = {
            name: value[index] if _is_per_slide(name, value) else value
            for name, value in self._shared.items()
        }
        small = {n: self._lists[n][index] for n in ("wsi_file", "slide_mpp") if n in self._lists}
        return shared | small

    def tasks(self, is_over: Callable[[], bool]) -> Iterator[LocationTask]:
        """A task for each slide, made when it is taken."""
        for index in range(len(self.wsi_files)):
            if is_over():
                return
            own = {name: entries[index] for name, entries in self._lists.items()}
            yield LocationTask(
                index=index, kind=self._kind, arguments=self._arguments(index) | own,
                preview=self._preview_of(index),
            )  # fmt: skip

    def _preview_of(self, index: int) -> dict[str, Any] | None:
        """Arguments of one slide's preview: no two slides share a file."""
        if not self._preview:
            return None
        path, stem = Path(self._preview["image_file"]), Path(self.wsi_files[index]).stem
        own = stem if self._n_stems[stem] == 1 else f"{stem}-{index}"
        return self._preview | {"image_file": path.with_name(f"{own}{path.name}")}


def _parameters(kind: type[LocatedPatches]) -> dict[str, Any]:
    """Names of a pool's parameters with their defaults."""
    empty = inspect.Parameter.empty
    own = {name for name in ("polygon_data", "points") if name in kind.__signature__.parameters}
    lists = [name for name, one in _LISTS.items() if one in {"wsi_file", "mask_data", *own}]
    return dict.fromkeys([*lists, "patches_args", "proc_num_workers"], empty) | {
        "mp_chunksize": 1, "save_preview_image_args": _NOTHING, "on_error": "raise",
        "slide_mpp_list": None,
    }  # fmt: skip


def _as_list(name: str, entries: Any) -> Sequence[Any]:
    if isinstance(entries, str | bytes | Path | Mapping) or not hasattr(entries, "__getitem__"):
        raise SpecError(
            f"{name}: {type(entries).__name__} is not a list",
            remedy="Give one entry for each slide",
        )
    return entries  # type: ignore[no-any-return]


def _is_per_slide(name: str, value: Any) -> bool:
    """Whether a parameter's value is one for each slide: a list; of lists, for lists of labels."""
    return is_list(value) and (name not in _LABELS or any(is_list(entry) for entry in value))


def _count(name: str, value: Any) -> int:
    SIDE.check(name, value)
    return int(value)


def _of_slide(error: Exception, wsi_file: str) -> Exception:
    """Let an error that knows no slide name one."""
    if isinstance(error, WorkerLost):
        error.remedy = "Look whether its disk answers, and for 'out of memory' in the system log"
    if isinstance(error, PathAssetsError):
        return error.named(wsi_file)
    if wsi_file not in str(error):
        error.add_note(f"slide {wsi_file}")
    return error


class WholeImageGridPatchesPool(LocationsPool, patches=single.WholeImageGridPatches):
    """`WholeImageGridPatches` of many slides."""


class WholeImageRandomPatchesPool(LocationsPool, patches=single.WholeImageRandomPatches):
    """`WholeImageRandomPatches` of many slides."""


class WholeImagePoissonDiskPatchesPool(LocationsPool, patches=single.WholeImagePoissonDiskPatches):
    """`WholeImagePoissonDiskPatches` of many slides."""


class WholeImageCustomPatchesPool(LocationsPool, patches=single.WholeImageCustomPatches):
    """`WholeImageCustomPatches` of many slides."""


class WholeImageInvertedGridPatchesPool(
    LocationsPool, patches=single.WholeImageInvertedGridPatches
):
    """`WholeImageInvertedGridPatches` of many slides."""


class WholeImageInvertedRandomPatchesPool(
    LocationsPool, patches=single.WholeImageInvertedRandomPatches
):
    """`WholeImageInvertedRandomPatches` of many slides."""


class WholeImageInvertedPoissonDiskPatchesPool(
    LocationsPool, patches=single.WholeImageInvertedPoissonDiskPatches
):
    """`WholeImageInvertedPoissonDiskPatches` of many slides."""


class WholeImageInvertedCustomPatchesPool(
    LocationsPool, patches=single.WholeImageInvertedCustomPatches
):
    """`WholeImageInvertedCustomPatches` of many slides."""


class PolygonRegionGridPatchesPool(LocationsPool, patches=single.PolygonRegionGridPatches):
    """`PolygonRegionGridPatches` of many slides."""


class PolygonRegionRandomPatchesPool(LocationsPool, patches=single.PolygonRegionRandomPatches):
    """`PolygonRegionRandomPatches` of many slides."""


class PolygonRegionPoissonDiskPatchesPool(
    LocationsPool, patches=single.PolygonRegionPoissonDiskPatches
):
    """`PolygonRegionPoissonDiskPatches` of many slides."""


class PolygonRegionCustomPatchesPool(LocationsPool, patches=single.PolygonRegionCustomPatches):
    """`PolygonRegionCustomPatches` of many slides."""
