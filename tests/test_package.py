import subprocess
import sys

import pytest

import pathassets


@pytest.mark.parametrize("name", pathassets.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name):
    assert getattr(pathassets, name).__doc__


def test_the_public_names_are_those_that_have_a_home():
    assert sorted(pathassets._HOMES) == sorted(pathassets.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'OpenSlide'"):
        pathassets.OpenSlide  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, pathassets; sys.exit(bool({'numpy', 'openslide', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # noqa: S603
