"""What is asked of a pool of patch locations -> a task for each slide, checked.

Whatever is wrong with the request is said before a slide is opened; a task is made when a worker is
free for it.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pathassets.engine.locations.classes import LocatedPatches
from pathassets.engine.locations.numbers import SIDE, is_list
from pathassets.errors import SpecError, WrongArguments

OnError = Literal["raise", "skip", "collect"]
LISTS = {
    "wsi_file_list": "wsi_file",
    "mask_data_list": "mask_data",
    "polygon_data_list": "polygon_data",
    "points_list": "points",
    "slide_mpp_list": "slide_mpp",
}
"""Lists of a pool, and the parameter that an entry of each is for one slide."""
OWN_LISTS = ("wsi_file", "mask_data", "polygon_data", "points")
"""Parameters that are given for each slide, always."""
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


class Plan:
    """What is asked of a pool, checked."""

    def __init__(self, kind: type[LocatedPatches], asked: Mapping[str, Any]) -> None:
        self._kind = kind
        self._lists = {
            parameter: _as_list(name, asked[name])
            for name, parameter in LISTS.items()
            if asked.get(name) is not None
        }
        self.wsi_files = [str(path) for path in self._lists["wsi_file"]]
        self.on_error: OnError = asked["on_error"]
        self.is_shown = bool(asked["verbose"])
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
        names = {parameter: name for name, parameter in LISTS.items()}
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
        taken = {*OWN_LISTS, *self._lists}
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
