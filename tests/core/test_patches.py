import numpy as np
import pytest

from pathassets.core import patches
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import plan_read, read_overview, read_patches, resample, shrink
from pathassets.errors import TileUnreadable
from tests.core.formula_slide import FormulaSlide, pixels_at

REAL = (1.0, 2.0005055500659967)


def at(points: list[tuple[int, int]], *, side_px0: int, patch_px: int) -> PatchLocations:
    x_px0, y_px0 = np.array(points, np.int64).reshape(-1, 2).T
    return PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(len(points), np.float32),
        side_px0=side_px0, patch_px=patch_px, mpp=0.5,
    )  # fmt: skip


def means_of(image: np.ndarray, factor: int) -> np.ndarray:
    """Mean of each whole square of `factor` pixels, not rounded."""
    height_px, width_px = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: height_px * factor, : width_px * factor].astype(float)
    return whole.reshape(height_px, factor, width_px, factor, 3).mean(axis=(1, 3))


def collect(slide: FormulaSlide, locations: PatchLocations, n_batch: int) -> np.ndarray:
    read = [batch.copy() for _, batch in read_patches(slide, locations, n_batch=n_batch)]
    return np.concatenate(read)


@pytest.mark.parametrize(
    ("levels", "side_px0", "level", "side_px", "is_upsampled"),
    [
        ((1.0,), 256, 0, 256, False),
        ((1.0,), 2048, 0, 2048, False),
        ((1.0,), 128, 0, 128, True),
        (REAL, 512, 1, 256, False),
        (REAL, 256, 0, 256, False),
        (REAL, 500, 0, 500, False),
        (REAL, 1024, 1, 512, False),
        ((1.0, 2.009), 512, 1, 255, False),
        ((1.0, 2.011), 512, 0, 512, False),
        ((1.0, 4.0001, 16.0), 1023, 1, 256, False),
        ((1.0, 4.0001, 16.0), 4096, 2, 256, False),
        ((1.0, 4.0001, 16.0), 4000, 1, 1000, False),
        ((1.0, 4.0001, 16.0), 65_536, 2, 4096, False),
        ((1.0, 4.0), 254, 0, 254, True),
    ],
)
def test_the_level_read_is_the_coarsest_with_all_the_detail(
    levels, side_px0, level, side_px, is_upsampled
) -> None:
    read = plan_read(at([], side_px0=side_px0, patch_px=256), levels)
    assert (read.level, read.side_px, read.patch_px) == (level, side_px, 256)
    assert read.is_upsampled == is_upsampled


def test_a_patch_of_one_pixel_is_read() -> None:
    read = plan_read(at([], side_px0=1, patch_px=1), (1.0, 4.0))
    assert (read.level, read.side_px) == (0, 1)


def test_a_region_of_the_right_size_keeps_its_bytes() -> None:
    region = FormulaSlide(32, 32).level(0)
    assert np.array_equal(resample(region, 32), region)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_shrinking_by_a_whole_number_gives_the_mean_of_each_block(factor) -> None:
    region = FormulaSlide(16 * factor, 16 * factor).level(0)
    assert np.abs(resample(region, 16) - means_of(region, factor)).max() <= 0.5
    constant = np.kron(region[:16, :16], np.ones((factor, factor, 1), np.uint8))
    assert np.array_equal(resample(constant, 16), region[:16, :16])


def test_shrinking_by_a_fraction_weighs_pixels_by_their_area() -> None:
    # Three pixels become two: each takes a whole pixel and half of the middle one.
    line = np.array([30, 90, 240], np.uint8)
    region = np.broadcast_to(line[:, None], (3, 3, 3)).copy()
    assert resample(region, 2)[0, :, 0].tolist() == [50, 190]


@pytest.mark.parametrize("side_px", [100, 255, 257, 300, 511])
def test_one_colour_stays_that_colour_at_any_size(side_px) -> None:
    region = np.broadcast_to(np.array([7, 130, 254], np.uint8), (side_px, side_px, 3)).copy()
    patch = resample(region, 256)
    assert patch.shape == (256, 256, 3)
    assert np.unique(patch.reshape(-1, 3), axis=0).tolist() == [[7, 130, 254]]


def test_enlarging_invents_no_values_beyond_the_ones_read() -> None:
    region = np.zeros((2, 2, 3), np.uint8)
    region[:, 1] = 100
    patch = resample(region, 4)
    assert patch[0, :, 0].tolist() == [0, 25, 75, 100]


POINTS = [(300, 40), (0, 0), (17, 5), (64, 64), (301, 40), (5, 130), (200, 100)]


@pytest.mark.parametrize("n_batch", [1, 3, 64])
def test_patches_come_in_the_order_of_their_locations_whatever_the_batch(n_batch) -> None:
    slide = FormulaSlide(400, 200)
    read = collect(slide, at(POINTS, side_px0=32, patch_px=32), n_batch)
    y, x = np.mgrid[:32, :32]
    wanted = [pixels_at(0, x + x_px0, y + y_px0) for x_px0, y_px0 in POINTS]
    assert np.array_equal(read, wanted)
    assert [r[:2] for r in slide.reads] == POINTS  # each once


@pytest.mark.parametrize(
    ("n_batch", "starts", "sizes"),
    [
        (1, [0, 1, 2, 3, 4, 5, 6], [1] * 7),
        (3, [0, 3, 6], [3, 3, 1]),
        (7, [0], [7]),
        (64, [0], [7]),
    ],
)
def test_the_last_batch_holds_what_is_left(n_batch, starts, sizes) -> None:
    locations = at(POINTS, side_px0=32, patch_px=32)
    seen = [
        (i, b.shape) for i, b in read_patches(FormulaSlide(400, 200), locations, n_batch=n_batch)
    ]
    assert [start for start, _ in seen] == starts
    assert [shape for _, shape in seen] == [(n, 32, 32, 3) for n in sizes]


@pytest.mark.parametrize("n_batch", [1, 3, 64])
def test_a_coarse_patch_is_the_mean_of_the_level_it_is_read_from(n_batch) -> None:
    slide = FormulaSlide(1600, 800, (1.0, 4.0))
    locations = at([(0, 0), (400, 80), (1088, 288)], side_px0=512, patch_px=32)
    read = collect(slide, locations, n_batch)
    level = slide.level(1)
    wanted = [
        means_of(level[y // 4 : y // 4 + 128, x // 4 : x // 4 + 128], 4)
        for x, y in zip(locations.x_px0, locations.y_px0, strict=True)
    ]
    assert {r[2:] for r in slide.reads} == {(1, 128, 128)}
    assert np.abs(read - np.array(wanted)).max() <= 0.5


def test_no_location_reads_nothing() -> None:
    slide = FormulaSlide(400, 200)
    assert list(read_patches(slide, at([], side_px0=32, patch_px=32), n_batch=4)) == []
    assert slide.reads == []


def test_a_damaged_patch_stops_the_reading_after_the_whole_batches_before_it() -> None:
    class Damaged(FormulaSlide):
        def read_level(self, x_px0, y_px0, **size):
            if (x_px0, y_px0) == POINTS[4]:
                raise TileUnreadable("s", "cannot decode")
            return super().read_level(x_px0, y_px0, **size)

    batches = read_patches(Damaged(400, 200), at(POINTS, side_px0=32, patch_px=32), n_batch=2)
    assert [next(batches)[0], next(batches)[0]] == [0, 2]
    with pytest.raises(TileUnreadable):
        next(batches)


@pytest.mark.parametrize(
    ("size_px0", "levels", "asked", "level_and_factor", "size_px"),
    [
        ((640, 480), (1.0,), 1.0, (0, 1), (640, 480)),
        ((640, 480), (1.0,), 8.0, (0, 8), (80, 60)),
        ((647, 487), (1.0,), 8.0, (0, 8), (80, 60)),
        ((640, 480), (1.0,), 8.9, (0, 8), (80, 60)),
        ((640, 480), (1.0,), 0.5, (0, 1), (640, 480)),
        ((640, 480), (1.0, 4.0), 4.0, (1, 1), (160, 120)),
        ((640, 480), (1.0, 4.0), 16.0, (1, 4), (40, 30)),
        ((640, 480), (1.0, 4.0), 3.9, (0, 3), (213, 160)),
        ((4443, 3567), REAL, 2.0, (1, 1), (2220, 1783)),
        ((4443, 3567), REAL, 32.0, (1, 15), (148, 118)),
    ],
)
def test_an_overview_is_the_mean_of_whole_blocks_of_the_nearest_level(
    size_px0, levels, asked, level_and_factor, size_px
) -> None:
    level, factor = level_and_factor
    slide = FormulaSlide(*size_px0, levels)
    overview, downsample = read_overview(slide, downsample=asked)
    assert overview.shape == (size_px[1], size_px[0], 3)
    assert overview.dtype == np.uint8
    assert downsample == levels[level] * factor
    assert downsample <= max(1.0, asked * 1.005)
    assert {r[2] for r in slide.reads} == {level}
    assert np.abs(overview - means_of(slide.level(level), factor)).max() <= 0.5


@pytest.mark.parametrize("downsample", [1.0, 3.0, 50.0])
def test_blocks_leave_no_seams(monkeypatch, downsample) -> None:
    slide = FormulaSlide(1201, 903)
    whole, _ = read_overview(slide, downsample=downsample)
    assert len(slide.reads) == 1
    monkeypatch.setattr(patches, "BLOCK_PX", 100)
    in_blocks, _ = read_overview(slide, downsample=downsample)
    assert len(slide.reads) > 100
    assert np.array_equal(in_blocks, whole)


@pytest.mark.parametrize("downsample", [1.0, 7.0, 300.0])
def test_no_block_is_larger_than_2048_pixels(downsample) -> None:
    slide = FormulaSlide(5000, 40)
    read_overview(slide, downsample=downsample)
    assert max(max(width_px, height_px) for *_, width_px, height_px in slide.reads) <= 2048
    # Each pixel of the overview is read once, and none beyond it.
    n_px = sum(width_px * height_px for *_, width_px, height_px in slide.reads)
    assert (
        n_px == min(40, max(1, 40 // downsample) * downsample) * (5000 // downsample) * downsample
    )


@pytest.mark.parametrize(("width_px0", "height_px0"), [(3, 400), (400, 3), (3, 5), (1, 1)])
def test_a_slide_narrower_than_a_pixel_of_the_overview_is_not_mixed_with_what_is_beside_it(
    width_px0, height_px0
) -> None:
    slide = FormulaSlide(width_px0, height_px0)
    overview, downsample = read_overview(slide, downsample=16.0)
    assert downsample == 16.0
    assert overview.shape == (max(1, height_px0 // 16), max(1, width_px0 // 16), 3)
    wanted = [
        [slide.level(0)[y : y + 16, x : x + 16].mean(axis=(0, 1)) for x in columns]
        for columns in [range(0, max(1, width_px0 // 16) * 16, 16)]
        for y in range(0, max(1, height_px0 // 16) * 16, 16)
    ]
    assert np.abs(overview - np.array(wanted)).max() <= 0.5


def test_shrinking_a_block_by_one_is_the_block() -> None:
    block = FormulaSlide(5, 4).level(0)
    assert np.array_equal(shrink(block, 1), block)
