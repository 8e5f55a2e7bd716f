"""Slides in Azure's storage, of which a list and a header spell the same ETag in two ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import find_remote_slides, look_at
from pathassets.engine.platform.inbox.look import advanced, look_into
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.platform import Platform
from tests.azure_server import Container, etag_of, serve_azure

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def container() -> Iterator[Container]:
    with serve_azure() as served:
        yield served


def box(key: str) -> RemoteFile:
    place = place_of(f"az://box/{key}")
    assert isinstance(place, RemoteFile)
    return place


def test_an_unchanged_slide_is_known_by_a_list_and_not_read_again(
    container: Container, platform: Platform, make_slide: Callable[..., Path]
) -> None:
    container.blobs["in/a.svs"] = make_slide("a.svs").read_bytes()
    (new,) = ingest(platform, find_files([box("in")]))
    (seen,) = platform.catalog.paths(new.slide_id)
    assert (new.state, seen.etag) == ("new", f'"{etag_of(container.blobs["in/a.svs"])}"')
    container.asked.clear()
    (again,) = ingest(platform, find_files([box("in")]))
    assert (again.state, container.asked) == ("known", {"list": 1})
    clock = advanced(platform.catalog.inbox_clock(), wall_s=1.0, monotonic_s=1.0)
    assert look_into(platform.catalog, [box("in")], clock).seen == {}
    container.blobs["in/a.svs"] = make_slide("b.svs", seed=1).read_bytes()
    (other,) = ingest(platform, find_files([box("in")]))
    assert (other.state, other.slide_id == new.slide_id) == ("new", False)


def test_a_slide_of_several_objects_looks_the_same_in_a_list_and_by_its_name(
    container: Container,
) -> None:
    container.blobs |= {"in/m.mrxs": b"preview", "in/m/Slidedat.ini": b"x", "in/m/a.dat": b"y"}
    (listed,), _ = find_remote_slides(box("in"))
    assert listed.seen == look_at(listed).stamp
