import gc
import threading
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches import read_plan
from pathassets.core.patches.read_plan import ReadSpec, plan_read
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.regions import resample
from pathassets.engine.slides import read_patches as patch_reader
from pathassets.engine.slides.read_patches import read_patches
from pathassets.errors import SpecError, TileUnreadable
from tests.core.formula_slide import JUNK, FormulaSlide, FormulaTiles

SKIP_ALL = ReadSpec(bad_tiles="skip", max_bad_tile_share=1.0)
FAST = ReadSpec(fast=True)


def at(points: list[tuple[int, int]], *, side_px0: int, patch_px: int) -> PatchLocations:
    x_px0, y_px0 = np.array(points, np.int64).reshape(-1, 2).T
    return PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(len(points), np.float32),
        side_px0=side_px0, patch_px=patch_px, mpp=0.5,
    )  # fmt: skip


def grid_of(width_px: int, height_px: int, side_px: int, offset_px: int = 0) -> list:
    return [
        (x, y)
        for y in range(offset_px, height_px - side_px + 1, side_px)
        for x in range(offset_px, width_px - side_px + 1, side_px)
    ]


def wanted_of(slide: FormulaSlide, locations: PatchLocations) -> list[np.ndarray]:
    """Each patch by the formula: the square of the level that suffices, resampled."""
    read = plan_read(locations, slide.info.level_downsamples)
    downsample = slide.info.level_downsamples[read.level]
    found = []
    for x_px0, y_px0 in zip(locations.x_px0, locations.y_px0, strict=True):
        x_px, y_px = round(x_px0 / downsample), round(y_px0 / downsample)
        box = slide.box(read.level, (x_px, y_px, x_px + read.side_px, y_px + read.side_px))
        found.append(resample(box, width_px=read.patch_px, height_px=read.patch_px))
    return found


def tiles_under(slide: FormulaSlide, locations: PatchLocations) -> list[set[int]]:
    """The tiles that each square touches."""
    read = plan_read(locations, slide.info.level_downsamples)
    downsample, grid = slide.info.level_downsamples[read.level], slide.tiles(read.level).grid
    found = []
    for x_px0, y_px0 in zip(locations.x_px0, locations.y_px0, strict=True):
        x, y = round(x_px0 / downsample), round(y_px0 / downsample)
        columns = {c // grid.tile_width_px for c in range(x, x + read.side_px)
                   if 0 <= c < grid.width_px}  # fmt: skip
        rows = {r // grid.tile_height_px for r in range(y, y + read.side_px)
                if 0 <= r < grid.height_px}  # fmt: skip
        found.append({r * grid.n_columns + c for r in rows for c in columns})
    return found


def decoders() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("decode")]


def as_bytes(batches) -> list[tuple[list[int], bytes]]:
    return [(indices.tolist(), pixels.tobytes()) for indices, pixels in batches]


@st.composite
def cases(draw) -> tuple[FormulaSlide, PatchLocations]:
    width_px0, height_px0 = draw(st.integers(20, 150)), draw(st.integers(20, 150))
    slide = FormulaSlide(
        width_px0, height_px0, draw(st.sampled_from([(1.0,), (1.0, 2.0), (1.0, 2.0005, 4.1)])),
        tile_px=draw(st.sampled_from([(16, 16), (24, 24), (32, 16), (16, 40), (13, 17), (64, 64)])),
    )  # fmt: skip
    side_px0 = draw(st.sampled_from([1, 5, 8, 16, 24, 32, 48, 60]))
    patch_px = draw(
        st.sampled_from([side_px0, max(1, side_px0 // 2), max(1, side_px0 // 4), 7, 16])
    )
    if draw(st.booleans()):
        points = grid_of(width_px0, height_px0, side_px0, draw(st.integers(0, 20)))[:80]
    else:
        corners = st.tuples(st.integers(-70, 200), st.integers(-70, 200))
        points = draw(st.lists(corners, max_size=30))
        points += points[: draw(st.integers(0, 3))]
    if draw(st.booleans()):
        points = draw(st.permutations(points))
    return slide, at(points, side_px0=side_px0, patch_px=patch_px)


def check(slide: FormulaSlide, locations: PatchLocations, batches: list, n_batch: int) -> None:
    """Every patch once, all of them right, in full batches."""
    n = len(locations)
    order = [i for indices, _ in batches for i in indices.tolist()]
    assert sorted(order) == list(range(n))
    sizes = [len(indices) for indices, _ in batches]
    assert sorted(sizes, reverse=True) == [n_batch] * (n // n_batch) + [n % n_batch] * bool(
        n % n_batch
    )
    wanted = wanted_of(slide, locations)
    for indices, pixels in batches:
        assert pixels.dtype == np.uint8
        assert pixels.shape == (len(indices), locations.patch_px, locations.patch_px, 3)
        for i, patch in zip(indices, pixels, strict=True):
            assert np.array_equal(patch, wanted[i]), f"patch {i}"


@pytest.fixture(params=[(1, 1), (3_000, 2), (30_000, 16), (10**9, 1)])
def bounds(request, monkeypatch) -> None:
    """Readers that need many passes, some or one, and give threads few tiles at once or many."""
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", request.param[0])
    monkeypatch.setattr(patch_reader, "RUN_TILES", request.param[1])


# ------------------------------------------------------------------------------- every pixel


@settings(max_examples=150)
@given(
    cases(), st.sampled_from([1, 2, 3, 7, 16, 64]), st.integers(1, 4),
    st.sampled_from(["location", "completed"]),
)  # fmt: skip
def test_every_patch_is_the_square_resampled_and_each_tile_decoded_once(
    case, n_batch, n_threads, order
) -> None:
    slide, locations = case
    batches = list(
        read_patches(slide, locations, n_batch=n_batch, n_threads=n_threads, order=order)
    )
    check(slide, locations, batches, n_batch)
    if order == "location":
        together = [i for indices, _ in batches for i in indices.tolist()]
        assert together == list(range(len(locations)))
    assert slide.tile_counts == Counter(set().union(*tiles_under(slide, locations)))
    assert decoders() == []


@pytest.mark.usefixtures("bounds")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cases(), st.sampled_from([1, 2, 3, 7]), st.integers(1, 4),
    st.sampled_from(["location", "completed"]),
)  # fmt: skip
def test_several_passes_give_the_same_patches(case, n_batch, n_threads, order) -> None:
    slide, locations = case
    options = {"n_batch": n_batch, "order": order}
    batches = list(read_patches(slide, locations, n_threads=n_threads, **options))
    check(slide, locations, batches, n_batch)
    alone = read_patches(slide, locations, n_threads=1, **options)
    assert as_bytes(alone) == as_bytes(batches)


@pytest.mark.parametrize(
    ("tile_px", "side_px0", "patch_px", "offset_px"),
    [
        ((256, 256), 256, 256, 0),
        ((256, 256), 256, 256, 100),
        ((240, 240), 256, 256, 0),
        ((240, 200), 256, 256, 3),
        ((256, 256), 512, 256, 0),
        ((256, 256), 512, 256, 5),
        ((240, 240), 512, 256, 2),
        ((512, 512), 224, 224, 0),
        ((256, 256), 300, 224, 0),
        ((256, 256), 200, 224, 0),
    ],
)
def test_patches_of_true_size_are_right(tile_px, side_px0, patch_px, offset_px) -> None:
    slide = FormulaSlide(1100, 1300, tile_px=tile_px)
    points = grid_of(1100, 1300, side_px0, offset_px)
    points += [(-30, -40), (1000, 1250), (1100, 5), (-side_px0, 0)]
    locations = at(points, side_px0=side_px0, patch_px=patch_px)
    for order in ("location", "completed"):
        slide.reads.clear()
        check(
            slide, locations,
            list(read_patches(slide, locations, n_batch=8, n_threads=2, order=order)), 8,
        )  # fmt: skip
        assert set(slide.tile_counts.values()) == {1}


@pytest.mark.parametrize("tile_px", [(64, 32), (32, 64), (32, 32), (64, 64)])
def test_a_square_in_the_corner_of_a_tile_is_not_taken_for_a_whole_one(tile_px) -> None:
    slide = FormulaSlide(200, 200, tile_px=tile_px)
    locations = at([(0, 0), (64, 64), (192, 0)], side_px0=32, patch_px=32)
    check(slide, locations, list(read_patches(slide, locations, n_batch=2)), 2)


def test_what_does_not_fit_the_budget_is_read_in_several_passes(monkeypatch) -> None:
    slide = FormulaSlide(160, 160, tile_px=(32, 32))
    points = grid_of(160, 160, 32, 16)
    locations = at(points, side_px0=32, patch_px=32)
    list(read_patches(slide, locations, n_batch=2))
    assert set(slide.tile_counts.values()) == {1}
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", 2 * 2 * 32 * 32 * 3)
    slide.reads.clear()
    check(slide, locations, list(read_patches(slide, locations, n_batch=2)), 2)
    assert max(slide.tile_counts.values()) > 1


def test_patches_in_random_order_do_not_break_the_budget(monkeypatch) -> None:
    """So that memory is bounded whatever the order that is asked for."""
    slide = FormulaSlide(1600, 1600, tile_px=(64, 64))
    points = grid_of(1600, 1600, 32)
    points = [points[i] for i in np.random.default_rng(3).permutation(len(points))]
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", 100 * 4 * 32 * 32 * 3)
    buffers = note_buffers(monkeypatch)
    locations = at(points, side_px0=32, patch_px=32)
    for _ in read_patches(slide, locations, n_batch=4, n_threads=2):
        pass
    # Runs are of 16 tiles, each with 4 patches: what the last of them begins comes on top.
    assert len(buffers) <= 100 + 16 * 4


def test_shrinking_tiles_first_gives_the_bytes_of_shrinking_last(monkeypatch) -> None:
    for factor, tile_px in ((2, (32, 48)), (3, (48, 24)), (4, (32, 32)), (8, (64, 32))):
        slide = FormulaSlide(333, 251, tile_px=tile_px)
        points = [(x * factor, y * factor) for x, y in [(0, 0), (3, 5), (-4, 2), (20, -3)]]
        points += [
            (x // factor * factor, y // factor * factor) for x, y in [(300, 200), (250, 240)]
        ]
        locations = at(points, side_px0=16 * factor, patch_px=16)
        first = as_bytes(read_patches(slide, locations, n_batch=4, n_threads=2))
        with monkeypatch.context() as patch:
            patch.setattr(read_plan, "_area_shrink", lambda *_: 1)
            last = as_bytes(read_patches(slide, locations, n_batch=4))
        assert first == last
        check(slide, locations, list(read_patches(slide, locations, n_batch=4)), 4)


# --------------------------------------------------------------------------------------- fast


def test_fast_reads_what_the_decoder_has_shrunk() -> None:
    slide = FormulaSlide(512, 384, tile_px=(64, 64), can_shrink=True)
    locations = at(grid_of(512, 384, 128), side_px0=128, patch_px=32)
    [(_, pixels)] = read_patches(slide, locations, spec=FAST)
    assert {shrink for *_, shrink in slide.reads} == {4}
    assert set(slide.tile_counts.values()) == {1}
    wanted = np.array(wanted_of(slide, locations)).astype(int)
    assert np.abs(pixels - wanted).max() <= 1  # the decoder rounds by itself


def test_fast_is_exact_where_the_decoder_cannot_shrink() -> None:
    slide = FormulaSlide(512, 384, tile_px=(64, 64))
    locations = at(grid_of(512, 384, 128, 5), side_px0=128, patch_px=32)
    check(slide, locations, list(read_patches(slide, locations, spec=FAST, n_batch=5)), 5)
    assert {shrink for *_, shrink in slide.reads} == {1}


def test_without_fast_the_decoder_shrinks_nothing() -> None:
    slide = FormulaSlide(512, 384, tile_px=(64, 64), can_shrink=True)
    locations = at(grid_of(512, 384, 128), side_px0=128, patch_px=32)
    check(slide, locations, list(read_patches(slide, locations, n_batch=5)), 5)
    assert {shrink for *_, shrink in slide.reads} == {1}


class GreySlide(FormulaSlide):
    """All its pixels are 100, and nothing else is."""

    def pixels(self, level, x_px, y_px):
        return np.full_like(super().pixels(level, x_px, y_px), 100)


@settings(max_examples=60)
@given(
    st.integers(40, 140), st.integers(40, 140), st.sampled_from([(16, 16), (24, 40), (18, 32)]),
    st.sampled_from([(32, 16), (33, 16), (40, 10), (64, 8), (33, 15), (50, 9)]),
    st.lists(st.tuples(st.integers(-70, 150), st.integers(-70, 150)), max_size=20),
)  # fmt: skip
def test_fast_lets_no_padding_through_and_keeps_white_out_of_the_level(
    width_px, height_px, tile_px, sides, points
) -> None:
    slide = GreySlide(width_px, height_px, tile_px=tile_px, can_shrink=True)
    side_px0, patch_px = sides
    points += [(width_px - side_px0, height_px - side_px0), (width_px - side_px0, 0)]
    locations = at(points, side_px0=side_px0, patch_px=patch_px)
    for indices, pixels in read_patches(slide, locations, spec=FAST, n_batch=4, n_threads=2):
        for i, patch in zip(indices, pixels, strict=True):
            x, y = points[i]
            assert patch.min() >= 100 > JUNK
            if min(x, y) >= 0 and x + side_px0 <= width_px and y + side_px0 <= height_px:
                assert (patch == 100).all()
            if x >= width_px or y >= height_px or x <= -side_px0 or y <= -side_px0:
                assert (patch == 255).all()


@settings(max_examples=40)
@given(cases(), st.integers(1, 9), st.integers(2, 4))
def test_fast_gives_the_same_bytes_whatever_the_batches_and_threads(
    case, n_batch, n_threads
) -> None:
    slide, locations = case
    slide = FormulaSlide(
        slide.info.width_px0, slide.info.height_px0, tile_px=(32, 16), can_shrink=True
    )
    one = [p.tobytes() for _, b in read_patches(slide, locations, spec=FAST, n_batch=64) for p in b]
    other = [
        p.tobytes()
        for _, b in read_patches(slide, locations, spec=FAST, n_batch=n_batch, n_threads=n_threads)
        for p in b
    ]
    assert one == other


# ------------------------------------------------------------------------- order and threads


class SlowSlide(FormulaSlide):
    """Some tiles take their time, by their number."""

    def note(self, level, tile, shrink):
        super().note(level, tile, shrink)
        if tile % 7 == 3:
            threading.Event().wait(0.003)


@pytest.mark.parametrize("order", ["location", "completed"])
def test_batches_come_in_the_same_order_with_the_same_content_for_any_number_of_threads(
    monkeypatch, order
) -> None:
    monkeypatch.setattr(patch_reader, "RUN_TILES", 2)
    points = grid_of(700, 500, 60, 17)
    points = [points[i] for i in np.random.default_rng(0).permutation(len(points))]
    locations = at(points, side_px0=60, patch_px=40)
    seen = [
        as_bytes(
            read_patches(
                SlowSlide(700, 500, tile_px=(64, 64)), locations,
                n_batch=5, n_threads=n_threads, order=order,
            )
        )
        for n_threads in (1, 2, 3, 8)
    ]  # fmt: skip
    assert all(batches == seen[0] for batches in seen)


def test_completed_puts_neighbours_into_one_batch() -> None:
    slide = FormulaSlide(1024, 1024, tile_px=(64, 64))
    points = grid_of(1024, 1024, 64)
    order = np.random.default_rng(1).permutation(len(points))
    locations = at([points[i] for i in order], side_px0=64, patch_px=64)
    for indices, _ in read_patches(slide, locations, n_batch=16, order="completed"):
        assert len(set(locations.y_px0[indices].tolist())) == 1


def test_all_threads_decode() -> None:
    names = set()
    all_here = threading.Barrier(3, timeout=20)

    class Watched(FormulaSlide):
        def note(self, level, tile, shrink):
            if threading.current_thread().name not in names:
                names.add(threading.current_thread().name)
                all_here.wait()
            super().note(level, tile, shrink)

    slide = Watched(1024, 1024, tile_px=(64, 64))
    locations = at(grid_of(1024, 1024, 64), side_px0=64, patch_px=64)
    check(slide, locations, list(read_patches(slide, locations, n_batch=64, n_threads=3)), 64)
    assert len(names) == 3
    assert threading.current_thread().name not in names


# ------------------------------------------------------------------------ whose the batches are


def test_batches_that_are_kept_are_never_overwritten() -> None:
    slide = FormulaSlide(640, 640, tile_px=(64, 64))
    locations = at(grid_of(640, 640, 32), side_px0=32, patch_px=32)
    kept, before = [], []
    for i, (indices, pixels) in enumerate(read_patches(slide, locations, n_batch=8, n_threads=2)):
        view = [pixels, pixels[2:5], pixels[0].T, memoryview(pixels), pixels.reshape(-1)[5:]][i % 5]
        kept.append(view)
        before.append(np.array(view))
        del indices, pixels, view
    assert len(kept) == 50
    for view, copy in zip(kept, before, strict=True):
        assert np.array_equal(np.asarray(view), copy)


def test_a_batch_that_is_written_to_by_its_receiver_harms_no_other() -> None:
    slide = FormulaSlide(300, 300, tile_px=(64, 64))
    locations = at([*grid_of(300, 300, 32), (290, 290), (400, 400)], side_px0=32, patch_px=32)
    wanted = wanted_of(slide, locations)
    for indices, pixels in read_patches(slide, locations, n_batch=4):
        assert np.array_equal(pixels, [wanted[i] for i in indices])
        pixels[:] = JUNK


def test_buffers_that_nobody_holds_are_used_again(monkeypatch) -> None:
    buffers = note_buffers(monkeypatch)
    slide = FormulaSlide(64, 6400, tile_px=(64, 64))
    locations = at(grid_of(64, 6400, 64), side_px0=64, patch_px=64)
    n = sum(1 for _ in read_patches(slide, locations, n_batch=4))
    assert n == 25
    assert len(buffers) <= 12  # two runs of 16 tiles, 4 of them a batch, and those delivered


# ------------------------------------------------------------------------------ leaving early


def many(n_threads: int = 3) -> tuple[FormulaSlide, dict]:
    locations = at(grid_of(1280, 1280, 64), side_px0=64, patch_px=64)
    return FormulaSlide(1280, 1280, tile_px=(64, 64)), {
        "locations": locations, "n_batch": 4, "n_threads": n_threads,
    }  # fmt: skip


def test_closing_early_ends_the_threads_and_reads_no_further() -> None:
    slide, options = many()
    batches = read_patches(slide, **options)
    next(batches)
    assert decoders()
    batches.close()
    assert decoders() == []
    n_read = len(slide.reads)
    assert n_read < 400
    threading.Event().wait(0.05)
    assert len(slide.reads) == n_read


def test_a_receiver_that_fails_leaves_no_threads_behind() -> None:
    slide, options = many()

    def receive() -> None:
        for indices, _ in read_patches(slide, **options):
            if indices[0] >= 8:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        receive()
    gc.collect()
    assert decoders() == []


def test_a_reader_that_is_never_asked_starts_nothing() -> None:
    slide, options = many()
    batches = read_patches(slide, **options)
    assert decoders() == []
    assert slide.reads == []
    del batches


def test_an_error_of_the_file_ends_the_threads_and_arrives() -> None:
    class Gone(FormulaSlide):
        def note(self, level, tile, shrink):
            super().note(level, tile, shrink)
            if tile == 100:
                raise OSError("stale handle")

    _, options = many()
    with pytest.raises(OSError, match="stale handle"):
        list(read_patches(Gone(1280, 1280, tile_px=(64, 64)), **options))
    assert decoders() == []


def test_two_readers_of_one_slide_do_not_disturb_each_other() -> None:
    slide, options = many()
    pairs = zip(read_patches(slide, **options), read_patches(slide, **options), strict=True)
    for (one, a), (other, b) in pairs:
        assert one.tolist() == other.tolist()
        assert np.array_equal(a, b)


# ------------------------------------------------------------------------ what is not possible


@pytest.mark.parametrize(("side_px0", "is_upsampled"), [(64, True), (128, False), (127, False)])
def test_enlarging_is_allowed_and_recorded(caplog, side_px0, is_upsampled) -> None:
    bad_tiles = BadTiles()
    locations = at([(0, 0)], side_px0=side_px0, patch_px=128 if side_px0 != 127 else 127)
    [batch] = read_patches(FormulaSlide(400, 200), locations, bad_tiles=bad_tiles)
    assert batch.pixels.shape[1] == locations.patch_px
    assert bad_tiles.is_upsampled is is_upsampled
    assert ("enlarged from 64 px" in caplog.text) is is_upsampled


def test_no_location_reads_nothing() -> None:
    slide, bad_tiles = FormulaSlide(400, 200), BadTiles()
    nothing = at([], side_px0=32, patch_px=32)
    for order in ("location", "completed"):
        assert list(read_patches(slide, nothing, n_batch=4, order=order, bad_tiles=bad_tiles)) == []
    assert slide.reads == []
    assert (bad_tiles.n_tiles, bad_tiles.faults, bad_tiles.skipped) == (0, {}, [])


def test_patches_all_beside_the_slide_are_white_and_read_nothing() -> None:
    slide, bad_tiles = FormulaSlide(400, 200), BadTiles()
    locations = at([(-32, 0), (400, 0), (0, 200), (9999, -9999), (0, -32)], side_px0=32, patch_px=8)
    batches = list(read_patches(slide, locations, n_batch=2, bad_tiles=bad_tiles))
    assert [indices.tolist() for indices, _ in batches] == [[0, 1], [2, 3], [4]]
    assert all((pixels == 255).all() for _, pixels in batches)
    assert slide.reads == []
    assert bad_tiles.n_tiles == 0


@pytest.mark.parametrize(
    "wrong",
    [{"n_batch": 0}, {"n_batch": -3}, {"n_threads": 0}, {"n_threads": -1}, {"order": "any"}],
)
def test_an_impossible_reading_is_refused_where_it_is_asked_for(wrong) -> None:
    slide = FormulaSlide(400, 200)
    locations = at([(0, 0)], side_px0=32, patch_px=32)
    with pytest.raises(SpecError, match=next(iter(wrong))) as caught:
        read_patches(slide, locations, **wrong)  # not at its first batch
    assert str(next(iter(wrong.values()))) in caught.value.message
    assert caught.value.remedy


# ------------------------------------------------------------------------------------ bad tiles


@pytest.mark.usefixtures("bounds")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cases(), st.sets(st.integers(0, 40), max_size=6),
    st.tuples(st.integers(1, 8), st.integers(1, 4)),
    st.sampled_from(["location", "completed"]),
)  # fmt: skip
def test_skipping_leaves_out_exactly_the_patches_that_touch_a_bad_tile(
    case, damaged, threads, order
) -> None:
    slide, locations = case
    n_batch, n_threads = threads
    slide.damaged = dict.fromkeys(range(3), damaged)
    bad_tiles, under = BadTiles(), tiles_under(slide, locations)
    batches = list(
        read_patches(
            slide, locations, spec=SKIP_ALL, n_batch=n_batch, n_threads=n_threads,
            order=order, bad_tiles=bad_tiles,
        )
    )  # fmt: skip
    lost = [i for i, tiles in enumerate(under) if tiles & damaged]
    assert bad_tiles.skipped == lost
    touched = set().union(*under)
    assert bad_tiles.n_tiles == len(touched)
    assert sorted(fault.tile for fault in bad_tiles.faults.values()) == sorted(touched & damaged)
    delivered = [i for indices, _ in batches for i in indices.tolist()]
    assert sorted(delivered) == [i for i in range(len(locations)) if i not in lost]
    if order == "location":
        assert delivered == sorted(delivered)
    assert all(len(indices) == len(pixels) > 0 for indices, pixels in batches)
    wanted = wanted_of(slide, locations)
    for indices, pixels in batches:
        assert np.array_equal(pixels, [wanted[i] for i in indices])


class LateTile(FormulaSlide):
    """Its first tile is read after its second, however the threads run."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.second_is_read = threading.Event()

    def note(self, level, tile, shrink):
        super().note(level, tile, shrink)
        if tile == 1:
            self.second_is_read.set()
        if tile == 0:
            assert self.second_is_read.wait(20)
            threading.Event().wait(0.05)  # for the other thread to count it


@pytest.mark.parametrize("patch_px", [32, 16, 20])
@pytest.mark.parametrize("order", ["location", "completed"])
def test_a_patch_is_skipped_when_its_bad_tile_is_found_before_its_good_ones(
    monkeypatch, patch_px, order
) -> None:
    monkeypatch.setattr(patch_reader, "RUN_TILES", 1)
    slide = LateTile(128, 32, tile_px=(32, 32), damaged={0: {1}})
    locations = at([(16, 0), (0, 0), (64, 0), (96, 0)], side_px0=32, patch_px=patch_px)
    bad_tiles = BadTiles()
    batches = list(
        read_patches(
            slide,
            locations,
            spec=SKIP_ALL,
            n_batch=1,
            n_threads=2,
            order=order,
            bad_tiles=bad_tiles,
        )
    )
    assert sorted(indices.item() for indices, _ in batches) == [1, 2, 3]
    assert bad_tiles.skipped == [0]


@pytest.mark.parametrize("order", ["location", "completed"])
def test_no_patch_of_a_bad_tile_is_delivered_before_the_failure(monkeypatch, order) -> None:
    monkeypatch.setattr(patch_reader, "RUN_TILES", 1)
    slide = LateTile(128, 32, tile_px=(32, 32), damaged={0: {1}})
    locations = at([(16, 0), (64, 0)], side_px0=32, patch_px=32)
    batches = read_patches(slide, locations, n_batch=1, n_threads=2, order=order)
    with pytest.raises(TileUnreadable, match="tile 1"):
        next(batches)


def until_it_fails(slide, locations, **options) -> tuple[list, TileUnreadable]:
    delivered = []
    batches = read_patches(slide, locations, **options)
    with pytest.raises(TileUnreadable) as caught:
        delivered.extend((indices.tolist(), pixels.tobytes()) for indices, pixels in batches)
    return delivered, caught.value


@pytest.mark.parametrize("order", ["location", "completed"])
@pytest.mark.parametrize("patch_px", [60, 30])
def test_failing_names_the_same_tile_after_the_same_batches_for_any_number_of_threads(
    monkeypatch, order, patch_px
) -> None:
    monkeypatch.setattr(patch_reader, "RUN_TILES", 3)
    damaged = {0: {95, 52, 53, 60, 87, 40}}
    whole = FormulaSlide(700, 700, tile_px=(64, 64))
    locations = at(grid_of(700, 700, 60, 13), side_px0=60, patch_px=patch_px)
    wanted = wanted_of(whole, locations)
    runs = []
    for n_threads in (1, 2, 4, 7):
        slide = SlowSlide(700, 700, tile_px=(64, 64), damaged=damaged)
        options = {"n_batch": 4, "n_threads": n_threads, "order": order}
        delivered, error = until_it_fails(slide, locations, **options)
        assert decoders() == []
        assert delivered
        for indices, pixels in delivered:
            assert pixels == np.array([wanted[i] for i in indices]).tobytes()
        runs.append((delivered, str(error)))
    assert all(run == runs[0] for run in runs)
    assert "formula.svs: level 0, tile 40 at (448, 192), 64 x 64 px" in runs[0][1]


@pytest.mark.parametrize("order", ["location", "completed"])
def test_skipped_patches_are_listed_in_the_order_of_the_locations(order) -> None:
    points = grid_of(256, 256, 32)
    points = [points[i] for i in np.random.default_rng(5).permutation(len(points))]
    slide, bad_tiles = FormulaSlide(256, 256, tile_px=(64, 64), damaged={0: {1, 6, 12}}), BadTiles()
    locations = at(points, side_px0=32, patch_px=32)
    lost = [i for i, tiles in enumerate(tiles_under(slide, locations)) if tiles & {1, 6, 12}]
    for _ in read_patches(
        slide, locations, spec=SKIP_ALL, n_batch=5, order=order, bad_tiles=bad_tiles
    ):
        pass
    assert bad_tiles.skipped == lost
    assert len(lost) == 12


def test_failing_is_ledgered_too() -> None:
    slide, bad_tiles = FormulaSlide(320, 320, tile_px=(64, 64), damaged={0: {7}}), BadTiles()
    locations = at(grid_of(320, 320, 64), side_px0=64, patch_px=64)
    _, error = until_it_fails(slide, locations, bad_tiles=bad_tiles)
    assert [fault.tile for fault in bad_tiles.faults.values()] == [7]
    assert bad_tiles.n_tiles == 25
    assert error.remedy


def test_a_bad_tile_beside_the_patches_is_no_matter() -> None:
    slide, bad_tiles = FormulaSlide(320, 320, tile_px=(64, 64), damaged={0: {24}}), BadTiles()
    locations = at([(0, 0), (64, 64)], side_px0=64, patch_px=64)
    check(slide, locations, list(read_patches(slide, locations, n_batch=2, bad_tiles=bad_tiles)), 2)
    assert bad_tiles.faults == {}


@pytest.mark.parametrize(("n_bad", "share"), [(1, 0.01), (7, 0.07), (29, 0.29), (58, 0.58)])
def test_a_share_of_exactly_the_bound_passes_and_one_tile_more_does_not(n_bad, share) -> None:
    locations = at(grid_of(160, 160, 16), side_px0=16, patch_px=16)
    spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=share)
    slide = FormulaSlide(160, 160, tile_px=(16, 16), damaged={0: set(range(n_bad))})
    bad_tiles = BadTiles()
    n = sum(len(i) for i, _ in read_patches(slide, locations, spec=spec, bad_tiles=bad_tiles))
    assert (n, bad_tiles.n_tiles, bad_tiles.skipped) == (100 - n_bad, 100, list(range(n_bad)))
    slide.damaged = {0: set(range(20, 21 + n_bad))}
    _, error = until_it_fails(slide, locations, spec=spec)
    assert f"more than {share:.2%} of the 100 tiles" in error.message
    assert "tile 20 at" in error.message
    assert "max_bad_tile_share" in error.remedy


def test_no_bad_tile_passes_where_none_is_allowed() -> None:
    slide = FormulaSlide(160, 160, tile_px=(16, 16), damaged={0: {50}})
    locations = at(grid_of(160, 160, 16), side_px0=16, patch_px=16)
    spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.0)
    until_it_fails(slide, locations, spec=spec)


def test_a_tile_that_is_read_in_two_passes_is_one_bad_tile(monkeypatch) -> None:
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", 1)
    slide = FormulaSlide(160, 160, tile_px=(80, 80), damaged={0: {1}})
    locations = at(grid_of(160, 160, 20), side_px0=20, patch_px=20)
    bad_tiles = BadTiles()
    spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.25)
    n = sum(
        len(i) for i, _ in read_patches(slide, locations, spec=spec, n_batch=2, bad_tiles=bad_tiles)
    )
    assert n == 48
    assert slide.tile_counts[1] > 1
    assert len(bad_tiles.faults) == 1
    assert len(bad_tiles.skipped) == 16


def test_all_patches_may_be_left_out() -> None:
    slide, bad_tiles = FormulaSlide(64, 64, tile_px=(64, 64), damaged={0: {0}}), BadTiles()
    locations = at(grid_of(64, 64, 16), side_px0=16, patch_px=16)
    assert list(read_patches(slide, locations, spec=SKIP_ALL, n_batch=3, bad_tiles=bad_tiles)) == []
    assert bad_tiles.skipped == list(range(16))


def test_a_bad_tile_that_is_one_patch_does_not_reach_the_next_patch_in_its_buffer() -> None:
    slide = FormulaSlide(64, 6400, tile_px=(64, 64), damaged={0: set(range(0, 100, 9))})
    locations = at([*grid_of(64, 6400, 64), (40, 100), (3, 6380)], side_px0=64, patch_px=64)
    wanted = wanted_of(slide, locations)
    for indices, pixels in read_patches(slide, locations, spec=SKIP_ALL, n_batch=4):
        assert np.array_equal(pixels, [wanted[i] for i in indices])


# --------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(("patch_px", "offset_px"), [(32, 0), (32, 11), (24, 5), (16, 0)])
@pytest.mark.parametrize("order", ["location", "completed"])
def test_batches_are_decoded_straight_into_the_memory_that_is_given(
    patch_px, offset_px, order
) -> None:
    slide, given, askers = FormulaSlide(320, 320, tile_px=(32, 32)), [], set()
    points = [*grid_of(320, 320, 32, offset_px), (300, 300), (-5, 400), (900, 900)]
    locations = at(points, side_px0=32, patch_px=patch_px)

    def allocate(*shape):
        askers.add(threading.get_ident())
        given.append(np.full(shape, JUNK, np.uint8))
        return given[-1]

    batches = list(
        read_patches(slide, locations, n_batch=7, n_threads=3, order=order, allocate=allocate)
    )
    check(slide, locations, batches, 7)
    assert {array.shape for array in given} == {(7, patch_px, patch_px, 3)}
    homes = [{i for i, array in enumerate(given) if np.shares_memory(pixels, array)}
             for _, pixels in batches]  # fmt: skip
    assert sorted(homes, key=list) == [{i} for i in range(len(given))]
    assert all(pixels.flags.c_contiguous for _, pixels in batches)
    assert askers == {threading.get_ident()}  # whoever takes the batches


def test_a_budget_of_ones_own_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", 1)
    slide = FormulaSlide(160, 160, tile_px=(32, 32))
    locations = at(grid_of(160, 160, 32, 16), side_px0=32, patch_px=32)
    list(read_patches(slide, locations, n_batch=2, budget_bytes=10**9))
    assert set(slide.tile_counts.values()) == {1}
    slide.reads.clear()
    batches = list(read_patches(slide, locations, n_batch=2, budget_bytes=1))
    check(slide, locations, batches, 2)
    assert max(slide.tile_counts.values()) > 1
    with pytest.raises(SpecError, match="budget_bytes=0"):
        read_patches(slide, locations, budget_bytes=0)


@pytest.mark.parametrize("budget_bytes", [1, 10**9])
def test_no_pass_is_planned_twice(monkeypatch, budget_bytes) -> None:
    planned = []

    def plan(raster, squares):
        planned.append((squares.start, squares.stop))
        return read_plan.plan_pass(raster, squares)

    monkeypatch.setattr(patch_reader, "plan_pass", plan)
    slide = FormulaSlide(160, 160, tile_px=(32, 32))
    locations = at(grid_of(160, 160, 32, 16), side_px0=32, patch_px=32)
    n = sum(len(i) for i, _ in read_patches(slide, locations, n_batch=2, budget_bytes=budget_bytes))
    assert n == 16
    assert len(planned) == len(set(planned))
    assert (len(planned) == 1) == (budget_bytes > 1)


def note_buffers(monkeypatch) -> list:
    """All arrays that batches of the next readings are made in."""
    arrays = []

    class Noted(patch_reader.Buffers):
        def __init__(self) -> None:
            super().__init__()
            self._arrays = arrays

    monkeypatch.setattr(patch_reader, "Buffers", Noted)
    return arrays


@pytest.mark.parametrize("order", ["location", "completed"])
@pytest.mark.parametrize(("offset_px", "patch_px"), [(0, 64), (20, 64), (0, 32), (20, 30)])
def test_the_buffers_alive_do_not_grow_with_the_height(
    monkeypatch, order, offset_px, patch_px
) -> None:
    n_buffers = []
    for height_px in (7_500, 30_000):
        buffers = note_buffers(monkeypatch)
        slide = FormulaSlide(100, height_px, tile_px=(64, 64))
        locations = at(grid_of(100, height_px, 64, offset_px), side_px0=64, patch_px=patch_px)
        n = 0
        for indices, _ in read_patches(slide, locations, n_batch=4, n_threads=1, order=order):
            n += len(indices)
        assert n == len(locations) >= 116
        n_buffers.append(len(buffers))
        buffers.clear()
    assert n_buffers[1] <= n_buffers[0] + 1 <= 16


def test_more_threads_begin_no_more_than_the_budget(monkeypatch) -> None:
    monkeypatch.setattr(patch_reader, "BUDGET_BYTES", 40 * 64 * 64 * 3)
    buffers = note_buffers(monkeypatch)
    slide = FormulaSlide(64, 64 * 500, tile_px=(64, 64))
    locations = at(grid_of(64, 64 * 500, 64), side_px0=64, patch_px=64)
    n = sum(len(indices) for indices, _ in read_patches(slide, locations, n_batch=1, n_threads=8))
    assert n == 500
    assert len(buffers) <= 42  # and the one or two that the receiver holds
    assert set(slide.tile_counts.values()) == {1}


class FlatTiles(FormulaTiles):
    """Costs no memory of its own."""

    def read(self, tile, *, shrink=1, out=None):
        assert shrink == 1
        out[:] = tile % 251
        return out


class FlatSlide(FormulaSlide):
    def tiles(self, level):
        return FlatTiles(self, level, super().tiles(level).grid)


@pytest.mark.parametrize(("offset_px", "patch_px"), [(30, 64), (0, 32), (30, 40)])
def test_memory_does_not_grow_with_the_height(offset_px, patch_px) -> None:
    peaks = []
    for height_px in (4_000, 16_000):
        slide = FlatSlide(300, height_px, tile_px=(64, 64))
        locations = at(grid_of(300, height_px, 64, offset_px), side_px0=64, patch_px=patch_px)
        gc.collect()
        tracemalloc.start()
        for _ in read_patches(slide, locations, n_batch=8, n_threads=2):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 1,000 patches of 12 KB are 12 MB; what grows are the plan's numbers, 0.5 KB a patch.
    assert peaks[1] < peaks[0] + 750 * 600
    assert peaks[1] < 4_000_000


def test_what_is_not_read_of_a_slide_is_said_once(caplog) -> None:
    slide = FormulaSlide(64, 64)
    slide.info = replace(slide.info, notes=("of its 3 planes the first is read",))
    slide.path = "a slide of this test alone"
    for _ in range(2):
        list(read_patches(slide, at([(0, 0)], side_px0=64, patch_px=64)))
    assert caplog.messages == [f"{slide.path}: of its 3 planes the first is read"]
