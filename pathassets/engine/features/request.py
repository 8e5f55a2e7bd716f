"""What a user asks of `DeepFeatureExtractor.run` -> values that are checked, each with one meaning.

    keywords ─▶ RunParams ┐
    ioconfig, resolutions ├─▶ GridSpec, SlideInputs
    images, masks         ┘

Whatever is wrong with a request is said before anything is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

import numpy as np
from pydantic import ValidationError

from pathassets.core.features.encoder import EncoderCard, check_batch
from pathassets.core.features.patch_grid import GridSpec
from pathassets.core.near_names import did_you_mean
from pathassets.core.slides.resolution import Unit
from pathassets.core.slides.slide import check_mpp
from pathassets.engine.features.encoders import device_of
from pathassets.errors import SpecError

OnError = Literal["raise", "collect"]
OutputType = Literal["dict", "zarr"]


class RunOptions(TypedDict, total=False):
    """The optional keywords of `run`; the users' documents name most of them."""

    auto_get_mask: bool
    """Whether the tissue of a slide without a mask is found, and it alone is encoded; True."""
    batch_size: int
    """Patches in one pass of the model, for this run."""
    class_dict: Mapping[Any, Any] | None
    """Accepted, and of no account: features have no classes."""
    device: str
    """Device, for this run."""
    labels: Sequence[Any] | None
    """One for each image; see `return_labels`."""
    memory_threshold: float
    """Per cent of the machine's memory in use, above which nothing is read ahead; of `infer_wsi`,
    above which its arrays stay on the disk."""
    min_mask_ratio: float
    """A patch counts when the mask covers more than this share of it; 0 by default."""
    mpp: float | Sequence[float | None] | None
    """Micrometres per level-0 pixel of all slides, or of each, where a file says none."""
    num_workers: int
    """Threads that read, for this run; 0 and 1 are one thread beside the model's."""
    on_error: OnError
    """Once all other slides are done, "raise" raises `SlidesFailed`; "collect" returns."""
    output_file: str | None
    """Name of the output, in `save_dir`; of one slide, or of patches."""
    power: float | Sequence[float | None] | None
    """Objective power of all slides, or of each, where a file says none."""
    return_labels: bool
    """Whether labels come with the features."""
    return_probabilities: bool
    """Accepted: features, which take that place here, are returned always."""
    scale_factor: tuple[float, float] | None
    """Accepted, and of no account: outputs have `coordinates_px0`, exactly."""
    stride_shape: int | Sequence[int] | None
    """(height, width) of a step; the patch's own by default."""
    verbose: bool
    """Whether progress is shown, for this run: a bar, or in a log a line every ten seconds."""
    within_bound: bool
    """Whether patches that overhang the slide are left out, in place of padded with white."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParams:
    """The options of one run, all of them."""

    batch_size: int
    device: str
    num_workers: int
    verbose: bool
    auto_get_mask: bool = True
    class_dict: Any = None
    labels: Any = None
    memory_threshold: float | None = None
    min_mask_ratio: float = 0.0
    mpp: Any = None
    on_error: OnError = "raise"
    output_file: str | None = None
    power: Any = None
    return_labels: bool = False
    return_probabilities: bool = True
    scale_factor: Any = None
    stride_shape: Any = None
    within_bound: bool = False

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size, least=1)
        check_count("num_workers", self.num_workers, least=0)
        threshold = self.memory_threshold
        if threshold is not None and not 0 <= threshold <= 100:  # noqa: PLR2004 - per cent
            raise SpecError(f"memory_threshold: {threshold!r} is not per cent, 0 to 100")
        if self.on_error not in get_args(OnError):
            raise SpecError(f"on_error: {self.on_error!r}", remedy="Give 'raise' or 'collect'")

    def labels_of(self, n: int) -> list[Any] | None:
        """The labels of `n` images; None where none were given.

        Raises:
            SpecError: there are more, or fewer.
        """
        if self.labels is None:
            return None
        listed = _listed("labels", self.labels, n)
        return [one.item() if isinstance(one, np.generic) else one for one in listed]


def run_params(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> RunParams:
    """Read the keywords of a run; one that is None is one that was not given.

    Raises:
        TypeError: there is no such keyword.
        SpecError: a value is impossible.
    """
    known = [field.name for field in fields(RunParams)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"run() got an unexpected keyword argument {name!r}. {hint}")
    given_values = {k: v for k, v in given.items() if v is not None}
    if "device" in given_values:
        given_values["device"] = device_of(given_values["device"])
    return RunParams(**{**defaults, **given_values})


def check_count(name: str, number: object, *, least: int) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        SpecError: it is so.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise SpecError(
            f"{name}: {number!r} is no whole number of {least} or more",
            remedy=f"Give {least} or more",
        )


def check_output(output_type: str, save_dir: object, *, output_file: str | None) -> OutputType:
    """Refuse an output of no known type, and one without a place.

    Raises:
        SpecError: it is so.
    """
    if output_type not in get_args(OutputType):
        raise SpecError(
            f"output_type: {output_type!r} is not supported", remedy="Give 'dict' or 'zarr'"
        )
    if save_dir is None and (output_type == "zarr" or output_file):
        what = "output_type 'zarr'" if output_type == "zarr" else f"output_file {output_file!r}"
        raise SpecError(f"save_dir: none, and {what} needs one", remedy="Give a folder")
    return "zarr" if output_type == "zarr" else "dict"


def grid_spec(
    input_resolutions: object,
    patch_input_shape: object,
    ioconfig: object,
    params: RunParams,
    card: EncoderCard,
) -> GridSpec:
    """Settle resolution, patch and stride, by keywords, ioconfig, and what the encoder declares.

    Raises:
        SpecError: something is missing or impossible, or ioconfig and keyword contradict.
        EncoderError: the encoder takes patches of another size.
    """
    said = agreed_resolution(input_resolutions, ioconfig)
    if said is None and card.mpp is not None:
        said = ("mpp", card.mpp)
    shape = agreed_shape(patch_input_shape, ioconfig)
    if shape is None and card.patch_px is not None:
        shape = (card.patch_px, card.patch_px)
    if said is None or shape is None:
        name = "input_resolutions" if said is None else "patch_input_shape"
        raise SpecError(
            f"{name}: nobody says it, and encoder {card.name} takes any",
            remedy="Give input_resolutions=[{'units': 'mpp', 'resolution': 0.5}] and "
            "patch_input_shape=(224, 224), or an ioconfig",
        )
    stride = _agreed("stride_shape", params.stride_shape, ioconfig, _stride) or shape
    check_batch(card, np.empty((0, *shape, 3), np.uint8))
    try:
        return GridSpec(
            units=said[0], resolution=said[1], height_px=shape[0], width_px=shape[1],
            stride_y_px=stride[0], stride_x_px=stride[1], within_bound=params.within_bound,
            min_mask_ratio=params.min_mask_ratio,
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def agreed_shape(patch_input_shape: object, ioconfig: object) -> tuple[int, int] | None:
    """(height, width) of a patch by keyword and ioconfig; None where neither says it.

    Raises:
        SpecError: they contradict, or it is no size.
    """
    shape: tuple[int, int] | None = _agreed(
        "patch_input_shape", patch_input_shape, ioconfig, _patch
    )
    return shape


def agreed_resolution(input_resolutions: object, ioconfig: object) -> tuple[Unit, float] | None:
    """Units and value of the resolution by keyword and ioconfig; None where neither says it.

    Raises:
        SpecError: they contradict, or it is none.
    """
    said: tuple[Unit, float] | None = _agreed(
        "input_resolutions", input_resolutions, ioconfig, _resolution
    )
    return said


def _agreed(name: str, keyword: object, ioconfig: object, parse: Any) -> Any:
    """What keyword and ioconfig say; None where neither does."""
    if ioconfig is not None and not hasattr(ioconfig, name):
        raise SpecError(
            f"ioconfig: {type(ioconfig).__name__} has no {name}",
            remedy="Give an object with input_resolutions, patch_input_shape and stride_shape",
        )
    in_config = getattr(ioconfig, name, None)
    by_keyword = None if keyword is None else parse(name, keyword)
    by_config = None if in_config is None else parse(name, in_config)
    if by_keyword is not None and by_config is not None and by_keyword != by_config:
        raise SpecError(
            f"{name}: {keyword!r}, and {in_config!r} in the ioconfig",
            remedy="Give it in one place",
        )
    return by_config if by_keyword is None else by_keyword


def _resolution(name: str, given: object) -> tuple[Unit, float]:
    """Units and value of the only resolution: a mapping, or a list of equal ones."""
    listed = [given] if isinstance(given, Mapping) else given
    example = "[{'units': 'mpp', 'resolution': 0.5}]"
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise SpecError(f"{name}: {given!r} is no resolution", remedy=f"Give {example}")
    if any(one != listed[0] for one in listed[1:]):
        raise SpecError(f"{name}: {given!r} are several", remedy="Features are made at one")
    one = listed[0]
    if not isinstance(one, Mapping) or set(one) != {"units", "resolution"}:
        raise SpecError(f"{name}: {one!r} is no resolution", remedy=f"Give {example}")
    units, value = one["units"], one["resolution"]
    if units not in get_args(Unit):
        raise SpecError(
            f"{name}: units {units!r} are not known",
            remedy=did_you_mean(str(units), get_args(Unit)),
        )
    return units, _number(f"{name}: resolution", value)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise SpecError(f"{name} {value!r} is no number")
    return float(value)


def _patch(name: str, given: object) -> tuple[int, int]:
    return _shape(name, given, most=8192)


def _stride(name: str, given: object) -> tuple[int, int]:
    return _shape(name, given, most=65_536)


def _shape(name: str, given: object, *, most: int) -> tuple[int, int]:
    """(height, width) of one number or two."""
    numbers = np.atleast_1d(np.asarray(given))
    if numbers.dtype.kind not in "iu" or numbers.shape not in {(1,), (2,)}:
        raise SpecError(
            f"{name}: {given!r} is no size", remedy="Give (height, width) in pixels, or one number"
        )
    height, width = int(numbers[0]), int(numbers[-1])
    if not (1 <= height <= most and 1 <= width <= most):
        raise SpecError(f"{name}: {given!r} is not within 1 to {most} pixels")
    return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideInput:
    """One slide that is to be encoded."""

    key: Any
    """As the user gave it: what its result is found by."""
    path: Path
    mpp: float | None
    """Micrometres per level-0 pixel that the user states."""
    power: float | None
    mask: Any
    """As the user gave it; None where there is none."""
    label: Any = None
    """None where it is not to be returned."""


def slide_inputs(images: object, masks: object, params: RunParams) -> list[SlideInput]:
    """Bring slides and what belongs to each together.

    Raises:
        TypeError: `images` is no list.
        SpecError: something is there twice, or there is not one of it for each slide.
    """
    if not isinstance(images, list | tuple):
        raise TypeError(f"images: a list of slides is asked for, got {type(images).__name__}")
    n = len(images)
    paths = [_path_of(image) for image in images]
    _refuse_twice(paths)
    mpps = [_stated_mpp(image) for image in images]
    if params.mpp is not None:
        given = _each("mpp", params.mpp, n)
        mpps = [old if new is None else new for old, new in zip(mpps, given, strict=True)]
    powers = _each("power", params.power, n)
    labels = params.labels_of(n)
    if isinstance(masks, np.ndarray) and masks.ndim == 2 and n == 1:  # noqa: PLR2004
        masks = [masks]
    listed = [None] * n if masks is None else _listed("masks", masks, n)
    slides = []
    for place, image in enumerate(images):
        mpp = mpps[place]
        slides.append(
            SlideInput(
                key=image, path=paths[place], power=powers[place], mask=listed[place],
                mpp=None if mpp is None else check_mpp(mpp, subject=str(paths[place])),
                label=labels[place] if labels and params.return_labels else None,
            )
        )  # fmt: skip
    return slides


def _path_of(image: object) -> Path:
    """Where a slide's file is: a path, or what an open slide of ours or of OpenSlide says."""
    if isinstance(image, str | os.PathLike):
        return Path(image)
    for name in ("path", "_filename", "input_path"):  # ours, OpenSlide's, TIAToolbox's
        found = getattr(image, name, None)
        if isinstance(found, str | os.PathLike):
            return Path(found)
    raise SpecError(
        f"images: {type(image).__name__} is no slide",
        remedy="Give paths or open slides; for arrays of pixels give patch_mode=True",
    )


def _stated_mpp(image: object) -> float | None:
    """What was stated when an open slide was opened."""
    stated = getattr(getattr(image, "info", None), "stated_mpp", None)
    return stated if isinstance(stated, float | int) else None


def _refuse_twice(paths: list[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        place = path.absolute()
        if place in seen:
            raise SpecError(f"images: {path} is there twice", remedy="Name each slide once")
        seen.add(place)


def _each(name: str, given: object, n: int) -> list[float | None]:
    """One number for all, or a list of one for each; None stands for none."""
    if given is None or isinstance(given, int | float | np.integer | np.floating):
        listed: list[Any] = [given] * n
    else:
        listed = _listed(name, given, n)
    numbers = [None if one is None else _number(name + ":", one) for one in listed]
    if any(one is not None and not 0 < one < float("inf") for one in numbers):
        raise SpecError(f"{name}: {given!r} is not above 0")
    return numbers


def _listed(name: str, given: object, n: int) -> list[Any]:
    """A list of `n`."""
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        raise SpecError(f"{name}: {type(given).__name__} is no list", remedy="Give one an image")
    if len(given) != n:
        raise SpecError(f"{name}: {len(given)} for {n} images", remedy="Give one an image")
    return list(given)
