"""XMP sidecars: files beside photos with their keywords and descriptions, named ``NAME.EXT.xmp``.

A sidecar that exists is merged: its keywords, description and all other properties stay. It may come from anyone, so it
is parsed without entities, DTDs and network access.

Sources: "XMP Specification Part 1: Data model, serialization, and core properties", ISO 16684-1, sections 7 and 8.3;
"Sidecar files" in the darktable user manual; lxml's "Parsing XML and HTML with lxml".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lxml.etree as etree

from cli.atomic_write import write_file
from distillation.errors import excerpt
from distillation.plain_text import clean, clean_line

MAXIMUM_BYTES = 10 * 2**20
"""Size of a sidecar above which it is not read; one with many edits has some hundred kilobytes."""
_DC = "http://purl.org/dc/elements/1.1/"
_META = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ABOUT, _DESCRIPTION, _ITEM, _ROOT = (f"{{{_RDF}}}{name}" for name in ("about", "Description", "li", "RDF"))
_LISTS = [f"{{{_RDF}}}{name}" for name in ("Bag", "Seq", "Alt")]
_EMPTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="{_META}">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about="" xmlns:dc="{_DC}"/>
 </rdf:RDF>
</x:xmpmeta>
""".encode()
_NOT_IN_XML = re.compile("[\ufffe\uffff]")
"""Characters that ``clean`` leaves and XML 1.0 does not allow."""


class SidecarRefused(Exception):
    """A sidecar cannot be merged and stays as it is. The message is a predicate with the reason."""


@dataclass(frozen=True)
class Merged:
    """A sidecar with an answer."""

    content: bytes | None
    """Content of the file, or None if it stays as it is."""
    kept_description: bool
    """Whether it has another description, which stays."""


def sidecar_path(folder: Path, photo: str) -> Path:
    """Return the path of a photo's sidecar. Raises ``SidecarRefused`` if it is not in the folder."""
    if not {"", ".", ".."}.isdisjoint(photo.split("/")):
        raise SidecarRefused("has a name that is not the path of a file below the folder")
    try:
        path = (folder / f"{photo}.xmp").resolve()
    except (ValueError, RuntimeError) as error:
        raise SidecarRefused(f"has a name that no file can have: {error}") from None
    if not path.is_relative_to(folder.resolve()):
        raise SidecarRefused("is a link, or in a linked folder, that leads out of the folder")
    return path


def merge_file(path: Path, subjects: Sequence[str], description: str) -> Merged:
    """Write the keywords and the description of an answer to a sidecar, unless it has them; see ``merge_answer``."""
    existing: bytes | None = None
    if path.exists():
        with path.open("rb") as file:
            existing = file.read(MAXIMUM_BYTES + 1)
        if len(existing) > MAXIMUM_BYTES:
            raise SidecarRefused(f"is larger than {MAXIMUM_BYTES // 2**20} MiB, so it is not read")
    merged = merge_answer(existing, subjects, description)
    if merged.content is not None:
        write_file(path, merged.content)
    return merged


def merge_answer(existing: bytes | None, subjects: Sequence[str], description: str) -> Merged:
    """Return a sidecar with the keywords and the description of an answer; ``existing`` is its content, if any.

    Raises ``SidecarRefused`` if the existing one is not XMP.
    """
    tree = _parse(_EMPTY if existing is None else existing)
    rdf = tree.getroot() if tree.getroot().tag == _ROOT else tree.getroot().find(_ROOT)
    if rdf is None:
        raise SidecarRefused("is not an XMP file: it has no rdf:RDF")
    changed = _add_subjects(rdf, _clean_all(subjects))
    text = _NOT_IN_XML.sub("", clean(description)).strip()
    present = _description(rdf)
    if text and not present:
        _add_list(rdf, "description", "Alt", [text])
        changed = True
    kept = bool(text and present and present != text)
    return Merged(_serialize(tree, existing) if changed else None, kept)


def _parse(content: bytes) -> Any:
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, dtd_validation=False, no_network=True, huge_tree=False, recover=False
    )
    try:
        tree = etree.fromstring(content, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise SidecarRefused(f"is not an XMP file: {excerpt(error)}") from None
    if tree.docinfo.doctype or tree.docinfo.internalDTD is not None:
        raise SidecarRefused("has a document type declaration, which XMP does not allow")
    if tree.getroot().tag not in (_ROOT, f"{{{_META}}}xmpmeta", f"{{{_META}}}xapmeta"):
        raise SidecarRefused(f"is not an XMP file: its root is {excerpt(tree.getroot().tag)!r}")
    return tree


def _serialize(tree: Any, existing: bytes | None) -> bytes:
    """Return the document in UTF-8, with an XML declaration if it had one."""
    declared = existing is None or b"<?xml" in existing[:10]
    return etree.tostring(tree, encoding="UTF-8", xml_declaration=declared) + b"\n"


def _properties(rdf: Any, name: str) -> list[Any]:
    """Return the elements of a Dublin Core property in all descriptions of the photo.

    A property in the form of an attribute becomes an element first.
    """
    tag = f"{{{_DC}}}{name}"
    for node in rdf.findall(_DESCRIPTION):
        if text := (node.attrib.pop(tag, None) or "").strip():
            etree.SubElement(node, tag).text = text
    return [element for node in rdf.findall(_DESCRIPTION) for element in node.findall(tag)]


def _add_subjects(rdf: Any, subjects: Sequence[str]) -> bool:
    """Add the keywords that are not in the sidecar yet; return whether there were any."""
    properties = _properties(rdf, "subject")
    known = {_comparable(text) for element in properties for text in _texts(element)}
    new = [subject for subject in subjects if _comparable(subject) not in known]
    if not new:
        return False
    if not properties:
        _add_list(rdf, "subject", "Bag", new)
        return True
    element = properties[0]
    found = next((child for child in element if child.tag in _LISTS), None)
    if found is None:
        if len(element):
            raise SidecarRefused("has keywords in a form that is not XMP")
        text = (element.text or "").strip()
        new = [text, *new] if text else new
        element.text = None
        found = etree.SubElement(element, _LISTS[0])
    _add_items(found, new)
    return True


def _description(rdf: Any) -> str:
    """Return the description in the sidecar; empty if there is none. An empty property is removed."""
    texts: list[str] = []
    for element in _properties(rdf, "description"):
        found = _texts(element)
        texts += found
        if not found:
            element.getparent().remove(element)
    return texts[0] if texts else ""


def _add_list(rdf: Any, name: str, kind: str, texts: Sequence[str]) -> None:
    """Add a Dublin Core property with a list to the first description."""
    node = rdf.find(_DESCRIPTION)
    if node is None:
        node = etree.SubElement(rdf, _DESCRIPTION, {_ABOUT: ""})
    element = etree.SubElement(node, f"{{{_DC}}}{name}", nsmap={"dc": _DC})
    items = etree.SubElement(element, f"{{{_RDF}}}{kind}")
    _add_items(items, texts, {_LANGUAGE: "x-default"} if kind == "Alt" else {})


def _add_items(items: Any, texts: Iterable[str], attributes: dict[str, str] | None = None) -> None:
    for text in texts:
        etree.SubElement(items, _ITEM, attributes or {}).text = text


def _texts(element: Any) -> list[str]:
    """Return the items of a property, or its text; none that is blank."""
    texts = ["".join(item.itertext("*")) for item in element.iter(_ITEM)] or [element.text or ""]
    return [text.strip() for text in texts if text.strip()]


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


def _clean_all(subjects: Iterable[str]) -> list[str]:
    """Return keywords on one line each, without characters that XML does not allow and without repetitions."""
    texts = [_NOT_IN_XML.sub("", clean_line(subject)).strip() for subject in subjects]
    return list({_comparable(text): text for text in reversed(texts) if text}.values())[::-1]
