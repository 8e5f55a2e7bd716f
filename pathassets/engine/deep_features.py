"""Slides or patches, a model -> features, by one object: for notebooks and scripts.

run ─▶ deep_request: checked ─┬─▶ patches: deep_images ─▶ encoder ─▶ arrays, or one Zarr group
                              └─▶ slides: deep_slides ─▶ encoding ─▶ a Zarr group for each
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from pathassets.adapters.feature_store import FeatureWriter
from pathassets.core.encoder import Encoder, EncoderCard
from pathassets.engine.deep_encoder import PostProcessed, open_model
from pathassets.engine.deep_images import check_patches, read_batches
from pathassets.engine.deep_outputs import publish, remove_part, unwritable
from pathassets.engine.deep_request import (
    RunOptions,
    RunParams,
    agreed_resolution,
    agreed_shape,
    check_count,
    check_output,
    grid_spec,
    run_params,
    slide_inputs,
)
from pathassets.engine.deep_slides import DeepRequest, SlideRun, encoder_attributes
from pathassets.engine.encoding import EncodingHow, encode_slides
from pathassets.engine.passes import shape_of
from pathassets.errors import EncoderError, PathAssetsError, SpecError, StoreError, with_subject

BATCH_SIZE = 8
DEFAULT_OUTPUT = "output"
"""Name of the output of patches, where none is given."""


class SlideOutputs(dict[Any, Any]):
    """What became of slides: by each as it was given, the path of its output, or its arrays."""

    errors: dict[Any, Exception]
    """Why there is nothing of the others."""

    def __init__(self, outputs: Mapping[Any, Any], errors: Mapping[Any, Exception]) -> None:
        super().__init__(outputs)
        self.errors = dict(errors)


class SlidesFailed(PathAssetsError):
    """Some slides of a run failed; all others are done."""

    def __init__(self, outputs: SlideOutputs) -> None:
        self.outputs = outputs
        """Of the slides that are done."""
        self.errors = outputs.errors
        """Of the others."""
        n_all = len(outputs) + len(self.errors)
        first = list(self.errors.items())[:3]
        told = "; ".join(with_subject(key, str(error)) for key, error in first)
        super().__init__(
            f"{len(self.errors)} of {n_all} slides failed: {told}",
            remedy="The others are done: see .outputs and .errors; "
            "on_error='collect' returns in place of raising",
        )


class DeepFeatureExtractor:
    """Extracts features of slides, or of patches, with a model.

    `model` is the name of a known encoder, `timm:NAME`, `package.module:factory` or the path of an
    exported program (see `EncoderRequest`); an `EncoderRequest`; a `torch.nn.Module`; or an
    `Encoder`. `weights` are the ones used, and must be there. `batch_size` patches are one pass of
    the model; `num_workers` threads read, 0 being one beside the model's.

    Source: the class of this name in TIAToolbox, whose parameters these are.

    Raises:
        SpecError: there is no such encoder, or a number is impossible.
        EncoderError: the model cannot be opened, with these weights, on this device.
        TypeError: `model` is nothing of the kind.
    """

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, model: Any, batch_size: int = BATCH_SIZE, num_workers: int = 0,
        weights: str | Path | None = None, *, device: str = "cpu", verbose: bool = True,
    ) -> None:  # fmt: skip
        check_count("batch_size", batch_size, least=1)
        check_count("num_workers", num_workers, least=0)
        self._defaults = {
            "batch_size": batch_size, "device": device, "num_workers": num_workers,
            "verbose": verbose,
        }  # fmt: skip
        self._model, self._weights = model, None if weights is None else str(weights)
        self._opened = (device, batch_size), self._open(device, batch_size)

    @property
    def card(self) -> EncoderCard:
        """What is known about the encoder."""
        return self._opened[1].card

    def run(  # noqa: PLR0913 - the users' documents name them
        self, images: Any, *, masks: Any = None, input_resolutions: Any = None,
        patch_input_shape: Any = None, ioconfig: Any = None, patch_mode: bool = True,
        save_dir: str | Path | None = None, overwrite: bool = False, output_type: str = "dict",
        **kwargs: Unpack[RunOptions],
    ) -> Any:  # fmt: skip
        """Extract the features of patches, or with `patch_mode=False` of slides.

        Patches are RGB: an array (n, y, x, 3), or a list of arrays or of image files. Returned are
        `features` (n, …) float32 and `coordinates`, or with `save_dir` the path of a Zarr group.

        Slides are paths or open slides. Each becomes `<save_dir>/<stem>.zarr`, with `features`,
        `coordinates` (n, 4) [x0, y0, x1, y1] in pixels of the resolution, and `coordinates_px0` in
        level-0 pixels; returned are their paths by slide, as `SlideOutputs`. Without `save_dir` the
        arrays are. What the same request made already is not made again, and what it began is
        continued; what another made is refused, unless `overwrite`, which replaces those slides'
        own outputs and nothing else. Two slides with one stem keep two outputs.

        `masks` has one for each slide: an array or a `.npy` file [y, x] (the pools take [x, y]), an
        image, a `TissueMask`, or None. Arrays and images are stretched over the slide; refused are
        those of the slide's shape with their axes exchanged. Of a slide that has bounds (MIRAX,
        Leica) they must have the shape of level 0 or of the bounds, and lie there. Of slides
        without a mask the tissue is found and encoded, unless `auto_get_mask=False`.
        `patch_input_shape` is (height, width), or one number. `RunOptions` lists the keywords that
        may follow; they hold for this run.

        Raises:
            SpecError: the request is impossible, which is a ValueError.
            TypeError: `images` is no list, or there is no such keyword.
            SlidesFailed: some slides failed; with `on_error="raise"`, once all others are done.
            EncoderError: patches cannot be encoded.
            StoreError: the output of patches cannot be written, or another is in its place.
        """
        params = run_params(kwargs, self._defaults)
        kind = check_output(output_type, save_dir, output_file=params.output_file)
        encoder = self._encoder_for(params)
        folder = None if save_dir is None else Path(save_dir)
        if not patch_mode:
            slides = slide_inputs(images, masks, params)
            grid = grid_spec(input_resolutions, patch_input_shape, ioconfig, params, encoder.card)
            shape_of(encoder, grid.height_px, grid.width_px)  # its card tells it from now on
            return _run_slides(
                DeepRequest(
                    slides=slides, grid=grid, params=params, encoder=encoder, folder=folder,
                    overwrite=overwrite,
                )
            )  # fmt: skip
        if masks is not None:
            raise SpecError("masks: are for slides", remedy="Give patch_mode=False")
        agreed_resolution(input_resolutions, ioconfig)
        shape = agreed_shape(patch_input_shape, ioconfig)
        path = None
        if folder is not None:
            path = folder / f"{Path(params.output_file or DEFAULT_OUTPUT).stem}.zarr"
            kind = "zarr"
            _refuse_existing(path, overwrite=overwrite)
        found = _encode_patches(encoder, check_patches(images), params, shape)
        return self.save_predictions(found, kind, path, overwrite=overwrite)

    def infer_wsi(
        self, dataloader: Iterable[Any], save_path: str | Path | None = None,
        **kwargs: Unpack[RunOptions],
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Encode the patches that a loader of one's own gives, such as torch's `DataLoader`.

        A batch is (pixels, coordinates) or a mapping with `image` and `coords`: RGB uint8
        (m, y, x, 3), and (m, 4). Returned are `probabilities`, the features, and `coordinates`;
        with `save_path` they are also written there. `run` reads slides by itself, several times
        faster, and does not call this.

        Raises:
            EncoderError: a batch cannot be encoded.
            StoreError: it cannot be written.
        """
        encoder = self._encoder_for(run_params(kwargs, self._defaults))
        rows: list[np.ndarray] = []
        boxes = [np.empty((0, 4), np.int64)]
        n = 0
        for batch in dataloader:
            is_named = isinstance(batch, Mapping)
            pixels, coordinates = (batch["image"], batch["coords"]) if is_named else batch
            rows.append(_checked(encoder.encode(np.asarray(pixels)), encoder, n))
            boxes.append(np.asarray(coordinates, np.int64))
            n += len(rows[-1])
        found: dict[str, np.ndarray] = {
            "probabilities": _joined(rows, encoder.card),
            "coordinates": np.concatenate(boxes),
        }
        if save_path is not None:
            told = {**found, "attributes": encoder_attributes(encoder.card)}
            self.save_predictions(told, "zarr", save_path)
        return found

    def post_process_patches(
        self, raw_predictions: np.ndarray, **kwargs: Unpack[RunOptions]
    ) -> np.ndarray:
        """Return the features of a batch as they are, (m, …) float32.

        Override it to change what is stored, row by row: a projection, a normalisation. It is
        called with every batch, from one thread, and must not depend on what else is in the batch.
        The name of the class becomes a part of the encoder's version.
        """
        del kwargs
        return raw_predictions

    def save_predictions(
        self, processed_predictions: Mapping[str, Any], output_type: str,
        save_path: str | Path | None = None, *, overwrite: bool = False,
        **kwargs: Unpack[RunOptions],
    ) -> Any:  # fmt: skip
        """Return features as a dictionary, or write them as a Zarr group and return its path.

        What is called `probabilities` there becomes `features`; the argument stays as it is.

        Raises:
            SpecError: there is no such output type, or no path for it.
            StoreError: it cannot be written, or something is there, without `overwrite`.
        """
        params = run_params(kwargs, self._defaults)
        kind = check_output(output_type, save_path, output_file=params.output_file)
        found = {k: v for k, v in processed_predictions.items() if k != "predictions"}
        if "probabilities" in found:
            found["features"] = found.pop("probabilities")
        if kind == "dict" or save_path is None:
            found.pop("attributes", None)
            return found
        return _write(found, Path(save_path), overwrite=overwrite)

    def _encoder_for(self, params: RunParams) -> Encoder:
        """The encoder of a run; one of another device or batch size is opened for that run."""
        opened_for, encoder = self._opened
        if opened_for != (params.device, params.batch_size) or encoder.card.map_shape:
            encoder = self._open(params.device, params.batch_size)  # a map is as large as a patch
        if type(self).post_process_patches is DeepFeatureExtractor.post_process_patches:
            return encoder
        return PostProcessed(encoder, self.post_process_patches, type(self).__qualname__)

    def _open(self, device: str, rows: int) -> Encoder:
        return open_model(self._model, self._weights, device=device, rows=rows)


def _run_slides(request: DeepRequest) -> SlideOutputs:
    params, folder = request.params, request.folder
    if params.output_file and len(request.slides) != 1:
        raise SpecError(
            f"output_file: one name for {len(request.slides)} slides",
            remedy="Leave it out: outputs are named for their slides",
        )
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
    how = EncodingHow(
        n_threads=max(1, params.num_workers), memory_threshold=params.memory_threshold
    )
    run = SlideRun(request)
    try:
        with closing(encode_slides(run.works(), how)) as encoded:
            for done in encoded:
                run.take(done)
    finally:
        run.close()
    outputs = SlideOutputs(run.outputs, run.errors)
    if run.errors and params.on_error == "raise":
        raise SlidesFailed(outputs) from next(iter(run.errors.values()))
    return outputs


def _encode_patches(
    encoder: Encoder,
    images: Sequence[Any] | np.ndarray,
    params: RunParams,
    shape: tuple[int, int] | None,
) -> dict[str, Any]:
    """Features of patches, and what belongs to them."""
    labels = params.labels_of(len(images))
    rows: list[np.ndarray] = []
    boxes = np.zeros((len(images), 4), np.int64)
    start = 0
    reading = read_batches(
        images, n_batch=encoder.rows, n_threads=max(1, params.num_workers), shape=shape
    )
    with closing(reading) as batches:
        for pixels in batches:
            rows.append(_checked(encoder.encode(pixels), encoder, start))
            boxes[start : start + len(pixels), 2:] = pixels.shape[2], pixels.shape[1]
            start += len(pixels)
    found = {"probabilities": _joined(rows, encoder.card), "coordinates": boxes}
    if labels is not None and params.return_labels:
        found["labels"] = np.asarray(labels)
    return {**found, "attributes": encoder_attributes(encoder.card)}


def _joined(rows: list[np.ndarray], card: EncoderCard) -> np.ndarray:
    return np.concatenate(rows) if rows else np.empty((0, *card.shape), np.float32)


def _checked(rows: np.ndarray, encoder: Encoder, first: int) -> np.ndarray:
    """The same rows, where all are finite."""
    bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
    if bad.size:
        raise EncoderError(
            encoder.card.name, f"features of patch {first + int(bad[0])} are not finite",
            remedy="Look at that patch, and at the encoder's preprocessing and precision",
        )  # fmt: skip
    return rows


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise StoreError(path, "is there already", remedy="Give another name, or overwrite=True")


def _write(found: Mapping[str, Any], path: Path, *, overwrite: bool) -> Path:
    """Write features, and boxes of theirs, as a group that has its name once it is whole."""
    _refuse_existing(path, overwrite=overwrite)
    part = path.with_name(f".{path.name}.part")
    remove_part(part)
    features = np.asarray(found["features"], np.float32)
    boxes = {k: np.asarray(v, np.int64) for k, v in found.items() if k.startswith("coordinates")}
    attributes = dict(found.get("attributes", {}))
    if "labels" in found:
        attributes["labels"] = np.asarray(found["labels"]).tolist()
    boxes = boxes or {"coordinates": np.zeros((len(features), 4), np.int64)}
    with FeatureWriter(
        part, shape=features.shape[1:], boxes=boxes, attributes=attributes
    ) as writer:
        writer.write(features)
        writer.finish()
    publish(part, path, overwrite=overwrite)
    return path
