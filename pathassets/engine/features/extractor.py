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

from pathassets.adapters.objects.remote_file import on_disk
from pathassets.adapters.tqdm import progress_bar
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.features.encoder import Encoder, EncoderCard
from pathassets.engine.features.batches import shape_of
from pathassets.engine.features.dataloader import encode_loader, finite_rows, joined
from pathassets.engine.features.encoders import device_of
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.given_patches import check_patches, read_batches
from pathassets.engine.features.outputs import publish, refuse_existing, remove_part, unwritable
from pathassets.engine.features.request import (
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
from pathassets.engine.features.slides import DeepRequest, SlideRun, encoder_attributes
from pathassets.engine.features.user_encoder import PostProcessed, open_model
from pathassets.engine.features.works import EncodingHow
from pathassets.engine.workers.prefetch import one_ahead
from pathassets.errors import PathAssetsError, SpecError
from pathassets.errors.wording import with_subject

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

    def __repr__(self) -> str:
        n_all = len(self) + len(self.errors)
        return f"SlideOutputs({len(self)} of {n_all} slides: {', '.join(map(str, self))})"


class SlidesFailed(PathAssetsError):
    """Some slides of a run failed; all others are done."""

    def __init__(self, outputs: SlideOutputs) -> None:
        self.outputs = outputs
        """Of the slides that are done."""
        self.errors = outputs.errors
        """Of the others."""
        n_all = len(outputs) + len(self.errors)
        first = list(self.errors.items())[:3]
        listed = "; ".join(with_subject(key, str(error)) for key, error in first)
        super().__init__(
            f"{len(self.errors)} of {n_all} slides failed: {listed}",
            remedy="The others are done: see .outputs and .errors; "
            "on_error='collect' returns in place of raising",
        )


class DeepFeatureExtractor:
    """Extracts features of slides, or of patches, with a model.

    Args:
        model: the name of a known encoder (`pathassets encoders list`), `timm:NAME`,
            `package.module:factory` or the path of an exported program; an `EncoderRequest`; a
            `torch.nn.Module`; or an object with the methods of
            `pathassets.core.features.encoder.Encoder`.
        batch_size: patches in one pass of the model.
        num_workers: threads that read; 0 and 1 are one thread beside the model's, and more than
            four gain little.
        weights: file with the weights, which must be there; None for those that the model has.
        device: "cpu", or a GPU: "cuda" is the first one, "cuda:1" the second.
        verbose: whether progress is shown: a bar, or in a log a line every ten seconds.

    Source: the class of this name in TIAToolbox, whose parameters these are.

    Raises:
        SpecError: there is no such encoder, or a number is impossible.
        EncoderError: the model cannot be opened, with these weights, on this device.
        TypeError: `model` is nothing of the kind.
    """

    process_prediction_per_batch = False
    """Whether batches become predictions one by one; never: they are features, see
    `post_process_patches`, which is called with each."""

    def __init__(  # noqa: PLR0913 - the users' documents name them
        self, model: Any, batch_size: int = BATCH_SIZE, num_workers: int = 0,
        weights: str | Path | None = None, *, device: str = "cpu", verbose: bool = True,
    ) -> None:  # fmt: skip
        check_count("batch_size", batch_size, least=1)
        check_count("num_workers", num_workers, least=0)
        device = device_of(device)
        self._defaults = {
            "batch_size": batch_size, "device": device, "num_workers": num_workers,
            "verbose": verbose,
        }  # fmt: skip
        self._model, self._weights = model, None if weights is None else str(weights)
        self._opened = (device, batch_size), self._open(device, batch_size)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._defaults.items())
        return f"{type(self).__name__}({self.card.name!r}, {settings})"

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

        Patches are RGB. Returned are `features` (n, …) float32 and `coordinates`, or with
        `save_dir` the path of a Zarr group.

        Slides are paths or open slides. Each becomes `<save_dir>/<stem>.zarr`, with `features`,
        `coordinates` (n, 4) [x0, y0, x1, y1] in pixels of the resolution, and `coordinates_px0` in
        level-0 pixels; returned are their paths by slide, as `SlideOutputs`. Without `save_dir` the
        arrays are. What the same request made already is not made again, and what it began is
        continued. Two slides with one stem keep two outputs.

        Args:
            images: patches, as an array (n, y, x, 3), or a list of arrays or of image files; or
                slides, as a list.
            masks: one for each slide: an array or a `.npy` file [y, x] (the pools take [x, y]), an
                image, a `TissueMask`, or None, for which `auto_get_mask` decides. Arrays and images
                are stretched over the slide; refused are those of the slide's shape with their axes
                exchanged. Of a slide that has bounds (MIRAX, Leica) they must have the shape of
                level 0 or of the bounds, and lie there.
            input_resolutions: `[{"units": "mpp", "resolution": 0.5}]`; units are mpp, power,
                baseline or level. None for what the encoder was trained on.
            patch_input_shape: (height, width) of a patch at that resolution, or one number. None
                for what the encoder takes.
            ioconfig: an object with `input_resolutions`, `patch_input_shape`, `stride_shape`.
            patch_mode: whether images are patches; a file that is a slide is refused.
            save_dir: folder for the outputs, which may be there; None keeps them in memory.
            overwrite: whether an output that another request made is replaced, and not refused;
                what else is in the folder stays.
            output_type: "dict" or "zarr"; with `save_dir` it is zarr.
            **kwargs: for this run, of `RunOptions`:
                auto_get_mask: whether tissue is found in slides without a mask, and it alone is
                    encoded; True.
                min_mask_ratio: a patch counts when the mask covers more of it; 0.
                stride_shape: (height, width) of a step, or one number; the patch's by default.
                within_bound: whether patches that overhang the slide are left out; False pads.
                mpp, power: of all slides, or a list for each, where a file says none.
                labels, return_labels: one for each image, and whether they come back.
                output_file: name of the output in `save_dir`; of patches, or of one slide.
                on_error: once all other slides are done, "raise" or "collect".
                memory_threshold: per cent of the machine's memory in use, above which nothing is
                    read ahead; 0 reads nothing ahead.
                batch_size, num_workers, device, verbose: in place of the extractor's.
                class_dict, return_probabilities, scale_factor: accepted, and of no account.

        Raises:
            SpecError: the request is impossible, which is a ValueError.
            TypeError: `images` is no list, or there is no such keyword.
            SlidesFailed: some slides failed; with `on_error="raise"`, once all others are done.
            EncoderError: patches cannot be encoded.
            StoreError: the output of patches cannot be written, or another is in its place.
        """
        params = run_params(kwargs, self._defaults)
        kind = check_output(output_type, save_dir, output_file=params.output_file)
        folder = None if save_dir is None else on_disk(save_dir)
        encoder = self._encoder_for(params)
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
            refuse_existing(path, overwrite=overwrite)
        found = _encode_patches(encoder, check_patches(images), params, shape)
        return self.save_predictions(found, kind, path, overwrite=overwrite)

    def infer_wsi(
        self, dataloader: Iterable[Any], save_path: str | Path | None = None,
        **kwargs: Unpack[RunOptions],
    ) -> dict[str, Any]:  # fmt: skip
        """Encode the patches that a loader of one's own gives, such as torch's `DataLoader`.

        Args:
            dataloader: gives batches: (pixels, coordinates), or a mapping with `image` and
                `coords`; RGB uint8 (m, y, x, 3), and (m, 4).
            save_path: where a Zarr group of `features` and `coordinates` is written meanwhile, a
                chunk of rows at a time, so that memory stays flat; it has its name once it is
                whole. None keeps the rows in memory.
            **kwargs: as of `run`. `memory_threshold`, 80 by default, is per cent of the machine's
                memory: where the arrays would take it above that, or at 0, those returned are
                Zarr arrays, which read from `save_path` what is asked of them.

        Returns:
            `probabilities`, the features, and `coordinates`.

        `run` reads slides by itself, several times faster, and does not call this.

        Raises:
            EncoderError: a batch cannot be encoded; nothing is left at `save_path`.
            StoreError: it cannot be written, or something is there.
        """
        params = run_params(kwargs, self._defaults)
        path = None if save_path is None else on_disk(save_path)
        return encode_loader(dataloader, self._encoder_for(params), params, path)

    def post_process_patches(
        self, raw_predictions: np.ndarray, **kwargs: Unpack[RunOptions]
    ) -> np.ndarray:
        """Return the features of a batch as they are.

        Override it to change what is stored, row by row: a projection, a normalisation. It is
        called with every batch, from one thread, and must not depend on what else is in the batch.
        The name of the class becomes a part of the encoder's version.

        Args:
            raw_predictions: features (m, …) float32.
            **kwargs: accepted, and of no account.
        """
        del kwargs
        return raw_predictions

    def save_predictions(
        self, processed_predictions: Mapping[str, Any], output_type: str,
        save_path: str | Path | None = None, *, overwrite: bool = False,
        **kwargs: Unpack[RunOptions],
    ) -> Any:  # fmt: skip
        """Return features as a dictionary, or write them as a Zarr group and return its path.

        Args:
            processed_predictions: `features`, or `probabilities`, which become that; `coordinates`
                and `labels`. It stays as it is; `predictions` are left out.
            output_type: "dict" or "zarr".
            save_path: of the Zarr group, which needs one.
            overwrite: whether what is there is replaced.
            **kwargs: as of `run`; of no account here.

        Raises:
            SpecError: there is no such output type, or no path for it.
            StoreError: it cannot be written; OutputExists where something is there, without
                `overwrite`.
        """
        params = run_params(kwargs, self._defaults)
        kind = check_output(output_type, save_path, output_file=params.output_file)
        found = {k: v for k, v in processed_predictions.items() if k != "predictions"}
        if "probabilities" in found:
            found["features"] = found.pop("probabilities")
        if kind == "dict" or save_path is None:
            found.pop("attributes", None)
            return found
        return _write(found, on_disk(save_path), overwrite=overwrite)

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
        with (
            closing(one_ahead(run.works())) as works,
            closing(encode_slides(works, how)) as encoded,
        ):
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
    bar = progress_bar(len(images), unit="patches", label="patches", is_shown=params.verbose)
    with closing(reading) as batches, bar as advance:
        for pixels in batches:
            rows.append(finite_rows(encoder.encode(pixels), encoder, start))
            boxes[start : start + len(pixels), 2:] = pixels.shape[2], pixels.shape[1]
            start += len(pixels)
            advance(len(pixels))
    found = {"probabilities": joined(rows, encoder.card), "coordinates": boxes}
    if labels is not None and params.return_labels:
        found["labels"] = np.asarray(labels)
    return {**found, "attributes": encoder_attributes(encoder.card)}


def _write(found: Mapping[str, Any], path: Path, *, overwrite: bool) -> Path:
    """Write features, and boxes of theirs, as a group that has its name once it is whole."""
    refuse_existing(path, overwrite=overwrite)
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
