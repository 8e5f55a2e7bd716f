import numpy as np
import pytest

from pathassets.engine.patches.manifest import ManifestFacts, manifest_text, plain


def row(n, label="", **where):
    return {"index": n, "label": label} | (where or {"file": f"T/{n}.png"})


def facts(**changes):
    return ManifestFacts(
        **{"slide": "a.svs", "extractor": "DiskPatchExtractor", "params": {}} | changes
    )


def values(text):
    return {line[:24].rstrip(): line[24:] for line in text.splitlines() if line[:24].strip()}


def test_values_stand_from_column_24_on():
    text = manifest_text("manifests/m.txt", "0a1b2c3d", facts(slide_sha256="ff"), [row(0), row(1)])
    lines = values(text)
    assert lines["Manifest ID:"] == "0a1b2c3d"
    assert lines["Manifest file path:"] == "manifests/m.txt"
    assert lines["Slide SHA-256:"] == "ff"
    assert lines["Patch count:"] == "2"
    assert lines["Disk file count:"] == "2"
    assert text.splitlines()[-3:-1] == [" " * 24 + "T/0.png", " " * 24 + "T/1.png"]


def test_parameters_are_sorted():
    text = manifest_text("m", "i", facts(params={"b": 1, "a": [0.5]}, patch_class="Grid",
                                        patch_params={"z": "1", "y": "2"}), [])  # fmt: skip
    lines = [line.strip() for line in text.splitlines()]
    assert lines.index("a: [0.5]") < lines.index("b: 1")
    assert lines.index("y: 2") < lines.index("z: 1") < lines.index("a: [0.5]")


def test_patches_of_a_set_count_once():
    rows = [row(n, "T", file=f"{n}{level}") for n in range(3) for level in (0, 1)]
    lines = values(manifest_text("m", "i", facts(), rows))
    assert (lines["Patch count:"], lines["Disk file count:"]) == ("3", "6")
    assert lines["Patch labels:"] == "{'T': 3}"


@pytest.mark.parametrize(
    "text", ["a\nDisk file count:         9", "a\u2028b", "\x1b[31m", "a\udc80"]
)
def test_no_text_of_a_user_makes_a_line_or_breaks_the_file(text):
    rows = [row(0, text)]
    written = manifest_text(
        "m", "i", facts(slide=text, params={text: text, "p": [text]}, patch_class=text), rows
    )
    assert written.encode()
    assert len(values(written)) == len(
        values(manifest_text("m", "i", facts(patch_class="a"), rows))
    )
    assert values(written)["Disk file count:"] == "1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros((3, 4)), "<ndarray (3, 4)>"),
        ({3, 1}, "<set>"),
        (lambda: 0, "<function>"),
        ([object()], "<list>"),
        ({"a": (1, None, True)}, "{'a': (1, None, True)}"),
        ("é", "é"),
        ("", ""),
    ],
)
def test_a_value_is_the_same_in_every_run(value, said):
    assert plain(value) == said


def test_a_long_value_is_cut():
    assert len(plain([1] * 10_000)) == 201
    assert len(plain("x" * 10_000)) == 201
