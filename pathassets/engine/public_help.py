"""Public class -> the same, its docstring ending with all parameters, so that `help` tells them.

What a parameter means is written once: below its field, where the class is a dataclass or takes the
fields of some; else in `PARAMETERS`.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

T = TypeVar("T", bound=type)

_WIDTH = 88
_INDENT = " " * 4

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "check_location": "Whether two patches with one corner are refused.",
        "class_name": "What manifests call the class that found the patches.",
        "class_params": "What manifests print of its parameters.",
        "create_subdirs": "Whether each label has a folder.",
        "excluded_labels": "Labels of patches that are left out.",
        "filename_comment": "A part of all file names.",
        "filename_separator": "What stands between the parts of file names.",
        "global_counter": "Number of the first patch set, `set1`; the sets of all slides are "
        "counted on from it. None counts from 1 for each slide, `slide__set1`. A set that has "
        "images of another slide is refused.",
        "image_type": "png, jpg, jpeg, tif, tiff or webp, in any case.",
        "included_labels": "Labels of the patches to extract; all others are left out. Of included "
        "and excluded labels only one may be given.",
        "inference_mode": "Whether the place in `patch_data` comes with each patch as a third.",
        "level_or_mpp": "What sizes are pixels of: an int is a level, a float micrometres per "
        "pixel.",
        "levels_or_mpps": "Resolutions of a patch set: an int is a level, a float micrometres per "
        "pixel.",
        "mask_data_list": "`mask_data` of each slide.",
        "mp_chunksize": "Is checked, and changes no result.",
        "num_workers": "Threads.",
        "on_error": "What becomes of slides that fail: 'raise', 'skip' (told in the log) or "
        "'collect' (kept in `errors`).",
        "ordered": "Whether patches come in the order of the pool and of each slide's patches.",
        "output_dir": "Folder for the images; it is made where there is none.",
        "patch_data": "((x, y) in level-0 pixels, (width, height) in pixels at `level_or_mpp`, "
        "label) of each patch.",
        "patch_labels": "All labels there can be; those without a patch are counted as 0.",
        "patches": "An object of a patch-location class, or a `PatchesMock`.",
        "patches_args": "Parameters of the class. A list has one value for each slide, a list in "
        "it one for each polygon; lists of labels are for all slides, but for lists of lists. "
        "Keys:",
        "patches_pool": "A pool of patch locations, or any iterable of objects with them.",
        "points_list": "`points` of each slide.",
        "polygon_data_list": "`polygon_data` of each slide.",
        "proc_mp_chunksize": "Is checked, and changes no result.",
        "proc_num_workers": "Processes: how many slides are worked on at once.",
        "quality": "Of JPEG and WebP, 1 to 100; None is the encoder's own.",
        "resampling_mode": "None reads stored levels alone; 'tile' resamples each patch by itself; "
        "'wsi' as if the whole slide had been resampled first, so that neighbours have no seam.",
        "save_preview_image_args": "Arguments of `save_preview_image`, to save an image of each "
        "slide: its name is the slide's, followed by that of `image_file`.",
        "slide_mpp": "Micrometres per level-0 pixel, where the file says none, or a wrong one.",
        "slide_mpp_list": "`slide_mpp` of each slide; None in it where the file counts.",
        "thread_mp_chunksize": "Is checked, and changes no result.",
        "thread_num_workers": "Threads of each process.",
        "verbose": "Whether progress is shown: a bar, or lines in a log.",
        "wsi_file": "Path of the slide.",
        "wsi_file_list": "Paths of the slides.",
    }
)


@cache
def with_parameters(public: T) -> T:
    """The class itself, once its docstring tells its parameters; one that does so is left alone."""
    names, texts = list(inspect.signature(public).parameters), _texts_of(public)
    if "\n    Args:\n" in (public.__doc__ or "") or not texts.keys() >= set(names):
        return public
    lines = ["", "", "Parameters:"]
    for name in names:
        lines += _told(name, texts[name], _INDENT)
        if name == "patches_args":
            lines += _told_keys(public)
    public.__doc__ = inspect.cleandoc(public.__doc__ or "") + "\n".join(lines)
    return public


def _told_keys(pool: type) -> Iterable[str]:
    """Lines for what may stand in `patches_args`."""
    kind, keys = pool.patches_args_keys()  # type: ignore[attr-defined] # a pool has it
    for key in keys:
        yield from _told(key, _texts_of(kind)[key], 2 * _INDENT)


def _told(name: str, text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        f"{name}: {text}", _WIDTH, initial_indent=indent, subsequent_indent=indent + _INDENT,
        break_long_words=False,
    )  # fmt: skip


@cache
def _texts_of(public: type) -> Mapping[str, str]:
    """What is written of a class's parameters, by name."""
    texts = dict(PARAMETERS)
    for kind in (public, *getattr(public, "takes_fields_of", ())):
        for base in reversed(kind.__mro__):
            texts |= _field_texts(base.__module__).get(base.__qualname__, {})
    return texts


@cache
def _field_texts(module: str) -> Mapping[str, dict[str, str]]:
    """The docstrings below the fields of a module's classes; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):  # a frozen program, a builtin
        return {}
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {one.name: dict(_documented(one)) for one in classes}


def _documented(node: ast.ClassDef) -> Iterable[tuple[str, str]]:
    for field, below in pairwise(node.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(str(text))):
                yield name, " ".join(text.split())
            case _:
                pass
