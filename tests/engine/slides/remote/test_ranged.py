"""Slides of a bucket of which only what is read is fetched: the same pixels, in fewer bytes."""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.objects.place import ObjectPlace, StoredObject, open_place
from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import look_at, stamp_at
from pathassets.adapters.openslide.reader import OpenSlideReader
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.read_patches import read_patches
from pathassets.engine.slides.remote import ranged
from pathassets.engine.slides.remote.holes import AHEAD_BLOCKS, HoledFile
from pathassets.engine.slides.remote.ranged import LEAST_BYTES, can_be_ranged
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.slides.remote.spans import BLOCK_BYTES
from pathassets.engine.slides.remote.whole import copy_of_slide
from pathassets.engine.slides.scratch import HOLES, open_scratch
from pathassets.engine.slides.scratch_copy import CARD, PART
from pathassets.engine.slides.source import SlidePath, Source, find_source
from pathassets.errors import (
    ResourcesShort,
    SlideChanged,
    SlideUnreadable,
    StoreError,
    TileUnreadable,
)

SIDE_PX, TILE_PX = 2048, 64


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 4 MB in 1,365 tiles: noise, which no codec makes small."""
    path = tmp_path_factory.mktemp("far") / "a.svs"
    rgb = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    write_pyramid(path, rgb, PyramidSpec(tile_px=TILE_PX, mpp=0.5))
    return path


@pytest.fixture
def source_of(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Source]]:
    """Put a file into the bucket, and find the slide there, as a run does."""
    monkeypatch.setattr(ranged, "LEAST_BYTES", 0)
    with ExitStack() as stack:
        scratch = stack.enter_context(open_scratch(tmp_path / "scratch", 10**9, for_files=False))

        def find(file: Path) -> Source:
            open_place(bucket).put_file(file.name, file)
            place = place_of(f"{bucket}/{file.name}")
            seen = SlidePath(path=str(place), stamp=stamp_at(place))
            found = find_source("a", fingerprint_of([file]), [seen], scratch)
            stack.callback(found.close)
            return found

        yield find


def squares(x0: int, x1: int, y0: int, y1: int, side_px: int = 128) -> PatchLocations:
    """Patches of level 0, side by side."""
    y, x = np.mgrid[y0:y1:side_px, x0:x1:side_px]
    return PatchLocations(
        x_px0=x.ravel().astype(np.int64), y_px0=y.ravel().astype(np.int64),
        tissue_share=np.ones(x.size, np.float32), side_px0=side_px, patch_px=side_px, mpp=None,
        level=0,
    )  # fmt: skip


def file_of(source: Source) -> HoledFile:
    assert source.holes is not None
    return HoledFile(source.holes)


def pixels_of(slide: OpenedSlide, locations: PatchLocations, **how: object) -> np.ndarray:
    batches = list(read_patches(slide, locations, **how))
    return np.concatenate([one.pixels for one in batches])


def test_pixels_and_facts_are_those_of_a_copy_and_of_openslide(
    local: Path, source_of: Callable[..., Source]
) -> None:
    source, some = source_of(local), squares(100, 900, 300, 700)
    with source.open(None) as far, open_slide(local) as near, closing(file_of(source)) as file:
        assert (far.info, far.path) == (near.info, str(source.path))
        before = file.there().sum()
        ours = pixels_of(far, some, n_threads=3)
        assert np.array_equal(ours, pixels_of(near, some))
        assert 0 < file.there().sum() - before < 0.3 * file.n_blocks
        by_openslide = closing(OpenSlideReader(local))
        with by_openslide as theirs:
            for n, (x, y) in enumerate(zip(some.x_px0.tolist(), some.y_px0.tolist(), strict=True)):
                assert np.array_equal(ours[n], theirs.read(0, x, y, 128, 128))
        for level in range(near.info.n_levels):
            n_tiles = near.tiles(level).grid.n_tiles
            for tile in {0, n_tiles // 2, n_tiles - 1}:
                assert np.array_equal(far.tiles(level).read(tile), near.tiles(level).read(tile))


def test_an_opening_compares_as_much_with_openslide_as_of_any_file(
    local: Path, source_of: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[bytes]] = {}

    def noted(self: OpenSlideReader, *box: int, real=OpenSlideReader.read) -> np.ndarray:
        rgb = real(self, *box)
        seen.setdefault(self.path, []).append(bytes(str(box), "ascii") + rgb.tobytes())
        return rgb

    monkeypatch.setattr(OpenSlideReader, "read", noted)
    source = source_of(local)
    with source.open(None), open_slide(local), closing(file_of(source)) as file:
        assert file.there().mean() < 0.5
    assert len(seen[str(local)]) >= 6
    assert seen[str(source.path)] == seen[str(local)]


def test_a_slide_that_openslide_would_read_is_fetched_whole_and_hashed(
    local: Path, source_of: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(local)
    with monkeypatch.context() as patch:
        patch.setattr("pathassets.engine.slides.open.find_difference", lambda *_, **__: "differs")
        with source.open(None) as far, open_slide(local) as near:
            assert (far.info, far.info.fallback) == (near.info, "differs")
    with closing(file_of(source)) as file:
        assert file.there().all()
    assert fingerprint_of([source.path]) == fingerprint_of([local])


def test_a_share_beyond_the_half_fetches_all(local: Path, source_of: Callable[..., Source]) -> None:
    source = source_of(local)
    with source.open(None) as far, closing(file_of(source)) as file:
        pixels_of(far, squares(0, SIDE_PX, 0, SIDE_PX // 2))
        assert file.there().all()


def test_a_share_beyond_the_half_of_other_content_is_refused(
    local: Path, source_of: Callable[..., Source]
) -> None:
    source = source_of(local)
    assert source.holes is not None
    wrong = replace(source, holes=replace(source.holes, fingerprint="0" * 64))
    with (
        wrong.open(None) as far,
        pytest.raises(SlideChanged, match=r"s3://.*a.svs: its content is not the registered one"),
    ):
        pixels_of(far, squares(0, SIDE_PX, 0, SIDE_PX))


def test_bad_tiles_are_listed_as_of_a_copy(
    local: Path, source_of: Callable[..., Source], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.svs"
    shutil.copyfile(local, broken)
    corrupt_tile(broken, level=0, tile_index=200)
    source, some = source_of(broken), squares(0, SIDE_PX // 2, 300, 600)
    ledgers = []
    with source.open(None) as far, open_slide(broken) as near:
        for slide in (far, near):
            ledgers.append(BadTiles())
            spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=1.0)
            pixels_of(slide, some, spec=spec, bad_tiles=ledgers[-1])
    assert ledgers[0].faults
    assert ledgers[0] == ledgers[1]


def test_a_bad_tile_and_its_remedy_are_told_of_the_object_and_not_of_its_copy(
    local: Path, source_of: Callable[..., Source], tmp_path: Path, bucket: str
) -> None:
    broken = tmp_path / "bro ken.svs"
    shutil.copyfile(local, broken)
    corrupt_tile(broken, level=0, tile_index=200)
    source = source_of(broken)
    with source.open(None) as far, pytest.raises(TileUnreadable) as found:
        pixels_of(far, squares(0, SIDE_PX // 2, 300, 600))
    told = cast("TileUnreadable", source.named(found.value))
    assert told.tiles == found.value.tiles != ()
    assert f"pathassets check '{bucket}/bro ken.svs' lists" in told.remedy
    assert str(source.path.parent) in str(found.value)
    assert str(source.path.parent) not in str(told)


def test_another_process_reads_what_this_one_fetched_and_fetches_the_rest(
    local: Path, source_of: Callable[..., Source]
) -> None:
    source, some = source_of(local), squares(100, 900, 300, 700)
    again = pickle.loads(pickle.dumps(SlideSource(str(source.path), None, source.holes)))  # noqa: S301
    with source.open(None) as far, closing(file_of(source)) as file:
        ours = pixels_of(far, some)
        there = file.there()
        with again.open() as other:
            assert np.array_equal(file.there(), there)
            assert np.array_equal(pixels_of(other, some), ours)
            assert np.array_equal(file.there(), there)
            pixels_of(other, squares(1100, 1300, 1100, 1300))
        assert file.there().sum() > there.sum()


def test_requests_are_few_and_bytes_are_those_that_are_wanted(
    local: Path, source_of: Callable[..., Source]
) -> None:
    source = source_of(local)
    with closing(file_of(source)) as file:
        file.need(5000, 5001)
        assert (file.n_requests, file.n_bytes_fetched) == (1, AHEAD_BLOCKS * BLOCK_BYTES)
        file.need(5000, 60_000)
        assert file.n_requests == 1
        starts = np.array([2_000_000, 2_100_000, 3_500_000])
        file.fetch(starts, np.array([10_000, 10_000, 10]))
        assert file.n_requests == 3  # the first two are near to each other
        file.fetch(starts, np.array([10_000, 10_000, 10]))
        assert file.n_requests == 3
        with local.open("rb") as whole, source.path.open("rb") as holed:
            for at, n in ((5000, 55_000), (2_000_000, 110_000), (3_500_000, 10)):
                whole.seek(at)
                holed.seek(at)
                assert whole.read(n) == holed.read(n)


def test_an_object_that_is_overwritten_gives_no_byte_of_the_new_one(
    local: Path, source_of: Callable[..., Source], bucket: str
) -> None:
    source = source_of(local)
    with source.open(None) as far:
        data = bytearray(local.read_bytes())
        data[3_000_000] ^= 1
        open_place(bucket).put("a.svs", bytes(data))
        with pytest.raises(SlideChanged, match=r"s3://.*a.svs: changed while it was read"):
            pixels_of(far, squares(100, 900, 300, 700))
        assert source.look() != source.stamp
        open_place(bucket).delete(["a.svs"])
        with pytest.raises(SlideChanged, match=r"a.svs: changed while it was read"):
            pixels_of(far, squares(100, 900, 900, 1300))
        with pytest.raises(SlideUnreadable, match=r"s3://.*a.svs: no such object"):
            source.look()


def test_what_is_no_slide_is_told_as_of_a_copy(
    local: Path, source_of: Callable[..., Source], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.svs"
    cut.write_bytes(local.read_bytes()[: 3 * 2**20])
    with pytest.raises(SlideUnreadable) as ours:
        source_of(cut).open(None)
    with pytest.raises(SlideUnreadable) as theirs:
        open_slide(cut)
    assert (ours.value.reason, ours.value.fact) == (theirs.value.reason, theirs.value.fact)


def test_small_slides_and_those_of_several_files_come_whole(bucket: str, local: Path) -> None:
    open_place(bucket).put_file("a.svs", local)
    slide = look_at(cast("RemoteFile", place_of(f"{bucket}/a.svs")))
    assert not can_be_ranged(slide)
    (one,) = slide.members
    large = replace(slide, members=(replace(one, size_bytes=LEAST_BYTES),))
    assert can_be_ranged(large)
    for other in (
        replace(large, members=(*large.members, one)),
        replace(large, members=(replace(large.members[0], etag=None),)),
        replace(large, file=place_of(f"{bucket}/a.ndpi")),
    ):
        assert not can_be_ranged(other)


def test_two_that_want_one_copy_fetch_it_once_and_what_a_killed_batch_left_goes(
    local: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_place(bucket).put_file("a.svs", local)
    slide = look_at(cast("RemoteFile", place_of(f"{bucket}/a.svs")))
    fetched: list[int] = []

    def counted(
        self: ObjectPlace, known: StoredObject, *, start: int, end: int, real=ObjectPlace.read_of
    ) -> bytes:
        fetched.append(end - start)
        time.sleep(0.2)
        return real(self, known, start=start, end=end)

    monkeypatch.setattr(ObjectPlace, "read_of", counted)
    left = tmp_path / "scratch" / f"{'0' * 64}-7{HOLES}{PART}"
    left.mkdir(parents=True)
    (left / CARD).write_text('{"batch": "one that was killed"}')
    with open_scratch(tmp_path / "scratch", 10**9) as scratch, ThreadPoolExecutor(2) as pool:
        assert not left.exists()
        copies = pool.map(lambda _: copy_of_slide(slide, scratch, fingerprint_of([local])), "ab")
        for copy in copies:
            assert copy.path.read_bytes() == local.read_bytes()
            copy.close()
    assert fetched == [local.stat().st_size]


def test_a_copy_of_other_bytes_than_were_registered_is_none(
    local: Path, bucket: str, tmp_path: Path
) -> None:
    open_place(bucket).put_file("a.svs", local)
    slide = look_at(cast("RemoteFile", place_of(f"{bucket}/a.svs")))
    with open_scratch(tmp_path / "scratch", 10**9) as scratch:
        with pytest.raises(SlideChanged, match=r"s3://.*/a.svs: its content is not the regist"):
            copy_of_slide(slide, scratch, "0" * 64)
        open_place(bucket).put("a.svs", local.read_bytes()[:-1] + b"!")
        with pytest.raises(SlideChanged, match=r"s3://.*/a.svs: changed while it was read"):
            copy_of_slide(slide, scratch)
        assert not [*(tmp_path / "scratch").glob("[0-9a-f]*-*")]


def test_a_bucket_that_fails_is_no_hindrance_where_a_disk_has_the_slide(
    local: Path, bucket: str, tmp_path: Path
) -> None:
    here = SlidePath(path=str(local), stamp=stamp_at(local))
    there = SlidePath(path=f"{bucket}/gone.svs", stamp=here.stamp)
    nowhere = SlidePath(path="s3://no-such-bucket-of-anybody/a.svs", stamp=here.stamp)
    open_place(bucket).put_file("a.svs", local)
    large = SlidePath(path=f"{bucket}/a.svs", stamp=stamp_at(place_of(f"{bucket}/a.svs")))
    fingerprint = fingerprint_of([local])
    with open_scratch(tmp_path / "scratch", 1000, for_files=False) as scratch:
        for bad in (there, nowhere, large):
            with closing(find_source("a", fingerprint, [bad, here], scratch)) as source:
                assert source.path == local
        with pytest.raises(ResourcesShort, match=r"a.svs: there is no room for the copy"):
            find_source("a", fingerprint, [there, large], scratch)
    with pytest.raises(StoreError, match=r"a.svs: is read from a copy, and there is no folder"):
        find_source("a", fingerprint, [large], None)
