"""What the stages of one slide share."""

from contextlib import closing

import numpy as np
import pytest

from pathassets.adapters.files import stamp_of
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.source import SlidePath, find_source
from pathassets.engine.stages.context import MachineShare, SlideContext
from pathassets.errors import SlideChanged, SlideUnreadable


@pytest.fixture
def context(platform, slide):
    with closing(
        SlideContext(
            slide_id="a",
            slide=open_slide(slide),
            source=find_source(
                "a", "f", [SlidePath(path=str(slide), stamp=stamp_of([slide]))], None
            ),
            fingerprint="f",
            slide_mpp=0.5,
            store=platform.store,
            share=MachineShare(),
        )
    ) as context:
        yield context


def test_only_the_last_overview_is_held(context):
    first = context.overview(8.0)
    assert first.downsample == 16
    assert context.overview(8.0) is first
    fine = context.overview(2.0)
    assert fine.downsample == 4
    assert fine.rgb.shape == (125, 150, 3)
    again = context.overview(8.0)
    assert again is not first
    assert np.array_equal(again.rgb, first.rgb)


def test_a_file_that_is_written_to_is_noticed(context, slide):
    context.check_unchanged()
    with slide.open("ab") as file:
        file.write(b"!")
    with pytest.raises(SlideChanged, match="changed while it was read"):
        context.check_unchanged()
    slide.unlink()
    with pytest.raises(SlideUnreadable, match="no such file"):
        context.check_unchanged()
