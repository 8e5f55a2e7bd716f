import hashlib
import math

import numpy as np
import pytest

from pathassets.core.features import colour_stats
from pathassets.core.features.colour_stats import (
    EOSIN_OD,
    HAEMATOXYLIN_OD,
    OD_STEPS,
    ColourStats,
    find_moments,
    find_percentiles,
    unmix,
)
from pathassets.errors import EncoderError
from tests.engine.encoder_contract import EncoderContract, draw_patches


class TestColourStatsKeepsTheContract(EncoderContract):
    @pytest.fixture
    def encoder(self) -> ColourStats:
        return ColourStats()


def describe(patch: np.ndarray) -> dict[str, float]:
    encoder = ColourStats()
    row = encoder.encode(patch[np.newaxis])[0]
    return dict(zip(encoder.card.feature_names, row.tolist(), strict=True))


def paint(rgb: tuple[float, float, float], side_px: int = 16) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, dtype=np.uint8), (side_px, side_px, 3))


def stain(haematoxylin_od: float, eosin_od: float) -> tuple[float, ...]:
    """Grey levels of a pixel with these concentrations, by Lambert and Beer, rounded."""
    unit_h = np.array(HAEMATOXYLIN_OD) / np.linalg.norm(HAEMATOXYLIN_OD)
    unit_e = np.array(EOSIN_OD) / np.linalg.norm(EOSIN_OD)
    return tuple(np.round(255 * 10 ** -(haematoxylin_od * unit_h + eosin_od * unit_e)))


@pytest.mark.parametrize(
    "rgb", [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 180)]
)
def test_a_constant_patch_is_its_colour_without_spread(rgb) -> None:
    found = describe(paint(rgb))
    for name, level in zip(("red", "green", "blue"), rgb, strict=True):
        assert [found[f"{name}_{what}"] for what in ("mean", "p5", "p50", "p95")] == [level] * 4
        assert found[f"{name}_std"] == 0
        assert found[f"{name}_skewness"] == 0
    for name in ("haematoxylin", "eosin"):
        assert found[f"{name}_std_od"] == 0
        assert found[f"{name}_skewness"] == 0


def test_white_is_glass_without_stain() -> None:
    found = describe(paint((255, 255, 255)))
    assert found["glass_share"] == 1
    assert found["haematoxylin_mean_od"] == found["eosin_mean_od"] == 0


def test_black_is_as_dense_as_a_level_of_one() -> None:
    assert describe(paint((0, 0, 0)))["haematoxylin_mean_od"] == pytest.approx(
        math.log10(255) * sum(unmix(HAEMATOXYLIN_OD, EOSIN_OD)), abs=2 / OD_STEPS
    )
    assert describe(paint((0, 0, 0)))["glass_share"] == 0


def test_a_pixel_is_glass_when_its_darkest_channel_is_bright() -> None:
    patch = paint((220, 255, 220)).copy()
    assert describe(patch)["glass_share"] == 1
    patch[:4, :, 1] = 219
    assert describe(patch)["glass_share"] == 0.75


def test_a_known_histogram_has_the_moments_and_percentiles_of_a_pencil() -> None:
    # 100 reds: 4 x 0, 46 x 10, 44 x 20, 6 x 130. Mean 21.2; squares 46*100 + 44*400 + 6*16900 =
    # 123600, so the variance is 1236 - 449.44 = 786.56; cubes 46*1000 + 44*8000 + 6*2197000 =
    # 13580000, so the third moment is 135800 - 3*21.2*1236 + 2*21.2^3 = 76246.656.
    patch = np.zeros((10, 10, 3), dtype=np.uint8)
    patch[..., 0] = np.repeat([0, 10, 20, 130], [4, 46, 44, 6]).reshape(10, 10)
    found = describe(patch)
    assert found["red_mean"] == np.float32(21.2)
    assert found["red_std"] == np.float32(math.sqrt(786.56))
    assert found["red_skewness"] == pytest.approx(76246.656 / 786.56**1.5, rel=1e-7)
    assert [found[f"red_p{p}"] for p in (5, 50, 95)] == [10, 10, 130]


def test_a_percentile_is_the_least_value_that_enough_pixels_do_not_exceed() -> None:
    # Of 20 values, 5 % are 1, 50 % are 10, and 95 % are 19.
    assert find_percentiles(np.ones(20, dtype=np.int64)) == [0, 9, 18]
    # Of 21, 1.05, 10.5 and 19.95: rounded up.
    assert find_percentiles(np.ones(21, dtype=np.int64)) == [1, 10, 19]
    assert find_percentiles(np.array([0, 0, 1])) == [2, 2, 2]


def test_moments_are_those_of_numpy() -> None:
    values = draw_patches(1, 32)[0, ..., 0].ravel().astype(np.float64) - 40
    mean, deviation, skewness = find_moments(np.bincount(values.astype(int) + 40), least=-40)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert deviation == pytest.approx(values.std(), rel=1e-12)
    standard = (values - values.mean()) / values.std()
    assert skewness == pytest.approx((standard**3).mean(), rel=1e-9)


def test_skewness_changes_its_sign_with_the_tail() -> None:
    assert find_moments(np.array([9, 1]))[2] == -find_moments(np.array([1, 9]))[2] > 0


def test_the_order_of_pixels_does_not_matter() -> None:
    patch = draw_patches(1, 32)[0]
    shuffled = np.random.Generator(np.random.PCG64(1)).permutation(patch.reshape(-1, 3))
    assert describe(shuffled.reshape(patch.shape)) == describe(patch)
    assert describe(shuffled.reshape(16, 64, 3)) == describe(patch)


def test_features_are_equal_by_ones_and_by_sixty_fours() -> None:
    batch = draw_patches(64, 32)
    encoder = ColourStats()
    alone = [encoder.encode(batch[i : i + 1]) for i in range(64)]
    assert np.concatenate(alone).tobytes() == encoder.encode(batch).tobytes()


@pytest.mark.parametrize("concentration_od", [0.1, 0.4, 0.8])
def test_pure_haematoxylin_comes_back_as_haematoxylin(concentration_od) -> None:
    found = describe(paint(stain(concentration_od, 0)))
    assert found["haematoxylin_mean_od"] == pytest.approx(concentration_od, abs=0.01)
    assert found["eosin_mean_od"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("concentration_od", [0.1, 0.4, 0.8])
def test_pure_eosin_comes_back_as_eosin(concentration_od) -> None:
    found = describe(paint(stain(0, concentration_od)))
    assert found["eosin_mean_od"] == pytest.approx(concentration_od, abs=0.01)
    assert found["haematoxylin_mean_od"] == pytest.approx(0, abs=0.01)


def test_half_nuclei_on_eosin_have_the_mean_and_spread_of_two_values() -> None:
    patch = paint(stain(0.1, 0.3)).copy()
    patch[:8] = stain(0.9, 0.3)
    found = describe(patch)
    assert found["haematoxylin_mean_od"] == pytest.approx(0.5, abs=0.01)
    assert found["haematoxylin_std_od"] == pytest.approx(0.4, abs=0.01)
    assert found["haematoxylin_skewness"] == pytest.approx(0, abs=1e-6)
    assert found["eosin_mean_od"] == pytest.approx(0.3, abs=0.01)
    assert found["eosin_std_od"] == pytest.approx(0, abs=0.02)


def test_integer_steps_follow_the_formula_in_floating_point() -> None:
    patch = draw_patches(1, 64)[0]
    unit_h = np.array(HAEMATOXYLIN_OD) / np.linalg.norm(HAEMATOXYLIN_OD)
    unit_e = np.array(EOSIN_OD) / np.linalg.norm(EOSIN_OD)
    residual = np.cross(unit_h, unit_e)
    matrix = np.stack([unit_h, unit_e, residual / np.linalg.norm(residual)])
    density = -np.log10(np.maximum(patch, 1) / 255).reshape(-1, 3)
    concentration = density @ np.linalg.inv(matrix)
    found = describe(patch)
    for i, name in enumerate(("haematoxylin", "eosin")):
        wanted = concentration[:, i]
        assert found[f"{name}_mean_od"] == pytest.approx(wanted.mean(), abs=1e-3)
        assert found[f"{name}_std_od"] == pytest.approx(wanted.std(), abs=1e-3)
        skewness = (((wanted - wanted.mean()) / wanted.std()) ** 3).mean()
        assert found[f"{name}_skewness"] == pytest.approx(skewness, abs=0.01)


def test_no_entry_of_the_tables_hangs_on_the_last_bits_of_a_logarithm() -> None:
    for weights in (unmix(HAEMATOXYLIN_OD, EOSIN_OD), unmix(EOSIN_OD, HAEMATOXYLIN_OD)):
        steps = np.outer(weights, [OD_STEPS * math.log10(255 / v) for v in range(1, 256)])
        assert np.abs(np.abs(steps) % 1 - 0.5).min() > 5e-4


def test_the_tables_are_the_ones_that_features_were_made_with() -> None:
    digest = hashlib.sha256()
    for lut, least in colour_stats._STAINS:
        digest.update(lut.astype("<i4").tobytes() + str(least).encode())
    assert digest.hexdigest() == "11406488c433d1a8149b96cc1fd8a50ee674382a6d4b61a89602b579cc1813ea"


def test_features_are_the_ones_of_every_other_machine() -> None:
    # A change here is a change of COLOUR_STATS_CARD.version.
    features = ColourStats().encode(draw_patches(4, 32))
    assert (
        hashlib.sha256(features.astype("<f4").tobytes()).hexdigest()
        == "2f59e04e56fd322c8c4bbdc1830d22e064bbc44619e6bc0e7bfdb55ea91e1210"
    )


def test_steps_fit_into_16_bits_and_the_sums_of_the_largest_patch_into_64() -> None:
    for lut, least in colour_stats._STAINS:
        assert int(lut.max(axis=1).sum()) < np.iinfo(lut.dtype).max == 2**15 - 1
        greatest = max(-least, least + int(lut.max(axis=1).sum()))
        assert greatest**3 * colour_stats.MAX_PX < np.iinfo(np.int64).max


def test_a_large_patch_of_one_extreme_is_counted_exactly() -> None:
    found = describe(paint((1, 255, 255), side_px=1024))
    wanted = unmix(HAEMATOXYLIN_OD, EOSIN_OD)[0] * math.log10(255)
    assert found["haematoxylin_mean_od"] == pytest.approx(wanted, abs=1 / OD_STEPS)
    assert found["haematoxylin_std_od"] == 0


def test_a_patch_too_large_to_sum_is_refused() -> None:
    huge = np.broadcast_to(np.uint8(0), (1, 4096, 4097, 3))
    with pytest.raises(EncoderError, match="at most 16777216 pixels, got 4097 x 4096 px"):
        ColourStats().encode(huge)


def test_a_single_pixel_is_a_patch() -> None:
    assert describe(paint((10, 20, 30), side_px=1))["green_p50"] == 20
