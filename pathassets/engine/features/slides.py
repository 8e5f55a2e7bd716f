"""Slides that are to be encoded -> their outputs, each continued where an earlier run stopped.

slide ─▶ fingerprint ─▶ done already? ─▶ mask, grid ─▶ SlideWork ─▶ the pipeline ─▶ renamed
                          └─ as it is
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.images.mask_files import (
    IMAGE_SUFFIXES,
    NUMPY_SUFFIXES,
    load_mask_array,
    load_mask_image,
)
from pathassets.adapters.openslide.members import members_of
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.features import patch_grid
from pathassets.core.features.encoder import Encoder, EncoderCard
from pathassets.core.features.patch_grid import FeatureGrid, GridSpec, lay_grid
from pathassets.core.patches import read_plan
from pathassets.core.slides.slide import SlideInfo, slide_id_of
from pathassets.core.spec import canonical_json, digest_of
from pathassets.core.tissue import tissue_mask
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask, TissueSpec
from pathassets.engine.features.outputs import MemoryWriter, OutputFolder, Place, remove_part
from pathassets.engine.features.progress import SlideProgressBar
from pathassets.engine.features.request import RunParams, SlideInput
from pathassets.engine.features.works import SlideEncoded, SlideWork, Target
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.tissue_mask import (
    as_tissue_mask,
    place_rows,
    require_order,
    tissue_mask_of,
)
from pathassets.engine.software import software_versions
from pathassets.errors import (
    ResolutionImplausible,
    ResolutionMissing,
    SlideChanged,
    SpecError,
    shortage_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepRequest:
    """All that is asked for of slides."""

    slides: list[SlideInput]
    grid: GridSpec
    params: RunParams
    encoder: Encoder
    folder: Path | None
    """Where outputs go; None keeps them in memory."""
    overwrite: bool


@dataclass(slots=True, kw_only=True)
class _Job:
    """A slide that is being encoded."""

    slide: SlideInput
    members: list[Path]
    stamp: FileStamp
    place: Place | None
    work: SlideWork
    grid: FeatureGrid
    attributes: dict[str, Any]
    progress: SlideProgressBar

    @property
    def writer(self) -> FeatureWriter:
        return self.work.targets[0].writer

    def close(self) -> None:
        """Let go of file and lock."""
        self.progress.close()
        self.writer.__exit__(None, None, None)
        if self.place is not None:
            self.place.release()


class SlideRun:
    """One run over slides: what is to be encoded, and what became of it."""

    def __init__(self, request: DeepRequest) -> None:
        self.outputs: dict[Any, Any] = {}
        self.errors: dict[Any, Exception] = {}
        self._request = request
        self._folder: OutputFolder | None = None
        if request.folder is not None:
            stems = [slide.path.stem for slide in request.slides]
            self._folder = OutputFolder(
                request.folder, stems, output_file=request.params.output_file
            )
        self._jobs: dict[int, _Job] = {}

    def works(self) -> Iterator[SlideWork]:
        """Yield the slides that are not done, laying each out when it is asked for."""
        for number, slide in enumerate(self._request.slides, 1):
            try:
                job = self._prepare(slide, number)
            except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
                self.errors[slide.key] = shortage_of(error) or error
                continue
            if job is not None:
                self._jobs[id(job.work)] = job
                yield job.work

    def take(self, done: SlideEncoded) -> None:
        """Keep what became of a slide."""
        job = self._jobs.pop(id(done.work))
        key = job.slide.key
        try:
            error = done.error or done.target_errors.get(0)
            if error is not None:
                raise error  # noqa: TRY301 - all that can go wrong with a slide ends below
            self.outputs[key] = self._finish(job)
        except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
            self.errors[key] = shortage_of(error) or error
        finally:
            job.close()

    def close(self) -> None:
        """Let go of slides that were begun, and bring what there is into input order."""
        for job in self._jobs.values():
            job.close()
        self._jobs.clear()
        keys = [slide.key for slide in self._request.slides]
        self.outputs = {key: self.outputs[key] for key in keys if key in self.outputs}
        self.errors = {key: self.errors[key] for key in keys if key in self.errors}

    def _prepare(self, slide: SlideInput, number: int) -> _Job | None:
        """Lay a slide out; None where its output is there."""
        asked = self._request
        with open_slide(slide.path, mpp=slide.mpp) as opened:
            members = members_of(Path(opened.path))
            stamp, fingerprint = stamp_of(members), fingerprint_of(members)
            given = placed_mask(given_mask(slide), opened)
            attributes = self._attributes(slide, opened.info, fingerprint, given)
            place = None
            if self._folder is not None:
                place = self._folder.place_of(slide.path.stem, fingerprint, attributes["request"])
                if place.is_done(overwrite=asked.overwrite):
                    self.outputs[slide.key] = place.final
                    return None
            coverage, attributes["mask_sha256"] = self._coverage(opened, given)
            grid = lay_grid(asked.grid, opened.info, coverage, objective_power=slide.power)
        attributes["patch_mpp"] = grid.locations.mpp
        attributes["scale_factor"] = [grid.downsample, grid.downsample]
        writer = self._writer(place, grid, attributes)
        progress = SlideProgressBar(
            len(grid.locations) - writer.n_done, is_shown=asked.params.verbose,
            label=f"{number}/{len(asked.slides)} {slide.path.name}",
        )  # fmt: skip
        work = SlideWork(
            name=str(slide.path), open=partial(open_slide, slide.path, mpp=slide.mpp),
            locations=grid.locations, crop_px=grid.crop_px,
            targets=(Target(encoder=asked.encoder, writer=writer, on_rows=progress.advance),),
        )  # fmt: skip
        return _Job(
            slide=slide, members=members, stamp=stamp, place=place, work=work, grid=grid,
            attributes=attributes, progress=progress,
        )  # fmt: skip

    def _writer(
        self, place: Place | None, grid: FeatureGrid, attributes: dict[str, Any]
    ) -> FeatureWriter:
        """Begin or continue the output, which is this process's from now on."""
        shape = self._request.encoder.card.shape
        if place is None:
            return MemoryWriter(len(grid.locations), shape)
        place.acquire()
        try:
            if self._request.overwrite:
                remove_part(place.part)
            boxes = {"coordinates": grid.coordinates, "coordinates_px0": grid.coordinates_px0}
            return FeatureWriter(place.part, shape=shape, boxes=boxes, attributes=attributes)
        except BaseException:
            place.release()
            raise

    def _attributes(
        self, slide: SlideInput, info: SlideInfo, fingerprint: str, given: Any
    ) -> dict[str, Any]:
        """What an output says of itself; `request` is a digest of all that decides its content."""
        spec, card = self._request.grid, self._request.encoder.card
        mask = mask_identity(given, is_auto=self._request.params.auto_get_mask)
        identity = {
            "slide_sha256": fingerprint, "slide_mpp": info.mpp, "mask": mask, "grid": spec,
            "objective_power": slide.power or info.objective_power, "encoder": card,
            "label": slide.label,
            "code": [patch_grid.CODE_VERSION, read_plan.CODE_VERSION],
        }  # fmt: skip
        return {
            "request": digest_of(identity),
            "slide_id": slide_id_of(slide.path.stem, fingerprint),
            "slide_sha256": fingerprint,
            "slide_mpp": info.mpp,
            "objective_power": slide.power or info.objective_power,
            "units": spec.units,
            "resolution": spec.resolution,
            "patch_input_shape": [spec.height_px, spec.width_px],
            "stride_shape": [spec.stride_y_px, spec.stride_x_px],
            "within_bound": spec.within_bound,
            "min_mask_ratio": spec.min_mask_ratio,
            "mask": mask["kind"],
            **({} if slide.label is None else {"label": slide.label}),
            **encoder_attributes(card),
        }

    def _coverage(self, slide: OpenedSlide, given: Any) -> tuple[Coverage | None, str]:
        """What of the slide counts, and the mask's SHA-256; None and nothing where all does."""
        info = slide.info
        size = {"width_px0": info.width_px0, "height_px0": info.height_px0}
        is_auto = given is None and self._request.params.auto_get_mask
        if info.mpp is None and (is_auto or self._request.grid.units == "mpp"):
            raise _no_mpp(slide, is_auto=is_auto)
        if is_auto:
            given = tissue_mask_of(slide)
        if given is None:
            return None, ""
        if isinstance(given, TissueMask):
            mask = as_tissue_mask(given, slide)
            return Coverage(mask, **size), _sha256(mask.tissue)
        return Coverage.stretched(given, **size), _sha256(given)

    def _finish(self, job: _Job) -> Any:
        """Make the output whole, and say where it is, or hand it out."""
        now = stamp_of(job.members)
        is_same = (now.size_bytes, now.mtime_ns) == (job.stamp.size_bytes, job.stamp.mtime_ns)
        if not is_same:
            if job.place is not None:
                remove_part(job.place.part)
            raise SlideChanged(
                job.slide.path, "changed while it was read", remedy="Run again once it is whole"
            )
        job.writer.finish()
        if job.place is None:
            return {
                "features": job.writer.rows if isinstance(job.writer, MemoryWriter) else None,
                "coordinates": job.grid.coordinates,
                "coordinates_px0": job.grid.coordinates_px0,
                "attributes": {**job.attributes, "is_complete": True},
            }
        job.place.publish(overwrite=self._request.overwrite)
        return job.place.final


def given_mask(slide: SlideInput) -> TissueMask | np.ndarray | None:
    """A slide's mask as it was given: an array is bool (y, x), to be stretched over the slide.

    A pixel above 0 is in the mask, whatever the type of the numbers.

    Raises:
        AnnotationError: a file cannot be read.
        SpecError: it is no mask.
    """
    mask = slide.mask
    if mask is None or isinstance(mask, TissueMask):
        return mask
    if isinstance(mask, str | Path):
        path = Path(mask)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return load_mask_image(path)
        mask = load_mask_array(path) if path.suffix.lower() in NUMPY_SUFFIXES else None
    if isinstance(mask, np.ndarray) and mask.ndim == 2 and mask.size:  # noqa: PLR2004
        return np.asarray(mask > 0)
    what = f"of shape {mask.shape}" if isinstance(mask, np.ndarray) else repr(slide.mask)
    raise SpecError(
        f"{slide.path}: {what} is no mask",
        remedy="Give an array [y, x], a PNG, TIFF, BMP or .npy file, a TissueMask, or None",
    )


def placed_mask(
    given: TissueMask | np.ndarray | None, slide: OpenedSlide
) -> TissueMask | np.ndarray | None:
    """A mask as it lies on the slide: an array's axes as they should be, one of the bounds there.

    Raises:
        SpecError: its axes are exchanged, or the slide has bounds and nothing tells where it lies.
    """
    if not isinstance(given, np.ndarray):
        return given
    what = "array or .npy [y, x], or picture"
    require_order(given, slide, what)
    if slide.info.bounds_px0 is None:
        return given
    return place_rows(given, slide, what)


def mask_identity(given: TissueMask | np.ndarray | None, *, is_auto: bool) -> dict[str, Any]:
    """What decides a mask, without finding the tissue again."""
    if given is None:
        if not is_auto:
            return {"kind": "none"}
        return {"kind": "auto", "spec": TissueSpec(), "code": tissue_mask.CODE_VERSION}
    if isinstance(given, TissueMask):
        sha256 = _sha256(given.tissue)
        return {"kind": "given", "sha256": sha256, "downsample": given.downsample}
    return {"kind": "given", "sha256": _sha256(given), "downsample": None}


def _sha256(mask: np.ndarray) -> str:
    """SHA-256 of a mask's shape and pixels."""
    hasher = hashlib.sha256(repr(mask.shape).encode())
    hasher.update(np.packbits(mask, axis=None).tobytes())
    return hasher.hexdigest()


def encoder_attributes(card: EncoderCard) -> dict[str, Any]:
    """What an output says of its encoder."""
    return {
        "encoder": card.name,
        "encoder_version": card.version,
        "weights": card.weights,
        "weights_sha256": card.weights_sha256,
        "preprocessing": json.loads(canonical_json(card.preprocessing)),
        "pooling": card.pooling,
        "precision": card.precision,
        "software": software_versions(),
    }


def _no_mpp(slide: OpenedSlide, *, is_auto: bool) -> ResolutionMissing | ResolutionImplausible:
    audit = slide.info.audit
    kind = ResolutionMissing if audit.reason == ResolutionMissing.reason else ResolutionImplausible
    other = ", or a mask, or auto_get_mask=False" if is_auto else ", or ask by level or baseline"
    return kind(slide.path, audit.fact, remedy=f"Give mpp=… once you know it{other}")
