"""Vector pictures that are part of the page, so that their parts can say what they are."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

__all__ = ["inline"]

SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
RUNS = {f"{{{SVG}}}script", f"{{{SVG}}}foreignObject"}


def inline(path: Path, caption: str) -> Markup | str:
    """An SVG file as a part of a page; empty where it is damaged, or has more than a drawing.

    Its identifiers get the file's name in front, as a page may have each only once.

    Args:
        path: the file.
        caption: what the drawing is called for those who do not see it.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError):
        return ""
    if root.tag != f"{{{SVG}}}svg" or any(_runs(element) for element in root.iter()):
        return ""
    own = re.sub(r"\W", "-", path.stem) + "-"
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                value = own + value
            elif name in ("href", f"{{{LINK}}}href"):
                value = re.sub(r"^#", f"#{own}", value)
            element.set(name, value.replace("url(#", f"url(#{own}"))
    root.set("role", "group")
    root.set("aria-label", caption)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _runs(element: ElementTree.Element) -> bool:
    """Whether it could do more than be seen: figures that bench draws never do."""
    names = [name.lower() for name in element.attrib]
    leads = [value for name, value in element.attrib.items() if name in ("href", f"{{{LINK}}}href")]
    return (
        element.tag in RUNS
        or any(name.startswith("on") for name in names)
        or not all(value.startswith(("#", "data:image/")) for value in leads)
    )
