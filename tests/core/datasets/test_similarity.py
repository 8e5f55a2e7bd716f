from __future__ import annotations

from functools import cache
from itertools import combinations

import cv2
import numpy as np
import pytest

from pathassets.adapters.opencv import preview_jpeg, read_jpeg
from pathassets.core.datasets.similarity import (
    NOTHING_TO_TELL,
    confirm,
    hash_picture,
    near_pairs,
)
from pathassets.core.demo_painting import Appearance, Piece, paint
from pathassets.core.locations.overlay import shrink_to


def overview(rgb: np.ndarray) -> np.ndarray:
    """What the catalog keeps of a slide."""
    return read_jpeg(preview_jpeg(shrink_to(rgb)))


@cache
def drawn(seed: int) -> np.ndarray:
    """A slide of any outline."""
    draw = np.random.default_rng(seed)
    pieces = tuple(
        Piece(
            x=draw.uniform(0.3, 0.7),
            y=draw.uniform(0.3, 0.7),
            length=draw.uniform(0.25, 0.45),
            width=draw.uniform(0.12, 0.3),
            turn=draw.uniform(-1.5, 1.5),
            bend=draw.uniform(-0.4, 0.4),
        )
        for _ in range(draw.integers(1, 4))
    )
    look = Appearance(
        width_px0=int(draw.integers(640, 800)),
        height_px0=int(draw.integers(480, 640)),
        pieces=pieces,
        gland_share=draw.uniform(0, 0.6),
        lymphoid_share=draw.uniform(0, 0.5),
        warmth=draw.uniform(0, 1),
    )
    return paint(look, seed=seed).rgb


def scaled(rgb: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def encoded(rgb: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def cropped(rgb: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    height, width = rgb.shape[:2]
    rows = slice(round(top * height), height - round(bottom * height))
    return rgb[rows, round(left * width) : width - round(right * width)]


def rescanned(rgb: np.ndarray) -> np.ndarray:
    """Another scanner: another size, place on the glass, lamp and gamma."""
    small = scaled(rgb, 0.8)
    framed = cv2.copyMakeBorder(
        small, small.shape[0] // 10, 0, small.shape[1] // 8, 0, cv2.BORDER_CONSTANT,
        value=(243, 243, 243),
    )  # fmt: skip
    return np.round(255 * (framed / 255) ** 1.15 * [0.97, 1.0, 0.94]).astype(np.uint8)


AGAIN = {
    "half the size": lambda rgb: scaled(rgb, 0.5),
    "at 73 % of the size": lambda rgb: scaled(rgb, 0.73),
    "quality 60": lambda rgb: encoded(rgb, 60),
    "cut by 5 % left and above": lambda rgb: cropped(rgb, 0.05, 0.05, 0, 0),
    "cut by 5 % right": lambda rgb: cropped(rgb, 0, 0, 0.05, 0),
    "cut by 2.5 % all round": lambda rgb: cropped(rgb, 0.025, 0.025, 0.025, 0.025),
    "another scanner": rescanned,
}


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two overviews are found, and confirmed, to be of one tissue."""
    pairs = list(near_pairs([hash_picture(one), hash_picture(other)], ["train", "test"]))
    return bool(pairs) and confirm(one, other) is not None


@pytest.mark.parametrize("how", AGAIN, ids=str)
def test_a_slide_is_known_again(how) -> None:
    for seed in (1, 2):
        rgb = drawn(seed)
        assert alike(overview(rgb), overview(AGAIN[how](rgb))), seed


def all_alike(pictures: list[np.ndarray]) -> list[tuple[int, int]]:
    hashes = [hash_picture(one) for one in pictures]
    pairs = near_pairs(hashes, [str(i) for i in range(len(hashes))])
    return [(i, j) for i, j, _ in pairs if confirm(pictures[i], pictures[j]) is not None]


def test_different_slides_are_not_called_alike() -> None:
    assert all_alike([overview(drawn(seed)) for seed in range(1, 8)]) == []


SAME_OUTLINE = Appearance(
    width_px0=800,
    height_px0=600,
    pieces=(Piece(x=0.5, y=0.5, length=0.5, width=0.36, turn=0.3),),
    gland_share=0.5,
)


def test_slides_of_one_outline_are_told_apart_by_what_is_in_it() -> None:
    pictures = [overview(paint(SAME_OUTLINE, seed=seed).rgb) for seed in range(3)]
    assert all(confirm(one, other) is None for one, other in combinations(pictures, 2))


@pytest.mark.slow  # half a minute of painting
def test_of_a_hundred_slides_none_is_like_another_and_each_is_known_again() -> None:
    slides = [drawn(seed) for seed in range(100)]
    pictures = [overview(rgb) for rgb in slides]
    assert all_alike(pictures) == []
    missed = [
        (how, seed)
        for how, again in AGAIN.items()
        for seed, rgb in enumerate(slides)
        if not alike(pictures[seed], overview(again(rgb)))
    ]
    assert len(missed) <= 3  # of 700, where a cut takes much of the tissue


def test_real_slides_are_known_again_and_not_called_alike(shared) -> None:
    openslide = pytest.importorskip("openslide")
    pictures = []
    for name in ("CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"):
        with openslide.OpenSlide(shared / "slides" / name) as slide:
            pictures.append(np.asarray(slide.get_thumbnail((1024, 1024)).convert("RGB")))
    assert all_alike([overview(rgb) for rgb in pictures]) == []
    for rgb in pictures:
        for how, again in AGAIN.items():
            assert alike(overview(rgb), overview(again(rgb))), how


def test_bare_glass_is_like_nothing() -> None:
    glass = np.full((200, 256, 3), 244, np.uint8)
    glass += np.random.default_rng(0).integers(0, 4, glass.shape, np.uint8)
    assert hash_picture(glass) == NOTHING_TO_TELL
    assert confirm(glass, glass) is None


def test_slides_of_one_part_are_not_compared() -> None:
    one = hash_picture(overview(drawn(1)))
    assert list(near_pairs([one, one], ["train", "train"])) == []
    assert list(near_pairs([one, one, one], ["train", "test", "test"])) == [(0, 1, 0), (0, 2, 0)]
    assert list(near_pairs([], [])) == []


def test_pairs_are_found_in_any_block() -> None:
    one = hash_picture(overview(drawn(1)))
    draw = np.random.default_rng(0)
    others = [draw.integers(0, 256, len(one), np.uint8).tobytes() for _ in range(9000)]
    hashes = [*others, one, *others[:100], one]
    parts = ["train"] * 4500 + ["test"] * 4500 + ["train"] + ["val"] * 100 + ["test"]
    found = {(i, j) for i, j, _ in near_pairs(hashes, parts)}
    assert (9000, 9101) in found
    assert {(i, 9001 + i) for i in range(100)} <= found
