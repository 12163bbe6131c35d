from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import lxml.etree as etree
import pytest

from cli import xmp
from cli.xmp import SidecarRefused, merge_answer, merge_file, sidecar_path

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xml": "http://www.w3.org/XML/1998/namespace",
}
DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="4"
   darktable:history_end="2">
   <!-- edited by hand -->
   <darktable:history><rdf:Seq>
    <rdf:li darktable:operation="exposure" darktable:params="00ff"/>
   </rdf:Seq></darktable:history>
   <dc:subject><rdf:Bag><rdf:li>Holiday 2024</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">My own words</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def subjects(content: bytes | None) -> list[str]:
    assert content is not None
    return [str(item.text) for item in etree.fromstring(content).iterfind(".//dc:subject//rdf:li", NAMESPACES)]


def descriptions(content: bytes | None) -> dict[str, str]:
    assert content is not None
    items = etree.fromstring(content).iterfind(".//dc:description/rdf:Alt/rdf:li", NAMESPACES)
    return {str(item.get(f"{{{NAMESPACES['xml']}}}lang")): str(item.text) for item in items}


def canonical(content: bytes) -> bytes:
    """Return a document with one order of namespaces and attributes."""
    return etree.tostring(etree.fromstring(content), method="c14n")


def wrapped(properties: str) -> bytes:
    """Return a sidecar with properties of Dublin Core."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">'
        f'<rdf:Description rdf:about="" xmlns:dc="{NAMESPACES["dc"]}">{properties}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def test_new_sidecar_has_a_bag_of_keywords_and_a_description_in_the_default_language() -> None:
    content = merge_answer(None, ["brown dog", "R&B <live>"], "A dog\nat the sea").content

    assert subjects(content) == ["brown dog", "R&B <live>"]
    assert descriptions(content) == {"x-default": "A dog\nat the sea"}
    root = etree.fromstring(content or b"")
    assert root.find("rdf:RDF/rdf:Description/dc:subject/rdf:Bag", NAMESPACES) is not None
    assert root.tag == "{adobe:ns:meta/}xmpmeta"


def test_existing_keywords_and_all_other_properties_stay_and_only_new_keywords_are_added() -> None:
    content = merge_answer(DARKTABLE.encode(), ["Sea", "dog"], "").content

    assert subjects(content) == ["Holiday 2024", "sea", "dog"]
    without = (content or b"").replace(b"<rdf:li>dog</rdf:li>", b"")
    assert canonical(without) == canonical(DARKTABLE.encode())


def test_existing_description_stays_and_is_reported() -> None:
    merged = merge_answer(DIGIKAM.encode(), ["dog"], "A dog.")

    assert merged.kept_description
    assert descriptions(merged.content) == {"x-default": "My own words"}
    assert subjects(merged.content) == ["dog"]
    text = (merged.content or b"").decode()
    assert text.startswith("<?xpacket begin=")
    assert text.endswith('<?xpacket end="w"?>\n')
    assert not merge_answer(DIGIKAM.encode(), ["dog"], "My own words").kept_description


def test_empty_description_is_filled() -> None:
    empty = wrapped('<dc:description><rdf:Alt><rdf:li xml:lang="x-default"> </rdf:li></rdf:Alt></dc:description>')
    merged = merge_answer(empty, [], "A dog.")

    assert not merged.kept_description
    assert descriptions(merged.content) == {"x-default": "A dog."}
    assert (merged.content or b"").count(b"<dc:description") == 1


def test_second_merge_of_the_same_answer_changes_nothing() -> None:
    content = merge_answer(DARKTABLE.encode(), ["dog"], "A dog.").content

    assert merge_answer(content, ["dog"], "A dog.").content is None


def test_sidecar_without_an_answer_to_add_stays_as_it_is() -> None:
    assert merge_answer(DARKTABLE.encode(), [], " ").content is None
    assert merge_answer(None, [" "], "").content is None


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("<dc:subject>cat</dc:subject>", ["cat", "dog"]),
        ("<dc:subject/>", ["dog"]),
        ("<dc:subject><rdf:Seq><rdf:li>cat</rdf:li></rdf:Seq></dc:subject>", ["cat", "dog"]),
        ("<dc:subject><rdf:Bag/></dc:subject>", ["dog"]),
    ],
    ids=["text", "empty", "sequence", "empty bag"],
)
def test_keywords_in_other_forms_are_kept(properties: str, expected: list[str]) -> None:
    assert subjects(merge_answer(wrapped(properties), ["dog"], "").content) == expected


def test_properties_in_the_form_of_attributes_are_kept() -> None:
    content = wrapped("").replace(b'rdf:about=""', b'rdf:about="" dc:subject="cat" dc:description="My own words"', 1)
    content = content.replace(b"<rdf:RDF", f'<rdf:RDF xmlns:dc="{NAMESPACES["dc"]}"'.encode(), 1)
    merged = merge_answer(content, ["dog"], "A dog.")

    assert subjects(merged.content) == ["cat", "dog"]
    assert merged.kept_description
    assert b"My own words" in (merged.content or b"")


def test_sidecar_whose_root_is_rdf_without_a_description_is_merged() -> None:
    content = f'<rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}"/>'.encode()

    assert subjects(merge_answer(content, ["dog"], "").content) == ["dog"]


def test_sidecar_in_utf_16_is_merged_and_written_in_utf_8() -> None:
    content = DARKTABLE.replace('"UTF-8"', '"UTF-16"').replace("Holiday 2024", "Fête").encode("utf-16")

    assert subjects(merge_answer(content, ["dog"], "").content) == ["Fête", "sea", "dog"]


def test_characters_that_xml_does_not_allow_are_removed() -> None:
    content = merge_answer(None, ["do\x00g\x1b", "\ufffe\uffff", "\ud800cat"], "A\x08 dog\uffff").content

    assert subjects(content) == ["dog", "cat"]
    assert descriptions(content) == {"x-default": "A dog"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an XMP file"),
        (b"<x:xmpmeta", "not an XMP file"),
        (b"\xff\xfe\x00\x01", "not an XMP file"),
        (b"<html/>", "its root is 'html'"),
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', "no rdf:RDF"),
        (b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + wrapped("<dc:subject>&e;</dc:subject>"), "type"),
        (b'<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd">' + wrapped(""), "document type"),
        (
            b"<!DOCTYPE r [<!ENTITY a '0123456789'>"
            + b"".join(b"<!ENTITY %c '%s'>" % (c, b"&%c;" % (c - 1) * 10) for c in range(98, 110))
            + b"]>"
            + wrapped("<dc:subject>&m;</dc:subject>"),
            "type|entit",
        ),
        (wrapped("<dc:subject><dc:other/></dc:subject>"), "form that is not XMP"),
        (wrapped("<dc:a>" * 100_000), "not an XMP file"),
    ],
    ids=["empty", "cut off", "binary", "other root", "no rdf", "entity", "dtd", "bomb", "other form", "deep"],
)
def test_file_that_is_not_xmp_or_is_hostile_is_refused_and_stays(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(content)

    with pytest.raises(SidecarRefused, match=reason):
        merge_file(path, ["dog"], "A dog.")
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["a.jpg.xmp"]


def test_large_file_is_refused_without_reading_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmp, "MAXIMUM_BYTES", 100)
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(wrapped(""))

    with pytest.raises(SidecarRefused, match="larger than"):
        merge_file(path, ["dog"], "")


def test_sidecar_is_in_the_folder_under_the_whole_name_of_the_photo(tmp_path: Path) -> None:
    assert sidecar_path(tmp_path, "2024/a.b.jpg") == tmp_path / "2024/a.b.jpg.xmp"


@pytest.mark.parametrize(
    "photo", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "b/../a.jpg", "b//a.jpg", "a\x00.jpg", ""]
)
def test_name_that_is_no_path_below_the_folder_is_refused(photo: str, tmp_path: Path) -> None:
    with pytest.raises(SidecarRefused, match="has a name"):
        sidecar_path(tmp_path / "photos", photo)


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "photos", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "linked").symlink_to(outside)
    (folder / "a.jpg.xmp").symlink_to(outside / "other.xmp")

    for photo in ("linked/b.jpg", "a.jpg"):
        with pytest.raises(SidecarRefused, match="leads out"):
            sidecar_path(folder, photo)


@pytest.mark.skipif(not shutil.which("exiftool"), reason="opt-in: install exiftool")
@pytest.mark.parametrize("existing", [None, DARKTABLE.encode(), DIGIKAM.encode()], ids=["new", "darktable", "digikam"])
def test_exiftool_reads_what_was_written(existing: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    if existing:
        path.write_bytes(existing)
    merge_file(path, ["dog", "Straße"], "A dog.")
    command = ["exiftool", "-json", "-struct", "-XMP-dc:all", "-XMP-xmp:Rating", "-validate", "-warning", str(path)]
    read = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]

    words = read["Subject"]
    assert words[-2:] == ["dog", "Straße"]
    assert read["Description"] == ("My own words" if existing == DIGIKAM.encode() else "A dog.")
    if existing == DARKTABLE.encode():
        assert (words[:2], read["Rating"]) == (["Holiday 2024", "sea"], 4)
    assert "Warning" not in read
