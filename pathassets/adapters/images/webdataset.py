"""Images -> WebDataset: tar shards of samples, as `webdataset`, or any tar, reads them.

    shard-000000.tar
      {key}.jpg  {key}.json                            a patch, and what the manifest tells of it
      {key}.level0.jpg  {key}.mpp1.0.jpg  {key}.json   a set: its images, told by suffix

Files of one sample share what stands before the first dot, so a key has none. It is unique over
slides: shards of several may lie in one folder under other names. Headers hold no clock and no
owner: the same images give the same bytes.

Source: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pathassets.adapters.images.patch_files import unwritable
from pathassets.core.patches.names import resolution_part
from pathassets.core.patches.patch_set import EncodedPatch, Row, row_of
from pathassets.core.spec import canonical_json

SHARD = "shard-{:06d}.tar"
_BLOCK_BYTES = tarfile.BLOCKSIZE


class WebDataset:
    """Keeps images in tar shards, each begun when the next sample would make the last too large."""

    where: tuple[str, ...] = ("file", "key", "start")

    def __init__(self, folder: Path, *, key: str, image_type: str, shard_bytes: int) -> None:
        """`key` is what all keys begin with; it has no dot and no slash."""
        self._folder = folder
        self._key = key
        self._image_type = image_type
        self._shard_bytes = shard_bytes
        self._n_samples = 0
        self._n_shards = 0
        self._tar: tarfile.TarFile | None = None

    def store(self, patch: EncodedPatch) -> None:
        """Nothing can be done out of order."""

    def write(self, patches: Sequence[EncodedPatch]) -> list[Row]:
        """Take the next images; the images of a set are one sample.

        Raises:
            StoreError: they cannot be written.
        """
        rows: list[Row] = []
        try:
            for _, sample in itertools.groupby(patches, key=lambda patch: patch.place.index):
                rows += self._add_sample(list(sample))
        except OSError as error:
            raise unwritable(self._folder, error) from error
        return rows

    def _add_sample(self, images: list[EncodedPatch]) -> list[Row]:
        key = f"{self._key}_{self._n_samples:08d}"
        members = [(f"{key}.{self._suffix_of(image)}", image) for image in images]
        told = {name.partition(".")[2]: row_of(image, {}) for name, image in members}
        text = canonical_json(told if len(told) > 1 else next(iter(told.values()))).encode()
        sizes = [len(image.data) for image in images] + [len(text)]
        tar = self._shard_for(
            sum(_BLOCK_BYTES + -(-n // _BLOCK_BYTES) * _BLOCK_BYTES for n in sizes)
        )
        rows: list[Row] = []
        for name, image in members:
            start = _add(tar, name, image.data)
            rows.append({"file": SHARD.format(self._n_shards - 1), "key": name, "start": start})
        _add(tar, f"{key}.json", text)
        self._n_samples += 1
        return rows

    def _suffix_of(self, image: EncodedPatch) -> str:
        if image.place.set_number is None:
            return self._image_type
        repeat = f".r{image.place.repeat + 1}" if image.place.repeat else ""
        return f"{resolution_part(image.place.level_or_mpp)}{repeat}.{self._image_type}"

    def _shard_for(self, n_bytes: int) -> tarfile.TarFile:
        if self._tar is not None and self._tar.offset + n_bytes > self._shard_bytes:
            self.close()
        if self._tar is None:
            path = self._folder / SHARD.format(self._n_shards)
            self._tar = tarfile.open(path, "x", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by close
            self._n_shards += 1
        return self._tar

    def close(self) -> None:
        """Finish the shard that is open.

        Raises:
            StoreError: it cannot be written.
        """
        if self._tar is not None:
            try:
                self._tar.close()
            except OSError as error:
                raise unwritable(self._folder, error) from error
            finally:
                self._tar = None


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a file; the place of its first byte in the tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
    return tar.offset - -(-len(data) // _BLOCK_BYTES) * _BLOCK_BYTES
