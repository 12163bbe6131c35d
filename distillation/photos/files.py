"""Decide by name which files are photos. Upload, estimate, demo and run share this rule.

A folder of photos has other files too: videos, files that photo programs and operating systems write, texts. They are
skipped, whatever their size, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.answers.vocabulary import VOCABULARY_FILE

UPLOAD_MARK = "distill-upload.txt"
"""Name of the object with which ``distill upload --shrink`` marks a collection."""
OWN_FILE = "distill file"
"""Kind of the files that this project reads or writes in a collection."""
_NAMES = {
    **dict.fromkeys(("distill.json", UPLOAD_MARK, VOCABULARY_FILE, *OWN_LABELS_FILES), OWN_FILE),
    **dict.fromkeys(("thumbs.db", "desktop.ini", "ehthumbs.db", "picasa.ini", "icon\r", "icon\n"), "system file"),
}
_HIDDEN_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information"}
"""Folders of macOS archives, of Synology's thumbnails, and of Windows, in lower case."""
_SUFFIXES_BY_KIND = {
    "video": "360 3gp avi crm insv lrf lrv m2ts m4v mkv mov mp mp4 mpeg mpg mts mxf ogv r3d ts vob webm wmv",
    "audio": "aac amr flac m4a mp3 ogg opus wav wma",
    "side file": "aae acr cos dop lrcat lrtemplate nksc on1 pp3 thm vrd xmp",
    "text": (
        "csv doc docx gpx htm html ini json jsonl kml log md nfo pdf plist ppt pptx rtf srt tsv txt url xls xlsx xml "
        "yaml yml"
    ),
    "archive": "7z arrow bz2 gz parquet rar tar tgz xz zip zst",
    "system file": "db lnk tmp",
}
_SUFFIXES = {f".{suffix}": kind for kind, suffixes in _SUFFIXES_BY_KIND.items() for suffix in suffixes.split()}
_RAW = "3fr arw bay cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srw x3f"
_RAW_SUFFIXES = {f".{suffix}" for suffix in _RAW.split()}
_HEIF_SUFFIXES = {".heic", ".heif", ".hif"}
_REPLACES_RAW = {".jpg", ".jpeg"} | _HEIF_SUFFIXES


def skip_kind(key: str) -> str | None:
    """Return the kind of a file that is not a photo, such as ``video``; None for a photo.

    A file with an unknown suffix counts as a photo, so that a photo with a wrong name is not lost without a message.
    """
    path = PurePosixPath(key)
    if key.endswith("/"):
        return "folder"
    if any(part.startswith(".") or part.lower() in _HIDDEN_FOLDERS for part in path.parts):
        return "hidden file"
    return _NAMES.get(path.name.lower()) or _SUFFIXES.get(path.suffix.lower())


def is_raw(key: str) -> bool:
    """Return whether the name is that of a camera's RAW file."""
    return PurePosixPath(key).suffix.lower() in _RAW_SUFFIXES


def is_heif(key: str) -> bool:
    """Return whether the name is that of a HEIC or HEIF file."""
    return PurePosixPath(key).suffix.lower() in _HEIF_SUFFIXES


def replaced_raw_files(keys: Iterable[str], is_usable: Callable[[str], bool]) -> set[str]:
    """Return the RAW files among ``keys`` that have a usable JPEG or HEIC of the same name in the same folder.

    ``is_usable`` is only called for JPEG and HEIC files with the name of a RAW file.
    """
    keys = list(keys)
    raw_files = {key: _stem(key) for key in keys if is_raw(key)}
    stems = set(raw_files.values())
    others = {key: _stem(key) for key in keys if PurePosixPath(key).suffix.lower() in _REPLACES_RAW}
    replacing = {stem for key, stem in others.items() if stem in stems and is_usable(key)}
    return {key for key, stem in raw_files.items() if stem in replacing}


def skipped_text(counts: Mapping[str, int]) -> str:
    """Return the numbers of skipped files, keyed by kind, such as ``2 video, 1 text``."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(counts).most_common())


def skipped_line(counts: Mapping[str, int]) -> str:
    """Return the line about skipped files, such as ``3 other files skipped: 2 video, 1 text``."""
    total = sum(counts.values())
    return f"{total:,} other file{'s' if total != 1 else ''} skipped: {skipped_text(counts)}"


def is_owner_file(name: str) -> bool:
    """Return whether a file name, in any case, is that of the owner's labels or vocabulary."""
    return name.lower() in (VOCABULARY_FILE, *OWN_LABELS_FILES)


def _stem(key: str) -> str:
    # Cameras write DSC_0001.NEF and DSC_0001.JPG; some programs write DSC_0001.NEF.jpg.
    path = PurePosixPath(key.lower())
    while path.suffix in _RAW_SUFFIXES | _REPLACES_RAW:
        path = path.with_suffix("")
    return str(path)
