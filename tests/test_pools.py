"""What a user of location classes and extractor pools sees, in closed form."""

from pathlib import Path

import numpy as np
import pytest

import pathassets
from pathassets import (
    AnnotationPolygon,
    DiskPatchExtractor,
    DiskPatchExtractorPool,
    MemPatchExtractor,
    MemPatchExtractorPool,
    MultiResDiskPatchExtractorPool,
    MultiResMemPatchExtractor,
    MultiResMemPatchExtractorPool,
    PatchesMock,
    PolygonRegionGridPatches,
    WholeImageCustomPatches,
    WholeImageGridPatches,
    WholeImageGridPatchesPool,
    WholeImageInvertedGridPatches,
    WholeImagePoissonDiskPatches,
    WholeImageRandomPatches,
)
from pathassets.engine.locations import pools as location_pools
from pathassets.engine.patches.disk import extractors
from tests.engine.workers_here import workers_here
from tests.formula_tiff import formula_box, write_formula_tiff

FULL = np.ones((512, 384), bool)
"""Of the formula slide's level 1, (x, y)."""


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "formula.tiff")


def corners(patches) -> list[tuple[int, int]]:
    return [corner for corner, _, _ in patches.patch_data]


def row_major(xs, ys) -> list[tuple[int, int]]:
    return [(x, y) for y in ys for x in xs]


def test_every_public_name_is_there():
    for name in pathassets.__all__:
        assert getattr(pathassets, name).__name__ == name


def test_a_full_mask_gives_48_patches_row_by_row(slide_path):
    patches = WholeImageGridPatches(wsi_file=str(slide_path), mask_data=FULL, patch_size=256)
    assert corners(patches) == row_major(range(0, 2048, 256), range(0, 1536, 256))
    assert (patches.patch_count, corners(patches)[-1]) == (48, (1792, 1280))


def test_half_a_stride_at_level_1_gives_35_patches_256_px0_apart(slide_path):
    patches = WholeImageGridPatches(
        wsi_file=str(slide_path), mask_data=FULL, patch_size=128, level_or_mpp=1, patch_stride=0.5
    )
    assert corners(patches) == row_major(range(0, 1537, 256), range(0, 1025, 256))
    assert patches.patch_count == 35


def test_patches_at_micrometres_between_levels_are_280_px0_apart(slide_path):
    patches = WholeImageGridPatches(
        wsi_file=str(slide_path), mask_data=FULL, patch_size=200, level_or_mpp=0.7
    )
    assert corners(patches) == row_major(range(0, 1681, 280), range(0, 1121, 280))
    assert patches.patch_count == 35


def test_the_real_slide_gives_the_counts_that_are_known(shared):
    path = str(shared / "slides" / "CMU-1-Small-Region.svs")
    full = np.ones((2220, 2967), bool)

    def count(**more):
        return WholeImageGridPatches(wsi_file=path, mask_data=full, **more).patch_count

    assert count() == 88
    assert count(patch_stride=0.5) == 352
    assert count(foreground_ratio=0.5, overlap_ratio=0.5) == 107


def test_an_area_is_left_out_where_the_choice_is_inverted(slide_path):
    area = AnnotationPolygon(points=[(0, 0), (1024, 0), (1024, 1536), (0, 1536)], label="tumour")
    inverted = WholeImageInvertedGridPatches(
        wsi_file=str(slide_path), mask_data=FULL, polygon_data=[area], weak_label="rest"
    )
    inside = PolygonRegionGridPatches(wsi_file=str(slide_path), mask_data=FULL, polygon_data=[area])
    right = row_major(range(1024, 2048, 256), range(0, 1536, 256))
    left = row_major(range(0, 1024, 256), range(0, 1536, 256))
    assert (corners(inverted), inverted.patch_info) == (right, {"rest": 24})
    assert (corners(inside), inside.patch_info) == (left, {"tumour": 24})


def test_given_points_are_kept_where_there_is_tissue(slide_path):
    mask = FULL.copy()
    mask[:256] = False  # the left half
    patches = WholeImageCustomPatches(
        wsi_file=str(slide_path), mask_data=mask, points=[(1024, 0), (0, 0), (1500, 1000)]
    )
    assert corners(patches) == [(1024, 0), (1500, 1000)]


def test_random_and_poisson_draws_follow_the_seed_alone(slide_path):
    def draw(seed):
        return [
            corners(kind(wsi_file=str(slide_path), mask_data=FULL, seed=seed, **more))
            for kind, more in (
                (WholeImageRandomPatches, {"num_patches": 20}),
                (WholeImagePoissonDiskPatches, {"poisson_spacing": 80}),
            )
        ]

    first = draw(1)
    assert first == draw(1)
    assert [len(set(found)) for found in first] == [20, len(first[1])]
    assert all(a != b for a, b in zip(first, draw(2), strict=True))
    points = np.array(first[1])
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert apart[~np.eye(len(points), dtype=bool)].min() >= 80 * 4 - 1


@pytest.mark.parametrize(("n_workers", "n_threads"), [(1, 1), (2, 2)])
def test_a_pool_gives_every_pixel_in_closed_form(slide_path, n_workers, n_threads):
    located = WholeImageGridPatchesPool(
        wsi_file_list=[str(slide_path)] * 2,
        mask_data_list=[FULL] * 2,
        patches_args={"patch_size": 128, "level_or_mpp": 1, "weak_label": ["one", "two"]},
        proc_num_workers=n_workers,
    )
    pool = MemPatchExtractorPool(
        patches_pool=located,
        proc_num_workers=n_workers,
        thread_num_workers=n_threads,
        ordered=True,
    )
    seen = []
    for patch in pool.patch_list:
        image, label = patch
        assert image.size == (128, 128)
        assert (np.asarray(image) == patch.pixels).all()
        expected = formula_box(1, patch.x_px0 // 4, patch.y_px0 // 4, 128, 128)
        assert (patch.pixels == expected).all()
        seen.append((label, patch.x_px0, patch.y_px0, patch.index))
    one_slide = row_major(range(0, 1537, 512), range(0, 1025, 512))
    assert seen == [
        (label, x, y, i) for label in ("one", "two") for i, (x, y) in enumerate(one_slide)
    ]
    assert (pool.patch_count, len(pool.patch_list)) == (24, 24)


def test_sets_share_a_centre_in_memory_and_on_disk(slide_path, tmp_path):
    mock = PatchesMock(
        patch_data=[((512, 512), (256, 256), "a")], wsi_file=str(slide_path), level_or_mpp=0
    )
    levels = [0, 1.0, 0.75]
    single = MultiResMemPatchExtractor(
        patches=mock, num_workers=1, levels_or_mpps=levels, resampling_mode="tile"
    )
    pool = MultiResMemPatchExtractorPool(
        patches_pool=[mock], proc_num_workers=1, thread_num_workers=1, levels_or_mpps=levels,
        resampling_mode="tile",
    )  # fmt: skip
    ((first, wide, middle),) = pool.patch_list
    where = [(512, 512), (384, 384), (448, 448)]
    assert [(p.x_px0, p.y_px0) for p in (first, wide, middle)] == where
    assert [p.level_or_mpp for p in (first, wide, middle)] == levels
    assert (first.pixels == formula_box(0, 512, 512, 256, 256)).all()
    ((again, *_),) = single.patch_stream
    assert (np.asarray(again[0]) == first.pixels).all()
    on_disk = MultiResDiskPatchExtractorPool(
        patches_pool=[mock], proc_num_workers=1, thread_num_workers=1, levels_or_mpps=levels,
        resampling_mode="tile", output_dir=str(tmp_path), image_type="png",
    )  # fmt: skip
    (manifest_id,) = on_disk.manifest_ids
    names = sorted(path.name for path in (tmp_path / "set1").iterdir())
    assert names == sorted(
        f"formula_{manifest_id}_{level}_a_x{x}_y{y}.png"
        for level, (x, y) in zip(("level0", "mpp1.0", "mpp0.75"), where, strict=True)
    )


def test_files_on_disk_hold_the_patches_that_they_name(slide_path, tmp_path):
    import cv2  # noqa: PLC0415 - the only test that needs it

    patches = WholeImageGridPatches(
        wsi_file=str(slide_path), mask_data=FULL, patch_size=512, weak_label="all"
    )
    pool = DiskPatchExtractorPool(
        patches_pool=[patches], proc_num_workers=1, thread_num_workers=2,
        output_dir=str(tmp_path / "out"), image_type="png", create_subdirs=True,
        filename_comment="he",
    )  # fmt: skip
    (manifest_id,) = pool.manifest_ids
    for x, y in row_major(range(0, 2048, 512), range(0, 1536, 512)):
        path = tmp_path / "out" / "all" / f"formula_{manifest_id}_he_all_x{x}_y{y}.png"
        rgb = cv2.imread(str(path))[..., ::-1]
        assert (rgb == formula_box(0, x, y, 512, 512)).all()
    assert pool.patch_count == 12
    single = DiskPatchExtractor(
        patches=patches, num_workers=1, output_dir=str(tmp_path / "one"), image_type="png"
    )
    assert single.patch_count == 12


def test_one_slide_alone_streams_its_patches(slide_path):
    patches = WholeImageGridPatches(wsi_file=str(slide_path), mask_data=FULL)
    extractor = MemPatchExtractor(patches=patches, num_workers=2)
    seen = [image.size for image, _ in extractor.patch_stream]
    assert seen == [(256, 256)] * 48


@pytest.mark.slow
def test_pools_say_how_far_they_are_when_they_are_asked_to(slide_path, tmp_path, capfd):
    def run(**more):
        located = WholeImageGridPatchesPool(
            wsi_file_list=[str(slide_path)], mask_data_list=[FULL], patches_args={},
            proc_num_workers=1, **more,
        )  # fmt: skip
        how = {"patches_pool": located, "proc_num_workers": 1, "thread_num_workers": 1} | more
        folder = tmp_path / ("told" if more else "quiet")
        for _ in MemPatchExtractorPool(**how).patch_list:
            pass
        DiskPatchExtractorPool(output_dir=folder, image_type="jpg", **how)
        MultiResDiskPatchExtractorPool(
            output_dir=folder, image_type="jpg", levels_or_mpps=[0, 1], **how
        )

    run()
    assert capfd.readouterr().err == ""
    with workers_here(location_pools), workers_here(extractors):  # this process says it
        run(verbose=True)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split("[")[0].strip() for line in lines] == [
        "located: 100% 1/1", "read: 100% 48/48", "saved: 100% 48/48", "saved: 100% 48/48",
    ]  # fmt: skip
    units = ("slides", "patches", "patches", "sets")
    assert all(unit in line for unit, line in zip(units, lines, strict=True))
