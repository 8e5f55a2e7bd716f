"""File -> why it is no slide: what to say of files that OpenSlide does not know.

By their first bytes, never by their names: names are what is wrong with many of them.
"""

from __future__ import annotations

import stat
from pathlib import Path

from pathassets.adapters.files import unreadable
from pathassets.adapters.named_files import odd_kind
from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tiff.remedies import TILED
from pathassets.errors import SlideUnreadable

_HEAD_BYTES = 1024
_VIEWER = "Open it in a viewer such as QuPath; copy the file again from where it was scanned"
_UNPACK = "Unpack it, and name the slide that is inside"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG_ENDIAN = b"MM\0*"
"""OpenSlide 4.0 reads such a TIFF's first offset wrongly; it does read a big-endian BigTIFF."""
_HTML = (b"<!doctype html", b"<html", b"<head")
_LFS = b"version https://git-lfs.github.com/spec/"
_ARCHIVES = {
    b"PK\3\4": "zip",
    b"PK\5\6": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\7": "RAR",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_IMAGES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_CHARACTER_BYTES = 4
"""Of the longest one in UTF-8."""
_TAR_AT, _DICOM_AT = 257, 128
"""Where a tar and a DICOM file say what they are (POSIX.1-1988, ustar; DICOM part 10, 7.1)."""


def require_file(path: Path) -> None:
    """Let a path through that can be opened: before anything opens it, as a pipe holds for ever.

    Raises:
        SlideUnreadable: it is missing, a link to nothing or to itself, a folder, a pipe or device,
            forbidden, or empty.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        raise SlideUnreadable(
            path,
            "is a folder, and not that of a slide",
            remedy="Name a slide's file, or a folder that holds the files of one DICOM series",
            reason="folder_without_slide",
        )
    if odd := odd_kind(mode):
        raise SlideUnreadable(path, odd, remedy="Name a slide file", reason="not_a_file")
    if not read_head(path):
        raise SlideUnreadable(path, "is empty", remedy="Copy it again", reason="empty_file")


def why_no_slide(path: Path) -> SlideUnreadable:
    """Say why a file that OpenSlide does not know is no slide: by its bytes, or its structure."""
    try:
        require_file(path)
        head = read_head(path)
    except SlideUnreadable as error:
        return error
    if path.suffix.lower() == ".mrxs":
        return _why_no_mrxs(path)
    if head.startswith(_TIFF):
        return _why_no_tiff(path, head)
    return _of_another_kind(path, head) or SlideUnreadable(
        path, _odd_fact(head), remedy=_VIEWER, reason="not_a_slide"
    )


def read_head(path: Path) -> bytes:
    """First bytes of a file.

    Raises:
        SlideUnreadable: it is missing, forbidden, or fails.
    """
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error


def _why_no_mrxs(path: Path) -> SlideUnreadable:
    """An MRXS file is a preview; the slide is in the folder of its name."""
    folder = path.with_suffix("")
    lacking = "folder" if not folder.is_dir() else "Slidedat.ini"
    if lacking == "folder" or not (folder / "Slidedat.ini").is_file():
        where = folder if lacking == "folder" else folder / "Slidedat.ini"
        return SlideUnreadable(
            path,
            f"lacks its {lacking}: {where}",
            remedy="Copy the .mrxs file and the folder of the same name together",
            reason="incomplete_mrxs",
        )
    return SlideUnreadable(
        path, "is not an MRXS slide that OpenSlide knows", remedy=_VIEWER, reason="not_a_slide"
    )


def _why_no_tiff(path: Path, head: bytes) -> SlideUnreadable:
    try:
        layout = read_layout(path)
    except SlideUnreadable as error:
        return error
    what = "in a compression that" if not layout.levels else "that"
    if head.startswith(_BIG_ENDIAN):
        what = "in the order of bytes (big-endian) that"
    return SlideUnreadable(
        path,
        f"is a tiled TIFF {what} OpenSlide does not know",
        remedy=TILED,
        reason="not_a_slide",
    )


def _of_another_kind(path: Path, head: bytes) -> SlideUnreadable | None:
    """What the first bytes say it is; None where they say nothing."""
    if head.startswith(_LFS):
        return SlideUnreadable(
            path,
            "is a Git LFS pointer, and not the slide it stands for",
            remedy="Fetch the slide in its repository: git lfs pull",
            reason="lfs_pointer",
        )
    if _is_page(head):
        return SlideUnreadable(
            path,
            "is a web page (HTML): a download that ended in an error or a log-in",
            remedy="Open it in a browser to see what it says, and download the slide again",
            reason="html_page",
        )
    if head.startswith(b"\x1f\x8b"):
        return SlideUnreadable(
            path, "is compressed by gzip", remedy="Unpack it with gunzip", reason="gzip"
        )
    if archive := _archive_of(head):
        return SlideUnreadable(path, f"is an archive ({archive})", remedy=_UNPACK, reason="archive")
    if image := _image_of(head):
        return SlideUnreadable(
            path,
            f"is a plain {image} picture, whatever its name says",
            remedy="A picture has no levels and no micrometres per pixel: find the scanner's file",
            reason="plain_image",
        )
    return None


def _is_page(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(_HTML) or (text.startswith(b"<?xml") and b"<html" in text)


def _archive_of(head: bytes) -> str:
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "tar"
    return next((name for magic, name in _ARCHIVES.items() if head.startswith(magic)), "")


def _image_of(head: bytes) -> str:
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "BMP"
    return next((name for magic, name in _IMAGES.items() if head.startswith(magic)), "")


def _odd_fact(head: bytes) -> str:
    if not head.strip(b"\0"):
        return f"begins with {len(head)} zero bytes, as a copy that never arrived leaves them"
    if is_dicom(head):
        return "is a DICOM file, and not a whole slide that OpenSlide knows"
    if head.startswith(b"%PDF-"):
        return "is a PDF document"
    if _is_text(head):
        return "is a text file"
    return "is not a slide that OpenSlide knows"


def is_dicom(head: bytes) -> bool:
    """Whether a file says of itself that it is of DICOM."""
    return head[_DICOM_AT : _DICOM_AT + 4] == b"DICM"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - _CHARACTER_BYTES:  # else it is cut amid a character
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character.isspace() for character in text)
